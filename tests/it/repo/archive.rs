//! Objects of archive repositories, in every way in which they are inflated.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use ostree_rs::base::Ctx;
use ostree_rs::format::{Checksum, FileHeader, FileId, ObjectName, RepoMode, Xattrs};
use ostree_rs::repo::Repo;
use ostree_rs::store::{
    ArchivedCheck, ArchivedFile, FileObject, ObjectRead, ObjectWrite, Refs, TreeEntry, load_commit, lookup,
};
use tempfile::TempDir;

use super::{create, open, refspec};
use crate::oracle::{need, run};

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Bytes that compress as texts do.
fn text(len: usize) -> Vec<u8> {
    let line = |n: u32| format!("{n} and {}\n", n.wrapping_mul(2_654_435_761)).into_bytes();
    (0..).flat_map(line).take(len).collect()
}

/// Contents below and above every bound: of what is read at first (64 KiB), of what is small (256 KiB), of files
/// (2 MiB) and of content (8 MiB) that are inflated at once.
fn contents() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("empty", Vec::new()),
        ("byte", b"x".to_vec()),
        ("noise-64k", noise((64 << 10) - 40)),
        ("noise-100k", noise(100_000)),
        ("small", text(256 << 10)),
        ("not-small", text((256 << 10) + 1)),
        ("noise-1m", noise(1_000_000)),
        ("noise-2m", noise((2 << 20) + 1)),
        ("zeros-8m", vec![0; 8 << 20]),
        ("zeros-more", vec![0; (8 << 20) + 1]),
    ]
}

/// Reads an object in pieces of so many bytes.
fn read_by(mut object: FileObject, piece: usize) -> io::Result<Vec<u8>> {
    let (mut out, mut buf) = (Vec::new(), vec![0; piece]);
    loop {
        match object.read(&mut buf)? {
            0 => return Ok(out),
            n => out.extend_from_slice(&buf[..n]),
        }
    }
}

fn object(repo: &Repo, id: &FileId) -> FileObject {
    repo.open_file(id).unwrap().unwrap()
}

/// An archive repository that C ostree makes below `work`, and the objects of [`contents`] in it.
fn by_ostree(work: &TempDir) -> (Repo, Vec<FileId>) {
    let (tree, path) = (work.path().join("tree"), work.path().join("repo"));
    fs::create_dir(&tree).unwrap();
    contents().iter().for_each(|(name, content)| fs::write(tree.join(name), content).unwrap());
    let repo = format!("--repo={}", path.display());
    run("ostree", &[&repo, "init", "--mode=archive"]);
    run("ostree", &[&repo, "commit", "-b", "test", &format!("--tree=dir={}", tree.display())]);
    let repo = open(&path);
    let commit = repo.resolve(&refspec("test")).unwrap().unwrap();
    let root = load_commit(&repo, &commit).unwrap().root;
    let id = |(name, _): &(&str, Vec<u8>)| match lookup(&repo, root, name).unwrap() {
        TreeEntry::File(id) => id,
        TreeEntry::Dir(_) => panic!("{name} is a directory"),
    };
    let ids = contents().iter().map(id).collect();
    (repo, ids)
}

#[test]
fn what_c_has_compressed_is_read_whole() {
    if !need("ostree") {
        return;
    }
    let work = TempDir::new().unwrap();
    let (repo, ids) = by_ostree(&work);
    for ((name, content), id) in contents().into_iter().zip(ids) {
        for piece in [1000, 300 << 10, 9 << 20] {
            assert!(read_by(object(&repo, &id), piece).unwrap() == content, "{name} by {piece}");
        }
        assert_eq!(object(&repo, &id).len, content.len() as u64);
    }
}

/// Writes objects into an archive repository.
fn write(path: &Path, files: &[(FileHeader, Vec<u8>)]) -> (Repo, Vec<FileId>) {
    let repo = create(path, RepoMode::Archive);
    let txn = repo.begin(&Ctx::default()).unwrap();
    let write = |(header, content): &(FileHeader, Vec<u8>)| {
        txn.write_file(header, content.len() as u64, &mut &content[..]).unwrap()
    };
    let ids = files.iter().map(write).collect();
    txn.commit(&Ctx::default()).unwrap();
    (repo, ids)
}

fn plain() -> FileHeader {
    FileHeader::regular(0, 0, 0o644, Xattrs::EMPTY)
}

