//! How the blob of a layer is compressed: what its media type says, and what its bytes are.
//!
//! The bytes decide, as for podman and docker: the diffid tells whether the right stream comes out. So a layer whose
//! media type says another format is read, and the difference is reported; bzip2 and xz, which no media type of a layer
//! stands for, are read so, too.

use oci_spec::image::{Descriptor, MediaType};

use crate::container::image::{Compression, Error, Result};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The last three bytes of a zstd frame to be skipped; the first is 0x50 to 0x5f.
const ZSTD_SKIPPABLE_MAGIC: [u8; 3] = [0x2a, 0x4d, 0x18];
const XZ_MAGIC: [u8; 6] = *b"\xfd7zXZ\0";
const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// `BZh` and the level alone may be the name of a tar stream's first file.
const BZIP2_MAGIC: ([u8; 3], [u8; 6]) = (*b"BZh", *b"1AY&SY");
/// The number of first bytes that tell the format.
pub(in crate::container) const FORMAT_BYTES: usize = 10;

/// The compression of a layer's blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerFormat {
    /// No compression: a plain tar stream.
    Tar,
    /// gzip, of one or more members.
    Gzip,
    /// zstd, of one or more frames.
    Zstd,
    /// bzip2, of one or more streams, whatever the media type says.
    Bzip2,
    /// xz, of one or more streams, whatever the media type says.
    Xz,
}

impl LayerFormat {
    /// The format that a descriptor's media type stands for: the case of letters and parameters do not matter, and
    /// without one it is gzip.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for what is no layer.
    pub fn of(media_type: &MediaType) -> Result<Self> {
        let name = media_type.as_ref().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar" => Ok(Self::Tar),
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
            | "" => Ok(Self::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Self::Zstd),
            _ => {
                Err(Error::Unsupported(format!("a layer of the media type {media_type}, which is not read")))
            }
        }
    }

    /// The format that a blob which begins so has: [`FORMAT_BYTES`], or fewer if it has no more.
    pub(in crate::container) fn of_bytes(start: &[u8]) -> Self {
        let skippable = matches!(start, [first, rest @ ..]
            if first & 0xf0 == 0x50 && rest.starts_with(&ZSTD_SKIPPABLE_MAGIC));
        if start.starts_with(&GZIP_MAGIC) {
            Self::Gzip
        } else if start.starts_with(&ZSTD_MAGIC) || skippable {
            Self::Zstd
        } else if start.starts_with(&XZ_MAGIC) {
            Self::Xz
        } else if start.strip_prefix(&BZIP2_MAGIC.0).is_some_and(is_bzip2) {
            Self::Bzip2
        } else {
            Self::Tar
        }
    }

    /// What people call it.
    pub(in crate::container) const fn name(self) -> &'static str {
        match self {
            Self::Tar => "a tar stream",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }
}

/// The compression that a blob has which begins so, if layers are never compressed in that way.
pub(in crate::container) fn other_compression(start: &[u8]) -> Option<&'static str> {
    start.starts_with(&LZ4_MAGIC).then_some("lz4")
}

/// Whether what follows `BZh` is a level and the first block of bzip2.
fn is_bzip2(rest: &[u8]) -> bool {
    rest.get(1..).is_some_and(|rest| rest.starts_with(&BZIP2_MAGIC.1))
}

/// How a layer is to be compressed again that was compressed as its descriptor says.
///
/// # Errors
/// [`Error::Unsupported`] for what is no layer.
pub(in crate::container) fn compression_of(layer: &Descriptor) -> Result<Compression> {
    let chunked =
        layer.annotations().as_ref().is_some_and(|a| a.keys().any(|key| key.contains("zstd-chunked")));
    Ok(match LayerFormat::of(layer.media_type())? {
        LayerFormat::Tar => Compression::None,
        LayerFormat::Gzip | LayerFormat::Bzip2 | LayerFormat::Xz => Compression::GZIP,
        LayerFormat::Zstd if chunked => Compression::ZSTD_CHUNKED,
        LayerFormat::Zstd => Compression::ZSTD,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_tell_the_format() {
        for (start, expected) in [
            (&b""[..], LayerFormat::Tar),
            (&[0x1f], LayerFormat::Tar),
            (&[0x1f, 0x8b], LayerFormat::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd, 0, 0], LayerFormat::Zstd),
            (&[0x50, 0x2a, 0x4d, 0x18, 4, 0], LayerFormat::Zstd),
            (&[0x5f, 0x2a, 0x4d, 0x18], LayerFormat::Zstd),
            (&[0x60, 0x2a, 0x4d, 0x18], LayerFormat::Tar),
            (b"BZh9/usr/b", LayerFormat::Tar),
            (b"BZh91AY&SY", LayerFormat::Bzip2),
            (b"\xfd7zXZ\0", LayerFormat::Xz),
        ] {
            assert_eq!(LayerFormat::of_bytes(start), expected, "{start:02x?}");
            assert_eq!(other_compression(start), None, "{start:02x?}");
        }
        assert_eq!(other_compression(&[0x04, 0x22, 0x4d, 0x18]), Some("lz4"));
    }

    #[test]
    fn media_types_as_others_write_them() {
        let of = |text: &str| LayerFormat::of(&MediaType::from(text)).ok();
        let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
        for text in
            [gzip, "Application/Vnd.OCI.image.layer.v1.tar+GZIP", &format!("{gzip}; charset=utf-8"), ""]
        {
            assert_eq!(of(text), Some(LayerFormat::Gzip), "{text}");
        }
        for text in ["application/vnd.oci.image.layer.v1.tar+xz", "application/octet-stream"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
