//! `pull-local`: copies commits from another repository of this machine.

mod by_deltas;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};

use super::{Common, no_key, require_files_writable};
use crate::cli::locate;
use crate::cli::near;
use crate::cli::terminal::{Session, size};
use crate::format::variant::Dict;
use crate::format::{Checksum, CollectionId, CommitId, CommitRef, RefName, RefSpec, RemoteName, Summary};
use crate::host::{Machine, SignedBy, require_signature};
use crate::repo::{Fsync, Repo, TransactionStats};
use crate::sign::gpg::Keyring;
use crate::store::{CommitBytes, Depth, Error, Refs, Refusal, Txn, Voucher, check_bindings};
use crate::transfer::{self, Extent, FileModes, TransferOptions, TransferStats, Trust};

/// Arguments of `pull-local`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Copy only commit objects
    #[arg(long)]
    commit_metadata_only: bool,
    /// Write the refs as those of this remote
    #[arg(long)]
    remote: Option<RemoteName>,
    /// Do not wait for the disk
    #[arg(long)]
    disable_fsync: bool,
    /// Wait for the disk after each object
    #[arg(long)]
    per_object_fsync: bool,
    /// Verify the checksum of every object; without this, the source is believed
    #[arg(long)]
    untrusted: bool,
    /// Refuse files with a mode outside of 0775
    #[arg(long)]
    bareuseronly_files: bool,
    /// Use no static deltas, as without this option
    #[arg(long)]
    disable_static_deltas: bool,
    /// Take what is needed from static deltas, or fail
    #[arg(long, conflicts_with = "disable_static_deltas")]
    require_static_deltas: bool,
    /// Demand OpenPGP signatures on commits, by the keys of --remote
    #[arg(long, value_name = "BOOL", value_parser = super::boolean, num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "false", default_missing_value = "true", hide_default_value = true)]
    gpg_verify: bool,
    /// Demand an OpenPGP signature on the summary, by the keys of --remote, and take refs as it has them
    #[arg(long, value_name = "BOOL", value_parser = super::boolean, num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "false", default_missing_value = "true", hide_default_value = true)]
    gpg_verify_summary: bool,
    /// Do not ask whether commits are bound to the refs
    #[arg(long)]
    disable_verify_bindings: bool,
    /// How many parents to copy too; -1 for all
    #[arg(long, default_value_t = 0, allow_hyphen_values = true, value_parser = clap::value_parser!(i64).range(-1..))]
    depth: i64,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    /// The repository to copy from
    #[arg(value_name = "SRC_REPO")]
    source: PathBuf,
    /// Refs or checksums of commits [default: all refs of the source, which have to be local ones]
    #[arg(value_name = "REF")]
    refs: Vec<String>,
}

/// A ref of the source and its commit.
type Wanted = (Option<RefName>, CommitId);

/// Copies, then writes the refs.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let mut repo = args.common.open()?;
    require_files_writable(&repo)?;
    match (args.disable_fsync, args.per_object_fsync) {
        (true, _) => repo.set_fsync(Fsync::Never),
        (false, true) => repo.set_fsync(Fsync::Object),
        (false, false) => {}
    }
    let source = locate::open(&args.source).context("opening repo")?;
    let keyring = match (&args.remote, args.gpg_verify || args.gpg_verify_summary) {
        (_, false) => None,
        (None, true) => bail!("Must specify remote name to enable gpg verification"),
        (Some(remote), true) => Some(Machine::from_env().keyring_of_remote(&repo, remote)?),
    };
    if let (Some(remote), Some(keyring)) = (&args.remote, &keyring)
        && keyring.is_empty()
    {
        bail!("{}", no_key(remote));
    }
    let keyring_of_summary = keyring.as_ref().filter(|_| args.gpg_verify_summary);
    let summary = keyring_of_summary.map(|keyring| verified_summary(&source, keyring)).transpose()?;
    let wanted = wanted(args, &source, summary.as_ref())?;
    let signed_by = keyring.as_ref().filter(|_| args.gpg_verify).cloned().map(SignedBy);
    let mut judge = Judge { signed_by, names: BTreeMap::new(), collection: None };
    if !args.disable_verify_bindings {
        judge.bind(&wanted, source.config().collection_id()?.cloned());
    }
    let options = TransferOptions {
        depth: u32::try_from(args.depth).map_or(Depth::All, Depth::Parents),
        trust: if args.untrusted { Trust::Nothing } else { Trust::Source },
        extent: if args.commit_metadata_only { Extent::CommitOnly } else { Extent::Full },
        file_modes: if args.bareuseronly_files { FileModes::BareUserOnly } else { FileModes::Any },
        voucher: Some(&judge),
    };
    let told = match args.require_static_deltas {
        true => by_deltas::pull(args, (&source, &repo), wanted, options, session)?,
        false => {
            let (copied, stats) = copy(args, (&source, &repo), wanted, &options, session)?;
            let (metadata, content) = (copied.metadata_objects, copied.content_objects);
            let written = size(stats.content_bytes_written);
            format!("{metadata} metadata, {content} content objects imported; {written} content written")
        }
    };
    if !args.quiet {
        writeln!(session.out, "{told}")?;
    }
    Ok(())
}

