//! Adds ordinary archives to a tree, for `commit --tree=tar=`.
//!
//! Hard links are resolved after the last entry: their target may come later, and in cpio archives any of
//! the names of a file may be the one with the content. Agrees with libostree's import on every commit id, but
//! for symbolic links whose mode is not 0777: libostree keeps it, and damages bare repositories with it; and for
//! sparse files: libostree loses holes at their end. Chains of links, which libostree refuses, are followed; a tar
//! archive with entries behind a lone block of zeros, where libostree sees the end, is refused, and so is the image of a
//! disk that begins with zeros, in which libostree sees no entries.
//! Source: libostree ostree-repo-libarchive.c.

mod links;

use std::collections::BTreeMap;

use ostree_format::{DirMeta, Xattrs};

use self::links::Link;
use super::archive::{Archive, ArchiveInput};
use super::content::POOL_BYTES;
use super::entry::{EntryKind, TarEntry};
use super::error::{EntryErrorKind, Result};
use super::files::{ARCHIVE_DEPTH, FileWriter, file_header, file_name, names, relative};
use super::filter::PathnameFilter;
use crate::base::{Ctx, with_pool};
use crate::store::{Decision, Modifier, MutableTree, ObjectWrite};

/// Options for turning an archive into a tree.
#[derive(Debug, Clone, Default)]
pub struct TreeOptions {
    /// The treatment of an entry whose directory is not in the archive.
    pub parents: Parents,
    /// The treatment of devices and pipes.
    pub special: SpecialFiles,
    /// A filter that changes paths.
    pub filter: Option<PathnameFilter>,
}

/// The treatment of an entry whose directory is not in the archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Parents {
    /// A missing directory is an error.
    #[default]
    MustExist,
    /// A missing directory is made: mode 0755, owned as the entry, no xattrs. As in libostree, all directories on the
    /// path become so, also those that were there.
    Create,
}

/// The treatment of devices, pipes and the like, which no commit can hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SpecialFiles {
    /// Special files are an error.
    #[default]
    Refuse,
    /// Special files are left out.
    Ignore,
}

/// Adds the entries of an archive to `tree`: tar or cpio, plain or compressed by gzip, zstd, xz, bzip2 or
/// lz4; or zip. Files replace files that are there.
///
/// # Errors
/// [`Format`](super::Error::Format), [`Entry`](super::Error::Entry), [`Read`](super::Error::Read) for a malformed archive;
/// [`Store`](super::Error::Store).
pub fn import_tree(
    source: ArchiveInput<'_>,
    store: &dyn ObjectWrite,
    tree: &mut MutableTree,
    modifier: &mut Modifier,
    options: &TreeOptions,
    ctx: &Ctx,
) -> Result<()> {
    let mut archive = Archive::open(source)?;
    with_pool(ctx, POOL_BYTES, |pool| {
        let files = FileWriter { store, pool, clones: None, ctx };
        let mut import = Import { files, tree, modifier, options, links: BTreeMap::new() };
        while let Some(entry) = archive.next_entry()? {
            ctx.cancel.check()?;
            import.entry(&entry, &mut archive)?;
        }
        pool.wait()?;
        import.finish()
    })
}

struct Import<'a, 'p, 'env> {
    files: FileWriter<'p, 'env>,
    tree: &'a mut MutableTree,
    modifier: &'a mut Modifier,
    options: &'a TreeOptions,
    /// Hard links, by their targets.
    links: BTreeMap<String, Vec<Link>>,
}

