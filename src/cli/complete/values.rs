//! The candidates for a value, by its kind; most kinds are told by the name that help shows for the value.

use std::path::PathBuf;

use clap::{Arg, ValueHint};

use super::{Candidate, Candidates, Kind};
use crate::cli::locate::{self, RepoOptions};
use crate::container::image::Transport;
use crate::container::store;
use crate::format::{Rev, RootDir};
use crate::host::Machine;
use crate::repo::Repo;
use crate::store::{Refs, TreeEntry, load_commit, load_dirtree, lookup, resolve_rev};

/// What was said before the cursor, as far as candidates depend on it.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// The verb.
    pub(super) verb: String,
    /// What stands for itself, in order.
    pub(super) words: Vec<String>,
    /// The value of `--repo`, or of the like.
    pub(super) repo: Option<String>,
}

impl Given {
    /// Notes the value of an option.
    pub(super) fn note(&mut self, arg: &Arg, value: &str) {
        if matches!(arg.get_long(), Some("repo" | "src-repo")) {
            self.repo = Some(value.to_owned());
        }
    }

    /// The repository, if there is one.
    fn repo(&self) -> Option<Repo> {
        locate::open(&RepoOptions { repo: self.repo.as_deref().map(path) }.path().ok()?).ok()
    }
}

/// What a value is, which decides where candidates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// One of a few words.
    OneOf(&'static [&'static str]),
    /// A file, or a directory.
    Names(Kind),
    /// A ref of the repository.
    Ref,
    /// A revision, which names a commit.
    Rev,
    /// A revision, or a directory.
    RevOrDir,
    /// A ref and a number.
    RefAndDepth,
    /// A remote of the repository.
    Remote,
    /// A path within the commit that is named first.
    InCommit,
    /// A remote of the repository, or a container image.
    RemoteOrImage,
    /// A container image.
    Image,
    /// A static delta of the repository.
    StaticDelta,
    /// A tree for a commit: `dir=`, `tar=` or `ref=`.
    Tree,
    /// A remote of the repository, a directory, or a container image.
    RemoteDirOrImage,
    /// Collections and refs of theirs by turns; those of `create-usb` stand behind a directory.
    CollectionsAndRefs,
}

const METHODS: &[&str] = &["gzip", "zstd", "zstd:chunked", "none"];
const KEYS: &[&str] = &["ed25519=inline:", "ed25519=file:", "spki=inline:", "spki=file:"];
const TRANSPORTS: &[&str] =
    &["registry", "oci", "oci-archive", "docker-archive", "dir", "containers-storage"];
const PLATFORMS: &[&str] = &["linux/amd64", "linux/arm64", "linux/ppc64le", "linux/riscv64", "linux/s390x"];

/// The candidates for a value of `arg` that begins with `current`.
pub(super) fn of(arg: &Arg, current: &str, given: &Given) -> Candidates {
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        let shown = possible.iter().filter(|value| !value.is_hide_set());
        let list = shown.map(|value| Candidate {
            value: value.get_name().to_owned(),
            help: value.get_help().map(ToString::to_string).unwrap_or_default(),
        });
        return Candidates { list: list.collect(), names: None };
    }
    let Some(kind) = kind(arg, &given.verb) else { return Candidates::default() };
    match kind {
        Value::OneOf(words) => Candidates::words(words.iter().copied()),
        Value::Names(kind) => Candidates::names(kind),
        Value::Ref => refs(given, current),
        Value::Rev => revs(given, current),
        Value::RevOrDir if current.starts_with(['.', '/']) => Candidates::names(Kind::Dirs),
        Value::RevOrDir => revs(given, current),
        Value::RefAndDepth => with_end(refs(given, current), "="),
        Value::Remote => remotes(given),
        Value::RemoteDirOrImage if current.starts_with(['.', '/', '~']) => Candidates::names(Kind::Dirs),
        Value::RemoteOrImage | Value::RemoteDirOrImage => {
            let mut found = images(given, current);
            found.list.extend(remotes(given).list);
            found
        }
        Value::InCommit => in_commit(given, current).unwrap_or_default(),
        Value::Image => images(given, current),
        Value::Tree => tree(given, current),
        Value::CollectionsAndRefs => {
            let is_ref = given.words.len().is_multiple_of(2) == (given.verb == "create-usb");
            if is_ref { refs(given, current) } else { Candidates::default() }
        }
        Value::StaticDelta => {
            let deltas = given.repo().and_then(|repo| repo.deltas().ok()).unwrap_or_default();
            Candidates::words(deltas.iter().map(ToString::to_string))
        }
    }
}

