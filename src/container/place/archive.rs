//! An image in a tar archive of an OCI layout: `oci-archive:PATH[:TAG]`, to be read.
//!
//! The archive is not unpacked: one pass over its headers notes where every blob lies. So one that is compressed has
//! to be decompressed first, as a whole: see [`plain_archive`].

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use oci_spec::image::{Descriptor, ImageIndex};

use super::index::{self, BLOBS, INDEX_JSON, OCI_LAYOUT};
use crate::base::Ctx;
use crate::base::compressed::{self, Decompressed};
use crate::base::io::Cancellable;
use crate::container::image::{Digest, Error, ImageSource, MAX_JSON_BYTES, RawManifest, Result};

/// One image in an archive of a layout, to be read.
#[derive(Debug)]
pub struct OciArchive {
    file: Arc<File>,
    blobs: HashMap<Digest, Extent>,
    index: ImageIndex,
    tag: Option<String>,
}

/// Where a file lies in the archive, in bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::container) struct Extent {
    pub(in crate::container) start: u64,
    pub(in crate::container) size: u64,
}

impl OciArchive {
    /// The image `tag` of the archive in `file`, which is a [`plain_archive`]; without a tag the only one there is.
    ///
    /// # Errors
    /// [`Error::NotALayout`] if `file` is no archive of a layout, [`Error::Json`], [`Error::Io`].
    pub fn open(file: File, tag: Option<&str>) -> Result<Self> {
        let file = Arc::new(file);
        let mut blobs = HashMap::new();
        let (mut index_json, mut oci_layout) = (None, None);
        let mut archive = tar::Archive::new(&*file);
        for entry in archive.entries_with_seek().map_err(not_tar)? {
            let entry = entry.map_err(not_tar)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let extent = Extent { start: entry.raw_file_position(), size: entry.size() };
            let path = entry.path().map_err(not_tar)?;
            let Some(path) = normal(&path) else { continue };
            if path == Path::new(INDEX_JSON) {
                index_json = Some(extent);
            } else if path == Path::new(OCI_LAYOUT) {
                oci_layout = Some(extent);
            } else if let Some(digest) = blob_digest(&path) {
                blobs.insert(digest, extent);
            }
        }
        if let Some(extent) = oci_layout {
            index::check_layout_version(&read_whole(&file, extent, OCI_LAYOUT)?)?;
        }
        let lacks = || Error::NotALayout(format!("the archive lacks {INDEX_JSON}"));
        let index_json = index_json.ok_or_else(lacks)?;
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

    fn file_part(&self, descriptor: &Descriptor, part: Range<u64>) -> Result<Option<Box<dyn Read + Send>>> {
        let digest = Digest::of_descriptor(descriptor)?;
        let extent = self.blobs.get(&digest).ok_or(Error::BlobNotFound(digest))?;
        Ok(Some(Box::new(Slice::part(&self.file, *extent, &part))))
    }
}

/// The archive in `file`, to be read in any order: `file` itself if it is not compressed; else what is in it is written
/// to the file that `spool` makes. That may have no name, and needs room for all of it.
///
/// # Errors
/// [`Error::Unsupported`] for a kind of archive that is not read, such as zip; [`Error::Io`] if it is damaged, or the
/// other file cannot be made or is too small; [`Error::Cancelled`].
pub fn plain_archive(mut file: File, spool: impl FnOnce() -> io::Result<File>, ctx: &Ctx) -> Result<File> {
    let read = || Error::io("read", "archive");
    let Decompressed { head, stream, was_compressed } =
        compressed::decompress(Box::new(&file)).map_err(read())?;
    if let Some(what) = compressed::foreign(&head) {
        return Err(Error::Unsupported(format!("the file is {what}")));
    }
    if was_compressed {
        let mut plain = spool().map_err(Error::io("create", "temporary file"))?;
        ctx.phase("Decompressing archive", None, None);
        let copied = io::copy(&mut Cancellable::new(stream, &ctx.cancel), &mut plain);
        ctx.cancel.check()?;
        copied.map_err(Error::io("decompress", "archive"))?;
        plain.rewind().map_err(Error::io("seek in", "temporary file"))?;
        return Ok(plain);
    }
    drop(stream);
    file.rewind().map_err(read())?;
    Ok(file)
}

/// The path of an entry without `.`, `..` and a slash in front; `None` if it leaves the archive.
pub(super) fn normal(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => out.push(part),
            Component::ParentDir if !out.pop() => return None,
            _ => {}
        }
    }
    Some(out)
}

/// What is said of an archive that cannot be read. The reader of archives quotes what it finds: of a file that is
/// something else, any bytes at all.
pub(super) fn not_tar(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::NotALayout("the tar archive breaks off".to_owned()),
        io::ErrorKind::Other | io::ErrorKind::InvalidData => {
            Error::NotALayout("the file is no tar archive, or damaged".to_owned())
        }
        _ => Error::io("read", "archive")(error),
    }
}

/// A part of a file, read without moving the file's own position.
pub(in crate::container) struct Slice {
    file: Arc<File>,
    position: u64,
    end: u64,
}

impl Slice {
    pub(in crate::container) fn new(file: &Arc<File>, extent: Extent) -> Self {
        let end = extent.start.saturating_add(extent.size);
        Self { file: Arc::clone(file), position: extent.start, end }
    }

    /// The bytes `part` of an extent, as far as it has them.
    fn part(file: &Arc<File>, extent: Extent, part: &Range<u64>) -> Self {
        let end = extent.start.saturating_add(extent.size);
        let at = |offset| extent.start.saturating_add(offset).min(end);
        Self { file: Arc::clone(file), position: at(part.start), end: at(part.end.max(part.start)) }
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

pub(in crate::container) fn read_whole(file: &Arc<File>, extent: Extent, name: &str) -> Result<Vec<u8>> {
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
