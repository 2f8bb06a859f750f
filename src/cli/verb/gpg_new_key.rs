//! `gpg-new-key`: makes a key to sign commits with, on machines without GnuPG.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, anyhow, bail};

use crate::cli::terminal::Session;
use crate::sign::gpg::NewKey;

/// Arguments of `gpg-new-key`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the secret key is written, for `--gpg-homedir`; nobody else may read it
    #[arg(long, value_name = "FILE")]
    secret: PathBuf,
    /// Where the public key is written, for `--gpg-keyring`, `remote gpg-import` and policy.json
    #[arg(long, value_name = "FILE")]
    public: PathBuf,
    /// The user of the key, such as "Example OS <os@example.org>"
    user: String,
}

/// Writes the two files, neither of which may exist, and prints the fingerprint.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    if args.user.trim().is_empty() {
        bail!("A key needs a name: \"Example OS <os@example.org>\"");
    }
    let key = NewKey::new(&args.user, SystemTime::now())?;
    write_new(&args.secret, 0o600, &key.secret)?;
    write_new(&args.public, 0o644, &key.public).inspect_err(|_| forget(&args.secret))?;
    Ok(writeln!(session.out, "{}", key.fingerprint)?)
}

/// Writes a file that was not there, or none.
fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> anyhow::Result<()> {
    let failed = || format!("Writing {}", path.display());
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = opened.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => anyhow!("{} exists: name another file, or move it away", path.display()),
        _ => anyhow::Error::new(error).context(failed()),
    })?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.inspect_err(|_| forget(path)).with_context(failed)
}

/// Half of a pair is of no use, and would be in the way of the next try.
fn forget(path: &Path) {
    drop(fs::remove_file(path));
}