/// The bytes of a header in front of the content may be more than what is read at first.
#[test]
fn headers_longer_than_what_is_read_at_first() {
    let work = TempDir::new().unwrap();
    let value = |n: u8| (format!("user.{n}").into_bytes(), noise(60_000));
    let xattrs = Xattrs::from_pairs((1..=2).map(value));
    let header = FileHeader { xattrs, ..plain() };
    for content in [Vec::new(), text(1000), text(3 << 20)] {
        let dir = work.path().join(content.len().to_string());
        let (repo, ids) = write(&dir, &[(header.clone(), content.clone())]);
        for piece in [1000, 4 << 20] {
            let object = object(&repo, &ids[0]);
            assert_eq!(object.header, header);
            assert!(read_by(object, piece).unwrap() == content);
        }
    }
}

/// Whatever way is taken, the same is said of an object that is not what its header promises.
#[test]
fn content_of_another_length_is_refused() {
    let work = TempDir::new().unwrap();
    let files = [text(1000), text(300 << 10), text(10 << 20)].map(|content| (plain(), content));
    let (repo, ids) = write(&work.path().join("repo"), &files);
    for (id, (_, content)) in ids.iter().zip(&files) {
        let name = ObjectName::from(*id).loose_path(RepoMode::Archive);
        let file = work.path().join("repo/objects").join(name);
        let whole = fs::read(&file).unwrap();
        let len = content.len() as u64;
        let read = |bytes: &[u8], piece: usize| {
            fs::write(&file, bytes).unwrap();
            let error = read_by(object(&repo, id), piece).unwrap_err();
            (error.kind(), error.to_string())
        };
        let early = |by: u64| format!("content ends {by} bytes too early");
        for piece in [999, 11 << 20] {
            for claim in [len + 1, 8 << 20, (8 << 20) + 1, u64::MAX].into_iter().filter(|claim| *claim > len)
            {
                let longer = [&whole[..8], &claim.to_be_bytes(), &whole[16..]].concat();
                assert_eq!(read(&longer, piece), (io::ErrorKind::UnexpectedEof, early(claim - len)));
            }
            for claim in [0, len - 1] {
                let shorter = [&whole[..8], &claim.to_be_bytes(), &whole[16..]].concat();
                let said = "content longer than its header says".to_owned();
                assert_eq!(read(&shorter, piece), (io::ErrorKind::InvalidData, said));
            }
            let (kind, _) = read(&whole[..whole.len() - 1], piece);
            assert_eq!(kind, io::ErrorKind::UnexpectedEof);
        }
        // What follows the compressed stream is no content, to libostree neither.
        fs::write(&file, [&whole[..], b"more"].concat()).unwrap();
        assert!(read_by(object(&repo, id), 11 << 20).unwrap() == *content);
    }
}

/// From one archive to another that cannot share files, objects go as they are: the same bytes, which are those of
/// C ostree here. What is damaged, or has something behind its end, is found out.
#[test]
fn objects_pass_from_archive_to_archive_as_they_are() {
    if !need("ostree") {
        return;
    }
    let tmp = TempDir::new().unwrap();
    let (_, files) = by_ostree(&tmp);
    let to_path = tmp.path().join("to");
    let to = create(&to_path, RepoMode::Archive);
    let pass = |name: &FileId, bytes: Vec<u8>| {
        let ctx = Ctx::default();
        let txn = to.begin(&ctx).unwrap();
        let (len, read) = (bytes.len() as u64, Box::new(io::Cursor::new(bytes)));
        let file = ArchivedFile { len, read, check: ArchivedCheck::Verified };
        let passed = txn.write_archived(name, file, &ctx.cancel);
        txn.commit(&ctx).unwrap();
        passed
    };
    for name in &files {
        let path = ObjectName::from(*name).loose_path(RepoMode::Archive);
        let theirs = fs::read(tmp.path().join("repo/objects").join(&path)).unwrap();
        let ours = to_path.join("objects").join(&path);
        let mut behind = theirs.clone();
        behind.push(0);
        assert!(!pass(name, behind).unwrap());
        let mut damaged = theirs.clone();
        *damaged.last_mut().unwrap() ^= 0x55;
        assert!(pass(name, damaged).is_err());
        assert!(pass(name, theirs[..theirs.len() - 1].to_vec()).is_err());
        assert!(pass(&FileId::new(Checksum::of(b"another")), theirs.clone()).is_err());
        assert!(!ours.exists());
        assert!(pass(name, theirs.clone()).unwrap());
        assert_eq!(fs::read(&ours).unwrap(), theirs);
    }
}
