//! `show`: an object, or one thing about a commit.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;

use super::{Common, resolve};
use crate::cli::dump::{self, Form};
use crate::cli::terminal::{Session, size};
use crate::format::commitmeta::{self, SignatureKind};
use crate::format::variant::{Annotate, Dict, Type, Value};
use crate::format::{
    Checksum, Commit, CommitId, FileId, FileKind, ObjectName, ObjectType, RemoteName, parse_sizes,
};
use crate::host::{Machine, describe_verdicts, verdicts};
use crate::repo::Repo;
use crate::store::{Error, ObjectRead, load_commit, load_commitmeta};

/// Arguments of `show`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Show the related objects of a commit
    #[arg(long)]
    print_related: bool,
    /// Read the file OBJECT as a GVariant of this type
    #[arg(long, value_name = "TYPE")]
    print_variant_type: Option<Type>,
    /// List the keys of a commit's metadata
    #[arg(long)]
    list_metadata_keys: bool,
    /// Print one value of a commit's metadata
    #[arg(long, value_name = "KEY")]
    print_metadata_key: Option<String>,
    /// Print bytes as hexadecimal digits
    #[arg(long)]
    print_hex: bool,
    /// List the keys of a commit's detached metadata
    #[arg(long)]
    list_detached_metadata_keys: bool,
    /// Print one value of a commit's detached metadata
    #[arg(long, value_name = "KEY")]
    print_detached_metadata_key: Option<String>,
    /// Show how large the objects of a commit are
    #[arg(long)]
    print_sizes: bool,
    /// Show objects as GVariant text
    #[arg(long)]
    raw: bool,
    /// Do not take numbers to be stored big endian
    #[arg(short = 'B', long)]
    no_byteswap: bool,
    /// Verify signatures with the keyrings in this directory
    #[arg(long, value_name = "HOMEDIR")]
    gpg_homedir: Option<PathBuf>,
    /// Verify signatures with the keyring of this remote
    #[arg(long, value_name = "REMOTE")]
    gpg_verify_remote: Option<RemoteName>,
    /// Print commits as JSON
    #[arg(long)]
    json: bool,
    /// A revision, or the checksum of any object
    object: String,
}

/// Prints what was asked for.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    if let Some(ty) = &args.print_variant_type {
        let bytes = fs::read(&args.object).with_context(|| format!("openat({})", args.object))?;
        return dump::variant(&mut session.out, &Value::from_bytes(ty, &bytes)?);
    }
    let repo = args.common.open()?;
    let detached = args.list_detached_metadata_keys || args.print_detached_metadata_key.is_some();
    if let Some(key) = args.print_detached_metadata_key.as_ref().or(args.print_metadata_key.as_ref()) {
        let metadata = metadata(&repo, &resolve(&repo, &args.object)?, detached)?;
        return print_key(args, &metadata, key, session);
    }
    if detached || args.list_metadata_keys {
        let metadata = metadata(&repo, &resolve(&repo, &args.object)?, detached)?;
        let mut keys: Vec<_> = metadata.iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        return Ok(keys.iter().try_for_each(|key| writeln!(session.out, "{key}"))?);
    }
    if args.print_related {
        let commit = load_commit(&repo, &resolve(&repo, &args.object)?)?;
        let mut related = commit.related.iter();
        return Ok(related.try_for_each(|(name, sum)| writeln!(session.out, "{name} {sum}"))?);
    }
    if args.print_sizes {
        return print_sizes(&repo, &resolve(&repo, &args.object)?, session);
    }
    show(args, &repo, session)
}

fn print_sizes(repo: &Repo, id: &CommitId, session: &mut Session) -> anyhow::Result<()> {
    let sizes =
        parse_sizes(&load_commit(repo, id)?.metadata)?.context("No metadata key ostree.sizes in commit")?;
    let (mut needed, mut total) = ([0; 3], [0; 3]);
    for entry in &sizes {
        let numbers = [entry.archived_bytes, entry.unpacked_bytes, 1];
        let is_here = repo.contains(&entry.object)?;
        for (at, n) in numbers.into_iter().enumerate() {
            total[at] += n;
            needed[at] += if is_here { 0 } else { n };
        }
    }
    let out = &mut session.out;
    writeln!(out, "Compressed size (needed/total): {}/{}", size(needed[0]), size(total[0]))?;
    writeln!(out, "Unpacked size (needed/total): {}/{}", size(needed[1]), size(total[1]))?;
    Ok(writeln!(out, "Number of objects (needed/total): {}/{}", needed[2], total[2])?)
}

