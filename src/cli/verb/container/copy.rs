//! `container copy`: a container image from any place to any other.

use std::io::Write;

use serde::Serialize;

use crate::cli::images::{self, RegistryOptions};
use crate::cli::terminal::{self, BarOptions, Session};
use crate::container::image::ImageReference;
use crate::container::place::{self, CopyOptions, Images};
use crate::host::{Demand, IndexChoice, parse_image};

/// Arguments of `container copy`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    bars: BarOptions,
    /// Copy every image of an index, and the index, instead of the image for one kind of machine
    #[arg(short, long, conflicts_with = "platform")]
    all: bool,
    /// Leave GPG signatures of the image behind; they are copied to dir: otherwise, as long as its manifest stays as
    /// it is
    #[arg(long)]
    remove_signatures: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Say what is being done
    #[arg(short, long)]
    verbose: bool,
    /// docker://HOST/PATH[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], dir:DIR,
    /// docker-archive:FILE[:NAME], containers-storage:NAME
    #[arg(value_parser = parse_image)]
    source: ImageReference,
    /// The place to copy to, in any of the forms of the source but the last
    #[arg(value_parser = parse_image)]
    dest: ImageReference,
}

#[derive(Serialize)]
struct Json {
    manifest_digest: String,
    blobs_sent: u64,
    blobs_reused: u64,
    bytes_sent: u64,
}

/// Does what the arguments ask for.
pub(super) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let (which, registry) = match args.all {
        true => (Images::All, args.registry.choosing(IndexChoice::All)),
        false => (Images::One, args.registry.clone()),
    };
    let opened = images::open(&args.source, &registry, &session.ctx)?;
    let image = opened.admit(Demand::AsPolicySays, &session.ctx)?;
    let mount_from = opened.repository_name();
    let dest = images::create(&args.dest, &args.registry, mount_from.as_slice(), &session.ctx)?;
    let signatures = match args.remove_signatures {
        true => Vec::new(),
        false => opened.gpg_signatures(image.raw_manifest().digest, &session.ctx)?,
    };
    let options = CopyOptions { format: dest.format(), signatures, images: which };
    let copied =
        place::copy(&image, dest.dest(), &options, &session.ctx).map_err(images::writing(&args.dest))?;
    let digest = dest.finish(copied.manifest)?;
    if copied.signatures_lost > 0 && !args.bars.quiet {
        terminal::say(format_args!(
            "GPG signatures that cannot be kept at {}: {}",
            args.dest, copied.signatures_lost
        ));
    }
    if args.json {
        let json = Json {
            manifest_digest: digest.to_string(),
            blobs_sent: copied.sent,
            blobs_reused: copied.reused,
            bytes_sent: copied.sent_bytes,
        };
        return session.out.json(&json);
    }
    Ok(writeln!(session.out, "{digest}")?)
}
