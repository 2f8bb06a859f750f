//! `container pull`: the commit of a container image.

use std::path::PathBuf;

use super::super::Common;
use super::{Image, print};
use crate::base::sign::gpg::Keyring;
use crate::cli::gpg;
use crate::cli::images::{self, Demand, RegistryOptions};
use crate::cli::progress::ProgressOptions;
use crate::cli::terminal::Session;
use crate::container::{self, PullOptions, SignatureSource, Signatures};
use crate::format::variant::Dict;
use crate::format::{CommitId, RefSpec};
use crate::repo::Repo;
use crate::store::Txn;
use crate::tar::Refusal;

/// Arguments of `container pull`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The ref that shall name the commit
    #[arg(long = "ref", value_name = "REF")]
    name: Option<RefSpec>,
    /// A file with the OpenPGP keys that may sign the commit
    #[arg(long, value_name = "FILE")]
    gpg_keyring: Vec<PathBuf>,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    _progress: ProgressOptions,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    /// docker://HOST/PATH[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], dir:DIR; with ostree-remote-image:REMOTE: in front, the remote's keys
    /// are asked for, with ostree-unverified-image: none
    image: Image,
}

/// Does what the arguments ask for.
pub(super) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let keyring = keyring(args, &repo)?;
    let verify = |_: &CommitId, bytes: &[u8], detached: Option<&[u8]>| -> Result<(), Refusal> {
        let Some(keyring) = &keyring else { return Err("no keyring".into()) };
        let detached = detached.filter(|bytes| !bytes.is_empty()).map(Dict::parse).transpose()?;
        Ok(gpg::require(keyring, bytes, detached.as_ref())?)
    };
    let demand = match &args.image.signature {
        Some(SignatureSource::ContainerPolicy) => Demand::Signed,
        _ => Demand::AsPolicySays,
    };
    let signatures = match (&keyring, &args.image.signature) {
        (Some(_), _) => Signatures::Verify(&verify),
        // An image that the policy let in because of its signature.
        (None, Some(SignatureSource::ContainerPolicy)) => Signatures::Unverified,
        (None, Some(SignatureSource::Unverified)) => Signatures::Unverified,
        (None, _) => Signatures::Undecided,
    };
    let opened = images::open(&args.image.reference, &args.registry, &session.ctx)?;
    images::check(&args.image.reference, &opened, demand, &session.ctx)?;
    let options = PullOptions { signatures, ..PullOptions::default() };
    let txn = repo.begin(&session.ctx)?;
    let pulled = container::pull(&*opened.source, &txn, &options, &session.ctx)?;
    if let Some(name) = &args.name {
        txn.set_ref(name, Some(pulled.commit))?;
    }
    txn.commit(&session.ctx)?;
    print(args.json, &pulled.commit, &pulled.manifest, &pulled.commit, session)
}

/// The keys that have to have signed the commit, if anything says which.
fn keyring(args: &Args, repo: &Repo) -> anyhow::Result<Option<Keyring>> {
    let mut keyring = match &args.image.signature {
        Some(SignatureSource::OstreeRemote(remote)) => Some(gpg::of_remote(repo, remote)?),
        Some(SignatureSource::ContainerPolicy | SignatureSource::Unverified) | None => None,
    };
    for file in &args.gpg_keyring {
        keyring.get_or_insert_default().extend(gpg::from_path(file)?);
    }
    Ok(keyring)
}
