//! Files of the store's cache that hold one line for each of some earlier pulls: checksums in hexadecimal digits, with a
//! space between them. A file that is not exactly as one is written says nothing.

use ostree_format::{Checksum, CommitId};

use crate::store::{Completeness, MAX_CACHED_BYTES, Txn};

/// The lines of the file of that name; `None` if there is none.
pub(super) fn read(txn: &dyn Txn, file: &'static str) -> Option<String> {
    String::from_utf8(txn.hints()?.cached(file)?).ok()
}

/// What each line of `text` says; `None` if one is not understood, or if there are more than `max_lines`.
pub(super) fn parse<T>(
    text: &str,
    max_lines: usize,
    line: impl Fn(&[Checksum]) -> Option<T>,
) -> Option<Vec<T>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let checksums = |line: &str| line.split(' ').map(|word| word.parse().ok()).collect::<Option<Vec<_>>>();
    let lines = text.strip_suffix('\n')?.split('\n');
    let records: Option<Vec<_>> = lines.map(|text| line(&checksums(text)?)).collect();
    records.filter(|records| records.len() <= max_lines)
}

/// The text of these lines, as far as the cache takes it: the first ones have precedence.
pub(super) fn to_text<L: Iterator<Item = Checksum>>(lines: impl Iterator<Item = L>) -> String {
    let mut text = String::new();
    for line in lines {
        let line = line.map(|checksum| checksum.to_string()).collect::<Vec<_>>().join(" ") + "\n";
        if (text.len() + line.len()) as u64 <= MAX_CACHED_BYTES {
            text += &line;
        }
    }
    text
}

/// Whether the store has a commit, and nothing says that objects of it are missing. If that cannot be told, the commit is
/// of no use.
pub(super) fn is_marked_complete(txn: &dyn Txn, commit: &CommitId) -> bool {
    matches!(txn.contains(&(*commit).into()), Ok(true))
        && matches!(txn.completeness(commit), Ok(Completeness::Complete))
}
