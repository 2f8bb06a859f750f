//! `diff`: what differs between two commits or directories.

use std::io::Write;

use anyhow::Context;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use serde::Serialize;

use super::{Common, resolve};
use crate::cli::terminal::{Session, size};
use crate::diff::{self, Changes, DiffStats, FilesOptions, Side};
use crate::format::{ObjectName, RepoMode};
use crate::repo::Repo;
use crate::store::{XattrPolicy, load_commit};

/// Arguments of `diff`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Count objects, and those that both have
    #[arg(long)]
    stats: bool,
    /// List files that differ; the default without --stats
    #[arg(long)]
    fs_diff: bool,
    /// Do not compare extended attributes
    #[arg(long)]
    no_xattrs: bool,
    /// Owner to take for files of a directory
    #[arg(long, value_name = "UID")]
    owner_uid: Option<i64>,
    /// Group to take for files of a directory
    #[arg(long, value_name = "GID")]
    owner_gid: Option<i64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// A commit, or a directory that starts with `/` or `./`; if only one commit is given, its parent
    #[arg(value_name = "REV_OR_DIR")]
    from: String,
    /// The commit or directory to compare with; a directory starts with `/` or `./`
    #[arg(value_name = "REV_OR_DIR")]
    to: Option<String>,
}

#[derive(Serialize)]
struct Json {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    changes: Option<Changes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<DiffStats>,
}

/// Prints changed, deleted and added files, or statistics.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let (from, to) = match &args.to {
        Some(to) => (args.from.clone(), to.clone()),
        None => (format!("{}^", args.from), args.from.clone()),
    };
    session.ctx.phase("Comparing", None, None);
    let changes = match args.fs_diff || !args.stats {
        true => Some(diff::changes(side(args, &repo, &from)?, side(args, &repo, &to)?, &session.ctx)?),
        false => None,
    };
    let stats = match args.stats {
        true => {
            let mut stored = |name: &ObjectName| repo.object_bytes(name);
            Some(diff::stats(&repo, &from.parse()?, &to.parse()?, &mut stored, &session.ctx)?)
        }
        false => None,
    };
    if args.json {
        return session.out.json(&Json { changes, stats });
    }
    if let Some(changes) = changes {
        write!(session.out, "{changes}")?;
    }
    if let Some(stats) = stats {
        print_stats(&stats, session)?;
    }
    Ok(())
}

/// What `given` names: a directory if it looks like a path to one, else a commit.
fn side<'a>(args: &Args, repo: &'a Repo, given: &str) -> anyhow::Result<Side<'a>> {
    if !given.starts_with('/') && !given.starts_with("./") {
        let root = load_commit(repo, &resolve(repo, given)?)?.root;
        return Ok(Side::Tree { store: repo, root });
    }
    let dir =
        Dir::open_ambient_dir(given, ambient_authority()).with_context(|| format!("opendir({given})"))?;
    // A repository that keeps no xattrs cannot tell whether they changed.
    let drop = args.no_xattrs || repo.mode() == RepoMode::BareUserOnly;
    let id = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok());
    let options = FilesOptions {
        xattrs: if drop { XattrPolicy::Drop } else { XattrPolicy::Keep },
        owner_uid: id(args.owner_uid),
        owner_gid: id(args.owner_gid),
    };
    Ok(Side::Files { dir, options })
}

fn print_stats(stats: &DiffStats, session: &mut Session) -> anyhow::Result<()> {
    let out = &mut session.out;
    writeln!(out, "[A] Object Count: {}", stats.from_objects)?;
    writeln!(out, "[B] Object Count: {}", stats.to_objects)?;
    writeln!(out, "Common Object Count: {}", stats.common_objects)?;
    Ok(writeln!(out, "Common Object Size: {}", size(stats.common_bytes))?)
}
