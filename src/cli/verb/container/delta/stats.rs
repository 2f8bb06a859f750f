//! `container delta stats`: an update in every way, and the bytes of each.

use std::io::Write;
use std::time::Instant;

use serde::Serialize;

use crate::cli::images::{self, RegistryOptions};
use crate::cli::locate::RepoOptions;
use crate::cli::terminal::{BarOptions, Session, size};
use crate::container::delta::{Artifact, DeltaOptions, Effort, INDEX_TAG, find_delta, find_indexed, measure};
use crate::container::diff::{DiffOptions, LayersDiff, diff_images};
use crate::container::image::{Digest, Image, ImageReference, ImageSource};
use crate::delta::{SuperblockFile, read_head};
use crate::format::delta::DeltaName;
use crate::host::{Demand, IndexChoice, Machine, parse_image};
use crate::repo::DeltaFile;

/// Arguments of `container delta stats`.
#[derive(clap::Args)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    _bars: BarOptions,
    #[command(flatten)]
    repo: RepoOptions,
    /// A delta that lies elsewhere than among the referrers of the newer image
    #[arg(long, value_name = "DELTA", value_parser = parse_image)]
    delta: Option<ImageReference>,
    /// Make a delta, and keep nothing of it, to see how large it would be
    #[arg(long)]
    create: bool,
    /// With --create: take several times as long for a delta that is a few percent smaller
    #[arg(long, requires = "create")]
    best: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The older image: docker://HOST/PATH[:TAG], oci:DIR[:TAG], oci-archive:FILE[:TAG], dir:DIR
    #[arg(value_parser = parse_image)]
    old: ImageReference,
    /// The newer image
    #[arg(value_parser = parse_image)]
    new: ImageReference,
}

/// One way of an update.
#[derive(Serialize)]
struct Row {
    /// `image`, `layers`, `objects`, `delta`, `deltaindex`, `made` or `static-delta`.
    way: &'static str,
    bytes: u64,
    /// How long it took to make it, if that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_to_make: Option<f64>,
    /// What that is, for people.
    #[serde(skip)]
    what: String,
}

impl Row {
    fn new(way: &'static str, bytes: u64, what: impl Into<String>) -> Self {
        Self { way, bytes, seconds_to_make: None, what: what.into() }
    }
}

/// Prints what there is.
pub(super) fn stats(args: &StatsArgs, session: &mut Session) -> anyhow::Result<()> {
    let ctx = session.ctx.clone();
    let opened = [&args.old, &args.new].map(|image| images::open(image, &args.registry, &ctx));
    let [old, new] = opened;
    let (old, new) = (old?, new?);
    let (old, new) = (old.admit(Demand::AsPolicySays, &ctx)?, new.admit(Demand::AsPolicySays, &ctx)?);
    let fetch = |source| Image::fetch(source, &Default::default());
    let (of_old, of_new) = (fetch(&old)?, fetch(&new)?);
    let (from, to) = ((&of_old, &old as &dyn ImageSource), (&of_new, &new as &dyn ImageSource));
    let diff = diff_images(from, to, DiffOptions::default(), &ctx)?;
    let layers = of_new.manifest.layers();
    let mut rows = vec![Row::new(
        "image",
        LayersDiff::bytes(layers),
        format!("the whole image, layers: {}", layers.len()),
    )];
    let added = &diff.layers.added;
    rows.push(Row::new(
        "layers",
        LayersDiff::bytes(added),
        format!("the layers that differ: {}", added.len()),
    ));
    rows.extend(diff.object_bytes.map(|bytes| Row::new("objects", bytes, "the objects that differ")));
    if let Some(delta) = existing(args, &of_old, &of_new, &new, session)? {
        rows.push(Row::new("delta", delta.bytes(), format!("the delta {}", delta.digest)));
    }
    rows.extend(find_indexed(&new, &of_old, &of_new)?.map(|update| {
        let what = format!("layers by flatpak's {INDEX_TAG}, as deltas: {}", update.deltas);
        Row::new("deltaindex", update.bytes, what)
    }));
    if args.create {
        let (machine, start) = (Machine::from_env(), Instant::now());
        let effort = if args.best { Effort::Best } else { Effort::Usual };
        let options = DeltaOptions { effort, ..DeltaOptions::default() };
        let made = measure(from, to, &options, &|| machine.temporary_file(), &ctx)?;
        let seconds = start.elapsed().as_secs_f64();
        let what = format!("a delta, made in {seconds:.1} s");
        rows.push(Row { seconds_to_make: Some(seconds), ..Row::new("made", made.bytes, what) });
    }
    rows.extend(static_delta(args, &of_old, &of_new)?);
    print(args, &rows, session)
}

/// The delta that was named, or the one among the referrers of the newer image.
fn existing(
    args: &StatsArgs,
    old: &Image,
    new: &Image,
    source: &dyn ImageSource,
    session: &Session,
) -> anyhow::Result<Option<Artifact>> {
    let config = Digest::of_descriptor(old.manifest.config())?;
    let Some(named) = &args.delta else { return Ok(find_delta(source, &config, &new.digest)?) };
    let opened = images::open(named, &args.registry.choosing(IndexChoice::All), &session.ctx)?;
    let delta = Artifact::read(opened.source())?;
    if (delta.source_config, delta.target) != (config, new.digest) {
        anyhow::bail!("{named} is no delta from {} to {}", args.old, args.new);
    }
    Ok(Some(delta))
}

/// The static delta of the repository, if one was named and has one.
fn static_delta(args: &StatsArgs, old: &Image, new: &Image) -> anyhow::Result<Option<Row>> {
    let (Some(_), Some(from), Some(to)) = (&args.repo.repo, old.plan()?.commit, new.plan()?.commit) else {
        return Ok(None);
    };
    let (repo, name) = (args.repo.open()?, DeltaName { from: Some(from), to });
    let Some((superblock, len)) = repo.open_delta(&DeltaFile::Superblock(name))? else { return Ok(None) };
    let head = read_head(SuperblockFile::on_disk(superblock, 0..len), None)?;
    let parts = head.superblock.parts.iter().map(|part| part.file_bytes);
    let fallbacks = head.superblock.fallbacks.iter().map(|fallback| fallback.archived_bytes);
    let bytes = parts.chain(fallbacks).fold(len, u64::saturating_add);
    Ok(Some(Row::new("static-delta", bytes, "the static delta of the repository")))
}

fn print(args: &StatsArgs, rows: &[Row], session: &mut Session) -> anyhow::Result<()> {
    if args.json {
        return session.out.json(&serde_json::json!({ "ways": rows }));
    }
    for row in rows {
        writeln!(session.out, "{:>12}  {}", size(row.bytes), row.what)?;
    }
    Ok(())
}
