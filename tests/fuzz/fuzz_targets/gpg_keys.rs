//! See `ostree_rs::sign::gpg::fuzz::keys`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ostree_rs::sign::gpg::fuzz::keys(data));
