//! `container image pull`: an image with all its layers into the repository.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, bail};
use serde::Serialize;

use super::super::pull::LayerJson;
use super::super::vouch::{KeyringOptions, Who};
use super::super::{Image, PlainLayers};
use crate::cli::images::{self, RegistryOptions};
use crate::cli::locate;
use crate::cli::terminal::{self, BarOptions, Session, size};
use crate::cli::verb::Common;
use crate::container;
use crate::container::pull::{Check, NameImage, PullOptions, PulledImage, StoreOptions, Unneeded};
use crate::container::store::{self, StoredImage};
use crate::repo::Repo;
use crate::store::in_transaction;
use crate::tar::Var;

/// Arguments of `container image pull`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    keyring: KeyringOptions,
    #[command(flatten)]
    plain: PlainLayers,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    bars: BarOptions,
    /// The name that the image gets in the repository, if it is to be another one
    #[arg(long, value_name = "IMAGE")]
    target: Option<Image>,
    /// Keep the layers, but do not name the image
    #[arg(long, conflicts_with = "target")]
    no_imgref: bool,
    /// Keep layers that no image needs any more
    #[arg(long)]
    skip_gc: bool,
    /// Fetch nothing; if there is something new, write its manifest to this file
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Write the commit's checksum to this file
    #[arg(long, value_name = "FILE")]
    ostree_digestfile: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The repository, where --repo does not say it, and the image
    #[arg(required = true, num_args = 1..=2, value_names = ["REPO", "IMAGE"])]
    words: Vec<String>,
}

#[derive(Serialize)]
struct Json {
    image: String,
    /// What the image is called in the repository, if that is another name.
    target: Option<String>,
    /// None as long as nothing was pulled.
    commit: Option<String>,
    manifest_digest: String,
    version: Option<String>,
    changed: bool,
    layers_fetched: usize,
    layers_reused: usize,
    bytes_fetched: u64,
    layers: Vec<LayerJson>,
    left_out: std::collections::BTreeMap<String, u64>,
}

/// Pulls, or looks whether there is something to pull.
pub(super) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let (repo, image) = args.repo_and_image()?;
    let who = Who::of(&image, &args.keyring, &repo)?;
    let opened = images::open(&image.reference, &args.registry, &session.ctx)?;
    let admitted = opened.admit(who.demand(), &session.ctx)?;
    let target = args.target.as_ref().map_or(&image.reference, |target| &target.reference);
    // An image that was pulled so before, or deployed, stays so.
    let var = match store::query(&repo, target)? {
        Some(stored) if stored.var(&repo)? == Var::Keep => Var::Keep,
        _ => args.plain.var(),
    };
    let pull = PullOptions { vouching: who.vouching(), name: None, var };
    let stored = match container::pull::check_image(&repo, &admitted, target, &pull)? {
        Check::Current(stored) => {
            repo.settle(&session.ctx)?;
            return args.unchanged(&image, &stored, session);
        }
        Check::Changed { stored } => stored,
    };
    let new = admitted.image()?;
    if let Some(path) = &args.check {
        if let Some(old) = stored {
            in_transaction(&repo, &session.ctx, |txn| store::cache_update(txn, &old.commit, new))?;
        }
        write_file(path, &new.documents.manifest)?;
        return args.update(&image, new, session);
    }
    let options = StoreOptions {
        pull,
        unneeded: if args.skip_gc { Unneeded::Keep } else { Unneeded::Prune },
        name: if args.no_imgref { NameImage::No } else { NameImage::Yes },
    };
    let pulled = container::pull::pull_image(&admitted, &repo, target, &options, &session.ctx)
        .map_err(who.failed(&repo))?;
    args.report(&image, new, &pulled, session)
}

impl Args {
    fn repo_and_image(&self) -> anyhow::Result<(Repo, Image)> {
        match (&self.words[..], &self.common.repo.repo) {
            ([image], _) => Ok((self.common.open()?, Image::from_str(image)?)),
            ([repo, image], None) => Ok((locate::open(repo.as_ref())?, Image::from_str(image)?)),
            _ => bail!("one repository and one image are needed, not more"),
        }
    }

    fn unchanged(&self, image: &Image, stored: &StoredImage, session: &mut Session) -> anyhow::Result<()> {
        self.write_digest(&stored.commit.to_string())?;
        if !self.json {
            return Ok(writeln!(session.out, "No changes in {} => {}", self.shown(image), stored.commit)?);
        }
        let json = Json {
            commit: Some(stored.commit.to_string()),
            layers_reused: stored.image.manifest.layers().len(),
            ..self.json(image, &stored.image)
        };
        session.out.json(&json)
    }

    /// There is something new, which was not pulled.
    fn update(
        &self,
        image: &Image,
        new: &container::image::Image,
        session: &mut Session,
    ) -> anyhow::Result<()> {
        if self.json {
            return session.out.json(&Json { changed: true, ..self.json(image, new) });
        }
        let version = new.version().map(|version| format!(" (version {version})")).unwrap_or_default();
        Ok(writeln!(session.out, "Update of {}: {}{version}", self.shown(image), new.digest)?)
    }

    fn report(
        &self,
        image: &Image,
        new: &container::image::Image,
        pulled: &PulledImage,
        session: &mut Session,
    ) -> anyhow::Result<()> {
        self.write_digest(&pulled.commit.to_string())?;
        if self.json {
            let json = Json {
                commit: Some(pulled.commit.to_string()),
                changed: true,
                layers_fetched: pulled.fetched,
                layers_reused: pulled.reused,
                bytes_fetched: pulled.fetched_bytes,
                layers: LayerJson::all(&pulled.layers),
                left_out: pulled.left_out.clone(),
                ..self.json(image, new)
            };
            return session.out.json(&json);
        }
        let (there, fetched) = (pulled.reused, pulled.fetched);
        let bytes = size(pulled.fetched_bytes);
        writeln!(session.out, "layers already present: {there}; layers fetched: {fetched} ({bytes})")?;
        writeln!(session.out, "Wrote: {} => {}", self.shown(image), pulled.commit)?;
        if !pulled.left_out.is_empty() && !self.bars.quiet {
            let parts: Vec<_> = pulled.left_out.iter().map(|(name, n)| format!(" {name}: {n}")).collect();
            session.out.flush()?;
            terminal::say(format_args!(
                "Image contains files that a commit of ostree cannot hold:{}",
                parts.concat()
            ));
        }
        Ok(())
    }

    /// The image, and what it is called in the repository.
    fn shown(&self, image: &Image) -> String {
        match &self.target {
            Some(target) => format!("{image} as {}", target.reference),
            None => image.to_string(),
        }
    }

    /// What is known of the image without a pull.
    fn json(&self, image: &Image, found: &container::image::Image) -> Json {
        Json {
            image: image.to_string(),
            target: self.target.as_ref().map(|target| target.reference.to_string()),
            commit: None,
            manifest_digest: found.digest.to_string(),
            version: found.version(),
            changed: false,
            layers_fetched: 0,
            layers_reused: 0,
            bytes_fetched: 0,
            layers: Vec::new(),
            left_out: Default::default(),
        }
    }

    fn write_digest(&self, digest: &str) -> anyhow::Result<()> {
        self.ostree_digestfile.as_ref().map_or(Ok(()), |path| write_file(path, digest.as_bytes()))
    }
}

fn write_file(path: &PathBuf, content: &[u8]) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| format!("Writing {}", path.display()))
}
