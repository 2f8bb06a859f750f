//! A GnuPG home directory, of any age:
//!
//! ```text
//! pubring.kbx, pubring.gpg      certificates (GnuPG 2.1 and newer; older)
//! private-keys-v1.d/*.key       secret keys of GnuPG 2.1 and newer
//! secring.gpg                   secret keys of GnuPG 1 and 2.0, with their certificates
//! ```

use std::io;
use std::path::Path;

use cap_std::fs::Dir;

use super::agent::AgentKey;
use super::{Error, Keyring, Result, SecretKeys};

const PUBLIC_KEYRINGS: [&str; 2] = ["pubring.kbx", "pubring.gpg"];
const SECRET_KEYRING: &str = "secring.gpg";
const AGENT_KEYS: &str = "private-keys-v1.d";

impl Keyring {
    /// The certificates of a GnuPG home directory; none if it has no keyring.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Malformed`] for a damaged file.
    pub fn from_homedir(home: &Dir) -> Result<Self> {
        let mut ring = Keyring::default();
        for name in PUBLIC_KEYRINGS {
            if let Some(bytes) = read(home, Path::new(name))? {
                ring.extend(Keyring::from_bytes(&bytes)?);
            }
        }
        Ok(ring)
    }
}

impl SecretKeys {
    /// The certificates and secret keys of a GnuPG home directory. No agent is asked: keys protected by a
    /// passphrase cannot be used.
    ///
    /// # Errors
    /// As [`Keyring::from_homedir`].
    pub fn from_homedir(home: &Dir) -> Result<Self> {
        let mut keys = match read(home, Path::new(SECRET_KEYRING))? {
            Some(bytes) => SecretKeys::from_bytes(&bytes)?,
            None => SecretKeys::default(),
        };
        keys.add_public(Keyring::from_homedir(home)?);
        for path in agent_files(home)? {
            if let Some(bytes) = read(home, &path)? {
                // A key of a kind that is not understood is none of ours.
                if let Ok(key) = AgentKey::parse(&bytes) {
                    keys.add_agent_key(&key);
                }
            }
        }
        Ok(keys)
    }
}

/// The secret key files, sorted.
fn agent_files(home: &Dir) -> Result<Vec<std::path::PathBuf>> {
    let base = Path::new(AGENT_KEYS);
    let failed = |error: io::Error| failure(base, &error);
    let entries = match home.read_dir(base) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = base.join(entry.map_err(failed)?.file_name());
        if path.extension().is_some_and(|ext| ext == "key") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The content of a file that may be missing.
fn read(home: &Dir, path: &Path) -> Result<Option<Vec<u8>>> {
    match home.read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure(path, &error)),
    }
}

fn failure(path: &Path, error: &io::Error) -> Error {
    Error::Io { path: path.display().to_string(), why: error.to_string() }
}
