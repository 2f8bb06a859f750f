//! Options of all verbs that sign: with OpenPGP keys, and with bare ones.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::terminal;
use crate::format::CommitId;
use crate::format::variant::Dict;
use crate::host::{self, Machine};
use crate::sign::{BareSigner, KeyKind};
use crate::store::Txn;

/// Options that name bare secret keys.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct BareOptions {
    /// Sign with this secret key, in base64; others see the arguments of a program
    #[arg(long, value_name = "KEY-ID")]
    sign: Vec<String>,
    /// The kind of the secret keys: ed25519, spki [default: ed25519]
    #[arg(long, value_name = "NAME")]
    sign_type: Option<KeyKind>,
}

impl BareOptions {
    /// The kind of the keys.
    pub(crate) fn kind(&self) -> KeyKind {
        self.sign_type.unwrap_or(KeyKind::Ed25519)
    }

    /// The keys.
    pub(crate) fn signers(&self) -> anyhow::Result<Vec<BareSigner>> {
        signers(self.kind(), &self.sign)
    }
}

/// The secret keys that arguments give as text.
pub(crate) fn signers(kind: KeyKind, texts: &[String]) -> anyhow::Result<Vec<BareSigner>> {
    if !texts.is_empty() {
        Machine::from_env().admit_kind(kind)?;
    }
    Ok(texts.iter().map(|text| BareSigner::from_text(kind, text)).collect::<Result<_, _>>()?)
}

/// Options that name keys to sign with.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Sign with this OpenPGP key: a key id, a fingerprint, a mail address
    #[arg(long, value_name = "KEY-ID")]
    gpg_sign: Vec<String>,
    /// Where secret keys are: a GnuPG directory, or an exported key file [default: GNUPGHOME, ~/.gnupg]
    #[arg(long, value_name = "HOMEDIR")]
    gpg_homedir: Option<PathBuf>,
    #[command(flatten)]
    bare: BareOptions,
    /// Sign with the first secret key in this file
    #[arg(long, value_name = "PATH")]
    sign_from_file: Vec<PathBuf>,
}

/// Keys that are there, before anything is written that they shall sign.
pub(crate) struct Keys<'a> {
    gpg: &'a [String],
    homedir: Option<&'a Path>,
    bare: Vec<BareSigner>,
}

impl Options {
    /// Reads the bare keys.
    pub(crate) fn keys(&self) -> anyhow::Result<Keys<'_>> {
        let (machine, kind) = (Machine::from_env(), self.bare.kind());
        let mut bare = self.bare.signers()?;
        for file in &self.sign_from_file {
            machine.admit_kind(kind)?;
            let first = machine.signers(kind, file)?.into_iter().next();
            bare.push(first.with_context(|| format!("Reading {}: there is no secret key", file.display()))?);
        }
        Ok(Keys { gpg: &self.gpg_sign, homedir: self.gpg_homedir.as_deref(), bare })
    }
}

impl Keys<'_> {
    /// Whether there is no key, and nothing to sign.
    pub(crate) fn is_empty(&self) -> bool {
        self.gpg.is_empty() && self.bare.is_empty()
    }

    /// Signs a commit. OpenPGP keys that have signed it already are left out, and named on standard error.
    pub(crate) fn sign_commit(&self, txn: &dyn Txn, id: &CommitId) -> anyhow::Result<()> {
        host::sign_commit_with(txn, id, &self.bare)?;
        for key in gpg_sign(txn, id, self.gpg, self.homedir)? {
            terminal::say(signed_already(&key));
        }
        Ok(())
    }
}

/// Signs a commit with the OpenPGP keys that go by `ids`; returns those that have signed it already, which are left
/// out.
pub(crate) fn gpg_sign(
    txn: &dyn Txn,
    id: &CommitId,
    ids: &[String],
    homedir: Option<&Path>,
) -> anyhow::Result<Vec<String>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let keys = Machine::from_env().secret_keys(homedir)?;
    Ok(host::sign_commit(txn, id, &keys, ids)?.there_already)
}

/// The words for a key that has signed a commit already.
pub(crate) fn signed_already(key: &str) -> String {
    format!("Commit is already signed with GPG key {key}")
}

/// The signatures of any bytes by OpenPGP keys and bare ones.
pub(crate) fn signatures(
    gpg: &[String],
    homedir: Option<&Path>,
    bare: &[BareSigner],
    data: &[u8],
) -> host::Result<Dict> {
    let mut signatures = match gpg {
        [] => Dict::new(),
        ids => host::sign_summary(&Machine::from_env().secret_keys(homedir)?, ids, data)?,
    };
    host::add_signatures(&mut signatures, bare, data)?;
    Ok(signatures)
}
