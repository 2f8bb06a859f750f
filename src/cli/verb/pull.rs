//! `pull`: commits of a remote of ostree, of a repository of this machine, or the commit of a container image.

pub(super) mod remote;

use anyhow::{anyhow, bail};

use super::container::{Image, pull as image};
use super::require_files_writable;
use crate::cli::terminal::Session;
use crate::format::{RefSpec, RemoteName};
use crate::host::{Error, Machine};
use crate::repo::Repo;

/// Arguments of `pull`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: image::Options,
    #[command(flatten)]
    remote: remote::Options,
    /// A remote, or REMOTE:REF; or an image, as for `container pull`: HOST/PATH[:TAG][@DIGEST], oci:DIR[:TAG] …
    #[arg(value_name = "REMOTE|IMAGE")]
    from: String,
    /// Refs of the remote, REF@COMMIT for a certain commit, or commits [default: the remote's branches]
    #[arg(value_name = "REF")]
    refs: Vec<String>,
}

/// Pulls from the remote, or the image.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let mut repo = args.options.common.open()?;
    if let Some((remote, first)) = remote_of(&repo, &args.from)? {
        require_files_writable(&repo)?;
        let refs: Vec<String> = first.into_iter().chain(args.refs.iter().cloned()).collect();
        return remote::pull(&mut repo, &remote, &refs, &args.remote, args.options.bars.quiet, session);
    }
    if args.remote.are_given() || !args.refs.is_empty() {
        match args.from.parse::<RemoteName>() {
            Ok(name) => bail!(Error::RemoteNotFound(name)),
            Err(_) => {
                bail!("{} is not a remote: refs and options of ostree's pull are for remotes", args.from)
            }
        }
    }
    let image: Image = args.from.parse()?;
    image::pull(&image, &repo, &args.options, session).map_err(|error| match error.downcast_ref() {
        // A remote was meant, more likely.
        Some(Error::ShortName { .. }) if args.from.parse::<RemoteName>().is_ok() => {
            anyhow!("Remote \"{}\" not found; as an image, {error:#}", args.from)
        }
        _ => error,
    })
}

/// The remote that is meant, and the ref behind its name if there is one. What is not configured may be an image.
fn remote_of(repo: &Repo, text: &str) -> anyhow::Result<Option<(RemoteName, Option<String>)>> {
    let machine = Machine::from_env();
    let is_known = |name: &RemoteName| Ok::<_, anyhow::Error>(machine.remotes(repo)?.contains_key(name));
    if let Ok(name) = text.parse::<RemoteName>() {
        return Ok(is_known(&name)?.then_some((name, None)));
    }
    match text.parse::<RefSpec>() {
        Ok(RefSpec { remote: Some(remote), name }) if is_known(&remote)? => {
            Ok(Some((remote, Some(name.to_string()))))
        }
        _ => Ok(None),
    }
}
