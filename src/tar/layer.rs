//! Plain image layers into trees: what a build added to an operating system that ostree will deploy.
//!
//! ```text
//! etc/…                        usr/etc/…
//! var/…                        usr/share/factory/var/…, or as it is
//! run/… tmp/… proc/… sys/… dev/…   left out; the directories themselves stay
//! sysroot/ostree/repo/objects/…    objects of the base, perhaps changed: hard links may name them
//! other than usr               left out, unless the root file system can hold it
//! .wh.NAME, .wh..wh..opq       kept as files: they act when the layer is laid over another tree
//! .wh..wh.NAME                 left out, with all below: AUFS's own files
//! ```
//! What is left out is counted by its first directory. Source: ostree-ext tar/write.rs:122-345. Unlike
//! there, hard links work in any order, by absolute names, to objects of the base and to files of lower
//! layers; devices and pipes, which no commit can hold, are left out and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use ostree_format::{FileId, RootDir};

use super::archive::Archive;
use super::error::{EntryErrorKind, Result};
use super::layout::{REPO, object_of_path};
use super::tree::{Parents, Place, Places, SpecialFiles, TreeOptions, read_entries};
use crate::base::Ctx;
use crate::store::{Modifier, MutableTree, ObjectWrite};

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
/// Other names that start so are AUFS's own, and no part of the layer: OCI image-spec layer.md "Whiteouts".
const AUFS: &str = ".wh..wh.";
/// Directories whose content exists at run time only.
const RUNTIME: [&str; 5] = ["run", "tmp", "proc", "sys", "dev"];

/// How a layer becomes a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerOptions {
    /// What happens to top-level directories apart from `usr`, `etc` and `var`.
    pub toplevel: Toplevel,
    /// What happens to `var`.
    pub var: Var,
}

/// What happens to top-level directories apart from `usr`, `etc` and `var`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Toplevel {
    /// They are left out: in a deployment nobody could see them.
    #[default]
    LeaveOut,
    /// They stay: the root file system is made of the commit.
    Keep,
}

/// What happens to `var`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Var {
    /// It becomes `usr/share/factory/var`, from where systemd-tmpfiles copies it. Works with every libostree.
    #[default]
    Factory,
    /// It stays: libostree since 2024.3 copies it when it deploys the commit.
    Keep,
}

/// A layer as a tree.
#[derive(Debug, Clone)]
pub struct LayerTree {
    /// The tree, whiteouts included.
    pub root: RootDir,
    /// Directories that the layer has things in, but does not list: their owner and mode are made up.
    pub implied: BTreeSet<String>,
    /// Hard links to files that are not in this layer: path and target.
    pub lower_links: BTreeMap<String, String>,
    /// How many entries were left out, by their first directory or by their kind.
    pub left_out: BTreeMap<String, u64>,
}

/// Writes a plain layer as a tree; `modifier` changes its files.
///
/// # Errors
/// [`Error::Format`](super::Error::Format), [`Error::Entry`](super::Error::Entry),
/// [`Error::Read`](super::Error::Read) for a malformed stream, names that are not UTF-8, and paths that go
/// upwards; [`Error::Store`](super::Error::Store), also if the store cannot keep what an entry says.
pub fn import_layer(
    input: &mut dyn Read,
    store: &dyn ObjectWrite,
    options: LayerOptions,
    modifier: &Modifier,
    ctx: &Ctx,
) -> Result<LayerTree> {
    let tree_options =
        TreeOptions { parents: Parents::CreateMissing, special: SpecialFiles::Ignore, filter: None };
    let (mut tree, mut modifier) = (MutableTree::new(), modifier.clone());
    let mut archive = Archive::of_tar(input);
    let found = read_entries(&mut archive, store, &mut tree, &mut modifier, &tree_options, &options, ctx)?;
    let lower_links = found
        .links
        .into_iter()
        .flat_map(|(target, links)| links.into_iter().map(move |link| (link.path, target.clone())));
    Ok(LayerTree {
        root: tree.write(store)?,
        implied: found.implied,
        lower_links: lower_links.collect(),
        left_out: found.left_out,
    })
}

