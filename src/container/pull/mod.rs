//! The way of an image into a store: its commit alone, or all its layers.
//!
//! The way of a layer, with every function that it passes, in order:
//!
//! ```text
//! pull() · pull_image()            begin a transaction; plan          commit.rs · image.rs
//! ├─ take()                        the commit's layer first, then all others, several at a time
//! │  ├─ Layers::known()            is it here? told by Resuming (what an interrupted pull had finished) and by whoever keeps
//! │  │                             layers: the image store, or a hint (PulledLayers)                       yes ► done
//! │  ├─ fetch_commit(), fetch_chunk(), fetch_plain()
//! │  │  ├─ read_missing()          objects that the store lacks, by the layer's table of contents; or what a delta
//! │  │  │                          makes (Deltas), if that takes less; or else:
//! │  │  ├─ read_files()            the same of a layer of files: what is here is not fetched
//! │  │  ├─ blob::read_layer()      blob ► digest ► decompressed ► diffid
//! │  │  ├─ tar::import_…()         entries ► objects, each by its checksum
//! │  │  └─ Layers::finished()      the journal and the ref tell the next pull
//! │  └─ complete()                 nothing of the commit is missing; what was said to be here and is not, is fetched
//! └─ merge()                       plain layers over the commit: one tree, one commit; without a commit below them
//!                                  rearranged for systems that boot: `container::convert`
//! ```
//! An image on a base (`on_base`): its last layer first, then as many of those below as it takes to find what is missing.
//! `look` tells beforehand what would be fetched.
//!
//! Everything is verified: manifest, configuration, blobs and tar streams by their digests, the commit by its signature
//! before anything is written, every object by its checksum. Nothing becomes visible before all of it is there.

mod by_delta;
mod commit;
mod convert;
mod facts;
mod fetch;
mod hint;
mod image;
mod left_out;
mod look;
mod merge;
mod objectwise;
mod on_base;
mod options;
mod prepare_root;
mod pulled_layers;
mod resume;
mod take;

pub use commit::{Pulled, pull};
pub use convert::{convert, examine};
pub use image::{Check, NameImage, PulledImage, StoreOptions, Unneeded, check_image, pull_image};
pub use look::{LayerToPull, Presence, PullPlan, plan_pull};
pub use options::{PullOptions, Vouching};

pub use crate::container::store::{PulledLayer, Way, WhyWhole};

pub(super) use objectwise::SeenLayer;
