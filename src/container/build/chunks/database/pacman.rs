//! pacman's database: one directory for each package.
//!
//! ```text
//! local/bash-5.2.037-1/desc     %NAME% / bash / / %BASE% / bash / …      sections, an empty line after each
//! local/bash-5.2.037-1/files    %FILES% / usr/ / usr/bin/ / usr/bin/bash / …
//! ```
//! Source: libalpm, be_local.c.

use crate::container::build::chunks::database::{PathKind, claim, lines};
use crate::container::build::chunks::owners::Owners;
use crate::container::build::chunks::tree::Tree;
use crate::container::image::Result;
use crate::store::ObjectRead;

pub(super) const PLACES: [&str; 4] = [
    "var/lib/pacman/local",
    "usr/lib/pacman/local",
    "usr/lib/sysimage/lib/pacman/local",
    "usr/share/factory/var/lib/pacman/local",
];

pub(super) fn read(store: &dyn ObjectRead, tree: &Tree, owners: &mut Owners<'_>) -> Result<()> {
    let Some(local) = PLACES.iter().find_map(|place| tree.locate_dir(place)) else { return Ok(()) };
    for dir in &tree.dirs[local].dirs {
        let read = |name| match tree.file_in(*dir, name) {
            Some(file) => tree.read(store, file),
            None => Ok(Vec::new()),
        };
        let (desc, files) = (read("desc")?, read("files")?);
        let Some(name) = section(&desc, "%NAME%").next() else { continue };
        let package = owners.package(name, section(&desc, "%BASE%").next().unwrap_or(name));
        for path in section(&files, "%FILES%") {
            let kind = if path.ends_with('/') { PathKind::Dir } else { PathKind::File };
            claim(owners, package, kind, path);
        }
        for file in tree.dirs[*dir].files.clone() {
            owners.give_file(package, file);
        }
    }
    Ok(())
}

/// The lines of a section.
pub(in crate::container::build::chunks) fn section<'a>(
    text: &'a [u8],
    name: &'a str,
) -> impl Iterator<Item = &'a str> {
    let lines = lines(text).skip_while(move |line| *line != name).skip(1);
    lines.take_while(|line| !line.is_empty())
}
