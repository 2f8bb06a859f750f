//! `create-usb`: copies refs of collections into a repository on a volume that is carried to other machines.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::{Common, collection_refs};
use crate::base::Inode;
use crate::cli::locate;
use crate::cli::terminal::Session;
use crate::format::variant::Dict;
use crate::format::{CollectionId, CommitId, RefName, RepoMode};
use crate::repo::summary::SummaryOptions;
use crate::repo::{Fsync, Repo};
use crate::store::{check_bindings, load_commit};
use crate::transfer::{self, TransferOptions};

/// Where a volume is looked into for repositories, whoever mounts it.
const WELL_KNOWN: [&str; 2] = [".ostree/repo", "ostree/repo"];
/// Links to repositories that lie elsewhere on the volume.
const LINKS: &str = ".ostree/repos.d";
/// The names that a link may have.
const MAX_LINKS: u32 = 100;

/// Arguments of `create-usb`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Do not wait for the disk
    #[arg(long)]
    disable_fsync: bool,
    /// The repository on the volume
    #[arg(long, value_name = "DEST", default_value = WELL_KNOWN[0])]
    destination_repo: PathBuf,
    /// The commit to copy for a single ref [default: the one that the ref names]
    #[arg(long)]
    commit: Option<CommitId>,
    /// Where the volume is mounted
    #[arg(value_name = "MOUNT-PATH")]
    mount: PathBuf,
    /// Collections and the refs of each that are copied
    #[arg(value_name = "COLLECTION-ID REF", required = true, num_args = 2..)]
    refs: Vec<String>,
}

/// Copies the refs, and leaves a summary for those who look for them.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let refs = collection_refs(&args.refs)?;
    if args.commit.is_some() && refs.len() > 1 {
        bail!("The --commit option can only be used when a single COLLECTION-ID REF pair is specified");
    }
    let source = args.common.open()?;
    let opening = || args.mount.display().to_string();
    let volume = Dir::open_ambient_dir(&args.mount, ambient_authority()).with_context(opening)?;
    let target = open_target(args, &source, &volume)?;
    let known = source.collection_refs()?;
    let wanted = refs.into_iter().map(|(id, name)| {
        let commit = args.commit.or_else(|| known.get(&(id.clone(), name.clone())).copied());
        let commit = commit.with_context(|| format!("No such ref ({id}, {name}) in the repository"))?;
        Ok((id, name, commit))
    });
    let wanted: Vec<(CollectionId, RefName, CommitId)> = wanted.collect::<anyhow::Result<_>>()?;
    for (id, name, commit) in &wanted {
        let metadata = load_commit(&source, commit)?.metadata;
        check_bindings(&metadata, Some(name), Some(id)).with_context(|| format!("Commit {commit}"))?;
    }
    let commits: Vec<CommitId> = wanted.iter().map(|(_, _, commit)| *commit).collect();
    locate::in_transaction(&target, &session.ctx, |txn| {
        transfer::copy(&source, txn, &commits, &TransferOptions::default(), &session.ctx)?;
        for (id, name, commit) in &wanted {
            txn.set_collection_ref(id, name, Some(*commit))?;
        }
        Ok(())
    })?;
    target.update_summary(&Dict::new(), &SummaryOptions::default(), &session.ctx)?;
    link(&volume, &args.destination_repo)?;
    let (count, from) = (wanted.len(), args.common.repo.path()?);
    let (from, to, mount) = (from.display(), args.destination_repo.display(), args.mount.display());
    Ok(writeln!(
        session.out,
        "Copied {count}/{count} refs successfully from ‘{from}’ to ‘{to}’ repository in ‘{mount}’."
    )?)
}

/// The repository on the volume, which is made if it is not there: of mode archive, which any file system can keep.
fn open_target(args: &Args, source: &Repo, volume: &Dir) -> anyhow::Result<Repo> {
    let path = &args.destination_repo;
    let shown = || format!("{} in {}", path.display(), args.mount.display());
    volume.create_dir_all(path).with_context(shown)?;
    let dir = volume.open_dir(path).with_context(shown)?;
    let inode = |dir: &Dir| dir.dir_metadata().map(|metadata| Inode::from(&metadata));
    let there = inode(&dir)?;
    if there.device != inode(volume)?.device {
        bail!("--destination-repo must be a descendent of MOUNT-PATH");
    }
    if there == inode(source.dir())? {
        bail!("--destination-repo must not be the source repository");
    }
    let mut target = Repo::create(dir, RepoMode::Archive, None).with_context(shown)?;
    target.require_writable()?;
    if args.disable_fsync {
        target.set_fsync(Fsync::Never);
    }
    Ok(target)
}

/// Makes a link to a repository that lies where nobody would look, unless there is one.
fn link(volume: &Dir, repo: &Path) -> anyhow::Result<()> {
    if WELL_KNOWN.iter().any(|path| repo == Path::new(path)) {
        return Ok(());
    }
    volume.create_dir_all(LINKS).context(LINKS)?;
    let links = volume.open_dir(LINKS).context(LINKS)?;
    let repo_file = Inode::from(&volume.metadata(repo)?);
    for entry in links.entries().context(LINKS)? {
        // By its path on the volume: a link may lead out of its own directory, but not further. One that leads nowhere
        // does not lead there.
        let path = Path::new(LINKS).join(entry.context(LINKS)?.file_name());
        let found = volume.metadata(path);
        if found.is_ok_and(|found| Inode::from(&found) == repo_file) {
            return Ok(());
        }
    }
    let target = Path::new("../..").join(repo);
    for number in 0..MAX_LINKS {
        let made = links.symlink(&target, format!("{number:02}-generated"));
        match made {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => return made.with_context(|| format!("{LINKS}/{number:02}-generated")),
        }
    }
    bail!("Could not find an unused symlink name for the repository in {LINKS}")
}
