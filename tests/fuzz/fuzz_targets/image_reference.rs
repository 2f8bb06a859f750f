//! See `ostree_rs::container::fuzz::image_reference`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ostree_rs::container::fuzz::image_reference(data));
