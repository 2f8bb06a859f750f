//! The records of a tar-diff stream, and the limits that every reader of it sets.
//!
//! ```text
//! stream   "tardf1\n\0" or "tardf2\n\0" · zstd { record }
//! record   op: u8 · size: LEB128, at most 10 bytes · data[size], unless the op is Copy or Seek
//!
//! 0 Data       the data is part of the new stream
//! 1 Open       the data is the path of an old file, which is the source from here on; its position is 0
//! 2 Copy       `size` bytes of the source are part of the new stream
//! 3 AddData    each byte of the data is added to one of the source, modulo 256
//! 4 Seek       the source's position is `size`
//! 5 Patch      version 2 only: a zstd frame whose raw dictionary is the whole source
//! ```
//! The stream ends at the end of a record. It has no checksum: whoever reads it compares what comes out with the
//! diffid that was promised. Source: `file-format.md` of containers/tar-diff.

/// The number of bytes that tell the version of a stream.
pub(super) const MAGIC_BYTES: usize = 8;
/// The longest path of an old file, in bytes.
pub(super) const MAX_PATH_BYTES: u64 = 4096;
/// The most bytes of one AddData record. Go's reader has this limit; we write shorter ones.
pub(super) const MAX_ADD_BYTES: u64 = 100 * 1024 * 1024;
/// The largest old file that a Patch may refer to, in bytes.
pub(super) const MAX_PATCH_SOURCE_BYTES: u64 = 1 << MAX_PATCH_WINDOW_LOG;
/// The distance to which a Patch may refer back, in bytes, as a power of two.
pub(super) const MAX_PATCH_WINDOW_LOG: u32 = 29;
/// The distance to which the stream of records may refer back, in bytes, as a power of two. It bounds the memory of
/// the decoder; libzstd itself has this limit where nothing else was asked for.
pub(super) const MAX_STREAM_WINDOW_LOG: u32 = 27;

/// The version of a tar-diff stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamVersion {
    /// The version that flatpak and all others know.
    V1,
    /// The version with Patch records.
    V2,
}

impl StreamVersion {
    /// The first bytes of a stream.
    pub(super) const fn magic(self) -> [u8; MAGIC_BYTES] {
        match self {
            Self::V1 => *b"tardf1\n\0",
            Self::V2 => *b"tardf2\n\0",
        }
    }

    /// The version of a stream that begins so.
    pub(super) fn of(magic: [u8; MAGIC_BYTES]) -> Option<Self> {
        [Self::V1, Self::V2].into_iter().find(|version| version.magic() == magic)
    }
}

/// The kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Data,
    Open,
    Copy,
    AddData,
    Seek,
    Patch,
}

impl Op {
    /// The byte that stands for it.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Open => 1,
            Self::Copy => 2,
            Self::AddData => 3,
            Self::Seek => 4,
            Self::Patch => 5,
        }
    }

    /// The kind that a byte stands for.
    pub(super) fn of(code: u8) -> Option<Self> {
        let ops = [Self::Data, Self::Open, Self::Copy, Self::AddData, Self::Seek, Self::Patch];
        ops.into_iter().find(|op| op.code() == code)
    }
}

/// The path of an old file as every reader takes it: relative, without `.`, `..` and doubled slashes; `..` stops at
/// the root. `None` for the root itself, and for what no file can be called.
pub(super) fn clean_path(path: &[u8]) -> Option<Vec<u8>> {
    if path.contains(&0) {
        return None;
    }
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|b| *b == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    (!names.is_empty()).then(|| names.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        for (path, clean) in [
            ("usr/bin/sh", Some("usr/bin/sh")),
            ("./usr//bin/./sh", Some("usr/bin/sh")),
            ("/etc/passwd", Some("etc/passwd")),
            ("../../etc/passwd", Some("etc/passwd")),
            ("usr/../etc/passwd", Some("etc/passwd")),
            ("a/..", None),
            ("", None),
            ("/", None),
            ("a\0b", None),
        ] {
            assert_eq!(clean_path(path.as_bytes()).as_deref(), clean.map(str::as_bytes), "{path}");
        }
    }
}
