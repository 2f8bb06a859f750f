//! An image in a tar archive of an OCI layout, to be written: `oci-archive:PATH[:TAG]`.
//!
//! ```text
//! blobs/  blobs/sha256/  blobs/sha256/HEX …  oci-layout  index.json  1024 zero bytes
//! ```
//! A blob's size and digest are known only at its end: its header is left out at first and filled in then.
//! So nothing is kept in memory, and one blob is written at a time. The same blobs in the same order give
//! the same bytes.

use std::collections::HashSet;
use std::io::{self, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;
use oci_spec::image::{ImageIndex, Platform};
use tar::{EntryType, Header};

use super::index::{self, BLOBS, INDEX_JSON, LAYOUT_CONTENT, OCI_LAYOUT};
use super::temp::{TempFile, sweep};
use crate::base::{debug_fields, fs};
use crate::container::image::{BlobWriter, Digest, Error, ImageDest, RawManifest, Result, canonical_json};

const BLOCK_BYTES: u64 = 512;

/// A new archive that holds one image. It appears under its name at [`OciArchiveWriter::finish`].
#[must_use = "the archive appears when it is finished"]
pub struct OciArchiveWriter {
    /// Where it will lie.
    name: PathBuf,
    tag: Option<String>,
    /// `None` while a blob is being written.
    state: Mutex<Option<State>>,
}

debug_fields!(OciArchiveWriter { name, tag });

struct State {
    temp: TempFile,
    /// Where the next entry begins.
    end: u64,
    blobs: HashSet<Digest>,
    index: ImageIndex,
}

impl OciArchiveWriter {
    /// Begins the archive `name` in `dir`; the image in it will be called `tag`. Files left behind in `dir` by
    /// writers that were killed are removed.
    ///
    /// # Errors
    /// [`Error::Usage`] if `tag` is a number of an image, `@N`; [`Error::Io`].
    pub fn create(dir: &Dir, name: &Path, tag: Option<&str>) -> Result<Self> {
        index::check_is_name(tag)?;
        let folder = name.parent().unwrap_or(Path::new(""));
        sweep(dir, folder);
        let temp = TempFile::new(dir, folder)?;
        let mut state = State { temp, end: 0, blobs: HashSet::new(), index: index::empty()? };
        for folder in ["blobs/", "blobs/sha256/"] {
            state.write_entry(folder, EntryType::Directory, &[]).map_err(Error::at(dir, "write", name))?;
        }
        Ok(Self { name: fs::place(dir, name), tag: tag.map(str::to_owned), state: Mutex::new(Some(state)) })
    }

    /// Completes the archive and gives it its name, replacing what had it before.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Usage`] if a blob is still being written.
    pub fn finish(self) -> Result<()> {
        let mut state = self.take()?;
        let index = canonical_json(&state.index)?;
        let name = self.name;
        (|| {
            state.write_entry(OCI_LAYOUT, EntryType::Regular, LAYOUT_CONTENT)?;
            state.write_entry(INDEX_JSON, EntryType::Regular, &index)?;
            state.temp.file.write_all(&[0; 2 * BLOCK_BYTES as usize])
        })()
        .map_err(Error::io("write", &name))?;
        state.temp.persist(&name)
    }

    /// Adds a file that is no blob.
    pub(in crate::container) fn add_file(&self, name: &str, content: &[u8]) -> Result<()> {
        let mut slot = self.slot();
        let state = slot.as_mut().ok_or_else(|| Error::Usage("a blob is still being written".to_owned()))?;
        state.write_entry(name, EntryType::Regular, content).map_err(Error::io("write", &self.name))
    }

    fn slot(&self) -> MutexGuard<'_, Option<State>> {
        // The state is only ever put there whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<State> {
        let busy = || Error::Usage("an oci-archive takes one blob at a time".to_owned());
        self.slot().take().ok_or_else(busy)
    }
}

impl ImageDest for OciArchiveWriter {
    fn has_blob(&self, digest: &Digest) -> Result<bool> {
        Ok(self.slot().as_ref().is_some_and(|s| s.blobs.contains(digest)))
    }

    fn new_blob(&self) -> Result<Box<dyn BlobWriter + '_>> {
        let mut state = self.take()?;
        let begun = state.temp.file.seek(SeekFrom::Start(state.end + BLOCK_BYTES));
        let blob = Box::new(ArchiveBlob { archive: self, state: Some(state) });
        begun.map_err(Error::io("seek in", &self.name))?;
        Ok(blob)
    }

    fn parallel_blobs(&self) -> NonZeroUsize {
        NonZeroUsize::MIN
    }

    fn put_instance(&self, manifest: &RawManifest) -> Result<()> {
        let mut slot = self.slot();
        let Some(state) = slot.as_mut() else {
            return Err(Error::Usage("the manifest comes after the blobs".to_owned()));
        };
        if state.blobs.insert(manifest.digest) {
            let name = blob_name(&manifest.digest);
            state
                .write_entry(&name, EntryType::Regular, &manifest.bytes)
                .map_err(Error::io("write", &self.name))?;
        }
        Ok(())
    }

    fn put_manifest(&self, manifest: &RawManifest, platform: Option<&Platform>) -> Result<()> {
        self.put_instance(manifest)?;
        let mut entry =
            manifest.digest.descriptor(manifest.media_type.clone(), manifest.bytes.len() as u64)?;
        entry.set_platform(platform.cloned());
        if let Some(state) = self.slot().as_mut() {
            index::insert(&mut state.index, entry, self.tag.as_deref());
        }
        Ok(())
    }
}

impl State {
    /// Writes a whole entry.
    fn write_entry(&mut self, name: &str, kind: EntryType, content: &[u8]) -> io::Result<()> {
        self.temp.file.seek(SeekFrom::Start(self.end + BLOCK_BYTES))?;
        self.temp.file.write_all(content)?;
        self.close_entry(name, kind, content.len() as u64)
    }

    /// Pads the content just written, which has `size` bytes, and fills in its header.
    fn close_entry(&mut self, name: &str, kind: EntryType, size: u64) -> io::Result<()> {
        let file = &mut self.temp.file;
        let padding = size.next_multiple_of(BLOCK_BYTES) - size;
        file.write_all(&[0; BLOCK_BYTES as usize][..padding as usize])?;
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(header(name, kind, size)?.as_bytes())?;
        self.end += BLOCK_BYTES + size + padding;
        file.seek(SeekFrom::Start(self.end))?;
        Ok(())
    }
}

struct ArchiveBlob<'a> {
    archive: &'a OciArchiveWriter,
    state: Option<State>,
}

impl Write for ArchiveBlob<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            Some(state) => state.temp.file.write(buf),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for ArchiveBlob<'_> {
    fn finish(mut self: Box<Self>, digest: &Digest, size: u64) -> Result<()> {
        let Some(state) = &mut self.state else { return Ok(()) };
        if state.blobs.insert(*digest) {
            state
                .close_entry(&blob_name(digest), EntryType::Regular, size)
                .map_err(Error::io("write", &self.archive.name))?;
        }
        Ok(())
    }
}

impl Drop for ArchiveBlob<'_> {
    /// Gives the archive back; what is not finished is cut off, and the next entry goes there.
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            // If this fails, then so will the writes that follow.
            let _ = state.temp.file.set_len(state.end);
            *self.archive.slot() = Some(state);
        }
    }
}

fn header(name: &str, kind: EntryType, size: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}

fn blob_name(digest: &Digest) -> String {
    format!("{BLOBS}/{}", digest.checksum())
}
