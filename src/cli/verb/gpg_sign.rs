//! `gpg-sign`: adds or removes OpenPGP signatures of a commit.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;

use super::{Common, resolve, signing};
use crate::cli::locate;
use crate::cli::terminal::Session;
use crate::format::CommitId;
use crate::format::commitmeta::{self, SignatureKind};
use crate::host::{self, Machine};
use crate::repo::{Repo, Transaction};
use crate::sign::gpg;
use crate::store::{Error, ObjectRead, Txn, load_commitmeta};

/// Arguments of `gpg-sign`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Remove the signatures made by these keys
    #[arg(short, long)]
    delete: bool,
    /// Where secret keys are: a GnuPG directory, or an exported key file [default: GNUPGHOME, ~/.gnupg]
    #[arg(long, value_name = "HOMEDIR")]
    gpg_homedir: Option<PathBuf>,
    /// The commit
    commit: String,
    /// Keys: key ids, fingerprints, mail addresses
    #[arg(value_name = "KEY-ID", required = true)]
    key_ids: Vec<String>,
}

/// Signs, or removes signatures.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    repo.require_writable()?;
    let id = resolve(&repo, &args.commit)?;
    let txn = locate::begin(&repo, &session.ctx)?;
    // Others may sign the same commit at the same time.
    let _lock = repo.lock_edits(&session.ctx)?;
    if args.delete {
        let deleted = delete(args, &repo, txn, &id, session)?;
        return Ok(writeln!(session.out, "Signatures deleted: {deleted}")?);
    }
    let already = signing::gpg_sign(&txn, &id, &args.key_ids, args.gpg_homedir.as_deref())?;
    locate::commit(txn, &session.ctx)?;
    match already.first() {
        Some(key) => bail!("{}", signing::signed_already(key)),
        None => Ok(()),
    }
}

fn delete(
    args: &Args,
    repo: &Repo,
    txn: Transaction<'_>,
    id: &CommitId,
    session: &Session,
) -> anyhow::Result<usize> {
    let Some(mut detached) = load_commitmeta(&txn, id)? else { return Ok(0) };
    let commit = repo.read_meta(&(*id).into())?.ok_or(Error::NotFound((*id).into()))?;
    let keyring = Machine::from_env().all_keys(repo, args.gpg_homedir.as_deref())?;
    let verdicts = host::verdicts(&keyring, &commit, Some(&detached))?;
    let signatures = commitmeta::signatures(&detached, SignatureKind::Gpg)?;
    let mut kept: Vec<Option<Vec<u8>>> = signatures.into_iter().map(|s| Some(s.to_vec())).collect();
    for key in &args.key_ids {
        // A key that is not known, or did not sign, removes nothing.
        if let Ok(Some(at)) = gpg::lookup(&keyring, &verdicts, key)
            && let Some(signature) = kept.get_mut(at)
        {
            *signature = None;
        }
    }
    let deleted = kept.iter().filter(|signature| signature.is_none()).count();
    commitmeta::set_signatures(&mut detached, SignatureKind::Gpg, kept.into_iter().flatten().collect());
    txn.set_detached(id, &detached)?;
    locate::commit(txn, &session.ctx)?;
    Ok(deleted)
}
