//! `/var` of a stateroot, which all of its deployments share: filled once, and labeled once.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use ostree_format::RootDir;
use rustix::fs::{FileType, OFlags};

use super::files::{self, Durability};
use super::labels::Labels;
use super::{Error, Result, Stateroot, Sysroot};
use crate::base::{Ctx, Inode};
use crate::tree::{CheckoutOptions, Linking, Overwrite, checkout};

/// Says that `/var` has its labels.
const LABELED: &str = ".ostree-selabeled";
/// Trees with these files make what `/var` needs by themselves when they boot.
const TMPFILES: &str = "usr/lib/tmpfiles.d";

impl Sysroot {
    /// Copies the tree's `/var` to that of the stateroot, unless something is there; as volumes of containers are filled.
    pub(super) fn fill_var(
        &self,
        stateroot: &Stateroot,
        tree: RootDir,
        root: BorrowedFd<'_>,
        ctx: &Ctx,
    ) -> Result<()> {
        if files::open_dir_if_there(root, "var")?.is_none() {
            return Ok(());
        }
        let path = format!("{}/var", stateroot.path());
        let var = files::open_dir(&self.dir, &path)?;
        if !files::list(&self.dir, &path)?.is_empty() {
            return Ok(());
        }
        let options = CheckoutOptions {
            linking: Linking::Never,
            overwrite: Overwrite::UnionFiles,
            subpath: Some("var".to_owned()),
            ..CheckoutOptions::default().for_mode(self.repo.mode())
        };
        checkout(&self.repo, tree, &var, Path::new("."), &options, ctx)?;
        match files::lstat(root, TMPFILES)? {
            Some(_) => Ok(()),
            None => make_usual_directories(var.as_fd()),
        }
    }

    /// Gives `/var` the labels of the deployment's policy, unless that was done before.
    pub(super) fn label_var(&self, stateroot: &Stateroot, labels: &Labels) -> Result<()> {
        let path = format!("{}/var", stateroot.path());
        let var = files::open_dir(&self.dir, &path)?;
        if files::lstat(&var, LABELED)?.is_some() {
            return Ok(());
        }
        self.tell(&format!("Relabeling /var (no stamp file 'var/{LABELED}' found)"));
        if labels.exist() {
            label_all(var.as_fd(), "var", labels)?;
        }
        files::replace(&var, LABELED, b"", Durability::Synced)
    }

    /// Whether the deployment that runs is of this stateroot.
    pub(super) fn is_booted_stateroot(&self, stateroot: &Stateroot) -> bool {
        let Some(booted) = self.surroundings.booted else { return false };
        let dirs = self.deployment_dirs(stateroot).unwrap_or_default();
        let inode = |path: String| files::stat(&self.dir, &path).ok().flatten();
        dirs.iter().any(|dir| inode(dir.path()).is_some_and(|stat| Inode::from(&stat) == booted))
    }
}

/// Directories that systems without tmpfiles.d expect.
fn make_usual_directories(var: BorrowedFd<'_>) -> Result<()> {
    files::mkdir(var, "tmp", 0o777)?;
    files::chmod(var, "tmp", 0o1777)?;
    files::mkdir(var, "lib", 0o777)?;
    files::mkdir(var, "log", 0o755)?;
    for (name, target) in [("run", "../run"), ("lock", "../run/lock")] {
        if files::lstat(var, name)?.is_none() {
            rustix::fs::symlinkat(target, var, name).map_err(|e| Error::at(var, "symlink", name, e))?;
        }
    }
    Ok(())
}

/// Labels everything below a directory, and itself; symbolic links, which nobody opens, keep theirs.
fn label_all(dir: BorrowedFd<'_>, path: &str, labels: &Labels) -> Result<()> {
    let stat = rustix::fs::fstat(dir).map_err(|e| Error::io("stat", path, e))?;
    labels.set(dir, path, stat.st_mode)?;
    for (name, kind) in files::list(dir, ".")? {
        let below = format!("{path}/{name}");
        // Users write there, too: what was listed may be a link by now.
        match kind {
            FileType::Directory => {
                if let Some(inner) = files::open_entry(dir, &name, OFlags::DIRECTORY)? {
                    label_all(inner.as_fd(), &below, labels)?;
                }
            }
            FileType::RegularFile => {
                if let Some(file) = files::open_entry(dir, &name, OFlags::empty())? {
                    let stat = rustix::fs::fstat(&file).map_err(|e| Error::io("stat", &below, e))?;
                    labels.set(&file, &below, stat.st_mode)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}
