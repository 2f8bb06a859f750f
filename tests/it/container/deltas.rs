//! Deltas: what they make is the new stream byte for byte, read by us, by a reader that was written from the description of
//! the format alone, and by the crate of the project oci-delta; deltas that lie are refused.

pub(crate) mod peer;
pub(crate) mod reader;

use std::fs::File;
use std::io::{self, Write};

use ostree_rs::base::{Ctx, Kind};
use ostree_rs::container::delta::{ApplyLimits, DeltaOptions, Effort, OldTree, StreamVersion, apply, diff};
use ostree_rs::container::image::{DeltaErrorKind, Error};
use proptest::prelude::*;

use self::reader::Tree;
use crate::{corpus, oracle};

fn spool() -> io::Result<File> {
    tempfile::tempfile()
}

/// A file of a random tree: where it is, what is in it, and the file before it that it is a hard link to, perhaps.
#[derive(Debug, Clone)]
struct Entry {
    path: String,
    content: Vec<u8>,
    link: Option<prop::sample::Index>,
}

/// Makes a tar stream, and the tree that it stands for.
fn tar(entries: &[Entry]) -> (Vec<u8>, Tree) {
    let (mut builder, mut tree) = (tar::Builder::new(Vec::new()), Tree::default());
    for (number, entry) in entries.iter().enumerate() {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        let target = entry.link.map(|link| &entries[link.index(entries.len())].path);
        match target
            .filter(|target| number > 0 && **target != entry.path && tree.contains_key(target.as_bytes()))
        {
            Some(target) => {
                header.set_entry_type(tar::EntryType::Link);
                header.set_size(0);
                builder.append_link(&mut header, &entry.path, target).unwrap();
                tree.insert(entry.path.clone().into_bytes(), tree[target.as_bytes()].clone());
            }
            None => {
                header.set_size(entry.content.len() as u64);
                builder.append_data(&mut header, &entry.path, &entry.content[..]).unwrap();
                tree.insert(entry.path.clone().into_bytes(), entry.content.clone());
            }
        }
    }
    (builder.into_inner().unwrap(), tree)
}

/// Bytes that are like those of other files: some of a few long texts, with changes.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..40));
    (0..4u32, 0..6000usize, 0..60_000usize, prop::collection::vec(change, 0..6)).prop_map(
        |(seed, from, bytes, changes)| {
            let mut state = seed + 1;
            let text = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            });
            let mut content: Vec<u8> = text.skip(from).take(bytes * bytes / 60_000).collect();
            for (at, new) in changes {
                let at = at.index(content.len() + 1);
                let end = (at + new.len() / 2).min(content.len());
                content.splice(at..end, new);
            }
            content
        },
    )
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let path = "(usr|etc|usr/lib)/(a|b|c|lib[xy]\\.so(\\.[12])?|d\\.xz)";
    let link = prop::option::weighted(0.2, any::<prop::sample::Index>());
    prop::collection::vec((path, content(), link), 0..8).prop_map(|entries| {
        entries.into_iter().map(|(path, content, link)| Entry { path, content, link }).collect()
    })
}

fn make(old: &OldTree, new: &[u8], options: &DeltaOptions) -> Vec<u8> {
    let mut delta = Vec::new();
    diff(&mut &new[..], old, &mut delta, options, &spool, &Ctx::default()).unwrap();
    delta
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(64)
    ))]

    #[test]
    fn random_trees(old in entries(), new in entries()) {
        let ((old_tar, old_files), (new_tar, _)) = (tar(&old), tar(&new));
        let old = OldTree::of_tars(&mut [&mut &old_tar[..]], &spool).unwrap();
        let peer = peer::Peer::new(&old_files);
        for version in [StreamVersion::V1, StreamVersion::V2] {
            let delta = make(&old, &new_tar, &DeltaOptions { version, effort: Effort::Usual });
            if let Some(peer) = &peer {
                prop_assert!(peer.read(&delta) == new_tar, "{:?}: another stream for the crate oci-delta", version);
            }
            let mut ours = Vec::new();
            let bytes = apply(&delta[..], &old, &mut ours, &ApplyLimits::default(), &Ctx::default()).unwrap();
            prop_assert_eq!(bytes, new_tar.len() as u64);
            prop_assert!(ours == new_tar, "{:?}: another stream", version);
            prop_assert!(reader::read(&delta, &old_files).unwrap() == new_tar, "{:?}: for the other reader", version);
        }
    }
}

