//! Ordinary archives into a tree, for `commit --tree=tar=`.
//!
//! Hard links are resolved after the last entry: their target may come later, and in cpio archives any of
//! the names of a file may be the one with the content. Agrees with libostree's import on every commit id, but
//! for symbolic links whose mode is not 0777: libostree keeps it, and damages bare repositories with it.
//! Source: libostree ostree-repo-libarchive.c.

mod links;
mod places;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;

use ostree_format::{DirMeta, DirMetaId, FileHeader, FileId, FileName, MetaKind, Xattrs};

pub(super) use self::places::{Place, Places};
use self::places::{relative, split};
use super::archive::Archive;
use super::content::{POOL_BYTES, SMALL_BYTES};
use super::entry::{Entry, EntryKind};
use super::error::{EntryErrorKind, Error, Result};
use super::filter::PathnameFilter;
use crate::base::io::Cancellable;
use crate::base::{Ctx, Pool, with_pool};
use crate::store::{Decision, Modifier, MutableTree, ObjectWrite};

/// Names in a path: trees are written by functions that call themselves for each directory.
const MAX_DEPTH: usize = 512;

/// How an archive becomes a tree.
#[derive(Debug, Clone, Default)]
pub struct TreeOptions {
    /// What happens if the directory of an entry is not in the archive.
    pub parents: Parents,
    /// What happens to devices and pipes.
    pub special: SpecialFiles,
    /// What paths become.
    pub filter: Option<PathnameFilter>,
}

/// What happens if the directory of an entry is not in the archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Parents {
    /// That is an error.
    #[default]
    MustExist,
    /// It is made: mode 0755, owned as the entry, no xattrs. As in libostree, all directories on the path
    /// become so, also those that were there.
    Create,
    /// It is made in the same way; those that were there stay as they are.
    CreateMissing,
}

/// What happens to devices, pipes and the like, which no commit can hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SpecialFiles {
    /// They are an error.
    #[default]
    Refuse,
    /// They are left out.
    Ignore,
}

/// Adds the entries of an archive to `tree`: tar or cpio, plain or compressed by gzip or zstd. Files replace
/// files that are there.
///
/// # Errors
/// [`Error::Format`], [`Error::Entry`], [`Error::Read`] for a malformed archive; [`Error::Store`].
pub fn import_tree(
    input: &mut dyn Read,
    store: &dyn ObjectWrite,
    tree: &mut MutableTree,
    modifier: &mut Modifier,
    options: &TreeOptions,
    ctx: &Ctx,
) -> Result<()> {
    let mut archive = Archive::open(input)?;
    let found = read_entries(&mut archive, store, tree, modifier, options, options, ctx)?;
    match found.links.first_key_value() {
        None => Ok(()),
        Some((target, links)) => Err(links[0].entry.error(EntryErrorKind::LinkTarget(target.clone()))),
    }
}

/// What an import noticed beside the tree.
#[derive(Default)]
pub(super) struct Found {
    /// Directories that are in the tree, but not in the archive.
    pub(super) implied: BTreeSet<String>,
    /// Hard links whose target is not in the archive, by target.
    pub(super) links: BTreeMap<String, Vec<Link>>,
    /// How many entries were left out.
    pub(super) left_out: BTreeMap<String, u64>,
}

/// Adds the entries of an archive to `tree`.
pub(super) fn read_entries(
    archive: &mut Archive<'_>,
    store: &dyn ObjectWrite,
    tree: &mut MutableTree,
    modifier: &mut Modifier,
    options: &TreeOptions,
    places: &dyn Places,
    ctx: &Ctx,
) -> Result<Found> {
    with_pool(ctx, POOL_BYTES, |pool| {
        let (found, objects, object_links) = (Found::default(), HashMap::new(), Vec::new());
        let mut import =
            Import { store, pool, ctx, tree, modifier, options, places, objects, object_links, found };
        while let Some(entry) = archive.next_entry()? {
            ctx.cancel.check()?;
            import.entry(&entry, archive)?;
        }
        pool.wait()?;
        import.finish()
    })
}

struct Import<'a, 'p, 'env> {
    store: &'env dyn ObjectWrite,
    pool: &'p Pool<'env, Error>,
    ctx: &'env Ctx,
    tree: &'a mut MutableTree,
    modifier: &'a mut Modifier,
    options: &'a TreeOptions,
    places: &'a dyn Places,
    /// Entries that are objects, and what they are now.
    objects: HashMap<FileId, FileId>,
    object_links: Vec<(FileId, Link)>,
    found: Found,
}

/// A hard link whose target is resolved at the end.
pub(super) struct Link {
    /// For messages; the path in the tree is beside it.
    pub(super) entry: Entry,
    pub(super) path: String,
}

