//! Finds the databases of package managers in layers of which no parts are to be had: streams them, one after the
//! other, until there is one.
//!
//! ```text
//! plain layers         the highest first: the newest database is there
//! layers of a commit   the smallest first: each path is in one of them
//! ```
//! Databases of many files are not found in plain layers: each layer has only those that it changed.

use std::collections::HashMap;
use std::io::Read;

use oci_spec::image::Descriptor;

use super::Compared;
use super::packages::Found;
use crate::base::Ctx;
use crate::container::blob::read_objects;
use crate::container::build::chunks::database::MAX_BYTES;
use crate::container::build::chunks::database::installed::{Part, dirs, files};
use crate::container::image::{Error, LayerKind, Result};
use crate::tar::{EndMarker, EntryKind, Reader, split_path};

/// The bytes of files that are kept until it is known whether they are databases.
const MAX_KEPT_BYTES: u64 = MAX_BYTES;
/// Below it lie the objects of a commit, and hard links to them at their paths.
const OBJECTS: &str = "sysroot/ostree/repo/objects/";
/// How databases in one file begin.
const BEGINNINGS: [&[u8]; 4] = [b"Package:", b"SQLite f", b"C:", b"P:"];

/// What two images have of databases in the layers that only one of them has. A database that only one has there is
/// looked for in all layers of the other one.
pub(super) fn databases(old: &Compared<'_>, new: &Compared<'_>, ctx: &Ctx) -> Result<(Found, Found)> {
    let (mut of_old, mut of_new) = (search(old, ctx)?, search(new, ctx)?);
    for part in Part::WHOLE {
        let (image, lacking) = match (of_old.0.contains_key(&part), of_new.0.contains_key(&part)) {
            (true, false) => (new, &mut of_new),
            (false, true) => (old, &mut of_old),
            _ => continue,
        };
        for (kind, layer) in in_order(image) {
            if let Some(packages) = look_into(image, kind, layer, ctx)?.0.remove(&part) {
                lacking.0.insert(part, packages);
                break;
            }
        }
    }
    Ok((of_old, of_new))
}

/// Looks for databases in the layers of an image that the other one lacks.
pub(super) fn search(image: &Compared<'_>, ctx: &Ctx) -> Result<Found> {
    let mut found = Found::default();
    for (kind, layer) in in_order(image).into_iter().filter(|(_, layer)| !image.is_shared(layer)) {
        for (part, packages) in look_into(image, kind, layer, ctx)?.0 {
            match part {
                // The packages of pacman lie in the layers of their files.
                Part::Pacman => found.0.entry(part).or_default().extend(packages),
                _ => drop(found.0.entry(part).or_insert(packages)),
            }
        }
        if !found.0.is_empty() && !found.0.contains_key(&Part::Pacman) {
            break;
        }
    }
    Ok(found)
}

/// The layers in the order in which a database is likely to be found.
fn in_order<'a>(image: &Compared<'a>) -> Vec<(LayerKind, &'a Descriptor)> {
    let mut layers: Vec<_> = image.of_kind(LayerKind::Plain).map(|layer| (LayerKind::Plain, layer)).collect();
    layers.reverse();
    let mut of_commit: Vec<_> =
        image.layers_of_commit().map(|(_, layer)| (LayerKind::Chunk, layer)).collect();
    of_commit.sort_by_key(|(_, layer)| layer.size());
    layers.extend(of_commit);
    layers
}

fn look_into(image: &Compared<'_>, kind: LayerKind, layer: &Descriptor, ctx: &Ctx) -> Result<Found> {
    read_objects(&image.source, layer, ctx, |stream| {
        // A plain layer has those that changed, and only the layers below have the others.
        let dirs = dirs().filter(|_| kind != LayerKind::Plain);
        let mut seen = Seen { files: files().collect(), dirs: dirs.collect(), ..Seen::default() };
        let mut reader = Reader::with_end(stream, EndMarker::Optional);
        while let Some(entry) = reader.next_entry()? {
            ctx.cancel.check()?;
            // What is no path is in no database.
            let Ok(names) = split_path(&entry.path) else { continue };
            let (path, link) = (names.join("/"), split_path(&entry.link).unwrap_or_default().join("/"));
            match entry.kind {
                EntryKind::Regular => seen.file(path, entry.size, &mut reader.content())?,
                EntryKind::Link => seen.link(&path, &link),
                EntryKind::Dir => seen.dir(&path),
                _ => {}
            }
        }
        Ok(seen.found)
    })
}

#[derive(Default)]
struct Seen {
    files: Vec<(Part, String)>,
    dirs: Vec<(Part, String)>,
    /// Objects that may be databases.
    kept: HashMap<String, Vec<u8>>,
    kept_bytes: u64,
    found: Found,
}

impl Seen {
    fn file(&mut self, path: String, bytes: u64, content: &mut dyn Read) -> Result<()> {
        let part = self.part_at(&path);
        let is_object = path.starts_with(OBJECTS);
        if (part.is_none() && !is_object) || bytes > MAX_KEPT_BYTES - self.kept_bytes {
            return Ok(());
        }
        let mut read = |to: &mut Vec<u8>, most: u64| {
            content.take(most).read_to_end(to).map_err(Error::io("read", path.as_str()))
        };
        let mut whole = Vec::new();
        if part.is_none() {
            read(&mut whole, 8)?;
            if !BEGINNINGS.iter().any(|beginning| whole.starts_with(beginning)) {
                return Ok(());
            }
        }
        read(&mut whole, bytes)?;
        match part {
            Some(part) => self.found.add(part, &whole),
            None => {
                self.kept_bytes += bytes;
                self.kept.insert(path, whole);
            }
        }
        Ok(())
    }

    fn link(&mut self, path: &str, target: &str) {
        if let Some(part) = self.part_at(path)
            && let Some(content) = self.kept.get(target)
        {
            self.found.add(part, content);
            return;
        }
        // A package of pacman, by a file in its directory.
        if let Some((dir, _)) = path.rsplit_once('/') {
            self.dir(dir);
        }
    }

    fn dir(&mut self, path: &str) {
        let Some((above, name)) = path.rsplit_once('/') else { return };
        if self.dirs.iter().any(|(part, dir)| *part == Part::Pacman && dir == above) {
            self.found.add(Part::Pacman, name.as_bytes());
        }
    }

    /// The database that a file at this path is, or is part of.
    fn part_at(&self, path: &str) -> Option<Part> {
        let file = self.files.iter().find(|(_, file)| path == file);
        let below = || {
            let (above, name) = path.rsplit_once('/')?;
            let is_list = |part: Part| part == Part::Dpkg && !name.ends_with(".md5sums");
            self.dirs.iter().find(|(part, dir)| is_list(*part) && dir == above)
        };
        file.or_else(below).map(|(part, _)| *part)
    }
}