impl Places for LayerOptions {
    fn place(&self, path: &str) -> Result<Place, EntryErrorKind> {
        let mut names = path.split('/').filter(|name| !matches!(*name, "" | "."));
        if let Some(aufs) = names.clone().find(|name| name.starts_with(AUFS) && *name != OPAQUE) {
            return Ok(Place::Out(aufs.to_owned()));
        }
        let Some(first) = names.next() else { return Ok(Place::In(String::new())) };
        let rest: Vec<_> = names.collect();
        let below = |dir: &str| [dir].into_iter().chain(rest.iter().copied()).collect::<Vec<_>>().join("/");
        // A whiteout takes its name's place.
        let (mark, first) = match first.strip_prefix(WHITEOUT) {
            Some(name) if !name.starts_with(WHITEOUT) => (WHITEOUT, name),
            _ => ("", first),
        };
        Ok(match first {
            "usr" => Place::In(below(&format!("{mark}usr"))),
            "etc" => Place::In(below(&format!("usr/{mark}etc"))),
            "var" if self.var == Var::Factory => Place::In(below(&format!("usr/share/factory/{mark}var"))),
            "var" | OPAQUE => Place::In(below(&format!("{mark}{first}"))),
            runtime if RUNTIME.contains(&runtime) => match rest.is_empty() {
                true => Place::In(format!("{mark}{runtime}")),
                false => Place::Out(runtime.to_owned()),
            },
            "sysroot" if rest.first() == Some(&"ostree") => Self::sysroot(&below("sysroot")),
            other if self.toplevel == Toplevel::Keep => Place::In(below(&format!("{mark}{other}"))),
            other => Place::Out(other.to_owned()),
        })
    }
}

impl LayerOptions {
    fn sysroot(path: &str) -> Place {
        let object = path.strip_prefix(REPO).and_then(object_of_path);
        object.map_or_else(|| Place::Out("sysroot".to_owned()), |id: FileId| Place::Object(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place = |options: LayerOptions, path| match options.place(path).unwrap() {
            Place::In(path) => path,
            Place::Out(name) => format!("out {name}"),
            Place::Object(id) => format!("object {id}"),
        };
        let default = LayerOptions::default();
        let keep = LayerOptions { toplevel: Toplevel::Keep, var: Var::Keep };
        let id = "8b".repeat(32);
        let object = format!("sysroot/ostree/repo/objects/8b/{}.file", &id[2..]);
        for (path, by_default, kept) in [
            ("", "", ""),
            ("usr/bin//./x", "usr/bin/x", "usr/bin/x"),
            ("etc", "usr/etc", "usr/etc"),
            ("etc/a/b", "usr/etc/a/b", "usr/etc/a/b"),
            ("etcetera/a", "out etcetera", "etcetera/a"),
            ("var/lib", "usr/share/factory/var/lib", "var/lib"),
            ("run", "run", "run"),
            ("run/x", "out run", "out run"),
            ("opt/x", "out opt", "opt/x"),
            (".wh.etc", "usr/.wh.etc", "usr/.wh.etc"),
            (".wh.opt", "out opt", ".wh.opt"),
            (".wh..wh..opq", ".wh..wh..opq", ".wh..wh..opq"),
            ("usr/.wh..wh..opq", "usr/.wh..wh..opq", "usr/.wh..wh..opq"),
            (".wh..wh.plnk/12.34", "out .wh..wh.plnk", "out .wh..wh.plnk"),
            ("usr/.wh..wh.orph", "out .wh..wh.orph", "out .wh..wh.orph"),
            ("sysroot/x", "out sysroot", "sysroot/x"),
            ("sysroot/ostree/repo/config", "out sysroot", "out sysroot"),
            (&object, &format!("object {id}"), &format!("object {id}")),
        ] {
            assert_eq!(place(default, path), *by_default, "{path}");
            assert_eq!(place(keep, path), *kept, "{path}");
        }
    }
}
