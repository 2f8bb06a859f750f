//! The way of a commit into an image.
//!
//! ```text
//! plan       BuildPlan: a recipe for each layer, and what the documents will say; build() makes and writes one
//! chunks     what goes into which layer
//! write      several layers at a time; those that are there already are not made again
//! documents  configuration and manifest
//! on_base    the layers of another image below, and one with what the commit has otherwise
//! rewrite    an image that is there, with other layers; detached: with other detached metadata of its commit
//! ```

pub(super) mod chunks;
mod detached;
mod documents;
mod on_base;
mod plan;
mod rewrite;
mod write;

pub use chunks::{ContentMeta, Layering};
pub use detached::replace_detached_metadata;
pub use on_base::build_on_base;
pub use plan::{BuildOptions, BuildPlan, Built, LayerRecipe, build};

pub(super) use chunks::unpackaged;
pub(super) use rewrite::put_with_layers;
pub(super) use write::write_layers;
