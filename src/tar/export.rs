//! Commits as tar streams of ostree-ext's format, whole or in layers.
//!
//! ```text
//! whole commit   ./ · repository directories · commit · commitmeta · root dirmeta · tree · var/tmp
//! tree           dirtree · { file object · its place } · { dirmeta · directory · tree }
//! file object    [.file-xattrs] · .file-xattrs-link · .file        once; its place is a hard link to .file
//! chunk          repository directories · { file object · its places }
//! rest           whole commit without files · { file object · its places }
//! on a base      whole commit without files · what the base has not: see `on_base`
//! ```
//! Byte for byte what ostree-ext 0.15 writes (see [`XattrDialect`]), except where it fails or what it writes is wrong:
//! link targets are kept literally, the objects below `sysroot` are not left out, no path is there twice.
//! A file has at most [`MAX_NAMES`](super::writer::MAX_NAMES) names, which ext4 can unpack: beyond that, copies are written.
//! Memory: 32 bytes and some for each object.

mod content;
mod on_base;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{BufWriter, Write};

use ostree_format::{
    Checksum, Commit, CommitId, DirEntry, DirMeta, DirMetaId, DirTreeId, FileId, FileName, ObjectName, Xattrs,
};
use tar::{EntryType, Header};

use super::chunk::ChunkContent;
use super::error::{Error, Result};
use super::layout::{CONFIG, CheckoutMap, REPO, REPO_DIRS, object_path};
use super::writer::Writer;
use crate::base::Ctx;
use crate::store::{self, ObjectRead, load_commit, load_dirmeta, load_dirtree};

#[cfg(feature = "container")]
pub(crate) use content::SELINUX_XATTR;
pub use on_base::OnBase;

/// Options for writing a commit as a stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExportOptions<'a> {
    /// The part of the commit that the stream holds.
    pub part: StreamPart<'a>,
    /// The way in which xattrs are written.
    pub xattrs: XattrDialect,
    /// The order of the content objects of a layer.
    pub order: ContentOrder,
}

/// The part of a commit that a stream holds.
#[derive(Debug, Clone, Copy, Default)]
pub enum StreamPart<'a> {
    /// The commit with everything that belongs to it.
    #[default]
    Whole,
    /// Some content objects and nothing else: any layer but the first.
    Chunk(&'a ChunkContent),
    /// The commit, all its metadata and directories, and the content objects that are in no chunk: the first layer.
    Rest(&'a ChunkContent),
    /// What makes the commit of the layers of a base.
    OnBase(&'a OnBase),
}

/// The order of the content objects of a layer; readers take any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContentOrder {
    /// By checksum, as ostree-ext writes them.
    #[default]
    Checksum,
    /// By the first path of each: what is new in a commit lies together, for whoever fetches only that.
    Path,
}

/// The way in which xattrs of content objects are written, and with it the ostree-ext that writes the same bytes. Every
/// version of ostree-ext since 0.6 reads both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum XattrDialect {
    /// One entry for each set of xattrs, and a hard link to it for each file: ostree-ext 0.15 before it became part of bootc.
    #[default]
    Linked,
    /// One copy of the xattrs for each file, and for programs that unpack the image an extended header with all but
    /// `security.selinux`: ostree-ext as part of bootc.
    Copied,
}

/// Writes a commit, or the part of it that `options` name. If this fails, `out` holds a truncated stream.
///
/// # Errors
/// [`Error::Write`]; [`Error::Store`] if an object is missing or damaged.
pub fn export_commit(
    store: &dyn ObjectRead,
    commit: &CommitId,
    out: &mut dyn Write,
    options: &ExportOptions<'_>,
    ctx: &Ctx,
) -> Result<()> {
    let mut exporter = Exporter::new(store, commit, out, options, ctx)?;
    match options.part {
        StreamPart::Whole => exporter.write_commit(commit, Files::WithObjects)?,
        StreamPart::Chunk(content) => {
            exporter.write_repo_structure()?;
            exporter.write_content(content)?;
        }
        StreamPart::Rest(content) => {
            exporter.write_commit(commit, Files::LeaveOut)?;
            exporter.write_content(content)?;
        }
        StreamPart::OnBase(what) => exporter.write_on_base(commit, what)?,
    }
    exporter.finish()
}

struct Exporter<'a> {
    store: &'a dyn ObjectRead,
    out: Writer<BufWriter<&'a mut dyn Write>>,
    options: ExportOptions<'a>,
    ctx: &'a Ctx,
    commit: Commit,
    map: CheckoutMap,
    dirtrees: HashSet<DirTreeId>,
    dirmetas: HashSet<DirMetaId>,
    /// Content objects, and how many names the file of each has.
    files: HashMap<FileId, u32>,
    /// Where copies of objects are whose own file has all the names that it can have.
    copies: HashMap<FileId, String>,
    /// Sets of xattrs, and how many names each has.
    xattr_sets: HashMap<Checksum, u32>,
    /// Of a layer on a base: the directories that it lists, by their paths in the checkout.
    on_base: Option<&'a BTreeSet<String>>,
}

/// What a walk does with files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Files {
    WithObjects,
    LeaveOut,
}

/// A directory whose subdirectories are being written.
struct Frame {
    /// The path in the commit, with a slash at the end; empty for the root.
    path: String,
    dirs: std::collections::btree_map::IntoIter<FileName, DirEntry>,
}

