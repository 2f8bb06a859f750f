//! The bodies of the fuzz targets on what other programs wrote, and on damaged copies of it.

use ostree_format::fuzz::TARGETS;
use proptest::prelude::*;
use proptest::test_runner::Config;

const SEEDS: &[&[u8]] = &[
    include_bytes!("../data/v1.commit"),
    include_bytes!("../data/v2.commit"),
    include_bytes!("../data/sizes.commit"),
    include_bytes!("../data/v1.commitmeta"),
    include_bytes!("../data/summary"),
    include_bytes!("../data/summary.sig"),
    include_bytes!("../data/collections.summary"),
    include_bytes!("../data/tombstone-commit"),
    include_bytes!("../data/inline.superblock"),
    b"a{sv}\0k\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0t\x02\x13",
    b"(ayasmi(yd)v)\0",
    b"{'version': <'1.0'>, 'n': <[just uint64 7, nothing]>, 'b': <(b'x', 1.5, @as [])>}",
    b"[core]\nrepo_version=1\nmode=bare\n# c\n\n[remote \"a\"]\nurl=x\nsign-verify=a;b\n",
];

#[test]
fn seeds() {
    SEEDS.iter().for_each(|seed| TARGETS.iter().for_each(|(_, target)| target(seed)));
}

proptest! {
    #![proptest_config(Config { cases: 3000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn damaged_seeds(
        seed in prop::sample::select(SEEDS),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..4),
    ) {
        let mut bytes = seed.to_vec();
        for (at, byte, what) in changes {
            let at = at.index(bytes.len().max(1));
            match what {
                0 => bytes.insert(at.min(bytes.len()), byte),
                1 if at < bytes.len() => { bytes.remove(at); }
                2 => bytes.truncate(at),
                _ => if let Some(b) = bytes.get_mut(at) { *b = byte },
            }
        }
        TARGETS.iter().for_each(|(_, target)| target(&bytes));
    }

    #[test]
    fn small_values(bytes in prop::collection::vec(prop_oneof![Just(b'('), Just(b')'), Just(b'a'), Just(b'y'), Just(b'v'), Just(0), 0..16u8], 0..24)) {
        TARGETS.iter().for_each(|(_, target)| target(&bytes));
    }
}
