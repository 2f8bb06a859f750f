//! `static-delta verify`, and the keys that a delta has to be signed by.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;

use super::super::Common;
use super::named::Named;
use crate::cli::terminal::Session;
use crate::delta::{Unjudged, read_head};
use crate::format::commitmeta;
use crate::host::Machine;
use crate::sign::{KeyKind, PublicKeys};
use crate::store::{Error, Refusal};

/// Options that name public keys.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct PublicOptions {
    /// The kind of the keys: ed25519, spki [default: ed25519]
    #[arg(long, value_name = "NAME")]
    sign_type: Option<KeyKind>,
    /// Read keys from this file, too
    #[arg(long, value_name = "NAME")]
    keys_file: Option<PathBuf>,
    /// Where the lists of trusted and revoked keys are [default: /etc/ostree, /usr/share/ostree]
    #[arg(long, value_name = "NAME")]
    keys_dir: Option<PathBuf>,
    /// Public keys in base64
    #[arg(value_name = "KEY-ID")]
    key_ids: Vec<String>,
}

impl PublicOptions {
    /// Whether the arguments name keys.
    pub(super) fn name_keys(&self) -> bool {
        !self.key_ids.is_empty() || self.keys_file.is_some() || self.keys_dir.is_some()
    }

    /// The keys: those of the arguments and of the file, or else those that the system trusts.
    pub(super) fn keys(&self) -> anyhow::Result<PublicKeys> {
        let (machine, kind) = (Machine::from_env(), self.sign_type.unwrap_or(KeyKind::Ed25519));
        machine.admit_kind(kind)?;
        let mut keys = match (&self.keys_dir, &self.keys_file, &self.key_ids[..]) {
            (Some(dir), None, []) => machine.keys_in(kind, dir)?,
            (None, None, []) => machine.system_keys(kind)?,
            _ => PublicKeys::new(kind),
        };
        for text in &self.key_ids {
            keys.trust(text)?;
        }
        if let Some(file) = &self.keys_file {
            machine.add_keys(&mut keys, file)?;
        }
        Ok(keys)
    }
}

/// Looks for a good signature of a superblock.
pub(super) fn judge(keys: &PublicKeys, superblock: &Unjudged<'_>) -> Result<(), Refusal> {
    let signatures = superblock.signatures().ok_or("no signatures in static-delta")?;
    let signatures = commitmeta::signatures(signatures, keys.kind().signature_kind())?;
    Ok(keys.verify(superblock.bytes()?, &signatures).map(drop)?)
}

/// Arguments of `static-delta verify`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The static delta: its commits, or the file of its superblock
    #[arg(value_name = "FROM-TO")]
    name: Named,
    #[command(flatten)]
    keys: PublicOptions,
}

/// Says whether there is one.
pub(super) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let keys = args.keys.keys()?;
    let superblock = args.name.superblock(&repo, &session.ctx.cancel)?;
    let verdict = read_head(superblock, Some(&|superblock: &Unjudged<'_>| judge(&keys, superblock)));
    let is_good = verdict.is_ok();
    writeln!(session.out, "Verification {}", if is_good { "OK" } else { "fails" })?;
    match verdict {
        Ok(_) => Ok(()),
        Err(Error::Refused { why, .. }) => bail!("{why}"),
        Err(error) => Err(error.into()),
    }
}
