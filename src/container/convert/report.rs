//! What stands in the way of booting an image, and what a person should know before.

use std::collections::BTreeMap;

use ostree_format::RootDir;

use super::kernel::{INITRAMFS, KERNEL, MODULES};
use super::var::FACTORY;
use super::{Arranged, Kernel};
use crate::base::Ctx;
use crate::container::build::unpackaged;
use crate::container::image::Result;
use crate::store::{self, ObjectRead, TreeEntry, lookup, paths};

/// What was found in an image, as far as it matters for booting a commit of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The kernel that the commit would have.
    pub kernel: Kernel,
    /// What stands in the way first, then what merely should be known.
    pub remarks: Vec<Remark>,
}

/// Something in an image that should be known before it is booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The kind of what was found.
    pub obstacle: Obstacle,
    /// A sentence for people.
    pub says: String,
    /// The paths in question, as they are in the image.
    pub paths: Vec<String>,
}

/// The kinds of things that are found in images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Obstacle {
    /// There is no kernel.
    NoKernel,
    /// There are several kernels.
    SeveralKernels,
    /// There is no os-release, without which ostree deploys nothing.
    NoOsRelease,
    /// The kernel has no initramfs.
    NoInitramfs,
    /// There is no program that finds the root file system of a commit when the machine boots.
    NoOstree,
    /// Directories such as `/bin` and `/lib` are not links into `/usr`.
    NotUsrMerged,
    /// Something would be lost if ostree's links took its place, so it stays.
    InTheWay,
    /// Files in `/boot`, over which the machine's own is mounted.
    Boot,
    /// Files in `/var`, and in other places that become part of it: a machine gets them once, and no update changes them.
    Var,
    /// Devices and pipes, which no commit can hold.
    Devices,
    /// Content of `/run`, `/tmp` and the like, which is left out.
    Runtime,
    /// Files that run with the rights of their owner or group.
    SetId,
    /// Files that no package brought.
    Unpackaged,
}

/// The meaning of a remark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// A commit of this image cannot be booted.
    Stops,
    /// Whoever boots it should know.
    Matters,
}

impl Obstacle {
    /// Whether it keeps a commit from being booted.
    pub fn weight(self) -> Weight {
        match self {
            Self::NoKernel | Self::SeveralKernels | Self::NoOsRelease => Weight::Stops,
            _ => Weight::Matters,
        }
    }

    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoKernel => "no-kernel",
            Self::SeveralKernels => "several-kernels",
            Self::NoOsRelease => "no-os-release",
            Self::NoInitramfs => "no-initramfs",
            Self::NoOstree => "no-ostree",
            Self::NotUsrMerged => "not-usr-merged",
            Self::InTheWay => "in-the-way",
            Self::Boot => "boot",
            Self::Var => "var",
            Self::Devices => "devices",
            Self::Runtime => "runtime",
            Self::SetId => "set-id",
            Self::Unpackaged => "unpackaged",
        }
    }
}

impl Report {
    /// Whether nothing stands in the way of booting a commit of the image.
    pub fn is_bootable(&self) -> bool {
        self.remarks.iter().all(|remark| remark.obstacle.weight() != Weight::Stops)
    }
}

/// An image whose layers are taken in.
pub(in crate::container) struct Examined<'a> {
    /// The tree of all layers, before anything was rearranged.
    pub(in crate::container) before: RootDir,
    /// The tree as it is committed.
    pub(in crate::container) after: RootDir,
    /// What became of it.
    pub(in crate::container) arranged: &'a Arranged,
    /// The devices and pipes in the layers, and what each is.
    pub(in crate::container) devices: BTreeMap<String, &'static str>,
    /// The number of entries that were left out, by their first directory.
    pub(in crate::container) left_out: BTreeMap<String, u64>,
}

/// What there is to say of an image.
pub(in crate::container) fn report(
    store: &dyn ObjectRead,
    image: &Examined<'_>,
    ctx: &Ctx,
) -> Result<Report> {
    let mut remarks = Vec::new();
    remarks.extend(of_kernel(&image.arranged.kernel));
    remarks.extend(of_layout(store, image)?);
    remarks.extend(of_files(store, image, ctx)?);
    if let Some(paths) = unpackaged(store, image.before, ctx)? {
        // State belongs to no package anyway.
        let paths = paths.iter().filter(|path| !path.starts_with("var/") && !is_below(path, FACTORY));
        remarks.extend(remark(
            Obstacle::Unpackaged,
            "belong to no package: no update of packages will bring them again",
            paths.map(|path| original(path)).collect(),
        ));
    }
    remarks.retain(|remark| !remark.says.is_empty());
    remarks.sort_by_key(|remark| remark.obstacle);
    Ok(Report { kernel: image.arranged.kernel.clone(), remarks })
}

/// A remark about these paths, if there are any.
fn remark(obstacle: Obstacle, says: &str, paths: Vec<String>) -> Option<Remark> {
    (!paths.is_empty()).then(|| Remark { obstacle, says: says.to_owned(), paths })
}

