//! apk's database: one file with a paragraph for each package.
//!
//! ```text
//! P:musl-utils        package
//! o:musl              what it is built from
//! F:usr/bin           directory
//! R:ldd               file in it
//! ```
//! Source: apk-package(5) and apk-db(5).

use crate::container::build::chunks::database::{PathKind, claim, lines};
use crate::container::build::chunks::owners::Owners;
use crate::container::build::chunks::tree::Tree;
use crate::container::image::Result;
use crate::store::ObjectRead;

pub(super) const PLACES: [&str; 3] =
    ["lib/apk/db/installed", "usr/lib/apk/db/installed", "var/lib/apk/db/installed"];

pub(super) fn read(store: &dyn ObjectRead, tree: &Tree, owners: &mut Owners<'_>) -> Result<()> {
    let Some(file) = PLACES.iter().find_map(|place| tree.locate_file(place)) else { return Ok(()) };
    for package in packages(&tree.read(store, file)?) {
        let number = owners
            .package(package.name, if package.origin.is_empty() { package.name } else { package.origin });
        for (kind, path) in &package.paths {
            claim(owners, number, *kind, path);
        }
    }
    Ok(())
}

#[derive(Default)]
pub(in crate::container::build::chunks) struct Package<'a> {
    name: &'a str,
    /// Empty, if it is not known.
    origin: &'a str,
    paths: Vec<(PathKind, String)>,
}

/// The packages of the database.
pub(in crate::container::build::chunks) fn packages(text: &[u8]) -> Vec<Package<'_>> {
    let (mut out, mut current, mut dir) = (Vec::new(), Package::default(), "");
    for line in lines(text).chain([""]) {
        match line.split_once(':') {
            None if line.is_empty() => out.push(std::mem::take(&mut current)),
            Some(("P", value)) => current.name = value,
            Some(("o", value)) => current.origin = value,
            Some(("F", value)) => {
                dir = value;
                current.paths.push((PathKind::Dir, value.to_owned()));
            }
            Some(("R", value)) => current.paths.push((PathKind::File, format!("{dir}/{value}"))),
            _ => {}
        }
    }
    out.retain(|package| !package.name.is_empty());
    out
}
