//! Names and first words: a public name means one thing, and documentation begins with what it is about.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Names that every module may give to its own.
const SHARED: &[&str] = &["Error", "Result"];

/// First words that say nothing to a reader who starts here: they point to another text, or to a thing that only
/// the code names.
const POINTING: &[&str] = &[
    "The same", "It", "It's", "Its", "They", "Their", "Them", "Those", "Whom", "Whose", "Who", "And", "Or",
    "But", "So", "Also", "Of these", "As [",
];

#[test]
fn public_nouns_are_unique() {
    let mut places = BTreeMap::<String, Vec<String>>::new();
    for (file, source) in sources() {
        let lines = source.lines().filter_map(|line| public_noun(line.trim_start()));
        for name in lines.filter(|name| !SHARED.contains(name)) {
            places.entry(name.to_owned()).or_default().push(file.display().to_string());
        }
    }
    assert!(places.len() > 200, "only {} public nouns were found", places.len());
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "two public items of one name: {places:#?}");
}

#[test]
fn documentation_begins_with_its_subject() {
    let mut wrong = Vec::new();
    for (file, source) in sources() {
        let mut within = false;
        for (number, line) in source.lines().map(str::trim_start).enumerate() {
            let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim_start);
            if let (false, Some(text)) = (within, text)
                && POINTING.iter().any(|words| begins_with(text, words))
            {
                wrong.push(format!("{}:{}: {text}", file.display(), number + 1));
            }
            within = text.is_some();
        }
    }
    assert!(
        wrong.is_empty(),
        "documentation that needs another text to be understood:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn words_are_found() {
    assert!(begins_with("It stays.", "It") && begins_with("As [`x`].", "As [") && begins_with("It.", "It"));
    assert!(!begins_with("Items that stay.", "It") && !begins_with("Orders.", "Or"));
    assert_eq!(public_noun("pub struct Http {"), Some("Http"));
    assert_eq!(public_noun("pub enum Entry<'a> {"), Some("Entry"));
    assert_eq!(public_noun("pub type Result<T, E = Error> = X;"), Some("Result"));
    assert_eq!(public_noun("pub(crate) struct Inner;"), None);
    assert_eq!(public_noun("pub struct $name(Checksum);"), None);
    assert_eq!(public_noun("pub fn type_of() {"), None);
}

/// Whether a text begins with these words, and not with longer ones.
fn begins_with(text: &str, words: &str) -> bool {
    text.strip_prefix(words)
        .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric) || words.ends_with('['))
}

/// The name of the type or trait that a line makes public.
fn public_noun(line: &str) -> Option<&str> {
    let (kind, rest) = line.strip_prefix("pub ")?.split_once(' ')?;
    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    (["struct", "enum", "trait", "type", "union"].contains(&kind) && !name.is_empty()).then_some(name)
}

/// The source files of the library, the formats and the program.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut todo) = (Vec::new(), vec![root.join("src"), root.join("format/src")]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push((path.strip_prefix(root).unwrap().into(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}
