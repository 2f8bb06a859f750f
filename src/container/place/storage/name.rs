//! What an image in a store is called.
//!
//! ```text
//! containers-storage:[DRIVER@GRAPHROOT+RUNROOT:OPTIONS]NAME:TAG@DIGEST@ID
//!                    └ optional; GRAPHROOT alone, too  │    └ any of these, or an id, or the beginning of one
//! ```
//! A name without a registry is docker.io's, or else localhost's, where podman puts what it builds. Source:
//! containers/image storage/storage_transport.go, storage_reference.go.

use std::path::PathBuf;

use ostree_format::ParseError;

use super::tables::ImageRow;
use crate::container::image::{Digest, Error, RepositoryName, Result};

/// Fewer letters are no beginning of an id.
const MIN_ID_CHARS: usize = 3;
/// The number of names that are told when there is no such image.
const MAX_KNOWN: usize = 20;

/// A store that a name begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSpec {
    /// The driver.
    pub driver: Option<String>,
    /// The directory of the store: an absolute path.
    pub graphroot: PathBuf,
}

/// The name of an image in a store, and of the store if it is not the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageName {
    /// The store that the name begins with.
    pub store: Option<StoreSpec>,
    /// The rest, of which only the store tells what it is.
    image: Box<str>,
}

/// An image that was found.
pub(super) struct Chosen {
    /// The number of the directory.
    pub(super) root: usize,
    pub(super) row: ImageRow,
    /// The full name; none if the image was found by its id.
    pub(super) name: Option<RepositoryName>,
}

/// What an image is chosen by.
struct Wanted {
    name: Option<RepositoryName>,
    id: Option<String>,
}

impl StorageName {
    /// Reads what stands behind `containers-storage:`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let wrong = |at, why: &str| Err(ParseError::invalid("name of an image in a store", at, why));
        let (store, image) = match text.strip_prefix('[') {
            None => (None, text),
            Some(rest) => {
                let Some((store, image)) = rest.split_once(']') else {
                    return wrong(0, "no ']' for its '['");
                };
                let (driver, paths) = match store.split_once('@') {
                    Some((driver, paths)) => (Some(driver.to_owned()), paths),
                    None => (None, store),
                };
                let graphroot = paths.split([':', '+']).next().unwrap_or_default();
                if !graphroot.starts_with('/') || driver.as_deref() == Some("") {
                    return wrong(1, "a store is written [DRIVER@/PATH] or [/PATH]");
                }
                (Some(StoreSpec { driver, graphroot: graphroot.into() }), image)
            }
        };
        match image.is_empty() {
            true => wrong(text.len(), "no image is named"),
            false => Ok(Self { store, image: image.into() }),
        }
    }

    /// The digest of the manifest that is asked for, if one is.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.image.split('@').skip(1).find_map(|part| part.parse().ok())
    }

    /// The one of `images` that has this name, or else id, with its directory; and the name by which it was found.
    pub(super) fn choose(&self, images: &[(usize, ImageRow)]) -> Result<Chosen> {
        let wanted = self.wanted(images)?;
        let known = || {
            let names = images.iter().flat_map(|(_, row)| row.names.clone());
            names.take(MAX_KNOWN).collect::<Vec<_>>()
        };
        let missing = || Error::TagNotFound { tag: self.image.to_string(), known: known() };
        let fits = |row: &ImageRow| wanted.name.as_ref().is_none_or(|name| has_repository(row, name));
        let (found, name) = match &wanted.id {
            Some(id) => (images.iter().find(|(_, row)| row.id == *id && fits(row)), wanted.name.clone()),
            None => {
                let mut names = wanted.name.iter().cloned().chain(self.local());
                let found = names.find_map(|name| Some((find_named(images, &name)?, name)));
                found.map_or((None, None), |(image, name)| (Some(image), Some(name)))
            }
        };
        let (root, row) = found.cloned().ok_or_else(missing)?;
        Ok(Chosen { root, row, name })
    }

    /// Tells ids from names, which only the images there do.
    fn wanted(&self, images: &[(usize, ImageRow)]) -> Result<Wanted> {
        let (mut text, mut id) = (&*self.image, None);
        if let Some((name, last)) = text.rsplit_once('@')
            && last.parse::<Digest>().is_err()
        {
            let whole = last.len() == 64 && last.bytes().all(|b| b.is_ascii_hexdigit());
            id = if whole { Some(last.to_owned()) } else { beginning(images, last)? };
            if id.is_none() {
                return Err(Error::TagNotFound { tag: self.image.to_string(), known: Vec::new() });
            }
            text = name;
        } else if !text.contains(['@', ':', '/']) {
            id = beginning(images, text)?;
            text = if id.is_some() { "" } else { text };
        }
        let name = (!text.is_empty()).then(|| normal(text)).transpose()?;
        Ok(Wanted { name, id })
    }

    /// The name as that of an image that was built here.
    fn local(&self) -> Option<RepositoryName> {
        let is_short = RepositoryName::is_short(&self.image);
        is_short.then(|| format!("localhost/{}", self.image).parse().ok()).flatten()
    }
}

