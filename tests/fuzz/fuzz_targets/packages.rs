//! See `ostree_rs::container::fuzz::packages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ostree_rs::container::fuzz::packages(data));
