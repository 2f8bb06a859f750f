//! `container diff`: what differs between two images, without pulling them.

use std::io::Write;

use oci_spec::image::Descriptor;

use super::Image;
use crate::cli::images::{self, RegistryOptions};
use crate::cli::terminal::{Session, size};
use crate::container::diff::{ChangedPackage, Package, PackagesDiff};
use crate::container::diff::{Components, DiffOptions, FilesDiff, ImageDiff, LayersDiff, diff_images};
use crate::container::image::{Image as Documents, ImageSource};
use crate::diff::Changes;

/// Arguments of `container diff`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    registry: RegistryOptions,
    /// Compare the packages in the databases of dpkg, rpm, apk and pacman; layers that are not zstd:chunked are read for
    /// that until there is one
    #[arg(long)]
    packages: bool,
    /// List no files
    #[arg(long)]
    no_files: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The older image: docker://HOST/PATH[:TAG], oci:DIR[:TAG], oci-archive:FILE[:TAG], dir:DIR
    old: Image,
    /// The newer image
    new: Image,
}

/// Compares.
pub(super) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let ctx = session.ctx.clone();
    let old = images::open(&args.old.reference, &args.registry, &ctx)?;
    let new = images::open(&args.new.reference, &args.registry, &ctx)?;
    let fetch = |source: &dyn ImageSource| Documents::fetch(source, &Default::default());
    let (of_old, of_new) = (fetch(old.source())?, fetch(new.source())?);
    let options = DiffOptions { packages: args.packages };
    let diff = diff_images((&of_old, old.source()), (&of_new, new.source()), options, &ctx)?;
    if args.json {
        return session.out.json(&json(args, &of_old, &of_new, &diff));
    }
    layers(&diff, session)?;
    components(&diff.components, session)?;
    if args.packages {
        packages(diff.packages.as_ref(), session)?;
    }
    match &diff.files {
        _ if args.no_files => Ok(()),
        FilesDiff::Listed(changes) if *changes == Changes::default() => {
            Ok(writeln!(session.out, "\nNo file differs")?)
        }
        FilesDiff::Listed(changes) => Ok(write!(session.out, "\n{changes}")?),
        FilesDiff::Unlisted(layer) => {
            let why = "it is not zstd:chunked, or no parts of it are to be had";
            Ok(writeln!(session.out, "\nFiles are not known: layer {layer} cannot be looked into ({why})")?)
        }
    }
}

fn json(args: &Args, old: &Documents, new: &Documents, diff: &ImageDiff) -> serde_json::Value {
    let digests = |layers: &[Descriptor]| layers.iter().map(|l| l.digest().to_string()).collect::<Vec<_>>();
    let mut json = serde_json::json!({
        "from": old.digest.to_string(),
        "to": new.digest.to_string(),
        "layers_shared": digests(&diff.layers.shared),
        "layers_added": digests(&diff.layers.added),
        "layers_removed": digests(&diff.layers.removed),
        "shared_bytes": LayersDiff::bytes(&diff.layers.shared),
        "layer_bytes": LayersDiff::bytes(&diff.layers.added),
        "object_bytes": diff.object_bytes,
        "read_bytes": diff.read_bytes,
    });
    if !diff.components.is_empty() {
        json["components"] = serde_json::json!(diff.components);
    }
    if args.packages {
        json["packages"] = serde_json::json!(diff.packages);
    }
    if let (FilesDiff::Listed(changes), false) = (&diff.files, args.no_files) {
        json["files"] = serde_json::json!(changes);
    }
    json
}

fn layers(diff: &ImageDiff, session: &mut Session) -> anyhow::Result<()> {
    let ImageDiff { layers: LayersDiff { shared, added, removed }, object_bytes, read_bytes, .. } = diff;
    let out = &mut session.out;
    let mut line = |what, layers: &[Descriptor]| {
        writeln!(out, "{what:<16} {:<4} {}", layers.len(), size(LayersDiff::bytes(layers)))
    };
    line("Layers shared:", shared)?;
    line("Layers added:", added)?;
    line("Layers removed:", removed)?;
    let full = size(LayersDiff::bytes(added));
    match object_bytes {
        Some(bytes) => writeln!(out, "To fetch:        {} object by object, {full} as layers", size(*bytes))?,
        None => writeln!(out, "To fetch:        {full}")?,
    }
    Ok(writeln!(out, "Read for this:   {}", size(*read_bytes))?)
}

/// What the annotations say, where they say something.
pub(super) fn components(diff: &Components, session: &mut Session) -> anyhow::Result<()> {
    let Components { added, removed, in_changed_layers } = diff;
    let lines = [
        ("Components added:", added),
        ("Components removed:", removed),
        ("Components in layers that changed:", in_changed_layers),
    ];
    for (what, names) in lines.into_iter().filter(|(_, names)| !names.is_empty()) {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        writeln!(session.out, "{what} {}", names.join(", "))?;
    }
    Ok(())
}

/// Lists packages that differ, where databases of them do.
pub(super) fn packages(diff: Option<&PackagesDiff>, session: &mut Session) -> anyhow::Result<()> {
    let out = &mut session.out;
    let Some(PackagesDiff { added, removed, changed }) = diff else {
        return Ok(writeln!(out, "\nNo database of dpkg, rpm, apk or pacman differs")?);
    };
    let (plus, minus, other) = (added.len(), removed.len(), changed.len());
    writeln!(out, "\nPackages: {plus} added, {minus} removed, {other} changed")?;
    for Package { name, version } in added {
        writeln!(out, "A    {name} {version}")?;
    }
    for Package { name, version } in removed {
        writeln!(out, "D    {name} {version}")?;
    }
    for ChangedPackage { name, from, to } in changed {
        writeln!(out, "M    {name} {from} -> {to}")?;
    }
    Ok(())
}