/// The id that begins so, if one does.
fn beginning(images: &[(usize, ImageRow)], text: &str) -> Result<Option<String>> {
    if text.len() < MIN_ID_CHARS {
        return Ok(None);
    }
    let mut ids: Vec<_> = images.iter().map(|(_, row)| &row.id).filter(|id| id.starts_with(text)).collect();
    ids.sort();
    ids.dedup();
    match ids[..] {
        [] => Ok(None),
        [id] => Ok(Some(id.clone())),
        _ => Err(Error::Ambiguous { known: ids.into_iter().cloned().collect() }),
    }
}

fn normal(text: &str) -> Result<RepositoryName> {
    let full = if RepositoryName::is_short(text) { format!("docker.io/{text}") } else { text.to_owned() };
    full.parse().map_err(|source| Error::Reference { text: text.to_owned(), source })
}

/// An image that has just this name, or, for a name with a digest, one of that repository with that digest.
fn find_named<'a>(images: &'a [(usize, ImageRow)], name: &RepositoryName) -> Option<&'a (usize, ImageRow)> {
    let text = name.to_string();
    let by_name = images.iter().find(|(_, row)| row.names.contains(&text));
    let by_digest = || {
        let digest = name.digest?.to_string();
        images.iter().find(|(_, row)| row.has_manifest(&digest) && has_repository(row, name))
    };
    by_name.or_else(by_digest)
}

fn has_repository(row: &ImageRow, name: &RepositoryName) -> bool {
    let repository = name.repository();
    row.names.iter().any(|own| RepositoryName::split(own).0 == repository)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, names: &[&str], digest: &str) -> (usize, ImageRow) {
        let json = serde_json::json!({ "id": id, "names": names, "digest": digest });
        (0, serde_json::from_value(json).unwrap())
    }

    #[test]
    fn names_and_ids() {
        let (a, b) = ("aaa1".repeat(16), "aaa2".repeat(16));
        let digest = format!("sha256:{}", "9".repeat(64));
        let images = [
            image(&a, &["docker.io/library/debian:12", "quay.io/x/y:1"], &digest),
            image(&b, &["localhost/mine:latest"], ""),
        ];
        let by_both = format!("quay.io/x/y:1@{a}");
        let by_digest = format!("quay.io/x/y@{digest}");
        let other_tag = format!("quay.io/x/y:other@{digest}");
        for (text, expected) in [
            ("debian:12", &a),
            ("docker.io/library/debian:12", &a),
            ("[overlay@/g+/r:opt=1]quay.io/x/y:1", &a),
            ("mine", &b),
            ("localhost/mine", &b),
            ("aaa1", &a),
            ("@aaa2a", &b),
            (&format!("@{b}"), &b),
            (&by_both, &a),
            (&by_digest, &a),
            (&other_tag, &a),
        ] {
            let name = StorageName::parse(text).unwrap();
            assert_eq!(&name.choose(&images).unwrap().row.id, expected, "{text}");
        }
        for text in ["debian", "quay.io/x/y", "@aaa3", "@aa", &format!("quay.io/z/y:1@{a}"), "nothing"] {
            let name = StorageName::parse(text).unwrap();
            assert!(matches!(name.choose(&images), Err(Error::TagNotFound { .. })), "{text}");
        }
        let several = StorageName::parse("aaa").unwrap().choose(&images);
        assert!(matches!(several, Err(Error::Ambiguous { .. })));
    }

    #[test]
    fn stores() {
        let store = |text| StorageName::parse(text).map(|name| name.store);
        let spec =
            |driver: Option<&str>| StoreSpec { driver: driver.map(str::to_owned), graphroot: "/g".into() };
        assert_eq!(store("[overlay@/g+/r]x").unwrap(), Some(spec(Some("overlay"))));
        assert_eq!(store("[/g]x").unwrap(), Some(spec(None)));
        assert_eq!(store("x").unwrap(), None);
        for bad in ["[x", "[]x", "[@/g]x", "[g]x", "[/g]", ""] {
            assert!(store(bad).is_err(), "{bad}");
        }
    }
}
