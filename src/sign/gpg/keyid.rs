//! The ways to name a key, as `gpg` understands them.

use super::keyring::{Cert, KeyIndex};

/// A KEYID argument, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyQuery {
    /// Hexadecimal digits in upper case: a fingerprint (32, 40 or 64), a long (16) or a short key id (8).
    Hex(String),
    /// `=Whole user id`.
    UserId(String),
    /// `<mail@address>`, in lower case.
    Mail(String),
    /// Anything else: part of a user id, in lower case.
    Part(String),
}

impl KeyQuery {
    /// Reads a KEYID; an `0x` before and an `!` behind hexadecimal digits are allowed.
    pub(super) fn parse(id: &str) -> Self {
        let id = id.trim();
        let bare = id.strip_suffix('!').unwrap_or(id);
        let bare = bare.strip_prefix("0x").or_else(|| bare.strip_prefix("0X")).unwrap_or(bare);
        let hex: String = bare.chars().filter(|c| *c != ' ').collect();
        if matches!(hex.len(), 8 | 16 | 32 | 40 | 64) && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Self::Hex(hex.to_ascii_uppercase());
        }
        if let Some(whole) = id.strip_prefix('=') {
            return Self::UserId(whole.to_owned());
        }
        if let Some(mail) = id.strip_prefix('<') {
            return Self::Mail(mail.trim_end_matches('>').to_lowercase());
        }
        Self::Part(id.strip_prefix(['*', '@']).unwrap_or(id).to_lowercase())
    }

    /// Whether `cert` goes by this name.
    pub(super) fn matches(&self, cert: &Cert) -> bool {
        if let Self::Hex(_) = self {
            return self.matching_key(cert).is_some();
        }
        cert.users.iter().any(|user| {
            let text = String::from_utf8_lossy(user.what.value());
            match self {
                Self::UserId(whole) => *whole == text,
                Self::Mail(mail) => super::UserName::parse(&text).email.to_lowercase() == *mail,
                Self::Part(part) => !part.is_empty() && text.to_lowercase().contains(part.as_str()),
                Self::Hex(_) => false,
            }
        })
    }

    /// The key of `cert` that the hexadecimal digits name.
    pub(super) fn matching_key(&self, cert: &Cert) -> Option<KeyIndex> {
        let Self::Hex(hex) = self else { return None };
        cert.key_indexes().find(|index| {
            let Some(key) = cert.key(*index) else { return false };
            match hex.len() {
                8 | 16 => key.keyid().to_hex().ends_with(hex.as_str()),
                _ => key.fingerprint().to_hex() == *hex,
            }
        })
    }
}
