//! A commit as an ordinary tar stream: the tree as it is, without ostree's metadata.
//!
//! ```text
//! ./ · files · directories, each with its files and directories
//! ```
//! GNU format; xattrs stand in extended headers as SCHILY.xattr.NAME. Further places of the same content
//! object are hard links to the first, as far as file systems bear it. `mtime` is the commit's. Source: libostree
//! ostree-repo-libarchive.c (export), ot-builtin-export.c; C `ostree export` writes no xattrs at all.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{BufWriter, Write};

use ostree_format::{CommitId, DirEntry, FileId, FileKind, FileName, ObjectName, Xattrs};
use tar::{EntryType, Header};

use super::error::{Error, Result};
use super::writer::{MAX_NAMES, Writer};
use crate::base::Ctx;
use crate::store::selinux::LABEL_XATTR;
use crate::store::{self, ObjectRead, load_commit, load_dirmeta, load_dirtree};

/// Options for writing a tree as a plain tar stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlainOptions {
    /// The treatment of xattrs.
    pub xattrs: PlainXattrs,
    /// The directory of the commit that becomes the root; empty for all of it.
    pub subpath: String,
    /// Text that is put before every path as it is: a directory needs its slash.
    pub prefix: String,
    /// The purpose of the stream.
    pub purpose: PlainPurpose,
}

/// The purpose of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PlainPurpose {
    /// An archive to be unpacked: a file that lies in several places is written once, the others are hard links to
    /// it.
    #[default]
    Archive,
    /// A layer of an image: `usr/etc` becomes `etc` again, without labels (containers have their own) and times, and
    /// each file is written for itself.
    Layer(LayerFacts),
}

/// Facts about a layer that its tree does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerFacts {
    /// Hard links to what lower layers have: path and target in the commit. They come first in the stream, before
    /// anything takes the place of a target; what the commit has at their paths is not written.
    pub lower: Vec<(String, String)>,
    /// Directories that no entry stands for: what lies in them goes where lower layers have them.
    pub implied: BTreeSet<String>,
}

/// The treatment of xattrs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PlainXattrs {
    /// Xattrs are written.
    #[default]
    Keep,
    /// Xattrs are left out.
    LeaveOut,
}

/// Writes the tree of a commit. If this fails, `out` holds a truncated stream. Memory: the path of every
/// regular file.
///
/// # Errors
/// [`Error::Write`]; [`Error::Store`] if an object is missing or damaged, or `subpath` is no directory.
pub fn export_plain(
    store: &dyn ObjectRead,
    commit: &CommitId,
    out: &mut dyn Write,
    options: &PlainOptions,
    ctx: &Ctx,
) -> Result<()> {
    let commit = load_commit(store, commit)?;
    let root = DirEntry { tree: commit.root.tree, meta: commit.root.meta };
    let root = find_dir(store, root, &options.subpath)?;
    let is_layer = options.purpose != PlainPurpose::Archive;
    let mut exporter = Exporter {
        store,
        out: Writer::new(BufWriter::with_capacity(64 * 1024, out)),
        options,
        ctx,
        // No header holds a time before 1970.
        mtime: if is_layer { 0 } else { u64::try_from(commit.timestamp.cast_signed()).unwrap_or(0) },
        moves_etc: is_layer && !has_etc(store, &root)?,
        links: match &options.purpose {
            PlainPurpose::Archive => HashSet::new(),
            PlainPurpose::Layer(facts) => facts.lower.iter().map(|(path, _)| path.as_str()).collect(),
        },
        places: HashMap::new(),
    };
    if let PlainPurpose::Layer(facts) = &options.purpose {
        facts.lower.iter().try_for_each(|(path, target)| exporter.write_link(path, target))?;
    }
    exporter.write_tree(root)?;
    exporter.out.finish()?.flush().map_err(Error::Write)
}

fn find_dir(store: &dyn ObjectRead, root: DirEntry, path: &str) -> Result<DirEntry> {
    let mut dir = root;
    for name in path.split('/').filter(|name| !matches!(*name, "" | ".")) {
        let mut tree = load_dirtree(store, &dir.tree)?;
        dir = tree
            .dirs
            .remove(name)
            .ok_or_else(|| store::Error::Usage(format!("No such file or directory: {path}")))?;
    }
    Ok(dir)
}

/// Whether there is something called `etc` besides `usr/etc`.
fn has_etc(store: &dyn ObjectRead, root: &DirEntry) -> Result<bool> {
    let tree = load_dirtree(store, &root.tree)?;
    Ok(tree.files.contains_key("etc") || tree.dirs.contains_key("etc"))
}

struct Exporter<'a> {
    store: &'a dyn ObjectRead,
    out: Writer<BufWriter<&'a mut dyn Write>>,
    options: &'a PlainOptions,
    ctx: &'a Ctx,
    mtime: u64,
    /// Whether `usr/etc` is written as `etc`.
    moves_etc: bool,
    /// The paths of [`LayerFacts::lower`].
    links: HashSet<&'a str>,
    /// Where each regular file was written, and how many names it has there.
    places: HashMap<FileId, (Box<str>, u32)>,
}

