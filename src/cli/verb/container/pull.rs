//! `container pull`: the commit of a container image.

use std::io::Write;

use serde::Serialize;

use super::super::Common;
use super::convert::summary;
use super::vouch::{KeyringOptions, Who};
use super::{Image, PlainLayers};
use crate::cli::images::{self, RegistryOptions};
use crate::cli::terminal::{self, BarOptions, Session};
use crate::container;
use crate::container::convert::Kernel;
use crate::container::pull::{PullOptions, Pulled, PulledLayer};
use crate::format::RefSpec;
use crate::repo::Repo;

/// Arguments of `container pull`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    /// HOST/PATH[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], dir:DIR, docker-archive:FILE[:NAME],
    /// containers-storage:NAME; with
    /// ostree-remote-image:REMOTE: in front, the remote's keys are asked for, with ostree-image-signed: the
    /// policy's, with ostree-unverified-image: none; without, the policy has to ask for a signature
    image: Image,
}

/// Options of `container pull`, and of `pull` for an image.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The ref that shall name the commit
    #[arg(long = "ref", value_name = "REF")]
    name: Option<RefSpec>,
    #[command(flatten)]
    keyring: KeyringOptions,
    #[command(flatten)]
    plain: PlainLayers,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    pub(crate) bars: BarOptions,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What a pull did.
#[derive(Serialize)]
pub(super) struct Json {
    commit: String,
    manifest_digest: String,
    layers_fetched: usize,
    layers_reused: usize,
    bytes_fetched: u64,
    layers: Vec<LayerJson>,
    /// The release of the kernel of an image that was never ostree's, if it has exactly one.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<String>,
}

/// What was fetched of a layer.
#[derive(Serialize)]
pub(super) struct LayerJson {
    digest: String,
    bytes_fetched: u64,
    /// `reused`, `objects`, `delta` or `whole`.
    way: &'static str,
    why: String,
}

impl LayerJson {
    /// The layers of a pull.
    pub(super) fn all(layers: &[PulledLayer]) -> Vec<Self> {
        let json = |PulledLayer { digest, bytes, way }: &PulledLayer| Self {
            digest: digest.to_string(),
            bytes_fetched: *bytes,
            way: way.word(),
            why: way.to_string(),
        };
        layers.iter().map(json).collect()
    }
}

impl Json {
    /// The JSON object of a pull.
    pub(super) fn of(pulled: &Pulled) -> Self {
        let kernel = pulled.arranged.as_ref().and_then(|arranged| match &arranged.kernel {
            Kernel::One { release, .. } => Some(release.clone()),
            Kernel::None | Kernel::Several(_) => None,
        });
        Self {
            commit: pulled.commit.to_string(),
            manifest_digest: pulled.manifest.to_string(),
            layers_fetched: pulled.fetched,
            layers_reused: pulled.reused,
            bytes_fetched: pulled.fetched_bytes,
            layers: LayerJson::all(&pulled.layers),
            kernel,
        }
    }
}

/// Does what the arguments ask for.
pub(super) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.options.common.open()?;
    pull(&args.image, &repo, &args.options, session)
}

/// Pulls an image into `repo`.
pub(crate) fn pull(image: &Image, repo: &Repo, args: &Options, session: &mut Session) -> anyhow::Result<()> {
    let who = Who::of(image, &args.keyring, repo)?;
    let opened = images::open(&image.reference, &args.registry, &session.ctx)?;
    let image = opened.admit(who.demand(), &session.ctx)?;
    let options = PullOptions { vouching: who.vouching(), name: args.name.clone(), var: args.plain.var() };
    let pulled = container::pull::pull(&image, repo, &options, &session.ctx).map_err(who.failed(repo))?;
    if args.json {
        return session.out.json(&Json::of(&pulled));
    }
    writeln!(session.out, "{}", pulled.commit)?;
    tell(&pulled, args.bars.quiet, session)
}

/// Tells a person what became of an image that was never ostree's.
pub(super) fn tell(pulled: &Pulled, quiet: bool, session: &mut Session) -> anyhow::Result<()> {
    if let Some(arranged) = pulled.arranged.as_ref().filter(|_| !quiet) {
        session.out.flush()?;
        summary(arranged).iter().for_each(terminal::say);
    }
    Ok(())
}
