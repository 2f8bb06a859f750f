//! The options that say how images are opened, and what is said when that fails.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::base::{Ctx, ErrorKind, Kind, WithCauses};
use crate::cli::room::{Kept, Writing};
use crate::container;
use crate::container::image::{ImageReference, PlatformName, RepositoryName, Transport};
use crate::host::{Error, ImageOptions, IndexChoice, Machine, NewImage, OpenedImage, RegistryUser};
use crate::net::{Limits, TlsVerify};

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
    /// ostree-ext's name for --tls-verify=false
    #[arg(long, conflicts_with = "tls_verify")]
    insecure_skip_tls_verification: bool,
    /// The machines that an image is for, to choose one of several or to describe a new one:
    /// OS/ARCHITECTURE[/VARIANT]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<PlatformName>,
    /// Give up on a registry, or a credential helper, after this time without progress, whatever was tried meanwhile;
    /// 120 if not given. Less than 1000 bytes a second for 30 seconds is no progress
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// The choice among several images, where the command makes it and not the user.
    #[arg(skip)]
    which: Option<IndexChoice>,
}

impl RegistryOptions {
    /// The machines that were asked for.
    pub(crate) fn platform(&self) -> Option<&PlatformName> {
        self.platform.as_ref()
    }

    /// These options with another choice among several images.
    pub(crate) fn choosing(&self, which: IndexChoice) -> Self {
        Self { which: Some(which), ..self.clone() }
    }

    /// What the library is told.
    fn options(&self) -> ImageOptions {
        let who = match (&self.creds, self.auth_anonymous) {
            (_, true) => RegistryUser::Anonymous,
            (Some((user, password)), _) => {
                RegistryUser::User { user: user.clone(), password: password.clone() }
            }
            (None, _) => RegistryUser::AsConfigured,
        };
        let tls_verify = if self.insecure_skip_tls_verification { Some(false) } else { self.tls_verify };
        let asked_for = || self.platform.clone().map(IndexChoice::Of);
        let limits = Limits::default();
        ImageOptions {
            authfile: self.authfile.clone(),
            who,
            cert_dir: self.cert_dir.clone(),
            tls_verify: tls_verify.map(|verify| if verify { TlsVerify::Yes } else { TlsVerify::No }),
            which: self.which.clone().or_else(asked_for).unwrap_or_default(),
            limits: self.timeout.map_or(limits, |secs| limits.with_patience(Duration::from_secs(secs))),
        }
    }
}

fn credentials(text: &str) -> anyhow::Result<(String, String)> {
    let (user, password) = text.split_once(':').context("no ':' in it")?;
    Ok((user.to_owned(), password.to_owned()))
}

/// Opens an image to be read.
pub(crate) fn open(
    reference: &ImageReference,
    options: &RegistryOptions,
    ctx: &Ctx,
) -> anyhow::Result<OpenedImage> {
    Machine::from_env().open_image(reference, &options.options(), ctx).map_err(said)
}

/// Opens whatever has this name, for every kind of machine; `None` if nothing has it yet.
pub(crate) fn open_if_present(
    reference: &ImageReference,
    options: &RegistryOptions,
    ctx: &Ctx,
) -> anyhow::Result<Option<OpenedImage>> {
    let is_missing = |error: &Error| match error {
        Error::Image(error) => error.kind() == ErrorKind::Missing,
        Error::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => false,
    };
    let dir = reference.path_and_tag().filter(|_| reference.transport() == Transport::OciDir);
    if dir.is_some_and(|(path, _)| !Path::new(path).join("index.json").exists()) {
        return Ok(None);
    }
    let opened =
        Machine::from_env().open_image(reference, &options.choosing(IndexChoice::All).options(), ctx);
    let found = opened.and_then(|opened| opened.source().manifest().map(|_| opened).map_err(Error::from));
    match found {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(said(error)),
    }
}

/// Opens an image to be written. `mount_from` are repositories of registries that have its blobs, perhaps.
pub(crate) fn create(
    reference: &ImageReference,
    options: &RegistryOptions,
    mount_from: &[&RepositoryName],
    ctx: &Ctx,
) -> anyhow::Result<NewImage> {
    Machine::from_env().create_image(reference, &options.options(), mount_from, ctx).map_err(said)
}

