//! Bare keys of the machine, those without OpenPGP: whom the system trusts, and whom it trusts no longer.
//!
//! ```text
//! /etc/ostree, /usr/share/ostree   trusted.ed25519, trusted.ed25519.d/*
//!                                  revoked.ed25519, revoked.ed25519.d/*      and so of the other kinds
//! ```

use std::path::{Path, PathBuf};
use std::{fs, io};

use ostree_format::CommitId;
use ostree_format::commitmeta;
use ostree_format::variant::Dict;

use super::{Error, Machine, Result};
use crate::sign::{self, BareSigner, KeyKind, PublicKeys};
use crate::store::{self, Txn, load_commitmeta};

/// Where the system's lists of keys are.
const SYSTEM_DIRS: [&str; 2] = ["/etc/ostree", "/usr/share/ostree"];

impl Machine {
    /// The keys of a kind that the system trusts.
    ///
    /// # Errors
    /// [`Error::Io`] if a list of revoked keys is there and cannot be read; [`Error::BareKeys`] if something in it is no key.
    pub fn system_keys(&self, kind: KeyKind) -> Result<PublicKeys> {
        keys_in(kind, &SYSTEM_DIRS.map(Path::new))
    }

    /// The keys of a kind that the lists in a directory, arranged as the system's, trust.
    ///
    /// # Errors
    /// As [`Machine::system_keys`].
    pub fn keys_in(&self, kind: KeyKind, dir: impl AsRef<Path>) -> Result<PublicKeys> {
        keys_in(kind, &[dir.as_ref()])
    }

    /// Adds the public keys in a file to `keys`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BareKeys`] if the file holds none.
    pub fn add_keys(&self, keys: &mut PublicKeys, file: impl AsRef<Path>) -> Result<()> {
        let file = file.as_ref();
        match keys.trust_file(&read(file)?) {
            Ok(0) => Err(in_file(file)(sign::Error::File("no valid keys in it"))),
            added => added.map(drop).map_err(in_file(file)),
        }
    }

    /// The secret keys in a file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BareKeys`] if one of them cannot be read.
    pub fn signers(&self, kind: KeyKind, file: impl AsRef<Path>) -> Result<Vec<BareSigner>> {
        let file = file.as_ref();
        BareSigner::read_file(kind, &read(file)?).map_err(in_file(file))
    }

    /// Checks that signatures of a kind may be made and count here: dummy ones only if the environment says so, as
    /// those who test ostree do.
    ///
    /// # Errors
    /// [`sign::Error::OnlyForTests`].
    pub fn admit_kind(&self, kind: KeyKind) -> Result<(), sign::Error> {
        match kind == KeyKind::Dummy && self.env.text("OSTREE_DUMMY_SIGN_ENABLED") != Some("1") {
            true => Err(sign::Error::OnlyForTests),
            false => Ok(()),
        }
    }
}

/// Signs a commit with bare keys. Who signs a commit that others may sign, too, holds
/// [`Repo::lock_edits`](crate::repo::Repo::lock_edits).
///
/// # Errors
/// [`Error::Sign`]; [`Error::Store`]; [`Error::Parse`] if the commit has something else in the place of signatures.
pub fn sign_commit_with(txn: &dyn Txn, id: &CommitId, signers: &[BareSigner]) -> Result<()> {
    if signers.is_empty() {
        return Ok(());
    }
    let missing = || store::Error::NotFound((*id).into());
    let commit = txn.read_meta(&(*id).into())?.ok_or_else(missing)?;
    let mut detached = load_commitmeta(txn, id)?.unwrap_or_default();
    add_signatures(&mut detached, signers, &commit)?;
    Ok(txn.set_detached(id, &detached)?)
}

/// Adds the signatures that bare keys make of any bytes to those that are there.
///
/// # Errors
/// [`Error::Sign`]; [`Error::Parse`] if there is something else in the place of signatures.
pub fn add_signatures(signatures: &mut Dict, signers: &[BareSigner], data: &[u8]) -> Result<()> {
    for signer in signers {
        commitmeta::add_signature(signatures, signer.kind().signature_kind(), signer.sign(data)?)?;
    }
    Ok(())
}

fn in_file(path: &Path) -> impl FnOnce(sign::Error) -> Error {
    move |source| Error::BareKeys { path: path.into(), source }
}

/// Keys are ASCII; what else is there is a comment, in whatever character set.
fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(Error::io("Reading", path))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What trusts keys and cannot be read is passed over, as libostree does: the keys in other files count all the same, and
/// without any nothing is let in. What revokes keys and cannot be read, or holds something else than keys, is not, other
/// than there: what it forbids would be let in.
fn keys_in(kind: KeyKind, dirs: &[&Path]) -> Result<PublicKeys> {
    let mut keys = PublicKeys::new(kind);
    for (file, text) in dirs.iter().flat_map(|dir| lists(dir, "trusted", kind)) {
        let added = text.map(|text| keys.trust_file(&text));
        tracing::debug!(file = %file.display(), ?added, "trusted keys");
    }
    for (file, text) in dirs.iter().flat_map(|dir| lists(dir, "revoked", kind)) {
        let added = keys.revoke_file(&text?).map_err(in_file(&file))?;
        tracing::debug!(file = %file.display(), ?added, "revoked keys");
    }
    Ok(keys)
}

/// A list of keys, and the files in the directory beside it, with what is in each, or why it cannot be read.
fn lists(dir: &Path, what: &str, kind: KeyKind) -> Vec<(PathBuf, Result<String>)> {
    let first = dir.join(format!("{what}.{}", kind.name()));
    let beside = first.with_extension(format!("{}.d", kind.name()));
    let (mut files, failed) = match fs::read_dir(&beside) {
        Ok(entries) => (entries.filter_map(|entry| Some(entry.ok()?.path())).collect(), None),
        Err(error) => (Vec::new(), Some(error).filter(|error| !is_missing(error))),
    };
    files.sort();
    let list = |path: PathBuf| match fs::metadata(&path) {
        Ok(found) => found.is_file().then(|| (path.clone(), read(&path))),
        Err(error) if is_missing(&error) => None,
        Err(error) => Some((path.clone(), Err(Error::io("Reading", &path)(error)))),
    };
    let failed = failed.map(|error| (beside.clone(), Err(Error::io("Reading", &beside)(error))));
    [first].into_iter().chain(files).filter_map(list).chain(failed).collect()
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
