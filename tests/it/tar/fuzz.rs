//! Damaged streams: the parsers refuse them or read them, and come to an end.

use ostree_rs::base::Ctx;
use ostree_rs::store::MemStore;
use ostree_rs::tar::{ExportOptions, PlainOptions, export_commit, export_plain, fuzz};

use super::commit_of;
use crate::oracle::run;

/// Small archives of every kind that is read.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let store = MemStore::new();
    let long = format!("d/{}", "f".repeat(120));
    let commit = commit_of(&store, &["a/x", "a/y", &long, "l -> a//x"]);
    let (mut full, mut plain) = (Vec::new(), Vec::new());
    export_commit(&store, &commit, &mut full, &ExportOptions::default(), &Ctx::default()).unwrap();
    export_plain(&store, &commit, &mut plain, &PlainOptions::default(), &Ctx::default()).unwrap();
    // Without the directories of the repository.
    full.drain(512..512 * 268);
    let pax = run(
        "tar",
        &["-c", "--format=pax", "--owner=:3000000000", "-C", env!("CARGO_MANIFEST_DIR"), "src/tar/mod.rs"],
    );
    let newc = b"070701000000010000a1ff00000000000000000000000200000000000000040000000000000000\
        00000000000000000000000200000000a\0link\0\x00070701"
        .to_vec();
    let zstd = zstd::encode_all(&*plain, 1).unwrap();
    let zip = |method| {
        super::zip::python(&format!("add('d/', mode=0o40755); add('d/f', 'x' * 99, method={method})"))
    };
    [vec![full, plain, pax, newc, zstd, zip("0"), zip("ZIP_DEFLATED")], super::sparse::seeds()].concat()
}

#[test]
fn damaged_streams_come_to_an_end() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for seed in seeds() {
        for _ in 0..150 {
            let mut data = seed.clone();
            for _ in 0..1 + random(4) {
                let at = random(data.len());
                match random(4) {
                    0 => data[at] = random(256) as u8,
                    1 => data.truncate(at + 1),
                    2 => {
                        let block = at / 512 * 512;
                        let copy: Vec<_> = data[block..data.len().min(block + 512)].to_vec();
                        data.splice(block..block, copy);
                    }
                    _ => fix_checksum(&mut data, at, random(156), random(256) as u8),
                }
            }
            fuzz::TARGETS.iter().for_each(|(_, target)| target(&data));
        }
    }
}

/// Changes a byte of a header and makes its checksum right again.
fn fix_checksum(data: &mut [u8], at: usize, byte: usize, value: u8) {
    let Some(block) = data.get_mut(at / 512 * 512..at / 512 * 512 + 512) else { return };
    block[byte] = value;
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}