impl Import<'_, '_, '_> {
    fn entry(&mut self, entry: &Entry, archive: &mut Archive<'_>) -> Result<()> {
        // Volume labels and the like of GNU tar.
        if matches!(entry.kind, EntryKind::Other(b'V' | b'N')) {
            return Ok(());
        }
        let path = match self.final_place(&entry.path).map_err(|kind| entry.error(kind))? {
            Place::In(path) => path,
            Place::Out(name) => {
                self.leave_out(name);
                return Ok(());
            }
            Place::Object(id) => return self.object(id, entry, archive),
        };
        let names = split(&path).map_err(|kind| entry.error(kind))?;
        let absolute = format!("/{path}");
        match entry.kind {
            EntryKind::Dir => self.dir(entry, &names, &absolute),
            EntryKind::Regular | EntryKind::Symlink | EntryKind::Link => {
                self.file(entry, &names, &absolute, archive)
            }
            other => match self.options.special {
                SpecialFiles::Ignore => {
                    self.leave_out(other.as_str().to_owned());
                    Ok(())
                }
                SpecialFiles::Refuse => Err(entry.error(EntryErrorKind::Type(other.as_str()))),
            },
        }
    }

    fn leave_out(&mut self, name: String) {
        *self.found.left_out.entry(name).or_default() += 1;
    }

    /// Takes in an object that hard links may name.
    fn object(&mut self, id: FileId, entry: &Entry, archive: &mut Archive<'_>) -> Result<()> {
        if matches!(entry.kind, EntryKind::Regular | EntryKind::Symlink) {
            let written = self.write_content(file_header(entry)?, entry, archive)?;
            self.objects.insert(id, written);
        }
        Ok(())
    }

    fn dir(&mut self, entry: &Entry, names: &[&str], path: &str) -> Result<()> {
        let mut meta = DirMeta::new(entry.uid, entry.gid, entry.permissions, entry.xattrs.clone());
        if self.modifier.apply_to_dir(path, &mut meta) == Decision::Skip {
            return Ok(());
        }
        let store = self.store;
        let meta = write_dirmeta(store, &meta)?;
        self.found.implied.remove(&path[1..]);
        let Some((name, _)) = names.split_last() else {
            self.tree.set_meta(meta);
            return Ok(());
        };
        let dir = self.parent(entry, names)?.ensure_dir(store, file_name(entry, name)?);
        dir.map_err(|_| entry.error(EntryErrorKind::Conflict("a file is there")))?.set_meta(meta);
        Ok(())
    }

    fn file(&mut self, entry: &Entry, names: &[&str], path: &str, archive: &mut Archive<'_>) -> Result<()> {
        let Some((name, _)) = names.split_last() else {
            return Err(entry.error(EntryErrorKind::Conflict("the root has to be a directory")));
        };
        let mut header = file_header(entry)?;
        if self.modifier.apply_to_file(path, &mut header) == Decision::Skip {
            return Ok(());
        }
        self.parent(entry, names)?;
        if entry.kind != EntryKind::Link || entry.size > 0 {
            let id = self.write_content(header, entry, archive)?;
            let store = self.store;
            let set = self.parent(entry, names)?.set_file(store, file_name(entry, name)?, id);
            set.map_err(|_| entry.error(EntryErrorKind::Conflict("a directory is there")))?;
        }
        if entry.kind == EntryKind::Link {
            self.link(entry, names)?;
        }
        Ok(())
    }

    fn link(&mut self, entry: &Entry, names: &[&str]) -> Result<()> {
        let link = Link { entry: entry.clone(), path: names.join("/") };
        match self.final_place(&entry.link).map_err(|kind| entry.error(kind))? {
            Place::In(target) => self.found.links.entry(target).or_default().push(link),
            Place::Object(id) => self.object_links.push((id, link)),
            Place::Out(name) => self.leave_out(name),
        }
        Ok(())
    }

    /// Writes a content object: small ones in the pool, since what is in memory has its id at once.
    fn write_content(
        &mut self,
        header: FileHeader,
        entry: &Entry,
        archive: &mut Archive<'_>,
    ) -> Result<FileId> {
        let (store, ctx, size) = (self.store, self.ctx, entry.size);
        if size > SMALL_BYTES {
            let mut content = Cancellable::new(&mut *archive, &ctx.cancel);
            let id = store.write_file(&header, size, &mut content);
            ctx.cancel.check()?;
            archive.take_failure().map_or(Ok(()), Err)?;
            ctx.object_done(size);
            return Ok(id.map_err(|e| e.of_path(&String::from_utf8_lossy(&entry.path)))?);
        }
        let mut content = Vec::with_capacity(size as usize);
        let read = archive.read_to_end(&mut content);
        archive.take_failure().map_or(Ok(()), Err)?;
        read.map_err(|source| Error::Read { offset: entry.offset, source })?;
        let id = header.id_with(&content);
        let path = entry.path.clone();
        self.pool.submit(size + 512, move || {
            if !store.contains(&id.into())? {
                let written = store.write_file(&header, size, &mut &*content);
                written.map_err(|e| e.of_path(&String::from_utf8_lossy(&path)))?;
            }
            ctx.object_done(size);
            Ok(())
        })?;
        Ok(id)
    }

    /// The directory in which an entry lies, made if the options say so.
    fn parent(&mut self, entry: &Entry, names: &[&str]) -> Result<&mut MutableTree> {
        let (store, parents) = (self.store, &names[..names.len().saturating_sub(1)]);
        if walk(self.tree, store, parents)?.is_none() {
            if self.options.parents == Parents::MustExist {
                return Err(entry.error(EntryErrorKind::NoParent(parents.join("/"))));
            }
            let meta = write_dirmeta(store, &DirMeta::new(entry.uid, entry.gid, 0o755, Xattrs::EMPTY))?;
            let all = self.options.parents == Parents::Create;
            let implied = &mut self.found.implied;
            let mut make = |dir: &mut MutableTree, path: &[&str]| {
                if dir.meta().is_none() {
                    implied.insert(path.join("/"));
                }
                if all || dir.meta().is_none() {
                    dir.set_meta(meta);
                }
            };
            make(self.tree, &[]);
            let mut dir = &mut *self.tree;
            for (n, name) in parents.iter().enumerate() {
                let next = dir.ensure_dir(store, file_name(entry, name)?);
                dir = next.map_err(|_| entry.error(EntryErrorKind::Conflict("its parent is a file")))?;
                make(dir, &parents[..=n]);
            }
        }
        let dir = walk(self.tree, store, parents)?;
        dir.ok_or_else(|| entry.error(EntryErrorKind::NoParent(parents.join("/"))))
    }

    fn finish(mut self) -> Result<Found> {
        self.resolve_object_links()?;
        self.resolve_all_links()?;
        if self.options.parents != Parents::MustExist && self.tree.meta().is_none() {
            // Nothing was imported: an image layer may be metadata only.
            let mut meta = DirMeta::new(0, 0, 0o755, Xattrs::EMPTY);
            self.modifier.apply_to_dir("/", &mut meta);
            self.tree.set_meta(write_dirmeta(self.store, &meta)?);
            self.found.implied.insert(String::new());
        }
        Ok(self.found)
    }

    /// Where an entry of the archive, or the target of a link, goes.
    fn final_place(&self, path: &[u8]) -> Result<Place, EntryErrorKind> {
        let path = std::str::from_utf8(path).map_err(|_| EntryErrorKind::NotUtf8("path"))?;
        match self.places.place(relative(path))? {
            Place::In(path) => match split(&path)? {
                names if names.len() > MAX_DEPTH => Err(EntryErrorKind::TooDeep(MAX_DEPTH)),
                names => Ok(Place::In(names.join("/"))),
            },
            other => Ok(other),
        }
    }
}

