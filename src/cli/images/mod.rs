//! Images by their names: opens what `docker://…`, `oci:…`, `dir:…` stand for, with what the user and the
//! system have configured.
//!
//! ```text
//! options    --authfile, --auth-anonymous, --creds, --cert-dir, --tls-verify, --platform, --timeout
//! files      where the configuration files of podman and skopeo lie
//! access     credentials, certificates, mirrors → places in a registry
//! trust      signatures, keys → may the image be used?
//! ```

mod access;
mod files;
mod helper;
mod trust;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rustix::fs::OFlags;

use self::access::Access;
pub(crate) use self::trust::{Demand, gpg_signatures_of};
use crate::base::Ctx;
use crate::cli::room::{Kept, Writing};
use crate::container;
use crate::container::image::{
    Digest, ImageDest, ImageReference, ImageSource, OstreeImageReference, PlatformName, RepositoryName,
    Transport,
};
use crate::container::place::{
    DirImage, DockerArchive, DockerArchiveWriter, Located, ManifestFormat, OciArchive, OciArchiveWriter,
    OciLayout, OnePlatform, RegistryDest, RegistryImage,
};
use crate::container::trust::Admitted;
use crate::format::ParseError;
use crate::net::Limits;

/// Options of every verb that talks to registries.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct RegistryOptions {
    /// The file with credentials for registries, instead of those of podman, docker and ostree
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Show no credentials to the registry, whatever is configured
    #[arg(long, conflicts_with_all = ["authfile", "creds"])]
    auth_anonymous: bool,
    /// The user and password for the registry
    #[arg(long, value_name = "USER:PASSWORD", value_parser = credentials)]
    creds: Option<(String, String)>,
    /// A directory with certificates and keys (*.crt, *.cert, *.key) for the registry
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// Whether to verify certificates; with "false", plain HTTP will do too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = super::verb::boolean)]
    tls_verify: Option<bool>,
    /// What ostree-ext calls --tls-verify=false
    #[arg(long, conflicts_with = "tls_verify")]
    insecure_skip_tls_verification: bool,
    /// Which image of several, or which machines a new one is for: OS/ARCHITECTURE[/VARIANT]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<PlatformName>,
    /// Give up on a registry, or a credential helper, once nothing got on for so long, whatever was tried meanwhile;
    /// 120 if not given. What is slower than 1000 bytes a second for 30 seconds does not get on either
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// None of several is chosen.
    #[arg(skip)]
    all_machines: bool,
}

impl RegistryOptions {
    /// The machines that were asked for.
    pub(crate) fn platform(&self) -> Option<&PlatformName> {
        self.platform.as_ref()
    }

    /// The same options, and no choice among several images.
    pub(crate) fn for_all_machines(&self) -> Self {
        Self { all_machines: true, ..self.clone() }
    }

    /// The same options for these machines.
    pub(crate) fn for_machines(&self, platform: PlatformName) -> Self {
        Self { platform: Some(platform), ..self.clone() }
    }

    /// Whether certificates are verified, if that was said.
    fn tls_verify(&self) -> Option<bool> {
        if self.insecure_skip_tls_verification { Some(false) } else { self.tls_verify }
    }

    /// How long servers and helpers may take.
    fn limits(&self) -> Limits {
        let limits = Limits::default();
        self.timeout.map_or(limits, |secs| limits.with_patience(Duration::from_secs(secs)))
    }
}

/// Reads the name of an image. Without a transport it lies in a registry.
pub(crate) fn parse_image(text: &str) -> Result<ImageReference, ParseError> {
    // It would be read as the name of a host.
    if let Some((scheme, _)) = text.split_once(':')
        && OstreeImageReference::SCHEMES.contains(&scheme)
    {
        let why = format!("'{scheme}:' does not belong here: nobody has to vouch for the image");
        return Err(ParseError::invalid("image reference", 0, why));
    }
    let has_transport = text.starts_with("registry:")
        || text.starts_with("docker:")
        || Transport::ALL.iter().any(|transport| text.starts_with(transport.prefix()));
    if has_transport { text.parse() } else { ImageReference::new(Transport::Registry, text) }
}

fn credentials(text: &str) -> anyhow::Result<(String, String)> {
    let (user, password) = text.split_once(':').context("no ':' in it")?;
    Ok((user.to_owned(), password.to_owned()))
}

