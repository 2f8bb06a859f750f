//! `container image …`: images with all their layers, kept in a repository as ostree-ext keeps them.

mod maintain;
mod pull;
mod show;

use std::path::PathBuf;

use crate::cli::images::parse_image;
use crate::cli::locate;
use crate::cli::terminal::Session;
use crate::cli::verb::Common;
use crate::container::ImageReference;
use crate::container::store;

/// The verbs below `container image`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// List the images that were pulled
    List(show::ListArgs),
    /// Pull an image, or what is new of it
    Pull(Box<pull::Args>),
    /// Show the layers of an image and how they were made
    History(show::ImageArgs),
    /// Print the manifest of an image, or its configuration
    Metadata(show::MetadataArgs),
    /// Copy an image from one repository to another
    Copy(CopyArgs),
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
    #[arg(long, value_name = "PATH")]
    src_repo: PathBuf,
    /// The repository that gets it
    #[arg(long, value_name = "PATH")]
    dest_repo: PathBuf,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    /// The image
    image: super::Image,
    /// What it is called in the other repository
    #[arg(value_parser = parse_image)]
    name: Option<ImageReference>,
}

/// Does what the arguments ask for.
pub(super) fn run(verb: &Verb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        Verb::List(args) => show::list(args, session),
        Verb::Pull(args) => pull::run(args, session),
        Verb::History(args) => show::history(args, session),
        Verb::Metadata(args) => show::metadata(args, session),
        Verb::Copy(args) => copy(args, session),
        Verb::Remove(args) => maintain::remove(args, session),
        Verb::PruneLayers(args) => maintain::prune_layers(args, session),
        Verb::PruneImages(args) => maintain::prune_images(args, session),
        Verb::ClearCachedUpdate(args) => show::clear_cached_update(args, session),
    }
}

fn copy(args: &CopyArgs, session: &mut Session) -> anyhow::Result<()> {
    let (from, to) = (locate::open(&args.src_repo)?, locate::open(&args.dest_repo)?);
    let name = &args.image.reference;
    let txn = to.begin(&session.ctx)?;
    store::copy(&from, name, &txn, args.name.as_ref().unwrap_or(name), &session.ctx)?;
    txn.commit(&session.ctx)?;
    Ok(())
}

/// Arguments of every verb about one image of a repository.
#[derive(clap::Args)]
pub(crate) struct OneImage {
    #[command(flatten)]
    common: Common,
    /// The image, as it was called when it was pulled
    image: super::Image,
}
