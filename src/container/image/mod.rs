//! What an image is: its names, its documents, and what a place of images can do.
//!
//! ```text
//! digest · name · reference · platform, machine        what it and its parts are called
//! strict ► media ► lenient, labels ► plan              its documents, as bytes and as values
//! source, unpacked · dest · compression                what it is read from and written to
//! ```

mod compression;
mod dest;
mod digest;
mod error;
pub(super) mod labels;
pub(super) mod lenient;
mod machine;
pub(super) mod media;
mod name;
mod plan;
mod platform;
mod reference;
mod source;
mod strict;
mod unpacked;

pub use compression::Compression;
pub(in crate::container) use dest::put_document;
pub use dest::{BlobWriter, ImageDest, put_json};
pub use digest::{DiffId, Digest};
pub use error::{ConfigError, DeltaErrorKind, Error, Result, StoredLayerProblem};
pub use machine::platform_of;
pub use name::RepositoryName;
pub use plan::{CommitOnBase, Documents, Image, ImageLayer, LayerKind, LayerPlan, PlannedLayer};
pub use platform::PlatformName;
pub use reference::{ImageReference, OstreeImageReference, SignatureSource, Transport};
pub use source::{ImageSource, MAX_JSON_BYTES, RawManifest, read_json};
pub(in crate::container) use source::{ask_another, read_verified};
pub use unpacked::{EntryVisitor, EveryEntry, UnpackedLayer};

pub(super) use dest::canonical_json;
pub(super) use labels::{COMPONENTS, FINAL_DIFFID};
pub(super) use name::{is_host, is_path};
pub(super) use platform::MAX_DEPTH;
pub(super) use strict::{Base64, FromMembers, Object, Unique, given, read_object};
