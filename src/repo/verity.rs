//! fs-verity for the files of objects: the kernel verifies them at every read, and nobody can change them any more.
//!
//! `ex-integrity.fsverity` of the config wants it for every object (`yes`), or for those that can have it (`maybe`).
//! Detached metadata changes, and has none; a hard link to an object of another repository has what that one has, and is
//! made only where objects may be without. What is made of commits beside the objects has it, too: images for composefs as
//! objects have it, and copies of kernels where that is possible. Source: libostree ostree-repo-verity.c.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use ostree_format::config::Tristate;
use ostree_format::{ObjectName, ObjectType};
use rustix::io::Errno;

use super::Repo;
use super::sys;
use crate::base::{Ctx, enable_verity, enable_verity_of_written};
use crate::store::{Error, Result};

/// What the config wants, and what the file system has.
#[derive(Debug)]
pub(super) struct ObjectVerity {
    wanted: Tristate,
    /// The file system has said that it has no fs-verity.
    is_missing: AtomicBool,
}

impl ObjectVerity {
    pub(super) fn new(wanted: Tristate) -> Self {
        Self { wanted, is_missing: AtomicBool::new(false) }
    }

    /// Whether an object may not be without.
    pub(super) fn is_required(&self) -> bool {
        self.wanted == Tristate::Yes
    }

    /// Protects a file that has been written and gets the name `path` in `objects` next.
    pub(super) fn protect(&self, file: &mut File, objects: impl AsFd, path: &str) -> Result<()> {
        match self.is_possible() {
            true => self.judge(enable_verity_of_written(file), objects, path).map(drop),
            false => Ok(()),
        }
    }

    /// Whether it is wanted, and not known to be missing where it may be.
    fn is_possible(&self) -> bool {
        match self.wanted {
            Tristate::Yes => true,
            Tristate::Maybe => !self.is_missing.load(Ordering::Relaxed),
            Tristate::No => false,
        }
    }

    /// Whether the file system has it, by what became of the object `path`.
    fn judge(&self, protected: io::Result<bool>, objects: impl AsFd, path: &str) -> Result<bool> {
        match protected {
            Ok(true) => Ok(true),
            Ok(false) if self.is_required() => Err(Error::Unsupported(format!(
                "fsverity required (ex-integrity.fsverity=yes), but the file system of {} does not have it: turn it on \
                 (`tune2fs -O verity`), or have `maybe` in the config",
                crate::base::fs::place(objects, ".").display()
            ))),
            Ok(false) => {
                self.is_missing.store(true, Ordering::Relaxed);
                Ok(false)
            }
            // Who may not write into a file may not protect it, either; and without /proc it cannot be opened again.
            Err(error) if !self.is_required() && is_beyond_us(&error) => Ok(true),
            Err(error) => Err(Error::at(objects, "enable fs-verity of", path, error)),
        }
    }
}

fn is_beyond_us(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound)
}

/// Protects a file beside the objects that has been written. What its file system has says nothing of theirs.
fn protect_file(file: &mut File, wanted: Tristate) -> Result<()> {
    let verity = ObjectVerity::new(wanted);
    match verity.is_possible() {
        true => {
            let protected = enable_verity_of_written(file);
            verity.judge(protected, &*file, ".").map(drop)
        }
        false => Ok(()),
    }
}

impl Repo {
    /// Has the kernel verify a file that was just written, and was made of a commit but is no object, if the config wants
    /// that of objects. The file is open for reading alone afterwards; nobody else may have it open for writing.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the config wants it for every object, and the file's file system does not have it;
    /// [`Error::Io`].
    pub fn protect_file(&self, file: &mut File) -> Result<()> {
        protect_file(file, self.config.fsverity)
    }

    /// [`Repo::protect_file`] where that is possible, whatever the config wants of objects: for a file on a file system
    /// that others read, too, such as boot loaders and older kernels.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn protect_file_if_possible(&self, file: &mut File) -> Result<()> {
        protect_file(
            file,
            match self.config.fsverity {
                Tristate::No => Tristate::No,
                Tristate::Maybe | Tristate::Yes => Tristate::Maybe,
            },
        )
    }

    /// Has the kernel verify the files of all objects, as far as it does not already, if the config wants that; for a
    /// repository that was copied file by file. Says whether the kernel can, and it is wanted.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the config wants it for every object, and the file system does not have it;
    /// [`Error::Io`], [`Error::Cancelled`].
    pub fn protect_objects(&self, ctx: &Ctx) -> Result<bool> {
        for dir in self.objects.dirs()? {
            ctx.cancel.check()?;
            for name in self.objects.names_in(&dir, self.mode())?.into_iter().flatten() {
                if !self.verity.is_possible() || !self.protect_object(&name)? {
                    return Ok(false);
                }
            }
        }
        Ok(self.verity.is_possible())
    }

    /// Protects one object, if it is a file that never changes; `false` if the file system cannot.
    fn protect_object(&self, name: &ObjectName) -> Result<bool> {
        if matches!(name.kind, ObjectType::CommitMeta | ObjectType::PayloadLink) {
            return Ok(true);
        }
        let path = name.loose_path(self.mode());
        let protected = match sys::open_nofollow(&self.objects, &path) {
            // A symbolic link.
            Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => return Ok(true),
            opened => opened.and_then(|(file, _)| enable_verity(file)),
        };
        self.verity.judge(protected, &self.objects, &path)
    }
}
