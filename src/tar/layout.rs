//! Where things lie in a stream of ostree-ext's format.
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

use ostree_format::{Checksum, Commit, ObjectName, ObjectType, RepoMode};

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

/// The path of the xattrs with this checksum.
pub(super) fn xattrs_path(checksum: &Checksum) -> String {
    object_path(&ObjectName::new(*checksum, ObjectType::FileXattrs))
}

/// How paths of a commit become paths of the checkout.
#[derive(Debug, Clone, Copy)]
pub(super) struct CheckoutMap {
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
    pub(super) fn of(store: &dyn ObjectRead, commit: &Commit) -> store::Result<Self> {
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
    pub(super) fn map(self, path: &str) -> Option<&str> {
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
