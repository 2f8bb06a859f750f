//! `container image list | history | metadata | clear-cached-update`: what is known of the images.

use std::io::Write;

use serde::Serialize;

use super::OneImage;
use crate::cli::locate;
use crate::cli::terminal::{Session, size};
use crate::cli::verb::Common;
use crate::container::store::{self, StoredImage};
use crate::repo::Repo;

/// Digits of a digest that are shown.
const SHORT_DIGITS: usize = 20;

/// Arguments of `container image list`.
#[derive(clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    common: Common,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of `container image history` and `clear-cached-update`.
#[derive(clap::Args)]
pub(crate) struct ImageArgs {
    #[command(flatten)]
    of: OneImage,
}

/// Arguments of `container image metadata`.
#[derive(clap::Args)]
pub(crate) struct MetadataArgs {
    #[command(flatten)]
    of: OneImage,
    /// The configuration, not the manifest
    #[arg(long)]
    config: bool,
}

#[derive(Serialize)]
struct Json {
    image: String,
    commit: String,
    manifest_digest: String,
    version: Option<String>,
    update: Option<String>,
}

/// Prints the name of every image.
pub(super) fn list(args: &ListArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let images = store::list(&repo)?;
    if !args.json {
        return images.iter().try_for_each(|image| Ok(writeln!(session.out, "{image}")?));
    }
    let mut entries = Vec::new();
    for image in images {
        let stored = store::require(&repo, &image)?;
        entries.push(Json {
            image: image.to_string(),
            commit: stored.commit.to_string(),
            manifest_digest: stored.image.digest.to_string(),
            version: stored.image.version(),
            update: stored.update.map(|update| update.digest.to_string()),
        });
    }
    session.out.json(&entries)
}

/// Prints a line for each layer.
pub(super) fn history(args: &ImageArgs, session: &mut Session) -> anyhow::Result<()> {
    let (_, stored) = args.of.open()?;
    let layers = stored.image.manifest.layers();
    let sizes: Vec<_> = layers.iter().map(|layer| size(layer.size())).collect();
    let width = sizes.iter().map(|size| size.chars().count()).max().unwrap_or(0).max(4);
    writeln!(session.out, "{:SHORT_DIGITS$}  {:width$}  CREATED BY", "ID", "SIZE")?;
    let history = stored.image.config.history().iter().flatten();
    let mut made = history.filter(|entry| entry.empty_layer() != Some(true));
    for (layer, size) in layers.iter().zip(sizes) {
        let by = made.next().and_then(|entry| entry.created_by().clone()).unwrap_or_default();
        let id: String = layer.digest().digest().chars().take(SHORT_DIGITS).collect();
        writeln!(session.out, "{id:SHORT_DIGITS$}  {size:width$}  {}", by.replace(['\n', '\t'], " "))?;
    }
    Ok(())
}

/// Prints a document of the image.
pub(super) fn metadata(args: &MetadataArgs, session: &mut Session) -> anyhow::Result<()> {
    let documents = args.of.open()?.1.image.documents;
    session.out.write_all(if args.config { &documents.config } else { &documents.manifest })?;
    Ok(())
}

/// Forgets an update.
pub(super) fn clear_cached_update(args: &ImageArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.of.common.open()?;
    let txn = locate::begin(&repo, &session.ctx)?;
    store::clear_cached_update(&txn, &args.of.image.reference)?;
    locate::commit(txn, &session.ctx)?;
    Ok(())
}

impl OneImage {
    fn open(&self) -> anyhow::Result<(Repo, StoredImage)> {
        let repo = self.common.open()?;
        let stored = store::require(&repo, &self.image.reference)?;
        Ok((repo, stored))
    }
}
