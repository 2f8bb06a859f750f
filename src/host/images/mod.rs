//! Images by their names: what `docker://…`, `oci:…`, `dir:…` stand for, with what the user and the system have
//! configured.
//!
//! ```text
//! options   what a caller may say instead of what is configured
//! files     where the configuration files of podman and skopeo lie
//! access    credentials, certificates, mirrors → places in a registry; helper: programs that know credentials
//! new       images to be written
//! storage   podman's store: storage.conf
//! trust     signatures, keys → may the image be used?
//! ```

mod access;
mod files;
mod helper;
mod new;
mod options;
mod storage;
mod trust;

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

pub use self::new::NewImage;
pub use self::options::{ImageOptions, IndexChoice, RegistryUser};
pub use self::trust::Demand;

use self::access::Access;
use super::repos::open_dir;
use super::{Error, Machine, Result};
use crate::base::{Ctx, debug_fields};
use crate::container::image::{
    self, ImageReference, ImageSource, OstreeImageReference, RepositoryName, Transport,
};
use crate::container::place::{
    DirImage, DockerArchive, Located, OciArchive, OciLayout, OnePlatform, RegistryImage, plain_archive,
};
use crate::net::registry::Registry;

/// Reads the name of an image as people type it: without a transport it lies in a registry.
///
/// # Errors
/// What is wrong with the name, and where; a name that says who vouches for the image
/// ([`OstreeImageReference`]) is none.
pub fn parse_image(text: &str) -> Result<ImageReference, ostree_format::ParseError> {
    // It would be read as the name of a host.
    if let Some((scheme, _)) = text.split_once(':')
        && OstreeImageReference::SCHEMES.contains(&scheme)
    {
        let why = format!("'{scheme}:' does not belong here: nobody has to vouch for the image");
        return Err(ostree_format::ParseError::invalid("image reference", 0, why));
    }
    let has_transport = text.starts_with("registry:")
        || text.starts_with("docker:")
        || Transport::ALL.iter().any(|transport| text.starts_with(transport.prefix()));
    if has_transport { text.parse() } else { ImageReference::new(Transport::Registry, text) }
}

/// An image that was opened, and what it is called for people and policies.
pub struct OpenedImage {
    machine: Machine,
    source: Box<dyn ImageSource>,
    repository: Option<InRegistry>,
    reference: ImageReference,
    /// The path of the image on disk, with all links resolved: it was opened by this path, and policies judge it by
    /// this path.
    path: Option<PathBuf>,
    /// What policies call it, if that is told by its place.
    policy_name: Option<String>,
}

debug_fields!(OpenedImage { reference, path });

/// An image that was found in a registry.
struct InRegistry {
    /// The name that it was asked for by, which policies judge.
    name: RepositoryName,
    /// The name in the place that gave it, a mirror perhaps: there its signatures lie, too.
    place: RepositoryName,
    registry: Registry,
}

impl Machine {
    /// Opens an image to be read. Nothing is decided about it yet: see [`OpenedImage::admit`].
    ///
    /// # Errors
    /// [`Error::Image`] if it is not there or nobody answers; [`Error::CannotRead`]; what is wrong with the
    /// configuration of the machine.
    pub fn open_image(
        &self,
        reference: &ImageReference,
        options: &ImageOptions,
        ctx: &Ctx,
    ) -> Result<OpenedImage> {
        let (mut repository, mut path, mut policy_name) = (None, None, None);
        let source: Box<dyn ImageSource> = match reference.transport() {
            Transport::Registry => {
                let access = Access::load(self, options, ctx)?;
                let name = access.name(reference.name())?;
                let places = access.pull_places(&name)?;
                let (image, at) = RegistryImage::open(&places, &name, ctx)?;
                let place = RepositoryName { host: at.host.clone(), path: at.path.clone(), ..name.clone() };
                repository = Some(InRegistry { name, place, registry: image.registry().clone() });
                Box::new(image)
            }
            Transport::ContainersStorage => {
                let (image, name) = self.open_stored(reference, ctx)?;
                policy_name = Some(name);
                Box::new(Located::new(image, reference.to_string()))
            }
            _ => {
                let given = reference.path_and_tag().map_or(reference.name(), |(path, _)| path);
                // What cannot be found is told by whoever opens it.
                let real = fs::canonicalize(given).unwrap_or_else(|_| given.into());
                let source = Located::new(self.open_local(reference, &real, ctx)?, reference.to_string());
                path = Some(real);
                Box::new(source)
            }
        };
        let platform = match &options.which {
            IndexChoice::OfThisMachine => Some(Default::default()),
            IndexChoice::Of(platform) => Some(platform.clone()),
            IndexChoice::All => None,
        };
        let source = match platform {
            Some(platform) => Box::new(OnePlatform::new(source, platform)),
            None => source,
        };
        let (machine, reference) = (self.clone(), reference.clone());
        Ok(OpenedImage { machine, source, repository, reference, path, policy_name })
    }

    /// Opens an image on disk.
    fn open_local(&self, reference: &ImageReference, path: &Path, ctx: &Ctx) -> Result<Box<dyn ImageSource>> {
        let at = |source| image::Error::Source { place: reference.to_string(), source: Box::new(source) };
        let dir = || open_dir("Opening", path);
        let archive = || {
            self.open_archive(path, ctx)
                .map_err(|source| Error::At { place: reference.to_string(), source: Box::new(source) })
        };
        Ok(match (reference.transport(), reference.path_and_tag()) {
            (Transport::OciDir, Some((_, tag))) => Box::new(OciLayout::open(dir()?, tag).map_err(at)?),
            (Transport::OciArchive, Some((_, tag))) => {
                Box::new(OciArchive::open(archive()?, tag).map_err(at)?)
            }
            (Transport::DockerArchive, Some((_, tag))) => {
                Box::new(DockerArchive::open(archive()?, tag).map_err(at)?)
            }
            (Transport::Dir, Some(_)) => Box::new(DirImage::open(dir()?).map_err(at)?),
            _ => return Err(Error::CannotRead(reference.clone())),
        })
    }

    /// Opens an archive, which is read in any order: it can be no pipe, and none is waited for. One that is compressed
    /// is decompressed into a [`Machine::temporary_file`].
    fn open_archive(&self, path: &Path, ctx: &Ctx) -> Result<File> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let opened = File::options().read(true).custom_flags(flags).open(path);
        let file = opened.map_err(Error::io("Opening", path))?;
        if !file.metadata().map_err(Error::io("Opening", path))?.is_file() {
            return Err(Error::NotAFile(path.into()));
        }
        Ok(plain_archive(file, || self.temporary_file(), ctx)?)
    }
}

impl OpenedImage {
    /// The source of the manifest and blobs: one image for one machine, unless all were asked for. No policy has
    /// judged it: see [`OpenedImage::admit`].
    pub fn source(&self) -> &dyn ImageSource {
        &*self.source
    }

    /// The reference by which the image was opened.
    pub fn reference(&self) -> &ImageReference {
        &self.reference
    }

    /// The repository that it lies in, if it comes from a registry.
    pub fn repository_name(&self) -> Option<&RepositoryName> {
        self.repository.as_ref().map(|found| &found.name)
    }
}
