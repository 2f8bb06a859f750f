//! See `ostree_rs::tar::fuzz::import`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ostree_rs::tar::fuzz::import(data));
