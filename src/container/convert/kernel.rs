//! The kernel of an image, where ostree looks for it.
//!
//! ```text
//! usr/lib/modules/RELEASE/vmlinuz       where Fedora and Arch have it; initramfs.img beside it
//! usr/lib/modules/RELEASE/Image         openSUSE's on aarch64
//! boot/vmlinuz-RELEASE                  Debian, openSUSE; Fedora's copy; kernel-RELEASE of Gentoo
//! boot/vmlinuz-FLAVOUR, Image           Alpine, Arch: of the only directory of modules
//! boot/initrd.img-X, initramfs-X.img, initramfs-X, initrd-X, config-X, System.map-X      move along
//! ```
//! Of several kernels none is moved: which of them is to be booted, nobody could tell.

use std::collections::{BTreeMap, BTreeSet};

use ostree_format::FileId;

use super::{dir, ensure_dir, file_name, files};
use crate::container::image::Result;
use crate::store::{Entry, MutableTree, ObjectRead, ObjectWrite};

pub(super) const MODULES: &str = "usr/lib/modules";
pub(super) const KERNEL: &str = "vmlinuz";
pub(super) const INITRAMFS: &str = "initramfs.img";
const BOOT: &str = "boot";
/// The uncompressed kernel of aarch64.
const IMAGE: &str = "Image";
/// A kernel in `boot` is called so, or so with a hyphen and more. One that can be booted everywhere comes first.
const KERNELS: [&str; 4] = [KERNEL, IMAGE, "kernel", "vmlinux"];
/// Names that end so are of a copy: of the kernel before, as `make install` keeps it, or for debuggers.
const COPIES: [&str; 2] = [".old", ".gz"];
/// Fedora's kernel for bad days, a copy of another one.
const RESCUE: &str = "0-rescue-";

/// The kernels that an image has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kernel {
    /// No kernel.
    None,
    /// One, which is at `usr/lib/modules/RELEASE/vmlinuz`.
    One {
        /// What `uname -r` says when it runs.
        release: String,
        /// Whether there is an `initramfs.img` beside it.
        initramfs: bool,
    },
    /// Several, by their releases.
    Several(Vec<String>),
}

/// What is in the directories where kernels are.
struct Found {
    /// Every directory in `usr/lib/modules`, and whether a kernel is in it.
    modules: BTreeMap<String, bool>,
    /// The regular files in `boot`.
    boot: BTreeMap<String, FileId>,
}

/// Moves the kernel and what belongs to it to where ostree looks, if there is one.
pub(super) fn settle(store: &dyn ObjectWrite, tree: &mut MutableTree) -> Result<Kernel> {
    let found = Found::look(store, tree)?;
    let in_boot = found.kernels_in_boot();
    let releases: BTreeSet<String> =
        found.with_kernel().map(str::to_owned).chain(in_boot.values().cloned()).collect();
    let mut each = releases.into_iter();
    match (each.next(), each.next()) {
        (None, _) => Ok(Kernel::None),
        (Some(first), Some(second)) => Ok(Kernel::Several([first, second].into_iter().chain(each).collect())),
        (Some(release), None) => {
            let name = in_boot
                .into_keys()
                .min_by_key(|name| KERNELS.iter().position(|kernel| name.starts_with(kernel)));
            let moved = Moving { store, found: &found, release: &release }.all(tree, name.as_deref())?;
            remove_links(store, tree, &moved)?;
            let modules = dir(store, tree, &format!("{MODULES}/{release}"))?;
            let initramfs = match modules {
                Some(modules) => modules.files(store)?.contains_key(INITRAMFS),
                None => false,
            };
            Ok(Kernel::One { release, initramfs })
        }
    }
}

