//! The way of a commit into an image.
//!
//! ```text
//! chunks     what goes into which layer
//! layers     writes several at a time; those that are there already are not made again
//! image      the whole: layers, configuration, manifest
//! rewrite    an image that is there, with other layers; detached: with other detached metadata of its commit
//! ```

pub(super) mod chunks;
mod detached;
mod image;
mod layers;
mod rewrite;

pub use chunks::{ContentMeta, Layering};
pub use detached::replace_detached_metadata;
pub use image::{BuildOptions, Built, build};

pub(super) use layers::{Layer, Origin, write_layers};
pub(super) use rewrite::put_with_layers;
