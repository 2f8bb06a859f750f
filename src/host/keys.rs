//! OpenPGP keys of the machine: keyrings of remotes and of the system, and the user's secret keys.
//!
//! ```text
//! REPO/REMOTE.trustedkeys.gpg, gpgkeypath=…     a remote's keys; if there is no such file, the system's too
//! /usr/share/ostree/trusted.gpg.d/*.gpg         the system's; OSTREE_GPG_HOME names another directory
//! GNUPGHOME, ~/.gnupg, a directory or file      secret keys
//! ```

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::Local;
use ostree_format::commitmeta::{self, SignatureKind};
use ostree_format::variant::Dict;
use ostree_format::{CommitId, RemoteName};

use super::remotes::remotes_d;
use super::repos::open_dir;
use super::{Error, Machine, Remote, Result};
use crate::base::WithCauses;
use crate::repo::Repo;
use crate::sign::gpg::{self, Keyring, SecretKeys, SignatureVerdict};
use crate::store::{self, CommitBytes, Refusal, Txn, Voucher, load_commitmeta};

const SYSTEM_KEYRINGS: &str = "/usr/share/ostree/trusted.gpg.d";
/// The largest keyring of a repository that is read; Debian's has 55 kB.
const MAX_KEYRING_BYTES: u64 = 64 << 20;

/// The group of a repository's config about what is pushed into it.
const RECEIVE: &str = "receive";

/// The name of a remote's keyring in its repository.
pub fn keyring_name(remote: &RemoteName) -> String {
    format!("{remote}.trustedkeys.gpg")
}

impl Machine {
    /// Reads a keyring file, or every key file of a directory.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Keys`] if a file holds something else.
    pub fn keyring(&self, path: impl AsRef<Path>) -> Result<Keyring> {
        let path = path.as_ref();
        if path.is_dir() { from_directory(path) } else { from_file(path) }
    }

    /// The keys of the system.
    ///
    /// # Errors
    /// As [`Machine::keyring`].
    pub fn system_keyring(&self) -> Result<Keyring> {
        let dir = self.env.path("OSTREE_GPG_HOME").unwrap_or_else(|| SYSTEM_KEYRINGS.into());
        if dir.is_dir() { from_directory(&dir) } else { Ok(Keyring::default()) }
    }

    /// The keys that are trusted to sign for `remote`.
    ///
    /// # Errors
    /// As [`Machine::remote`] and [`Machine::keyring`].
    pub fn keyring_of_remote(&self, repo: &Repo, remote: &RemoteName) -> Result<Keyring> {
        let config = self.remote(repo, remote)?;
        let own = match self.own_keyring(repo, remote)? {
            Some(own) => own,
            None => self.system_keyring()?,
        };
        self.with_gpgkeypath(own, &config, remote)
    }

    /// The keys of which one must have signed a commit that is pushed into `repo`; `None` if its config asks for no
    /// signature.
    ///
    /// ```text
    /// [receive]
    /// gpg-verify=true
    /// gpgkeypath=/etc/keys;/srv/key.asc      without it: the system's keys
    /// ```
    ///
    /// # Errors
    /// [`Error::Parse`] if a value cannot be read; as [`Machine::keyring`].
    pub fn keyring_of_receive(&self, repo: &Repo) -> Result<Option<Keyring>> {
        let config = repo.config().keyfile();
        if !config.get_bool(RECEIVE, "gpg-verify")?.unwrap_or_default() {
            return Ok(None);
        }
        let Some(paths) = config.get_list(RECEIVE, "gpgkeypath")? else {
            return self.system_keyring().map(Some);
        };
        let mut keyring = Keyring::default();
        for path in paths {
            keyring.extend(self.keys_at(Path::new(&path))?);
        }
        Ok(Some(keyring))
    }

    /// The keys that the remote itself brings, without the system's.
    ///
    /// # Errors
    /// As [`Machine::keyring_of_remote`].
    pub fn imported_keyring(&self, repo: &Repo, remote: &RemoteName) -> Result<Keyring> {
        let config = self.remote(repo, remote)?;
        let own = self.own_keyring(repo, remote)?.unwrap_or_default();
        self.with_gpgkeypath(own, &config, remote)
    }

    /// The keyring file of a remote: in the repository, beside the system's configuration of remotes, or in the
    /// repository's parent.
    fn own_keyring(&self, repo: &Repo, remote: &RemoteName) -> Result<Option<Keyring>> {
        let name = keyring_name(remote);
        if let Some(own) = keyring_in(repo, &name)? {
            return Ok(Some(own));
        }
        match remotes_d(repo).map(|dir| dir.join(&name)).filter(|file| file.is_file()) {
            Some(file) => from_file(&file).map(Some),
            None => repo.parent().map_or(Ok(None), |parent| self.own_keyring(parent, remote)),
        }
    }

