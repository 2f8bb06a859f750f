//! The content of an entry, with its holes.

use std::io::{self, Read};

use super::super::error::{Error, FormatErrorKind as Kind};
use super::super::sparse::Piece;
use super::Reader;
use crate::base::{WithCauses, debug_fields};

/// The content of the current entry; gives exactly [`TarEntry::size`](super::super::entry::TarEntry::size) bytes or fails.
pub struct EntryContent<'a, R>(pub(super) &'a mut Reader<R>);

debug_fields!(EntryContent<'a, R> {});

impl<R: Read> Read for EntryContent<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let reader = &mut *self.0;
        let at_most = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).min(buf.len());
        let want = match (&mut reader.sparse, reader.left) {
            (None, left) => at_most(left),
            (Some(sparse), _) => match sparse.piece() {
                Piece::Data(bytes) => at_most(bytes),
                Piece::Hole(bytes) => {
                    let n = at_most(bytes);
                    buf[..n].fill(0);
                    sparse.advance(n as u64);
                    return Ok(n);
                }
            },
        };
        if want == 0 {
            return Ok(0);
        }
        let error = match reader.read_some(&mut buf[..want]) {
            Ok(0) => Error::format(reader.offset, Kind::Truncated),
            Ok(n) => {
                reader.left -= n as u64;
                if let Some(sparse) = &mut reader.sparse {
                    sparse.advance(n as u64);
                }
                return Ok(n);
            }
            Err(error) => error,
        };
        let text = io::Error::other(WithCauses(&error).to_string());
        reader.failure = Some(error);
        Err(text)
    }
}
