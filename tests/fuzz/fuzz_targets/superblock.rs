//! See `ostree_rs::format::fuzz::superblock`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ostree_rs::format::fuzz::superblock(data));
