//! Rearranges the files of a container image, as systems that boot from a commit want them.
//!
//! ```text
//! etc                                   usr/etc: done by whoever takes layers in, and so is the first half of var
//! boot/vmlinuz-V, initrd.img-V …        usr/lib/modules/V/vmlinuz, initramfs.img, config, System.map      kernel
//! home, root, srv                       links into var; what is in them moves there                       links
//! opt, mnt, media                       links into var and run, if they are empty
//! ostree ► sysroot/ostree; boot, dev, proc, run, sys, sysroot, tmp, var      are there
//! var/…                                 usr/share/factory/var, and usr/lib/tmpfiles.d says how to put it back   var
//! ```
//! Nothing is lost: what would have to make room stays where it is, and [`Arranged`] tells. Names change, contents
//! do not. `report` says what stands in the way of booting an image.
//!
//! rpm-ostree's compose does the same with `home`, `root`, `srv`, `opt`, `mnt`, `media` and `ostree`, and with the
//! directories and links of `var`; its files it drops. bootc leaves `var` in the commit, from where libostree since
//! 2024.3 copies it to a new system; so does [`Var::Keep`]. Source: rpm-ostree composepost.rs, tmpfiles.rs and
//! rpmostree-kernel.cxx; bootc docs/src/bootc-images.md; tmpfiles.d(5).

mod kernel;
mod links;
mod report;
mod var;

use ostree_format::variant::{Dict, Value};
use ostree_format::{DirMeta, DirMetaId, FileId, FileKind, FileName, Xattrs};

pub use self::kernel::Kernel;
pub(in crate::container) use self::report::{Examined, report};
pub use self::report::{Obstacle, Remark, Report, Weight};
use super::image::{Error, Result};
use crate::store::{self, Entry, MutableTree, ObjectRead, ObjectWrite};
use crate::tar::Var;

/// What became of an image's files when they were rearranged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arranged {
    /// The kernel, if there is exactly one.
    pub kernel: Kernel,
    /// Paths at which a directory or link ought to be, and something else stays that would be lost.
    pub in_the_way: Vec<String>,
}

impl Arranged {
    /// What the commit says about booting; nothing, unless there is exactly one kernel.
    pub(in crate::container) fn metadata(&self) -> Dict {
        let mut metadata = Dict::new();
        if let Kernel::One { release, .. } = &self.kernel {
            metadata.push("ostree.bootable", true);
            metadata.push("ostree.linux", Value::Str(release.clone()));
        }
        metadata
    }
}

/// Rearranges the merged tree of an image's layers, which were taken in with `etc` in `usr/etc`, and with `var` where
/// `var` says.
///
/// # Errors
/// If an object is missing or damaged, or cannot be written.
pub(in crate::container) fn arrange(
    store: &dyn ObjectWrite,
    tree: &mut MutableTree,
    var: Var,
) -> Result<Arranged> {
    let kernel = kernel::settle(store, tree)?;
    let mut in_the_way = links::make(store, tree, var)?;
    if !var::describe(store, tree, var)? {
        in_the_way.push(var::DIR.to_owned());
    }
    Ok(Arranged { kernel, in_the_way })
}

/// Where the file at `path` of an image may be in the commit that was made of it: at the first of these places that has
/// one.
pub(in crate::container) fn places_of(path: &str) -> Vec<String> {
    let mut places = vec![path.to_owned()];
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match first {
        "etc" => places.push(format!("usr/{path}")),
        "var" => places.push(format!("{}/{rest}", var::FACTORY)),
        "boot" => places.extend(kernel::places_of(rest)),
        _ => places.extend(links::places_of(first, rest)),
    }
    places
}

/// The directory at `path`, if there is one.
fn dir<'t>(
    store: &dyn ObjectRead,
    tree: &'t mut MutableTree,
    path: &str,
) -> Result<Option<&'t mut MutableTree>> {
    let mut dir = tree;
    for part in parts(path) {
        match dir.get(store, part)? {
            Some(Entry::Dir(next)) => dir = next,
            Some(Entry::File(_)) | None => return Ok(None),
        }
    }
    Ok(Some(dir))
}

/// The directory at `path`, made with all above it if it is not there: root's, with these permissions, those above it
/// 0755. `None` if a file is in the way.
fn ensure_dir<'t>(
    store: &dyn ObjectWrite,
    tree: &'t mut MutableTree,
    path: &str,
    permissions: u32,
) -> Result<Option<&'t mut MutableTree>> {
    let (mut dir, mut left) = (tree, parts(path).count());
    for part in parts(path) {
        left -= 1;
        if dir.files(store)?.contains_key(part) {
            return Ok(None);
        }
        dir = dir.ensure_dir(store, file_name(part)?)?;
        if dir.meta().is_none() {
            dir.set_meta(root_dir(store, if left == 0 { permissions } else { 0o755 })?);
        }
    }
    Ok(Some(dir))
}

/// The dirmeta of a directory of root's. Repositories that cannot keep these permissions get 0755.
fn root_dir(store: &dyn ObjectWrite, permissions: u32) -> Result<DirMetaId> {
    let meta = |permissions| store.write_dirmeta(&DirMeta::new(0, 0, permissions, Xattrs::EMPTY));
    match meta(permissions) {
        Err(store::Error::Unsupported(_)) => Ok(meta(0o755)?),
        meta => Ok(meta?),
    }
}

/// The files of a directory that are regular, or the symbolic links, with their targets.
fn files(store: &dyn ObjectRead, dir: &mut MutableTree) -> Result<Vec<(FileName, FileId, Option<String>)>> {
    let mut out = Vec::new();
    for (name, id) in dir.files(store)? {
        let (header, _) = store.stat_file(id)?.ok_or(store::Error::NotFound((*id).into()))?;
        let target = match header.kind {
            FileKind::Symlink(target) => Some(target.to_string()),
            FileKind::Regular => None,
        };
        out.push((name.clone(), *id, target));
    }
    Ok(out)
}

fn is_empty(store: &dyn ObjectRead, dir: &mut MutableTree) -> Result<bool> {
    Ok(dir.files(store)?.is_empty() && dir.dirs(store)?.is_empty())
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

fn file_name(name: &str) -> Result<FileName> {
    FileName::new(name).map_err(|source| Error::Image(format!("{name}: {source}")))
}
