//! `container delta …`: a new image as what changes in an old one.

mod stats;

use std::io::Write;

use anyhow::bail;
use serde::Serialize;

use crate::cli::images::{self, RegistryOptions};
use crate::cli::terminal::{BarOptions, Session, size};
use crate::container::delta::{self, Artifact, DeltaOptions, Effort, INDEX_TAG};
use crate::container::image::{Image, ImageReference, ImageSource, Transport};
use crate::host::{Demand, IndexChoice, Machine, parse_image};

/// The verbs below `container delta`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Make a delta from one image to a newer one
    Create(Box<CreateArgs>),
    /// Make the newer image out of the older one and a delta
    Apply(Box<ApplyArgs>),
    /// Show what is in a delta
    Show(Box<ShowArgs>),
    /// Tell what an update takes: as layers, object by object, as a delta, as ostree's static delta
    Stats(Box<stats::StatsArgs>),
}

/// The kinds of deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    OciDelta,
    Deltaindex,
}

/// Arguments of `container delta create`.
#[derive(clap::Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    bars: BarOptions,
    /// The kind of delta: oci-delta, for bootc and others, or deltaindex, for flatpak, whose deltas are listed under the
    /// tag _deltaindex of the place where they go
    #[arg(long, value_enum, default_value_t = Format::OciDelta)]
    format: Format,
    /// Take several times as long for a delta that is a few percent smaller
    #[arg(long)]
    best: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The image that machines have: docker://HOST/PATH[:TAG], oci:DIR[:TAG], oci-archive:FILE[:TAG], dir:DIR
    #[arg(value_parser = parse_image)]
    old: ImageReference,
    /// The image that they shall get
    #[arg(value_parser = parse_image)]
    new: ImageReference,
    /// Where the delta goes: oci:DIR[:TAG], oci-archive:FILE, or docker://HOST/PATH of the new image, among whose
    /// referrers it is then; no tag is changed there
    #[arg(value_parser = parse_image)]
    dest: ImageReference,
}

/// Arguments of `container delta apply`.
#[derive(clap::Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    _bars: BarOptions,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The image that the delta begins with
    #[arg(value_parser = parse_image)]
    old: ImageReference,
    /// The delta: oci:DIR[:TAG], oci-archive:FILE, docker://HOST/PATH@DIGEST
    #[arg(value_parser = parse_image)]
    delta: ImageReference,
    /// Where the new image goes
    #[arg(value_parser = parse_image)]
    dest: ImageReference,
}

/// Arguments of `container delta show`.
#[derive(clap::Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    registry: RegistryOptions,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The delta: oci:DIR[:TAG], oci-archive:FILE, docker://HOST/PATH@DIGEST
    #[arg(value_parser = parse_image)]
    delta: ImageReference,
}

#[derive(Serialize)]
struct CreatedJson {
    manifest_digest: String,
    target: String,
    layers_reused: usize,
    layers_delta: usize,
    layers_whole: usize,
    bytes: u64,
    full_bytes: u64,
}

#[derive(Serialize)]
struct AppliedJson {
    manifest_digest: String,
    as_promised: bool,
    tar_bytes: u64,
}

/// Does what the arguments ask for.
pub(super) fn run(verb: &Verb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        Verb::Create(args) => create(args, session),
        Verb::Apply(args) => apply(args, session),
        Verb::Show(args) => show(args, session),
        Verb::Stats(args) => stats::stats(args, session),
    }
}

fn create(args: &CreateArgs, session: &mut Session) -> anyhow::Result<()> {
    for image in [&args.old, &args.new] {
        if *image == args.dest && image.transport() != Transport::Registry {
            bail!("the delta would take the place of {image}: give it another name");
        }
    }
    let (ctx, machine) = (session.ctx.clone(), Machine::from_env());
    let old = images::open(&args.old, &args.registry, &ctx)?;
    let new = images::open(&args.new, &args.registry, &ctx)?;
    let (old, mount_from) = (old.admit(Demand::AsPolicySays, &ctx)?, new.repository_name());
    let new_image = new.admit(Demand::AsPolicySays, &ctx)?;
    let fetch = |source| Image::fetch(source, &Default::default());
    let (of_old, of_new) = (fetch(&old)?, fetch(&new_image)?);
    let place = match args.format {
        Format::OciDelta => args.dest.clone(),
        Format::Deltaindex => index_place(&args.dest)?,
    };
    let existing = match args.format {
        Format::OciDelta => None,
        Format::Deltaindex => images::open_if_present(&place, &args.registry, &ctx)?,
    };
    let dest = images::create(&place, &args.registry, mount_from.as_slice(), &ctx)?;
    let effort = if args.best { Effort::Best } else { Effort::Usual };
    let options = DeltaOptions { effort, ..DeltaOptions::default() };
    let spool = || machine.temporary_file();
    let (from, to) = ((&of_old, &old as &dyn ImageSource), (&of_new, &new_image as &dyn ImageSource));
    let created = match args.format {
        Format::OciDelta => delta::create(from, to, dest.dest(), &options, &spool, &ctx),
        Format::Deltaindex => {
            let existing = existing.as_ref().map(|existing| existing.source());
            delta::create_index(from, to, existing, dest.dest(), &options, &spool, &ctx)
        }
    };
    let created = created.map_err(images::writing(&args.dest))?;
    let digest = dest.finish(created.manifest)?;
    if args.json {
        let json = CreatedJson {
            manifest_digest: digest.to_string(),
            target: of_new.digest.to_string(),
            layers_reused: created.reused,
            layers_delta: created.deltas,
            layers_whole: created.whole,
            bytes: created.bytes,
            full_bytes: created.full_bytes,
        };
        return session.out.json(&json);
    }
    writeln!(session.out, "{digest}")?;
    if !args.bars.quiet {
        let (bytes, full) = (size(created.bytes), size(created.full_bytes));
        crate::cli::terminal::say(format_args!("{bytes} instead of {full}"));
    }
    Ok(())
}

