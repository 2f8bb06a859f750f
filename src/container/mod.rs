//! Floor 4: an ostree commit as a container image, and back.
//!
//! ```text
//! commit ── tar ── compress ──► ImageDest     a layout directory, an archive of one, a registry
//! commit ◄─ tar ◄─ decompress ─ ImageSource
//! ```
//! [`build()`] makes an image of a commit, in one layer or by packages in several; [`pull()`] takes the commit
//! out of one; [`store`] keeps images with all their layers. What an image is called is in `reference`, in a
//! registry in `name`; its bytes lie in a `layout` or `archive`. Manifests and configurations are the types of the
//! crate `oci-spec`; digests are our own.

mod admitted;
mod archive;
mod archive_write;
mod buffers;
mod build;
mod chunked;
mod chunks;
mod compress;
pub mod config;
mod configuration;
mod decompress;
mod deflate;
mod detached;
mod digest;
mod disk;
mod encoders;
mod error;
mod facts;
mod fetch;
pub mod fuzz;
mod image;
mod import;
mod index;
mod known;
mod labels;
mod layer_format;
mod layer_record;
mod layers;
mod layout;
mod left_out;
mod machine;
mod media;
mod merge;
mod name;
mod plan;
mod platform;
mod prepare_root;
mod pull;
mod pulled_layers;
mod reference;
mod resume;
mod rewrite;
pub mod store;
mod strict;
mod temp;
pub mod transport;
pub mod trust;

pub use admitted::{Admitted, Verdict};
pub use archive::{OciArchive, plain_archive};
pub use archive_write::OciArchiveWriter;
pub use build::{BuildOptions, Built, build};
pub use chunks::{ContentMeta, Layering};
pub use compress::{Compression, WrittenLayer, write_layer};
pub use decompress::{MAX_ZSTD_WINDOW_LOG, read_layer};
pub use detached::replace_detached_metadata;
pub use digest::{DiffId, Digest};
pub use error::{Error, Result};
pub use image::{BlobWriter, ImageDest, ImageSource, MAX_JSON_BYTES, RawManifest, put_json, read_json};
pub use layer_format::LayerFormat;
pub use layout::OciLayout;
pub use machine::platform_of;
pub use plan::{Documents, Image, LayerPlan, PlannedLayer};
pub use pull::{PullOptions, Pulled, Vouching, pull};
pub use reference::{ImageReference, OstreeImageReference, SignatureSource, Transport};
