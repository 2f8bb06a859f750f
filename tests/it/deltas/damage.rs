//! Damaged deltas: whatever byte is changed, and wherever the end is missing, the result is an error or the very commit
//! with all its objects; changed parts are always an error.

use std::fs;
use std::io::{Cursor, Read};
use std::num::NonZeroUsize;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ostree_rs::base::{Ctx, ErrorKind, Kind, WithCauses};
use ostree_rs::delta::{Sources, SuperblockFile, Unjudged, apply, read_head};
use ostree_rs::format::delta::{DeltaMode, DeltaName, DeltaOp, frame_part};
use ostree_rs::format::{Checksum, CommitId, ObjectName, ObjectType, Xattrs};
use ostree_rs::repo::Repo;
use ostree_rs::store::{
    Completeness, Error, MemStore, ObjectRead, Reachable, Result, Txn, verify_file, verify_meta, walk_commit,
};
use ostree_rs::transfer::{TransferOptions, copy};

use super::text;
use crate::oracle::{need, run};

/// A small delta with every operation, its files, and the repository that it was made in.
struct Small {
    _tmp: tempfile::TempDir,
    repo: Repo,
    name: DeltaName,
    superblock: Vec<u8>,
    part: Vec<u8>,
}

fn small(options: &[&str]) -> Small {
    let tmp = tempfile::tempdir().unwrap();
    let (path, tree) = (tmp.path().join("repo"), tmp.path().join("tree"));
    let repo = format!("--repo={}", path.display());
    run("ostree", &[&repo, "init", "--mode=archive"]);
    fs::create_dir(&tree).unwrap();
    let noise: Vec<u8> = (0..1300_u32).flat_map(|n| *Checksum::of(&n.to_le_bytes()).as_bytes()).collect();
    let commit = |grown: &[u8], patched: &[u8]| {
        fs::write(tree.join("grown"), grown).unwrap();
        fs::write(tree.join("patched"), patched).unwrap();
        run("ostree", &[&repo, "commit", "-b", "main", &format!("--tree=dir={}", tree.display())]);
        text(run("ostree", &[&repo, "rev-parse", "main"])).trim().to_owned()
    };
    let from = commit(&noise, b"a line that stays\nand one that does not\n");
    std::os::unix::fs::symlink("grown", tree.join("link")).unwrap();
    let to = commit(&[&noise[..], b"more"].concat(), b"a line that stays\nand another one\nand a third\n");
    run("ostree", &[&[&*repo, "static-delta", "generate", "main"], options].concat());
    let name: DeltaName = format!("{from}-{to}").parse().unwrap();
    let read = |file: String| fs::read(path.join(file)).unwrap_or_default();
    Small {
        superblock: read(name.superblock_path()),
        part: read(name.part_path(0)),
        repo: Repo::open(Dir::open_ambient_dir(&path, ambient_authority()).unwrap()).unwrap(),
        name,
        _tmp: tmp,
    }
}

impl Small {
    /// A store with the old commit.
    fn old(&self, ctx: &Ctx) -> MemStore {
        let store = MemStore::new();
        copy(&self.repo, &store, &[self.name.from.unwrap()], &TransferOptions::default(), ctx).unwrap();
        store
    }

    /// Applies these files; `Ok` only if the commit is there and marked as complete.
    fn apply(&self, superblock: &[u8], part: &[u8], judged: bool) -> Result<()> {
        let ctx = Ctx { jobs: NonZeroUsize::MIN, ..Ctx::default() };
        let store = self.old(&ctx);
        let expected = Checksum::of(&self.superblock);
        let judge = |superblock: &Unjudged<'_>| match Checksum::of(superblock.bytes()?) == expected {
            true => Ok(()),
            false => Err("not what was signed".into()),
        };
        let superblock = SuperblockFile::held(superblock.to_vec());
        let head = read_head(superblock, judged.then_some(&judge))?;
        let file = |_| Ok(Box::new(Cursor::new(part.to_vec())) as Box<dyn Read>);
        let from = Sources { part: &file, old: &store, voucher: None, spool: &tempfile::tempfile };
        let applied = apply(&head, &from, &store, &ctx);
        let whole = applied.as_ref().is_ok_and(|applied| applied.missing.is_empty());
        let complete = |id: &CommitId| store.completeness(id).unwrap() == Completeness::Complete;
        if !whole && store.contains(&ObjectName::from(self.name.to)).unwrap() {
            assert!(!complete(&self.name.to), "marked as complete after an error");
        }
        let applied = applied?;
        if whole {
            verify(&store, &applied.commit, &ctx);
        }
        match whole {
            true => Ok(()),
            false => Err(Error::Usage("something is left to fetch".into())),
        }
    }
}

fn verify(store: &MemStore, commit: &CommitId, ctx: &Ctx) {
    walk_commit(store, commit, &mut Reachable::default(), &mut |name| {
        if name.kind.is_meta() {
            return verify_meta(&name, &store.read_meta(&name)?.unwrap());
        }
        let id = ostree_rs::format::FileId::new(name.checksum);
        verify_file(&id, store.open_file(&id)?.unwrap(), &ctx.cancel).map(drop)
    })
    .unwrap();
}