/// What containers/tar-diff wrote, both readers read; and what we write from the same trees, where there are files
/// with the same name up to a dot, is no larger.
#[test]
fn what_tar_diff_wrote() {
    let read = |name: &str| std::fs::read(corpus::path(&format!("tar-diff/{name}"))).unwrap();
    let [old_tar, new_tar] =
        ["old.tar.zst", "new.tar.zst"].map(|name| zstd::decode_all(&read(name)[..]).unwrap());
    let delta = read("v1.tardiff");
    let old = OldTree::of_tars(&mut [&mut &old_tar[..]], &spool).unwrap();
    let mut ours = Vec::new();
    apply(&delta[..], &old, &mut ours, &ApplyLimits::default(), &Ctx::default()).unwrap();
    assert!(ours == new_tar);
    assert!(reader::read(&delta, &reader::files(&old_tar)).unwrap() == new_tar);
    for version in [StreamVersion::V1, StreamVersion::V2] {
        let made = make(&old, &new_tar, &DeltaOptions { version, effort: Effort::Best });
        assert!(made.len() <= delta.len(), "{version:?}: {} instead of {}", made.len(), delta.len());
    }
}

/// A patch is what `zstd --patch-from` writes.
#[test]
fn patches_of_the_program_zstd() {
    if !oracle::need("zstd") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let content: Vec<u8> = (0..200_000u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
    let mut changed = content.clone();
    changed.splice(300_000..300_100, *b"something else");
    std::fs::write(path("old"), &content).unwrap();
    std::fs::write(path("new"), &changed).unwrap();
    let from = format!("--patch-from={}", path("old"));
    oracle::run("zstd", &["-q", "-19", &from, &path("new"), "-o", &path("frame")]);
    let frame = std::fs::read(path("frame")).unwrap();
    assert!(frame.len() < 1000, "{}", frame.len());
    let (old_tar, _) = tar(&[Entry { path: "a/b".into(), content, link: None }]);
    let old = OldTree::of_tars(&mut [&mut &old_tar[..]], &spool).unwrap();
    let delta = stream(V2, &[OPEN, (5, frame.len() as u64, &frame)]);
    let mut made = Vec::new();
    apply(&delta[..], &old, &mut made, &ApplyLimits::default(), &Ctx::default()).unwrap();
    assert!(made == changed);
}

/// A file that changes a little takes a small part of itself, in both versions of the format.
#[test]
fn what_changes_a_little_takes_little() {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let content: Vec<u8> = (0..1_000_000).map(|_| next()).collect();
    let mut changed = content.clone();
    changed.iter_mut().step_by(1000).for_each(|byte| *byte ^= 1);
    changed.splice(500_000..500_010, *b"something that was put in");
    let file = |content: &[u8]| [Entry { path: "usr/bin/a".into(), content: content.into(), link: None }];
    let ((old_tar, old_files), (new_tar, _)) = (tar(&file(&content)), tar(&file(&changed)));
    let old = OldTree::of_tars(&mut [&mut &old_tar[..]], &spool).unwrap();
    for version in [StreamVersion::V1, StreamVersion::V2] {
        let delta = make(&old, &new_tar, &DeltaOptions { version, effort: Effort::Best });
        assert!(delta.len() < 10_000, "{version:?}: {}", delta.len());
        assert!(reader::read(&delta, &old_files).unwrap() == new_tar);
    }
}

/// A delta is written with any number of threads alike.
#[test]
fn the_same_delta_with_any_number_of_threads() {
    let file =
        |seed: u8| -> Vec<u8> { (0..3_000_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8 ^ seed).collect() };
    let entry = |path: &str, content| Entry { path: path.into(), content, link: None };
    let (old_tar, _) = tar(&[entry("a", file(0))]);
    let (new_tar, _) = tar(&[entry("a", file(1)), entry("b", file(2))]);
    let old = OldTree::of_tars(&mut [&mut &old_tar[..]], &spool).unwrap();
    let deltas = [1, 2, 5].map(|jobs| {
        let ctx = Ctx { jobs: std::num::NonZeroUsize::new(jobs).unwrap(), ..Ctx::default() };
        let mut delta = Vec::new();
        diff(&mut &new_tar[..], &old, &mut delta, &DeltaOptions::default(), &spool, &ctx).unwrap();
        delta
    });
    assert!(deltas.iter().all(|delta| *delta == deltas[0]));
}

/// A stream of records, each an op, the size it claims, and its data.
pub(crate) fn stream(magic: &[u8], records: &[(u8, u64, &[u8])]) -> Vec<u8> {
    let mut plain = Vec::new();
    for (op, mut size, data) in records.iter().copied() {
        plain.push(op);
        while size >= 0x80 {
            plain.push(size as u8 | 0x80);
            size >>= 7;
        }
        plain.push(size as u8);
        plain.extend_from_slice(data);
    }
    let mut out = magic.to_vec();
    out.extend(zstd::encode_all(&plain[..], 3).unwrap());
    out
}

const V1: &[u8] = b"tardf1\n\0";
const V2: &[u8] = b"tardf2\n\0";
const OPEN: (u8, u64, &[u8]) = (1, 3, b"a/b");

/// Why a delta from a tree with a file `a/b` of ten bytes is refused.
fn refused(delta: &[u8], limit: u64) -> DeltaErrorKind {
    refused_with(b"0123456789", delta, limit)
}

fn refused_with(content: &[u8], delta: &[u8], limit: u64) -> DeltaErrorKind {
    let (old_tar, _) = tar(&[Entry { path: "a/b".into(), content: content.into(), link: None }]);
    let old = OldTree::of_tars(&mut [&mut &old_tar[..]], &spool).unwrap();
    let limits = ApplyLimits { max_bytes: limit };
    match apply(delta, &old, &mut io::sink(), &limits, &Ctx::default()) {
        Err(Error::Delta { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn deltas_that_lie_are_refused() {
    use DeltaErrorKind as Kind;
    let limit = 1 << 20;
    let patch = zstd::encode_all(&b"x"[..], 3).unwrap();
    let (long, short) = (vec![b'a'; 5000], &patch[..patch.len() - 1]);
    let size = |bytes: &[u8]| bytes.len() as u64;
    let no_file = |path: &str| Kind::NoFile(path.into());
    for (magic, records, expected) in [
        (V1, &[(1, 9, &b"../../a/c"[..])][..], no_file("a/c")),
        (V1, &[(1, 4, b"/a/c")], no_file("a/c")),
        (V1, &[(1, 1, b"a")], no_file("a")),
        (V1, &[(1, 2, b"..")], Kind::Path("..".into())),
        (V1, &[(1, 0, b"")], Kind::Path(String::new())),
        (V1, &[(1, 3, b"a\0b")], Kind::Path("a\0b".into())),
        (V1, &[(1, 5000, &long)], Kind::TooLarge { what: "a path", limit: 4096 }),
        (V1, &[(2, 1, b"")], Kind::NoSource),
        (V1, &[(4, 1, b"")], Kind::NoSource),
        (V1, &[(3, 1, b"x")], Kind::NoSource),
        (V2, &[(5, size(&patch), &patch)], Kind::NoSource),
        (V1, &[OPEN, (2, 11, b"")], Kind::Short("a/b".into())),
        (V1, &[OPEN, (4, 10, b""), (2, 1, b"")], Kind::Short("a/b".into())),
        (V1, &[OPEN, (4, u64::MAX, b""), (2, 1, b"")], Kind::Short("a/b".into())),
        (V1, &[OPEN, (4, 9, b""), (3, 2, b"xx")], Kind::Short("a/b".into())),
        (
            V1,
            &[OPEN, (3, 1 << 40, b"xx")],
            Kind::TooLarge { what: "a record with differences", limit: 100 << 20 },
        ),
        (V1, &[OPEN, (5, size(&patch), &patch)], Kind::Op(5)),
        (V1, &[(6, 0, b"")], Kind::Op(6)),
        (V1, &[(0, 5, b"1234")], Kind::Truncated),
        // After a patch readers differ about where the source stands: nobody may rely on it.
        (V2, &[OPEN, (5, size(&patch), &patch), (2, 1, b"")], Kind::Short("a/b".into())),
    ] {
        assert_eq!(refused(&stream(magic, records), limit), expected, "{records:?}");
    }
    for frame in [short, &b"no frame"[..], &[]] {
        let why = refused(&stream(V2, &[OPEN, (5, size(frame), frame)]), limit);
        assert!(matches!(why, Kind::Patch(_)), "{why:?} {frame:?}");
    }
    assert_eq!(refused(b"tardf3\n\0", limit), Kind::NoDelta);
    assert_eq!(refused(b"tardf", limit), Kind::NoDelta);
    let mut number = V1.to_vec();
    number.extend(zstd::encode_all(&[&[2][..], &[0xff; 10]].concat()[..], 3).unwrap());
    assert_eq!(refused(&number, limit), Kind::Number);
    let cut = stream(V1, &[(0, 4, b"1234")]);
    let old = OldTree::default();
    let error = apply(&cut[..cut.len() - 1], &old, &mut io::sink(), &ApplyLimits::default(), &Ctx::default());
    assert_eq!(error.unwrap_err().kind(), ostree_rs::base::ErrorKind::Damaged);
}

/// Streams without end: of data, of copies, of what a patch makes, of old files that patches load, of nothing at all.
#[test]
fn endless_deltas_are_refused() {
    let limit: u64 = 100_000;
    let zeros = vec![0; 200_000];
    let bomb = zstd::encode_all(&zeros[..], 3).unwrap();
    let none = zstd::encode_all(&b""[..], 3).unwrap();
    let copies: Vec<_> =
        std::iter::once(OPEN).chain([(4, 0, &b""[..]), (2, 10, b"")].repeat(11_000)).collect();
    let nothing = [(0, 0, &b""[..])].repeat(60_000);
    for (records, what) in [
        (&[(0, 200_000, &zeros[..])][..], "the stream of records"),
        (&copies, "the new stream"),
        (&[OPEN, (5, bomb.len() as u64, &bomb)], "the new stream"),
        (&nothing, "the stream of records"),
    ] {
        assert_eq!(refused(&stream(V2, records), limit), DeltaErrorKind::TooLarge { what, limit });
    }
    let patches: Vec<_> =
        std::iter::once(OPEN).chain([(5, none.len() as u64, &none[..])].repeat(20)).collect();
    let what = "what patches read of old files";
    let why = refused_with(&zeros[..10_000], &stream(V2, &patches), limit);
    assert_eq!(why, DeltaErrorKind::TooLarge { what, limit });
    // A window that nobody needs.
    let mut wide = zstd::Encoder::new(V2.to_vec(), 1).unwrap();
    wide.set_parameter(zstd::stream::raw::CParameter::WindowLog(28)).unwrap();
    wide.write_all(&[0, 1, b'x']).unwrap();
    let old = OldTree::default();
    let wide = wide.finish().unwrap();
    assert!(apply(&wide[..], &old, &mut io::sink(), &ApplyLimits::default(), &Ctx::default()).is_err());
}
