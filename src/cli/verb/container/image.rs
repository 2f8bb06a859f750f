//! `container image …`: images with all their layers, kept in a repository as ostree-ext keeps them.

mod deploy;
mod maintain;
mod pull;
mod show;
mod upgrade;

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;

use super::build::compression;
use crate::cli::images::{self, RegistryOptions};
use crate::cli::locate;
use crate::cli::terminal::{BarOptions, Session};
use crate::cli::verb::Common;
use crate::container::image::{Compression, ImageReference};
use crate::container::{self, store};
use crate::host::{Demand, parse_image};

/// The verbs below `container image`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// List the images that were pulled
    List(show::ListArgs),
    /// Pull an image, or what is new of it
    Pull(Box<pull::Args>),
    /// Pull an image into a sysroot and let the machine boot it next
    Deploy(Box<deploy::Args>),
    /// Let the machine boot what its image is now
    Upgrade(Box<upgrade::UpgradeArgs>),
    /// Let the machine boot another image, from which later upgrades come, too
    Switch(Box<upgrade::SwitchArgs>),
    /// Show the layers of an image and how they were made
    History(show::ImageArgs),
    /// Print the manifest of an image, or its configuration
    Metadata(show::MetadataArgs),
    /// Copy an image from one repository to another
    Copy(CopyArgs),
    /// Make an image of a pulled one again, with the same layers
    Reexport(Box<ReexportArgs>),
    /// Copy an image with other detached metadata of its commit, such as a signature made later
    ReplaceDetachedMetadata(Box<ReplaceArgs>),
    /// Take away images, and the layers that no other image needs
    Remove(maintain::RemoveArgs),
    /// Take away layers that no image needs
    PruneLayers(maintain::PruneLayersArgs),
    /// Take away images that no deployment needs
    PruneImages(maintain::PruneImagesArgs),
    /// Forget the update that was seen of an image
    ClearCachedUpdate(show::ImageArgs),
}

/// Arguments of `container image copy`.
#[derive(clap::Args)]
pub(crate) struct CopyArgs {
    /// The repository that has the image
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::DirPath)]
    src_repo: PathBuf,
    /// The repository that gets it
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::DirPath)]
    dest_repo: PathBuf,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    /// The image
    image: super::Image,
    /// What it is called in the other repository
    name: Option<super::Image>,
}

/// Arguments of `container image reexport`.
#[derive(clap::Args)]
pub(crate) struct ReexportArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    _bars: BarOptions,
    /// How layers are compressed: gzip, zstd, zstd:chunked or none, with a level if you like: zstd:19. In a
    /// docker-archive zstd becomes gzip, which every docker reads
    #[arg(long, value_name = "METHOD", default_value = "gzip", value_parser = compression)]
    compression: Compression,
    /// Compress as fast as possible, like --compression=gzip:1
    #[arg(long, conflicts_with = "compression")]
    compression_fast: bool,
    /// The image, as it was called when it was pulled
    source: super::Image,
    /// Where the new one goes
    #[arg(value_parser = parse_image)]
    dest: ImageReference,
}

/// Arguments of `container image replace-detached-metadata`.
#[derive(clap::Args)]
pub(crate) struct ReplaceArgs {
    /// The image
    #[arg(long, value_name = "IMAGE", value_parser = parse_image)]
    src: ImageReference,
    /// Where the new one goes
    #[arg(long, value_name = "IMAGE", value_parser = parse_image)]
    dest: ImageReference,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    _bars: BarOptions,
    /// A file with the metadata, a serialized a{sv} as in .commitmeta objects [default: none at all]
    contents: Option<PathBuf>,
}

/// Does what the arguments ask for.
pub(super) fn run(verb: &Verb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        Verb::List(args) => show::list(args, session),
        Verb::Pull(args) => pull::run(args, session),
        Verb::Deploy(args) => deploy::run(args, session),
        Verb::Upgrade(args) => upgrade::upgrade(args, session),
        Verb::Switch(args) => upgrade::switch(args, session),
        Verb::History(args) => show::history(args, session),
        Verb::Metadata(args) => show::metadata(args, session),
        Verb::Copy(args) => copy(args, session),
        Verb::Reexport(args) => reexport(args, session),
        Verb::ReplaceDetachedMetadata(args) => replace(args, session),
        Verb::Remove(args) => maintain::remove(args, session),
        Verb::PruneLayers(args) => maintain::prune_layers(args, session),
        Verb::PruneImages(args) => maintain::prune_images(args, session),
        Verb::ClearCachedUpdate(args) => show::clear_cached_update(args, session),
    }
}

fn copy(args: &CopyArgs, session: &mut Session) -> anyhow::Result<()> {
    let (from, to) = (locate::open(&args.src_repo)?, locate::open(&args.dest_repo)?);
    let name = &args.image.reference;
    let new_name = args.name.as_ref().map_or(name, |new| &new.reference);
    store::copy(&from, name, &to, new_name, &session.ctx).map_err(locate::writing(&to))
}

fn reexport(args: &ReexportArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let compression = if args.compression_fast { Compression::Gzip(1) } else { args.compression };
    let dest = images::create(&args.dest, &args.registry, &[], &session.ctx)?;
    let built = store::reexport(&repo, &args.source.reference, dest.dest(), compression, &session.ctx)
        .map_err(images::writing(&args.dest))?;
    let digest = dest.finish(built.manifest)?;
    Ok(writeln!(session.out, "Exported: {digest}")?)
}

fn replace(args: &ReplaceArgs, session: &mut Session) -> anyhow::Result<()> {
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("Reading {}", path.display()));
    let metadata = args.contents.as_ref().map(read).transpose()?;
    let opened = images::open(&args.src, &args.registry, &session.ctx)?;
    let image = opened.admit(Demand::AsPolicySays, &session.ctx)?;
    let mount_from = opened.repository_name();
    let dest = images::create(&args.dest, &args.registry, mount_from.as_slice(), &session.ctx)?;
    let new =
        container::build::replace_detached_metadata(&image, dest.dest(), metadata.as_deref(), &session.ctx)
            .map_err(images::writing(&args.dest))?;
    let digest = dest.finish(new)?;
    Ok(writeln!(session.out, "Pushed: {digest}")?)
}

/// Arguments of every verb about one image of a repository.
#[derive(clap::Args)]
pub(crate) struct OneImage {
    #[command(flatten)]
    common: Common,
    /// The image, as it was called when it was pulled
    image: super::Image,
}
