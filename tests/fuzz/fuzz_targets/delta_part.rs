//! See `ostree_rs::format::fuzz::delta_part`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ostree_rs::format::fuzz::delta_part(data));
