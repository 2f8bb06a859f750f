//! `container build`: a commit as a container image.

use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, bail};
use ostree_format::{CommitId, RefName, RefSpec};
use serde::Serialize;

use super::super::tar::XattrOptions;
use super::super::{Common, resolve};
use crate::cli::images::{self, RegistryOptions};
use crate::cli::terminal::{BarOptions, Session};
use crate::container;
use crate::container::build::{BuildOptions, ContentMeta, Layering, build_on_base};
use crate::container::image::{Compression, Image, ImageReference, PlatformName, RepositoryName, Transport};
use crate::container::server::Server;
use crate::host::{IndexChoice, Machine, OpenedImage, parse_image};
use crate::repo::Repo;
use crate::store::{REF_BINDING, Refs, load_commit};

/// Arguments of `container build`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The commit: a ref, a checksum
    #[arg(long = "ref", value_name = "REV")]
    rev: String,
    /// The directory that becomes an OCI image layout, or is one
    #[arg(long, value_name = "DIR")]
    oci_dir: Option<PathBuf>,
    /// A tar archive of an OCI image layout to write
    #[arg(long, value_name = "FILE", conflicts_with = "oci_dir")]
    oci_archive: Option<PathBuf>,
    /// Where to push the image: HOST/PATH[:TAG], or any other place that images can be written to
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["oci_dir", "oci_archive", "tag"],
          value_parser = parse_image)]
    push: Option<ImageReference>,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    _bars: BarOptions,
    /// The name of the image in the layout
    #[arg(long)]
    tag: Option<String>,
    /// How layers are compressed: gzip, zstd, zstd:chunked or none, with a level if you like: zstd:19. In a
    /// docker-archive zstd becomes gzip, which every docker reads. Otherwise registries get zstd:chunked, of which pull
    /// fetches only the objects that are missing, or zstd for the layer on a base, and other places gzip. For machines
    /// that keep their images by bootc's composefs backend ask for gzip: it cannot read zstd:chunked
    #[arg(long, value_name = "METHOD", value_parser = compression)]
    compression: Option<Compression>,
    #[command(flatten)]
    describing: Describing,
    /// Divide the content into several layers, by packages, up to this number; podman and docker run images of up to
    /// 127
    #[arg(long, value_name = "N")]
    max_layers: Option<NonZeroUsize>,
    /// An image made before: packages stay in their layers, and layers that are the same are not sent again
    #[arg(long, value_name = "IMAGE", value_parser = parse_image)]
    previous: Option<ImageReference>,
    /// An image whose layers the new one begins with, byte for byte; one layer on top holds what the commit has otherwise.
    /// Programs that know nothing of ostree see the commit's files. Containers are run as the base's are, where --config
    /// and --cmd say nothing else
    #[arg(long, value_name = "IMAGE", value_parser = parse_image,
          conflicts_with_all = ["max_layers", "contentmeta", "xattrs"])]
    from: Option<ImageReference>,
    /// Let a container of the image serve the commit over HTTP at port 8080: `ostree pull` takes it from /repo. A last layer
    /// holds this program, which pulls leave out; containers run it, and nothing else
    #[arg(long, conflicts_with = "cmd")]
    serve: bool,
    /// The program for --serve, if it is not this one: an ostree-rs for the machines of the image
    #[arg(long, value_name = "FILE", requires = "serve")]
    serve_program: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Options that describe a new image, and how its content is divided into layers.
#[derive(clap::Args)]
pub(super) struct Describing {
    /// Add a label
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Copy this key of the commit's metadata into a label
    #[arg(long, value_name = "KEY")]
    copymeta: Vec<String>,
    /// Copy this key of the commit's metadata into a label, if the commit has it
    #[arg(long, value_name = "KEY")]
    copymeta_opt: Vec<String>,
    /// A word of the command that a container runs; give the option once for each word
    #[arg(long, value_name = "WORD")]
    cmd: Vec<String>,
    /// A file with what else containers are run with: the "config" of an OCI image configuration, as JSON
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Divide the content as this file says, which is of the kind that ostree-ext reads
    #[arg(long, value_name = "FILE")]
    contentmeta: Option<PathBuf>,
    #[command(flatten)]
    xattrs: XattrOptions,
}

impl Describing {
    /// The options of the build that these make; of several layers at most `max_layers`.
    pub(super) fn options(&self, max_layers: Option<NonZeroUsize>) -> anyhow::Result<BuildOptions> {
        let read = |path: &PathBuf| fs::read(path).with_context(|| format!("Reading {}", path.display()));
        let config = match &self.config {
            Some(path) => {
                Some(serde_json::from_slice(&read(path)?).with_context(|| path.display().to_string())?)
            }
            None => None,
        };
        let layering = match (&self.contentmeta, max_layers) {
            (Some(path), max_layers) => {
                let meta = ContentMeta::parse(&read(path)?).with_context(|| path.display().to_string())?;
                Layering::Mapped { meta, max_layers }
            }
            (None, Some(max_layers)) => Layering::Packages { max_layers },
            (None, None) => Layering::Single,
        };
        Ok(BuildOptions {
            labels: self.label.iter().cloned().collect(),
            config,
            cmd: (!self.cmd.is_empty()).then(|| self.cmd.clone()),
            copy_meta_keys: self.copymeta.clone(),
            copy_meta_opt_keys: self.copymeta_opt.clone(),
            layering,
            xattrs: self.xattrs.dialect(),
            ..BuildOptions::default()
        })
    }
}

#[derive(Serialize)]
struct Json {
    commit: String,
    manifest_digest: String,
    layers: Layers,
    written_bytes: u64,
}

