//! The composefs image of a deployment, and fs-verity for what it shows.
//!
//! ```text
//! prepare-root.conf in the deployment    the image
//! composefs.enabled = no, maybe, yes     with digests of the files that the kernel verifies already
//!                     verity, signed     with them, and what the commit says that it is; the kernel verifies the image
//!                                        and every object in it
//! ```
//! There is one even where it is not asked for: the kernel's command line may (`ostree.prepare-root.composefs`).
//!
//! A container image becomes a commit that nobody has signed. If it is the tree of the signed commit in the image, that one
//! says what the composefs is, and the initramfs asks it: see [`sealed`].

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use ostree_format::{CommitId, ObjectName};
use rustix::fs::{Mode, OFlags, fsync, openat, renameat};
use rustix::io::Errno;

use super::prepare_root::{IMAGE, Integrity, RootConfig};
use super::{Deployments, Error, Result, Sysroot, files, sealed};
use crate::base::{Ctx, VerityDigest, enable_verity};
use crate::composefs::{FileDigests, TreeImage};
use crate::repo::Repo;
use crate::store::{Reachable, load_commit, walk_commit};

/// What the image is called until it is whole.
const UNFINISHED: &str = ".ostree.cfs.new";

/// Writes the image of a commit into its deployment, a checkout of it. Where files are to be verified, they and the image
/// get fs-verity; elsewhere the image gets it as objects do.
///
/// # Errors
/// [`Error::WrongImage`] if the commit says that it has another image, [`Error::Unsealed`], [`Error::RootConfig`],
/// [`Error::Store`];
/// [`Error::Io`], also if the file system has no fs-verity and that is asked for.
pub(super) fn write(repo: &Repo, commit: &CommitId, deployment: &Dir, ctx: &Ctx) -> Result<VerityDigest> {
    let config = RootConfig::load(deployment, "")?;
    let is_verified = config.integrity != Integrity::None;
    let digests = if is_verified { FileDigests::Record } else { FileDigests::Known };
    let loaded = load_commit(repo, commit)?;
    let expected = match config.integrity {
        Integrity::Signed => sealed::expected_digest(repo, commit, ctx)?,
        Integrity::Verity => sealed::digest_in(&loaded),
        Integrity::None => None,
    };
    let image = TreeImage::of_tree(repo, loaded.root, digests, ctx)?;
    let digest = write_unfinished(&image, deployment)?;
    if expected.is_some_and(|expected| expected != digest.as_bytes()) {
        return Err(Error::WrongImage { commit: *commit, digest });
    }
    let mut image = open(deployment, UNFINISHED).map_err(|e| Error::at(deployment, "open", UNFINISHED, e))?;
    match is_verified {
        true => {
            protect(&image)?;
            protect_objects(repo, commit, ctx)?;
        }
        false => repo.protect_file(&mut image)?,
    }
    renameat(deployment, UNFINISHED, deployment, IMAGE)
        .map_err(|e| Error::at(deployment, "rename", IMAGE, e))?;
    Ok(digest)
}

fn write_unfinished(image: &TreeImage, deployment: &Dir) -> Result<VerityDigest> {
    let failed = |e: io::Error| Error::at(deployment, "write", UNFINISHED, e);
    // The tree may have a file of this name: a link to an object, which must not be written into.
    files::remove_all(deployment, UNFINISHED)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o644);
    let mut file = BufWriter::new(deployment.open_with(UNFINISHED, &options).map_err(failed)?);
    let digest = image.write(&mut file).map_err(failed)?;
    file.flush().map_err(failed)?;
    fsync(file.get_ref()).map_err(|e| failed(e.into()))?;
    Ok(digest)
}

/// Has the kernel verify every content object of a commit, as far as it does not already.
fn protect_objects(repo: &Repo, commit: &CommitId, ctx: &Ctx) -> Result<()> {
    let mut reachable = Reachable::default();
    walk_commit(repo, commit, &mut reachable, &mut |_| Ok(()))?;
    for id in reachable.files {
        ctx.cancel.check()?;
        let path = format!("objects/{}", ObjectName::from(id).loose_path(repo.mode()));
        match open(repo.dir(), &path) {
            Ok(object) => protect(&object)?,
            // A symbolic link.
            Err(Errno::LOOP) => {}
            Err(errno) => return Err(Error::at(repo.dir(), "open", path, errno)),
        }
    }
    Ok(())
}

impl Sysroot {
    /// Gives a sysroot that was copied file by file what the copy lacks: fs-verity for objects and for the images of
    /// deployments, where the repository's config wants it.
    ///
    /// # Errors
    /// Those of [`Repo::protect_objects`]; [`Error::Io`].
    pub fn finish_copy(&self, deployments: &Deployments, ctx: &Ctx) -> Result<()> {
        if !self.repo.protect_objects(ctx)? {
            return Ok(());
        }
        for deployment in &deployments.list {
            let dir = self.deployment_dir(&deployment.id)?;
            match open(&dir, IMAGE) {
                Ok(image) => protect(&image)?,
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(Error::at(&dir, "open", IMAGE, errno)),
            }
        }
        Ok(())
    }
}

fn open(dir: impl AsFd, path: &str) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    openat(dir, path, flags, Mode::empty()).map(File::from)
}

/// Has the kernel verify a file from now on, which nobody can change any more.
fn protect(file: &File) -> Result<()> {
    let failed = |error| Error::at(file, "enabling fs-verity of", ".", error);
    match enable_verity(file) {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(failed(io::Error::new(io::ErrorKind::Unsupported, "the file system does not have it")))
        }
        Err(error) => Err(failed(error)),
    }
}
