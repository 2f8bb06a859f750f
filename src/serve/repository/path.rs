//! What of a repository is asked for.

use ostree_format::delta::DeltaName;
use ostree_format::{Checksum, CommitId, FileId, ObjectName, ObjectType, RefName, RepoMode};

use crate::repo::DeltaFile;

/// What of a repository is asked for, in types that lead nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RepoPath {
    /// `config`
    Config,
    /// `summary`
    Summary,
    /// `summary.sig`
    SummarySignatures,
    /// `refs/heads/NAME`
    Ref(RefName),
    /// `objects/xx/….commit`, and every other object that is not content.
    Meta(ObjectName),
    /// `objects/xx/….filez`
    File(FileId),
    /// `deltas/…`, `delta-indexes/…`
    Delta(DeltaFile),
}

impl RepoPath {
    /// Reads the parts of a path; `None` for everything that an archive does not have.
    pub(super) fn parse(parts: &[&str]) -> Option<Self> {
        match parts {
            ["config"] => Some(Self::Config),
            ["summary"] => Some(Self::Summary),
            ["summary.sig"] => Some(Self::SummarySignatures),
            ["refs", "heads", name @ ..] => Some(Self::Ref(name.join("/").parse().ok()?)),
            ["objects", dir, file] => object(dir, file),
            ["deltas", first, rest, file] => delta(first, rest, file).map(Self::Delta),
            ["delta-indexes", first, rest] => {
                let to = commit(&[first, rest.strip_suffix(".index")?].concat())?;
                Some(Self::Delta(DeltaFile::Index { to }))
            }
            _ => None,
        }
    }
}

fn object(dir: &str, file: &str) -> Option<RepoPath> {
    let name = ObjectName::from_loose_path(dir, file, RepoMode::Archive)?;
    match name.kind {
        ObjectType::File => Some(RepoPath::File(FileId::new(name.checksum))),
        kind if kind.is_meta() => Some(RepoPath::Meta(name)),
        _ => None,
    }
}

fn delta(first: &str, rest: &str, file: &str) -> Option<DeltaFile> {
    let delta = DeltaName::from_dir(first, rest)?;
    if file == "superblock" {
        return Some(DeltaFile::Superblock(delta));
    }
    let number: usize = file.parse().ok()?;
    (number.to_string() == file).then_some(DeltaFile::Part(delta, number))
}

fn commit(text: &str) -> Option<CommitId> {
    Checksum::from_base64(text).ok().map(CommitId::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_archive_has() {
        let parse = |path: &str| RepoPath::parse(&path.split('/').collect::<Vec<_>>());
        let (hex, id) = ("ab".repeat(32), Checksum::of(b"x"));
        let (first, rest) = hex.split_at(2);
        let base64 = id.to_base64();
        let (head, tail) = base64.split_at(2);
        let known = [
            "config".to_owned(),
            "summary".into(),
            "summary.sig".into(),
            "refs/heads/a/b".into(),
            format!("objects/{first}/{rest}.commit"),
            format!("objects/{first}/{rest}.commitmeta"),
            format!("objects/{first}/{rest}.filez"),
            format!("deltas/{head}/{tail}/superblock"),
            format!("deltas/{head}/{tail}-{base64}/12"),
            format!("delta-indexes/{head}/{tail}.index"),
        ];
        for path in known {
            assert!(parse(&path).is_some(), "{path}");
        }
        let unknown = [
            String::new(),
            "config/".into(),
            "refs/heads/".into(),
            "refs/heads/../../config".into(),
            "refs/heads/a//b".into(),
            "refs/remotes/a/b".into(),
            "tmp/cache".into(),
            format!("objects/{first}/{rest}.file"),
            format!("objects/../{first}/{rest}.filez"),
            format!("objects/{first}/{}.commit", rest.to_uppercase()),
            format!("objects/{}/{}.commit", &hex[..1], &hex[1..]),
            format!("deltas/{head}/{tail}/00"),
            format!("deltas/{head}/{tail}/+1"),
            format!("deltas/{head}/{tail}/superblock/"),
            format!("deltas/{head}/../superblock"),
            format!("delta-indexes/{head}/{tail}"),
        ];
        for path in unknown {
            assert_eq!(parse(&path), None, "{path}");
        }
    }
}
