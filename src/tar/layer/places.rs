//! Where the paths of a layer lie in the tree.

use ostree_format::FileId;

use super::super::layout::{REPO, object_of_path};
use super::{LayerOptions, Toplevel, Var};
use crate::store::Placement;

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
/// Other names that start so are AUFS's own, and no part of the layer: OCI image-spec layer.md "Whiteouts".
const AUFS: &str = ".wh..wh.";
/// Directories whose content exists at run time only.
const RUNTIME: [&str; 5] = ["run", "tmp", "proc", "sys", "dev"];
/// The directory from which systemd-tmpfiles fills `var`.
const FACTORY: &str = "usr/share/factory";

/// The place where an entry of a layer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LayerPlace {
    /// A path of the tree.
    In(String),
    /// No place: the entry is left out and counted under this name.
    Out(String),
    /// No place of its own: the entry is this content object, perhaps changed, which hard links may name.
    Object(FileId),
}

impl LayerOptions {
    /// Where `path` goes, which is relative and has no dots.
    pub(super) fn locate(&self, path: &str) -> LayerPlace {
        let mut names = path.split('/').filter(|name| !matches!(*name, "" | "."));
        if let Some(marker) = names.clone().find(|name| name.starts_with(AUFS) && *name != OPAQUE) {
            return LayerPlace::Out(marker.to_owned());
        }
        let dirs = path.rsplit_once('/').map_or("", |(dirs, _)| dirs).split('/');
        if let Some(marker) = dirs.clone().find(|name| name.starts_with(WHITEOUT)) {
            return LayerPlace::Out(marker.to_owned());
        }
        let Some(first) = names.next() else { return LayerPlace::In(String::new()) };
        let rest: Vec<_> = names.collect();
        let below = |dir: &str| [dir].into_iter().chain(rest.iter().copied()).collect::<Vec<_>>().join("/");
        // A whiteout takes its name's place.
        let (mark, first) = match first.strip_prefix(WHITEOUT) {
            Some(name) if !name.starts_with(WHITEOUT) => (WHITEOUT, name),
            _ => ("", first),
        };
        match first {
            "usr" => LayerPlace::In(below(&format!("{mark}usr"))),
            "etc" => LayerPlace::In(below(&format!("usr/{mark}etc"))),
            "var" if self.var == Var::Factory => LayerPlace::In(below(&format!("{FACTORY}/{mark}var"))),
            "var" | OPAQUE => LayerPlace::In(below(&format!("{mark}{first}"))),
            runtime if RUNTIME.contains(&runtime) => match rest.is_empty() {
                true => LayerPlace::In(format!("{mark}{runtime}")),
                false => LayerPlace::Out(runtime.to_owned()),
            },
            "sysroot" if rest.first() == Some(&"ostree") => Self::sysroot(&below("sysroot")),
            other if self.toplevel == Toplevel::Keep => LayerPlace::In(below(&format!("{mark}{other}"))),
            other => LayerPlace::Out(other.to_owned()),
        }
    }

    /// Whether a symbolic link at `path`, which goes to `place`, leads there in the image: `etc/x` to `usr/etc/x`. In the
    /// tree both are one, and it would lead to itself.
    pub(super) fn becomes_its_target(path: &str, place: &str, link: &[u8]) -> bool {
        let Ok(link) = str::from_utf8(link) else { return false };
        let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        let mut target: Vec<&str> = if link.starts_with('/') { Vec::new() } else { dir.split('/').collect() };
        for name in link.split('/') {
            match name {
                "" | "." => {}
                // Above the root is the root.
                ".." => drop(target.pop()),
                name => target.push(name),
            }
        }
        path != place && target.into_iter().filter(|name| !name.is_empty()).eq(place.split('/'))
    }

    fn sysroot(path: &str) -> LayerPlace {
        let object = path.strip_prefix(REPO).and_then(object_of_path);
        object.map_or_else(|| LayerPlace::Out("sysroot".to_owned()), |id: FileId| LayerPlace::Object(id))
    }
}

/// Whether what lies at `place` takes something away from the layers below, whatever type the entry has.
pub(super) fn is_whiteout(place: &str) -> bool {
    place.rsplit('/').next().is_some_and(|name| name.starts_with(WHITEOUT))
}

/// Places entries as [`LayerOptions`] places directories.
impl Placement for LayerOptions {
    fn place(&self, path: &str) -> Option<String> {
        match self.locate(path) {
            LayerPlace::In(place) => Some(place),
            LayerPlace::Out(_) | LayerPlace::Object(_) => None,
        }
    }

    fn path_of(&self, place: &str) -> String {
        let below = |dir: &str| {
            let rest = place.strip_prefix(dir)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(rest)
        };
        let factory =
            below(FACTORY).and_then(|rest| rest.strip_prefix('/')).filter(|_| self.var == Var::Factory);
        let var = factory.filter(|path| path.split('/').next() == Some("var"));
        match (var, below("usr/etc")) {
            (Some(path), _) => path.to_owned(),
            (None, Some(rest)) => format!("etc{rest}"),
            (None, None) => place.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_become_their_targets() {
        for (path, place, link, becomes) in [
            ("etc/x", "usr/etc/x", "../usr/etc/x", true),
            ("etc/x", "usr/etc/x", "/usr/etc/x", true),
            ("etc/a/x", "usr/etc/a/x", "../.././usr//etc/a/x", true),
            ("etc", "usr/etc", "usr/etc", true),
            ("etc/x", "usr/etc/x", "../usr/etc/y", false),
            ("etc/x", "usr/etc/x", "x", false),
            ("etc/x", "usr/etc/x", "../../../usr/etc/x", true),
            ("etc/x", "usr/etc/x", "../../x", false),
            ("etc/x", "usr/etc/x", "", false),
            ("usr/x", "usr/x", "/usr/x", false),
        ] {
            assert_eq!(
                LayerOptions::becomes_its_target(path, place, link.as_bytes()),
                becomes,
                "{path} -> {link}"
            );
        }
    }

    #[test]
    fn places() {
        let place = |options: LayerOptions, path| match options.locate(path) {
            LayerPlace::In(path) => path,
            LayerPlace::Out(name) => format!("out {name}"),
            LayerPlace::Object(id) => format!("object {id}"),
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
            ("usr/.wh.a/b", "out .wh.a", "out .wh.a"),
            (".wh.opt/b", "out .wh.opt", "out .wh.opt"),
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
