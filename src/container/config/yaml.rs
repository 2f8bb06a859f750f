//! The part of YAML in which people write registries.d: keys on lines of their own, and scalars behind them.
//!
//! ```yaml
//! docker:                          # a key with a mapping below it
//!   "registry.example.com/org":
//!     lookaside: https://example.com/signatures
//! ```
//! One document is read, as podman does; a byte order mark, directives and `---` before it are passed over.

use std::collections::BTreeSet;

/// A key, with those that it stands below, and the scalar behind it, if there is one.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::container) struct Entry {
    /// The number of the line, from 1 on.
    pub(in crate::container) line: usize,
    /// The keys from the outermost to this one.
    pub(in crate::container) path: Vec<String>,
    /// The scalar; `None` for nothing, null and a mapping.
    pub(in crate::container) value: Option<String>,
}

/// A mapping that has begun.
struct Level {
    indent: usize,
    key: String,
    /// The indentation of the keys in it, once there is one.
    inner: Option<usize>,
}

/// The entries of a document, in their order; `is_known` says of which keys: what stands below others may have any form.
///
/// # Errors
/// The number of the line that is not understood, or whose key stood there before, and why.
pub(in crate::container) fn entries(
    text: &str,
    is_known: impl Fn(&[String]) -> bool,
) -> Result<Vec<Entry>, (usize, String)> {
    let (mut out, mut seen) = (Vec::new(), BTreeSet::new());
    let (mut above, mut outermost) = (Vec::<Level>::new(), None);
    let mut unknown: Option<usize> = None;
    for (line, text) in document(text) {
        let bad = |why: &str| (line, why.to_owned());
        let content = text.trim_start_matches(' ');
        let indent = text.len() - content.len();
        let is_item = content == "-" || content.starts_with("- ");
        if unknown.is_some_and(|key| indent > key || indent == key && is_item) {
            continue;
        }
        unknown = None;
        let found = key_and_value(content).filter(|_| !content.starts_with('\t'));
        let (key, value) = found
            .ok_or_else(|| bad("this is not \"key: value\" on a line, which is all that is read here"))?;
        while above.last().is_some_and(|level| level.indent >= indent) {
            above.pop();
        }
        let beside = above.last_mut().map_or(&mut outermost, |level| &mut level.inner);
        if *beside.get_or_insert(indent) != indent {
            return Err(bad("it is indented neither as the keys beside it nor as those above it"));
        }
        let key = scalar(key).map_err(bad)?.unwrap_or_default();
        let path: Vec<_> = above.iter().map(|level| level.key.clone()).chain([key.clone()]).collect();
        if !is_known(&path) {
            unknown = Some(indent);
            continue;
        }
        if !seen.insert(path.clone()) {
            return Err((line, format!("{key:?} stands there twice")));
        }
        let value = scalar(value).map_err(bad)?;
        if value.is_none() {
            above.push(Level { indent, key, inner: None });
        }
        out.push(Entry { line, path, value });
    }
    Ok(out)
}

/// The lines of the first document that say something, with their numbers and without comments.
fn document(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut has_begun = false;
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, without_comment(line).trim_end()));
    lines
        .filter(|(_, line)| !line.is_empty())
        .map_while(move |(number, line)| {
            let is_mark = line == "---" || line == "..." || !has_begun && line.starts_with('%');
            let is_end = is_mark && has_begun;
            has_begun |= !is_mark || line == "---";
            (!is_end).then_some((number, if is_mark { "" } else { line }))
        })
        .filter(|(_, line)| !line.is_empty())
}

fn without_comment(line: &str) -> &str {
    let is_comment = |at: &usize| *at == 0 || line[..*at].ends_with([' ', '\t']);
    let at = line.match_indices('#').map(|(at, _)| at).find(is_comment);
    at.map_or(line, |at| &line[..at])
}

/// The two sides of the first colon that ends a key.
fn key_and_value(content: &str) -> Option<(&str, &str)> {
    let ends = |at: &usize| content[at + 1..].is_empty() || content[at + 1..].starts_with([' ', '\t']);
    let colon = content.match_indices(':').map(|(at, _)| at).find(ends)?;
    let (key, value) = (content[..colon].trim_end(), content[colon + 1..].trim());
    (!key.is_empty()).then_some((key, value))
}

/// What a scalar says; `None` for an empty one, null, and a mapping without keys.
fn scalar(text: &str) -> Result<Option<String>, &'static str> {
    let quoted = ['"', '\''].into_iter().find_map(|quote| Some((quote, text.strip_prefix(quote)?)));
    let Some((quote, rest)) = quoted else {
        return match text {
            "" | "~" | "null" | "Null" | "NULL" | "{}" => Ok(None),
            _ if text.starts_with(['[', ']', '{', '}', '&', '*', '!', '|', '>', '%', '@', '`', '?', ',']) => {
                Err("a value in this form is not read here: write it as it is, or in quotes")
            }
            _ => Ok(Some(text.to_owned())),
        };
    };
    match rest.strip_suffix(quote) {
        Some(inner) if !inner.contains([quote, '\\']) => Ok(Some(inner.to_owned()).filter(|s| !s.is_empty())),
        _ => Err("quotes in quotes, and what is escaped in them, are not read here"),
    }
}
