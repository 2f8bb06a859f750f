//! `find-remotes`: looks for places that have refs of collections, and pulls from them.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use chrono::DateTime;

use super::pull::remote as pull;
use super::{Common, collection_refs};
use crate::cli::terminal::Session;
use crate::host::{Finder, FoundRemote, Machine, keyring_name};
use crate::repo::{CollectionRef, Repo};

/// Arguments of `find-remotes`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Keep summaries for the next time in this directory
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Do not wait for the disk
    #[arg(long)]
    disable_fsync: bool,
    /// Where to look: config for the remotes that are configured, mount for mounted volumes, lan for machines of the local
    /// network, which takes two seconds [default: core.default-repo-finders, else config,mount]
    #[arg(long, value_name = "FINDERS", value_delimiter = ',')]
    finders: Vec<Finder>,
    /// Pull what was found
    #[arg(long)]
    pull: bool,
    /// With --pull, write refs as those of a mirror
    #[arg(long)]
    mirror: bool,
    /// Collections and the refs of each that are looked for
    #[arg(value_name = "COLLECTION-ID REF", required = true, num_args = 2..)]
    refs: Vec<String>,
}

/// Prints who has the refs, and pulls them if that is asked for.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    if args.mirror && !args.pull {
        bail!("When --mirror is specified, --pull must also be");
    }
    let refs = collection_refs(&args.refs)?;
    let mut repo = args.common.open()?;
    let defaults = Finder::defaults(&repo)?;
    let finders = if args.finders.is_empty() { &defaults } else { &args.finders };
    let machine = Machine::from_env();
    let found = machine.find_remotes(&repo, &refs, finders, args.cache_dir.as_deref(), &session.ctx)?;
    let out = &mut session.out;
    for (number, place) in found.iter().enumerate() {
        print(out, number, place)?;
    }
    if found.is_empty() {
        return Ok(writeln!(out, "No results.")?);
    }
    let is_found = |wanted: &&CollectionRef| {
        found.iter().flat_map(|place| &place.refs).any(|(one, commit)| one == *wanted && commit.is_some())
    };
    let (there, missing): (Vec<_>, Vec<_>) = refs.iter().partition(is_found);
    writeln!(out, "{}/{} refs were found.", there.len(), refs.len())?;
    if !missing.is_empty() {
        writeln!(out, "Refs not found in any remote:")?;
        missing.iter().try_for_each(|(id, name)| writeln!(out, " - ({id}, {name})"))?;
    }
    if !args.pull {
        return Ok(());
    }
    repo.require_writable()?;
    // What nobody has was told of.
    pull_all(args, &mut repo, &there, &found, session)?;
    Ok(writeln!(session.out, "Pulled {0}/{0} refs successfully.", there.len())?)
}

fn print(out: &mut dyn Write, number: usize, place: &FoundRemote) -> anyhow::Result<()> {
    let finder = match place.finder {
        Finder::Config => "OstreeRepoFinderConfig",
        Finder::Lan => "OstreeRepoFinderAvahi",
        Finder::Mount => "OstreeRepoFinderMount",
    };
    let time = place.summary_secs.and_then(|secs| DateTime::from_timestamp(i64::try_from(secs).ok()?, 0));
    let time = time.map_or_else(|| "unknown".to_owned(), |time| time.format("%FT%TZ").to_string());
    writeln!(out, "Result {number}: {}", place.url)?;
    writeln!(out, " - Finder: {finder}")?;
    writeln!(out, " - Keyring: {}", keyring_name(&place.remote))?;
    writeln!(out, " - Priority: {}", place.finder.priority())?;
    writeln!(out, " - Summary last modified: {time}")?;
    writeln!(out, " - Refs:")?;
    for ((id, name), commit) in &place.refs {
        let commit = commit.map_or_else(|| "(not found)".to_owned(), |commit| commit.to_string());
        writeln!(out, "    - ({id}, {name}) = {commit}")?;
    }
    Ok(writeln!(out)?)
}

/// Pulls each ref from the first place that has it and gives it.
fn pull_all(
    args: &Args,
    repo: &mut Repo,
    refs: &[&CollectionRef],
    found: &[FoundRemote],
    session: &mut Session,
) -> anyhow::Result<()> {
    let (mut left, mut failure) = (refs.to_vec(), None);
    for place in found {
        let given = place.refs.iter().filter(|(one, _)| left.contains(&one));
        let given = given.filter_map(|((id, name), commit)| Some(((id, name), (*commit)?)));
        let given: Vec<_> = given.collect();
        let wanted: Vec<String> =
            given.iter().map(|((_, name), commit)| format!("{name}@{commit}")).collect();
        if wanted.is_empty() {
            continue;
        }
        // A remote is pulled from as it is configured.
        let url = (place.finder != Finder::Config).then_some(&*place.url);
        let options = pull::Options::of_found(url, args.mirror, args.disable_fsync, args.cache_dir.clone());
        match pull::pull(repo, &place.remote, &wanted, &options, true, session) {
            Ok(()) => left.retain(|(id, name)| !given.iter().any(|(one, _)| *one == (id, name))),
            Err(error) => failure = Some(error),
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = left.iter().map(|(id, name)| format!("({id}, {name})")).collect();
    let what = format!("Failed to pull some refs from the remotes: {}", names.join(", "));
    match failure {
        Some(error) => Err(error).context(what),
        None => bail!(what),
    }
}
