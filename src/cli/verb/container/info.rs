//! `container info`: what an image is, without pulling it.

use std::io::Write;

use super::Image;
use crate::cli::images::{self, RegistryOptions};
use crate::cli::terminal::Session;
use crate::container;

/// Arguments of `container info`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    registry: RegistryOptions,
    /// Print its manifest, configuration and labels as one JSON object
    #[arg(long)]
    json: bool,
    /// Say what is being done
    #[arg(short, long)]
    verbose: bool,
    /// The image
    image: Image,
}

/// Prints the digest.
pub(super) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let opened = images::open(&args.image.reference, &args.registry, &session.ctx)?;
    if !args.json {
        let digest = container::image::ImageSource::manifest(opened.source())?.digest;
        return Ok(writeln!(session.out, "{} digest: {digest}", args.image)?);
    }
    let image = container::image::Image::fetch(opened.source(), &Default::default())?;
    let json = serde_json::json!({
        "image": args.image.to_string(),
        "manifest_digest": image.digest.to_string(),
        "manifest": serde_json::from_slice::<serde_json::Value>(&image.documents.manifest)?,
        "config": serde_json::from_slice::<serde_json::Value>(&image.documents.config)?,
    });
    session.out.json(&json)
}