/// The place of flatpak's index.
fn index_place(dest: &ImageReference) -> anyhow::Result<ImageReference> {
    let (path, tag) = match dest.transport() {
        Transport::Registry => {
            let name = dest.name();
            let last = name.rsplit('/').next().unwrap_or(name);
            (name, last.contains([':', '@']).then_some(name))
        }
        Transport::OciDir => dest.path_and_tag().unwrap_or((dest.name(), None)),
        _ => bail!("flatpak's deltas go into a registry or an OCI layout (oci:DIR), not to {dest}"),
    };
    if tag.is_some() {
        bail!("flatpak's deltas are listed under the tag {INDEX_TAG}: give {dest} without a tag");
    }
    Ok(ImageReference::new(dest.transport(), &format!("{path}:{INDEX_TAG}"))?)
}

fn apply(args: &ApplyArgs, session: &mut Session) -> anyhow::Result<()> {
    let (ctx, machine) = (session.ctx.clone(), Machine::from_env());
    let old = images::open(&args.old, &args.registry, &ctx)?;
    let old = old.admit(Demand::AsPolicySays, &ctx)?;
    let of_old = Image::fetch(&old, &Default::default())?;
    let source = images::open(&args.delta, &args.registry.choosing(IndexChoice::All), &ctx)?;
    let artifact = Artifact::read(source.source())?;
    let dest = images::create(&args.dest, &args.registry, &[], &ctx)?;
    let spool = || machine.temporary_file();
    let restored = delta::restore((&artifact, source.source()), (&of_old, &old), dest.dest(), &spool, &ctx)
        .map_err(images::writing(&args.dest))?;
    let digest = dest.finish(restored.manifest)?;
    if args.json {
        let json = AppliedJson {
            manifest_digest: digest.to_string(),
            as_promised: restored.as_promised,
            tar_bytes: restored.tar_bytes,
        };
        return session.out.json(&json);
    }
    Ok(writeln!(session.out, "{digest}")?)
}

fn show(args: &ShowArgs, session: &mut Session) -> anyhow::Result<()> {
    let source = images::open(&args.delta, &args.registry.choosing(IndexChoice::All), &session.ctx)?;
    let artifact = Artifact::read(source.source())?;
    let new = artifact.image.layers()?;
    let full = |to: &str| new.iter().find(|layer| layer.descriptor.digest().to_string() == to);
    let rows: Vec<_> = artifact
        .layers
        .iter()
        .map(|layer| {
            let to = layer.to.to_string();
            let full = full(&to).map_or(0, |layer| layer.descriptor.size());
            (to, if layer.is_delta() { "delta" } else { "whole" }, layer.descriptor.size(), full)
        })
        .collect();
    if args.json {
        let layers = rows.iter().map(|(to, how, bytes, full)| {
            serde_json::json!({ "digest": to, "how": how, "bytes": bytes, "full_bytes": full })
        });
        let json = serde_json::json!({
            "manifest_digest": artifact.digest.to_string(),
            "target": artifact.target.to_string(),
            "source": artifact.source.map(|source| source.to_string()),
            "source_config": artifact.source_config.to_string(),
            "reused": artifact.reused.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "layers": layers.collect::<Vec<_>>(),
        });
        return session.out.json(&json);
    }
    let out = &mut session.out;
    let source = artifact.source.map_or_else(|| "not told".to_owned(), |source| source.to_string());
    writeln!(out, "From:  {source}")?;
    writeln!(out, "       configuration {}", artifact.source_config)?;
    writeln!(out, "To:    {}", artifact.target)?;
    writeln!(out, "Layers that the old image has: {}", artifact.reused.len())?;
    for (to, how, bytes, full) in rows {
        writeln!(out, "{to}  {how}, {} instead of {}", size(bytes), size(full))?;
    }
    Ok(())
}
