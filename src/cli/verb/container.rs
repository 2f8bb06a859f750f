//! `container …`: commits as container images, and back.

mod build;
mod copy;
mod pull;

use std::io::Write;
use std::str::FromStr;

use serde::Serialize;

use crate::cli::terminal::Session;
use crate::container::{Digest, ImageReference, OstreeImageReference, SignatureSource};
use crate::format::CommitId;

/// The verbs below `container`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Make a container image of a commit
    Build(Box<build::Args>),
    /// Take the commit out of a container image
    Pull(Box<pull::Args>),
    /// Copy a container image from any place to any other
    Copy(Box<copy::Args>),
}

/// An image, and who vouches for it if that was said.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) signature: Option<SignatureSource>,
    pub(super) reference: ImageReference,
}

impl FromStr for Image {
    type Err = crate::format::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("ostree-") {
            let OstreeImageReference { signature, image } = text.parse()?;
            return Ok(Self { signature: Some(signature), reference: image });
        }
        Ok(Self { signature: None, reference: text.parse()? })
    }
}

#[derive(Serialize)]
struct Json {
    commit: String,
    manifest_digest: String,
}

/// Does what the arguments ask for.
pub(crate) fn run(verb: &Verb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        Verb::Build(args) => build::run(args, session),
        Verb::Pull(args) => pull::run(args, session),
        Verb::Copy(args) => copy::run(args, session),
    }
}

fn print(
    json: bool,
    commit: &CommitId,
    digest: &Digest,
    short: &dyn std::fmt::Display,
    session: &mut Session,
) -> anyhow::Result<()> {
    if json {
        let json = Json { commit: commit.to_string(), manifest_digest: digest.to_string() };
        serde_json::to_writer(&mut session.out, &json)?;
        return Ok(writeln!(session.out)?);
    }
    Ok(writeln!(session.out, "{short}")?)
}