fn metadata(repo: &Repo, id: &CommitId, detached: bool) -> anyhow::Result<Dict> {
    if !detached {
        return Ok(load_commit(repo, id)?.metadata);
    }
    load_commitmeta(repo, id)?.with_context(|| format!("No detached metadata for commit {id}"))
}

fn print_key(args: &Args, metadata: &Dict, key: &str, session: &mut Session) -> anyhow::Result<()> {
    let value = metadata.get(key).with_context(|| format!("No such metadata key '{key}'"))?;
    match value {
        Value::Bytes(bytes) if args.print_hex => writeln!(session.out, "{}", hex::encode(bytes))?,
        _ if args.no_byteswap => writeln!(session.out, "{}", value.print(Annotate::Types))?,
        _ => dump::variant(&mut session.out, value)?,
    }
    Ok(())
}

fn show(args: &Args, repo: &Repo, session: &mut Session) -> anyhow::Result<()> {
    let Ok(checksum) = args.object.parse::<Checksum>() else {
        let id = resolve(repo, &args.object)?;
        return print_meta(args, repo, &id.into(), session);
    };
    for kind in [ObjectType::Commit, ObjectType::DirMeta, ObjectType::DirTree] {
        let name = ObjectName::new(checksum, kind);
        if repo.contains(&name)? {
            return print_meta(args, repo, &name, session);
        }
    }
    print_file(repo, &FileId::new(checksum), session)
}

fn print_meta(args: &Args, repo: &Repo, name: &ObjectName, session: &mut Session) -> anyhow::Result<()> {
    let bytes = repo.read_meta(name)?.ok_or(Error::NotFound(*name))?;
    let id = CommitId::new(name.checksum);
    if args.json && name.kind == ObjectType::Commit {
        let commit = Commit::parse(&bytes).map_err(Error::corrupt(id))?;
        return session.out.json(&dump::CommitJson::new(&id, &commit));
    }
    dump::object(&mut session.out, name, &bytes, Form::from_flags(args.raw, args.no_byteswap))?;
    if name.kind == ObjectType::Commit {
        print_signatures(args, repo, &id, &bytes, session)?;
    }
    Ok(())
}

fn print_file(repo: &Repo, id: &FileId, session: &mut Session) -> anyhow::Result<()> {
    let file = repo.open_file(id)?.ok_or(Error::NotFound((*id).into()))?;
    let out = &mut session.out;
    writeln!(out, "Object: {id}\nType: file")?;
    match &file.header.kind {
        FileKind::Regular => writeln!(out, "File Type: regular\nSize: {}", file.len)?,
        FileKind::Symlink(target) => writeln!(out, "File Type: symlink\nTarget: {target}")?,
    }
    writeln!(out, "Mode: 0{:04o}", file.header.mode())?;
    writeln!(out, "Uid: {}\nGid: {}", file.header.uid, file.header.gid)?;
    let xattrs = dump::xattrs(&file.header.xattrs)?.print(Annotate::Types);
    Ok(writeln!(out, "Extended Attributes: {{ {xattrs} }}")?)
}

/// What can be said about the OpenPGP signatures of a commit; nothing if there are none.
fn print_signatures(
    args: &Args,
    repo: &Repo,
    id: &CommitId,
    commit: &[u8],
    session: &mut Session,
) -> anyhow::Result<()> {
    let Some(detached) = load_commitmeta(repo, id)? else { return Ok(()) };
    if commitmeta::signatures(&detached, SignatureKind::Gpg)?.is_empty() {
        return Ok(());
    }
    let keyring = match &args.gpg_verify_remote {
        Some(remote) => Machine::from_env().keyring_of_remote(repo, remote)?,
        None => Machine::from_env().all_keys(repo, args.gpg_homedir.as_deref())?,
    };
    let verdicts = verdicts(&keyring, commit, Some(&detached))?;
    let s = if verdicts.len() == 1 { "" } else { "s" };
    writeln!(session.out, "Found {} signature{s}:", verdicts.len())?;
    Ok(write!(session.out, "{}", describe_verdicts(&verdicts))?)
}
