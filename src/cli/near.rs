//! Finds the word that was meant by a mistyped one.

use super::advice::Advised;
use crate::format::RefSpec;
use crate::store::{self, ObjectRead, Refs};

/// The one of `words` that is nearest to what was typed, if that is near enough to be meant.
pub(crate) fn nearest<'w>(typed: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let len = typed.chars().count();
    let far = (len / 3).clamp(1, 3);
    let distances = words.into_iter().map(|word| (strsim::osa_distance(typed, word), word));
    let near = distances.filter(|(distance, _)| *distance <= far && *distance < len);
    near.min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// `words` in the order of their distance to what was typed.
pub(crate) fn sorted<'w>(typed: &str, words: impl IntoIterator<Item = &'w str>) -> Vec<&'w str> {
    let mut words: Vec<_> = words.into_iter().collect();
    words.sort_by_key(|word| strsim::osa_distance(typed, word));
    words
}

/// Adds to an error about a ref that does not exist the one of `store` that may have been meant.
pub(crate) fn with_nearest_ref<S: ObjectRead + Refs + ?Sized>(
    store: &S,
    error: store::Error,
) -> anyhow::Error {
    let store::Error::RefNotFound(name) = &error else { return error.into() };
    match nearest_ref(store, name) {
        Some(nearest) => Advised::new(error, format!("nearest: {nearest}")).into(),
        None => error.into(),
    }
}

/// The ref that is nearest to `name`, or that ends in it: `stable` for `exampleos/x86_64/stable`.
fn nearest_ref<S: Refs + ?Sized>(store: &S, name: &RefSpec) -> Option<String> {
    let refs: Vec<String> = store.list().ok()?.into_keys().map(|name| name.to_string()).collect();
    let typed = name.to_string();
    let end = format!("/{typed}");
    let near = nearest(&typed, refs.iter().map(String::as_str));
    near.map(str::to_owned).or_else(|| refs.iter().find(|name| name.ends_with(&end)).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_meant() {
        let verbs = ["commit", "checkout", "config", "ls", "refs"];
        for (typed, meant) in [
            ("comit", Some("commit")),
            ("chekcout", Some("checkout")),
            ("sl", Some("ls")),
            ("x", None),
            ("status", None),
        ] {
            assert_eq!(nearest(typed, verbs), meant, "{typed}");
        }
        assert_eq!(sorted("rfes", verbs)[0], "refs");
    }
}
