//! Room in `/boot`, where that is a small file system of its own: kernels that are about to go make place for new ones.
//!
//! Ordinarily old and new kernels lie side by side until the switch. If that does not fit, and it would without the
//! kernels that the new list has no use for, the list is first written without these: the machine boots what it has,
//! only the way back is gone a moment sooner. Source: libostree ostree-sysroot-deploy.c.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use ostree_format::Checksum;
use rustix::fs::{FallocateFlags, FileType, Mode, OFlags, fallocate, fstat};
use rustix::io::Errno;

use super::cleanup::kernel_in;
use super::kernel::{DeviceTrees, Kernel};
use super::{Deployment, Deployments, Error, Result, Sysroot, files};
use crate::base::Ctx;

/// For boot entries and directories.
const MARGIN_BYTES: u64 = 1 << 20;

impl Sysroot {
    /// Makes room for the kernels of `new`, if they need it and it can be had; gives the list as it is then.
    pub(super) fn make_room(
        &self,
        current: Deployments,
        new: &[Deployment],
        ctx: &Ctx,
    ) -> Result<Deployments> {
        // Where nothing runs from this disk, an error does no harm.
        if current.booted().is_none() || self.surroundings.tunables.no_early_prune {
            return Ok(current);
        }
        let boot = self.boot_dir()?;
        let device = |dir: &dyn AsFd| fstat(dir.as_fd()).map(|stat| stat.st_dev);
        let failed = |e| Error::io("stat", "boot", e);
        if device(&boot).map_err(failed)? == device(self.repo.dir()).map_err(failed)? {
            return Ok(current);
        }
        self.clean_boot(&current)?;
        let here = installed(&boot)?;
        let mut wanted = BTreeMap::new();
        for deployment in new {
            if !here.contains_key(&deployment.boot_checksum) {
                wanted.insert(deployment.boot_checksum, self.kernel_bytes(deployment)?);
            }
        }
        let missing: u64 = wanted.values().sum();
        if fits(&boot, missing)? {
            return Ok(current);
        }
        let stays = |kernel: &Checksum| new.iter().any(|deployment| deployment.boot_checksum == *kernel);
        let goes: u64 = here.iter().filter(|(kernel, _)| !stays(kernel)).map(|(_, bytes)| bytes).sum();
        if missing > goes && !fits(&boot, missing - goes)? {
            tracing::warn!(missing, goes, "kernels do not fit into /boot, not even without the old ones");
            return Ok(current);
        }
        let common: Vec<_> = current.list.iter().filter(|one| stays(&one.boot_checksum)).cloned().collect();
        tracing::info!(missing, "not enough room in /boot: the list of deployments is written in two steps");
        let pruned = self.write_list(current, common, ctx)?;
        self.clean_boot(&pruned)?;
        Ok(pruned)
    }

    /// What installing the kernel of a deployment takes.
    fn kernel_bytes(&self, deployment: &Deployment) -> Result<u64> {
        let root = self.deployment_dir(&deployment.id)?;
        let with_device_trees = !self.surroundings.tunables.no_device_trees;
        let kernel = Kernel::find(root, with_device_trees, Some(deployment.boot_checksum))?;
        let mut files = vec![&kernel.kernel];
        files.extend([&kernel.hmac, &kernel.initramfs, &kernel.aboot].into_iter().flatten());
        let (mut bytes, dir) = (0, kernel.dir()?);
        match &kernel.device_trees {
            Some(DeviceTrees::One(file)) => files.push(file),
            Some(DeviceTrees::Directory(name)) => bytes += dir_bytes(&dir, name)?,
            None => {}
        }
        for file in files {
            bytes += file_bytes(&dir, &file.source)?;
        }
        Ok(bytes)
    }
}

/// The kernels in `/boot` and what they take.
fn installed(boot: impl AsFd) -> Result<BTreeMap<Checksum, u64>> {
    let boot = boot.as_fd();
    let mut kernels = BTreeMap::new();
    for (name, kind) in files::list(boot, "ostree")? {
        if let Some(kernel) = kernel_in(&name).filter(|_| kind == FileType::Directory) {
            *kernels.entry(kernel).or_insert(0) += dir_bytes(boot, &format!("ostree/{name}"))?;
        }
    }
    Ok(kernels)
}

fn dir_bytes(dir: impl AsFd, path: &str) -> Result<u64> {
    let dir = dir.as_fd();
    let mut bytes = 0;
    for (name, kind) in files::list(dir, path)? {
        let path = format!("{path}/{name}");
        bytes += if kind == FileType::Directory { dir_bytes(dir, &path)? } else { file_bytes(dir, &path)? };
    }
    Ok(bytes)
}

/// The size of a file, in whole pages: file systems of boot partitions have no larger blocks.
fn file_bytes(dir: impl AsFd, path: &str) -> Result<u64> {
    let size = files::stat(dir, path)?.map_or(0, |stat| stat.st_size.max(0).unsigned_abs());
    Ok(size.next_multiple_of(4096))
}

/// Whether so many bytes and some more can be written: asked for, because what the file system says is free need not be.
fn fits(boot: impl AsFd, bytes: u64) -> Result<bool> {
    if bytes == 0 {
        return Ok(true);
    }
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&boot, ".", flags, Mode::RUSR | Mode::WUSR) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => return Ok(true),
        opened => opened.map_err(|e| Error::at(&boot, "open", ".", e))?,
    };
    match fallocate(file, FallocateFlags::empty(), 0, bytes + MARGIN_BYTES) {
        Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP) => Ok(true),
        Err(Errno::NOSPC) => Ok(false),
        Err(error) => Err(Error::at(&boot, "fallocate", ".", error)),
    }
}
