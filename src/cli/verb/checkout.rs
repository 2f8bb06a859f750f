//! `checkout`: a commit becomes a directory.

mod image;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use rustix::fs::CWD;

use super::commit::changes::policy_in;
use super::{Common, resolve};
use crate::base::{ErrorKind, Kind, WithCauses};
use crate::cli::room::{Kept, Writing};
use crate::cli::terminal::{self, Session};
use crate::composefs::FileDigests;
use crate::repo::Repo;
use crate::store::selinux::{Labeling, UsrEtc};
use crate::store::{Error, SkipList, load_commit};
use crate::tree::{
    CheckoutOptions, DirectoryModes, Linking, MissingSubpath, Overwrite, Ownership, PassthroughWhiteouts,
    PlainFiles, Relabel, Sync, Whiteouts, checkout,
};

/// Arguments of `checkout`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Do not set owners and xattrs
    #[arg(short = 'U', long)]
    user_mode: bool,
    /// Do not link to the uncompressed files that an archive keeps for user-mode checkouts
    #[arg(long)]
    disable_cache: bool,
    /// Check out only this directory or file
    #[arg(long, value_name = "PATH")]
    subpath: Option<String>,
    /// Keep directories that are there, replace files
    #[arg(long)]
    union: bool,
    /// Keep files and directories that are there
    #[arg(long)]
    union_add: bool,
    /// Keep files and directories that are there; it is an error if a file differs
    #[arg(long)]
    union_identical: bool,
    /// Let whiteout files (`.wh.NAME`) delete
    #[arg(long)]
    whiteouts: bool,
    /// Make whiteout devices of overlayfs out of `.ostree-wh.NAME`
    #[arg(long)]
    process_passthrough_whiteouts: bool,
    /// Do nothing if the subpath does not exist
    #[arg(long)]
    allow_noent: bool,
    /// Read many commits and subpaths from standard input, with a NUL behind each
    #[arg(long)]
    from_stdin: bool,
    /// Read many commits and subpaths from a file, with a NUL behind each
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// Whether to wait for the disk
    #[arg(long, value_name = "POLICY", value_parser = super::boolean)]
    fsync: Option<bool>,
    /// Fail if a file cannot be hard-linked
    #[arg(short = 'H', long)]
    require_hardlinks: bool,
    /// Do not hard-link empty files
    #[arg(short = 'z', long, hide = true)]
    force_copy_zerosized: bool,
    /// Never hard-link
    #[arg(short = 'C', long)]
    force_copy: bool,
    /// Leave mode bits outside of 0775 away from directories
    #[arg(short = 'M', long)]
    bareuseronly_dirs: bool,
    /// A file with paths to leave out
    #[arg(long, value_name = "FILE")]
    skip_list: Option<PathBuf>,
    /// Label files as the SELinux policy in the root file system PATH says; they are never hard-linked then
    #[arg(long, value_name = "PATH")]
    selinux_policy: Option<PathBuf>,
    /// The path at which the destination will be, for --selinux-policy [default: that of --subpath]
    #[arg(long, value_name = "PREFIX")]
    selinux_prefix: Option<String>,
    /// Write the image that composefs mounts, with the fs-verity digest of every file, instead of files
    #[arg(long)]
    composefs: bool,
    /// Write that image without digests: nobody can tell from it whether a file is right
    #[arg(long)]
    composefs_noverity: bool,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    /// The commit; with --from-stdin or --from-file, the destination
    commit: String,
    /// The directory [default: named like the commit]
    destination: Option<PathBuf>,
}

/// Checks out one commit, or many.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let image = image::asked_for(args)?;
    let mut options = options(args)?.for_mode(repo.mode());
    if repo.config().disable_xattrs {
        options.labels = None;
    }
    let list = match (&args.from_file, args.from_stdin) {
        (_, true) => read_list(io::stdin().lock())?,
        (Some(file), false) => {
            read_list(fs::File::open(file).with_context(|| format!("Opening {}", file.display()))?)?
        }
        (None, false) => {
            let destination = args.destination.as_deref().unwrap_or(Path::new(&args.commit));
            return one(&repo, &args.commit, destination, image, &options, session);
        }
    };
    let destination = Path::new(&args.commit);
    for (rev, subpath) in list {
        let subpath = Some(subpath).filter(|path| !path.is_empty());
        let options = CheckoutOptions { subpath, ..options.clone() };
        one(&repo, &rev, destination, image, &options, session)
            .with_context(|| format!("Processing tree {rev}"))?;
    }
    Ok(())
}

fn one(
    repo: &Repo,
    rev: &str,
    destination: &Path,
    image: Option<FileDigests>,
    options: &CheckoutOptions,
    session: &Session,
) -> anyhow::Result<()> {
    let commit = load_commit(repo, &resolve(repo, rev)?)?;
    if let Some(digests) = image {
        return image::write(repo, &commit, destination, digests, session);
    }
    session.ctx.phase("Checking out", None, None);
    if options.linking == Linking::Require {
        same_device(repo, destination)?;
    }
    checkout(repo, commit.root, CWD, destination, options, &session.ctx)
        .map_err(|error| failed(error, destination))
}

