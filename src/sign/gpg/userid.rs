//! What a user id such as `Name (comment) <mail@address>` consists of, and where its key is published.

use std::fmt::Write;

use sequoia_openpgp::types::HashAlgorithm;

/// A user id taken apart the way gpgme does; what is missing is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserName {
    /// The name: the text before the comment and the address.
    pub name: String,
    /// The comment: the text in parentheses.
    pub comment: String,
    /// The address: the text in angle brackets; or everything, if it is nothing but an address.
    pub email: String,
}

/// The URLs at which the Web Key Directory of a mail domain publishes a key (draft-koch-openpgp-webkey-service).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WkdUrls {
    /// The URL on the host `openpgpkey` of the domain.
    pub advanced: String,
    /// The URL on the domain itself.
    pub direct: String,
}

impl UserName {
    /// Takes `id` apart. Only the first comment and the first address count.
    pub fn parse(id: &str) -> Self {
        let is_special = |c| c == '<' || c == '(';
        let mut parts =
            Self { name: id.split(is_special).next().unwrap_or("").trim().into(), ..Self::default() };
        let mut rest = id;
        while let Some(at) = rest.find(is_special) {
            let (open, close) = if rest[at..].starts_with('<') { ('<', '>') } else { ('(', ')') };
            let Some(len) = matching(&rest[at..], open, close) else { break };
            let inner = rest[at + 1..at + len].trim();
            let part = if open == '<' { &mut parts.email } else { &mut parts.comment };
            if part.is_empty() {
                *part = inner.to_owned();
            }
            rest = &rest[at + len + 1..];
        }
        if parts.email.is_empty() && parts.name == id && is_address(id) {
            parts.email = std::mem::take(&mut parts.name);
        }
        parts
    }

    /// The addresses in the Web Key Directory, if there is a mail address.
    pub fn wkd_urls(&self) -> Option<WkdUrls> {
        if !is_address(&self.email) {
            return None;
        }
        let email = self.email.to_ascii_lowercase();
        let (local, domain) = email.split_once('@')?;
        let mut sha1 = HashAlgorithm::SHA1.context().ok()?.for_digest();
        sha1.update(local.as_bytes());
        let tail = format!("hu/{}?l={}", zbase32(&sha1.into_digest().ok()?), percent_encode(local));
        Some(WkdUrls {
            advanced: format!("https://openpgpkey.{domain}/.well-known/openpgpkey/{domain}/{tail}"),
            direct: format!("https://{domain}/.well-known/openpgpkey/{tail}"),
        })
    }
}

/// Where the bracket that `text` starts with is closed; brackets nest.
fn matching(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// Whether this is a mail address and nothing else.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    !local.is_empty()
        && !domain.is_empty()
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !text.contains("..")
        && domain.chars().all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || "-.".contains(c))
        && local
            .chars()
            .all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c))
}

/// The base 32 of Zooko Wilcox-O'Hearn.
fn zbase32(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
    let bit = |n: usize| bytes.get(n / 8).is_some_and(|byte| byte >> (7 - n % 8) & 1 == 1);
    (0..bytes.len() * 8)
        .step_by(5)
        .map(|start| (start..start + 5).fold(0_usize, |digit, n| digit << 1 | usize::from(bit(n))))
        .map(|digit| char::from(DIGITS[digit]))
        .collect()
}

fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
