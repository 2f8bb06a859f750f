//! The way of an image into a store: its commit alone, or all its layers.
//!
//! ```text
//! commit    pull(): the commit in an image ┐                     ┌ fetch     one layer, as what it is to be
//! image     pull_image(): all its layers   ┴► take: each layer ┤ resume, pulled_layers   those that are here
//!                                                                └► merge: one tree of all
//! ```

mod commit;
mod facts;
mod fetch;
mod image;
mod left_out;
mod merge;
mod prepare_root;
mod pulled_layers;
mod resume;
mod take;

pub use commit::{PullOptions, Pulled, Vouching, pull};
pub use image::{Check, NameImage, PulledImage, StoreOptions, Unneeded, check_image, pull_image};