/// What kind of value `arg` takes; `None` if nobody but the user knows it.
fn kind(arg: &Arg, verb: &str) -> Option<Value> {
    let names = arg.get_value_names();
    let id = arg.get_id().as_str().to_ascii_uppercase();
    let name = names.and_then(<[_]>::first).map_or(&*id, |name| name.as_str());
    match arg.get_value_hint() {
        ValueHint::DirPath => return Some(Value::Names(Kind::Dirs)),
        ValueHint::AnyPath if matches!(name, "DIR" | "SRC_REPO" | "DEST_REPO") => {
            return Some(Value::Names(Kind::Dirs));
        }
        ValueHint::AnyPath => return Some(Value::Names(Kind::Files)),
        _ => {}
    }
    Some(match name {
        "REF" | "BRANCH" | "NEWREF" | "PREFIX" => Value::Ref,
        "REV" | "COMMIT" | "OBJECT" => Value::Rev,
        "REV_OR_DIR" => Value::RevOrDir,
        "BRANCH=DEPTH" => Value::RefAndDepth,
        "REMOTE" => Value::Remote,
        "REMOTE|IMAGE" => Value::RemoteOrImage,
        "REMOTE|DIR|IMAGE" => Value::RemoteDirOrImage,
        "NAME" if id == name && is_about_remote(verb) => Value::Remote,
        "NAME" if verb == "copy" => Value::Image,
        "PATH" => Value::InCommit,
        "REPO" => Value::Names(Kind::Dirs),
        "IMAGE" | "SOURCE" | "DEST" | "OLD" | "NEW" | "DELTA" => Value::Image,
        "FROM-TO" => Value::StaticDelta,
        "dir=PATH|tar=FILE|ref=COMMIT" => Value::Tree,
        "DEPLOYMENT" => Value::OneOf(&["booted", "pending", "rollback"]),
        "FINDERS" => Value::OneOf(&["config", "lan", "mount", "config,mount", "config,lan,mount"]),
        "COLLECTION-ID REF" => Value::CollectionsAndRefs,
        "KEYTYPE=[inline|file]:PUBKEY" => Value::OneOf(KEYS),
        "METHOD" => Value::OneOf(METHODS),
        "POLICY" | "BOOL" => Value::OneOf(&["true", "false"]),
        "PLATFORM" => Value::OneOf(PLATFORMS),
        "TRANSPORT" => Value::OneOf(TRANSPORTS),
        "OPERATION" => Value::OneOf(&["get", "set", "unset"]),
        _ => return None,
    })
}

/// Whether a verb of `remote` takes the name of one that is there already.
fn is_about_remote(verb: &str) -> bool {
    let (keys, cookies) = (verb.starts_with("gpg-"), verb.ends_with("-cookie") || verb == "list-cookies");
    keys || cookies || matches!(verb, "delete" | "refs" | "show-url" | "summary")
}

/// As a shell reads a path: `~` is the home directory.
fn path(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(below), Some(home)) => PathBuf::from(home).join(below),
        _ => text.into(),
    }
}

/// The remotes that the repository knows.
fn remotes(given: &Given) -> Candidates {
    let known = given.repo().and_then(|repo| Machine::from_env().remotes(&repo).ok()).unwrap_or_default();
    Candidates::words(known.keys().map(ToString::to_string))
}

/// The refs of the repository; those of `pull-local` are in the one that it pulls from. Refs of layers are many, and
/// no names to type.
fn refs(given: &Given, current: &str) -> Candidates {
    let source = given.words.first().filter(|_| given.verb == "pull-local");
    let repo = source.map_or_else(|| given.repo(), |source| locate::open(&path(source)).ok());
    let Some(list) = repo.and_then(|repo| repo.list().ok()) else { return Candidates::default() };
    let names = list.keys().map(ToString::to_string);
    Candidates::words(
        names.filter(|name| current.starts_with("ostree/") || !name.starts_with("ostree/container/")),
    )
}

/// Refs, and commits once their first digits are there.
fn revs(given: &Given, current: &str) -> Candidates {
    let mut found = refs(given, current);
    let is_digits = current.len() >= 2 && current.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some(repo) = given.repo().filter(|_| is_digits) {
        let commits = repo.commits_with_prefix(current).unwrap_or_default();
        found.list.extend(Candidates::words(commits.iter().map(ToString::to_string)).list);
    }
    found
}

fn with_end(mut found: Candidates, end: &str) -> Candidates {
    found.list.iter_mut().for_each(|candidate| candidate.value.push_str(end));
    found
}

