//! An image in an OCI layout directory: `oci:PATH[:TAG]`.
//!
//! ```text
//! oci-layout        {"imageLayoutVersion":"1.0.0"}
//! index.json        the images and their tags
//! blobs/sha256/HEX  manifests, configurations, layers
//! ```
//! Every file appears whole and is on disk then: it is written under another name, synced, and renamed. Who changes
//! `index.json` has locked the directory.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, File};
use oci_spec::image::{Arch, Descriptor, ImageIndex, Platform};

use super::disk::{file_part, open_regular, read_small};
use super::index::{self, BLOBS, INDEX_JSON, LAYOUT_CONTENT, OCI_LAYOUT};
use super::temp::{TempFile, is_temp, lock_dir, sweep, write_whole};
use crate::container::blob::known;
use crate::container::image::{
    BlobWriter, Digest, Error, Image, ImageDest, ImageSource, RawManifest, Result, canonical_json,
};

/// One image in a layout directory, to be read or written.
#[derive(Debug)]
pub struct OciLayout {
    dir: Dir,
    tag: Option<String>,
}

impl OciLayout {
    /// The image `tag` of the layout in `dir`; without a tag the only one there is. A layout may lack its file
    /// `oci-layout`, as for skopeo.
    ///
    /// # Errors
    /// [`Error::NotALayout`] if `dir` is no layout, [`Error::Unsupported`] if it is a newer one.
    pub fn open(dir: Dir, tag: Option<&str>) -> Result<Self> {
        match read_small(&dir, OCI_LAYOUT)? {
            Some(content) => index::check_layout_version(&content)?,
            None if open_regular(&dir, Path::new(INDEX_JSON))?.is_some() => {}
            None => return Err(Error::NotALayout(format!("it has neither {INDEX_JSON} nor {OCI_LAYOUT}"))),
        }
        Ok(Self { dir, tag: tag.map(str::to_owned) })
    }

    /// Opens a layout to write into. An empty `dir` becomes a layout, and so does one in which an earlier attempt at
    /// that was interrupted. Without a tag the image takes the place of the one without a tag. Files left behind by
    /// writers that were killed are removed.
    ///
    /// # Errors
    /// [`Error::NotALayout`] if `dir` holds something else, [`Error::Usage`] if `tag` is a number of an image, `@N`;
    /// [`Error::Io`].
    pub fn create(dir: Dir, tag: Option<&str>) -> Result<Self> {
        index::check_is_name(tag)?;
        let lock = lock_dir(&dir)?;
        sweep(&dir, Path::new(""));
        sweep(&dir, Path::new(BLOBS));
        if read_small(&dir, OCI_LAYOUT)?.is_none() {
            check_no_other(&dir)?;
            write_whole(&dir, Path::new(OCI_LAYOUT), LAYOUT_CONTENT)?;
        }
        dir.create_dir_all(BLOBS).map_err(Error::at(&dir, "create directory", BLOBS))?;
        let layout = Self::open(dir, tag)?;
        layout.change_index(&lock, |_| ())?;
        Ok(layout)
    }

    /// All images and their tags.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::NotALayout`], [`Error::Io`].
    pub fn index(&self) -> Result<ImageIndex> {
        match read_small(&self.dir, INDEX_JSON)? {
            Some(content) => index::parse(&content),
            None => Err(Error::NotALayout(format!("it has no file {INDEX_JSON}"))),
        }
    }

    /// Reads, changes and replaces `index.json`, alone among all processes, as the lock shows.
    fn change_index(&self, _: &File, change: impl FnOnce(&mut ImageIndex)) -> Result<()> {
        let old = read_small(&self.dir, INDEX_JSON)?;
        let mut index = old.as_deref().map_or_else(index::empty, index::parse)?;
        let before = index.clone();
        change(&mut index);
        if old.is_some() && index == before {
            return Ok(());
        }
        write_whole(&self.dir, Path::new(INDEX_JSON), &canonical_json(&index)?)
    }
}

impl ImageSource for OciLayout {
    fn manifest(&self) -> Result<RawManifest> {
        self.manifest_of(index::find(&self.index()?, self.tag.as_deref())?)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let digest = Digest::of_descriptor(descriptor)?;
        let path = blob_path(&digest);
        let file = open_regular(&self.dir, &path)?.ok_or(Error::BlobNotFound(digest))?;
        Ok(Box::new(file))
    }

    fn file_part(&self, descriptor: &Descriptor, part: Range<u64>) -> Result<Option<Box<dyn Read + Send>>> {
        let digest = Digest::of_descriptor(descriptor)?;
        file_part(&self.dir, &blob_path(&digest), &part)?.ok_or(Error::BlobNotFound(digest)).map(Some)
    }
}

impl ImageDest for OciLayout {
    fn has_blob(&self, digest: &Digest) -> Result<bool> {
        Ok(open_regular(&self.dir, &blob_path(digest))?.is_some())
    }

    fn new_blob(&self) -> Result<Box<dyn BlobWriter + '_>> {
        Ok(Box::new(LayoutBlob(TempFile::new(&self.dir, Path::new(BLOBS))?)))
    }

    fn current(&self, architecture: &Arch) -> Result<Option<Image>> {
        known::current(self, architecture)
    }

    fn put_instance(&self, manifest: &RawManifest) -> Result<()> {
        if !self.has_blob(&manifest.digest)? {
            write_whole(&self.dir, &blob_path(&manifest.digest), &manifest.bytes)?;
        }
        Ok(())
    }

    fn put_manifest(&self, manifest: &RawManifest, platform: Option<&Platform>) -> Result<()> {
        self.put_instance(manifest)?;
        let mut entry =
            manifest.digest.descriptor(manifest.media_type.clone(), manifest.bytes.len() as u64)?;
        entry.set_platform(platform.cloned());
        self.change_index(&lock_dir(&self.dir)?, |index| index::insert(index, entry, self.tag.as_deref()))
    }
}

struct LayoutBlob(TempFile);

impl Write for LayoutBlob {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.file.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for LayoutBlob {
    fn finish(self: Box<Self>, digest: &Digest, _size: u64) -> Result<()> {
        self.0.persist(&blob_path(digest))
    }
}

/// Refuses a directory that holds anything which is not of a layout.
fn check_no_other(dir: &Dir) -> Result<()> {
    let own =
        |name: &OsStr| is_temp(name) || [OCI_LAYOUT, INDEX_JSON, "blobs"].iter().any(|own| name == *own);
    for entry in dir.entries().map_err(Error::at(dir, "read directory", "."))? {
        let name = entry.map_err(Error::at(dir, "read directory", "."))?.file_name();
        if !own(&name) {
            let name = name.to_string_lossy();
            return Err(Error::NotALayout(format!("it has no file {OCI_LAYOUT}, but a file {name:?}")));
        }
    }
    Ok(())
}

fn blob_path(digest: &Digest) -> PathBuf {
    Path::new(BLOBS).join(digest.checksum().hex().as_str())
}