/// Refuses a destination to which no object can be linked, before anything is written there.
fn same_device(repo: &Repo, destination: &Path) -> anyhow::Result<()> {
    let parent = destination.parent().filter(|parent| !parent.as_os_str().is_empty());
    let place = if destination.is_dir() { destination } else { parent.unwrap_or(Path::new(".")) };
    let from = cap_std::fs::MetadataExt::dev(&repo.dir().dir_metadata()?);
    let to = fs::metadata(place).map(|place| std::os::unix::fs::MetadataExt::dev(&place));
    match to {
        Ok(to) if to != from => {
            bail!(
                "Unable to do hardlink checkout across devices (src={from} destination={to}); hard links stay on one \
                 file system, and without -H files are copied"
            )
        }
        // One that is not there is told of when it is opened.
        _ => Ok(()),
    }
}

/// What is said of a checkout that failed.
fn failed(error: Error, destination: &Path) -> anyhow::Error {
    match error {
        Error::Exists(_) => anyhow!("{error}: --union writes into it, or name another directory"),
        Error::Io { .. } if !is_above_there(destination) => {
            anyhow!("{}: name a destination in a directory that exists", WithCauses(&error))
        }
        Error::Owner { .. } => anyhow!("{}; --user-mode (-U) leaves owners as they are", WithCauses(&error)),
        error if error.kind() == ErrorKind::Exhausted => {
            let place = format!("Writing {}", destination.display());
            let writing = Writing { place, path: Some(destination.to_owned()), kept: Kept::Nothing };
            anyhow::Error::new(error).context(writing)
        }
        error => error.into(),
    }
}

/// Whether the directory exists in which the destination is to be.
fn is_above_there(destination: &Path) -> bool {
    destination.parent().is_none_or(|above| above.as_os_str().is_empty() || above.exists())
}

/// Pairs of revision and subpath, with a NUL behind each.
fn read_list(mut from: impl Read) -> anyhow::Result<Vec<(String, String)>> {
    let mut text = String::new();
    from.read_to_string(&mut text).context("Reading the list of checkouts")?;
    let mut words = text.split('\0');
    let mut list = Vec::new();
    while let Some(rev) = words.next().filter(|rev| !rev.is_empty()) {
        list.push((rev.to_owned(), words.next().unwrap_or_default().to_owned()));
    }
    Ok(list)
}

fn options(args: &Args) -> anyhow::Result<CheckoutOptions> {
    let overwrite = match (args.union, args.union_add, args.union_identical) {
        (false, false, false) => Overwrite::Never,
        (true, false, false) => Overwrite::UnionFiles,
        (false, true, false) => Overwrite::AddFiles,
        (false, false, true) if !args.require_hardlinks => {
            bail!("--union-identical requires --require-hardlinks")
        }
        (false, false, true) => Overwrite::UnionIdentical,
        (true, true, _) => bail!("Cannot specify both --union and --union-add"),
        (true, false, true) => bail!("Cannot specify both --union and --union-identical"),
        (false, true, true) => bail!("Cannot specify both --union-add and --union-identical"),
    };
    let linking = match (args.require_hardlinks, args.force_copy || args.selinux_policy.is_some()) {
        (false, false) => Linking::Prefer,
        (true, false) => Linking::Require,
        (false, true) => Linking::Never,
        (true, true) => bail!("Cannot specify both --require-hardlinks and --force-copy"),
    };
    if args.selinux_prefix.is_some() && args.selinux_policy.is_none() {
        bail!("Cannot specify --selinux-prefix without --selinux-policy");
    }
    let skip = match &args.skip_list {
        Some(file) => {
            SkipList::parse(&fs::read_to_string(file).with_context(|| format!("openat({})", file.display()))?)
        }
        None => SkipList::default(),
    };
    Ok(CheckoutOptions {
        ownership: if args.user_mode { Ownership::User } else { Ownership::Commit },
        overwrite,
        linking,
        plain_files: match linking {
            Linking::Prefer if !args.disable_cache => PlainFiles::Link,
            _ => PlainFiles::Leave,
        },
        whiteouts: if args.whiteouts { Whiteouts::Process } else { Whiteouts::Keep },
        passthrough_whiteouts: match args.process_passthrough_whiteouts {
            true => PassthroughWhiteouts::Process,
            false => PassthroughWhiteouts::Keep,
        },
        directory_modes: match args.bareuseronly_dirs {
            true => DirectoryModes::Canonical,
            false => DirectoryModes::Commit,
        },
        subpath: args.subpath.clone(),
        missing_subpath: if args.allow_noent { MissingSubpath::Ignore } else { MissingSubpath::Refuse },
        skip,
        labels: labels(args)?,
        sync: if args.fsync == Some(true) { Sync::Each } else { Sync::Later },
    })
}

/// The labels that files get, if there is a policy.
fn labels(args: &Args) -> anyhow::Result<Option<Relabel>> {
    let Some(root) = &args.selinux_policy else { return Ok(None) };
    if !root.is_dir() {
        bail!("selinux-policy: opendir({}): no such directory", root.display());
    }
    let Some(policy) = policy_in(root)? else {
        let shown = root.display();
        terminal::say(format_args!("There is no SELinux policy in {shown}: files keep their labels"));
        return Ok(None);
    };
    let prefix = args.selinux_prefix.as_ref().or(args.subpath.as_ref());
    let labeling = Labeling { policy: Arc::new(policy), usr_etc: UsrEtc::AsItIs };
    let prefix = format!("/{}", prefix.map_or("", |prefix| prefix.trim_start_matches('/')));
    Ok(Some(Relabel { labeling, prefix }))
}
