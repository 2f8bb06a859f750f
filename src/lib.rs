//! libostree's repositories, tar streams and container images in pure Rust.

#![forbid(unsafe_code)]
