//! SHA-256 checksums and the ids made of them.
//!
//! Text forms: 64 lowercase hexadecimal digits (file names, refs, output), and 43 characters of base64
//! without padding in which `/` is written `_` (paths of static deltas).

use std::fmt;
use std::str::FromStr;

use crate::error::{ParseError, ParseErrorKind, Result};

/// A SHA-256 checksum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum([u8; 32]);

const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_";

impl Checksum {
    /// The checksum of nothing, `e3b0c442…`.
    pub const EMPTY: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// The checksum with these 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads the binary form inside of objects.
    ///
    /// # Errors
    /// [`ParseErrorKind::BadChecksum`] if `bytes` are not 32; `what` and `offset` say where they stood.
    pub fn from_slice(what: &'static str, offset: usize, bytes: &[u8]) -> Result<Self> {
        match bytes.try_into() {
            Ok(bytes) => Ok(Self(bytes)),
            Err(_) => Err(ParseError::new(what, offset, ParseErrorKind::BadChecksum)),
        }
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 lowercase hexadecimal digits, without an allocation.
    pub fn hex(&self) -> HexChecksum {
        let mut digits = [0; 64];
        for (i, b) in self.0.iter().enumerate() {
            digits[2 * i] = HEX[usize::from(b >> 4)];
            digits[2 * i + 1] = HEX[usize::from(b & 15)];
        }
        HexChecksum(digits)
    }

    /// The 43 characters of ostree's base64.
    pub fn to_base64(&self) -> String {
        let mut out = String::with_capacity(43);
        for chunk in self.0.chunks(3) {
            let b = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
            let n = u32::from_be_bytes([0, b[0], b[1], b[2]]);
            for i in 0..=chunk.len() {
                out.push(char::from(BASE64[((n >> (18 - 6 * i)) & 63) as usize]));
            }
        }
        out
    }

    /// Reads the 43 characters of ostree's base64.
    ///
    /// # Errors
    /// [`ParseErrorKind::BadChecksum`] at the first character that does not belong there.
    pub fn from_base64(text: &str) -> Result<Self> {
        let bad = |at| ParseError::new("base64 checksum", at, ParseErrorKind::BadChecksum);
        if text.len() != 43 {
            return Err(bad(text.len().min(43)));
        }
        let mut out = [0u8; 33];
        for (group, quad) in text.as_bytes().chunks(4).enumerate() {
            let mut n = 0u32;
            for (i, c) in quad.iter().enumerate() {
                let v = BASE64.iter().position(|x| x == c).ok_or_else(|| bad(4 * group + i))?;
                n |= (v as u32) << (18 - 6 * i);
            }
            out[3 * group..3 * group + 3].copy_from_slice(&n.to_be_bytes()[1..]);
        }
        if out[32] != 0 {
            return Err(bad(42));
        }
        Self::from_slice("base64 checksum", 0, &out[..32])
    }
}

/// The hexadecimal form of a [`Checksum`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HexChecksum([u8; 64]);

impl HexChecksum {
    /// The digits.
    pub fn as_str(&self) -> &str {
        // Hexadecimal digits are ASCII, so the fallback is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for HexChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Checksum {
    type Err = ParseError;

    /// Reads 64 lowercase hexadecimal digits; upper case is refused, as everywhere in ostree.
    fn from_str(text: &str) -> Result<Self> {
        let bad = |at| ParseError::new("checksum", at, ParseErrorKind::BadChecksum);
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(bad(digits.len().min(64)));
        }
        let nibble = |at: usize| match digits[at] {
            c @ b'0'..=b'9' => Ok(c - b'0'),
            c @ b'a'..=b'f' => Ok(c - b'a' + 10),
            _ => Err(bad(at)),
        };
        let mut out = [0; 32];
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = nibble(2 * i)? << 4 | nibble(2 * i + 1)?;
        }
        Ok(Self(out))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.hex().as_str())
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().as_str())
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Checksum);

        impl $name {
            /// The id with this checksum.
            pub const fn new(checksum: Checksum) -> Self {
                Self(checksum)
            }

            /// The checksum that the id is.
            pub const fn checksum(&self) -> &Checksum {
                &self.0
            }

            /// The 32 bytes of the checksum.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// The id of a commit object.
    CommitId
);
id!(
    /// The id of a dirtree object.
    DirTreeId
);
id!(
    /// The id of a dirmeta object.
    DirMetaId
);
id!(
    /// The id of a content object: a regular file or a symbolic link with its owner, mode and xattrs.
    FileId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms() {
        // `printf %s abc | sha256sum`, and its base64 as Python's base64.b64encode gives it.
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let sum = Checksum::of(b"abc");
        assert_eq!(sum.to_string(), hex);
        assert_eq!(hex.parse(), Ok(sum));
        assert_eq!(sum.to_base64(), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        assert_eq!(Checksum::from_base64(&sum.to_base64()), Ok(sum));
        assert_eq!(Checksum::of(b""), Checksum::EMPTY);
        assert_eq!(
            hex.to_uppercase().parse::<Checksum>(),
            Err(ParseError::new("checksum", 0, ParseErrorKind::BadChecksum))
        );
        assert!(Checksum::from_base64("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa1").is_err());
    }
}
