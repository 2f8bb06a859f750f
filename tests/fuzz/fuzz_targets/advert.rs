//! See `ostree_rs::format::fuzz::advert`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ostree_rs::format::fuzz::advert(data));
