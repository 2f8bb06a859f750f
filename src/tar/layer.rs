//! Turns plain image layers into trees: what a build added to an operating system that ostree will deploy.
//!
//! ```text
//! etc/…                        usr/etc/…; a symbolic link to just that place is left out: in the tree both are one
//! var/…                        usr/share/factory/var/…, or as it is
//! run/… tmp/… proc/… sys/… dev/…   left out; the directories themselves stay
//! sysroot/ostree/repo/objects/…    objects of the base, perhaps changed: hard links may name them
//! other than usr               left out, unless the root file system can hold it
//! .wh.NAME, .wh..wh..opq       kept as files, of whatever type the entry is: they act when the layer is laid over
//!                              another tree; no hard link can name them, and what is below them is left out
//! .wh..wh.NAME                 left out, with all below: AUFS's own files
//! ```
//! What is left out is counted by its first directory. Source: ostree-ext tar/write.rs:122-345. Unlike
//! there, a layer means what it means to a program that unpacks it, umoci for example: entries act in their
//! order, the last one of a path wins, and an entry below a symbolic link goes where the link leads.
//! Directories that no entry lists belong to root, 0755. Hard links work in any order, by absolute names, to
//! objects of the base, to files of lower layers and to what is left out; devices and pipes, which no commit can
//! hold, are left out and counted; so are xattrs that Linux knows no namespace of, as podman and umoci do.

mod entries;
mod implied;
mod links;
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use ostree_format::{FileId, RootDir};

use self::entries::LayerImport;
use super::archive::Archive;
use super::clones::Clones;
use super::content::POOL_BYTES;
use super::error::Result;
use super::files::FileWriter;
use crate::base::{Ctx, with_pool};
use crate::store::{Modifier, ObjectWrite};

/// Options for turning a layer into a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerOptions {
    /// The treatment of top-level directories apart from `usr`, `etc` and `var`.
    pub toplevel: Toplevel,
    /// The treatment of `var`.
    pub var: Var,
}

/// The treatment of top-level directories apart from `usr`, `etc` and `var`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Toplevel {
    /// The directories are left out: in a deployment nobody could see them.
    #[default]
    LeaveOut,
    /// The directories stay: the root file system is made of the commit.
    Keep,
}

/// The treatment of `var`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Var {
    /// The directory becomes `usr/share/factory/var`, from where systemd-tmpfiles copies what a configuration names. Works with
    /// every libostree.
    #[default]
    Factory,
    /// The directory stays: libostree since 2024.3 copies it when it deploys the commit.
    Keep,
}

/// A layer as a tree.
#[derive(Debug, Clone)]
pub struct LayerTree {
    /// The tree, whiteouts included.
    pub root: RootDir,
    /// Directories that the layer has things in, but does not list: their owner and mode are made up.
    pub implied: BTreeSet<String>,
    /// Hard links whose target was not in this layer when they came, in the order of their entries: path, and target
    /// where it is in the tree below, or where it would be if it were not left out. If the tree below has it, that is
    /// what the link stands for, and else what this layer's tree has at the path, if it has something there.
    pub lower_links: Vec<(String, String)>,
    /// Files that are left out and that hard links name: if they are given to [`import_layer`], it keeps their
    /// content.
    pub wanted: BTreeSet<String>,
    /// Files that were left out of the tree, but whose content was kept because it was wanted: by path.
    pub kept: BTreeMap<String, FileId>,
    /// Devices and pipes, which were left out, and what each is: by path.
    pub special: BTreeMap<String, &'static str>,
    /// The number of entries that were left out, by their first directory or by their kind.
    pub left_out: BTreeMap<String, u64>,
}

/// Writes a plain layer as a tree; `modifier` changes its files. The content of files that are left out is kept
/// only if they are in `wanted`: the first reading of a layer tells which, in [`LayerTree::wanted`]. `clones` has content
/// that need not be written.
///
/// # Errors
/// [`Error::Format`](super::Error::Format), [`Error::Entry`](super::Error::Entry),
/// [`Error::Read`](super::Error::Read) for a malformed stream, names that are not UTF-8, and paths that go
/// upwards; [`Error::Store`](super::Error::Store), also if the store cannot keep what an entry says.
pub fn import_layer(
    input: &mut dyn Read,
    store: &dyn ObjectWrite,
    options: LayerOptions,
    wanted: &BTreeSet<String>,
    modifier: &Modifier,
    clones: Option<&Clones<'_>>,
    ctx: &Ctx,
) -> Result<LayerTree> {
    let mut archive = Archive::of_tar(input);
    with_pool(ctx, POOL_BYTES, |pool| {
        let files = FileWriter { store, pool, clones, ctx };
        let mut import = LayerImport::new(files, options, wanted, modifier.clone());
        while let Some(entry) = archive.next_entry()? {
            ctx.cancel.check()?;
            import.entry(&entry, &mut archive)?;
        }
        pool.wait()?;
        import.finish()
    })
}
