//! Where images lie apart from OCI layouts: registries, plain directories, docker's archives.
//!
//! ```text
//! pull      an ImageSource: the first place of a repository that answers, mirrors before it
//! push      an ImageDest: blobs in chunks, sent while the next chunk is compressed
//! dir       dir:PATH             manifest.json and one file for each blob
//! docker    docker-archive:PATH  what `docker save` writes
//! located   any of them on disk, with its name in errors
//! one_platform  one image out of an index of images for several machines
//! copy      from any of them to any of them; copy_all: an index and all that it names
//! ```

mod copy;
mod copy_all;
mod dir;
mod docker;
mod located;
mod one_platform;
mod pull;
mod push;

pub(super) use copy::copy_blobs;
pub use copy::{Copied, CopyOptions, Images, ManifestFormat, copy};
pub use dir::DirImage;
pub use docker::{DockerArchive, DockerArchiveWriter};
pub use located::Located;
pub use one_platform::OnePlatform;
pub use pull::{Place, RegistryImage};
pub use push::RegistryDest;

pub use super::name::RepositoryName;
pub use super::platform::PlatformName;
use super::{media, platform};
