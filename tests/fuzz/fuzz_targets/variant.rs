//! See `ostree_rs::format::fuzz::variant`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ostree_rs::format::fuzz::variant(data));
