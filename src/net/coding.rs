//! Bodies that a server compressed on their way (`Content-Encoding: gzip`), although nobody asked for that.
//!
//! The same header stands on objects in stores that are compressed by themselves, such as layers: whoever knows what
//! should come says which of the two it is.

use bytes::{Buf as _, Bytes};
use flate2::{Decompress, FlushDecompress, Status};

/// The bytes that are decompressed at once.
const PIECE_BYTES: usize = 64 * 1024;
/// What every stream of gzip begins with; JSON does not.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// What every stream of zstd begins with.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The largest window that gzip has, as a power of two.
const WINDOW_BITS: u8 = 15;

/// Whether bytes that begin with `start`, where that is known, may be what the header `Content-Encoding` says.
pub(super) fn is_coded(header: &str, start: Option<&[u8]>) -> bool {
    let begins = |magic: &[u8]| start.is_none_or(|start| start.starts_with(magic));
    match header.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => begins(&MAGIC),
        "zstd" => begins(&ZSTD_MAGIC),
        "deflate" => begins(&[0x78]),
        // Its streams have no mark.
        "br" => true,
        _ => false,
    }
}

/// A stream of gzip under way.
pub(super) struct Decoder {
    inflate: Decompress,
    /// What came and was not decompressed yet.
    input: Bytes,
    ended: bool,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { inflate: Decompress::new_gzip(WINDOW_BITS), input: Bytes::new(), ended: false }
    }

    /// Takes the next bytes; all of those before have been given out.
    pub(super) fn take(&mut self, input: Bytes) {
        self.input = input;
    }

    /// The next piece; it is empty when more has to come. What stands behind the stream is none of it.
    ///
    /// # Errors
    /// What is wrong with the stream.
    pub(super) fn give(&mut self) -> Result<Bytes, flate2::DecompressError> {
        while !self.ended && !self.input.is_empty() {
            let mut out = Vec::with_capacity(PIECE_BYTES);
            let before = self.inflate.total_in();
            let status = self.inflate.decompress_vec(&self.input, &mut out, FlushDecompress::None)?;
            let used = usize::try_from(self.inflate.total_in() - before).unwrap_or(usize::MAX);
            self.input.advance(used.min(self.input.len()));
            self.ended = status == Status::StreamEnd;
            if !out.is_empty() {
                return Ok(out.into());
            }
            if used == 0 && !self.ended {
                // Its last bytes are the start of something that cannot be told yet.
                break;
            }
        }
        Ok(Bytes::new())
    }

    /// Whether the stream came to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }
}

/// A whole body, which becomes no longer than `limit` bytes; `None` if it is no stream of gzip, or a longer one.
pub(super) fn decode(body: &[u8], limit: u64) -> Option<Vec<u8>> {
    let (mut decoder, mut out) = (Decoder::new(), Vec::new());
    decoder.take(Bytes::copy_from_slice(body));
    loop {
        let piece = decoder.give().ok()?;
        if piece.is_empty() {
            return decoder.has_ended().then_some(out);
        }
        out.extend_from_slice(&piece);
        if out.len() as u64 > limit {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn streams_in_pieces() {
        let content: Vec<u8> = (0..300_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&content).unwrap();
        let stream = encoder.finish().unwrap();
        for size in [1, 7, 4096, stream.len()] {
            let (mut decoder, mut out) = (Decoder::new(), Vec::new());
            for piece in stream.chunks(size) {
                decoder.take(Bytes::copy_from_slice(piece));
                while let Some(piece) = Some(decoder.give().unwrap()).filter(|piece| !piece.is_empty()) {
                    out.extend_from_slice(&piece);
                }
            }
            assert!(decoder.has_ended() && out == content, "{size}");
        }
        assert_eq!(decode(&stream, content.len() as u64), Some(content.clone()));
        assert_eq!(decode(&stream, content.len() as u64 - 1), None);
        assert_eq!(decode(&stream[..stream.len() - 1], u64::MAX), None);
        assert_eq!(decode(b"{}", u64::MAX), None);
    }
}
