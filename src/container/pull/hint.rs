//! What earlier pulls brought: hints in the store's cache. Nothing rests on them.
//!
//! ```text
//! CHECKSUM CHECKSUM …\n     one line for each pull, the newest first: hexadecimal digits, and a space between checksums
//! ```
//! A file that is not exactly as one is written says nothing.

use std::iter;

use ostree_format::{Checksum, CommitId};

use crate::store::{Completeness, MAX_CACHED_BYTES, Txn};

/// The number of pulls that are remembered.
const MAX_PULLS: usize = 64;

/// What is remembered of a pull.
pub(super) trait OfPull: Clone + PartialEq {
    /// The name of the file in the cache.
    const FILE: &'static str;

    /// The commit without which this is of no use.
    fn commit(&self) -> CommitId;

    /// Reads a line.
    fn of_line(line: &[Checksum]) -> Option<Self>;

    /// Gives the line.
    fn line(&self) -> impl Iterator<Item = Checksum>;
}

/// What a file says of pulls, the newest first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pulls<P>(pub(super) Vec<P>);

impl<P: OfPull> Pulls<P> {
    /// What the store remembers.
    pub(super) fn read(txn: &dyn Txn) -> Self {
        let text = || String::from_utf8(txn.hints()?.cached(P::FILE)?).ok();
        text().and_then(|text| Self::parse(&text)).unwrap_or(Self(Vec::new()))
    }

    /// Remembers a pull in the place of those that are `alike`, and forgets those whose commits are not there any more.
    pub(super) fn remember(&self, pull: P, alike: impl Fn(&P) -> bool, txn: &dyn Txn) {
        let Some(hints) = txn.hints() else { return };
        let others = self.0.iter().filter(|other| !alike(other) && is_marked_complete(txn, &other.commit()));
        let new = Self(iter::once(&pull).chain(others).take(MAX_PULLS).cloned().collect());
        if new.0 != self.0 {
            hints.set_cached(P::FILE, new.to_text().into_bytes());
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        let checksums =
            |line: &str| line.split(' ').map(|word| word.parse().ok()).collect::<Option<Vec<_>>>();
        let lines = text.strip_suffix('\n')?.split('\n');
        let pulls: Option<Vec<_>> = lines.map(|line| P::of_line(&checksums(line)?)).collect();
        pulls.filter(|pulls| pulls.len() <= MAX_PULLS).map(Self)
    }

    /// The text, as far as the cache takes it: newer pulls have precedence.
    fn to_text(&self) -> String {
        let mut text = String::new();
        for pull in &self.0 {
            let line = pull.line().map(|checksum| checksum.to_string()).collect::<Vec<_>>().join(" ") + "\n";
            if (text.len() + line.len()) as u64 <= MAX_CACHED_BYTES {
                text += &line;
            }
        }
        text
    }
}

/// Whether the store has a commit, and nothing says that objects of it are missing. If that cannot be told, the commit is
/// of no use.
pub(super) fn is_marked_complete(txn: &dyn Txn, commit: &CommitId) -> bool {
    matches!(txn.contains(&(*commit).into()), Ok(true))
        && matches!(txn.completeness(commit), Ok(Completeness::Complete))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A commit, a second checksum, and more of them.
    #[derive(Debug, Clone, PartialEq)]
    struct Two(CommitId, Vec<Checksum>);

    impl OfPull for Two {
        const FILE: &'static str = "two";

        fn commit(&self) -> CommitId {
            self.0
        }

        fn of_line(line: &[Checksum]) -> Option<Self> {
            let [commit, rest @ ..] = line else { return None };
            (!rest.is_empty()).then(|| Self(CommitId::new(*commit), rest.to_vec()))
        }

        fn line(&self) -> impl Iterator<Item = Checksum> {
            iter::once(*self.0.checksum()).chain(self.1.iter().copied())
        }
    }

    fn parse(text: &str) -> Option<Pulls<Two>> {
        Pulls::parse(text)
    }

    fn hex(digit: char) -> String {
        String::from(digit).repeat(64)
    }

    fn lens(pulls: &Pulls<Two>) -> Vec<usize> {
        pulls.0.iter().map(|two| two.1.len()).collect()
    }

    #[test]
    fn text_and_back() {
        let text = format!("{} {}\n{} {} {}\n", hex('a'), hex('0'), hex('b'), hex('1'), hex('0'));
        let pulls = parse(&text).unwrap();
        assert_eq!(lens(&pulls), [1, 2]);
        assert_eq!(pulls.to_text(), text);
        assert_eq!(parse(""), Some(Pulls(Vec::new())));
    }

    #[test]
    fn what_is_not_exactly_right_says_nothing() {
        let line = format!("{} {}\n", hex('a'), hex('0'));
        for text in [
            "\n".to_owned(),
            line.trim_end().to_owned(),
            line.replace(' ', "  "),
            line.replace('\n', " \n"),
            line.replace('\n', "\r\n"),
            line.replace('a', "A"),
            line[1..].to_owned(),
            format!("{}\n", hex('a')),
            format!("{line}\n"),
            format!("\n{line}"),
            line.repeat(MAX_PULLS + 1),
        ] {
            assert_eq!(parse(&text), None, "{text:?}");
        }
    }

    #[test]
    fn only_what_fits_is_written() {
        let checksum = Checksum::of(b"");
        let two = |more: usize| Two(CommitId::new(checksum), vec![checksum; more]);
        let text = Pulls(vec![two(1), two(20_000), two(16_000), two(200)]).to_text();
        assert!(text.len() as u64 <= MAX_CACHED_BYTES);
        assert_eq!(lens(&parse(&text).unwrap()), [1, 16_000]);
    }
}
