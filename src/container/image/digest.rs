//! What names a blob: `sha256:` and 64 lowercase hexadecimal digits.
//!
//! A layer has two of them, which must not be swapped: the [`Digest`] of its blob as it is transferred, and
//! the [`DiffId`] of the tar stream inside.

use std::fmt;
use std::str::FromStr;

use oci_spec::image as oci;
use ostree_format::{Checksum, ParseError};

use super::error::{Error, Result};

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Checksum);

        impl $name {
            /// The one with this checksum.
            pub const fn new(checksum: Checksum) -> Self {
                Self(checksum)
            }

            /// The checksum that the digest is.
            pub const fn checksum(&self) -> &Checksum {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "sha256:{}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                let Some(hex) = text.strip_prefix("sha256:") else {
                    return Err(ParseError::invalid($what, 0, "only sha256 digests are supported"));
                };
                hex.parse().map(Self).map_err(|e: ParseError| ParseError::new($what, 7 + e.offset, e.kind))
            }
        }
    };
}

digest!(
    /// The digest of a blob, as it is stored and transferred.
    Digest,
    "digest"
);
digest!(
    /// The digest of a layer's uncompressed tar stream.
    DiffId,
    "diffid"
);

impl Digest {
    /// The digest of `data`.
    pub fn of(data: &[u8]) -> Self {
        Self(Checksum::of(data))
    }

    /// The digest in a descriptor.
    ///
    /// # Errors
    /// [`Error::Reference`] if it is not SHA-256.
    pub fn of_descriptor(descriptor: &oci::Descriptor) -> Result<Self> {
        let text = descriptor.digest().to_string();
        text.parse().map_err(|source| Error::Reference { text, source })
    }

    /// A descriptor of the blob with this digest, which has `size` bytes.
    ///
    /// # Errors
    /// None in practice: every digest of ours is one to `oci-spec`.
    pub fn descriptor(self, media_type: oci::MediaType, size: u64) -> Result<oci::Descriptor> {
        let digest: oci::Digest =
            self.to_string().parse().map_err(|e: oci_spec::OciSpecError| Error::Image(e.to_string()))?;
        Ok(oci::Descriptor::new(media_type, size, digest))
    }
}
