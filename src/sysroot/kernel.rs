//! The kernel of a tree, and what is installed into `/boot` with it.
//!
//! ```text
//! usr/lib/modules/VERSION/vmlinuz, initramfs.img or initramfs, devicetree or dtb/, .vmlinuz.hmac, aboot.img
//! usr/lib/ostree-boot/vmlinuz-VERSION-CHECKSUM, initramfs-…, devicetree-…             older
//! boot/vmlinuz-VERSION-CHECKSUM, …                                                    oldest
//! ```
//! In the first place the checksum is that of the contents, one behind the other: kernel, initial RAM disk, device
//! trees. In the others it stands in the names. Source: libostree ostree-sysroot-deploy.c.
//!
//! Of several kernels the one with the highest version is booted; libostree takes whichever the file system lists first.
//! A deployment that has a boot entry keeps its kernel, whoever has chosen it. Where a file is a symbolic link, it is what
//! that leads to within the tree.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cap_std::fs::Dir;
use ostree_format::{Checksum, Hasher, S_IFDIR, S_IFMT, S_IFREG};
use rustix::fs::FileType;

use super::boot_entry::compare_versions;
use super::{Error, Result, files};

const MODULES: &str = "usr/lib/modules";
const OLDER_PLACES: [&str; 2] = ["usr/lib/ostree-boot", "boot"];

/// A file and the name that it gets in `/boot`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BootFile {
    /// The name in the tree, in the directory of the kernel.
    pub(super) source: String,
    /// The name in `/boot/ostree/STATEROOT-CHECKSUM`.
    pub(super) name: String,
}

/// Device trees of a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DeviceTrees {
    /// The only one.
    One(BootFile),
    /// A directory, of which the boot loader takes the right one.
    Directory(&'static str),
}

/// A kernel and what belongs to it.
#[derive(Debug)]
pub(super) struct Kernel {
    tree: Dir,
    /// The directory that has them, from the root of the tree.
    pub(super) place: String,
    /// The kernel.
    pub(super) kernel: BootFile,
    /// A checksum of it, for kernels that check themselves.
    pub(super) hmac: Option<BootFile>,
    /// The initial RAM disk.
    pub(super) initramfs: Option<BootFile>,
    /// What the kernel is told of the hardware.
    pub(super) device_trees: Option<DeviceTrees>,
    /// All in one, as boot loaders of Android want it.
    pub(super) aboot: Option<BootFile>,
    /// What tells it from other kernels.
    pub(super) checksum: Checksum,
}

impl Kernel {
    /// Finds the kernel of a tree; `installed` is the checksum of the one that it was installed with, if it was.
    pub(super) fn find(
        tree: impl AsFd,
        with_device_trees: bool,
        installed: Option<Checksum>,
    ) -> Result<Self> {
        let tree = tree.as_fd();
        let in_modules = in_modules(tree, with_device_trees, installed)?;
        let older = older(tree)?;
        match (in_modules, older) {
            // There may be a kernel for its modules' sake, while the one to boot has its initial RAM disk elsewhere.
            (Some(modules), Some(older)) if modules.initramfs.is_none() && older.initramfs.is_some() => {
                Ok(older)
            }
            (Some(kernel), _) | (None, Some(kernel)) => Ok(kernel),
            (None, None) => Err(Error::NoKernel),
        }
    }

    /// The directory that has its files.
    pub(super) fn dir(&self) -> Result<OwnedFd> {
        files::open_dir(&self.tree, &self.place)
    }

    /// Opens one of its files.
    pub(super) fn open(&self, file: &BootFile) -> Result<File> {
        let path = format!("{}/{}", self.place, file.source);
        let missing = || Error::io("open", &path, rustix::io::Errno::NOENT);
        files::open_file_within(&self.tree, &path)?.ok_or_else(missing)
    }
}

/// The kernel in `usr/lib/modules`: of several the one that is installed, or else that with the highest version.
fn in_modules(
    tree: impl AsFd,
    with_device_trees: bool,
    installed: Option<Checksum>,
) -> Result<Option<Kernel>> {
    let tree = tree.as_fd();
    let Some(modules) = files::open_dir_if_there(tree, MODULES)? else { return Ok(None) };
    let mut versions = Vec::new();
    for (version, kind) in files::list(tree, MODULES)? {
        if kind == FileType::Directory
            && let Some(stat) = files::stat(&modules, &format!("{version}/vmlinuz"))?
            && stat.st_mode & S_IFMT == S_IFREG
        {
            versions.push(version);
        }
    }
    versions.sort_by(|a, b| compare_versions(b, a));
    let mut highest = None;
    for version in &versions {
        let kernel = of_version(tree, version, with_device_trees)?;
        if versions.len() == 1 || installed.is_none_or(|installed| installed == kernel.checksum) {
            return Ok(Some(kernel));
        }
        highest = highest.or(Some(kernel));
    }
    Ok(highest)
}