fn walk<'t>(
    tree: &'t mut MutableTree,
    store: &dyn ObjectWrite,
    names: &[&str],
) -> Result<Option<&'t mut MutableTree>> {
    let mut dir = tree;
    for name in names {
        match dir.dirs(store)?.get_mut(*name) {
            Some(next) => dir = next,
            None => return Ok(None),
        }
    }
    Ok(Some(dir))
}

fn file_header(entry: &Entry) -> Result<FileHeader> {
    let (uid, gid, xattrs) = (entry.uid, entry.gid, entry.xattrs.clone());
    if entry.kind != EntryKind::Symlink {
        return Ok(FileHeader::regular(uid, gid, entry.permissions, xattrs));
    }
    match std::str::from_utf8(&entry.link) {
        // Programs write all sorts of permissions, Python 0644: no file system would have them.
        Ok(target) if !target.is_empty() => Ok(FileHeader::symlink(uid, gid, target, xattrs)),
        _ => Err(entry.error(EntryErrorKind::NotUtf8("link target"))),
    }
}

fn write_dirmeta(store: &dyn ObjectWrite, meta: &DirMeta) -> Result<DirMetaId> {
    Ok(DirMetaId::new(store.write_meta(MetaKind::DirMeta, &meta.to_bytes())?))
}

fn file_name(entry: &Entry, name: &str) -> Result<FileName> {
    FileName::new(name).map_err(|error| entry.error(EntryErrorKind::Parse(error)))
}
