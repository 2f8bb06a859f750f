//! Names of commits, as files.
//!
//! ```text
//! refs/heads/a/b          local ref a/b: "CHECKSUM\n"
//! refs/heads/alias        symbolic link to another ref, "../" for each level above it
//! refs/remotes/R/a/b      ref R:a/b
//! refs/mirrors/C/a/b      ref a/b of the collection C
//! ```
//! Source: libostree ostree-repo-refs.c.

use std::collections::BTreeMap;
use std::io;

use ostree_format::{Checksum, CollectionId, CommitId, ParseError, RefName, RefSpec, RemoteName};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::durable::ChangedDirs;
use super::{Repo, sys};
use crate::base::fs;
use crate::store::{Error, Refs, Result};

/// The largest file of a ref that is read: a checksum, a newline, and some blanks.
const MAX_REF_BYTES: u64 = 4096;

const HEADS: &str = "refs/heads";
const REMOTES: &str = "refs/remotes";
const MIRRORS: &str = "refs/mirrors";

/// What the file of a ref says.
enum RefFile {
    /// No text at all.
    Empty,
    /// Text that is no checksum.
    Garbage(ParseError),
    /// A commit.
    Names(CommitId),
}

/// A ref of a collection.
pub type CollectionRef = (CollectionId, RefName);

/// The directory with the refs of `remote`, or the local ones.
fn namespace(remote: Option<&RemoteName>) -> String {
    match remote {
        None => HEADS.into(),
        Some(remote) => format!("{REMOTES}/{}", remote.as_str()),
    }
}

impl Repo {
    /// Lets a ref name `target` at once, outside of a transaction, or deletes it.
    ///
    /// # Errors
    /// [`Error::Usage`] if the name is taken by a directory of refs, or looks like a checksum;
    /// [`Error::Io`].
    pub fn set_ref(&self, refspec: &RefSpec, target: Option<CommitId>) -> Result<()> {
        let mut changed = ChangedDirs::default();
        self.write_ref(refspec, target, &mut changed)?;
        self.refs_changed()?;
        self.sync_changed(&changed)
    }

    /// Lets a ref of a collection name `target` at once, or deletes it: in `refs/heads` if the collection is this
    /// repository's own, else in `refs/mirrors`.
    ///
    /// # Errors
    /// As [`Repo::set_ref`].
    pub fn set_collection_ref(
        &self,
        id: &CollectionId,
        name: &RefName,
        target: Option<CommitId>,
    ) -> Result<()> {
        let mut changed = ChangedDirs::default();
        self.write_collection_ref(id, name, target, &mut changed)?;
        self.refs_changed()?;
        self.sync_changed(&changed)
    }

    /// Makes `alias` another name of the ref `target` of the same namespace.
    ///
    /// # Errors
    /// As [`Repo::set_ref`].
    pub fn set_alias(&self, alias: &RefSpec, target: &RefName) -> Result<()> {
        let name = alias.name.as_str();
        let path = format!("{}/{name}", namespace(alias.remote.as_ref()));
        let up = "../".repeat(name.matches('/').count());
        let failed = |e| Error::io("symlink", &path, e);
        self.make_parents(&path)?;
        let link = sys::temporary_symlink(&self.tmp, &format!("{up}{target}"), "tmplink.").map_err(failed)?;
        sys::rename(&self.tmp, &link, &self.root, &path).map_err(|e| {
            let _ = sys::unlink(&self.tmp, &link);
            failed(e)
        })?;
        let mut changed = ChangedDirs::default();
        changed.note(&path);
        self.refs_changed()?;
        self.sync_changed(&changed)
    }

