//! A kernel that the running one starts, without firmware and boot loader (kexec).
//!
//! The running kernel reads the files at once and keeps them in memory. `systemctl kexec` starts what it has; it is
//! forgotten at any other restart. Source: libostree ostree-sysroot-deploy.c; kexec_file_load(2). Where a deployment
//! adds initial RAM disks, they follow that of the kernel, as boot loaders have it; libostree leaves them out here.

use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;

use kexec_loader::{KexecError, KexecRequest};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::cleanup::OVERLAYS;
use super::kernel::Kernel;
use super::{Deployment, Error, Result, Sysroot, files};
use crate::base::fs::reopen_to_read;

/// Archives in an initial RAM disk begin at multiples of this many bytes (`buffer-format` of the kernel's documents).
const ALIGNMENT: u64 = 4;

impl Sysroot {
    /// Lets the running kernel load that of a deployment, with its initial RAM disks and arguments.
    ///
    /// # Errors
    /// [`Error::Kexec`] if the kernel refuses it; [`Error::NoSuchDeployment`] if the deployment has no boot entry, as
    /// staged ones; [`Error::NoKernel`], [`Error::Io`].
    pub fn load_kexec(&self, deployment: &Deployment) -> Result<()> {
        let no_entry =
            || Error::NoSuchDeployment(format!("no boot entry of deployment {}", deployment.id.path()));
        let cmdline = deployment.entry.get("options").ok_or_else(no_entry)?.to_owned();
        let root = self.deployment_dir(&deployment.id)?;
        let with_device_trees = !self.surroundings.tunables.no_device_trees;
        let kernel = Kernel::find(&root, with_device_trees, Some(deployment.boot_checksum))?;
        let image = kernel.open(&kernel.kernel)?;
        let initrd = self.initrd(&kernel, deployment)?;
        let request = KexecRequest { kernel: name(&image), initrd: initrd.as_ref().map(name), cmdline };
        kexec_loader::load_dry(&request).map_err(|error| {
            Error::kexec(format!("{}/{}/{}", deployment.id.path(), kernel.place, kernel.kernel.source), error)
        })
    }

    /// The initial RAM disk of a deployment, with those that it adds behind that of the kernel.
    fn initrd(&self, kernel: &Kernel, deployment: &Deployment) -> Result<Option<File>> {
        let Some(initramfs) = &kernel.initramfs else { return Ok(None) };
        let initramfs = kernel.open(initramfs)?;
        if deployment.overlay_initrds.is_empty() {
            return Ok(Some(initramfs));
        }
        let failed = |e: io::Error| Error::at(self.repo.dir(), "write", "tmp", e);
        // The kernel reads no file that somebody may write to.
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let whole = rustix::fs::openat(self.repo.dir(), "tmp", flags, Mode::RUSR | Mode::WUSR);
        let mut whole = File::from(whole.map_err(|e| failed(e.into()))?);
        append(&initramfs, &mut whole).map_err(failed)?;
        let boot = self.boot_dir()?;
        for checksum in &deployment.overlay_initrds {
            let path = format!("{OVERLAYS}/{checksum}.img");
            let overlay = files::open_file(&boot, &path)?;
            let overlay = overlay.ok_or_else(|| Error::at(&boot, "open", &path, Errno::NOENT))?;
            append(&overlay, &mut whole).map_err(failed)?;
        }
        Ok(Some(File::from(reopen_to_read(&whole).map_err(failed)?)))
    }
}

/// Appends an archive where the next may begin.
fn append(mut archive: &File, whole: &mut File) -> io::Result<()> {
    let start = whole.stream_position()?.next_multiple_of(ALIGNMENT);
    whole.seek(io::SeekFrom::Start(start))?;
    io::copy(&mut archive, whole).map(drop)
}

/// The kernel's name of an open file: by that it is no other one.
fn name(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
}

impl Error {
    /// Why the running kernel refuses another one.
    fn kexec(kernel: String, error: KexecError) -> Self {
        let (source, advice) = match error {
            KexecError::LockdownRefused => (
                Errno::PERM.into(),
                "; that takes CAP_SYS_BOOT, no lockdown, and 0 in /proc/sys/kernel/kexec_load_disabled",
            ),
            KexecError::SignatureRejected => {
                (Errno::KEYREJECTED.into(), "; the kernel has to be signed by a key that the machine trusts")
            }
            KexecError::UnsupportedImage => (Errno::NOEXEC.into(), "; the file is no kernel"),
            KexecError::Io(error) if error.raw_os_error() == Some(Errno::NOSYS.raw_os_error()) => {
                (error, "; the running one was built without CONFIG_KEXEC_FILE: restart as usual")
            }
            KexecError::Io(error) => (error, ""),
            other => (io::Error::other(other), ""),
        };
        Self::Kexec { kernel, advice, source }
    }
}
