//! A deployment made bootable: its kernel in `/boot`, and its boot entry.
//!
//! ```text
//! boot/ostree/STATEROOT-CHECKSUM/vmlinuz-VERSION, initramfs-VERSION.img, …   hard links where that is possible
//! boot/ostree/initramfs-overlays/CHECKSUM.img                                added to that of the kernel
//! boot/loader.V/entries/ostree-N.conf                                        N: the higher the sooner offered
//! ```
//! Nothing of it is looked at by a boot loader before `boot/loader` leads to this version.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use ostree_format::{S_IFLNK, S_IFMT, S_IFREG};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::boot_entry::BootEntry;
use super::cleanup::OVERLAYS;
use super::files::{self, Durability};
use super::kernel::{BootFile, DeviceTrees, Kernel};
use super::labels::Labels;
use super::os_release::title_in;
use super::{BootLink, BootVersion, Deployment, Error, Result, Sysroot};
use crate::base::fs::unused_name;
use crate::repo::Repo;
use crate::store::load_commit;

/// Where, in `/run`, initial RAM disks lie that are to be added.
pub(super) const STAGED_INITRDS: &str = "ostree/staged-initrds";

/// Before paths in boot entries, where boot loaders start at `/`.
const BOOT_PREFIX: &str = concat!('/', "boot");

/// What comes behind name and version in the title of a boot entry: then the deployment's place in the list.
const TITLE_END: &str = " (ostree";

/// A deployment's place among those that are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The version of the boot entries.
    pub(super) version: BootVersion,
    /// The place in the list.
    pub(super) index: usize,
    /// How many there are.
    pub(super) count: usize,
    /// Whether the title tells the stateroot, because there are several.
    pub(super) with_stateroot: bool,
}

impl Sysroot {
    /// Installs the kernel of a deployment and writes its boot entry.
    pub(super) fn install(&self, deployment: &mut Deployment, place: Place) -> Result<()> {
        let root = self.deployment_dir(&deployment.id)?;
        let with_device_trees = !self.surroundings.tunables.no_device_trees;
        let kernel = Kernel::find(&root, with_device_trees, Some(deployment.boot_checksum))?;
        let install = Install { repo: &self.repo, labels: Labels::of(&root)? };
        let boot = self.boot_dir()?;
        let dir = format!("ostree/{}-{}", deployment.id.stateroot, deployment.boot_checksum);
        files::mkdir_all(&boot, &dir, 0o775)?;
        let installed = files::open_dir(&boot, &dir)?;
        let entries = format!("loader.{}/entries", place.version);
        files::mkdir_all(&boot, &entries, 0o775)?;

        for file in
            [Some(&kernel.kernel), kernel.initramfs.as_ref(), kernel.hmac.as_ref(), kernel.aboot.as_ref()]
                .into_iter()
                .flatten()
        {
            install.file(&kernel, file, installed.as_fd())?;
        }
        match &kernel.device_trees {
            Some(DeviceTrees::One(file)) => install.file(&kernel, file, installed.as_fd())?,
            Some(DeviceTrees::Directory(name)) => copy_dir(kernel.dir()?.as_fd(), installed.as_fd(), name)?,
            None => {}
        }
        let settings = self.settings()?;
        let prefix = if settings.has_boot_prefix { BOOT_PREFIX } else { "" };
        let overlays = self.install_overlays(deployment, boot.as_fd(), prefix, &install)?;
        let title = self.title(deployment, root.as_fd(), place)?;
        let entry = &mut deployment.entry;
        entry.set("title", title);
        entry.set("version", (place.count - place.index).to_string());
        fill(entry, &kernel, &format!("{prefix}/{dir}"), overlays);
        if let Some(aboot) = &kernel.aboot {
            entry.set("aboot", format!("/{dir}/{}", aboot.name));
            entry.set("abootcfg", format!("/{}/usr/lib/ostree-boot/aboot.cfg", deployment.id.path()));
        }
        let link = BootLink {
            version: place.version,
            stateroot: deployment.id.stateroot.clone(),
            boot_checksum: deployment.boot_checksum,
            serial: deployment.boot_serial,
        };
        set_options(entry, &link, kernel.initramfs.is_some());
        if place.index > 0 {
            settings.append_except_default.iter().for_each(|(key, value)| entry.set(key, value));
        }
        let path = format!("{entries}/{}", self.entry_name(deployment, place, settings.boot_counting_tries));
        files::replace(&boot, &path, deployment.entry.to_string().as_bytes(), Durability::Later)
    }

