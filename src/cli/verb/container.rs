//! `container …`: commits as container images, and back.

pub(super) mod build;
mod compare;
mod convert;
mod copy;
mod delta;
mod diff;
mod encapsulate;
mod image;
mod info;
mod prepare;
pub(super) mod pull;
pub(super) mod update;
pub(super) mod upgrade;
pub(super) mod vouch;

use std::str::FromStr;

use crate::cli::terminal::Session;
use crate::container::image::{ImageReference, OstreeImageReference, SignatureSource};
use crate::host::parse_image;
use crate::tar::Var;

/// The verbs below `container`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Make a container image of a commit
    Build(Box<build::Args>),
    /// Take the commit out of a container image
    Pull(Box<pull::Args>),
    /// Make a commit that boots of a container image that was never ostree's
    Convert(Box<convert::Args>),
    /// Copy a container image from any place to any other
    Copy(Box<copy::Args>),
    /// Keep container images with all their layers in a repository
    #[command(subcommand)]
    Image(Box<image::Verb>),
    /// Make a container image of a commit, with the arguments of ostree-ext
    #[command(alias = "export")]
    Encapsulate(Box<encapsulate::ExportArgs>),
    /// Take the commit out of a container image, with the arguments of ostree-ext
    #[command(alias = "import")]
    Unencapsulate(Box<encapsulate::ImportArgs>),
    /// Print the digest of a container image
    Info(Box<info::Args>),
    /// Compare the layers of two container images
    Compare(Box<compare::Args>),
    /// Tell what differs between two container images without pulling them: layers, files, packages
    Diff(Box<diff::Args>),
    /// Deltas: a newer image as what changes in an older one
    #[command(subcommand)]
    Delta(Box<delta::Verb>),
    /// Take away what must not be in an image, as the last step of its build
    Commit(prepare::Args),
}

/// An image, and who vouches for it if that was said.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    signature: Option<SignatureSource>,
    pub(super) reference: ImageReference,
}

impl Image {
    /// The image, and who vouches for it.
    pub(super) fn of(OstreeImageReference { signature, image }: OstreeImageReference) -> Self {
        Self { signature: Some(signature), reference: image }
    }
}

impl FromStr for Image {
    type Err = crate::format::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("ostree-") && text.contains(':') {
            let OstreeImageReference { signature, image } = text.parse()?;
            return Ok(Self { signature: Some(signature), reference: image });
        }
        Ok(Self { signature: None, reference: parse_image(text)? })
    }
}

impl std::fmt::Display for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.signature.clone() {
            Some(signature) => OstreeImageReference { signature, image: self.reference.clone() }.fmt(f),
            None => self.reference.fmt(f),
        }
    }
}

/// What plain layers on top of a commit become.
#[derive(clap::Args)]
struct PlainLayers {
    /// Leave /var of plain layers where it is, for libostree since 2024.3; otherwise it goes to
    /// /usr/share/factory/var, unless the image was pulled with this option, or deployed, before
    #[arg(long)]
    keep_var: bool,
}

impl PlainLayers {
    fn var(&self) -> Var {
        if self.keep_var { Var::Keep } else { Var::Factory }
    }
}

/// Does what the arguments ask for.
pub(crate) fn run(verb: &Verb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        Verb::Build(args) => build::run(args, session),
        Verb::Pull(args) => pull::run(args, session),
        Verb::Convert(args) => convert::run(args, session),
        Verb::Copy(args) => copy::run(args, session),
        Verb::Image(verb) => image::run(verb, session),
        Verb::Encapsulate(args) => encapsulate::export(args, session),
        Verb::Unencapsulate(args) => encapsulate::import(args, session),
        Verb::Info(args) => info::run(args, session),
        Verb::Compare(args) => compare::run(args, session),
        Verb::Diff(args) => diff::run(args, session),
        Verb::Delta(verb) => delta::run(verb, session),
        Verb::Commit(args) => prepare::run(args),
    }
}
