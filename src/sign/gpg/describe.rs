//! The words for signatures and keys, those of C ostree's `show` and `remote gpg-list-keys`:
//!
//! ```text
//! Signature made Tue Jan  2 03:04:05 2024 using RSA key ID 0123456789ABCDEF
//! Good signature from "Name <mail@address>"
//! Primary key ID FEDCBA9876543210               (if a subkey made it)
//! Signature expires …, Key expires …, Primary key expires …
//!
//! Key: 0123456789ABCDEF0123456789ABCDEF01234567 (revoked)
//!   Created: Tue Jan  2 03:04:05 2024
//!   UID: Name <mail@address>
//!   Advanced update URL: https://…
//!   Direct update URL: https://…
//!   Subkey: …
//! ```

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, TimeZone, Utc};
use sequoia_openpgp::KeyHandle;

use super::{CertInfo, KeyInfo, PublicKeyAlgorithm, SignatureVerdict, Status, WkdUrls};

/// No signature of some data is good.
#[derive(Debug, Clone, PartialEq)]
pub struct Invalid {
    /// The verdict on each signature; there may be none.
    pub verdicts: Vec<SignatureVerdict>,
}

impl Invalid {
    /// The status of the last signature, on the assumption that it is the newest; `None` if there is none.
    pub fn status(&self) -> Option<Status> {
        self.verdicts.last().map(|verdict| verdict.status)
    }

    /// All descriptions, the last signature first, with times in `zone`.
    pub fn message<Z: TimeZone>(&self, zone: &Z) -> String
    where
        Z::Offset: fmt::Display,
    {
        if self.verdicts.is_empty() {
            return "No GPG signatures found".to_owned();
        }
        let all: String = self.verdicts.iter().rev().map(|verdict| verdict.describe("", zone)).collect();
        all.trim_end().to_owned()
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(&Utc))
    }
}

impl std::error::Error for Invalid {}

impl SignatureVerdict {
    /// The lines for this signature, each with `prefix` before it and a newline behind it; times in `zone`.
    pub fn describe<Z: TimeZone>(&self, prefix: &str, zone: &Z) -> String
    where
        Z::Offset: fmt::Display,
    {
        // GnuPG tells C ostree no more of a bad signature than the key id.
        let bad = self.status == Status::Bad;
        let made = date(self.created.filter(|_| !bad).unwrap_or(UNIX_EPOCH), zone);
        let algorithm = self.public_key_algorithm.filter(|_| !bad).map_or("[unknown name]", algorithm_name);
        let key_id = self.key.as_ref().map_or("0000000000000000".to_owned(), long_id);
        let mut lines =
            vec![format!("Signature made {made} using {algorithm} key ID {key_id}"), self.outcome()];

        let is_primary = self.key == self.primary.clone().map(KeyHandle::Fingerprint) && !bad;
        if let Some(primary) = self.primary.clone().filter(|_| !is_primary) {
            lines.push(format!("Primary key ID {}", long_id(&primary.into())));
        }
        let genuine = !bad && !matches!(self.status, Status::Unusable(_));
        let key_expired = self.status == Status::KeyExpired;
        let expiries = [
            ("Signature", self.expires.filter(|_| genuine), self.status == Status::SignatureExpired),
            ("Key", self.key_expires.filter(|_| !bad), key_expired),
            ("Primary key", self.primary_expires.filter(|_| !is_primary), key_expired),
        ];
        for (what, at, expired) in expiries {
            let verb = if expired { "expired" } else { "expires" };
            lines.extend(at.map(|at| format!("{what} {verb} {}", date(at, zone))));
        }
        lines.iter().map(|line| format!("{prefix}{line}\n")).collect()
    }

    fn outcome(&self) -> String {
        let user = self.user.as_ref();
        let name = user.map_or("[unknown name]", |user| &user.name);
        let email = user.map_or("[unknown email]", |user| &user.email);
        match self.status {
            Status::KeyMissing => "Can't check signature: public key not found".to_owned(),
            Status::Good => format!("Good signature from \"{name} <{email}>\""),
            Status::KeyRevoked => "Key revoked".to_owned(),
            Status::SignatureExpired => format!("Expired signature from \"{name} <{email}>\""),
            Status::KeyExpired | Status::Bad => format!("BAD signature from \"{name} <{email}>\""),
            // It takes more than the words of C ostree to find out what to do.
            Status::Unusable(why) => format!("BAD signature from \"{name} <{email}>\": it {why}"),
        }
    }
}

impl CertInfo {
    /// The lines for this certificate; times in `zone`.
    pub fn describe<Z: TimeZone>(&self, zone: &Z) -> String
    where
        Z::Offset: fmt::Display,
    {
        let mut out = format!("Key: {}", self.primary.describe("  ", zone));
        for user in &self.users {
            let urls = user.name.wkd_urls();
            let url = |get: fn(&WkdUrls) -> &str| urls.as_ref().map_or("", get);
            out += &format!("  UID: {}{}\n", user.id, marks(user.revoked, user.invalid));
            out += &format!("  Advanced update URL: {}\n", url(|urls| &urls.advanced));
            out += &format!("  Direct update URL: {}\n", url(|urls| &urls.direct));
        }
        for subkey in &self.subkeys {
            out += &format!("  Subkey: {}", subkey.describe("    ", zone));
        }
        out
    }
}

impl KeyInfo {
    fn describe<Z: TimeZone>(&self, indent: &str, zone: &Z) -> String
    where
        Z::Offset: fmt::Display,
    {
        let fingerprint = self.fingerprint.to_hex();
        let marks = marks(self.revoked, self.invalid);
        let mut out = format!("{fingerprint}{marks}\n{indent}Created: {}\n", date(self.created, zone));
        if let Some(at) = self.expires {
            let verb = if self.expired { "Expired" } else { "Expires" };
            out += &format!("{indent}{verb}: {}\n", date(at, zone));
        }
        out
    }
}

fn marks(revoked: bool, invalid: bool) -> String {
    let mark = |set, text| if set { text } else { "" };
    format!("{}{}", mark(revoked, " (revoked)"), mark(invalid, " (invalid)"))
}

/// A time the way GLib's `%c` gives it in the C locale; a day of one digit has a figure space before it.
fn date<Z: TimeZone>(time: SystemTime, zone: &Z) -> String
where
    Z::Offset: fmt::Display,
{
    let text = DateTime::<Utc>::from(time).with_timezone(zone).format("%a %b %e %H:%M:%S %Y").to_string();
    text.replace("  ", " \u{2007}")
}

/// The last 16 digits of a fingerprint or key id.
fn long_id(handle: &KeyHandle) -> String {
    let hex = handle.to_hex();
    hex[hex.len().saturating_sub(16)..].to_owned()
}

/// gpgme's names.
fn algorithm_name(algorithm: PublicKeyAlgorithm) -> &'static str {
    // Old keys still bear the deprecated ones.
    #[allow(deprecated)]
    match algorithm {
        PublicKeyAlgorithm::RSAEncryptSign | PublicKeyAlgorithm::RSASign | PublicKeyAlgorithm::RSAEncrypt => {
            "RSA"
        }
        PublicKeyAlgorithm::DSA => "DSA",
        PublicKeyAlgorithm::ECDSA => "ECDSA",
        PublicKeyAlgorithm::EdDSA => "EdDSA",
        PublicKeyAlgorithm::Ed25519 => "Ed25519",
        PublicKeyAlgorithm::Ed448 => "Ed448",
        _ => "[unknown name]",
    }
}