    /// The initial RAM disks that a deployment adds; gives their paths as the boot loader sees them.
    fn install_overlays(
        &self,
        deployment: &Deployment,
        boot: BorrowedFd<'_>,
        prefix: &str,
        install: &Install<'_>,
    ) -> Result<Vec<String>> {
        let mut paths = Vec::new();
        for checksum in &deployment.overlay_initrds {
            files::mkdir_all(boot, OVERLAYS, 0o755)?;
            let path = format!("{OVERLAYS}/{checksum}.img");
            if files::stat(boot, &path)?.is_none() {
                let source = format!("{STAGED_INITRDS}/{checksum}");
                let run = self.surroundings.run.as_ref();
                let run = run.ok_or_else(|| Error::io("open", &source, Errno::NOENT))?;
                install.link_or_copy(run.as_fd(), &source, boot, &path)?;
            }
            paths.push(format!("{prefix}/{path}"));
        }
        Ok(paths)
    }

    /// What people see of a boot entry. The boot loader syslinux looks for [`TITLE_END`] in it.
    fn title(&self, deployment: &Deployment, root: BorrowedFd<'_>, place: Place) -> Result<String> {
        let mut title = self.name_and_version(deployment, root)?;
        title += TITLE_END;
        if place.with_stateroot {
            title += &format!(":{}", deployment.id.stateroot);
        }
        title += &format!(":{})", place.index);
        Ok(title)
    }

    /// What the tree of a deployment calls itself, and the version in its commit. Where the commit cannot be read any more
    /// it is what the boot entry says; libostree leaves the version out then.
    fn name_and_version(&self, deployment: &Deployment, root: BorrowedFd<'_>) -> Result<String> {
        let commit = load_commit(&self.repo, &deployment.id.commit).ok();
        let said = deployment.entry.get("title").and_then(|title| title.rsplit_once(TITLE_END));
        if let (None, Some((name, _))) = (&commit, said) {
            return Ok(name.to_owned());
        }
        let name = title_in(root)?;
        let version = commit.as_ref().and_then(|commit| commit.metadata.get_str("version"));
        Ok(match version.filter(|version| !version.is_empty() && !name.contains(*version)) {
            Some(version) => format!("{name} {version}"),
            None => name,
        })
    }

    /// The name of a boot entry. Boot loaders that count attempts do it in the name.
    fn entry_name(&self, deployment: &Deployment, place: Place, tries: u64) -> String {
        let mut name = format!("ostree-{}", place.count - place.index);
        if self.surroundings.tunables.stateroot_in_names {
            name += &format!("-{}", deployment.id.stateroot);
        }
        let entry = &deployment.entry;
        let counted = match (tries, entry.file_name().map(|_| entry.tries())) {
            (0, _) => String::new(),
            (tries, None) => format!("+{tries}"),
            (_, Some(so_far)) if so_far.left == 0 && so_far.done == 0 => String::new(),
            (_, Some(so_far)) => format!("+{}-{}", so_far.left, so_far.done),
        };
        format!("{name}{counted}.conf")
    }
}

/// Tells a boot entry where the kernel and what belongs to it are: in `dir`, as the boot loader sees it.
fn fill(entry: &mut BootEntry, kernel: &Kernel, dir: &str, overlays: Vec<String>) {
    let path = |file: &BootFile| format!("{dir}/{}", file.name);
    entry.set("linux", path(&kernel.kernel));
    if let Some(initramfs) = &kernel.initramfs {
        entry.set("initrd", path(initramfs));
        if !overlays.is_empty() {
            entry.set_overlay_initrds(overlays);
        }
    }
    match &kernel.device_trees {
        Some(DeviceTrees::One(file)) => entry.set("devicetree", path(file)),
        Some(DeviceTrees::Directory(name)) => entry.set("fdtdir", format!("{dir}/{name}")),
        None => {}
    }
}

/// Tells the kernel of its deployment. Without an initial RAM disk it is the deployment's own program that finds it.
fn set_options(entry: &mut BootEntry, link: &BootLink, has_initramfs: bool) {
    let mut options = entry.kernel_args();
    if !has_initramfs {
        options.replace(&format!("init={link}/usr/lib/ostree/ostree-prepare-root"));
    }
    options.replace(&format!("ostree={link}"));
    entry.set("options", options.to_string());
}

/// How a kernel and what belongs to it come into `/boot`.
struct Install<'a> {
    /// Says whether copies get fs-verity, where that is possible.
    repo: &'a Repo,
    /// Says what copies are labeled.
    labels: Labels,
}

