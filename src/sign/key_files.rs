//! How files and options hold bare keys: a base64 text a line, or PEM blocks.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Error, KeyKind, Result};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// The label of the block that `openssl ecparam` writes in front of a key.
const PARAMETERS: &str = "EC PARAMETERS";
/// Characters of a label that go into an error.
const MAX_LABEL_CHARS: usize = 64;

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

/// The keys in a file, as bytes, or what is wrong in the place of one. Lines of base64 may be empty, or comments behind a
/// `#`.
pub(super) fn blobs(kind: KeyKind, half: Half, text: &str) -> Vec<Result<Vec<u8>>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match kind {
        KeyKind::Ed25519 => lines.map(|line| Ok(from_base64(line))).collect(),
        KeyKind::Spki => pem_blocks(half, text),
        KeyKind::Dummy => text.lines().map(|line| Ok(line.as_bytes().to_vec())).collect(),
    }
}

/// What lies between the blocks is not read, as text about the key that some programs write there; nor are parameters,
/// which others put in front of a key.
fn pem_blocks(half: Half, text: &str) -> Vec<Result<Vec<u8>>> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in text.lines().map(str::trim) {
        if let Some(label) = between(line, BEGIN) {
            blocks.extend(open.replace((label, String::new())).map(|_| Err(unfinished_block())));
        } else if let Some(end) = between(line, END)
            && let Some((label, body)) = open.take()
        {
            match label {
                _ if end != label => blocks.push(Err(Error::File("Unmatched PEM header"))),
                _ if label == half.label() => blocks.push(Ok(from_base64(&body))),
                PARAMETERS => {}
                _ => blocks.push(Err(Error::Pem { found: shown(label), expected: half.label() })),
            }
        } else if let Some((_, body)) = &mut open {
            body.push_str(line);
        }
    }
    blocks.extend(open.map(|_| Err(unfinished_block())));
    blocks
}

const fn unfinished_block() -> Error {
    Error::File("PEM trailer not found")
}

/// A label as an error shows it.
fn shown(label: &str) -> String {
    label.chars().filter(|c| !c.is_control()).take(MAX_LABEL_CHARS).collect()
}

/// What makes the key that is looked for out of a PEM block with this label.
pub(super) fn advice(label: &str) -> &'static str {
    match label {
        "ENCRYPTED PRIVATE KEY" => ", which is encrypted: decrypt it first, with openssl pkey",
        "EC PRIVATE KEY" | "RSA PRIVATE KEY" | "DSA PRIVATE KEY" => {
            ", an older form: rewrite it first, with openssl pkcs8 -topk8 -nocrypt"
        }
        "OPENSSH PRIVATE KEY" => ", which is for ssh",
        "PRIVATE KEY" => ", the secret half: openssl pkey -pubout writes the public one",
        "PUBLIC KEY" => ", the public half",
        "RSA PUBLIC KEY" => ", an older form: rewrite it first, with openssl rsa -RSAPublicKey_in -pubout",
        "CERTIFICATE" => ": openssl x509 -pubkey -noout writes the key in it",
        _ => "",
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

    /// What was read in the place of a key.
    type Read = Result<Vec<u8>>;

    #[test]
    fn lines_without_a_key_hide_none() {
        let text = "# ours\r\n\r\naGVsbG8=\r\n  \n#aGVsbG8=\n aGVsbG8=";
        let key: Read = Ok(b"hello".to_vec());
        assert_eq!(blobs(KeyKind::Ed25519, Half::Public, text), vec![key; 2]);
    }

    #[test]
    fn blocks_of_another_kind_and_unfinished_ones_are_told_of() {
        let block =
            |label: &str| format!("text\n-----BEGIN {label}-----\naGVs\nbG8=\n-----END {label}-----\n");
        let read = |text: &str| pem_blocks(Half::Public, text);
        let (good, unfinished) = (block("PUBLIC KEY"), "-----BEGIN PUBLIC KEY-----\naGVs\n");
        let (key, cut): (Read, Read) = (Ok(b"hello".to_vec()), Err(unfinished_block()));
        let other: Read = Err(Error::Pem { found: "PRIVATE KEY".into(), expected: "PUBLIC KEY" });
        assert_eq!(read(&good.repeat(2)), vec![key.clone(); 2]);
        assert_eq!(read(&good.replace('\n', "\r\n")), vec![key.clone()]);
        assert_eq!(read(&(block("EC PARAMETERS") + &good)), vec![key.clone()]);
        assert_eq!(read(&(block("PRIVATE KEY") + &good)), vec![other, key.clone()]);
        assert_eq!(read(&(unfinished.to_owned() + &good)), vec![cut.clone(), key]);
        assert_eq!(read(unfinished), vec![cut]);
        assert!(read("-----BEGIN PUBLIC KEY-----\naGVs\n-----END CERTIFICATE-----")[0].is_err());
        assert!(read("no key\n-----END PUBLIC KEY-----").is_empty());
    }
}