/// An image that was opened, and what it is called for people and policies.
pub(crate) struct Opened {
    /// Where its manifest and blobs come from: one image for one machine, unless all were asked for.
    pub(crate) source: Box<dyn ImageSource>,
    /// The client of the registry, if it comes from one.
    pub(crate) repository: Option<(RepositoryName, crate::net::registry::Registry)>,
    /// What it was opened as.
    pub(crate) reference: ImageReference,
    /// Where it lies on disk, after all links: by this path it was opened, and by this one it is judged.
    pub(crate) path: Option<PathBuf>,
}

/// Opens an image to be read.
pub(crate) fn open(
    reference: &ImageReference,
    options: &RegistryOptions,
    ctx: &Ctx,
) -> anyhow::Result<Opened> {
    let (mut repository, mut path) = (None, None);
    let source: Box<dyn ImageSource> = match reference.transport() {
        Transport::Registry => {
            let access = Access::load(options, ctx)?;
            let name = access.name(reference.name())?;
            let image = RegistryImage::open(&access.pull_places(&name)?, &name, ctx)?;
            repository = Some((name, image.registry().clone()));
            Box::new(image)
        }
        _ => {
            let given = reference.path_and_tag().map_or(reference.name(), |(path, _)| path);
            // What cannot be found is told by who opens it.
            let real = fs::canonicalize(given).unwrap_or_else(|_| given.into());
            let source = Located::new(open_local(reference, &real, ctx)?, reference.to_string());
            path = Some(real);
            Box::new(source)
        }
    };
    let source = match options.all_machines {
        true => source,
        false => Box::new(OnePlatform::new(source, options.platform.clone().unwrap_or_default())),
    };
    Ok(Opened { source, repository, reference: reference.clone(), path })
}

/// Opens an image on disk.
fn open_local(reference: &ImageReference, path: &Path, ctx: &Ctx) -> anyhow::Result<Box<dyn ImageSource>> {
    let place = || reference.to_string();
    let archive = || open_archive(path, ctx).with_context(place);
    Ok(match (reference.transport(), reference.path_and_tag()) {
        (Transport::OciDir, Some((_, tag))) => {
            Box::new(OciLayout::open(open_dir(path)?, tag).with_context(place)?)
        }
        (Transport::OciArchive, Some((_, tag))) => {
            Box::new(OciArchive::open(archive()?, tag).with_context(place)?)
        }
        (Transport::DockerArchive, Some((_, tag))) => {
            Box::new(DockerArchive::open(archive()?, tag).with_context(place)?)
        }
        (Transport::Dir, Some(_)) => Box::new(DirImage::open(open_dir(path)?).with_context(place)?),
        _ => bail!("{reference}: images of {} cannot be read", reference.transport()),
    })
}

impl Opened {
    /// The image, if the policy lets it in. What it judged is what is used from now on.
    pub(crate) fn admit(&self, demand: Demand, ctx: &Ctx) -> anyhow::Result<Admitted<'_>> {
        trust::admit(self, demand, ctx)
    }
}

/// An image to be written.
pub(crate) enum Dest {
    /// A layout.
    Layout(OciLayout),
    /// An archive of one.
    Archive(OciArchiveWriter),
    /// A plain directory.
    Dir(DirImage),
    /// What `docker load` reads.
    Docker(DockerArchiveWriter),
    /// A registry.
    Registry(RegistryDest),
}

impl Dest {
    /// Opens an image to be written. `mount_from` is a registry's repository that has its blobs, perhaps.
    pub(crate) fn create(
        reference: &ImageReference,
        options: &RegistryOptions,
        mount_from: Option<&RepositoryName>,
        ctx: &Ctx,
    ) -> anyhow::Result<Self> {
        let make_dir = |path: &str| -> anyhow::Result<Dir> {
            fs::create_dir_all(path).with_context(|| format!("Creating {path}"))?;
            open_dir(Path::new(path))
        };
        Ok(match (reference.transport(), reference.path_and_tag()) {
            (Transport::OciDir, Some((path, tag))) => {
                let layout = OciLayout::create(make_dir(path)?, tag);
                Self::Layout(layout.with_context(|| format!("Creating {path}"))?)
            }
            (Transport::OciArchive, Some((path, tag))) => {
                let (dir, name) = parent(path)?;
                let writer = OciArchiveWriter::create(&dir, &name, tag);
                Self::Archive(writer.with_context(|| format!("Creating {path}"))?)
            }
            (Transport::DockerArchive, Some((path, tag))) => {
                let (dir, name) = parent(path)?;
                let writer = DockerArchiveWriter::create(&dir, &name, tag);
                Self::Docker(writer.with_context(|| format!("Creating {path}"))?)
            }
            (Transport::Dir, Some((path, _))) => {
                let image = DirImage::create(make_dir(path)?);
                Self::Dir(image.with_context(|| format!("Creating {path}"))?)
            }
            (Transport::Registry, _) => {
                let access = Access::load(options, ctx)?;
                let name = access.name(reference.name())?;
                if let Some(digest) = name.digest {
                    bail!("an image is pushed to a tag, not to the digest {digest}");
                }
                let mount_from =
                    mount_from.filter(|from| from.host == name.host).map(|from| from.path.clone());
                let place = access.push_place(&name)?;
                Self::Registry(RegistryDest::open(&place, &name, mount_from.as_slice(), ctx)?)
            }
            _ => bail!("{reference}: images cannot be written to {}", reference.transport()),
        })
    }