/// Puts an error of the library into the words of the command line.
fn said(error: Error) -> anyhow::Error {
    match &error {
        Error::NoCertificateDirectory(dir) => anyhow!("--cert-dir {}: no such directory", dir.display()),
        Error::ShortName { name, .. } | Error::ImageName { name, .. } => {
            match (unknown_transport(name), here(name)) {
                (Some(text), _) => anyhow!(text),
                (None, Some(here)) => anyhow!("{}; {here}", WithCauses(&error)),
                (None, None) => error.into(),
            }
        }
        _ => error.into(),
    }
}

/// Transports that podman or skopeo has and this program does not.
const TRANSPORTS_ELSEWHERE: [&str; 4] = ["atomic", "ostree", "sif", "tarball"];

/// What to say of `ocii:x`, which would be an image called `ocii` if there were one.
fn unknown_transport(text: &str) -> Option<String> {
    let (word, _) = text.split_once(':')?;
    if TRANSPORTS_ELSEWHERE.contains(&word) {
        let known = Transport::ALL.map(|transport| transport.prefix()).join(", ");
        return Some(format!("the transport {word:?} is not known here: there are {known}"));
    }
    let distance =
        |prefix: &str| strsim::osa_distance(word, prefix.trim_end_matches("//").trim_end_matches(':'));
    let nearest =
        Transport::ALL.map(|transport| transport.prefix()).into_iter().min_by_key(|prefix| distance(prefix));
    let nearest = nearest.filter(|prefix| distance(prefix) <= 2)?;
    Some(format!("unknown transport {word:?}: did you mean {nearest}?"))
}

/// What to say of `path` or `path:tag`, which stands for an image of a registry though it is one on this disk.
fn here(text: &str) -> Option<String> {
    let path = Path::new(text.split_once(':').map_or(text, |(path, _)| path));
    match path.is_file() {
        true => Some(format!("for the file that is here write oci-archive:{text} or docker-archive:{text}")),
        false => {
            path.join("index.json").exists().then(|| format!("for the layout that is here write oci:{text}"))
        }
    }
}

/// What went wrong while an image was written to `dest`, which is named if there is no more room at it, or its file system
/// fails.
pub(crate) fn writing(dest: &ImageReference) -> impl FnOnce(container::image::Error) -> anyhow::Error {
    let dest = dest.clone();
    move |error| {
        let is_of_dest = matches!(error, container::image::Error::Io { op: "sync" | "rename to", .. });
        if !is_of_dest && error.kind() != ErrorKind::Exhausted {
            return error.into();
        }
        let path = dest.path_and_tag().map(|(path, _)| path.into());
        let place = format!("Writing {dest}");
        anyhow::Error::new(error).context(Writing { place, path, kept: Kept::Nothing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::parse_image;

    #[test]
    fn transports_that_were_meant() {
        let said = |text| unknown_transport(text);
        assert_eq!(said("ocii:o1").as_deref(), Some("unknown transport \"ocii\": did you mean oci:?"));
        assert_eq!(
            said("dokcer:x").as_deref(),
            Some("unknown transport \"dokcer\": did you mean docker://?")
        );
        assert!(said("tarball:x.tar").is_some_and(|text| text.contains("\"tarball\" is not known here")));
        assert_eq!(said("debian:12"), None);
        assert_eq!(said("busybox"), None);
    }

    #[test]
    fn a_place_that_takes_no_more_is_named() {
        let dest = parse_image("oci:image:x").unwrap();
        for (op, kind, named) in [
            ("write", io::ErrorKind::StorageFull, true),
            ("sync", io::ErrorKind::Other, true),
            ("open", io::ErrorKind::NotFound, false),
        ] {
            let error = container::image::Error::Io { op, path: "layer".into(), source: kind.into() };
            assert_eq!(writing(&dest)(error).to_string() == "Writing oci:image:x", named);
        }
    }
}
