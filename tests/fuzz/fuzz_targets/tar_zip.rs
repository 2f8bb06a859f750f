//! See `ostree_rs::tar::fuzz::zip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ostree_rs::tar::fuzz::zip(data));
