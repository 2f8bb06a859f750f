//! `container image deploy`: an image pulled into a sysroot's repository, and deployed.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, bail};

use super::super::Image;
use super::super::update::{PullingOptions, Update};
use crate::cli::terminal::Session;
use crate::cli::verb::admin::SysrootOptions;
use crate::container::image::{ImageReference, OstreeImageReference, SignatureSource, Transport};
use crate::container::pull::NameImage;
use crate::format::RemoteName;
use crate::sysroot::Stateroot;
use crate::sysroot::kargs::KernelArgs;

/// The stateroot of systems that say nothing else.
const STATEROOT: &str = "default";

/// Arguments of `container image deploy`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    sysroot: SysrootOptions,
    /// The name of the stateroot [default: that of the running system, or "default"]
    #[arg(long, alias = "os", value_name = "STATEROOT")]
    stateroot: Option<Stateroot>,
    /// The image, and who vouches for it: ostree-image-signed:…, ostree-remote-image:REMOTE:…, ostree-unverified-image:…
    #[arg(long, value_name = "IMAGE", required_unless_present = "image", conflicts_with = "image")]
    imgref: Option<OstreeImageReference>,
    /// The image, without a transport; nobody has to vouch for it unless --enforce-container-sigpolicy says so
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// Where --image is: registry, oci, oci-archive, dir, containers-storage …
    #[arg(long, value_name = "TRANSPORT", default_value = "registry", requires = "image")]
    transport: String,
    /// Has no effect: --image is not verified anyway
    #[arg(long, conflicts_with = "enforce_container_sigpolicy")]
    no_signature_verification: bool,
    /// Let policy.json ask for a signature of --image, or with --ostree-remote the remote's keys for one of its commit
    #[arg(long)]
    enforce_container_sigpolicy: bool,
    /// The remote whose keys sign the commit
    #[arg(long, value_name = "REMOTE")]
    ostree_remote: Option<RemoteName>,
    #[command(flatten)]
    pulling: PullingOptions,
    /// The image that upgrades will come from, and who vouches for it, if it is another one
    #[arg(long, value_name = "IMAGE")]
    target_imgref: Option<OstreeImageReference>,
    /// Keep the layers, but do not name the image in the repository
    #[arg(long)]
    no_imgref: bool,
    /// Add an argument for the kernel; without any those of the deployment before are kept
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    karg: Vec<String>,
    /// Write the checksum of the deployed commit to this file
    #[arg(long, value_name = "FILE")]
    write_commitid_to: Option<PathBuf>,
}

/// Pulls and deploys.
pub(super) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let source = args.source()?;
    let target = args.target_imgref.as_ref().unwrap_or(&source);
    let locked = args.sysroot.lock(session)?;
    let current = locked.deployments.clone();
    let booted = || current.booted().map(|booted| booted.id.stateroot.clone());
    let stateroot = match args.stateroot.clone().or_else(booted) {
        Some(stateroot) => stateroot,
        None => Stateroot::from_str(STATEROOT)?,
    };
    let mut kernel_args = KernelArgs::default();
    args.karg.iter().for_each(|arg| kernel_args.append(arg));
    let update = Update {
        stateroot: &stateroot,
        image: &Image::of(source.clone()),
        target,
        kernel_args: (!args.karg.is_empty()).then_some(kernel_args),
        finish: None,
        pulling: &args.pulling,
        name: if args.no_imgref { NameImage::No } else { NameImage::Yes },
    };
    let commit = update.pull_and_deploy(&locked.sysroot, current, session)?;
    match &args.write_commitid_to {
        Some(path) => {
            fs::write(path, commit.to_string()).with_context(|| format!("Writing {}", path.display()))
        }
        None => Ok(()),
    }
}

impl Args {
    /// The image that is pulled.
    fn source(&self) -> anyhow::Result<OstreeImageReference> {
        let Some(name) = &self.image else {
            return self.imgref.clone().context("no image is named: give --imgref or --image");
        };
        let word = self.transport.trim_end_matches("//").trim_end_matches(':');
        let is =
            |transport: &&Transport| transport.prefix().trim_end_matches("//").trim_end_matches(':') == word;
        let transport = match word {
            "registry" => Transport::Registry,
            _ => match Transport::ALL.iter().find(is) {
                Some(transport) => *transport,
                None => bail!("--transport {}: unknown transport", self.transport),
            },
        };
        let signature = match (self.enforce_container_sigpolicy, &self.ostree_remote) {
            (false, _) => SignatureSource::Unverified,
            (true, Some(remote)) => SignatureSource::OstreeRemote(remote.clone()),
            (true, None) => SignatureSource::ContainerPolicy,
        };
        Ok(OstreeImageReference { signature, image: ImageReference::new(transport, name)? })
    }
}
