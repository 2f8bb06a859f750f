//! How layers are compressed, by name and level.

use oci_spec::image::MediaType;

use super::error::{Error, Result};

/// The compression of a layer, with its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// The tar stream as it is.
    None,
    /// gzip; every tool reads it. Levels 1 to 9.
    Gzip(u32),
    /// zstd; faster and smaller. Levels 1 to 19.
    Zstd(i32),
    /// zstd with a frame for every file and a table of them (zstd:chunked), so that others can fetch single
    /// files. Levels 1 to 19.
    ZstdChunked(i32),
}

impl Default for Compression {
    /// The method that ostree-ext uses.
    fn default() -> Self {
        Self::GZIP
    }
}

impl Compression {
    /// gzip at level 5, which in zlib-rs takes a seventh less time than zlib's usual level 6, for 0.2 % more bytes.
    pub const GZIP: Self = Self::Gzip(5);
    /// zstd of the usual level.
    pub const ZSTD: Self = Self::Zstd(3);
    /// zstd:chunked of the usual level.
    pub const ZSTD_CHUNKED: Self = Self::ZstdChunked(3);

    /// The media type of a layer compressed so.
    pub fn media_type(self) -> MediaType {
        match self {
            Self::None => MediaType::ImageLayer,
            Self::Gzip(_) => MediaType::ImageLayerGzip,
            Self::Zstd(_) | Self::ZstdChunked(_) => MediaType::ImageLayerZstd,
        }
    }

    /// Whether layers have a table of their files.
    pub(in crate::container) fn is_chunked(self) -> bool {
        matches!(self, Self::ZstdChunked(_))
    }

    pub(in crate::container) fn check(self) -> Result<()> {
        match self {
            Self::Gzip(level) if !(1..=9).contains(&level) => {
                Err(Error::Usage(format!("gzip has the levels 1 to 9, not {level}")))
            }
            Self::Zstd(level) | Self::ZstdChunked(level) if !(1..=19).contains(&level) => {
                Err(Error::Usage(format!("zstd has the levels 1 to 19, not {level}")))
            }
            _ => Ok(()),
        }
    }
}
