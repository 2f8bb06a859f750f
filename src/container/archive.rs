//! An image in a tar archive of an OCI layout: `oci-archive:PATH[:TAG]`, to be read.
//!
//! The archive is not unpacked: one pass over its headers notes where every blob lies.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use oci_spec::image::{Descriptor, ImageIndex};

use super::digest::Digest;
use super::error::{Error, Result};
use super::image::{ImageSource, MAX_JSON_BYTES, RawManifest};
use super::index::{self, BLOBS, INDEX_JSON, OCI_LAYOUT};
use super::layer_format::{GZIP_MAGIC, ZSTD_MAGIC};

/// One image in an archive of a layout, to be read.
#[derive(Debug)]
pub struct OciArchive {
    file: Arc<File>,
    blobs: HashMap<Digest, Extent>,
    index: ImageIndex,
    tag: Option<String>,
}

/// How files begin that are compressed, and by what.
const COMPRESSED: [(&[u8], &str); 4] =
    [(&GZIP_MAGIC, "gzip"), (&ZSTD_MAGIC, "zstd"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz")];

/// Where a file lies in the archive, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) size: u64,
}

impl OciArchive {
    /// The image `tag` of the archive in `file`; without a tag the only one there is.
    ///
    /// # Errors
    /// [`Error::NotALayout`] if `file` is no archive of a layout, [`Error::Unsupported`] if it is compressed as a
    /// whole, [`Error::Json`], [`Error::Io`].
    pub fn open(file: File, tag: Option<&str>) -> Result<Self> {
        check_not_compressed(&file)?;
        let file = Arc::new(file);
        let mut blobs = HashMap::new();
        let (mut index_json, mut oci_layout) = (None, None);
        let not_tar = |e: io::Error| match e.kind() {
            io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Error::NotALayout(format!("the file is no tar archive: {e}"))
            }
            _ => Error::io("read archive", "oci-archive")(e),
        };
        let mut archive = tar::Archive::new(&*file);
        for entry in archive.entries_with_seek().map_err(not_tar)? {
            let entry = entry.map_err(not_tar)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let extent = Extent { start: entry.raw_file_position(), size: entry.size() };
            let path = entry.path().map_err(not_tar)?;
            let path = path.strip_prefix("./").unwrap_or(&path);
            if path == Path::new(INDEX_JSON) {
                index_json = Some(extent);
            } else if path == Path::new(OCI_LAYOUT) {
                oci_layout = Some(extent);
            } else if let Some(digest) = blob_digest(path) {
                blobs.insert(digest, extent);
            }
        }
        let (Some(index_json), Some(oci_layout)) = (index_json, oci_layout) else {
            return Err(Error::NotALayout(format!("the archive lacks {OCI_LAYOUT} or {INDEX_JSON}")));
        };
        index::check_layout_version(&read_whole(&file, oci_layout, OCI_LAYOUT)?)?;
        let index = index::parse(&read_whole(&file, index_json, INDEX_JSON)?)?;
        Ok(Self { file, blobs, index, tag: tag.map(str::to_owned) })
    }

    /// All images and their tags.
    pub fn index(&self) -> &ImageIndex {
        &self.index
    }
}

impl ImageSource for OciArchive {
    fn manifest(&self) -> Result<RawManifest> {
        self.manifest_of(index::find(&self.index, self.tag.as_deref())?)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let digest = Digest::of_descriptor(descriptor)?;
        let extent = self.blobs.get(&digest).ok_or(Error::BlobNotFound(digest))?;
        Ok(Box::new(Slice::new(&self.file, *extent)))
    }
}

/// Blobs are read from where they lie, which a compressed archive does not allow.
pub(super) fn check_not_compressed(file: &File) -> Result<()> {
    let mut start = [0; 6];
    let n = file.read_at(&mut start, 0).map_err(Error::io("read", "archive"))?;
    match COMPRESSED.iter().find(|(magic, _)| start[..n].starts_with(magic)) {
        Some((_, program)) => Err(Error::Unsupported(format!(
            "the archive is compressed with {program}: decompress it first, with {program} -dc"
        ))),
        None => Ok(()),
    }
}

/// A part of a file, read without moving the file's own position.
pub(super) struct Slice {
    file: Arc<File>,
    position: u64,
    end: u64,
}

impl Slice {
    pub(super) fn new(file: &Arc<File>, extent: Extent) -> Self {
        let end = extent.start.saturating_add(extent.size);
        Self { file: Arc::clone(file), position: extent.start, end }
    }
}

impl Read for Slice {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let want = buf.len().min(left);
        let n = self.file.read_at(&mut buf[..want], self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}

pub(super) fn read_whole(file: &Arc<File>, extent: Extent, name: &str) -> Result<Vec<u8>> {
    if extent.size > MAX_JSON_BYTES {
        return Err(Error::TooLarge { what: name.to_owned(), limit: MAX_JSON_BYTES });
    }
    let mut content = Vec::new();
    Slice::new(file, extent).read_to_end(&mut content).map_err(Error::io("read", name))?;
    Ok(content)
}

/// `blobs/sha256/HEX`
fn blob_digest(path: &Path) -> Option<Digest> {
    let hex = path.strip_prefix(BLOBS).ok()?.to_str()?;
    hex.parse().ok().map(Digest::new)
}
