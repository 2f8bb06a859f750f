//! `gpg-new-key`: makes a key to sign commits with, on machines without GnuPG.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail};

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
    write_new(&args.public, 0o644, &key.public)?;
    Ok(writeln!(session.out, "{}", key.fingerprint)?)
}

fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = opened.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.with_context(|| format!("Writing {}", path.display()))
}
