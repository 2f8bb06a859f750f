//! The tree of plain layers, by their tables of contents.
//!
//! ```text
//! rows of a layer ─┬─ whiteouts   ► what lower layers have is gone
//!                  └─ files       ► an id made of all that the row says     not one of ostree: what is the same in
//!                     directories ► a dirmeta                               two images has the same id
//! ```
//! A table is a claim of whoever made the image, and nothing is made of it but a list.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::ops::Range;

use oci_spec::image::Descriptor;
use ostree_format::{Checksum, DirMeta, DirMetaId, FileId, FileName, MetaKind, RootDir, Xattrs};

use super::trees::Trees;
use crate::base::Ctx;
use crate::base::io::Cancellable;
use crate::container::blob::MAX_ZSTD_WINDOW_LOG;
use crate::container::blob::chunked::{Row, TablePlace, Wants};
use crate::container::build::chunks::database::installed;
use crate::container::image::{Digest, Error, ImageSource, Result};
use crate::store::{self, Entry, MutableTree, ObjectWrite as _};
use crate::tar::split_path;

/// The rows of a layer that are kept at once.
const MAX_ROWS: usize = 256 * 1024;
/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// Where the content of a file lies.
pub(super) struct Place<'a> {
    source: &'a dyn ImageSource,
    layer: &'a Descriptor,
    frames: Range<u64>,
    bytes: u64,
    digest: Option<Digest>,
}

impl Place<'_> {
    /// Fetches the content.
    pub(super) fn read(&self, ctx: &Ctx) -> Result<Vec<u8>> {
        let what = || self.layer.digest().to_string();
        if self.bytes > MAX_FILE_BYTES {
            return Err(Error::TooLarge { what: format!("a file in {}", what()), limit: MAX_FILE_BYTES });
        }
        let part = self.source.blob_part(self.layer, self.frames.clone())?;
        let part =
            part.ok_or_else(|| Error::Image(format!("no parts of {} are to be had any more", what())))?;
        let part = Cancellable::new(part, &ctx.cancel).take(self.frames.end - self.frames.start);
        let mut decoder = zstd::Decoder::new(part).map_err(Error::io("decompress", what()))?;
        decoder.window_log_max(MAX_ZSTD_WINDOW_LOG).map_err(Error::io("decompress", what()))?;
        let mut content = Vec::new();
        decoder.take(self.bytes).read_to_end(&mut content).map_err(Error::io("read", what()))?;
        let actual = Digest::of(&content);
        match self.digest.filter(|expected| *expected != actual) {
            Some(expected) => Err(Error::Mismatch { what: "file", expected, actual }),
            None => Ok(content),
        }
    }
}

/// Lays plain layers, lowest first, over the tree of a commit, if there is one; gives the root, or a layer that has no
/// table of contents, or of which no parts are to be had.
pub(super) fn lay_over<'a>(
    base: Option<RootDir>,
    layers: &[&'a Descriptor],
    source: &'a dyn ImageSource,
    trees: &Trees<'_>,
    places: &mut HashMap<FileId, Place<'a>>,
    ctx: &Ctx,
) -> Result<Result<RootDir, Digest>> {
    let mut root = base.map_or_else(MutableTree::new, MutableTree::from_root);
    let moves_etc = base.is_some() && root.get(trees, "etc")?.is_none();
    let mut merged = Merged { root, moves_etc, trees, default: dirmeta(trees, 0, 0, 0o755)? };
    if base.is_none() {
        merged.root.set_meta(merged.default);
    }
    for layer in layers {
        let Some(rows) = rows(source, layer, ctx)? else { return Ok(Err(Digest::of_descriptor(layer)?)) };
        for row in &rows {
            merged.whiteout(row)?;
        }
        // In layers of a commit, what is at a path is a hard link to an object.
        let linked = rows.iter().filter(|row| row.kind == "hardlink" && is_of_database(&row.name));
        let linked: HashSet<&str> = linked.map(|row| &*row.link_name).collect();
        for row in &rows {
            if let Some(id) = merged.put(row)?
                && row.kind == "reg"
                && (is_of_database(&row.name) || linked.contains(&*row.name))
            {
                let frames = row.offset..row.end_offset.max(row.offset);
                let digest = row.digest.parse().ok();
                places.insert(id, Place { source, layer, frames, bytes: row.size, digest });
            }
        }
    }
    if let Some(Entry::Dir(dir)) = merged.root.get(trees, "sysroot")?
        && let Some(Entry::Dir(dir)) = dir.get(trees, "ostree")?
    {
        // The objects themselves: every commit has others.
        dir.remove(trees, "repo")?;
    }
    Ok(Ok(merged.root.write(&trees.store)?))
}

