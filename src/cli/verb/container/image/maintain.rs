//! `container image remove | prune-layers | prune-images`: takes away what is not needed.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::cli::locate;
use crate::cli::terminal::{Session, size};
use crate::cli::verb::Common;
use crate::container::image::{ImageReference, OstreeImageReference};
use crate::container::store;
use crate::format::keyfile::KeyFile;
use crate::repo::prune::{Action, PruneOptions, Roots, Scope};
use crate::store::Depth;

/// Arguments of `container image remove`.
#[derive(clap::Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    common: Common,
    /// Keep the layers
    #[arg(long)]
    skip_gc: bool,
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<super::super::Image>,
}

/// Arguments of `container image prune-layers`.
#[derive(clap::Args)]
pub(crate) struct PruneLayersArgs {
    #[command(flatten)]
    common: Common,
}

/// Arguments of `container image prune-images`.
#[derive(clap::Args)]
pub(crate) struct PruneImagesArgs {
    /// The root of the system, which has the deployments and the repository
    #[arg(long, value_name = "PATH", default_value = "/")]
    sysroot: PathBuf,
    /// Take away layers, too
    #[arg(long)]
    and_layers: bool,
    /// Take away layers and objects, too
    #[arg(long, conflicts_with = "and_layers")]
    full: bool,
}

/// Removes images; all that are there, also if one is not.
pub(super) fn remove(args: &RemoveArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let txn = locate::begin(&repo, &session.ctx)?;
    let mut missing = Vec::new();
    for image in args.images.iter().map(|image| &image.reference) {
        if !store::remove(&txn, image)? {
            missing.push(image.to_string());
        }
    }
    let layers = if args.skip_gc { None } else { Some(store::prune_layers(&txn)?) };
    locate::commit(txn, &session.ctx)?;
    write!(session.out, "Removed images: {}", args.images.len() - missing.len())?;
    match layers {
        Some(layers) => writeln!(session.out, " layers: {layers}")?,
        None => writeln!(session.out)?,
    }
    session.out.flush()?;
    match &missing[..] {
        [] => Ok(()),
        missing => bail!("Missing images: {}", missing.join(" ")),
    }
}

/// Removes layers that no image needs.
pub(super) fn prune_layers(args: &PruneLayersArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let txn = locate::begin(&repo, &session.ctx)?;
    let layers = store::prune_layers(&txn)?;
    locate::commit(txn, &session.ctx)?;
    Ok(writeln!(session.out, "Removed layers: {layers}")?)
}

/// Removes images that no deployment was made of.
pub(super) fn prune_images(args: &PruneImagesArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = locate::open(&args.sysroot.join("ostree/repo"))?;
    let deployed = deployed_images(&args.sysroot)?;
    let txn = locate::begin(&repo, &session.ctx)?;
    let removed = store::prune_images(&txn, &deployed)?;
    let layers = if args.and_layers || args.full { store::prune_layers(&txn)? } else { 0 };
    locate::commit(txn, &session.ctx)?;
    let out = &mut session.out;
    if removed.is_empty() && !args.full {
        writeln!(out, "No unreferenced images.")?;
    }
    removed.iter().try_for_each(|image| writeln!(out, "Removed: {image}"))?;
    if args.and_layers || args.full {
        writeln!(out, "Removed layers: {layers}")?;
    }
    if args.full {
        let roots = Roots::Refs(Depth::Parents(0));
        let options = PruneOptions { roots, scope: Scope::Everything, action: Action::Delete };
        let stats = repo.prune(&options, &session.ctx)?;
        writeln!(session.out, "Removed objects: {}", stats.deleted_objects)?;
        writeln!(session.out, "Freed: {}", size(stats.freed_bytes))?;
    }
    Ok(())
}

/// The images that deployments were made of: `ostree/deploy/NAME/deploy/COMMIT.N.origin` say so.
fn deployed_images(sysroot: &Path) -> anyhow::Result<BTreeSet<ImageReference>> {
    let mut images = BTreeSet::new();
    for stateroot in entries(&sysroot.join("ostree/deploy"))? {
        for path in entries(&stateroot.join("deploy"))? {
            if path.extension().is_none_or(|extension| extension != "origin") {
                continue;
            }
            let shown = || format!("Reading {}", path.display());
            let origin = KeyFile::parse(&fs::read(&path).with_context(shown)?).with_context(shown)?;
            if let Some(text) = origin.get_string("origin", "container-image-reference")? {
                let reference: OstreeImageReference = text.parse().with_context(shown)?;
                images.insert(reference.image);
            }
        }
    }
    Ok(images)
}

/// What is in a directory; nothing if there is no such directory.
fn entries(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("Reading {}", path.display())),
    }
}
