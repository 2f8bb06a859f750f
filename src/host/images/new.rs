//! Images to be written.

use std::fs;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;

use super::super::repos::open_dir;
use super::super::{Error, Machine, Result};
use super::ImageOptions;
use super::access::Access;
use crate::base::Ctx;
use crate::container::image::{Digest, ImageDest, ImageReference, RepositoryName, Transport};
use crate::container::place::{
    DirImage, DockerArchiveWriter, ManifestFormat, OciArchiveWriter, OciLayout, RegistryDest,
};

/// An image to be written.
#[derive(Debug)]
#[must_use = "an image in an archive appears when it is finished"]
pub struct NewImage(Destination);

#[derive(Debug)]
enum Destination {
    Layout(OciLayout),
    Archive(OciArchiveWriter),
    Dir(DirImage),
    Docker(DockerArchiveWriter),
    Registry(RegistryDest),
}

impl Machine {
    /// Opens an image to be written; directories are made. `mount_from` are repositories of registries that have
    /// its blobs, perhaps.
    ///
    /// # Errors
    /// [`Error::Image`], [`Error::Io`], [`Error::CannotWrite`], [`Error::PushToDigest`]; what is wrong with the
    /// configuration of the machine.
    pub fn create_image(
        &self,
        reference: &ImageReference,
        options: &ImageOptions,
        mount_from: &[&RepositoryName],
        ctx: &Ctx,
    ) -> Result<NewImage> {
        let place = match (reference.transport(), reference.path_and_tag()) {
            (Transport::OciDir, Some((path, tag))) => {
                Destination::Layout(OciLayout::create(make_dir(path)?, tag).map_err(creating(path))?)
            }
            (Transport::OciArchive, Some((path, tag))) => {
                let (dir, name) = parent(path)?;
                Destination::Archive(OciArchiveWriter::create(&dir, &name, tag).map_err(creating(path))?)
            }
            (Transport::DockerArchive, Some((path, tag))) => {
                let (dir, name) = parent(path)?;
                Destination::Docker(DockerArchiveWriter::create(&dir, &name, tag).map_err(creating(path))?)
            }
            (Transport::Dir, Some((path, _))) => {
                Destination::Dir(DirImage::create(make_dir(path)?).map_err(creating(path))?)
            }
            (Transport::Registry, _) => {
                let access = Access::load(self, options, ctx)?;
                let name = access.name(reference.name())?;
                if let Some(digest) = name.digest {
                    return Err(Error::PushToDigest(digest));
                }
                let mount_from = mount_from.iter().filter(|from| from.host == name.host);
                let mut mount_from: Vec<_> = mount_from.map(|from| from.path.clone()).collect();
                mount_from.dedup();
                let place = access.push_place(&name)?;
                Destination::Registry(RegistryDest::open(&place, &name, &mount_from, ctx)?)
            }
            _ => return Err(Error::CannotWrite(reference.clone())),
        };
        Ok(NewImage(place))
    }
}

impl NewImage {
    /// The destination of blobs and the manifest.
    pub fn dest(&self) -> &dyn ImageDest {
        match &self.0 {
            Destination::Layout(dest) => dest,
            Destination::Archive(dest) => dest,
            Destination::Dir(dest) => dest,
            Destination::Docker(dest) => dest,
            Destination::Registry(dest) => dest,
        }
    }

    /// The kind of manifest that can be kept there: layouts hold those of OCI only.
    pub fn format(&self) -> ManifestFormat {
        match self.0 {
            Destination::Layout(_) | Destination::Archive(_) => ManifestFormat::Oci,
            Destination::Dir(_) | Destination::Docker(_) | Destination::Registry(_) => ManifestFormat::AsItIs,
        }
    }

    /// Lets the image appear, once its manifest with this digest is there.
    ///
    /// # Errors
    /// [`Error::Image`] if an archive cannot be finished.
    pub fn finish(self, digest: Digest) -> Result<Digest> {
        match self.0 {
            Destination::Archive(archive) => archive.finish()?,
            Destination::Docker(archive) => archive.finish()?,
            Destination::Layout(_) | Destination::Dir(_) | Destination::Registry(_) => {}
        }
        Ok(digest)
    }
}

fn creating(path: &str) -> impl FnOnce(crate::container::image::Error) -> Error {
    move |source| Error::At { place: format!("Creating {path}"), source: Box::new(source.into()) }
}

fn make_dir(path: &str) -> Result<Dir> {
    fs::create_dir_all(path).map_err(Error::io("Creating", path))?;
    open_dir("Opening", Path::new(path))
}

/// The directory that a file lies in, and its name there.
fn parent(path: &str) -> Result<(Dir, PathBuf)> {
    let path = Path::new(path);
    let dir = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // A directory could not be replaced when all the work is done.
    let name = path.file_name().filter(|_| !path.is_dir()).ok_or_else(|| Error::NotAFile(path.into()))?;
    Ok((open_dir("Opening", dir.unwrap_or(Path::new(".")))?, name.into()))
}