/// The rows of a layer's table but those of further pieces of files.
fn rows(source: &dyn ImageSource, layer: &Descriptor, ctx: &Ctx) -> Result<Option<Vec<Row>>> {
    let Some(place) = TablePlace::of(layer) else { return Ok(None) };
    let Some(part) = source.blob_part(layer, place.bytes.clone())? else { return Ok(None) };
    let mut rows = Vec::new();
    let read = place.read(Cancellable::new(part, &ctx.cancel), &mut |row| {
        if row.kind != "chunk" {
            rows.push(row);
        }
        if rows.len() > MAX_ROWS { Wants::NoMore } else { Wants::More }
    });
    ctx.cancel.check()?;
    match read.map_err(Error::io("read", layer.digest().to_string()))? {
        Wants::More => Ok(Some(rows)),
        Wants::NoMore => {
            let what = format!("the table of contents of {}", layer.digest());
            Err(Error::TooLarge { what, limit: MAX_ROWS as u64 })
        }
    }
}

/// Whether a file may be part of a package manager's database.
fn is_of_database(path: &str) -> bool {
    let path = path.trim_start_matches("./");
    installed::files().any(|(_, file)| path == file)
        || installed::dirs()
            .any(|(_, dir)| path.strip_prefix(&*dir).is_some_and(|rest| rest.starts_with('/')))
}

fn dirmeta(trees: &Trees<'_>, uid: u32, gid: u32, permissions: u32) -> Result<DirMetaId> {
    let bytes = DirMeta::new(uid, gid, permissions, Xattrs::EMPTY).to_bytes();
    Ok(DirMetaId::new(trees.store.write_meta(MetaKind::DirMeta, &bytes)?))
}

/// The tree while layers are laid over it.
struct Merged<'t, 'a> {
    root: MutableTree,
    /// Whether what images have in `etc` is `usr/etc` in the commit.
    moves_etc: bool,
    trees: &'t Trees<'a>,
    /// What directories have that no layer lists.
    default: DirMetaId,
}

impl Merged<'_, '_> {
    /// The names of a row's path in the tree; none for the root, and for paths that make no sense.
    fn names<'r>(&self, path: &'r str) -> Vec<&'r str> {
        let names = split_path(path.as_bytes()).unwrap_or_default();
        match self.moves_etc && names.first() == Some(&"etc") {
            true => ["usr"].into_iter().chain(names).collect(),
            false => names,
        }
    }

    /// The directory with these names, made if it is not there.
    fn dir(&mut self, names: &[&str]) -> Result<&mut MutableTree> {
        let (trees, default) = (self.trees, self.default);
        let mut dir = &mut self.root;
        for name in names {
            if matches!(dir.get(trees, name)?, Some(Entry::File(_))) {
                dir.remove(trees, name)?;
            }
            dir = dir.ensure_dir(trees, name.parse().map_err(invalid)?)?;
            if dir.meta().is_none() {
                dir.set_meta(default);
            }
        }
        Ok(dir)
    }

    /// Removes what a whiteout says.
    fn whiteout(&mut self, row: &Row) -> Result<()> {
        let (names, trees) = (self.names(&row.name), self.trees);
        let Some((name, above)) = names.split_last() else { return Ok(()) };
        let Some(hidden) = name.strip_prefix(WHITEOUT) else { return Ok(()) };
        let dir = self.dir(above)?;
        if *name == OPAQUE {
            dir.clear();
        } else {
            dir.remove(trees, hidden)?;
        }
        Ok(())
    }

    /// Puts what a row tells of into the tree; gives the id of a file.
    fn put(&mut self, row: &Row) -> Result<Option<FileId>> {
        let (names, trees) = (self.names(&row.name), self.trees);
        if row.kind == "dir" {
            let meta = dirmeta(trees, row.uid, row.gid, row.mode & 0o7777)?;
            self.dir(&names)?.set_meta(meta);
            return Ok(None);
        }
        let Some((name, above)) = names.split_last().filter(|(name, _)| !name.starts_with(WHITEOUT)) else {
            return Ok(None);
        };
        let id = match &*row.kind {
            "hardlink" => self.file(&self.names(&row.link_name))?,
            _ => Some(made_up(row)),
        };
        let Some(id) = id else { return Ok(None) };
        let name: FileName = name.parse().map_err(invalid)?;
        let dir = self.dir(above)?;
        dir.remove(trees, &name)?;
        dir.set_file(trees, name, id)?;
        Ok(Some(id))
    }

    /// The file with these names.
    fn file(&mut self, names: &[&str]) -> Result<Option<FileId>> {
        let Some((name, above)) = names.split_last() else { return Ok(None) };
        let trees = self.trees;
        Ok(match self.dir(above)?.get(trees, name)? {
            Some(Entry::File(id)) => Some(id),
            _ => None,
        })
    }
}

/// An id of all that a row says of a file but where it lies.
fn made_up(row: &Row) -> FileId {
    let Row { kind, link_name, mode, size, uid, gid, digest, xattrs, .. } = row;
    let all = format!("{kind}\0{link_name}\0{mode:o}\0{size}\0{uid}\0{gid}\0{digest}\0{xattrs:?}");
    FileId::new(Checksum::of(all.as_bytes()))
}

fn invalid(error: impl std::fmt::Display) -> Error {
    Error::Store(store::Error::Usage(error.to_string()))
}
