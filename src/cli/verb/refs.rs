//! `refs`: lists, creates and deletes refs.

use std::io::Write;

use anyhow::{Context, bail};
use serde::Serialize;

use super::{Common, resolve};
use crate::cli::terminal::Session;
use crate::format::{CollectionId, CommitId, RefName, RefSpec, RemoteName};
use crate::repo::Repo;
use crate::store::Refs;

/// Arguments of `refs`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Delete the refs under PREFIX
    #[arg(long, conflicts_with = "create")]
    delete: bool,
    /// Print whole names, with PREFIX
    #[arg(long)]
    list: bool,
    /// Print commits too
    #[arg(short, long)]
    revision: bool,
    /// List aliases, or with --create make one
    #[arg(short = 'A', long)]
    alias: bool,
    /// Create a ref for a commit that exists
    #[arg(long, value_name = "NEWREF")]
    create: Option<String>,
    /// Work on refs of collections: PREFIX is a collection ID, NEWREF is `ID:REF`
    #[arg(short, long, conflicts_with = "alias")]
    collections: bool,
    /// With --create, replace a ref that exists
    #[arg(long)]
    force: bool,
    /// Print a JSON array of objects
    #[arg(long, conflicts_with = "collections")]
    json: bool,
    /// Names of refs, or what they begin with; `REMOTE:` for those of a remote
    #[arg(value_name = "PREFIX")]
    prefixes: Vec<String>,
}

/// Lists, creates or deletes.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    match (args.prefixes.as_slice(), &args.create) {
        ([], Some(_)) => bail!("You must specify a revision when creating a new ref"),
        ([_, _, ..], Some(_)) => bail!("You must specify only 1 existing ref when creating a new ref"),
        ([], None) if args.delete => bail!("At least one PREFIX is required when deleting refs"),
        _ => {}
    }
    let repo = args.common.open()?;
    if args.create.is_some() || args.delete {
        repo.require_writable()?;
    }
    if let (Some(new), [old]) = (&args.create, args.prefixes.as_slice()) {
        return match (args.collections, args.alias) {
            (true, _) => create_in_collection(args, &repo, new, old),
            (false, true) => alias(&repo, new, old),
            (false, false) => create(args, &repo, new, old),
        };
    }
    if args.collections {
        return collections(args, &repo, session);
    }
    if args.delete {
        let prefixes: Vec<_> =
            args.prefixes.iter().map(|text| Prefix::parse(text)).collect::<Result<_, _>>()?;
        return prefixes.iter().try_for_each(|prefix| delete(&repo, prefix));
    }
    list(args, &repo, session)
}

/// The beginning of a refspec, cut at a `/`.
struct Prefix<'a> {
    remote: Option<&'a str>,
    path: &'a str,
}

impl<'a> Prefix<'a> {
    /// Reads a refspec, or `REMOTE:`. Nothing at all is refused: a variable that is empty by mistake would delete
    /// every ref.
    fn parse(text: &'a str) -> anyhow::Result<Self> {
        let (remote, path) = match text.split_once(':') {
            // `origin:.` is what flatpak writes for `origin:`.
            Some((remote, "." | "")) => (Some(remote), ""),
            Some((remote, path)) => (Some(remote), path),
            None => (None, text),
        };
        let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
        match remote {
            Some(remote) if path.is_empty() => {
                drop(remote.parse::<RemoteName>().with_context(|| format!("Invalid refspec {text}"))?)
            }
            Some(remote) => drop(parse(&format!("{remote}:{path}"))?),
            None if path.is_empty() => bail!("Invalid refspec '': no ref, and no beginning of one"),
            None => drop(parse(path)?),
        }
        Ok(Self { remote, path })
    }

    /// What remains of a refspec that begins so: all of it if it is equal, else what stands behind the `/`.
    fn strip(&self, refspec: &RefSpec) -> Option<String> {
        if self.remote != refspec.remote.as_ref().map(|remote| remote.as_str()) {
            return None;
        }
        let rest = match refspec.name.as_str().strip_prefix(self.path)? {
            "" => return Some(refspec.to_string()),
            rest if self.path.is_empty() => rest,
            rest => rest.strip_prefix('/')?,
        };
        Some(self.remote.map_or_else(|| rest.to_owned(), |remote| format!("{remote}:{rest}")))
    }
}

#[derive(Serialize)]
struct RefJson {
    r#ref: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias_of: Option<String>,
}

