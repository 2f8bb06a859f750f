//! `container encapsulate | unencapsulate`: build and pull with the arguments of ostree-ext.

use std::io::Write;

use super::super::{Common, resolve};
use super::Image;
use super::build::Describing;
use super::vouch::{KeyringOptions, Who};
use crate::cli::images::{self, RegistryOptions};
use crate::cli::terminal::{BarOptions, Session};
use crate::container;
use crate::container::build::BuildOptions;
use crate::container::image::{Compression, Error, ImageReference};
use crate::container::pull::PullOptions;
use crate::format::RefSpec;
use crate::host::parse_image;

/// Arguments of `container encapsulate`.
#[derive(clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    describing: Describing,
    /// Compress as fast as possible: gzip, level 1
    #[arg(long)]
    compression_fast: bool,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    _bars: BarOptions,
    /// The commit: a ref, a checksum
    rev: String,
    /// Where the image goes
    #[arg(value_parser = parse_image)]
    image: ImageReference,
}

/// Makes an image of a commit.
pub(super) fn export(args: &ExportArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let commit = resolve(&repo, &args.rev)?;
    let options = BuildOptions {
        compression: if args.compression_fast { Compression::Gzip(1) } else { Compression::GZIP },
        platform: args.registry.platform().cloned(),
        ..args.describing.options(None)?
    };
    let dest = images::create(&args.image, &args.registry, &[], &session.ctx)?;
    let built = container::build::build(&repo, &commit, dest.dest(), &options, &session.ctx)
        .map_err(images::writing(&args.image))?;
    Ok(writeln!(session.out, "{}", dest.finish(built.manifest)?)?)
}

/// Arguments of `container unencapsulate`.
#[derive(clap::Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    common: Common,
    /// A ref that shall name the commit
    #[arg(long, value_name = "REF")]
    write_ref: Option<RefSpec>,
    #[command(flatten)]
    keyring: KeyringOptions,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    _bars: BarOptions,
    /// The image
    image: Image,
}

/// Takes the commit out of an image that holds nothing else.
pub(super) fn import(args: &ImportArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let who = Who::of(&args.image, &args.keyring, &repo)?;
    let opened = images::open(&args.image.reference, &args.registry, &session.ctx)?;
    let image = opened.admit(who.demand(), &session.ctx)?;
    let plan = image.image()?.plan()?;
    if plan.commit_layer().is_none() || plan.plain_layers() > 0 {
        let n = plan.plain_layers();
        let why = format!("Image has {n} layers that are not of its commit: see 'container image pull'");
        return Err(Error::Unsupported(why).into());
    }
    let vouching = who.vouching();
    let options = PullOptions { vouching, name: args.write_ref.clone(), ..PullOptions::default() };
    let pulled = container::pull::pull(&image, &repo, &options, &session.ctx).map_err(who.failed(&repo))?;
    let commit = pulled.commit;
    let name = args.write_ref.as_ref().map(|name| format!("{name} => ")).unwrap_or_default();
    Ok(writeln!(session.out, "Imported: {name}{commit}")?)
}
