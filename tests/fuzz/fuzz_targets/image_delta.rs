//! See `ostree_rs::container::fuzz::image_delta`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ostree_rs::container::fuzz::image_delta(data));
