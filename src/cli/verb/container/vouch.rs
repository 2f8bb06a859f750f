//! The decision about who has to vouch for an image that is pulled: keys for the commit, the policy for the image, or
//! nobody.

use std::path::PathBuf;

use anyhow::bail;

use super::super::no_key;
use super::Image;
use crate::cli::advice::Advised;
use crate::cli::locate;
use crate::container::image::{Error, SignatureSource};
use crate::container::pull::Vouching;
use crate::format::RemoteName;
use crate::host::{Demand, Machine, SignedBy};
use crate::repo::Repo;
use crate::store;

/// Where the keys are that may sign commits.
#[derive(Default, clap::Args)]
pub(in crate::cli::verb) struct KeyringOptions {
    /// A file with the OpenPGP keys that may sign the commit
    #[arg(long, value_name = "FILE")]
    gpg_keyring: Vec<PathBuf>,
}

/// The keys, and the part of an image's name, that say who has to vouch for the image.
pub(super) struct Who {
    keys: Option<SignedBy>,
    source: Option<SignatureSource>,
    /// The remote, if only the system's keys stand in for its own.
    keyless: Option<RemoteName>,
    /// The files of keys that were named.
    keyrings: Vec<PathBuf>,
}

/// Whether nobody vouched for the commit itself.
fn is_refused_commit(error: &Error) -> bool {
    matches!(error.store(), Some(store::Error::Refused { .. }))
}

impl Who {
    /// Finds who has to vouch for `image` by its name and the options.
    pub(super) fn of(image: &Image, options: &KeyringOptions, repo: &Repo) -> anyhow::Result<Self> {
        let machine = Machine::from_env();
        let (mut keyring, mut keyless) = (None, None);
        if let Some(SignatureSource::OstreeRemote(remote)) = &image.signature {
            keyring = Some(machine.keyring_of_remote(repo, remote)?);
            keyless = machine.imported_keyring(repo, remote)?.is_empty().then(|| remote.clone());
        }
        for file in &options.gpg_keyring {
            keyring.get_or_insert_default().extend(machine.keyring(file)?);
        }
        if let (Some(SignatureSource::OstreeRemote(remote)), Some(keyring)) = (&image.signature, &keyring)
            && keyring.is_empty()
        {
            bail!("{}", no_key(remote));
        }
        let keyrings = options.gpg_keyring.clone();
        Ok(Self { keys: keyring.map(SignedBy), source: image.signature.clone(), keyless, keyrings })
    }

    /// What is said of a pull into `repo` that failed.
    pub(super) fn failed(&self, repo: &Repo) -> impl FnOnce(Error) -> anyhow::Error {
        move |source| match self.known_keys() {
            Some(keys) if is_refused_commit(&source) => Advised::new(source, keys).into(),
            _ => locate::writing(repo)(source),
        }
    }

    /// A sentence about the keys that were looked at, as far as the name of the image does not tell.
    fn known_keys(&self) -> Option<String> {
        let files: Vec<_> = self.keyrings.iter().map(|file| file.display().to_string()).collect();
        let in_files = (!files.is_empty()).then(|| format!("the keys are those of {}", files.join(", ")));
        self.keyless.as_ref().map(no_key).or(in_files)
    }

    /// What the policy has to say.
    pub(super) fn demand(&self) -> Demand {
        match self.source {
            Some(SignatureSource::ContainerPolicy) => Demand::Signed,
            _ => Demand::AsPolicySays,
        }
    }

    /// The way in which a pull decides about the commit.
    pub(super) fn vouching(&self) -> Vouching<'_> {
        match (&self.keys, &self.source) {
            (Some(keys), _) => Vouching::By(keys),
            (None, Some(SignatureSource::Unverified)) => Vouching::Nobody,
            (None, _) => Vouching::Undecided,
        }
    }
}