fn list(args: &Args, repo: &Repo, session: &mut Session) -> anyhow::Result<()> {
    let mut found: Vec<(String, String)> = Vec::new();
    let entries: Vec<(RefSpec, String)> = if args.alias {
        let aliases = repo.aliases()?;
        aliases.into_iter().map(|(name, target)| (name.into(), target.to_string())).collect()
    } else {
        let shown = |id: Option<CommitId>| id.map(|id| id.to_string()).unwrap_or_default();
        repo.ref_files()?.into_iter().map(|(refspec, id)| (refspec, shown(id))).collect()
    };
    if args.prefixes.is_empty() {
        found.extend(entries.into_iter().map(|(refspec, target)| (refspec.to_string(), target)));
    } else {
        for text in &args.prefixes {
            let prefix = Prefix::parse(text)?;
            let matching = entries.iter().filter_map(|(refspec, target)| {
                let shown = prefix.strip(refspec)?;
                Some((if args.list || args.alias { refspec.to_string() } else { shown }, target.clone()))
            });
            let from = found.len();
            found.extend(matching);
            found[from..].sort();
        }
    }
    if args.prefixes.is_empty() {
        found.sort();
    }
    print(args, found, session)
}

fn print(args: &Args, found: Vec<(String, String)>, session: &mut Session) -> anyhow::Result<()> {
    let out = &mut session.out;
    if args.json {
        let json = |(r#ref, target)| match args.alias {
            true => RefJson { r#ref, commit: None, alias_of: Some(target) },
            false => RefJson { r#ref, commit: Some(target).filter(|id| !id.is_empty()), alias_of: None },
        };
        return out.json(&found.into_iter().map(json).collect::<Vec<_>>());
    }
    for (name, target) in found {
        match (args.alias, args.revision) {
            (true, _) => writeln!(out, "{name} -> {target}")?,
            (false, true) => writeln!(out, "{name}\t{target}")?,
            (false, false) => writeln!(out, "{name}")?,
        }
    }
    Ok(())
}

fn delete(repo: &Repo, prefix: &Prefix<'_>) -> anyhow::Result<()> {
    let aliases = repo.aliases()?;
    for refspec in repo.ref_files()?.into_keys() {
        if prefix.strip(&refspec).is_none() {
            continue;
        }
        if let Some((alias, _)) = aliases.iter().find(|(_, target)| **target == refspec.name) {
            bail!("Ref '{}' has an active alias: '{alias}'", refspec.name);
        }
        repo.set_ref(&refspec, None)?;
    }
    Ok(())
}

fn create(args: &Args, repo: &Repo, new: &str, old: &str) -> anyhow::Result<()> {
    let refspec = parse(new)?;
    if !args.force && repo.resolve_exact(&refspec)?.is_some() {
        bail!("--create specified but ref {new} already exists");
    }
    let target = resolve(repo, old)?;
    Ok(repo.set_ref(&refspec, Some(target))?)
}

fn alias(repo: &Repo, new: &str, old: &str) -> anyhow::Result<()> {
    let refspec = parse(new)?;
    if let Some(remote) = &refspec.remote {
        bail!("Cannot create alias to remote ref: {remote}");
    }
    let target: RefSpec = parse(old)?;
    if target.remote.is_some() || repo.resolve_exact(&target)?.is_none() {
        bail!("Cannot create alias to non-existent ref: {old}");
    }
    let is_alias = repo.aliases()?.contains_key(&refspec.name);
    if !is_alias && repo.resolve_exact(&refspec)?.is_some() {
        bail!("--create specified but ref {new} already exists");
    }
    Ok(repo.set_alias(&refspec, &target.name)?)
}

fn create_in_collection(args: &Args, repo: &Repo, new: &str, old: &str) -> anyhow::Result<()> {
    let (id, name) = new.split_once(':').with_context(|| format!("Invalid refspec {new}"))?;
    let (id, name): (CollectionId, RefName) = (id.parse()?, name.parse()?);
    // As C ostree: one that is there is written anew, unless a remote that is called as the collection has it.
    if !args.force && parse(new).is_ok_and(|refspec| matches!(repo.resolve_exact(&refspec), Ok(Some(_)))) {
        bail!("--create specified but ref {new} already exists");
    }
    Ok(repo.set_collection_ref(&id, &name, Some(resolve(repo, old)?))?)
}

/// Lists or deletes refs of collections.
fn collections(args: &Args, repo: &Repo, session: &mut Session) -> anyhow::Result<()> {
    let wanted: Vec<CollectionId> =
        args.prefixes.iter().map(|prefix| prefix.parse()).collect::<Result<_, _>>()?;
    for ((id, name), commit) in repo.collection_refs()? {
        if !wanted.is_empty() && !wanted.contains(&id) {
            continue;
        }
        match (args.delete, args.revision) {
            (true, _) => repo.set_collection_ref(&id, &name, None)?,
            (false, true) => writeln!(session.out, "({id}, {name})\t{commit}")?,
            (false, false) => writeln!(session.out, "({id}, {name})")?,
        }
    }
    Ok(())
}

fn parse(text: &str) -> anyhow::Result<RefSpec> {
    text.parse().with_context(|| format!("Invalid refspec {text}"))
}
