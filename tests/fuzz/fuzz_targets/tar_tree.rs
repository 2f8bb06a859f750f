//! See `ostree_rs::tar::fuzz::tree`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ostree_rs::tar::fuzz::tree(data));
