//! `ls`: the files of a commit.

use std::io::{self, Write};

use anyhow::Context;
use serde::Serialize;

use super::{Common, resolve};
use crate::cli::dump;
use crate::cli::terminal::{Out, Session};
use crate::format::variant::Annotate;
use crate::format::{DirEntry, DirMeta, DirTreeRef, FileHeader, FileId, FileKind, Xattrs};
use crate::repo::Repo;
use crate::store::{Error, ObjectRead, TreeEntry, load_commit, load_dirmeta, lookup};

/// Arguments of `ls`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Show directories themselves, not what is in them
    #[arg(short, long)]
    dironly: bool,
    /// Show what is in directories, and in those below
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Show checksums
    #[arg(short = 'C', long)]
    checksum: bool,
    /// Show extended attributes
    #[arg(short = 'X', long)]
    xattrs: bool,
    /// Print only names, with a NUL behind each
    #[arg(long)]
    nul_filenames_only: bool,
    /// Print one JSON object a line
    #[arg(long, conflicts_with = "nul_filenames_only")]
    json: bool,
    /// The commit
    commit: String,
    /// Files or directories in it [default: /]
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
}

/// Prints one line for each file.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let root = load_commit(&repo, &resolve(&repo, &args.commit)?)?.root;
    let mut list = List { args, repo: &repo, session };
    if args.paths.is_empty() {
        return list.dir("/", &DirEntry { tree: root.tree, meta: root.meta });
    }
    for given in &args.paths {
        let inspecting = || format!("Inspecting path '{given}'");
        let path = format!("/{}", given.trim_matches('/'));
        match lookup(&repo, root, given).with_context(inspecting)? {
            TreeEntry::File(id) => list.file(&path, &id),
            TreeEntry::Dir(dir) => list.dir(&path, &dir),
        }
        .with_context(inspecting)?;
    }
    Ok(())
}

struct List<'a> {
    args: &'a Args,
    repo: &'a Repo,
    session: &'a mut Session,
}

/// One line of the list.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    #[serde(rename = "type")]
    kind: Kind,
    /// Permission bits.
    permissions: u32,
    uid: u32,
    gid: u32,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    /// Dirtree and dirmeta of a directory, the content object of a file.
    checksums: &'a [String],
    #[serde(skip)]
    xattrs: &'a Xattrs,
}

#[derive(Serialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Directory,
    File,
    Symlink,
}

impl List<'_> {
    /// A directory that was asked for, and what is in it.
    fn dir(&mut self, path: &str, dir: &DirEntry) -> anyhow::Result<()> {
        self.dir_line(path, dir)?;
        if self.args.dironly { Ok(()) } else { self.children(path, dir) }
    }

    fn children(&mut self, path: &str, dir: &DirEntry) -> anyhow::Result<()> {
        // A stack of its own: trees from outside may be nested deeper than a thread's stack.
        let mut todo = vec![(path.trim_end_matches('/').to_owned(), *dir, Shown::Yes)];
        while let Some((path, dir, shown)) = todo.pop() {
            self.session.ctx.cancel.check()?;
            if matches!(shown, Shown::No) {
                self.dir_line(&path, &dir)?;
                if !self.args.recursive {
                    continue;
                }
            }
            let bytes = self.repo.read_meta(&dir.tree.into())?.ok_or(Error::NotFound(dir.tree.into()))?;
            let tree = DirTreeRef::parse(&bytes).map_err(Error::corrupt(dir.tree))?;
            for (name, id) in tree.files() {
                self.file(&format!("{path}/{name}"), &id)?;
            }
            let below = todo.len();
            todo.extend(tree.dirs().map(|(name, entry)| (format!("{path}/{name}"), entry, Shown::No)));
            todo[below..].reverse();
        }
        Ok(())
    }

    fn dir_line(&mut self, path: &str, dir: &DirEntry) -> anyhow::Result<()> {
        if self.args.nul_filenames_only {
            return Ok(write!(self.session.out, "{path}\0")?);
        }
        let DirMeta { uid, gid, mode, xattrs } = load_dirmeta(self.repo, &dir.meta)?;
        let checksums = self.checksums(|| vec![dir.tree.to_string(), dir.meta.to_string()]);
        let line = Line {
            path,
            kind: Kind::Directory,
            permissions: mode & 0o7777,
            uid,
            gid,
            size: 0,
            target: None,
            checksums: &checksums,
            xattrs: &xattrs,
        };
        self.print(&line)
    }

    fn file(&mut self, path: &str, id: &FileId) -> anyhow::Result<()> {
        if self.args.nul_filenames_only {
            return Ok(write!(self.session.out, "{path}\0")?);
        }
        let found = match self.args.xattrs {
            true => self.repo.open_file(id)?.map(|file| (file.header, file.len)),
            false => self.repo.stat_file(id)?,
        };
        let (header, size) = found.ok_or(Error::NotFound((*id).into()))?;
        let FileHeader { uid, gid, permissions, kind, xattrs } = &header;
        let target = if let FileKind::Symlink(target) = kind { Some(&**target) } else { None };
        let checksums = self.checksums(|| vec![id.to_string()]);
        let line = Line {
            path,
            kind: if target.is_some() { Kind::Symlink } else { Kind::File },
            permissions: *permissions,
            uid: *uid,
            gid: *gid,
            size,
            target,
            checksums: &checksums,
            xattrs,
        };
        self.print(&line)
    }

    fn checksums(&self, list: impl FnOnce() -> Vec<String>) -> Vec<String> {
        if self.args.checksum || self.args.json { list() } else { Vec::new() }
    }

    fn print(&mut self, line: &Line<'_>) -> anyhow::Result<()> {
        let out = &mut self.session.out;
        if self.args.json {
            return out.json(line);
        }
        line.write(out, self.args.xattrs)
    }
}

/// Whether a directory's own line was printed already.
enum Shown {
    Yes,
    No,
}

impl Line<'_> {
    fn write(&self, out: &mut Out, with_xattrs: bool) -> anyhow::Result<()> {
        let kind = match self.kind {
            Kind::Directory => 'd',
            Kind::File => '-',
            Kind::Symlink => 'l',
        };
        write!(out, "{kind}0{:04o} {} {} {:6} ", self.permissions, self.uid, self.gid, self.size)?;
        self.checksums.iter().try_for_each(|sum| write!(out, "{sum} "))?;
        if with_xattrs {
            write!(out, "{{ {} }} ", dump::xattrs(self.xattrs)?.print(Annotate::Types))?;
        }
        self.path_and_target(out)?;
        Ok(())
    }

    fn path_and_target(&self, out: &mut Out) -> io::Result<()> {
        match self.target {
            Some(target) => writeln!(out, "{} -> {target}", self.path),
            None => writeln!(out, "{}", self.path),
        }
    }
}
