//! What comes before the header block of an entry: extended headers, and names that do not fit into it.

use std::io::Read;

use super::super::error::{Error, FormatErrorKind as Kind, Result};
use super::super::header::{header_size, until_nul};
use super::super::pax::{MAX_PAX_BYTES, Pax};
use super::{BLOCK_BYTES, MAX_NAME_BYTES, Reader, padding_of};

/// What comes before the header block of an entry.
#[derive(Default)]
pub(super) struct Extensions {
    pub(super) pax: Option<Pax>,
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
}

impl Extensions {
    pub(super) fn is_empty(&self) -> bool {
        self.pax.is_none() && self.path.is_none() && self.link.is_none()
    }
}

impl<R: Read> Reader<R> {
    /// Reads an extended header; skips a global one. Of several of a kind the last one alone counts, as for GNU tar and
    /// Go.
    pub(super) fn read_extension(
        &mut self,
        header: &tar::Header,
        at: u64,
        to: &mut Extensions,
    ) -> Result<()> {
        let size = header_size(header, at)?;
        match header.entry_type().as_byte() {
            // An empty name is none: Go's reader, which podman and umoci use, passes over it.
            b'L' => to.path = Some(self.read_long_name(size, at)?).filter(|name| !name.is_empty()),
            b'K' => to.link = Some(self.read_long_name(size, at)?).filter(|name| !name.is_empty()),
            b'g' => {
                self.skip(size)?;
                self.skip(padding_of(size))?;
            }
            _ => {
                let data = self.read_extension_data("extended header", size, MAX_PAX_BYTES, at)?;
                to.pax = Some(Pax::parse(&data, at + BLOCK_BYTES as u64)?);
            }
        }
        Ok(())
    }

    fn read_long_name(&mut self, size: u64, at: u64) -> Result<Vec<u8>> {
        let mut name = self.read_extension_data("a name", size, MAX_NAME_BYTES, at)?;
        name.truncate(until_nul(&name).len());
        Ok(name)
    }

    fn read_extension_data(&mut self, what: &'static str, size: u64, max: u64, at: u64) -> Result<Vec<u8>> {
        if size > max {
            return Err(Error::format(at, Kind::TooLarge(what, max)));
        }
        // Bounded by `max`.
        let mut data = vec![0; size as usize];
        if self.fill(&mut data)? < data.len() {
            return Err(Error::format(self.offset, Kind::Truncated));
        }
        self.skip(padding_of(size))?;
        Ok(data)
    }
}

/// The name of an entry that extended headers and GNU's entries give, where they agree: GNU tar believes the extended
/// header, Go the other one, libarchive the last.
pub(super) fn one_of(
    what: &'static str,
    pax: Option<Vec<u8>>,
    gnu: Option<Vec<u8>>,
    at: u64,
) -> Result<Option<Vec<u8>>> {
    match (pax, gnu) {
        (Some(pax), Some(gnu)) if pax != gnu => Err(Error::format(at, Kind::Ambiguous(what))),
        (pax, gnu) => Ok(pax.or(gnu)),
    }
}