fn of_version(tree: BorrowedFd<'_>, version: &str, with_device_trees: bool) -> Result<Kernel> {
    let (tree, place) = (files::into_dir(files::open_dir(tree, ".")?), format!("{MODULES}/{version}"));
    let dir = files::open_dir(&tree, &place)?;
    let file = |source: &str, name: String| BootFile { source: source.to_owned(), name };
    let kernel = file("vmlinuz", format!("vmlinuz-{version}"));
    let mut hasher = Hasher::new();
    let mut hash = |source: &str| hash_file(&tree, &format!("{place}/{source}"), &mut hasher);
    hash("vmlinuz")?;
    let mut initramfs = None;
    for source in ["initramfs.img", "initramfs"] {
        if hash(source)? {
            initramfs = Some(file(source, format!("initramfs-{version}.img")));
            break;
        }
    }
    let mut device_trees = None;
    if with_device_trees {
        let trees = files::stat(&dir, "dtb")?.filter(|stat| stat.st_mode & S_IFMT == S_IFDIR);
        if hash("devicetree")? {
            device_trees = Some(DeviceTrees::One(file("devicetree", format!("devicetree-{version}"))));
        } else if trees.is_some() {
            hash_dir(&dir, "dtb", &mut hasher)?;
            device_trees = Some(DeviceTrees::Directory("dtb"));
        }
    }
    let is_there = |name| files::stat(&dir, name).map(|stat| stat.is_some());
    // dracut looks for it beside the kernel, under this name.
    let hmac = is_there(".vmlinuz.hmac")?.then(|| file(".vmlinuz.hmac", format!(".{}.hmac", kernel.name)));
    let aboot = is_there("aboot.img")?.then(|| file("aboot.img", format!("aboot-{version}.img")));
    Ok(Kernel { hmac, initramfs, device_trees, aboot, checksum: hasher.finish(), kernel, tree, place })
}

/// The kernel in one of the older places: the first that exists.
fn older(tree: impl AsFd) -> Result<Option<Kernel>> {
    let tree = tree.as_fd();
    let mut found = None;
    for place in OLDER_PLACES {
        if files::stat(tree, place)?.is_some() {
            found = Some(place);
            break;
        }
    }
    let Some(place) = found else { return Ok(None) };
    let mut names = files::list(tree, place)?;
    names.sort_by(|(a, _), (b, _)| compare_versions(b, a));
    let all = |prefix: &'static str| names.iter().filter_map(move |(name, _)| with_checksum(name, prefix));
    let Some((kernel, checksum)) = all("vmlinuz-").next() else { return Ok(None) };
    let same = |prefix, other| {
        let fits = all(prefix).find(|(_, actual)| *actual == checksum);
        match fits.or_else(|| all(prefix).next()) {
            Some((_, actual)) if actual != checksum => {
                Err(Error::KernelMismatch { kernel: checksum, other, actual })
            }
            found => Ok(found.map(|(file, _)| file)),
        }
    };
    let initramfs = same("initramfs-", "initrd")?;
    let device_trees = same("devicetree-", "device tree in tree")?.map(DeviceTrees::One);
    let (tree, place) = (files::into_dir(files::open_dir(tree, ".")?), place.to_owned());
    Ok(Some(Kernel { tree, place, kernel, hmac: None, initramfs, device_trees, aboot: None, checksum }))
}

/// A file whose name has a checksum at its end.
fn with_checksum(source: &str, prefix: &str) -> Option<(BootFile, Checksum)> {
    let (name, checksum) = source.rsplit_once('-').filter(|_| source.starts_with(prefix))?;
    Some((BootFile { source: source.to_owned(), name: name.to_owned() }, checksum.parse().ok()?))
}

/// Adds the content of a file of the tree; says whether it is there.
fn hash_file(tree: &Dir, path: &str, hasher: &mut Hasher) -> Result<bool> {
    let Some(file) = files::open_file_within(tree, path)? else { return Ok(false) };
    hash(file, hasher).map_err(|e| Error::io("read", path, e))?;
    Ok(true)
}

fn hash(mut file: File, hasher: &mut Hasher) -> io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// Adds the contents of all files below a directory, by their names in order.
fn hash_dir(dir: impl AsFd, path: &str, hasher: &mut Hasher) -> Result<()> {
    let dir = dir.as_fd();
    let mut names = files::list(dir, path)?;
    names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (name, kind) in names {
        let path = format!("{path}/{name}");
        if kind == FileType::Directory {
            hash_dir(dir, &path, hasher)?;
        } else if let Some(file) = files::open_file(dir, &path)? {
            hash(file, hasher).map_err(|e| Error::io("read", &path, e))?;
        }
    }
    Ok(())
}
