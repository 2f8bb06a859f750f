//! `pull`: the commit of a container image; from remotes of ostree it does not pull yet.

use anyhow::bail;

use super::container::{Image, pull as image};
use crate::cli::remotes;
use crate::cli::terminal::Session;
use crate::format::RemoteName;
use crate::repo::Repo;

/// Arguments of `pull`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: image::Options,
    /// The image, as for `container pull`: HOST/PATH[:TAG][@DIGEST], oci:DIR[:TAG] …
    image: String,
    /// Refs of a remote of ostree, which cannot be pulled yet
    #[arg(value_name = "REF", hide = true)]
    refs: Vec<String>,
}

/// Pulls the image.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.options.common.open()?;
    if !args.refs.is_empty() || is_remote(&repo, &args.image) {
        bail!(
            "{} is a remote of ostree, and to pull from one over HTTP does not exist here yet; `pull-local` copies \
             from a repository of this machine, `pull IMAGE` takes the commit out of an image",
            args.image
        );
    }
    let image: Image = args.image.parse()?;
    image::pull(&image, &repo, &args.options, session)
}

/// Whether this is what C ostree pulls from: `REMOTE`, `REMOTE:REF`.
fn is_remote(repo: &Repo, text: &str) -> bool {
    let remote = text.split_once(':').map_or(text, |(remote, _)| remote);
    remote.parse().is_ok_and(|name: RemoteName| remotes::get(repo, &name).is_ok())
}
