//! Where OpenPGP keys are found: keyrings of remotes and of the system, and the user's secret keys.
//!
//! ```text
//! REPO/REMOTE.trustedkeys.gpg, gpgkeypath=…     a remote's keys; if there is no such file, the system's too
//! /usr/share/ostree/trusted.gpg.d/*.gpg         the system's; OSTREE_GPG_HOME names another directory
//! GNUPGHOME, ~/.gnupg, --gpg-homedir            secret keys
//! ```

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use chrono::Local;

use super::{remotes, terminal};
use crate::format::commitmeta::{self, SignatureKind};
use crate::format::variant::Dict;
use crate::format::{CommitId, RemoteName};
use crate::repo::Repo;
use crate::sign::gpg::{self, Keyring, SecretKeys, Verdict};
use crate::store::{CommitBytes, Error, Refusal, Txn, Voucher, load_commitmeta};

const SYSTEM_KEYRINGS: &str = "/usr/share/ostree/trusted.gpg.d";
/// The largest keyring of a repository that is read; Debian's has 55 kB.
const MAX_KEYRING_BYTES: u64 = 64 << 20;

/// The name of a remote's keyring in its repository.
pub(crate) fn keyring_name(remote: &RemoteName) -> String {
    format!("{remote}.trustedkeys.gpg")
}

/// The keys that are trusted to sign for `remote`.
pub(crate) fn of_remote(repo: &Repo, remote: &RemoteName) -> anyhow::Result<Keyring> {
    let config = remotes::get(repo, remote)?;
    let mut keyring = match read_in(repo, &keyring_name(remote))? {
        Some(own) => own,
        None => of_system()?,
    };
    for path in gpgkeypath(&config, remote)? {
        keyring.extend(from_path(&path)?);
    }
    Ok(keyring)
}

/// The keys that the remote itself brings, without the system's.
pub(crate) fn imported(repo: &Repo, remote: &RemoteName) -> anyhow::Result<Keyring> {
    let config = remotes::get(repo, remote)?;
    let mut keyring = read_in(repo, &keyring_name(remote))?.unwrap_or_default();
    for path in gpgkeypath(&config, remote)? {
        keyring.extend(from_path(&path)?);
    }
    Ok(keyring)
}

/// Every key that the repository or the system knows, and those in `homedir`.
pub(crate) fn all(repo: &Repo, homedir: Option<&Path>) -> anyhow::Result<Keyring> {
    let mut keyring = of_system()?;
    for entry in repo.dir().entries()? {
        let name = entry?.file_name();
        if Path::new(&name).extension() == Some(OsStr::new("gpg"))
            && let Some(more) = read_in(repo, &name.to_string_lossy())?
        {
            keyring.extend(more);
        }
    }
    if let Some(path) = homedir {
        keyring.extend(from_directory(path)?);
        keyring.extend(Keyring::from_homedir(&open_dir(path)?)?);
    }
    Ok(keyring)
}

/// The keys of the system.
pub(crate) fn of_system() -> anyhow::Result<Keyring> {
    let dir = std::env::var_os("OSTREE_GPG_HOME").map_or_else(|| SYSTEM_KEYRINGS.into(), PathBuf::from);
    if dir.is_dir() { from_directory(&dir) } else { Ok(Keyring::default()) }
}

/// Reads a keyring file, or every key file of a directory.
pub(crate) fn from_path(path: &Path) -> anyhow::Result<Keyring> {
    if path.is_dir() { from_directory(path) } else { from_file(path) }
}

fn from_file(path: &Path) -> anyhow::Result<Keyring> {
    let bytes = fs::read(path).with_context(|| format!("Reading {}", path.display()))?;
    Keyring::from_bytes(&bytes).with_context(|| path.display().to_string())
}

/// The key files of a directory; `trustdb.gpg` is none, and `secring.gpg` holds no public keys.
fn from_directory(dir: &Path) -> anyhow::Result<Keyring> {
    let mut keyring = Keyring::default();
    for entry in
        fs::read_dir(dir).with_context(|| format!("Reading keyring directory '{}'", dir.display()))?
    {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        let is_key = path.extension().is_some_and(|e| e == "gpg" || e == "asc" || e == "pgp");
        if is_key && name != "trustdb.gpg" && name != "secring.gpg" && path.is_file() {
            keyring.extend(from_file(&path)?);
        }
    }
    Ok(keyring)
}

/// Reads a keyring file of a repository, if there is one.
pub(crate) fn read_in(repo: &Repo, name: &str) -> anyhow::Result<Option<Keyring>> {
    match repo.read_file(name, MAX_KEYRING_BYTES)? {
        None => Ok(None),
        Some(bytes) if bytes.is_empty() => Ok(Some(Keyring::default())),
        Some(bytes) => Ok(Some(Keyring::from_bytes(&bytes).with_context(|| name.to_owned())?)),
    }
}

