//! A filter for the wanted part of a tree.

use ostree_format::{DirEntry, DirTreeRef, FileId};

/// Paths below a directory, as their components.
pub(crate) struct Filter<'a>(Vec<Vec<&'a str>>);

/// What is wanted of a directory.
enum Match<'a> {
    Nothing,
    /// The directory with all that is in it.
    Everything,
    /// The directory, and some of what is in it.
    Below(Filter<'a>),
}

impl<'a> Filter<'a> {
    pub(crate) fn new(paths: &'a [String]) -> Self {
        Self(paths.iter().map(|path| path.split('/').filter(|part| !part.is_empty()).collect()).collect())
    }

    /// Whether a file of this directory is wanted: only if it was named itself.
    fn file(&self, name: &str) -> bool {
        self.0.iter().any(|path| matches!(&path[..], [] | [_] if path.first().is_none_or(|p| *p == name)))
    }

    fn dir(&self, name: &str) -> Match<'a> {
        let mut below = Vec::new();
        for path in &self.0 {
            match path.split_first() {
                None => return Match::Everything,
                Some((first, [])) if *first == name => return Match::Everything,
                Some((first, rest)) if *first == name => below.push(rest.to_vec()),
                Some(_) => {}
            }
        }
        if below.is_empty() { Match::Nothing } else { Match::Below(Filter(below)) }
    }
}

/// The files that a dirtree names, as far as `filter` lets them through; all of them without one.
pub(crate) fn wanted_files(
    tree: &DirTreeRef<'_>,
    filter: Option<&Filter<'_>>,
) -> impl Iterator<Item = FileId> {
    let is_wanted = move |name: &str| filter.is_none_or(|filter| filter.file(name));
    tree.files().filter(move |(name, _)| is_wanted(name)).map(|(_, id)| id)
}

/// The directories that a dirtree names, as far as `filter` lets them through, each with the filter for what is in it.
pub(crate) fn wanted_dirs<'p>(
    tree: &DirTreeRef<'_>,
    filter: Option<&Filter<'p>>,
) -> impl Iterator<Item = (DirEntry, Option<Filter<'p>>)> {
    tree.dirs().filter_map(move |(name, dir)| {
        match filter.map_or(Match::Everything, |filter| filter.dir(name)) {
            Match::Nothing => None,
            Match::Everything => Some((dir, None)),
            Match::Below(filter) => Some((dir, Some(filter))),
        }
    })
}
