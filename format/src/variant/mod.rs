//! GVariant: the typed values that libostree's metadata is made of, in binary and in text form.
//!
//! ```text
//! "a{sv}"  ──Type──►  Value  ◄── from_bytes / to_bytes ──►  GVariant serialization, little endian
//!                       ▲
//!                       └────── parse / print ───────────►  GVariant text, {'version': <'1.0'>}
//! ```
//!
//! Binary input has to be in normal form, which is what every GVariant writer produces: one value has exactly
//! one serialization, so that a value that was read serializes to the bytes it was read from.
//!
//! Integers are stored little endian, the host order of every machine that this crate is built for. libostree
//! stores some integers (file owners and modes, timestamps, sizes in headers) big endian *within* a value:
//! whoever reads such a field calls `u64::from_be`; [`Value::byteswap`] turns a whole value.
//!
//! Format: the "GVariant Specification" of GLib; text form: "GVariant Text Format" in GLib's reference manual.

mod binary;
mod dbus;
mod dict;
mod infer;
mod print;
mod printable;
mod text;
mod ty;
mod value;

pub use dbus::{ObjectPath, Signature};
pub use dict::Dict;
pub use print::Annotate;
pub use ty::{Basic, Type, TypeKind};
pub use value::{Array, DictEntry, Value};

/// The depth to which types and values may nest: GLib's own limit.
pub const MAX_DEPTH: usize = 128;
