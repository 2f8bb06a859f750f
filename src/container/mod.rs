//! Floor 4: an ostree commit as a container image, and back.
//!
//! ```text
//! commit ── tar ── compress ──► ImageDest     a layout directory, an archive of one, a registry
//! commit ◄─ tar ◄─ decompress ─ ImageSource
//! ```
//! ```text
//! W10 diff    what differs between two images, without pulling them
//! W9 pull     image ► commit, or all layers into the image store
//! W8 store    what images are kept as: refs of layers and images, queries, garbage
//! W7 delta    a new image as what changes in an old one
//! W6 convert  the files of an image rearranged for a system that boots; what stands in the way
//! W5 build    commit ► image: which layers, and the documents
//! W4 server   the layer that lets an image serve itself, and a container of such an image
//! W3 trust    policy.json asked about an image; signatures
//! W2 place    layouts, archives, registries, directories; copies from one to another
//! W1 blob     layers compressed and read          config   what is configured for podman and skopeo
//! W0 image    names, documents, sources and destinations of images
//! ```
//! A wing imports only from wings below it. Manifests and configurations are the types of the crate `oci-spec`;
//! digests are our own.

pub mod blob;
pub mod build;
pub mod config;
pub mod convert;
pub mod delta;
pub mod diff;
pub mod fuzz;
pub mod image;
pub mod place;
pub mod pull;
pub mod server;
pub mod store;
pub mod trust;
