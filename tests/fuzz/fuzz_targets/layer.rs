//! See `ostree_rs::container::fuzz::layer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ostree_rs::container::fuzz::layer(data));
