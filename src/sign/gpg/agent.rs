//! Secret keys as GnuPG 2.1 and newer keep them, one a file in `private-keys-v1.d`.
//!
//! ```text
//! canonical  (11:private-key(3:rsa(1:n257:…)(1:e3:…)(1:d256:…)(1:p…)(1:q…)(1:u…)))
//! text       Created: 20240102T030405
//!            Key: (private-key (ecc (curve Ed25519)(flags eddsa)(q #40…#)(d #…#)))
//!              continued on lines that start with a space, which is not part of the value
//! ```
//! `protected-private-key` needs a passphrase, unless `gpg --batch` imported it, which leaves the numbers as they
//! stood in the OpenPGP packet until the agent can ask for one:
//!
//! ```text
//! (protected-private-key (rsa (n …)(e …)(protected openpgp-native
//!   (openpgp-private-key (version "4")(algo RSA)(skey _ #n# _ #e# _ #d# _ #p# _ #q# _ #u#)(csum …)(protection none)))))
//! ```
//! `shadowed-private-key` lies on a smart card. All hold the public numbers. The file's name, the keygrip, is not
//! needed: keys are told by their public numbers.

use sequoia_openpgp::crypto::mpi::{ProtectedMPI, PublicKey, SecretKeyMaterial};

use super::secret::Secret;
use super::{Error, Result};

const WHAT: &str = "private key file";
/// Deeper nesting than any key has.
const MAX_DEPTH: usize = 16;

/// A key of the agent.
pub(super) struct AgentKey {
    public: Vec<u8>,
    /// The secret half of the key.
    pub(super) secret: Secret,
}

impl AgentKey {
    /// Reads the content of a `.key` file.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is neither of the two forms, or lacks a number.
    pub(super) fn parse(file: &[u8]) -> Result<Self> {
        let joined;
        let mut text = file;
        if !file.starts_with(b"(") {
            joined = key_line(file).ok_or_else(|| bad("it has no line \"Key:\""))?;
            text = &joined;
        }
        let (key, _) = Sexp::parse(text, 0).ok_or_else(|| bad("not an s-expression"))?;
        let (kind, algorithm) = match &key {
            Sexp::List(items) => match items.as_slice() {
                [Sexp::Atom(kind), algorithm, ..] => (kind.as_slice(), algorithm),
                _ => return Err(bad("not a key")),
            },
            Sexp::Atom(_) => return Err(bad("not a key")),
        };
        let public = ["n", "q", "y"].iter().find_map(|name| match (*name, algorithm.head()) {
            ("n", Some(b"rsa")) | ("q", Some(b"ecc")) | ("y", Some(b"dsa" | b"elg")) => algorithm.value(name),
            _ => None,
        });
        let public = strip_zeros(public.ok_or_else(|| bad("the public number is missing"))?).to_vec();
        let secret = match kind {
            b"private-key" => Secret::Clear(secret_numbers(algorithm)?.into()),
            b"protected-private-key" => match native_numbers(algorithm) {
                Some(numbers) => Secret::Clear(numbers.into()),
                None => Secret::Protected,
            },
            b"shadowed-private-key" => Secret::Card,
            _ => return Err(bad("an unknown kind of key")),
        };
        Ok(Self { public, secret })
    }

    /// Whether this is the secret half of `key`.
    pub(super) fn belongs_to(&self, key: &PublicKey) -> bool {
        let number = match key {
            PublicKey::RSA { n, .. } => n.value(),
            PublicKey::DSA { y, .. } | PublicKey::ElGamal { y, .. } => y.value(),
            PublicKey::EdDSA { q, .. } | PublicKey::ECDSA { q, .. } | PublicKey::ECDH { q, .. } => q.value(),
            _ => return false,
        };
        strip_zeros(number) == self.public
    }
}

fn bad(why: &str) -> Error {
    Error::Malformed { what: WHAT, why: why.to_owned() }
}

fn strip_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|b| **b == 0).count()..]
}

fn number(value: &[u8]) -> ProtectedMPI {
    ProtectedMPI::from(strip_zeros(value).to_vec())
}

/// The secret numbers of a key that was imported without a passphrase; `None` if it needs one.
fn native_numbers(algorithm: &Sexp) -> Option<SecretKeyMaterial> {
    let key = match algorithm.member("protected")? {
        [_, Sexp::Atom(form), key] if form == b"openpgp-native" => key,
        _ => return None,
    };
    if key.value("protection") != Some(b"none") {
        return None;
    }
    // Each is marked, "_" as one that is not encrypted.
    let numbers: Vec<&[u8]> =
        key.member("skey")?.get(1..)?.chunks(2).map(plain_number).collect::<Option<_>>()?;
    match (algorithm.head()?, key.value("algo")?, numbers.as_slice()) {
        (b"rsa", _, [_, _, d, p, q, u]) => {
            Some(SecretKeyMaterial::RSA { d: number(d), p: number(p), q: number(q), u: number(u) })
        }
        (b"dsa", _, [.., x]) => Some(SecretKeyMaterial::DSA { x: number(x) }),
        (b"elg", _, [.., x]) => Some(SecretKeyMaterial::ElGamal { x: number(x) }),
        (b"ecc", b"ECDH", [.., d]) => Some(SecretKeyMaterial::ECDH { scalar: number(d) }),
        (b"ecc", b"EDDSA", [.., d]) => Some(SecretKeyMaterial::EdDSA { scalar: number(d) }),
        (b"ecc", _, [.., d]) => Some(SecretKeyMaterial::ECDSA { scalar: number(d) }),
        _ => None,
    }
}