impl<'a> Exporter<'a> {
    fn new(
        store: &'a dyn ObjectRead,
        commit: &CommitId,
        out: &'a mut dyn Write,
        options: &ExportOptions<'a>,
        ctx: &'a Ctx,
    ) -> Result<Self> {
        let commit = load_commit(store, commit)?;
        Ok(Self {
            store,
            out: Writer::new(BufWriter::with_capacity(64 * 1024, out)),
            options: *options,
            ctx,
            map: CheckoutMap::of(store, &commit)?,
            commit,
            dirtrees: HashSet::new(),
            dirmetas: HashSet::new(),
            files: HashMap::new(),
            copies: HashMap::new(),
            xattr_sets: HashMap::new(),
            on_base: None,
        })
    }

    fn finish(self) -> Result<()> {
        self.out.finish()?.flush().map_err(Error::Write)
    }

    fn write_commit(&mut self, id: &CommitId, files: Files) -> Result<()> {
        let root = self.commit.root;
        let meta = load_dirmeta(self.store, &root.meta)?;
        self.write_dir("./", &meta)?;
        self.write_repo_structure()?;
        self.write_meta(&(*id).into())?;
        let detached = ObjectName::commitmeta(id);
        // libostree leaves an empty file behind when it removes detached metadata.
        if let Some(bytes) = self.store.read_meta(&detached)?.filter(|bytes| !bytes.is_empty()) {
            self.write_file(&object_path(&detached), &bytes)?;
        }
        self.dirmetas.insert(root.meta);
        self.write_meta(&root.meta.into())?;
        self.write_tree(root.tree, files)?;
        if self.map.make_var_tmp {
            self.write_dir("var/tmp", &DirMeta::new(0, 0, 0o1777, Xattrs::EMPTY))?;
        }
        Ok(())
    }

    fn write_repo_structure(&mut self) -> Result<()> {
        let meta = DirMeta::new(0, 0, 0o755, Xattrs::EMPTY);
        for dir in ["sysroot", "sysroot/ostree", REPO] {
            self.write_dir(dir, &meta)?;
        }
        self.write_dir(&format!("{REPO}/objects"), &meta)?;
        for n in 0..=u8::MAX {
            self.write_dir(&format!("{REPO}/objects/{n:02x}"), &meta)?;
        }
        for dir in REPO_DIRS {
            self.write_dir(&format!("{REPO}/{dir}"), &meta)?;
        }
        self.write_file(&format!("{REPO}/config"), CONFIG.as_bytes())
    }

    /// Depth first, a directory's files before its directories. The stack is on the heap: trees may be deep.
    fn write_tree(&mut self, root: DirTreeId, files: Files) -> Result<()> {
        let mut stack = vec![self.enter(String::new(), root, files)?];
        while let Some(frame) = stack.last_mut() {
            let Some((name, dir)) = frame.dirs.next() else {
                stack.pop();
                continue;
            };
            let path = format!("{}{name}", frame.path);
            if self.dirmetas.insert(dir.meta) {
                self.write_meta(&dir.meta.into())?;
            }
            match self.map.map(&path) {
                Some(place) if self.on_base.is_some_and(|listed| !listed.contains(place)) => {}
                Some(place) => {
                    let meta = load_dirmeta(self.store, &dir.meta)?;
                    // ostree-ext once made usr/etc to etc by joining the empty path, which gave a slash.
                    let joined = self.options.xattrs == XattrDialect::Linked && place.len() < path.len();
                    let slash = if joined && place == "etc" { "/" } else { "" };
                    self.write_dir(&format!("./{place}{slash}"), &meta)?;
                }
                // Only objects are written there, and these were.
                None if self.dirtrees.contains(&dir.tree) => continue,
                None => {}
            }
            stack.push(self.enter(path + "/", dir.tree, files)?);
        }
        Ok(())
    }

    /// Writes a dirtree and its files.
    fn enter(&mut self, path: String, id: DirTreeId, files: Files) -> Result<Frame> {
        self.ctx.cancel.check()?;
        let tree = load_dirtree(self.store, &id)?;
        if self.dirtrees.insert(id) {
            self.write_meta(&id.into())?;
        }
        if files == Files::WithObjects {
            for (name, file) in &tree.files {
                let (object, header) = self.write_object(file)?;
                if let Some(place) = self.map.map(&format!("{path}{name}")) {
                    self.write_place(file, &object, header, &format!("./{place}"))?;
                }
            }
        }
        Ok(Frame { path, dirs: tree.dirs.into_iter() })
    }

    fn write_dir(&mut self, path: &str, meta: &DirMeta) -> Result<()> {
        if self.on_base.is_some() {
            self.write_unpacked_xattrs(&meta.xattrs)?;
        }
        let mut header = new_header(Some(EntryType::Directory), meta.uid, meta.gid, meta.mode & 0o7777);
        header.set_size(0);
        self.out.append(&mut header, path)
    }

    /// Writes a metadata object.
    fn write_meta(&mut self, name: &ObjectName) -> Result<()> {
        let bytes = self.store.read_meta(name)?.ok_or(store::Error::NotFound(*name))?;
        self.write_file(&object_path(name), &bytes)?;
        self.ctx.object_done(bytes.len() as u64);
        Ok(())
    }

    fn write_file(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let mut header = new_header(Some(EntryType::Regular), 0, 0, 0o644);
        header.set_size(bytes.len() as u64);
        self.out.append_bytes(&mut header, path, bytes)
    }
}

/// A header without path and size.
pub(super) fn new_header(kind: Option<EntryType>, uid: u32, gid: u32, permissions: u32) -> Header {
    let mut header = Header::new_gnu();
    if let Some(kind) = kind {
        header.set_entry_type(kind);
    }
    header.set_uid(uid.into());
    header.set_gid(gid.into());
    header.set_mode(permissions);
    header
}
