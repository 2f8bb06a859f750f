//! dpkg's database.
//!
//! ```text
//! status                 Package: libc6 / Source: glibc (2.36-9) / …, paragraphs
//! diversions             path / where it was moved / package that has its place      three lines each
//! info/libc6:amd64.list  /. / /lib / /lib/x86_64-linux-gnu / …                       directories and files
//! info/libc6:amd64.*     what else the package has: md5sums, postinst, …
//! ```
//! Source: dpkg's manual pages, deb-src-control(5), dpkg-divert(1), and lib/dpkg/db-fsys-files.c.

use std::collections::{HashMap, HashSet};

use crate::container::build::chunks::database::{PathKind, claim, lines};
use crate::container::build::chunks::owners::Owners;
use crate::container::build::chunks::tree::Tree;
use crate::container::image::Result;
use crate::store::ObjectRead;

pub(super) const PLACES: [&str; 5] = [
    "var/lib/dpkg",
    "usr/lib/dpkg",
    "usr/lib/sysimage/dpkg",
    "usr/share/dpkg/database",
    "usr/share/factory/var/lib/dpkg",
];

pub(super) fn read(store: &dyn ObjectRead, tree: &Tree, owners: &mut Owners<'_>) -> Result<()> {
    let found = PLACES.iter().find_map(|place| {
        let info = tree.locate_dir(&format!("{place}/info"))?;
        let status = tree.file_in(tree.dirs[info].parent, "status")?;
        Some((info, status))
    });
    let Some((info, status)) = found else { return Ok(()) };
    let status = tree.read(store, status)?;
    let sources = sources(&status);
    let moved = match tree.file_in(tree.dirs[info].parent, "diversions") {
        Some(file) => tree.read(store, file)?,
        None => Vec::new(),
    };
    let moved = diversions(&moved);
    let mut packages = HashSet::new();
    for file in tree.dirs[info].files.clone() {
        let Some((name, "list")) = split(&tree.files[file].name) else { continue };
        packages.insert(name);
        let package = owners.package(name, sources.get(name).copied().unwrap_or(name));
        for (kind, path) in list(&tree.read(store, file)?) {
            let path = match moved.get(path) {
                Some(diversion) if diversion.package != name => diversion.to,
                _ => path,
            };
            claim(owners, package, kind, path);
        }
    }
    for file in tree.dirs[info].files.clone() {
        if let Some((name, _)) = split(&tree.files[file].name)
            && packages.contains(name)
        {
            let package = owners.package(name, name);
            owners.give_file(package, file);
        }
    }
    Ok(())
}

/// The package and the kind of a file in `info`. Of the same package for several machines all versions are
/// the same.
fn split(file: &str) -> Option<(&str, &str)> {
    let (name, kind) = file.rsplit_once('.')?;
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    (!name.is_empty()).then_some((name, kind))
}

/// The source of each package that is not built from one of its own name.
pub(in crate::container::build::chunks) fn sources(status: &[u8]) -> HashMap<&str, &str> {
    let (mut out, mut package) = (HashMap::new(), None);
    for line in lines(status) {
        match line.split_once(':') {
            None if line.is_empty() => package = None,
            Some(("Package", name)) => package = Some(name.trim()),
            Some(("Source", source)) => {
                // A version follows in parentheses if it is another one.
                if let (Some(name), Some(source)) = (package, source.split_whitespace().next()) {
                    out.insert(name, source);
                }
            }
            _ => {}
        }
    }
    out
}

pub(in crate::container::build::chunks) struct Diversion<'a> {
    to: &'a str,
    /// The package whose file stays at the path.
    package: &'a str,
}

/// Paths of which the files of all packages but one were moved away.
pub(in crate::container::build::chunks) fn diversions(text: &[u8]) -> HashMap<&str, Diversion<'_>> {
    let lines: Vec<_> = lines(text).collect();
    let entries = lines.chunks_exact(3);
    entries.map(|entry| (entry[0], Diversion { to: entry[1], package: entry[2] })).collect()
}

/// The paths in a list; what is in a directory follows it.
pub(in crate::container::build::chunks) fn list(text: &[u8]) -> impl Iterator<Item = (PathKind, &str)> {
    let mut lines = lines(text).filter(|line| !line.is_empty()).peekable();
    std::iter::from_fn(move || {
        let path = lines.next()?;
        let inside = |next: &&str| next.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        let kind = if lines.peek().is_some_and(inside) { PathKind::Dir } else { PathKind::File };
        Some((kind, path))
    })
}