/// Where a file of `boot` may be when the kernel has moved whose release its name ends in.
pub(super) fn places_of(name: &str) -> Option<String> {
    const NAMES: [(&str, &str, &str); 10] = [
        ("vmlinuz-", "", KERNEL),
        ("Image-", "", KERNEL),
        ("kernel-", "", KERNEL),
        ("vmlinux-", "", KERNEL),
        ("initrd.img-", "", INITRAMFS),
        ("initramfs-", ".img", INITRAMFS),
        ("initramfs-", "", INITRAMFS),
        ("initrd-", "", INITRAMFS),
        ("config-", "", "config"),
        ("System.map-", "", "System.map"),
    ];
    NAMES.iter().find_map(|(start, end, to)| {
        let release = name.strip_prefix(start)?.strip_suffix(end)?;
        (!release.contains('/')).then(|| format!("{MODULES}/{release}/{to}"))
    })
}

impl Found {
    fn look(store: &dyn ObjectRead, tree: &mut MutableTree) -> Result<Self> {
        let (mut modules, mut boot) = (BTreeMap::new(), BTreeMap::new());
        if let Some(dir) = dir(store, tree, MODULES)? {
            for (name, below) in dir.dirs(store)? {
                let files = below.files(store)?;
                let has_kernel = [KERNEL, IMAGE].iter().any(|name| files.contains_key(*name));
                modules.insert(name.to_string(), has_kernel);
            }
        }
        if let Some(dir) = dir(store, tree, BOOT)? {
            let regular = files(store, dir)?.into_iter().filter(|(.., target)| target.is_none());
            boot.extend(regular.map(|(name, id, _)| (name.to_string(), id)));
        }
        Ok(Self { modules, boot })
    }

    fn with_kernel(&self) -> impl Iterator<Item = &str> {
        self.modules.iter().filter(|(_, has_kernel)| **has_kernel).map(|(name, _)| name.as_str())
    }

    /// The kernels in `boot`: their names, and their releases.
    fn kernels_in_boot(&self) -> BTreeMap<String, String> {
        let suffixes = self.boot.keys().filter_map(|name| Some((name, suffix(name)?)));
        let suffixes: Vec<_> = suffixes.filter(|(_, suffix)| !suffix.starts_with(RESCUE)).collect();
        let mut only = self.modules.keys();
        let only = only.next().filter(|_| self.modules.len() == 1 && suffixes.len() == 1);
        let release = |suffix: &str| match only {
            _ if self.modules.contains_key(suffix) => suffix.to_owned(),
            Some(only) => only.clone(),
            None if suffix.is_empty() => "unknown".to_owned(),
            None => suffix.to_owned(),
        };
        suffixes.into_iter().map(|(name, suffix)| (name.clone(), release(suffix))).collect()
    }
}

/// What stands behind `vmlinuz-`; nothing if that is all. `None` for what is no kernel.
fn suffix(name: &str) -> Option<&str> {
    if COPIES.iter().any(|end| name.ends_with(end)) {
        return None;
    }
    KERNELS.iter().find_map(|kernel| match name.strip_prefix(kernel)? {
        "" => Some(""),
        rest => rest.strip_prefix('-').filter(|rest| !rest.is_empty()),
    })
}

/// A kernel that moves.
struct Moving<'a> {
    store: &'a dyn ObjectWrite,
    found: &'a Found,
    release: &'a str,
}

