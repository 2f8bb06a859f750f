//! A filter for the wanted part of a tree.

/// Paths below a directory, as their components.
pub(crate) struct Filter<'a>(Vec<Vec<&'a str>>);

/// What is wanted of a directory.
pub(crate) enum Match<'a> {
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
    pub(crate) fn file(&self, name: &str) -> bool {
        self.0.iter().any(|path| matches!(&path[..], [] | [_] if path.first().is_none_or(|p| *p == name)))
    }

    pub(crate) fn dir(&self, name: &str) -> Match<'a> {
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