/// A directory whose subdirectories are being written; its path ends with a slash, but for the root's.
struct Frame {
    path: String,
    dirs: std::collections::btree_map::IntoIter<FileName, DirEntry>,
}

impl Exporter<'_> {
    fn write_tree(&mut self, root: DirEntry) -> Result<()> {
        let prefix = self.options.prefix.clone();
        let place = format!("{}/", if prefix.is_empty() { "." } else { prefix.trim_end_matches('/') });
        let mut stack = vec![self.enter(&place, prefix, root)?];
        while let Some(frame) = stack.last_mut() {
            let Some((name, dir)) = frame.dirs.next() else {
                stack.pop();
                continue;
            };
            let path = format!("{}{name}/", frame.path);
            stack.push(self.enter(&path, path.clone(), dir)?);
        }
        Ok(())
    }

    /// Writes a directory at `place` and its files.
    fn enter(&mut self, place: &str, path: String, dir: DirEntry) -> Result<Frame> {
        self.ctx.cancel.check()?;
        let implied = match &self.options.purpose {
            PlainPurpose::Archive => false,
            PlainPurpose::Layer(facts) => facts.implied.contains(path.trim_end_matches('/')),
        };
        if !implied {
            let meta = load_dirmeta(self.store, &dir.meta)?;
            let mut header = self.header(EntryType::Directory, meta.uid, meta.gid, meta.mode & 0o7777);
            self.write_xattrs(&meta.xattrs)?;
            self.out.append(&mut header, &self.placed(place))?;
        }
        let tree = load_dirtree(self.store, &dir.tree)?;
        for (name, id) in &tree.files {
            let path = format!("{path}{name}");
            if !self.links.contains(path.as_str()) {
                self.write_file(id, &self.placed(&path))?;
            }
        }
        Ok(Frame { path, dirs: tree.dirs.into_iter() })
    }

    fn write_file(&mut self, id: &FileId, path: &str) -> Result<()> {
        let name = ObjectName::from(*id);
        let mut file = self.store.open_file(id)?.ok_or(store::Error::NotFound(name))?;
        let (uid, gid, permissions) = (file.header.uid, file.header.gid, file.header.permissions);
        if let Some((first, names)) = self.places.get_mut(id)
            && *names < MAX_NAMES
        {
            *names += 1;
            let first = first.clone();
            let mut header = self.header(EntryType::Link, uid, gid, permissions);
            return self.out.append_link(&mut header, path, &first);
        }
        self.write_xattrs(&file.header.xattrs)?;
        match file.header.kind.clone() {
            FileKind::Symlink(target) => {
                let mut header = self.header(EntryType::Symlink, uid, gid, permissions);
                self.out.append_link(&mut header, path, &target)?;
            }
            FileKind::Regular => {
                if self.options.purpose == PlainPurpose::Archive {
                    self.places.insert(*id, (path.into(), 1));
                }
                let mut header = self.header(EntryType::Regular, uid, gid, permissions);
                let len = file.len;
                header.set_size(len);
                let read = |source| store::Error::Read { what: name.to_string(), source }.into();
                self.out.append_stream(&mut header, path, len, &mut file, &read)?;
            }
        }
        self.ctx.object_done(file.len);
        Ok(())
    }

    fn write_xattrs(&mut self, xattrs: &Xattrs) -> Result<()> {
        if self.options.xattrs == PlainXattrs::LeaveOut {
            return Ok(());
        }
        // Backwards: libarchive turns the order around, and old libostree commits what it gets.
        let labels = self.options.purpose == PlainPurpose::Archive;
        let pairs: Vec<_> = xattrs.iter().filter(|(name, _)| labels || *name != LABEL_XATTR).collect();
        let records = pairs.into_iter().rev();
        self.out.append_pax(records.map(|(name, value)| ([b"SCHILY.xattr.", name].concat(), value)))
    }

    fn write_link(&mut self, path: &str, target: &str) -> Result<()> {
        let mut header = self.header(EntryType::Link, 0, 0, 0o644);
        let (path, target) = (self.placed(path), self.placed(target));
        self.out.append_link(&mut header, &path, &target)
    }

    /// Where a path of the commit is in the stream.
    fn placed(&self, path: &str) -> String {
        match path.strip_prefix("usr/") {
            Some(".wh.etc") if self.moves_etc => ".wh.etc".to_owned(),
            Some(below) if self.moves_etc && below.starts_with("etc/") => below.to_owned(),
            _ => path.to_owned(),
        }
    }

    fn header(&self, kind: EntryType, uid: u32, gid: u32, permissions: u32) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header.set_mode(permissions);
        header.set_mtime(self.mtime);
        header.set_size(0);
        header
    }
}
