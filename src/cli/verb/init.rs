//! `init`: an empty repository.

use std::fs;
use std::io;

use anyhow::Context;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::Common;
use crate::cli::terminal::warn;
use crate::format::{CollectionId, RepoMode};
use crate::repo::Repo;

/// Arguments of `init`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// How objects are kept
    #[arg(long, default_value = "bare", value_parser = modes())]
    mode: RepoMode,
    /// A globally unique name for this collection of refs, such as org.example.Os
    #[arg(long, value_name = "COLLECTION-ID")]
    collection_id: Option<CollectionId>,
}

/// Reads a mode, and knows them all.
fn modes() -> impl TypedValueParser<Value = RepoMode> {
    let modes = RepoMode::ALL.map(|mode| match mode {
        RepoMode::Archive => PossibleValue::new("archive").alias(mode.as_str()),
        _ => PossibleValue::new(mode.as_str()),
    });
    PossibleValuesParser::new(modes).try_map(|mode| mode.parse())
}

/// Creates the repository; one that is already there is completed.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let path = args.common.repo.path()?;
    match fs::create_dir(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("Creating repository {}", path.display()));
        }
        _ => {}
    }
    let dir = Dir::open_ambient_dir(&path, ambient_authority())
        .with_context(|| format!("opendir({})", path.display()))?;
    let repo = Repo::create(dir, args.mode, args.collection_id.as_ref())?;
    if repo.mode() != args.mode {
        warn(&format!("{} is a repository already, and stays one of mode {}", path.display(), repo.mode()));
    }
    Ok(())
}
