//! See `ostree_rs::tar::fuzz::objects`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ostree_rs::tar::fuzz::objects(data));
