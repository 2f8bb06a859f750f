//! The layout of a stream of ostree-ext's format.
//!
//! ```text
//! ./  sysroot  sysroot/ostree  sysroot/ostree/repo …         the repository, mode bare-split-xattrs
//! sysroot/ostree/repo/config
//! sysroot/ostree/repo/objects/ab/cdef….{commit,commitmeta,dirtree,dirmeta,file}
//! sysroot/ostree/repo/objects/ab/cdef….file-xattrs           v1: a(ayay), under its own checksum
//! sysroot/ostree/repo/objects/ab/cdef….file-xattrs-link      v1: the file's, hard link or copy
//! sysroot/ostree/repo/xattrs/abcdef…                         v0: a(ayay), under its own checksum
//! sysroot/ostree/repo/objects/ab/cdef….file.xattrs           v0: the file's, hard link
//! etc/passwd  usr/bin/bash …                                 the checkout: hard links to objects
//! ```
//! In the checkout usr/etc is etc again. Source: ostree-ext tar/export.rs, tar/import.rs.

use ostree_format::{Checksum, Commit, FileId, ObjectName, ObjectType, RepoMode};

use super::entry::{EntryKind, TarEntry, split_path};
use super::error::{EntryErrorKind, Result};
use crate::store::{self, ObjectRead, load_dirtree};

/// The repository's directory.
pub(super) const REPO: &str = "sysroot/ostree/repo";
/// The top-level directory in which it lies, of which the checkout shows nothing else.
pub(super) const SYSROOT: &str = "sysroot";
/// The repository's `config`.
pub(super) const CONFIG: &str = "[core]\nrepo_version=1\nmode=bare-split-xattrs\n";
/// Directories in the repository, apart from those of objects.
pub(super) const REPO_DIRS: [&str; 8] =
    ["extensions", "refs", "refs/heads", "refs/mirrors", "refs/remotes", "state", "tmp", "tmp/cache"];

/// The path of an object.
pub(super) fn object_path(name: &ObjectName) -> String {
    format!("{REPO}/objects/{}", name.loose_path(RepoMode::BareSplitXattrs))
}

/// The content object that lies at `path`, which starts behind [`REPO`].
pub(super) fn object_of_path(path: &str) -> Option<FileId> {
    let (dir, file) = path.strip_prefix("/objects/")?.split_once('/')?;
    match EntryRole::of_object(dir, file)? {
        EntryRole::File(id) => Some(id),
        _ => None,
    }
}

/// The path of the xattrs with this checksum.
pub(super) fn xattrs_path(checksum: &Checksum) -> String {
    object_path(&ObjectName::new(*checksum, ObjectType::FileXattrs))
}

/// How paths of a commit become paths of the checkout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckoutMap {
    etc: Etc,
    /// Whether `var/tmp`, which containers expect, has to be made.
    pub(super) make_var_tmp: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Etc {
    /// `usr/etc` is written as `etc`.
    Move,
    /// The commit has an `etc` of its own.
    Keep,
}

impl CheckoutMap {
    /// Looks at what the commit has at the places concerned: no path may be in a stream twice.
    pub(crate) fn of(store: &dyn ObjectRead, commit: &Commit) -> store::Result<Self> {
        let root = load_dirtree(store, &commit.root.tree)?;
        let has_etc = root.files.contains_key("etc") || root.dirs.contains_key("etc");
        let make_var_tmp = match root.dirs.get("var") {
            None => !root.files.contains_key("var"),
            Some(var) => {
                let var = load_dirtree(store, &var.tree)?;
                !var.files.contains_key("tmp") && !var.dirs.contains_key("tmp")
            }
        };
        Ok(Self { etc: if has_etc { Etc::Keep } else { Etc::Move }, make_var_tmp })
    }

