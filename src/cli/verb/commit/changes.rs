//! What `commit` changes in files on their way in.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};

use crate::cli::terminal;
use crate::repo::Repo;
use crate::store::selinux::{Labeling, SelinuxPolicy, UsrEtc};
use crate::store::{Error, Executables, Modifier, Permissions, SkipList, StatOverrides, XattrPolicy};

/// Options that change files.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Owner of all files
    #[arg(long, value_name = "UID")]
    owner_uid: Option<i64>,
    /// Group of all files
    #[arg(long, value_name = "GID")]
    owner_gid: Option<i64>,
    /// Owner and group 0, mode `& 0755`, no xattrs
    #[arg(long)]
    canonical_permissions: bool,
    /// Nobody may write executable files
    #[arg(long)]
    mode_ro_executables: bool,
    /// Leave xattrs out
    #[arg(long)]
    no_xattrs: bool,
    /// Label files as the SELinux policy in the root file system PATH says
    #[arg(long, value_name = "PATH")]
    selinux_policy: Option<PathBuf>,
    /// Label files as the SELinux policy in --base says, or else that in the first --tree
    #[arg(short = 'P', long, conflicts_with = "selinux_policy")]
    selinux_policy_from_base: bool,
    /// 1: label /usr/etc as /etc, whatever the policy says
    #[arg(long, value_name = "EPOCH", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=1))]
    selinux_labeling_epoch: u8,
    /// A file with lines `MODE PATH` (adds bits) and `=MODE PATH` (replaces them), MODE decimal
    #[arg(long, value_name = "PATH")]
    statoverride: Option<PathBuf>,
    /// A file with paths to leave out
    #[arg(long, value_name = "PATH")]
    skip_list: Option<PathBuf>,
}

impl Options {
    /// The changes, with those that the mode of the repository asks for.
    pub(crate) fn modifier(&self, repo: &Repo) -> anyhow::Result<Modifier> {
        for (option, value) in [("uid", self.owner_uid), ("gid", self.owner_gid)] {
            if self.canonical_permissions && value.is_some_and(|id| id > 0) {
                bail!("Cannot specify both --canonical-permissions and non-zero --owner-{option}");
            }
            if value.is_some_and(|id| id > u32::MAX.into()) {
                bail!(
                    "--owner-{option} {}: no owner has a number above {}",
                    value.unwrap_or_default(),
                    u32::MAX
                );
            }
        }
        // A negative owner is none.
        let id = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok());
        let modifier = Modifier {
            uid: id(self.owner_uid),
            gid: id(self.owner_gid),
            permissions: if self.canonical_permissions { Permissions::Canonical } else { Permissions::Keep },
            executables: if self.mode_ro_executables { Executables::ReadOnly } else { Executables::Keep },
            xattrs: if self.no_xattrs { XattrPolicy::Drop } else { XattrPolicy::Keep },
            selinux: match &self.selinux_policy {
                Some(root) if !root.is_dir() => bail!("opendir({}): no such directory", root.display()),
                Some(root) => self.labeling(policy_in(root)?, &root.display().to_string()),
                None => None,
            },
            stat_overrides: match &self.statoverride {
                Some(file) => {
                    StatOverrides::parse(&read(file)?).with_context(|| file.display().to_string())?
                }
                None => StatOverrides::default(),
            },
            skip: match &self.skip_list {
                Some(file) => SkipList::parse(&read(file)?),
                None => SkipList::default(),
            },
            filter: None,
        };
        let mut modifier = modifier.for_mode(repo.mode());
        if repo.config().disable_xattrs {
            modifier.xattrs = XattrPolicy::Drop;
        }
        Ok(modifier)
    }
}

impl Options {
    /// Whether the first tree says how files are labeled.
    pub(crate) fn labels_from_base(&self) -> bool {
        self.selinux_policy_from_base
    }

    /// Labels as `policy` says, which was looked for in `root`. Without one there are none, as with C ostree, but
    /// it is said.
    pub(crate) fn labeling(&self, policy: Option<SelinuxPolicy>, root: &str) -> Option<Labeling> {
        let Some(policy) = policy else {
            terminal::say(format_args!("There is no SELinux policy in {root}: files are not labeled"));
            return None;
        };
        let usr_etc = if self.selinux_labeling_epoch == 0 { UsrEtc::AsItIs } else { UsrEtc::AsEtc };
        Some(Labeling { policy: Arc::new(policy), usr_etc })
    }
}

/// The policy in a root file system.
pub(crate) fn policy_in(root: &Path) -> anyhow::Result<Option<SelinuxPolicy>> {
    let read = |path: &str| match fs::read(root.join(path)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(Error::Io { op: "open", path: root.join(path), source }),
    };
    let mut read = read;
    Ok(SelinuxPolicy::load(&mut read)?)
}

/// Says which lines of statoverride and skip-list files fit nothing.
///
/// # Errors
/// If there are any.
pub(crate) fn check_matched(modifier: &Modifier) -> anyhow::Result<()> {
    for path in modifier.stat_overrides.unmatched() {
        terminal::say(format_args!("Unmatched statoverride path: {path}"));
    }
    for path in modifier.skip.unmatched() {
        terminal::say(format_args!("Unmatched skip-list path: {path}"));
    }
    Ok(modifier.check_matched()?)
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("openat({})", file.display()))
}
