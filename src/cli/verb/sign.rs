//! `sign`: adds, verifies or removes signatures of a commit by bare keys, those without OpenPGP.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;

use super::{Common, resolve, signing};
use crate::cli::locate;
use crate::cli::terminal::Session;
use crate::format::CommitId;
use crate::format::commitmeta;
use crate::format::variant::Dict;
use crate::host::{self, Machine};
use crate::repo::Repo;
use crate::sign::{KeyKind, PublicKeys};
use crate::store::{Error, ObjectRead, Txn, load_commitmeta};

/// Arguments of `sign`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Remove the signatures made by these keys, given as public keys
    #[arg(short, long, conflicts_with = "verify")]
    delete: bool,
    /// Look for a signature by one of these public keys, or else by one that the system trusts
    #[arg(long)]
    verify: bool,
    /// The kind of the keys: ed25519, spki [default: ed25519]
    #[arg(short, long, value_name = "NAME")]
    sign_type: Option<KeyKind>,
    /// Read keys from this file, too
    #[arg(long, value_name = "NAME")]
    keys_file: Option<PathBuf>,
    /// With --verify: where the lists of trusted and revoked keys are [default: /etc/ostree, /usr/share/ostree]
    #[arg(long, value_name = "NAME")]
    keys_dir: Option<PathBuf>,
    /// The commit
    commit: String,
    /// Keys in base64: secret ones to sign with, else public ones; others see the arguments of a program
    #[arg(value_name = "KEY-ID")]
    key_ids: Vec<String>,
}

impl Args {
    fn kind(&self) -> KeyKind {
        self.sign_type.unwrap_or(KeyKind::Ed25519)
    }
}

/// Does what the arguments ask for.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    if !args.verify && args.keys_file.is_none() && args.key_ids.is_empty() {
        bail!("Need at least one KEY-ID to sign with");
    }
    if !args.verify {
        repo.require_writable()?;
    }
    let id = resolve(&repo, &args.commit)?;
    match (args.verify, args.delete) {
        (true, _) => verify(args, &repo, &id, session),
        (false, true) => delete(args, &repo, &id, session),
        (false, false) => sign(args, &repo, &id, session),
    }
}

fn sign(args: &Args, repo: &Repo, id: &CommitId, session: &Session) -> anyhow::Result<()> {
    let mut signers = signing::signers(args.kind(), &args.key_ids)?;
    if let Some(file) = &args.keys_file {
        Machine::from_env().admit_kind(args.kind())?;
        signers.extend(Machine::from_env().signers(args.kind(), file)?);
    }
    if signers.is_empty() {
        bail!("There is no secret key to sign with");
    }
    let txn = locate::begin(repo, &session.ctx)?;
    // Others may sign the same commit at the same time.
    let _lock = repo.lock_edits(&session.ctx)?;
    host::sign_commit_with(&txn, id, &signers)?;
    locate::commit(txn, &session.ctx)?;
    Ok(())
}

/// The keys of which one has to have signed: each argument on its own, then those of the file, or of the lists.
fn trusted(args: &Args) -> anyhow::Result<Vec<PublicKeys>> {
    let (machine, kind) = (Machine::from_env(), args.kind());
    let mut sets = Vec::new();
    for text in &args.key_ids {
        let mut keys = PublicKeys::new(kind);
        // What is no key makes no signature good.
        if keys.trust(text).is_ok() {
            sets.push(keys);
        }
    }
    if let Some(file) = &args.keys_file {
        let mut keys = PublicKeys::new(kind);
        machine.add_keys(&mut keys, file)?;
        sets.push(keys);
    } else if args.key_ids.is_empty() {
        sets.push(match &args.keys_dir {
            Some(dir) => machine.keys_in(kind, dir)?,
            None => machine.system_keys(kind)?,
        });
    }
    Ok(sets)
}

fn verify(args: &Args, repo: &Repo, id: &CommitId, session: &mut Session) -> anyhow::Result<()> {
    let commit = repo.read_meta(&(*id).into())?.ok_or(Error::NotFound((*id).into()))?;
    let detached = load_commitmeta(repo, id)?.unwrap_or_default();
    let signatures = commitmeta::signatures(&detached, args.kind().signature_kind())?;
    let admitted = Machine::from_env().admit_kind(args.kind());
    let mut why = None;
    for keys in trusted(args)? {
        match keys.verify(&commit, &signatures) {
            Ok(verified) if admitted.is_ok() => return Ok(writeln!(session.out, "{verified}")?),
            Ok(_) => {}
            Err(unverified) => why = Some(unverified),
        }
    }
    match why {
        Some(why) if args.key_ids.is_empty() || args.keys_file.is_some() => Err(why.into()),
        _ => bail!("No valid signatures found"),
    }
}

fn delete(args: &Args, repo: &Repo, id: &CommitId, session: &mut Session) -> anyhow::Result<()> {
    let kind = args.kind().signature_kind();
    let sets = trusted(args)?;
    let txn = locate::begin(repo, &session.ctx)?;
    let _lock = repo.lock_edits(&session.ctx)?;
    let commit = repo.read_meta(&(*id).into())?.ok_or(Error::NotFound((*id).into()))?;
    let mut detached: Dict = load_commitmeta(&txn, id)?.unwrap_or_default();
    let all = commitmeta::signatures(&detached, kind)?;
    let by_one_of_them =
        |signature: &[u8]| sets.iter().any(|keys| keys.verify(&commit, &[signature]).is_ok());
    let kept: Vec<Vec<u8>> = all
        .iter()
        .filter(|signature| !by_one_of_them(signature))
        .map(|signature| signature.to_vec())
        .collect();
    let deleted = all.len() - kept.len();
    if deleted > 0 {
        commitmeta::set_signatures(&mut detached, kind, kept);
        txn.set_detached(id, &detached)?;
        locate::commit(txn, &session.ctx)?;
    }
    Ok(writeln!(session.out, "Signatures deleted: {deleted}")?)
}
