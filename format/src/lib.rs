//! libostree's object formats: bytes in, values out.
//!
//! No file system, no clock, no network, no allocation beyond the size of the input.

#![forbid(unsafe_code)]

mod error;

pub use error::{ParseError, ParseErrorKind, Result};
