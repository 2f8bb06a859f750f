//! `pull-local --require-static-deltas`: what is new comes from static deltas of the source, or not at all.

use std::time::Instant;

use anyhow::bail;

use super::super::pull::remote::told;
use super::{Args, Wanted};
use crate::cli::locate;
use crate::cli::terminal::Session;
use crate::format::RepoMode;
use crate::host::Machine;
use crate::remote::{Bindings, DeltaUse, Origin, RemoteOptions, RemotePlan, WantedRef, WantedRefs};
use crate::repo::Repo;
use crate::transfer::TransferOptions;

/// Pulls what is wanted, as a pull from a remote at `file://` does; gives back what there is to tell.
pub(super) fn pull(
    args: &Args,
    (source, repo): (&Repo, &Repo),
    wanted: Vec<Wanted>,
    options: TransferOptions<'_>,
    session: &Session,
) -> anyhow::Result<String> {
    if repo.mode() == RepoMode::Archive {
        bail!("Can't use static deltas in an archive repo");
    }
    let (started, machine) = (Instant::now(), Machine::from_env());
    let spool = || machine.temporary_file();
    let options = RemoteOptions {
        remote: args.remote.clone(),
        depth: options.depth,
        extent: options.extent,
        trust: options.trust,
        file_modes: options.file_modes,
        voucher: options.voucher,
        // The voucher looks at them.
        bindings: Bindings::Ignored,
        deltas: DeltaUse::Required,
        spool: Some(&spool),
        ..RemoteOptions::default()
    };
    let wanted = wanted.into_iter().map(|(name, id)| match name {
        Some(name) => WantedRef::Ref { collection: None, name, commit: Some(id) },
        None => WantedRef::Commit(id),
    });
    let wanted = WantedRefs::These(wanted.collect());
    let plan = RemotePlan::new(Origin::Directory(source), &wanted, options, &session.ctx)?;
    let (stats, written) =
        locate::in_transaction(repo, &session.ctx, |txn| Ok(plan.run(txn, &session.ctx)?))?;
    Ok(told(&stats, &written, false, started.elapsed()))
}
