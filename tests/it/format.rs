//! The objects of the corpus, read and written again byte for byte, and every byte of them changed.

use std::collections::BTreeSet;

use ostree_rs::format::variant::Dict;
use ostree_rs::format::{
    ArchiveHeader, Checksum, Commit, DirMeta, DirTree, FRAMING_BYTES, FileHeader, ObjectName, ObjectType,
    ParseError, RepoMode, parse_framing,
};

use crate::corpus;
use crate::oracle::{need, run};

/// Reads one object and writes it again.
type Recode = fn(&[u8]) -> Result<Vec<u8>, ParseError>;

fn recode(kind: ObjectType) -> Recode {
    match kind {
        ObjectType::Commit => |b| Commit::parse(b).map(|x| x.to_bytes()),
        ObjectType::DirTree => |b| DirTree::parse(b).map(|x| x.to_bytes()),
        ObjectType::DirMeta => |b| DirMeta::parse(b).map(|x| x.to_bytes()),
        ObjectType::CommitMeta | ObjectType::TombstoneCommit => |b| Dict::parse(b).map(|x| x.to_bytes()),
        ObjectType::File => |b| archive_start(b).map(|x| x.to_framed()),
        _ => panic!("no {kind} in an archive repository"),
    }
}

/// The header of a `.filez` object.
fn archive_start(bytes: &[u8]) -> Result<ArchiveHeader, ParseError> {
    let truncated = ParseError::invalid("filez", bytes.len(), "too short");
    let framing = bytes.first_chunk::<FRAMING_BYTES>().ok_or(truncated.clone())?;
    let len = parse_framing(*framing)?;
    ArchiveHeader::parse(bytes.get(FRAMING_BYTES..FRAMING_BYTES + len).ok_or(truncated)?)
}

fn archive_objects() -> Vec<(ObjectName, Vec<u8>)> {
    let repo = corpus::unpack("repos/archive.tar.zst");
    let objects = corpus::loose_objects(repo.path());
    let named = objects.into_iter().map(|(dir, file, bytes)| {
        let name = ObjectName::from_loose_path(&dir, &file, RepoMode::Archive).unwrap();
        assert_eq!(name.loose_path(RepoMode::Archive), format!("{dir}/{file}"));
        (name, bytes)
    });
    named.collect()
}

#[test]
fn every_object_is_written_as_it_was_read() {
    let mut kinds = BTreeSet::new();
    for (name, bytes) in archive_objects() {
        kinds.insert(name.kind);
        let written = recode(name.kind)(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        match name.kind {
            ObjectType::File => assert_eq!(written, bytes[..written.len()], "{name}"),
            _ => assert_eq!(written, bytes, "{name}"),
        }
        if matches!(name.kind, ObjectType::Commit | ObjectType::DirTree | ObjectType::DirMeta) {
            assert_eq!(Checksum::of(&bytes), name.checksum);
        }
    }
    assert_eq!(kinds.len(), 6);
}

#[test]
fn content_ids_of_the_archive() {
    use std::io::Read;
    let mut symlinks = 0;
    for (name, bytes) in archive_objects().into_iter().filter(|(n, _)| n.kind == ObjectType::File) {
        let header = archive_start(&bytes).unwrap();
        let start = header.to_framed().len();
        let mut content = Vec::new();
        if header.file.symlink_target().is_none() {
            flate2::read::DeflateDecoder::new(&bytes[start..]).read_to_end(&mut content).unwrap();
        } else {
            symlinks += 1;
        }
        assert_eq!(content.len() as u64, header.size);
        assert_eq!(*header.file.id_with(&content).checksum(), name.checksum);
        assert_eq!(FileHeader::parse(&header.file.to_bytes()).unwrap(), header.file);
    }
    assert_eq!(symlinks, 3);
}

/// Whatever is accepted is written again as exactly the same bytes, so nothing has two forms and a
/// changed byte always changes the id.
#[test]
fn a_changed_byte_is_refused_or_kept() {
    for (name, bytes) in archive_objects() {
        let recode = recode(name.kind);
        let end = if name.kind == ObjectType::File { recode(&bytes).unwrap().len() } else { bytes.len() };
        for at in 0..end {
            for flip in [0x01, 0x80, 0xff] {
                let mut changed = bytes[..end].to_vec();
                changed[at] ^= flip;
                if let Ok(written) = recode(&changed) {
                    // Old programs wrote the xattrs of archive headers unsorted; they are sorted on reading.
                    let sorted = name.kind == ObjectType::File && written.len() == changed.len();
                    assert!(written == changed || sorted, "{name} byte {at} ^ {flip:#x}");
                }
            }
        }
        for end in 0..end {
            if let Ok(written) = recode(&bytes[..end]) {
                assert_eq!(written, bytes[..end], "{name} cut at {end}");
            }
        }
    }
}

#[test]
fn names_of_every_mode() {
    let list = std::fs::read_to_string(corpus::path("repos/objects.txt")).unwrap();
    for line in list.lines() {
        let (mode, file) = line.split_once(' ').unwrap();
        let mode: RepoMode = mode.parse().unwrap();
        let (dir, rest) = file.split_at(2);
        let name = ObjectName::from_loose_path(dir, rest, mode).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(name.loose_path(mode), format!("{dir}/{rest}"));
    }
}

/// A dirtree of over 64 KiB, whose framing offsets take four bytes.
#[test]
fn large_dirtree_by_ostree() {
    if !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let (tree, repo) = (tmp.path().join("tree"), tmp.path().join("repo"));
    std::fs::create_dir(&tree).unwrap();
    for n in 0..1500 {
        std::fs::write(tree.join(format!("file-{n}-ä")), b"x").unwrap();
    }
    let repo_arg = format!("--repo={}", repo.display());
    run("ostree", &[&repo_arg, "init", "--mode=bare-user"]);
    run("ostree", &[&repo_arg, "commit", "-b", "x", &format!("--tree=dir={}", tree.display())]);
    let objects = corpus::loose_objects(&repo);
    let mut dirtrees = objects.iter().filter(|(_, name, _)| name.ends_with(".dirtree"));
    let (_, _, bytes) = dirtrees.next().unwrap();
    assert!(bytes.len() > 0x1_0000);
    let parsed = DirTree::parse(bytes).unwrap();
    assert_eq!(parsed.files.len(), 1500);
    assert_eq!(parsed.to_bytes(), *bytes);
}
