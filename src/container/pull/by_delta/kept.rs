//! The blob of a delta, of which is kept what came: a pull that was killed goes on behind it.
//!
//! ```text
//! tmp/fetch-DIGEST.delta           the blob as far as it came ─┐
//! source, by a range ───────────── the rest ───┬───────────────┴─► apply
//!                                              └► the file
//! ```
//! What was kept is believed no more than what comes: the layer that the delta makes has to have its diffid.

use std::fs::File;
use std::io::{self, Read, Take, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use oci_spec::image::Descriptor;

use crate::base::{PartialFile, PartialFiles};
use crate::container::image::{Digest, ImageSource, Result};

/// Blobs of fewer bytes are not kept: they come again as soon.
const MIN_KEPT_BYTES: u64 = 1024 * 1024;

/// The file for what comes of a delta, and the bytes of it that an earlier pull left.
pub(super) struct KeptDelta {
    file: Option<PartialFile>,
    begun: u64,
}

impl KeptDelta {
    /// Looks what of `delta` is in one of `files`.
    pub(super) fn find(delta: &Descriptor, files: Option<&PartialFiles>) -> Self {
        let files = files.filter(|_| delta.size() >= MIN_KEPT_BYTES);
        let named = files.zip(Digest::of_descriptor(delta).ok());
        let file = named.map(|(files, digest)| files.file(&format!("{}.delta", digest.checksum())));
        let begun = file.as_ref().and_then(PartialFile::begun).map_or(0, |(bytes, _)| bytes);
        Self { file, begun: if begun <= delta.size() { begun } else { 0 } }
    }

    /// Bytes that an earlier pull left.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    /// What is here is of no use; says whether an earlier pull left some of it.
    pub(super) fn forget(&mut self) -> bool {
        self.remove();
        std::mem::take(&mut self.begun) > 0
    }

    /// Nothing of it is needed any more.
    pub(super) fn remove(&self) {
        self.file.iter().for_each(PartialFile::remove);
    }

    /// The blob: what was left of it, and the rest from `source`, which is kept, too.
    pub(super) fn open(&self, delta: &Descriptor, source: &dyn ImageSource) -> Result<KeptBlob> {
        let (size, begun) = (delta.size(), self.begun);
        let part = match &self.file {
            Some(_) if begun == size => Some(Box::new(io::empty()) as Box<dyn Read + Send>),
            Some(_) => source.blob_part(delta, begun..size)?,
            None => None,
        };
        // Without room for the file, the delta comes all the same.
        let room = |file: &PartialFile| file.require_room(size - begun);
        let open =
            |file: &PartialFile| room(file).and_then(|()| file.open(begun, None)).and(file.place()).ok();
        Ok(match part.and_then(|rest| Some((rest, self.file.as_ref().and_then(open)?))) {
            Some((rest, file)) => KeptBlob { file: Some(file), at: 0, begun, rest: rest.take(size - begun) },
            // Whoever gives no parts cannot be gone on with, or is on this machine.
            None => KeptBlob { file: None, at: 0, begun: 0, rest: source.blob(delta)?.take(size) },
        })
    }
}

/// The blob of a delta as one stream.
pub(super) struct KeptBlob {
    /// The file, and where the blob lies in it.
    file: Option<(File, Range<u64>)>,
    /// The bytes that were read.
    at: u64,
    /// The bytes that the file had before.
    begun: u64,
    rest: Take<Box<dyn Read + Send>>,
}

impl Read for KeptBlob {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.begun.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let n = match &mut self.file {
            Some((file, place)) if left > 0 => {
                let want = left.min(buf.len());
                match file.read_at(&mut buf[..want], place.start + self.at)? {
                    0 if want > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    n => n,
                }
            }
            file => {
                let n = self.rest.read(buf)?;
                if file.as_mut().is_some_and(|(file, _)| file.write_all(&buf[..n]).is_err()) {
                    *file = None;
                }
                n
            }
        };
        self.at += n as u64;
        Ok(n)
    }
}