#[derive(Serialize)]
struct Layers {
    total: usize,
    reused: usize,
    written: usize,
}

/// Does what the arguments ask for.
pub(super) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let place = build_dest(args)?;
    let repo = args.common.open()?;
    let commit = resolve(&repo, &args.rev)?;
    let platform = container::image::platform_of(&repo, &commit, args.registry.platform())?;
    let (previous, repository) = previous(args, &platform, session)?.unzip();
    let repository = repository.flatten();
    let base = args.from.as_ref().map(|base| open(base, args, &platform, session)).transpose()?;
    let describing = args.describing.options(args.max_layers)?;
    let compression = args.compression.unwrap_or(match place.transport() {
        // Of the layer on a base nobody fetches parts.
        Transport::Registry if base.is_some() => Compression::ZSTD,
        Transport::Registry => Compression::ZSTD_CHUNKED,
        _ => Compression::default(),
    });
    let server = server(args, &repo, &commit)?;
    let options = BuildOptions { compression, previous, platform: Some(platform), server, ..describing };
    // Most of the blobs are the base's.
    let of_base = base.as_ref().and_then(OpenedImage::repository_name);
    let mount_from: Vec<_> = of_base.into_iter().chain(repository.as_ref()).collect();
    let dest = images::create(&place, &args.registry, &mount_from, &session.ctx)?;
    let ctx = &session.ctx;
    let built = match &base {
        Some(base) => build_on_base(&repo, &commit, base.source(), dest.dest(), &options, ctx),
        None => container::build::build(&repo, &commit, dest.dest(), &options, ctx),
    };
    let built = built.map_err(images::writing(&place))?;
    let digest = dest.finish(built.manifest)?;
    if args.json {
        let (total, reused) = (built.layers, built.reused);
        let json = Json {
            commit: commit.to_string(),
            manifest_digest: digest.to_string(),
            layers: Layers { total, reused, written: total - reused },
            written_bytes: built.written_bytes,
        };
        return session.out.json(&json);
    }
    Ok(writeln!(session.out, "{digest}")?)
}

/// What lets the image serve itself.
fn server(args: &Args, repo: &Repo, commit: &CommitId) -> anyhow::Result<Option<Server>> {
    if !args.serve {
        return Ok(None);
    }
    let machine = Machine::from_env();
    let program = match &args.serve_program {
        Some(path) => machine.program(path)?,
        None => machine.own_program()?,
    };
    Ok(Some(Server { program, name: name_of(repo, &args.rev, commit)? }))
}

/// The ref by which clients of the image ask for the commit: the one that was named, or that the commit is bound to.
fn name_of(repo: &Repo, rev: &str, commit: &CommitId) -> anyhow::Result<RefName> {
    if let Ok(named) = rev.parse::<RefSpec>()
        && repo.resolve(&named)?.is_some()
    {
        return Ok(named.name);
    }
    let object = load_commit(repo, commit)?;
    let bound = object.metadata.get_strv(REF_BINDING).unwrap_or_default();
    let bound = bound.iter().find_map(|name| name.parse().ok());
    bound.with_context(|| {
        format!("which ref shall --serve offer? {rev} is none, and the commit is bound to none")
    })
}

/// The image made before, and the registry's repository that it lies in.
fn previous(
    args: &Args,
    platform: &PlatformName,
    session: &Session,
) -> anyhow::Result<Option<(Image, Option<RepositoryName>)>> {
    let Some(reference) = &args.previous else { return Ok(None) };
    let opened = open(reference, args, platform, session)?;
    // One platform was chosen already.
    let image = Image::fetch(opened.source(), &Default::default())?;
    Ok(Some((image, opened.repository_name().cloned())))
}

/// An image for these machines.
fn open(
    reference: &ImageReference,
    args: &Args,
    platform: &PlatformName,
    session: &Session,
) -> anyhow::Result<OpenedImage> {
    images::open(reference, &args.registry.choosing(IndexChoice::Of(platform.clone())), &session.ctx)
}

/// Where the image goes.
fn build_dest(args: &Args) -> anyhow::Result<ImageReference> {
    let (transport, path) = match (&args.push, &args.oci_dir, &args.oci_archive) {
        (Some(reference), _, _) => return Ok(reference.clone()),
        (_, Some(path), _) => (Transport::OciDir, path),
        (_, _, Some(path)) => (Transport::OciArchive, path),
        _ => bail!("where shall the image go? Give --oci-dir, --oci-archive or --push"),
    };
    let path = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    let tag = args.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
    Ok(ImageReference::new(transport, &format!("{path}{tag}"))?)
}

/// Reads a method of compression.
pub(in crate::cli::verb) fn compression(text: &str) -> anyhow::Result<Compression> {
    if let Some(level) = text.strip_prefix("zstd:chunked") {
        return match level.strip_prefix(':') {
            Some(level) => Ok(Compression::ZstdChunked(level.parse()?)),
            None if level.is_empty() => Ok(Compression::ZSTD_CHUNKED),
            None => bail!("'{text}' is no method; zstd:chunked is written with its level as zstd:chunked:19"),
        };
    }
    Ok(match text.split_once(':') {
        None if text == "gzip" => Compression::GZIP,
        None if text == "zstd" => Compression::ZSTD,
        None if text == "none" => Compression::None,
        Some(("gzip", level)) => Compression::Gzip(level.parse()?),
        Some(("zstd", level)) => Compression::Zstd(level.parse()?),
        _ => bail!("'{text}' is none of gzip, zstd, zstd:chunked and none"),
    })
}

fn label(text: &str) -> anyhow::Result<(String, String)> {
    let (key, value) = text.split_once('=').context("no '=' in it")?;
    Ok((key.to_owned(), value.to_owned()))
}