    fn with_gpgkeypath(&self, mut keyring: Keyring, config: &Remote, name: &RemoteName) -> Result<Keyring> {
        let parsed = ostree_format::RemoteConfig::get(&config.file, name)?;
        for path in parsed.map(|remote| remote.gpgkeypath).unwrap_or_default() {
            if !Path::new(&path).exists() {
                return Err(Error::NoKeyPath(path.into()));
            }
            keyring.extend(self.keys_at(Path::new(&path))?);
        }
        Ok(keyring)
    }

    /// The keys at a path of `gpgkeypath`: of a file, or of every file of a directory, whatever its name. As libostree does,
    /// other files of a directory are passed over.
    fn keys_at(&self, path: &Path) -> Result<Keyring> {
        if !path.is_dir() {
            return self.keyring(path);
        }
        let mut keyring = Keyring::default();
        for file in files_of(path)? {
            match from_file(&file) {
                Ok(keys) => _ = keyring.extend(keys),
                Err(error @ Error::Keys { .. }) => {
                    tracing::debug!(error = %WithCauses(&error), "a file of gpgkeypath without keys");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(keyring)
    }

    /// Every key that the repository or the system knows, and those in the GnuPG directory `homedir`.
    ///
    /// # Errors
    /// As [`Machine::keyring`].
    pub fn all_keys(&self, repo: &Repo, homedir: Option<&Path>) -> Result<Keyring> {
        let mut keyring = self.system_keyring()?;
        let failed = || Error::io("Reading", "the repository");
        for entry in repo.dir().entries().map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            if Path::new(&name).extension() == Some(OsStr::new("gpg"))
                && let Some(more) = keyring_in(repo, &name.to_string_lossy())?
            {
                keyring.extend(more);
            }
        }
        if let Some(path) = homedir {
            keyring.extend(from_directory(path)?);
            keyring.extend(Keyring::from_homedir(&open_dir("Opening", path)?)?);
        }
        Ok(keyring)
    }

    /// The user's secret keys: of the GnuPG directory or the exported key file `homedir`, or of the user's own directory.
    ///
    /// # Errors
    /// [`Error::NoSecretKeys`], [`Error::NoSecretKeysAt`], [`Error::Keys`], [`Error::Io`].
    pub fn secret_keys(&self, homedir: Option<&Path>) -> Result<SecretKeys> {
        let own = || self.env.path("GNUPGHOME").or_else(|| Some(self.env.path("HOME")?.join(".gnupg")));
        let path = homedir.map(PathBuf::from).or_else(own).ok_or(Error::NoSecretKeys)?;
        if matches!(path.try_exists(), Ok(false)) {
            return Err(Error::NoSecretKeysAt(path));
        }
        let keys = match path.is_file() {
            true => SecretKeys::from_bytes(&fs::read(&path).map_err(Error::io("Reading", &path))?),
            false => SecretKeys::from_homedir(&open_dir("Opening", &path)?),
        };
        keys.map_err(in_file(&path))
    }
}

fn in_file(path: &Path) -> impl FnOnce(gpg::Error) -> Error {
    move |source| Error::Keys { path: path.into(), source }
}

fn from_file(path: &Path) -> Result<Keyring> {
    let bytes = fs::read(path).map_err(Error::io("Reading", path))?;
    Keyring::from_bytes(&bytes).map_err(in_file(path))
}

/// The key files of a directory; `trustdb.gpg` is none, and `secring.gpg` holds no public keys.
fn from_directory(dir: &Path) -> Result<Keyring> {
    let mut keyring = Keyring::default();
    for path in files_of(dir)? {
        let name = path.file_name().unwrap_or_default();
        let is_key = path.extension().is_some_and(|e| e == "gpg" || e == "asc" || e == "pgp");
        if is_key && name != "trustdb.gpg" && name != "secring.gpg" {
            keyring.extend(from_file(&path)?);
        }
    }
    Ok(keyring)
}

/// The regular files of a directory, and links to such.
fn files_of(dir: &Path) -> Result<Vec<PathBuf>> {
    let failed = || Error::io("Reading keyring directory", dir);
    let entries = fs::read_dir(dir).map_err(failed())?;
    let paths = entries.map(|entry| Ok(entry.map_err(failed())?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_file()).collect())
}

/// Reads a keyring file of a repository, if there is one.
///
/// # Errors
/// [`Error::Keys`] if it holds something else; [`Error::Store`].
pub fn keyring_in(repo: &Repo, name: &str) -> Result<Option<Keyring>> {
    match repo.read_file(name, MAX_KEYRING_BYTES)? {
        None => Ok(None),
        Some(bytes) if bytes.is_empty() => Ok(Some(Keyring::default())),
        Some(bytes) => Ok(Some(Keyring::from_bytes(&bytes).map_err(in_file(Path::new(name)))?)),
    }
}

/// The verdict on each signature in the detached metadata of a commit, judged now.
///
/// # Errors
/// [`Error::Parse`] if the metadata holds no list of signatures where one belongs.
pub fn verdicts(keyring: &Keyring, commit: &[u8], detached: Option<&Dict>) -> Result<Vec<SignatureVerdict>> {
    let signatures = match detached {
        Some(detached) => commitmeta::signatures(detached, SignatureKind::Gpg)?,
        None => Vec::new(),
    };
    Ok(gpg::verify(keyring, commit, signatures, SystemTime::now()))
}

/// Demands a good signature on a commit.
///
/// # Errors
/// [`Error::NotSigned`] says of each signature why it does not count, in local time.
pub fn require_signature(keyring: &Keyring, commit: &[u8], detached: Option<&Dict>) -> Result<()> {
    let verdicts = verdicts(keyring, commit, detached)?;
    if verdicts.is_empty() {
        return Err(Error::NotSigned("GPG verification enabled, but no signatures found (use gpg-verify=false in remote config to disable)"
                .to_owned(),
        ));
    }
    gpg::require_valid(verdicts).map(drop).map_err(|invalid| Error::NotSigned(invalid.message(&Local)))
}

/// The lines that describe signatures, each set apart by an empty line, in local time.
pub fn describe_verdicts(verdicts: &[SignatureVerdict]) -> String {
    verdicts.iter().map(|verdict| format!("\n{}", verdict.describe("  ", &Local))).collect()
}

/// The result of signing a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signing {
    /// The keys, as they were named, that had signed the commit before.
    pub there_already: Vec<String>,
}

/// Signs a commit with those of `keys` that go by `ids`, unless they have signed it already. Who signs a commit that
/// others may sign, too, holds [`Repo::lock_edits`].
///
/// # Errors
/// [`Error::Gpg`] if a key is not there or cannot sign; [`Error::Store`], [`Error::Parse`].
pub fn sign_commit(txn: &dyn Txn, id: &CommitId, keys: &SecretKeys, ids: &[String]) -> Result<Signing> {
    let missing = || store::Error::NotFound((*id).into());
    let commit = txn.read_meta(&(*id).into())?.ok_or_else(missing)?;
    let mut detached = load_commitmeta(txn, id)?.unwrap_or_default();
    let mut signing = Signing::default();
    for key in ids {
        let there = verdicts(keys.public(), &commit, Some(&detached))?;
        // By a run that was interrupted before it could say so, perhaps.
        if matches!(gpg::lookup(keys.public(), &there, key), Ok(Some(_))) {
            signing.there_already.push(key.clone());
            continue;
        }
        let signature = sign_bytes(keys, key, &commit)?;
        commitmeta::add_signature(&mut detached, SignatureKind::Gpg, signature)?;
    }
    txn.set_detached(id, &detached)?;
    Ok(signing)
}

/// A signature over any bytes, made now.
///
/// # Errors
/// [`Error::Gpg`] if the key is not there or cannot sign.
pub fn sign_bytes(keys: &SecretKeys, id: &str, data: &[u8]) -> Result<Vec<u8>> {
    let now = SystemTime::now();
    Ok(keys.signer(id, now)?.sign(data, now)?)
}

/// The content of `summary.sig`: the signatures that those of `keys` that go by `ids` make of a summary's bytes.
///
/// # Errors
/// [`Error::Gpg`] if a key is not there or cannot sign; [`Error::Parse`].
pub fn sign_summary(keys: &SecretKeys, ids: &[String], summary: &[u8]) -> Result<Dict> {
    let mut signatures = Dict::new();
    for id in ids {
        let signature = sign_bytes(keys, id, summary)?;
        commitmeta::add_signature(&mut signatures, SignatureKind::Gpg, signature)?;
    }
    Ok(signatures)
}

/// Keys that vouch for what they have signed, judged now.
#[derive(Debug, Clone)]
pub struct SignedBy(pub Keyring);

impl Voucher for SignedBy {
    fn vouch(&self, commit: &CommitBytes<'_>) -> Result<(), Refusal> {
        let detached = commit.detached.filter(|bytes| !bytes.is_empty()).map(Dict::parse).transpose()?;
        require_signature(&self.0, commit.bytes, detached.as_ref())
            .map_err(|why| format!("commit {}: {why}", commit.id).into())
    }
}