fn plain_number(marked: &[Sexp]) -> Option<&[u8]> {
    match marked {
        [Sexp::Atom(mark), Sexp::Atom(number)] if mark == b"_" => Some(number),
        _ => None,
    }
}

fn secret_numbers(algorithm: &Sexp) -> Result<SecretKeyMaterial> {
    let number = |name: &str| {
        let value = algorithm.value(name).ok_or_else(|| bad(&format!("the number {name} is missing")))?;
        Ok(number(value))
    };
    match algorithm.head() {
        Some(b"rsa") => {
            Ok(SecretKeyMaterial::RSA { d: number("d")?, p: number("p")?, q: number("q")?, u: number("u")? })
        }
        Some(b"dsa") => Ok(SecretKeyMaterial::DSA { x: number("x")? }),
        Some(b"elg") => Ok(SecretKeyMaterial::ElGamal { x: number("x")? }),
        Some(b"ecc") => {
            let scalar = number("d")?;
            Ok(match (algorithm.value("curve"), algorithm.value("flags")) {
                (Some(b"Curve25519"), _) => SecretKeyMaterial::ECDH { scalar },
                (_, Some(b"eddsa")) => SecretKeyMaterial::EdDSA { scalar },
                _ => SecretKeyMaterial::ECDSA { scalar },
            })
        }
        _ => Err(bad("an unknown algorithm")),
    }
}

/// The value of `Key:` in the text form, its continuation lines joined without the blank that they start with: a
/// line may end in the middle of a word.
fn key_line(file: &[u8]) -> Option<Vec<u8>> {
    let mut lines = file.split(|b| *b == b'\n').skip_while(|line| !line.starts_with(b"Key:"));
    let mut value = lines.next()?.get(4..)?.to_vec();
    for line in lines.take_while(|line| line.first().is_some_and(|b| *b == b' ' || *b == b'\t')) {
        value.extend(&line[1..]);
    }
    Some(value)
}

/// An s-expression.
enum Sexp {
    Atom(Vec<u8>),
    List(Vec<Sexp>),
}

impl Sexp {
    /// Reads the first expression of `text`; returns what is behind it, too.
    fn parse(text: &[u8], depth: usize) -> Option<(Self, &[u8])> {
        let text = text.trim_ascii_start();
        match text.first()? {
            b'(' if depth < MAX_DEPTH => {
                let mut items = Vec::new();
                let mut rest = text[1..].trim_ascii_start();
                while *rest.first()? != b')' {
                    let (item, behind) = Self::parse(rest, depth + 1)?;
                    items.push(item);
                    rest = behind.trim_ascii_start();
                }
                Some((Self::List(items), &rest[1..]))
            }
            b'(' | b')' => None,
            b'#' => {
                let end = text[1..].iter().position(|b| *b == b'#')?;
                let digits: Vec<u8> =
                    text[1..=end].iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
                Some((Self::Atom(hex::decode(digits).ok()?), &text[end + 2..]))
            }
            b'"' => {
                let end = text[1..].iter().position(|b| *b == b'"')?;
                Some((Self::Atom(text[1..=end].to_vec()), &text[end + 2..]))
            }
            b'0'..=b'9' => {
                let colon = text.iter().position(|b| !b.is_ascii_digit()).filter(|at| text[*at] == b':')?;
                let len: usize = std::str::from_utf8(&text[..colon]).ok()?.parse().ok()?;
                let rest = &text[colon + 1..];
                Some((Self::Atom(rest.get(..len)?.to_vec()), &rest[len..]))
            }
            _ => {
                let ends = |b: &u8| b.is_ascii_whitespace() || b"()#\"".contains(b);
                let end = text.iter().position(ends).filter(|end| *end > 0)?;
                Some((Self::Atom(text[..end].to_vec()), &text[end..]))
            }
        }
    }

    /// The first item of a list, if it is an atom.
    fn head(&self) -> Option<&[u8]> {
        match self {
            Self::List(items) => match items.first()? {
                Self::Atom(head) => Some(head),
                Self::List(_) => None,
            },
            Self::Atom(_) => None,
        }
    }

    /// The second item of the member list that starts with `name`.
    fn value(&self, name: &str) -> Option<&[u8]> {
        match self.member(name)?.get(1)? {
            Self::Atom(value) => Some(value),
            Self::List(_) => None,
        }
    }

    /// The member list that starts with `name`.
    fn member(&self, name: &str) -> Option<&[Sexp]> {
        let Self::List(items) = self else { return None };
        items.iter().find_map(|item| match item {
            Self::List(member) if item.head() == Some(name.as_bytes()) => Some(member.as_slice()),
            _ => None,
        })
    }
}