/// Copies what is wanted, object by object.
fn copy(
    args: &Args,
    (source, repo): (&Repo, &Repo),
    wanted: Vec<Wanted>,
    options: &TransferOptions<'_>,
    session: &Session,
) -> anyhow::Result<(TransferStats, TransactionStats)> {
    let commits: Vec<CommitId> = wanted.iter().map(|(_, id)| *id).collect();
    locate::in_transaction(repo, &session.ctx, |txn| {
        let copied = transfer::copy(source, txn, &commits, options, &session.ctx)?;
        for (name, id) in wanted {
            if let Some(name) = name {
                txn.set_ref(&RefSpec { remote: args.remote.clone(), name }, Some(id))?;
            }
        }
        Ok(copied)
    })
}

/// What refs name is what the summary says, if that was verified, or else what the source says.
fn wanted(args: &Args, source: &Repo, summary: Option<&Summary>) -> anyhow::Result<Vec<Wanted>> {
    let in_summary = |name: &RefName, summary: &Summary| match summary.find(name) {
        Some(found) => Ok(found.commit),
        None => bail!("No such branch '{name}' in repository summary"),
    };
    if args.refs.is_empty() {
        let every = source.list()?.into_iter().map(|(refspec, id)| {
            let name = local(refspec)?;
            let id = summary.map_or(Ok(id), |summary| in_summary(&name, summary))?;
            Ok((Some(name), id))
        });
        return every.collect();
    }
    let one = |given: &String| -> anyhow::Result<Wanted> {
        if let Ok(checksum) = given.parse::<Checksum>() {
            return Ok((None, CommitId::new(checksum)));
        }
        let name: RefName = given.parse().with_context(|| format!("Invalid ref name {given}"))?;
        if let Some(summary) = summary {
            let id = in_summary(&name, summary)?;
            return Ok((Some(name), id));
        }
        let refspec = RefSpec::from(name.clone());
        let missing = |refspec| near::with_nearest_ref(source, Error::RefNotFound(refspec));
        let id = source.resolve(&refspec)?.ok_or_else(|| missing(refspec))?;
        Ok((Some(name), id))
    };
    args.refs.iter().map(one).collect()
}

/// The name of a local ref. A remote's would become one that means another thing: who wants it names it.
fn local(refspec: RefSpec) -> anyhow::Result<RefName> {
    match refspec.remote {
        None => Ok(refspec.name),
        Some(_) => bail!("Invalid ref name {refspec}: it is a remote's; name the refs that are to be copied"),
    }
}

/// What is asked of each commit before anything of it is written.
struct Judge {
    signed_by: Option<SignedBy>,
    /// The refs to which commits have to be bound, and the collection that these are in.
    names: BTreeMap<CommitId, Vec<RefName>>,
    collection: Option<CollectionId>,
}

impl Judge {
    /// Asks that commits are bound to the refs that they are wanted for.
    fn bind(&mut self, wanted: &[Wanted], collection: Option<CollectionId>) {
        self.collection = collection;
        for (name, commit) in wanted {
            self.names.entry(*commit).or_default().extend(name.clone());
        }
    }
}

impl Voucher for Judge {
    fn vouch(&self, commit: &CommitBytes<'_>) -> Result<(), Refusal> {
        self.signed_by.as_ref().map_or(Ok(()), |signed_by| signed_by.vouch(commit))?;
        for name in self.names.get(&commit.id).into_iter().flatten() {
            let metadata = CommitRef::parse(commit.bytes).and_then(|commit| commit.metadata());
            let metadata = metadata.map_err(Error::corrupt(commit.id))?;
            check_bindings(&metadata, Some(name), self.collection.as_ref())
                .map_err(|why| format!("Commit {}: {why}", commit.id))?;
        }
        Ok(())
    }
}

fn verified_summary(source: &Repo, keyring: &Keyring) -> anyhow::Result<Summary> {
    let missing = |what: &'static str| {
        move |error: std::io::Error| {
            anyhow!(error).context(format!("GPG verification enabled, but no {what} found"))
        }
    };
    let summary = source.dir().read("summary").map_err(missing("summary"))?;
    let signatures = source.dir().read("summary.sig").map_err(missing("summary signatures"))?;
    let signatures = Dict::parse(&signatures).context("summary.sig")?;
    require_signature(keyring, &summary, Some(&signatures)).context("summary")?;
    Summary::parse(&summary).context("summary")
}