fn gpgkeypath(config: &remotes::Remote, name: &RemoteName) -> anyhow::Result<Vec<PathBuf>> {
    let parsed = crate::format::RemoteConfig::get(&config.file, name)?;
    Ok(parsed.map(|remote| remote.gpgkeypath).unwrap_or_default().into_iter().map(PathBuf::from).collect())
}

fn open_dir(path: &Path) -> anyhow::Result<Dir> {
    Dir::open_ambient_dir(path, ambient_authority()).with_context(|| format!("opendir({})", path.display()))
}

/// The user's secret keys: of a GnuPG directory, or of an exported key file.
pub(crate) fn secret_keys(homedir: Option<&Path>) -> anyhow::Result<SecretKeys> {
    let path = match homedir {
        Some(path) => path.to_owned(),
        None => default_homedir()?,
    };
    if path.is_file() {
        let bytes = fs::read(&path).with_context(|| format!("Reading {}", path.display()))?;
        return SecretKeys::from_bytes(&bytes).with_context(|| path.display().to_string());
    }
    SecretKeys::from_homedir(&open_dir(&path)?).with_context(|| path.display().to_string())
}

fn default_homedir() -> anyhow::Result<PathBuf> {
    let get = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    get("GNUPGHOME")
        .or_else(|| get("HOME").map(|home| home.join(".gnupg")))
        .context("where are the secret keys? Give --gpg-homedir, or set GNUPGHOME")
}

/// What came of each signature in the detached metadata of a commit.
pub(crate) fn verdicts(
    keyring: &Keyring,
    commit: &[u8],
    detached: Option<&Dict>,
) -> anyhow::Result<Vec<Verdict>> {
    let signatures = match detached {
        Some(detached) => commitmeta::signatures(detached, SignatureKind::Gpg)?,
        None => Vec::new(),
    };
    Ok(gpg::verify(keyring, commit, signatures, SystemTime::now()))
}

/// Demands a good signature on a commit.
///
/// # Errors
/// Says of each signature why it does not count.
pub(crate) fn require(keyring: &Keyring, commit: &[u8], detached: Option<&Dict>) -> anyhow::Result<()> {
    let verdicts = verdicts(keyring, commit, detached)?;
    if verdicts.is_empty() {
        bail!("GPG verification enabled, but no signatures found");
    }
    match gpg::require_valid(verdicts) {
        Ok(_) => Ok(()),
        Err(invalid) => bail!("{}", invalid.message(&Local)),
    }
}

/// The lines that describe signatures, each set apart by an empty line.
pub(crate) fn describe(verdicts: &[Verdict]) -> String {
    verdicts.iter().map(|verdict| format!("\n{}", verdict.describe("  ", &Local))).collect()
}

/// Signs a commit with the keys that go by `ids`; those that have signed it already are left out, and named on
/// standard error. Who signs a commit that others may sign, too, holds [`Repo::lock_edits`].
pub(crate) fn sign(
    txn: &dyn Txn,
    id: &CommitId,
    ids: &[String],
    homedir: Option<&Path>,
) -> anyhow::Result<()> {
    if ids.is_empty() { Ok(()) } else { sign_with(txn, id, &secret_keys(homedir)?, ids) }
}

/// [`sign`] with keys that were found already.
pub(crate) fn sign_with(
    txn: &dyn Txn,
    id: &CommitId,
    keys: &SecretKeys,
    ids: &[String],
) -> anyhow::Result<()> {
    let commit = txn.read_meta(&(*id).into())?.ok_or(Error::NotFound((*id).into()))?;
    let mut detached = load_commitmeta(txn, id)?.unwrap_or_default();
    for key in ids {
        let there = verdicts(keys.public(), &commit, Some(&detached))?;
        // By a run that was interrupted before it could say so, perhaps.
        if matches!(gpg::lookup(keys.public(), &there, key), Ok(Some(_))) {
            terminal::say(format_args!("Commit is already signed with GPG key {key}"));
            continue;
        }
        let signature = sign_bytes(keys, key, &commit)?;
        commitmeta::add_signature(&mut detached, SignatureKind::Gpg, signature)?;
    }
    Ok(txn.set_detached(id, &detached)?)
}

/// A signature over any bytes.
pub(crate) fn sign_bytes(keys: &SecretKeys, id: &str, data: &[u8]) -> anyhow::Result<Vec<u8>> {
    let now = SystemTime::now();
    Ok(keys.signer(id, now)?.sign(data, now)?)
}

/// Keys vouch for what they have signed.
pub(crate) struct SignedBy<'a>(pub(crate) &'a Keyring);

impl Voucher for SignedBy<'_> {
    fn vouch(&self, commit: &CommitBytes<'_>) -> Result<(), Refusal> {
        let detached = commit.detached.filter(|bytes| !bytes.is_empty()).map(Dict::parse).transpose()?;
        require(self.0, commit.bytes, detached.as_ref())
            .map_err(|why| format!("commit {}: {why:#}", commit.id).into())
    }
}
