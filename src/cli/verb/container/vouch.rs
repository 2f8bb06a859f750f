//! Who vouches for an image that is pulled: keys for the commit, the policy for the image, or nobody.

use std::path::PathBuf;

use anyhow::bail;

use super::Image;
use crate::base::sign::gpg::Keyring;
use crate::cli::gpg::{self, SignedBy};
use crate::cli::images::Demand;
use crate::container::{SignatureSource, Vouching};
use crate::repo::Repo;

/// Where the keys are that may sign commits.
#[derive(clap::Args)]
pub(super) struct KeyringOptions {
    /// A file with the OpenPGP keys that may sign the commit
    #[arg(long, value_name = "FILE")]
    gpg_keyring: Vec<PathBuf>,
}

/// Who vouches for an image.
pub(super) struct Who {
    keyring: Option<Keyring>,
    source: Option<SignatureSource>,
}

impl Who {
    /// Those that the image's name and the options say.
    pub(super) fn of(image: &Image, options: &KeyringOptions, repo: &Repo) -> anyhow::Result<Self> {
        let mut keyring = match &image.signature {
            Some(SignatureSource::OstreeRemote(remote)) => Some(gpg::of_remote(repo, remote)?),
            Some(SignatureSource::ContainerPolicy | SignatureSource::Unverified) | None => None,
        };
        for file in &options.gpg_keyring {
            keyring.get_or_insert_default().extend(gpg::from_path(file)?);
        }
        if let (Some(SignatureSource::OstreeRemote(remote)), Some(keyring)) = (&image.signature, &keyring)
            && keyring.is_empty()
        {
            bail!("no key for remote {remote} yet: `remote gpg-import {remote} -k FILE` brings one");
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

    /// The keys, if any have to vouch for the commit.
    pub(super) fn keys(&self) -> Option<SignedBy<'_>> {
        self.keyring.as_ref().map(SignedBy)
    }

    /// Who vouches for the commit, where `keys` are those of [`Who::keys`].
    pub(super) fn vouching<'a>(&self, keys: Option<&'a SignedBy<'a>>) -> Vouching<'a> {
        match (keys, &self.source) {
            (Some(keys), _) => Vouching::By(keys),
            (None, Some(SignatureSource::Unverified)) => Vouching::Nobody,
            (None, _) => Vouching::Undecided,
        }
    }
}
