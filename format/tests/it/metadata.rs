//! Sizes, summaries, detached metadata and tombstones that C ostree wrote.

use ostree_format::commitmeta::{SignatureKind, add_signature, parse_tombstone, signatures, tombstone};
use ostree_format::variant::{Dict, Value};
use ostree_format::{
    Checksum, CommitId, CommitRef, ObjectSize, ObjectType, RepoMode, SIZES_KEY, Summary, SummaryContent,
    SummaryRef, parse_sizes, sizes_value,
};

const V1: &[u8] = include_bytes!("../data/v1.commit");
const V2: &[u8] = include_bytes!("../data/v2.commit");
const SUMMARY: &[u8] = include_bytes!("../data/summary");
const COLLECTIONS: &[u8] = include_bytes!("../data/collections.summary");
const COLLECTIONS_MAIN: &[u8] = include_bytes!("../data/collections-main.commit");
const COLLECTIONS_METADATA: &[u8] = include_bytes!("../data/collections-ostree-metadata.commit");
const SIZES: &[u8] = include_bytes!("../data/sizes.commit");

fn id(commit: &[u8]) -> CommitId {
    CommitId::new(Checksum::of(commit))
}

fn listed(name: &str, commit: &[u8]) -> SummaryRef {
    SummaryRef::new(name.parse().unwrap(), id(commit), commit).unwrap()
}

/// The metadata of a `--bootable` commit stands in the order of a `GVariantDict`; ordering it again changes nothing.
#[test]
fn commit_metadata_is_in_hash_order() {
    for commit in [V1, V2] {
        let metadata = CommitRef::parse(commit).unwrap().metadata().unwrap();
        assert_eq!(metadata.hash_ordered(), metadata);
    }
}

#[test]
fn sizes() {
    let metadata = CommitRef::parse(SIZES).unwrap().metadata().unwrap();
    let sizes = parse_sizes(&metadata).unwrap().unwrap();
    let all: Vec<_> = sizes.iter().map(|s| (s.object.kind, s.archived_bytes, s.unpacked_bytes)).collect();
    let (file, tree, meta) = (ObjectType::File, ObjectType::DirTree, ObjectType::DirMeta);
    assert_eq!(all, [(meta, 12, 12), (file, 42, 6), (file, 11131, 23893), (tree, 37, 37), (tree, 106, 106)]);
    let mut shuffled = sizes.clone();
    shuffled.reverse();
    assert_eq!(metadata.get(SIZES_KEY), Some(&sizes_value(shuffled)));
    assert_eq!(parse_sizes(&Dict::new()), Ok(None));
}

#[test]
fn sizes_at_the_limits() {
    let entry = |tail: &[u8]| ObjectSize::parse(&[&[7; 32][..], tail].concat());
    for size in [0, 127, 128, 1 << 35, u64::MAX] {
        let object = entry(&[0, 0, 1]).unwrap().object;
        let whole = ObjectSize { object, archived_bytes: size, unpacked_bytes: size };
        assert_eq!(ObjectSize::parse(&whole.to_bytes()), Ok(whole));
    }
    assert_eq!(entry(&[1, 2]).unwrap().object.kind, ObjectType::File);
    for bad in [&[][..], &[1], &[0x80], &[1, 2, 0], &[1, 2, 10], &[1, 2, 3, 4], &[0x80, 0, 1], &[0xff; 11]] {
        assert!(entry(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn summary_of_a_signed_repository() {
    let summary = Summary::parse(SUMMARY).unwrap();
    assert_eq!(summary.to_bytes(), SUMMARY);
    let [only] = &summary.refs[..] else { panic!("{summary:?}") };
    assert_eq!(*only, listed("exampleos/x86_64/stable", V2));
    assert_eq!((only.version(), only.timestamp_secs()), (Some("2.0"), Some(1_706_933_106)));
    assert_eq!(summary.find(&only.name), Some(only));
    assert_eq!((summary.mode(), summary.collection_id()), (Ok(Some(RepoMode::Archive)), Ok(None)));
    assert!(summary.indexed_deltas() && !summary.tombstone_commits() && summary.expires_secs().is_none());
    let deltas = summary.static_deltas().unwrap();
    assert_eq!(deltas[0].0, id(V1).to_string());
    assert_eq!(deltas[1].0, format!("{}-{}", id(V1), id(V2)));
    let again = Summary::new(SummaryContent {
        refs: summary.refs.clone(),
        collection_id: None,
        collections: vec![],
        static_deltas: deltas,
        last_modified_secs: summary.last_modified_secs().unwrap(),
        mode: RepoMode::Archive,
        tombstone_commits: false,
        additional: Dict::new(),
    });
    assert_eq!(again.to_bytes(), SUMMARY);
}

#[test]
fn summary_with_collections() {
    let summary = Summary::parse(COLLECTIONS).unwrap();
    assert_eq!(summary.to_bytes(), COLLECTIONS);
    let main = listed("main", COLLECTIONS_MAIN);
    let exam = ("org.example.B".parse().unwrap(), vec![listed("exam", COLLECTIONS_MAIN)]);
    assert_eq!(summary.collections(), Ok(vec![exam.clone()]));
    let again = Summary::new(SummaryContent {
        refs: vec![listed("ostree-metadata", COLLECTIONS_METADATA), main],
        collection_id: summary.collection_id().unwrap(),
        collections: vec![exam],
        static_deltas: vec![],
        last_modified_secs: summary.last_modified_secs().unwrap(),
        mode: RepoMode::Archive,
        tombstone_commits: true,
        additional: Dict::new(),
    });
    assert_eq!(again.to_bytes(), COLLECTIONS);
}

#[test]
fn damaged_summaries() {
    for at in 0..SUMMARY.len() {
        for byte in [0, 0xff, SUMMARY[at] ^ 1] {
            let mut bytes = SUMMARY.to_vec();
            bytes[at] = byte;
            if let Ok(summary) = Summary::parse(&bytes) {
                assert_eq!(summary.to_bytes(), bytes);
                let _ = (summary.static_deltas(), summary.collections(), summary.mode());
            }
        }
        assert!(Summary::parse(&SUMMARY[..at]).is_err());
    }
}

#[test]
fn detached_metadata() {
    for bytes in [&include_bytes!("../data/v1.commitmeta")[..], include_bytes!("../data/summary.sig")] {
        let mut metadata = Dict::parse(bytes).unwrap();
        assert_eq!(signatures(&metadata, SignatureKind::Gpg).unwrap().len(), 1);
        add_signature(&mut metadata, SignatureKind::Ed25519, vec![1; 64]).unwrap();
        add_signature(&mut metadata, SignatureKind::Gpg, vec![2]).unwrap();
        assert_eq!(signatures(&metadata, SignatureKind::Gpg).unwrap().len(), 2);
        assert_eq!(signatures(&metadata, SignatureKind::Ed25519), Ok(vec![&[1; 64][..]]));
        metadata.insert("ostree.gpgsigs", Value::from("no"));
        assert!(signatures(&metadata, SignatureKind::Gpg).is_err());
    }
    assert_eq!(Dict::parse(&[]), Ok(Dict::new()));
}

#[test]
fn tombstones() {
    let bytes = include_bytes!("../data/tombstone-commit");
    let commit = parse_tombstone(bytes).unwrap();
    assert_eq!(commit.to_string(), "f88bb4c9418f6ca661c62615cadea2695678d18508d9bdd4e4d6cc485472336e");
    assert_eq!(tombstone(&commit), bytes);
    assert!(parse_tombstone(&[]).is_err());
}