/// What is in the directory that was typed so far, of the commit that is named first.
fn in_commit(given: &Given, current: &str) -> Option<Candidates> {
    let repo = given.repo()?;
    let rev: Rev = given.words.first()?.parse().ok()?;
    let commit = resolve_rev(&repo, &rev).ok()?;
    let root: RootDir = load_commit(&repo, &commit).ok()?.root;
    let dir = current.rfind('/').map_or("", |end| &current[..=end]);
    let TreeEntry::Dir(entry) = lookup(&repo, root, dir).ok()? else { return None };
    let tree = load_dirtree(&repo, &entry.tree).ok()?;
    let before = if dir.is_empty() { "/" } else { dir };
    let dirs = tree.dirs.keys().map(|name| format!("{before}{name}/"));
    Some(Candidates::words(dirs.chain(tree.files.keys().map(|name| format!("{before}{name}")))))
}

/// Images of the repository, and the kinds of places where others may be; below some of these are files.
fn images(given: &Given, current: &str) -> Candidates {
    use Transport::{ContainersStorage, Dir, DockerArchive, OciArchive, OciDir, Registry};
    let vouched = ["ostree-unverified-image:", "ostree-image-signed:"];
    if let Some(before) = vouched.iter().find(|before| current.starts_with(**before)) {
        return images(given, &current[before.len()..]).behind(before);
    }
    let known = given.repo().and_then(|repo| store::list(&repo).ok()).unwrap_or_default();
    let mut found = Candidates::words(known.iter().map(ToString::to_string));
    let on_disk = [OciDir, OciArchive, Dir, DockerArchive];
    if let Some(transport) = on_disk.iter().find(|transport| current.starts_with(transport.prefix())) {
        let kind = if matches!(transport, OciDir | Dir) { Kind::Dirs } else { Kind::Files };
        found.names = Candidates::names(kind).behind(transport.prefix()).names;
        return found;
    }
    let places = [Registry, ContainersStorage].iter().chain(&on_disk).map(|transport| transport.prefix());
    found.list.extend(Candidates::words(places.chain(vouched)).list);
    found
}

/// What `commit --tree` takes.
fn tree(given: &Given, current: &str) -> Candidates {
    match current.split_once('=') {
        Some(("dir", _)) => Candidates::names(Kind::Dirs).behind("dir="),
        Some(("tar", _)) => Candidates::names(Kind::Files).behind("tar="),
        Some(("ref", rev)) => revs(given, rev).behind("ref="),
        _ => Candidates::words(["dir=", "tar=", "ref="]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::app;
    use crate::cli::program::Program;

    /// Values that nobody but the user knows, by the names that help shows.
    const FREE: &[&str] = &[
        "ADDRESS:PORT",
        "ARG",
        "ARGS",
        "BODY",
        "BOOTVERSION",
        "CMDLINE",
        "COLLECTION-ID",
        "COMMAND",
        "COOKIE_NAME",
        "DATE",
        "DEPTH",
        "DOMAIN",
        "EPOCH",
        "GID",
        "GROUP",
        "INDEX",
        "KEY",
        "KEY-ID",
        "KEY=VALUE",
        "N",
        "NAME",
        "NAME=VALUE",
        "NUMBER",
        "REFSPEC",
        "REGEX,REPLACEMENT",
        "SECONDS",
        "SIZE",
        "STATEROOT",
        "SUBJECT",
        "TAG",
        "TIMESTAMP",
        "TYPE",
        "UID",
        "URL",
        "USER",
        "USER:PASSWORD",
        "VALUE",
        "WORD",
    ];

    /// A new option either has candidates or stands in the list.
    #[test]
    fn every_value_is_known() {
        let mut unknown = Vec::new();
        let mut todo = vec![app::command(Program::OstreeRs)];
        while let Some(command) = todo.pop() {
            for arg in
                command.get_arguments().filter(|arg| arg.get_action().takes_values() && !arg.is_hide_set())
            {
                let id = arg.get_id().as_str().to_ascii_uppercase();
                let name = arg.get_value_names().and_then(<[_]>::first).map_or(&*id, |name| name.as_str());
                let known = kind(arg, command.get_name()).is_some() || !arg.get_possible_values().is_empty();
                if !known && !FREE.contains(&name) {
                    unknown.push(format!("{} {name}", command.get_name()));
                }
            }
            todo.extend(command.get_subcommands().cloned());
        }
        assert!(unknown.is_empty(), "values that completion does not know:\n{}", unknown.join("\n"));
    }
}