/// Every byte changed in two ways, and every end cut off; with `step` only some of them.
fn damaged(bytes: &[u8], step: usize) -> impl Iterator<Item = (usize, Vec<u8>)> {
    let step = if std::env::var_os("OSTREE_RS_FLIPS").is_some() { 1 } else { step };
    (0..bytes.len()).step_by(step).flat_map(move |at| {
        let flipped = |mask: u8| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= mask;
            (at, bytes)
        };
        [flipped(0xff), flipped(1 << (at % 8)), (at, bytes[..at].to_vec())]
    })
}

#[test]
fn a_changed_part_is_an_error() {
    if !need("ostree") {
        return;
    }
    let small = small(&[]);
    small.apply(&small.superblock, &small.part, true).unwrap();
    for (at, part) in damaged(&small.part, 17) {
        assert!(small.apply(&small.superblock, &part, true).is_err(), "byte {at}");
    }
    let error = small.apply(&small.superblock, &[], true).unwrap_err().to_string();
    assert!(error.contains(&format!("part 0 of the static delta to {}", small.name.to)), "{error}");
}

#[test]
fn a_changed_superblock_makes_no_other_commit() {
    if !need("ostree") {
        return;
    }
    for options in [&["--inline"][..], &["--inline", "--set-endianness=B"]] {
        let small = small(options);
        small.apply(&small.superblock, &[], true).unwrap();
        let (mut errors, mut tried) = (0, 0);
        for (at, superblock) in damaged(&small.superblock, 29) {
            tried += 1;
            assert!(small.apply(&superblock, &[], true).is_err(), "byte {at}");
            // Without a signature nobody can tell whether the time is right; objects are right, or there are none.
            errors += usize::from(small.apply(&superblock, &[], false).is_err());
        }
        assert!(errors > tried / 2, "{errors} of {tried}");
    }
}

/// Without its checksum, a part is garbage to the reader: what comes out is an error, or the objects that were meant.
#[test]
fn changed_operations_make_no_other_object() {
    if !need("ostree") {
        return;
    }
    let small = small(&[]);
    let mut plain = vec![0];
    let packed = Box::new(&small.part[1..]);
    ostree_rs::base::compressed::xz(packed).unwrap().read_to_end(&mut plain).unwrap();
    let mut block = read_head(SuperblockFile::held(small.superblock.clone()), None).unwrap().superblock;
    let mut apply_as_it_is = |part: &[u8]| {
        block.parts[0].checksum = Checksum::of(part);
        small.apply(&block.to_bytes(|_| unreachable!()).unwrap(), part, false)
    };
    apply_as_it_is(&plain).unwrap();
    // The operations are at the end, old objects' ids before them, and patches.
    for at in (1..plain.len()).rev().take(600).chain((1..plain.len()).step_by(997)) {
        for mask in [0xff, 1, 0x80, 0x20] {
            let mut changed = plain.clone();
            changed[at] ^= mask;
            let _ = apply_as_it_is(&changed);
        }
    }
}

/// Sizes that a part has not are lies of the part, not a want of room; what is damaged is not kept for a later try.
#[test]
fn announced_sizes_have_to_be_there() {
    if !need("ostree") {
        return;
    }
    let small = small(&[]);
    let mut block = read_head(SuperblockFile::held(small.superblock.clone()), None).unwrap().superblock;
    let file = ObjectName::new(Checksum::of(b"none"), ObjectType::File);
    block.parts[0].objects = vec![file];
    let mode = DeltaMode { uid: 0, gid: 0, mode: 0o100_644 };
    for ops in [
        &[DeltaOp::SpliceContent { mode: 0, xattrs: 0, len: 1 << 60, offset: 0 }][..],
        &[DeltaOp::SpliceContent { mode: 0, xattrs: 0, len: u64::MAX, offset: u64::MAX }],
        &[DeltaOp::Open { mode: 0, xattrs: 0, len: 1 << 60 }, DeltaOp::Close],
        &[
            DeltaOp::Open { mode: 0, xattrs: 0, len: 1 << 60 },
            DeltaOp::Write { len: 1, offset: 0 },
            DeltaOp::Close,
        ],
    ] {
        let mut bytes = Vec::new();
        ops.iter().for_each(|op| op.write(&mut bytes));
        let (head, tail) = frame_part(&[mode], &[Xattrs::EMPTY], 1, &bytes);
        let part = [&[0][..], &head, b"x", &tail].concat();
        block.parts[0].checksum = Checksum::of(&part);
        let error = small.apply(&block.to_bytes(|_| unreachable!()).unwrap(), &part, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{ops:?}: {error}");
        assert!(WithCauses(&error).to_string().contains("bytes, but the part gives"), "{ops:?}: {error}");
        block.parts[0].checksum = Checksum::of(b"?");
        let error = small.apply(&block.to_bytes(|_| unreachable!()).unwrap(), b"?", false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert!(
            WithCauses(&error).to_string().contains("part 0 of the static delta")
                && WithCauses(&error).to_string().contains("no such compression: 63"),
            "{error}"
        );
    }
}
