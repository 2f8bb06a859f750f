//! Who vouches for an image that is pulled: keys for the commit, the policy for the image, or nobody.

use std::path::PathBuf;

use super::Image;
use crate::base::sign::gpg::Keyring;
use crate::cli::gpg;
use crate::cli::images::{Demand, Verdict};
use crate::container::{SignatureSource, Signatures};
use crate::format::CommitId;
use crate::format::variant::Dict;
use crate::repo::Repo;
use crate::tar::{Refusal, VerifyCommit};

/// Where the keys are that may sign commits.
#[derive(clap::Args)]
pub(super) struct KeyringOptions {
    /// A file with the OpenPGP keys that may sign the commit
    #[arg(long, value_name = "FILE")]
    gpg_keyring: Vec<PathBuf>,
}

/// Who vouches for an image.
pub(super) struct Voucher {
    keyring: Option<Keyring>,
    source: Option<SignatureSource>,
}

impl Voucher {
    /// Those that the image's name and the options say.
    pub(super) fn of(image: &Image, options: &KeyringOptions, repo: &Repo) -> anyhow::Result<Self> {
        let mut keyring = match &image.signature {
            Some(SignatureSource::OstreeRemote(remote)) => Some(gpg::of_remote(repo, remote)?),
            Some(SignatureSource::ContainerPolicy | SignatureSource::Unverified) | None => None,
        };
        for file in &options.gpg_keyring {
            keyring.get_or_insert_default().extend(gpg::from_path(file)?);
        }
        Ok(Self { keyring, source: image.signature.clone() })
    }

    /// What the policy has to say.
    pub(super) fn demand(&self) -> Demand {
        match self.source {
            Some(SignatureSource::ContainerPolicy) => Demand::Signed,
            _ => Demand::AsPolicySays,
        }
    }

    /// Decides about a commit by its signatures.
    pub(super) fn verify(&self) -> impl Fn(&CommitId, &[u8], Option<&[u8]>) -> Result<(), Refusal> {
        |commit, bytes, detached| {
            let Some(keyring) = &self.keyring else { return Err("no keyring".into()) };
            let detached = detached.filter(|bytes| !bytes.is_empty()).map(Dict::parse).transpose()?;
            gpg::require(keyring, bytes, detached.as_ref())
                .map_err(|why| format!("commit {commit}: {why:#}").into())
        }
    }

    /// What that means for the commit, where `verify` is [`Voucher::verify`], and the policy let the image in with
    /// this `verdict`.
    pub(super) fn signatures<'a>(&self, verify: &'a VerifyCommit<'a>, verdict: Verdict) -> Signatures<'a> {
        match (&self.keyring, &self.source, verdict) {
            (Some(_), ..) => Signatures::Verify(verify),
            (None, Some(SignatureSource::Unverified), _) => Signatures::Unverified,
            (None, _, Verdict::Signed) => Signatures::Unverified,
            (None, _, Verdict::Nothing) => Signatures::Undecided,
        }
    }
}