impl Import<'_, '_, '_> {
    fn entry(&mut self, entry: &TarEntry, archive: &mut Archive<'_>) -> Result<()> {
        if entry.kind == EntryKind::VolumeLabel {
            return Ok(());
        }
        let path = self.place(&entry.path).map_err(|kind| entry.error(kind))?;
        let names = names(&path, ARCHIVE_DEPTH).map_err(|kind| entry.error(kind))?;
        let absolute = format!("/{}", names.join("/"));
        match entry.kind {
            EntryKind::Dir => self.dir(entry, &names, &absolute),
            EntryKind::Regular | EntryKind::Symlink | EntryKind::Link => {
                self.file(entry, &names, &absolute, archive)
            }
            other => match self.options.special {
                SpecialFiles::Ignore => Ok(()),
                SpecialFiles::Refuse => Err(entry.error(EntryErrorKind::Type(other.as_str()))),
            },
        }
    }

    /// Where an entry of the archive, or the target of a link, goes.
    fn place(&self, path: &[u8]) -> Result<String, EntryErrorKind> {
        let path = relative(path)?;
        Ok(self.options.filter.as_ref().map_or_else(|| path.to_owned(), |filter| filter.apply(path)))
    }

    fn dir(&mut self, entry: &TarEntry, names: &[&str], path: &str) -> Result<()> {
        let mut meta = DirMeta::new(entry.uid, entry.gid, entry.permissions, entry.xattrs.clone());
        if self.modifier.apply_to_dir(path, &mut meta) == Decision::Skip {
            return Ok(());
        }
        let store = self.files.store;
        let meta = self.files.dirmeta(&meta)?;
        let Some((name, _)) = names.split_last() else {
            self.tree.set_meta(meta);
            return Ok(());
        };
        let dir = self.parent(entry, names)?.ensure_dir(store, file_name(entry, name)?);
        dir.map_err(|_| entry.error(EntryErrorKind::Conflict("a file is there")))?.set_meta(meta);
        Ok(())
    }

    fn file(
        &mut self,
        entry: &TarEntry,
        names: &[&str],
        path: &str,
        archive: &mut Archive<'_>,
    ) -> Result<()> {
        let Some((name, _)) = names.split_last() else {
            return Err(entry.error(EntryErrorKind::Conflict("the root has to be a directory")));
        };
        let mut header = file_header(entry)?;
        if self.modifier.apply_to_file(path, &mut header) == Decision::Skip {
            return Ok(());
        }
        self.parent(entry, names)?;
        if entry.kind != EntryKind::Link || entry.size > 0 {
            let id = self.files.write(header, entry, archive)?;
            let store = self.files.store;
            let set = self.parent(entry, names)?.set_file(store, file_name(entry, name)?, id);
            set.map_err(|_| entry.error(EntryErrorKind::Conflict("a directory is there")))?;
        }
        if entry.kind == EntryKind::Link {
            self.link(entry, names)?;
        }
        Ok(())
    }

    /// The directory in which an entry lies, made if the options say so.
    fn parent(&mut self, entry: &TarEntry, names: &[&str]) -> Result<&mut MutableTree> {
        let (store, parents) = (self.files.store, &names[..names.len().saturating_sub(1)]);
        if walk(self.tree, store, parents)?.is_none() {
            if self.options.parents == Parents::MustExist {
                return Err(entry.error(EntryErrorKind::NoParent(parents.join("/"))));
            }
            let meta = DirMeta::new(entry.uid, entry.gid, 0o755, Xattrs::EMPTY);
            let meta = self.files.dirmeta(&meta)?;
            self.tree.set_meta(meta);
            let mut dir = &mut *self.tree;
            for name in parents {
                let next = dir.ensure_dir(store, file_name(entry, name)?);
                dir = next.map_err(|_| entry.error(EntryErrorKind::Conflict("its parent is a file")))?;
                dir.set_meta(meta);
            }
        }
        let dir = walk(self.tree, store, parents)?;
        dir.ok_or_else(|| entry.error(EntryErrorKind::NoParent(parents.join("/"))))
    }

    fn finish(mut self) -> Result<()> {
        self.resolve_links()?;
        if self.options.parents == Parents::Create && self.tree.meta().is_none() {
            // Nothing was imported.
            let mut meta = DirMeta::new(0, 0, 0o755, Xattrs::EMPTY);
            self.modifier.apply_to_dir("/", &mut meta);
            self.tree.set_meta(self.files.dirmeta(&meta)?);
        }
        Ok(())
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
