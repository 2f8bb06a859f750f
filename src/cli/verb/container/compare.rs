//! `container compare`: which layers two images share, and what it takes to get from one to the other.

use std::io::Write;

use oci_spec::image::{Descriptor, ImageManifest};

use super::Image;
use crate::cli::images::{self, RegistryOptions};
use crate::cli::terminal::{Session, size};
use crate::container;
use crate::container::diff::LayersDiff;

/// Arguments of `container compare`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    registry: RegistryOptions,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Say what is being done
    #[arg(short, long)]
    verbose: bool,
    /// An image
    old: Image,
    /// A newer one
    new: Image,
}

/// Compares.
pub(super) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let fetch = |image: &Image, session: &Session| -> anyhow::Result<ImageManifest> {
        let opened = images::open(&image.reference, &args.registry, &session.ctx)?;
        Ok(container::image::Image::fetch(opened.source(), &Default::default())?.manifest)
    };
    let (old, new) = (fetch(&args.old, session)?, fetch(&args.new, session)?);
    let LayersDiff { added, removed, .. } = LayersDiff::between(old.layers(), new.layers());
    let bytes = LayersDiff::bytes;
    let all: u64 = new.layers().iter().map(|layer| layer.size()).sum();
    let total = new.layers().len();
    if args.json {
        let digests =
            |layers: &[Descriptor]| layers.iter().map(|l| l.digest().to_string()).collect::<Vec<_>>();
        let json = serde_json::json!({
            "layers": total, "bytes": all,
            "added": digests(&added), "added_bytes": bytes(&added),
            "removed": digests(&removed), "removed_bytes": bytes(&removed),
        });
        return session.out.json(&json);
    }
    let out = &mut session.out;
    writeln!(out, "Total new layers: {total:<4}  Size: {}", size(all))?;
    writeln!(out, "Removed layers:   {:<4}  Size: {}", removed.len(), size(bytes(&removed)))?;
    Ok(writeln!(out, "Added layers:     {:<4}  Size: {}", added.len(), size(bytes(&added)))?)
}
