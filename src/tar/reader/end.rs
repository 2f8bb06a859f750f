//! The end of a stream, and what is behind it.

use std::io::Read;

use super::super::error::{Error, FormatErrorKind as Kind, Result};
use super::{BLOCK_BYTES, EndMarker, Reader};

/// What begins with zeros is an archive without entries, but also many a disk.
const NO_ARCHIVE: &str = "no archive, though it begins with zeros: if it is the image of a disk, mount it, and take \
                          the directory";

impl<R: Read> Reader<R> {
    /// After the first zero block: another one, and then whatever there is. Where nothing vouches for the stream, and
    /// there was nothing before, that are zeros.
    pub(super) fn read_end(&mut self) -> Result<()> {
        self.ended = true;
        let (at, mut block) = (self.offset, [0; BLOCK_BYTES]);
        let got = self.fill(&mut block)?;
        if block[..got].iter().any(|b| *b != 0) {
            return Err(Error::format(at, Kind::AfterEnd));
        }
        if got < BLOCK_BYTES && self.end_marker == EndMarker::Required {
            return Err(Error::format(self.offset, Kind::Truncated));
        }
        if at == BLOCK_BYTES as u64 && self.end_marker == EndMarker::AfterEntry && !self.rest_is_zero()? {
            return Err(Error::format(0, Kind::Foreign(NO_ARCHIVE)));
        }
        if self.reads_rest {
            self.discard(u64::MAX)?;
        }
        Ok(())
    }

    /// Reads what is left, up to what is not zero.
    fn rest_is_zero(&mut self) -> Result<bool> {
        let mut block = [0; BLOCK_BYTES];
        loop {
            match self.read_some(&mut block)? {
                0 => return Ok(true),
                n if block[..n].iter().any(|b| *b != 0) => return Ok(false),
                _ => {}
            }
        }
    }
}