    /// The path in the checkout of `path` in the commit, which has no leading slash; `None` if it is not
    /// part of the checkout.
    pub(crate) fn map(self, path: &str) -> Option<&str> {
        if path.split('/').next() == Some(SYSROOT) {
            return None;
        }
        match path.strip_prefix("usr/") {
            Some(below) if self.etc == Etc::Move && (below == "etc" || below.starts_with("etc/")) => {
                Some(below)
            }
            _ => Some(path),
        }
    }
}

/// What an entry is in the repository of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryRole {
    /// Directories, the config, refs, the checkout: nothing to import.
    Ignored,
    /// A commit, dirtree, dirmeta or commitmeta.
    Meta(ObjectName),
    /// A content object.
    File(FileId),
    /// A set of xattrs, under its checksum.
    Xattrs(Checksum),
    /// The reference of a content object to its xattrs.
    XattrsOf(FileId),
}

impl EntryRole {
    /// Finds out what `entry` is; every path has to be sane, also of what is ignored.
    pub(super) fn of(entry: &TarEntry) -> Result<Self> {
        let names = entry.names()?;
        if entry.kind == EntryKind::Link {
            let unsafe_target = |kind| match kind {
                EntryErrorKind::NotUtf8(_) => EntryErrorKind::NotUtf8("link target"),
                _ => EntryErrorKind::LinkTarget(String::from_utf8_lossy(&entry.link).into_owned()),
            };
            split_path(&entry.link).map_err(|kind| entry.error(unsafe_target(kind)))?;
        }
        if entry.kind == EntryKind::Dir {
            return Ok(Self::Ignored);
        }
        Self::of_names(&names).map_err(|why| entry.error(EntryErrorKind::ObjectPath(why)))
    }

    /// Finds out what a file is whose path consists of `names`; or else says why that makes no sense.
    pub(super) fn of_names(names: &[&str]) -> Result<Self, &'static str> {
        match names {
            ["sysroot", "ostree", "repo", "objects", dir, file] => {
                Self::of_object(dir, file).ok_or("it is no object's file")
            }
            ["sysroot", "ostree", "repo", "objects", ..] => Err("the depth is wrong"),
            ["sysroot", "ostree", "repo", "xattrs", name] => {
                name.parse().map(Self::Xattrs).map_err(|_| "it is no checksum")
            }
            _ => Ok(Self::Ignored),
        }
    }

    fn of_object(dir: &str, file: &str) -> Option<Self> {
        let parse = |file| ObjectName::from_loose_path(dir, file, RepoMode::BareSplitXattrs);
        if let Some(v0) = file.strip_suffix(".xattrs") {
            let name = parse(v0)?;
            return (name.kind == ObjectType::File).then_some(Self::XattrsOf(FileId::new(name.checksum)));
        }
        let name = parse(file)?;
        match name.kind {
            ObjectType::File => Some(Self::File(FileId::new(name.checksum))),
            ObjectType::FileXattrs => Some(Self::Xattrs(name.checksum)),
            ObjectType::FileXattrsLink => Some(Self::XattrsOf(FileId::new(name.checksum))),
            ObjectType::Commit | ObjectType::CommitMeta | ObjectType::DirTree | ObjectType::DirMeta => {
                Some(Self::Meta(name))
            }
            ObjectType::TombstoneCommit | ObjectType::PayloadLink => None,
        }
    }

    /// The checksum of the xattrs at which a hard link from [`EntryRole::XattrsOf`] points.
    pub(super) fn xattrs_target(entry: &TarEntry) -> Option<Checksum> {
        Self::xattrs_at(&entry.link)
    }

    /// The checksum of the xattrs that lie at `path`.
    pub(super) fn xattrs_at(path: &[u8]) -> Option<Checksum> {
        match &split_path(path).ok()?[..] {
            ["sysroot", "ostree", "repo", "objects", dir, file] => match Self::of_object(dir, file)? {
                Self::Xattrs(checksum) => Some(checksum),
                _ => None,
            },
            ["sysroot", "ostree", "repo", "xattrs", name] => name.parse().ok(),
            _ => None,
        }
    }
}