    /// Where blobs and the manifest go.
    pub(crate) fn image(&self) -> &dyn ImageDest {
        match self {
            Self::Layout(dest) => dest,
            Self::Archive(dest) => dest,
            Self::Dir(dest) => dest,
            Self::Docker(dest) => dest,
            Self::Registry(dest) => dest,
        }
    }

    /// The kind of manifest that can be kept there: layouts hold those of OCI only.
    pub(crate) fn format(&self) -> ManifestFormat {
        match self {
            Self::Layout(_) | Self::Archive(_) => ManifestFormat::Oci,
            Self::Dir(_) | Self::Docker(_) | Self::Registry(_) => ManifestFormat::AsItIs,
        }
    }

    /// Lets the image appear, once its manifest with this digest is there.
    pub(crate) fn finish(self, digest: Digest) -> anyhow::Result<Digest> {
        match self {
            Self::Archive(archive) => archive.finish()?,
            Self::Docker(archive) => archive.finish()?,
            Self::Layout(_) | Self::Dir(_) | Self::Registry(_) => {}
        }
        Ok(digest)
    }
}

/// What went wrong while an image was written to `dest`, which is named if there is no more room at it.
pub(crate) fn writing(dest: &ImageReference) -> impl FnOnce(container::image::Error) -> anyhow::Error {
    let dest = dest.clone();
    move |error| match &error {
        container::image::Error::Io { source, .. }
            if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
        {
            let path = dest.path_and_tag().map(|(path, _)| path.into());
            let place = format!("Writing {dest}");
            anyhow::Error::new(error).context(Writing { place, path, kept: Kept::Nothing })
        }
        _ => error.into(),
    }
}

fn open_dir(path: &Path) -> anyhow::Result<Dir> {
    Dir::open_ambient_dir(path, ambient_authority()).with_context(|| format!("opendir({})", path.display()))
}

/// Opens an archive, which is read in any order: it can be no pipe, and none is waited for. One that is compressed is
/// decompressed into a file without a name in TMPDIR, or else in /var/tmp, as podman does.
fn open_archive(path: &Path, ctx: &Ctx) -> anyhow::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let (opened, shown) = (File::options().read(true).custom_flags(flags).open(path), path.display());
    let file = opened.with_context(|| format!("Opening {shown}"))?;
    if !file.metadata().with_context(|| format!("stat({shown})"))?.is_file() {
        bail!("Opening {shown}: it is not a regular file");
    }
    let spool = || tempfile::tempfile_in(files::variable("TMPDIR").unwrap_or_else(|| "/var/tmp".to_owned()));
    Ok(container::place::plain_archive(file, spool, ctx)?)
}

/// The directory that a file lies in, and its name there.
fn parent(path: &str) -> anyhow::Result<(Dir, PathBuf)> {
    let path = Path::new(path);
    let dir = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let name = path.file_name().with_context(|| format!("{} is no file name", path.display()))?;
    Ok((open_dir(dir.unwrap_or(Path::new(".")))?, name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_place_is_named() {
        let dest = parse_image("oci:image:x").unwrap();
        for (kind, named) in [(ErrorKind::StorageFull, true), (ErrorKind::NotFound, false)] {
            let error =
                container::image::Error::Io { op: "write", path: "layer".into(), source: kind.into() };
            assert_eq!(writing(&dest)(error).to_string() == "Writing oci:image:x", named);
        }
    }
}