impl Install<'_> {
    /// Installs a file of the kernel, unless it is there.
    fn file(&self, kernel: &Kernel, file: &BootFile, to: BorrowedFd<'_>) -> Result<()> {
        if files::stat(to, &file.name)?.is_some() {
            return Ok(());
        }
        let dir = kernel.dir()?;
        // In /boot a symbolic link would lead nowhere.
        match files::lstat(&dir, &file.source)? {
            Some(stat) if stat.st_mode & S_IFMT == S_IFLNK => self.copy(&kernel.open(file)?, to, &file.name),
            _ => self.link_or_copy(dir.as_fd(), &file.source, to, &file.name),
        }
    }

    /// Hard-links a file, or copies it if `/boot` is a file system of its own.
    fn link_or_copy(&self, from: BorrowedFd<'_>, source: &str, to: BorrowedFd<'_>, name: &str) -> Result<()> {
        match rustix::fs::linkat(from, source, to, name, AtFlags::empty()) {
            Ok(()) => Ok(()),
            Err(Errno::MLINK | Errno::XDEV) => {
                let source = files::open_file(from, source)?
                    .ok_or_else(|| Error::at(from, "open", source, Errno::NOENT))?;
                self.copy(&source, to, name)
            }
            Err(error) => Err(Error::at(to, "link", name, error)),
        }
    }

    fn copy(&self, source: &File, to: BorrowedFd<'_>, name: &str) -> Result<()> {
        let (_, base) = name.rsplit_once('/').unwrap_or(("", name));
        copy(source, to, name, |file| {
            self.labels.set(&*file, &format!("boot/{base}"), S_IFREG | 0o644)?;
            Ok(self.repo.protect_file_if_possible(file)?)
        })
    }
}

/// Copies a file with owner and permissions. `finish` does what else there is to do; then all of it gets to the disk, and
/// then the file its name.
fn copy(
    source: &File,
    to: BorrowedFd<'_>,
    name: &str,
    finish: impl FnOnce(&mut File) -> Result<()>,
) -> Result<()> {
    let failed = |e: io::Error| Error::at(to, "copy", name, e);
    let (parent, _) = name.rsplit_once('/').unwrap_or((".", name));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let make = |temporary: &str| Ok(rustix::fs::openat(to, temporary, flags, Mode::RUSR | Mode::WUSR)?);
    let (temporary, fd) = unused_name(&format!("{parent}/.tmp-"), make).map_err(failed)?;
    let mut file = File::from(fd);
    let write = || -> Result<()> {
        io::copy(&mut &*source, &mut file).map_err(failed)?;
        let stat = rustix::fs::fstat(source).map_err(|e| failed(e.into()))?;
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::fchown(&file, Some(uid), Some(gid)).map_err(|e| failed(e.into()))?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        rustix::fs::fchmod(&file, mode).map_err(|e| failed(e.into()))?;
        finish(&mut file)?;
        rustix::fs::fdatasync(&file).map_err(|e| failed(e.into()))?;
        rustix::fs::renameat(to, &*temporary, to, name).map_err(|e| failed(e.into()))
    };
    let written = write();
    drop(file);
    written.map_err(|error| {
        let _ = rustix::fs::unlinkat(to, &*temporary, AtFlags::empty());
        if_full(error, source, to, name)
    })
}

/// Says how much is missing, if `error` is that the file system of `to` has no room for a copy of `source`.
fn if_full(error: Error, source: &File, to: BorrowedFd<'_>, name: &str) -> Error {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    let (Ok(stat), Ok(room)) = (rustix::fs::fstat(source), rustix::fs::fstatvfs(to)) else { return error };
    match error {
        Error::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded) => Error::BootFull {
            file: name.to_owned(),
            bytes: stat.st_size.max(0).unsigned_abs(),
            free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
            source,
        },
        other => other,
    }
}

/// Copies a directory of device trees, over what is there of it.
fn copy_dir(from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &str) -> Result<()> {
    let source = files::open_dir(from, path)?;
    let stat = rustix::fs::fstat(&source).map_err(|e| Error::at(&source, "stat", ".", e))?;
    files::mkdir(to, path, 0o700)?;
    files::chmod(to, path, stat.st_mode & 0o7777)?;
    for (name, kind) in files::list(from, path)? {
        let path = format!("{path}/{name}");
        if kind.is_dir() {
            copy_dir(from, to, &path)?;
        } else if kind.is_symlink() {
            files::replace_link(to, &files::read_link(from, &path)?, &path)?;
        } else if kind.is_file()
            && let Some(file) = files::open_file(from, &path)?
        {
            copy(&file, to, &path, |_| Ok(()))?;
        }
    }
    Ok(())
}
