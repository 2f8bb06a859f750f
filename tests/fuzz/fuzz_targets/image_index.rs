//! See `ostree_rs::container::fuzz::image_index`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ostree_rs::container::fuzz::image_index(data));
