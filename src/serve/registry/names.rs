//! What the image of a ref is called: names in a registry have fewer letters than refs.
//!
//! ```text
//! os/stable               os/stable                    as it is, if it may be the name of an image
//! Fedora/x86_64/Core      fedora/x86_64/core           in small letters; a run of other signs that may not stand
//!                                                      there becomes '-', at the ends of a part nothing
//! OS/stable, Os/stable    os/stable-XXXXXXXX           with the first digits of the ref's SHA-256, where several refs
//!                                                      would get the same name
//! ```
//! A ref that is called as it is always keeps its name, and no name stands for two refs: a new ref can take away the
//! short name of another, but never have it mean something else.

use std::collections::BTreeMap;

use ostree_format::{Checksum, RefName};

use crate::repo::Repo;
use crate::store::Result;

/// Names in a registry are at most so long.
const MAX_NAME_BYTES: usize = 255;

/// Refs below this one are how pulled images are kept, not what somebody wants to publish.
const IMAGE_STORE: &str = "ostree/container/";

/// The images of a repository, by their names.
#[derive(Debug, Default)]
pub(in crate::serve) struct Names(BTreeMap<String, RefName>);

impl Names {
    /// The images of the refs that are published.
    pub(in crate::serve) fn published(repo: &Repo) -> Result<Self> {
        let refs = repo.list_of(None)?.into_keys().map(|refspec| refspec.name);
        Ok(Self::of(refs.filter(|name| !name.as_str().starts_with(IMAGE_STORE))))
    }

    /// Every name, and the ref whose image it is.
    pub(in crate::serve) fn into_all(self) -> impl Iterator<Item = (String, RefName)> {
        self.0.into_iter()
    }

    /// What the image of a ref is called.
    pub(in crate::serve) fn of_ref(&self, name: &RefName) -> Option<&str> {
        self.0.iter().find(|(_, of)| *of == name).map(|(image, _)| image.as_str())
    }

    pub(super) fn of(refs: impl IntoIterator<Item = RefName>) -> Self {
        let mut wanted: BTreeMap<String, Vec<RefName>> = BTreeMap::new();
        for name in refs {
            wanted.entry(simplified(name.as_str())).or_default().push(name);
        }
        let mut names = BTreeMap::new();
        for (simple, refs) in wanted {
            let is_alone = refs.len() == 1;
            for name in refs {
                let image = match is_alone || name.as_str() == simple {
                    true => simple.clone(),
                    false => format!("{simple}-{}", &Checksum::of(name.as_str().as_bytes()).to_string()[..8]),
                };
                if image.len() <= MAX_NAME_BYTES {
                    names.entry(image).or_insert(name);
                }
            }
        }
        Self(names)
    }

    /// The ref whose image has this name.
    pub(super) fn get(&self, name: &str) -> Option<&RefName> {
        self.0.get(name)
    }

    /// Every name, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Whether an image may be called so: small letters and digits, between them `.`, `_`, `__` or any number of `-`.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && simplified(text) == text
}

/// The nearest name that an image may have.
fn simplified(text: &str) -> String {
    text.split('/').map(simplified_part).collect::<Vec<_>>().join("/")
}

fn simplified_part(part: &str) -> String {
    let (mut out, mut between) = (String::with_capacity(part.len()), String::new());
    for letter in part.chars().map(|c| c.to_ascii_lowercase()) {
        if !letter.is_ascii_lowercase() && !letter.is_ascii_digit() {
            between.push(letter);
            continue;
        }
        if !out.is_empty() && !between.is_empty() {
            let may_stay = matches!(&*between, "." | "_" | "__") || between.bytes().all(|b| b == b'-');
            out += if may_stay { &between } else { "-" };
        }
        between.clear();
        out.push(letter);
    }
    if out.is_empty() { "x".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_refs() {
        let names = |refs: &[&str]| {
            let names = Names::of(refs.iter().map(|name| name.parse().unwrap()));
            names.0.into_iter().map(|(name, of)| format!("{name}={of}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&["os/stable", "a.b_c__d--e"]), "a.b_c__d--e=a.b_c__d--e os/stable=os/stable");
        assert_eq!(
            names(&["Fedora/x86_64/Core", "_a._b_", "_"]),
            "a-b=_a._b_ fedora/x86_64/core=Fedora/x86_64/Core x=_"
        );
        // The one that has its own name keeps it.
        let both = names(&["OS/a", "os/a"]);
        assert!(both.starts_with("os/a=os/a os/a-") && both.ends_with("=OS/a"), "{both}");
        let neither = names(&["OS/a", "Os/a"]);
        assert!(!neither.contains("os/a=") && neither.matches("os/a-").count() == 2, "{neither}");
        assert!(is_name("a/b-c") && is_name("0"));
        for bad in ["", "/", "a//b", "a/", "A", "a-", "a.-b", "-a", "a/../b"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