    /// The local refs that are aliases, and the refs that they stand for.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn aliases(&self) -> Result<BTreeMap<RefName, RefName>> {
        let mut out = BTreeMap::new();
        self.walk_refs(HEADS, "", &mut |name, kind| {
            if kind == FileType::Symlink {
                let path = format!("{HEADS}/{name}");
                let target =
                    sys::read_link(&self.root, &path).map_err(|e| Error::io("readlink", &path, e))?;
                if let Ok(target) = target.trim_start_matches("../").parse() {
                    out.insert(name, target);
                }
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// The refs at or below `prefix`: with `a/b`, the refs `a/b` and `a/b/c` but not `a/bc`.
    ///
    /// # Errors
    /// As [`Refs::list`].
    pub fn list_below(&self, prefix: &RefSpec) -> Result<BTreeMap<RefSpec, CommitId>> {
        let mut out = BTreeMap::new();
        if let Some(id) = self.resolve_here(prefix)? {
            out.insert(prefix.clone(), id);
        }
        self.list_namespace(prefix.remote.as_ref(), prefix.name.as_str(), &mut out)?;
        Ok(out)
    }

    /// The refs of one remote, or the local ones.
    ///
    /// # Errors
    /// As [`Refs::list`].
    pub fn list_of(&self, remote: Option<&RemoteName>) -> Result<BTreeMap<RefSpec, CommitId>> {
        let mut out = BTreeMap::new();
        self.list_namespace(remote, "", &mut out)?;
        Ok(out)
    }

    /// The refs of all collections: this repository's own, mirrored ones, and those of remotes whose
    /// config names a collection.
    ///
    /// # Errors
    /// As [`Refs::list`].
    pub fn collection_refs(&self) -> Result<BTreeMap<CollectionRef, CommitId>> {
        let mut places = Vec::new();
        if let Some(id) = &self.config.collection_id {
            places.push((id.clone(), HEADS.to_owned()));
        }
        for dir in self.dirs_in(MIRRORS)? {
            if let Ok(id) = dir.parse() {
                places.push((id, format!("{MIRRORS}/{dir}")));
            }
        }
        for dir in self.dirs_in(REMOTES)? {
            let id = self.config.keyfile().get_raw(&format!("remote \"{dir}\""), "collection-id");
            if let Some(Ok(id)) = id.map(str::parse) {
                places.push((id, format!("{REMOTES}/{dir}")));
            }
        }
        let mut out = BTreeMap::new();
        for (id, path) in places {
            self.walk_refs(&path, "", &mut |name, _| {
                if let Some(commit) = self.require_ref(&format!("{path}/{name}"))? {
                    out.insert((id.clone(), name), commit);
                }
                Ok(())
            })?;
        }
        Ok(out)
    }

    /// Writes or deletes the file of a ref.
    pub(super) fn write_ref(
        &self,
        refspec: &RefSpec,
        target: Option<CommitId>,
        changed: &mut ChangedDirs,
    ) -> Result<()> {
        self.write_ref_in(&namespace(refspec.remote.as_ref()), &refspec.name, target, changed)
    }

    /// Writes or deletes the file of a collection's ref.
    pub(super) fn write_collection_ref(
        &self,
        id: &CollectionId,
        name: &RefName,
        target: Option<CommitId>,
        changed: &mut ChangedDirs,
    ) -> Result<()> {
        match self.config.collection_id.as_ref() == Some(id) {
            true => self.write_ref_in(HEADS, name, target, changed),
            false => self.write_ref_in(&format!("{MIRRORS}/{id}"), name, target, changed),
        }
    }

    fn write_ref_in(
        &self,
        namespace: &str,
        name: &RefName,
        target: Option<CommitId>,
        changed: &mut ChangedDirs,
    ) -> Result<()> {
        let path = format!("{namespace}/{name}");
        changed.note(&path);
        let Some(target) = target else {
            return match sys::unlink(&self.root, &path) {
                Err(e) if !is_no_ref(&e) => Err(Error::io("unlink", path, e)),
                _ => Ok(()),
            };
        };
        if name.as_str().parse::<Checksum>().is_ok() {
            return Err(Error::Usage(format!("Rev name '{name}' looks like a checksum")));
        }
        self.make_parents(&path)?;
        let content = format!("{target}\n");
        match self.replace_file_at(&path, content.as_bytes()) {
            Err(e) if e.kind() == io::ErrorKind::IsADirectory => {
                self.remove_empty_dirs(namespace, name)?;
                self.replace_file_at(&path, content.as_bytes())
            }
            other => other,
        }
        .map_err(|e| Error::io("write", path, e))
    }

    /// Makes the directories that a ref lies in.
    fn make_parents(&self, path: &str) -> Result<()> {
        let Some((parent, _)) = path.rsplit_once('/') else { return Ok(()) };
        let made = sys::mkdir_all(&self.root, parent, 0o777);
        let is_dir = |stat: rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        match made.and_then(|()| sys::lstat(&self.root, parent)) {
            Ok(Some(stat)) if is_dir(stat) => Ok(()),
            Err(e) if e.kind() != io::ErrorKind::NotADirectory => Err(Error::io("mkdir", parent, e)),
            _ => Err(Error::Usage(format!("Conflict: a part of {path} is a ref"))),
        }
    }

    /// Removes directories that deleted refs left where a ref `name` is to be written.
    fn remove_empty_dirs(&self, namespace: &str, name: &RefName) -> Result<()> {
        self.walk_refs(namespace, name.as_str(), &mut |below, _| {
            Err(Error::Usage(format!("Conflict: {below} exists under {name} when attempting write")))
        })?;
        let path = format!("{namespace}/{name}");
        fs::remove_all(&self.root, &path).map_err(|e| Error::io("remove", path, e))
    }

    /// Lets others see by the repository's time that refs have changed.
    pub(super) fn refs_changed(&self) -> Result<()> {
        sys::touch(&self.root).map_err(|e| Error::io("utimens", ".", e))?;
        self.auto_update_summary()
    }

    /// The commit that the ref names, without looking into remotes or the parent.
    pub(super) fn resolve_here(&self, refspec: &RefSpec) -> Result<Option<CommitId>> {
        self.read_ref(&format!("{}/{}", namespace(refspec.remote.as_ref()), refspec.name))
    }

    /// The commit that the file of a ref names; nothing for a file that is empty, which a power cut may have left:
    /// it can be written like a ref that is not there.
    fn read_ref(&self, path: &str) -> Result<Option<CommitId>> {
        match self.ref_file(path)? {
            None | Some(RefFile::Empty) => Ok(None),
            Some(RefFile::Names(id)) => Ok(Some(id)),
            Some(RefFile::Garbage(source)) => Err(Error::Invalid { what: path.into(), source }),
        }
    }

    /// [`Repo::read_ref`] for those who need all refs: one that names nothing is an error.
    fn require_ref(&self, path: &str) -> Result<Option<CommitId>> {
        match self.ref_file(path)? {
            Some(RefFile::Empty) => {
                let why = "the file is empty; let the ref name a commit again, or delete it";
                Err(Error::Invalid { what: path.into(), source: ParseError::invalid("ref", 0, why) })
            }
            _ => self.read_ref(path),
        }
    }

    /// What the file of a ref says; `None` if there is none.
    fn ref_file(&self, path: &str) -> Result<Option<RefFile>> {
        let bytes = match sys::read_file(&self.root, path, MAX_REF_BYTES) {
            Err(e) if is_no_ref(&e) => return Ok(None),
            other => other.map_err(|e| Error::io("read", path, e))?,
        };
        Ok(bytes.map(|bytes| match str::from_utf8(&bytes).unwrap_or_default().trim_end() {
            "" if bytes.len() <= 1 => RefFile::Empty,
            text => text.parse().map_or_else(RefFile::Garbage, RefFile::Names),
        }))
    }

    /// Every local ref and every ref of a remote, also those whose file is damaged and names nothing: to show or
    /// delete them.
    ///
    /// # Errors
    /// As [`Refs::list`], but for such files.
    pub fn ref_files(&self) -> Result<BTreeMap<RefSpec, Option<CommitId>>> {
        let mut out = BTreeMap::new();
        for remote in self.namespaces()? {
            let namespace = namespace(remote.as_ref());
            self.walk_refs(&namespace, "", &mut |name, _| {
                let named = match self.ref_file(&format!("{namespace}/{name}"))? {
                    None => return Ok(()),
                    Some(RefFile::Names(id)) => Some(id),
                    Some(RefFile::Empty | RefFile::Garbage(_)) => None,
                };
                out.insert(RefSpec { remote: remote.clone(), name }, named);
                Ok(())
            })?;
        }
        Ok(out)
    }

    /// No remote, for the local refs, and every remote that has refs.
    fn namespaces(&self) -> Result<Vec<Option<RemoteName>>> {
        // Without it, a repository that was damaged would look like one without refs of remotes.
        if sys::lstat(&self.root, REMOTES).map_err(|e| Error::io("stat", REMOTES, e))?.is_none() {
            return Err(Error::io("Listing refs: opendir", REMOTES, Errno::NOENT));
        }
        let remotes = self.dirs_in(REMOTES)?;
        Ok([None].into_iter().chain(remotes.iter().filter_map(|name| name.parse().ok().map(Some))).collect())
    }

    fn list_namespace(
        &self,
        remote: Option<&RemoteName>,
        below: &str,
        out: &mut BTreeMap<RefSpec, CommitId>,
    ) -> Result<()> {
        let namespace = namespace(remote);
        self.walk_refs(&namespace, below, &mut |name, _| {
            if let Some(id) = self.require_ref(&format!("{namespace}/{name}"))? {
                out.insert(RefSpec { remote: remote.cloned(), name }, id);
            }
            Ok(())
        })
    }

    /// Calls `visit` for the files below `namespace`/`below` whose names are those of refs.
    fn walk_refs(
        &self,
        namespace: &str,
        below: &str,
        visit: &mut dyn FnMut(RefName, FileType) -> Result<()>,
    ) -> Result<()> {
        let mut todo = vec![below.to_owned()];
        while let Some(dir) = todo.pop() {
            let path = format!("{namespace}/{dir}");
            let entries = match sys::list(&self.root, &path) {
                Err(e) if is_no_ref(&e) => continue,
                other => other.map_err(|e| Error::io("list", &path, e))?,
            };
            for (entry, kind) in entries {
                let name = if dir.is_empty() { entry } else { format!("{dir}/{entry}") };
                // Other files lie about there, too: a tool's ".rsync_info" for instance.
                let Ok(parsed) = name.parse() else { continue };
                match kind {
                    FileType::Directory => todo.push(name),
                    FileType::RegularFile | FileType::Symlink => visit(parsed, kind)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn dirs_in(&self, path: &str) -> Result<Vec<String>> {
        let entries = sys::list(&self.root, path).map_err(|e| Error::io("list", path, e))?;
        let dirs = entries.into_iter().filter(|(_, kind)| *kind == FileType::Directory);
        let mut dirs: Vec<_> = dirs.map(|(name, _)| name).collect();
        dirs.sort();
        Ok(dirs)
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