impl Moving<'_> {
    /// Moves the kernel called `name` in `boot`, and what belongs to it; returns the names that are gone there.
    fn all(&self, tree: &mut MutableTree, name: Option<&str>) -> Result<Vec<String>> {
        let mut moved = Vec::new();
        if let Some(modules) = dir(self.store, tree, &format!("{MODULES}/{}", self.release))? {
            rename_image(self.store, modules)?;
        }
        if let Some(name) = name {
            moved.extend(self.one(tree, &[name.to_owned()], KERNEL)?);
        }
        let suffixes: Vec<&str> = name.and_then(suffix).into_iter().chain([self.release]).collect();
        let named = |forms: &[&str]| -> Vec<String> {
            let forms = forms.iter();
            forms.flat_map(|form| suffixes.iter().map(|suffix| form.replace('*', suffix))).collect()
        };
        let mut initramfs =
            named(&["initrd.img-*", "initramfs-*.img", "initramfs-*", "initrd-*", "initrd-*.img"]);
        initramfs.extend(["initrd.img", "initramfs.img"].map(str::to_owned));
        initramfs.extend(self.only_initramfs());
        moved.extend(self.one(tree, &initramfs, INITRAMFS)?);
        moved.extend(self.one(tree, &named(&["config-*"]), "config")?);
        moved.extend(self.one(tree, &named(&["System.map-*"]), "System.map")?);
        Ok(moved)
    }

    /// Arch's, which has its kernel's flavour in its name, and one more to fall back to.
    fn only_initramfs(&self) -> Option<String> {
        let is_one = |name: &&String| {
            name.starts_with("initramfs-") && name.ends_with(".img") && !name.ends_with("-fallback.img")
        };
        let mut all = self.found.boot.keys().filter(is_one);
        all.next().filter(|_| all.next().is_none()).cloned()
    }

    /// Moves the first of these files that `boot` has, unless another file is where it goes.
    fn one(&self, tree: &mut MutableTree, names: &[String], to: &str) -> Result<Option<String>> {
        let first = names.iter().find_map(|name| Some((name, *self.found.boot.get(name)?)));
        let Some((name, id)) = first else { return Ok(None) };
        let Some(modules) = ensure_dir(self.store, tree, &format!("{MODULES}/{}", self.release), 0o755)?
        else {
            return Ok(None);
        };
        match modules.get(self.store, to)? {
            Some(Entry::File(there)) if there == id => {}
            Some(_) => return Ok(None),
            None => modules.set_file(self.store, file_name(to)?, id)?,
        }
        if let Some(boot) = dir(self.store, tree, BOOT)? {
            boot.remove(self.store, name)?;
        }
        Ok(Some(name.clone()))
    }
}

/// Gives the kernel among its modules the name by which ostree finds it.
fn rename_image(store: &dyn ObjectWrite, modules: &mut MutableTree) -> Result<()> {
    if modules.get(store, KERNEL)?.is_none()
        && let Some(Entry::File(image)) = modules.get(store, IMAGE)?
    {
        modules.set_file(store, file_name(KERNEL)?, image)?;
        modules.remove(store, IMAGE)?;
    }
    Ok(())
}

/// Takes away links such as Debian's `/vmlinuz`, which lead to what was moved.
fn remove_links(store: &dyn ObjectWrite, tree: &mut MutableTree, moved: &[String]) -> Result<()> {
    for (path, prefix) in [("", "boot/"), (BOOT, "")] {
        let Some(dir) = dir(store, tree, path)? else { continue };
        let leads = |target: &str| {
            let target = target.trim_start_matches('/');
            moved.iter().any(|name| target.strip_prefix(prefix) == Some(name))
        };
        for (name, _, target) in files(store, dir)? {
            if target.is_some_and(|target| leads(&target)) {
                dir.remove(store, name.as_str())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kernels() {
        for (name, expected) in [
            ("vmlinuz-6.1.0-1-amd64", Some("6.1.0-1-amd64")),
            ("vmlinux-6.1", Some("6.1")),
            ("vmlinuz", Some("")),
            ("vmlinuz-", None),
            ("vmlinuz.old", None),
            ("vmlinuz-6.1.old", None),
            ("vmlinux-6.1.gz", None),
            ("Image", Some("")),
            ("Image.gz", None),
            ("Image-6.4.0-default", Some("6.4.0-default")),
            ("kernel-6.6.21-gentoo-dist", Some("6.6.21-gentoo-dist")),
            ("initrd.img-6.1", None),
        ] {
            assert_eq!(suffix(name), expected, "{name}");
        }
    }
}
