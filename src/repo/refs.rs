//! Names of commits, as files.
//!
//! ```text
//! refs/heads/a/b          local ref a/b: "CHECKSUM\n"
//! refs/heads/alias        symbolic link to another ref, "../" for each level above it
//! refs/remotes/R/a/b      ref R:a/b
//! refs/mirrors/C/a/b      ref a/b of the collection C
//! ```
//! Source: libostree ostree-repo-refs.c.

mod list;
mod write;

use std::collections::BTreeMap;
use std::io;

use ostree_format::{CommitId, ParseError, RefName, RefSpec, RemoteName};

use super::{Repo, sys};
use crate::store::{Error, Refs, Result};

pub use list::CollectionRef;

/// The largest file of a ref that is read: a checksum, a newline, and some blanks.
const MAX_REF_BYTES: u64 = 4096;

const HEADS: &str = "refs/heads";
const REMOTES: &str = "refs/remotes";
const MIRRORS: &str = "refs/mirrors";

/// What the file of a ref says.
enum RefFile {
    /// No text at all.
    Empty,
    /// A symbolic link to nothing, or to a directory.
    Nowhere,
    /// Text that is no checksum.
    Garbage(ParseError),
    /// A commit.
    Names(CommitId),
}

/// The directory with the refs of `remote`, or the local ones.
fn namespace(remote: Option<&RemoteName>) -> String {
    match remote {
        None => HEADS.into(),
        Some(remote) => format!("{REMOTES}/{}", remote.as_str()),
    }
}

impl Repo {
    /// The commit that the ref names, without looking into remotes or the parent.
    pub(super) fn resolve_here(&self, refspec: &RefSpec) -> Result<Option<CommitId>> {
        self.read_ref(&format!("{}/{}", namespace(refspec.remote.as_ref()), refspec.name))
    }

    /// The commit that the file of a ref names; nothing for a file that is empty, which a power cut may have left, or an
    /// alias whose ref is gone: they can be written like a ref that is not there.
    fn read_ref(&self, path: &str) -> Result<Option<CommitId>> {
        match self.ref_file(path)? {
            None | Some(RefFile::Empty | RefFile::Nowhere) => Ok(None),
            Some(RefFile::Names(id)) => Ok(Some(id)),
            Some(RefFile::Garbage(source)) => Err(Error::Invalid { what: path.into(), source }),
        }
    }

    /// [`Repo::read_ref`] for those who need all refs: one that names nothing is an error.
    fn require_ref(&self, path: &str) -> Result<Option<CommitId>> {
        let why = match self.ref_file(path)? {
            Some(RefFile::Empty) => "the file is empty",
            Some(RefFile::Nowhere) => "the link leads to no ref",
            _ => return self.read_ref(path),
        };
        let why = format!("{why}; let the ref name a commit again, or delete it");
        Err(Error::Invalid { what: path.into(), source: ParseError::invalid("ref", 0, why) })
    }

    /// What the file of a ref says; `None` if there is none.
    fn ref_file(&self, path: &str) -> Result<Option<RefFile>> {
        let bytes = match sys::read_file(&self.root, path, MAX_REF_BYTES) {
            Err(e) if is_no_ref(&e) => None,
            other => other.map_err(|e| self.failed("read", path, e))?,
        };
        let Some(bytes) = bytes else {
            return Ok(sys::read_link(&self.root, path).is_ok().then_some(RefFile::Nowhere));
        };
        Ok(Some(match str::from_utf8(&bytes).unwrap_or_default().trim_end() {
            "" if bytes.len() <= 1 => RefFile::Empty,
            text => text.parse().map_or_else(RefFile::Garbage, RefFile::Names),
        }))
    }

    /// What a local ref that does not exist may mean besides: `REMOTE/REF`, or a ref of any remote.
    fn resolve_in_remotes(&self, name: &RefName) -> Result<Option<CommitId>> {
        if let Some(id) = self.read_ref(&format!("{REMOTES}/{name}"))? {
            return Ok(Some(id));
        }
        for remote in self.dirs_in(REMOTES)? {
            if let Some(id) = self.read_ref(&format!("{REMOTES}/{remote}/{name}"))? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}

/// Whether the error says that no ref of this name can exist: a directory has it, or a file has the name
/// of a directory in it.
fn is_no_ref(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory)
}

impl Refs for Repo {
    fn resolve(&self, refspec: &RefSpec) -> Result<Option<CommitId>> {
        if let Some(id) = self.resolve_here(refspec)? {
            return Ok(Some(id));
        }
        if refspec.remote.is_none()
            && let Some(id) = self.resolve_in_remotes(&refspec.name)?
        {
            return Ok(Some(id));
        }
        self.parent.as_ref().map_or(Ok(None), |parent| parent.resolve(refspec))
    }

    fn resolve_exact(&self, refspec: &RefSpec) -> Result<Option<CommitId>> {
        match (self.resolve_here(refspec)?, &self.parent) {
            (None, Some(parent)) => parent.resolve_exact(refspec),
            (found, _) => Ok(found),
        }
    }

    fn list(&self) -> Result<BTreeMap<RefSpec, CommitId>> {
        let mut out = BTreeMap::new();
        for remote in self.namespaces()? {
            self.list_namespace(remote.as_ref(), "", &mut out)?;
        }
        Ok(out)
    }

    fn commits_with_prefix(&self, digits: &str) -> Result<Vec<CommitId>> {
        commits_in(&self.objects, self.mode(), digits)
    }
}

/// The commits in `objects` whose checksum starts with `digits`.
pub(super) fn commits_in(
    objects: &super::dir::ObjectDir,
    mode: ostree_format::RepoMode,
    digits: &str,
) -> Result<Vec<CommitId>> {
    let mut out = Vec::new();
    let mut take = |name: ostree_format::ObjectName| {
        let is_commit = name.kind == ostree_format::ObjectType::Commit;
        if is_commit && name.checksum.hex().as_str().starts_with(digits) {
            out.push(CommitId::new(name.checksum));
        }
        Ok(())
    };
    match digits.get(..2) {
        Some(dir) => objects.for_each_in(dir, mode, &mut take)?,
        None => objects.for_each(mode, &mut take)?,
    }
    Ok(out)
}
