//! Where the entries of an archive go.

use ostree_format::FileId;

use super::super::entry::split_path;
use super::super::error::EntryErrorKind;
use super::super::filter::PathnameFilter;
use super::TreeOptions;

/// Where entries of an archive go.
pub(in crate::tar) trait Places {
    /// Where the entry `path` goes, which does not begin with a slash or dot.
    fn place(&self, path: &str) -> Result<Place, EntryErrorKind>;
}

/// Where an entry of an archive goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tar) enum Place {
    /// To this path of the tree.
    In(String),
    /// Nowhere; it is counted under this name.
    Out(String),
    /// Nowhere itself, but it is this content object, perhaps changed, which hard links may name.
    Object(FileId),
}

impl Places for TreeOptions {
    fn place(&self, path: &str) -> Result<Place, EntryErrorKind> {
        let filter = |filter: &PathnameFilter| filter.apply(path);
        Ok(Place::In(self.filter.as_ref().map_or_else(|| path.to_owned(), filter)))
    }
}

/// Makes a path relative: `/a`, `/../a` and `./a` are `a`.
pub(super) fn relative(path: &str) -> &str {
    let mut path = path;
    while let Some(rest) = path.strip_prefix('/') {
        path = rest.strip_prefix("..").filter(|after| after.starts_with('/')).unwrap_or(rest);
    }
    loop {
        match path.strip_prefix("./").or_else(|| path.strip_prefix('/')) {
            Some(rest) => path = rest,
            None => return if path == "." { "" } else { path },
        }
    }
}

/// [`split_path`], but the empty path is the root.
pub(super) fn split(path: &str) -> Result<Vec<&str>, EntryErrorKind> {
    if path.is_empty() { Ok(Vec::new()) } else { split_path(path.as_bytes()) }
}
