//! Deltas: a new image as what changes in an old one.
//!
//! ```text
//! create   old image ─ scan ► old: merged tree ─┐
//!          new image ─ scan ► choose ► encode ──┴► a tar-diff stream for each layer ► artifact ► ImageDest
//!                                        │ patch (zstd with a dictionary), or crate::delta::differences (version 1), write
//! restore  artifact, old image ► apply ► each layer's tar stream, whose diffid is verified ► ImageDest
//!
//! beside   deltas that registries list beside an image     here     those that begin with what a repository has
//! measure  how large one would be
//! record, read, write   the records of a stream            index   what flatpak has instead of artifacts
//! ```
//! An artifact is what the project oci-delta calls so: a manifest whose subject is the new image, so that registries
//! list it among the new image's referrers. It holds the new manifest and configuration as they are and for each layer
//! that the old image lacks a delta from the old image's root file system, or the layer itself where a delta is not
//! smaller. A delta needs no trust: what it makes counts only with the diffid that the new image's configuration
//! promises.

mod apply;
mod artifact;
mod beside;
mod choose;
mod create;
mod encode;
mod here;
mod index;
mod measure;
mod old;
mod patch;
mod read;
mod record;
mod restore;
mod scan;
mod write;

pub use apply::{ApplyLimits, OldFile, OldFiles, apply};
pub use artifact::{Artifact, ArtifactLayer};
pub use beside::{IndexedUpdate, find_delta, find_indexed};
pub use create::{Created, DeltaOptions, Effort, create, diff};
pub(super) use here::{LayerDelta, OldImage, layer_deltas};
pub use index::{INDEX_TAG, create_index};
pub use measure::measure;
pub use old::OldTree;
pub use record::StreamVersion;
pub use restore::{Restored, restore};