fn of_kernel(kernel: &Kernel) -> Option<Remark> {
    let (obstacle, says, paths) = match kernel {
        Kernel::None => (
            Obstacle::NoKernel,
            format!("no kernel at /{MODULES}/RELEASE/{KERNEL} or /boot/{KERNEL}-RELEASE"),
            Vec::new(),
        ),
        Kernel::Several(releases) => (
            Obstacle::SeveralKernels,
            "kernels of which ostree would not know which to boot; take away all but one".to_owned(),
            releases.clone(),
        ),
        Kernel::One { release, initramfs: false } => (
            Obstacle::NoInitramfs,
            format!("kernel {release} has no {INITRAMFS} beside it, and no initrd.img-{release} in /boot"),
            Vec::new(),
        ),
        Kernel::One { initramfs: true, .. } => return None,
    };
    Some(Remark { obstacle, says, paths })
}

/// What is at the top of the tree, and the few files without which nothing boots.
fn of_layout(store: &dyn ObjectRead, image: &Examined<'_>) -> Result<Vec<Remark>> {
    let (mut out, after) = (Vec::new(), image.after);
    let nothing = |obstacle, says: &str| Remark { obstacle, says: says.to_owned(), paths: Vec::new() };
    let is_there = |path: &str| exists(store, after, path);
    if !is_there("usr/lib/os-release")? && !is_there("usr/etc/os-release")? {
        out.push(nothing(
            Obstacle::NoOsRelease,
            "no /usr/lib/os-release, without which ostree deploys nothing",
        ));
    }
    if !is_there("usr/lib/ostree/ostree-prepare-root")? {
        let says = "no /usr/lib/ostree/ostree-prepare-root, which the initramfs needs to find the root file system \
                    of a commit; distributions have it in a package ostree or ostree-boot";
        out.push(nothing(Obstacle::NoOstree, says));
    }
    let tops = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
    let mut unmerged = Vec::new();
    for top in tops {
        if is_dir(store, image.before, top)? {
            unmerged.push(format!("/{top}"));
        }
    }
    out.extend(remark(
        Obstacle::NotUsrMerged,
        "are directories, not links into /usr: what ostree and bootc expect is a merged /usr",
        unmerged,
    ));
    let in_the_way = image.arranged.in_the_way.iter().map(|name| format!("/{name}"));
    out.extend(remark(
        Obstacle::InTheWay,
        "stay, since a link or directory in their place would lose something; they are read-only once booted",
        in_the_way.collect(),
    ));
    Ok(out)
}

/// What each file tells by its place and permissions.
fn of_files(store: &dyn ObjectRead, image: &Examined<'_>, ctx: &Ctx) -> Result<Vec<Remark>> {
    let (mut var, mut set_id, mut boot) = (Vec::new(), Vec::new(), Vec::new());
    for entry in paths(store, image.before) {
        ctx.cancel.check()?;
        let (path, entry) = entry?;
        let TreeEntry::File(id) = entry else { continue };
        let path = &path[1..];
        let (header, _) = store.stat_file(&id)?.ok_or(store::Error::NotFound(id.into()))?;
        if header.symlink_target().is_some() {
            continue;
        }
        if header.permissions & 0o6000 != 0 {
            set_id.push(original(path));
        }
        if is_below(path, FACTORY) || ["var", "home", "root", "srv"].iter().any(|dir| is_below(path, dir)) {
            var.push(original(path));
        }
        if is_below(path, "boot") && exists(store, image.after, path)? {
            boot.push(original(path));
        }
    }
    let runtime = image.left_out.iter().filter(|(name, _)| !image.devices.values().any(|kind| kind == name));
    let runtime: Vec<_> = runtime.map(|(name, _)| format!("/{name}")).collect();
    let devices = image.devices.keys().map(|path| original(path)).collect();
    Ok([
        remark(
            Obstacle::Boot,
            "stay in /boot, where nobody sees them once the machine's own is mounted",
            boot,
        ),
        remark(
            Obstacle::Var,
            "are state: a machine gets them once, by systemd-tmpfiles, and no update changes them",
            var,
        ),
        remark(
            Obstacle::Devices,
            "are devices or pipes, which no commit can hold: they are left out",
            devices,
        ),
        remark(Obstacle::Runtime, "have content that exists at run time only: it is left out", runtime),
        remark(Obstacle::SetId, "run with the rights of their owner or group (set-id)", set_id),
    ]
    .into_iter()
    .flatten()
    .collect())
}

/// Where the image itself has what is at this place of the merged tree.
fn original(place: &str) -> String {
    let rest = |dir: &str, below: &str| place.strip_prefix(dir).filter(|_| is_below(place, below));
    match (rest("usr/share/factory", FACTORY), rest("usr", "usr/etc")) {
        (Some(rest), _) | (None, Some(rest)) => rest.to_owned(),
        (None, None) => format!("/{place}"),
    }
}

fn is_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

fn exists(store: &dyn ObjectRead, root: RootDir, path: &str) -> Result<bool> {
    Ok(find(store, root, path)?.is_some())
}

fn is_dir(store: &dyn ObjectRead, root: RootDir, path: &str) -> Result<bool> {
    Ok(matches!(find(store, root, path)?, Some(TreeEntry::Dir(_))))
}

fn find(store: &dyn ObjectRead, root: RootDir, path: &str) -> Result<Option<TreeEntry>> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match lookup(store, root, path) {
        Ok(entry) => Ok(Some(entry)),
        Err(store::Error::Io { source, .. }) if matches!(source.kind(), NotFound | NotADirectory) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
