//! Where images lie: OCI layouts and archives of them, registries, plain directories, docker's archives.
//!
//! ```text
//! layout             oci:PATH             index.json and one file for each blob
//! archive            oci-archive:PATH     the same in a tar stream; archive_write makes one
//! registry           docker://NAME        an ImageSource: the first place of a repository that answers, mirrors
//!                                         before it
//! registry_write                          an ImageDest: blobs in chunks, sent while the next chunk is compressed
//! dir                dir:PATH             manifest.json and one file for each blob
//! docker             docker-archive:PATH  what `docker save` writes
//! storage            containers-storage:NAME  the store of podman, read in place: layers are files there
//! located            any of them on disk, with its name in errors
//! one_platform       one image out of an index of images for several machines
//! copy, copy_all     from any of them to any of them; copy_all: an index and all that it names; copy_unpacked: layers
//!                    of files
//! index, disk, temp  what several of them need
//! ```

mod archive;
mod archive_write;
mod copy;
mod copy_all;
mod copy_unpacked;
mod dir;
mod disk;
mod docker;
pub(super) mod index;
mod layout;
mod located;
mod one_platform;
#[cfg(feature = "net")]
mod registry;
#[cfg(feature = "net")]
mod registry_write;
mod storage;
mod temp;

pub use archive::{OciArchive, plain_archive};
pub use archive_write::OciArchiveWriter;
pub use copy::{Copied, CopyOptions, Images, ManifestFormat, copy};
pub use dir::DirImage;
pub use docker::{DockerArchive, DockerArchiveWriter};
pub use layout::OciLayout;
pub use located::Located;
pub use one_platform::OnePlatform;
#[cfg(feature = "net")]
pub use registry::{RegistryImage, RegistryPlace};
#[cfg(feature = "net")]
pub use registry_write::RegistryDest;
pub use storage::{ContainersStorage, PodmanImage, StorageName, StoreSpec};

pub(super) use copy::{copy_blobs, oci_descriptor};
pub(super) use copy_unpacked::copy_base;
