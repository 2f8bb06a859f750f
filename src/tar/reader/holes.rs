//! Tells a reader whether an entry has holes.

use std::io::Read;

use super::super::error::{Error, FormatErrorKind as Kind, Result};
use super::super::header::is_gnu_sparse;
use super::super::number;
use super::super::sparse::{MapParser, PaxSparse, SparseFile, SparseMap, SparseRecords, malformed};
use super::{BLOCK_BYTES, Reader};

impl<R: Read> Reader<R> {
    /// The holes of the current entry, if it has any; reads its map.
    pub(super) fn sparse_file(
        &mut self,
        header: &tar::Header,
        records: SparseRecords,
        at: u64,
    ) -> Result<Option<SparseFile>> {
        let wrong = malformed(at);
        let (size, map) = match records.finish().map_err(&wrong)? {
            None if !is_gnu_sparse(header) => return Ok(None),
            None => self.read_gnu_map(header, at)?,
            Some(_) if is_gnu_sparse(header) => {
                return Err(Error::format(at, Kind::Ambiguous("a sparse file")));
            }
            Some(PaxSparse::Whole(size, map)) => (size, map),
            Some(PaxSparse::MapInData(size)) => (size, self.read_map_in_data(at)?),
        };
        Ok(Some(map.finish(size, self.left).map_err(&wrong)?))
    }

    /// The real size and the map in the header and the blocks behind it.
    fn read_gnu_map(&mut self, header: &tar::Header, at: u64) -> Result<(u64, SparseMap)> {
        let star = || Error::format(at, Kind::Unsupported("a sparse file of another program than GNU tar"));
        let gnu = header.as_gnu().ok_or_else(star)?;
        let size =
            number::unsigned(&gnu.realsize).ok_or_else(|| Error::format(at, Kind::Number("real size")))?;
        let mut map = SparseMap::default();
        let mut ended = map.push_block(&gnu.sparse).map_err(malformed(at))?;
        let mut more = gnu.isextended[0] != 0;
        while more {
            let (at, mut block) = (self.offset, tar::GnuExtSparseHeader::new());
            if self.fill(block.as_mut_bytes())? < BLOCK_BYTES {
                return Err(Error::format(at, Kind::Truncated));
            }
            ended = ended || map.push_block(&block.sparse).map_err(malformed(at))?;
            more = block.isextended[0] != 0;
        }
        Ok((size, map))
    }

    /// The map in front of the data, which is as long as `left` says then.
    fn read_map_in_data(&mut self, at: u64) -> Result<SparseMap> {
        let (mut parser, mut ended) = (MapParser::default(), false);
        while !ended {
            let mut block = [0; BLOCK_BYTES];
            let left = self.left.checked_sub(BLOCK_BYTES as u64);
            self.left = left.ok_or("its map does not end").map_err(malformed(at))?;
            if self.fill(&mut block)? < BLOCK_BYTES {
                return Err(Error::format(self.offset, Kind::Truncated));
            }
            ended = parser.block(&block).map_err(malformed(at))?;
        }
        Ok(parser.finish())
    }
}
