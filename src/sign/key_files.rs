//! How files and options hold bare keys: a base64 text a line, or PEM blocks.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Error, KeyKind, Result};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The half of a key that is read: it decides what a PEM block has to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Public,
    Secret,
}

impl Half {
    const fn label(self) -> &'static str {
        match self {
            Self::Public => "PUBLIC KEY",
            Self::Secret => "PRIVATE KEY",
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Public => "public key",
            Self::Secret => "secret key",
        }
    }
}

/// The bytes that a base64 text stands for. As libostree does, characters that mean nothing are passed over: a key is
/// known by its length.
pub(super) fn from_base64(text: &str) -> Vec<u8> {
    let known = |b: &u8| b.is_ascii_alphanumeric() || *b == b'+' || *b == b'/';
    let mut digits: Vec<u8> = text.bytes().filter(known).collect();
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    LENIENT.decode(digits).unwrap_or_default()
}

/// The keys in a file, as bytes.
///
/// # Errors
/// [`Error::File`] if the file is not in the form that `kind` asks for.
pub(super) fn blobs(kind: KeyKind, half: Half, text: &str) -> Result<Vec<Vec<u8>>> {
    match kind {
        KeyKind::Ed25519 => text.lines().map(line).collect(),
        KeyKind::Spki => pem_blocks(half, text),
        KeyKind::Dummy => Ok(text.lines().map(|line| line.as_bytes().to_vec()).collect()),
    }
}

fn line(line: &str) -> Result<Vec<u8>> {
    match line.is_empty() {
        true => Err(Error::File("Invalid base64 blob format")),
        false => Ok(from_base64(line)),
    }
}

/// What lies between the lines is not read, as text about the key that some programs write there.
fn pem_blocks(half: Half, text: &str) -> Result<Vec<Vec<u8>>> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in text.lines().map(str::trim) {
        match &mut open {
            None => open = between(line, BEGIN).map(|label| (label, String::new())),
            Some((label, body)) => match between(line, END) {
                None => body.push_str(line),
                Some(end) if end != *label => return Err(Error::File("Unmatched PEM header")),
                Some(end) if end != half.label() => {
                    return Err(Error::File("Unexpected label of a PEM block"));
                }
                Some(_) => {
                    blocks.push(from_base64(body));
                    open = None;
                }
            },
        }
    }
    match open {
        Some(_) => Err(Error::File("PEM trailer not found")),
        None => Ok(blocks),
    }
}

fn between<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix(DASHES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_libostree_reads_it() {
        assert_eq!(from_base64("aGVsbG8="), b"hello");
        assert_eq!(from_base64(" aGVs\nbG8"), b"hello");
        assert_eq!(from_base64("a"), b"");
        assert_eq!(from_base64(""), b"");
    }

    #[test]
    fn blocks_of_another_kind_and_unfinished_ones_are_refused() {
        let block =
            |label: &str| format!("text\n-----BEGIN {label}-----\naGVs\nbG8=\n-----END {label}-----\n");
        let read = |text: &str| pem_blocks(Half::Public, text);
        assert_eq!(read(&block("PUBLIC KEY").repeat(2)), Ok(vec![b"hello".to_vec(); 2]));
        assert!(read(&block("PRIVATE KEY")).is_err());
        assert!(read("-----BEGIN PUBLIC KEY-----\naGVs\n").is_err());
        assert!(read("-----BEGIN PUBLIC KEY-----\naGVs\n-----END CERTIFICATE-----").is_err());
        assert_eq!(read("no key"), Ok(Vec::new()));
    }
}
