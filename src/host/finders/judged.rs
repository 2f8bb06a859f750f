//! What somebody who happens to be near has: believed only as far as the keys of a remote vouch for it.

use ostree_format::{CommitId, CommitRef, ObjectName, RemoteConfig, RemoteName, SignVerify};

use super::CollectionRef;
use crate::base::WithCauses;
use crate::host::{Machine, RemoteTrust, Result, keyring_in, keyring_name};
use crate::repo::Repo;
use crate::store::{CommitBytes, Refusal, check_bindings, require_voucher};

/// A remote that is configured for a collection, its keys, and the refs of it that are looked for.
pub(super) struct Trusted {
    pub(super) remote: RemoteName,
    pub(super) refs: Vec<CollectionRef>,
    trust: RemoteTrust,
}

impl Machine {
    /// For each collection of `refs` the remote with keys that is configured for it, where there is one. A remote whose
    /// configuration cannot be read is passed over.
    pub(super) fn trusted(&self, repo: &Repo, refs: &[CollectionRef]) -> Result<Vec<Trusted>> {
        let mut out: Vec<Trusted> = Vec::new();
        for name in self.remotes(repo)?.into_keys() {
            let config = match self.remote_config(repo, &name) {
                Ok(config) => config,
                Err(error) => {
                    tracing::warn!(remote = %name, error = %WithCauses(&error), "remote is passed over");
                    continue;
                }
            };
            let is_new = |wanted: &&CollectionRef| !out.iter().any(|other| other.refs.contains(wanted));
            let of_it = refs.iter().filter(|(id, _)| config.collection_id.as_ref() == Some(id));
            let of_it: Vec<CollectionRef> = of_it.filter(is_new).cloned().collect();
            if !of_it.is_empty() && has_keys(repo, &config)? {
                let trust = self.remote_trust_of_stranger(repo, &name)?;
                out.push(Trusted { remote: name, refs: of_it, trust });
            }
        }
        Ok(out)
    }
}

/// Whether a remote has keys of its own.
fn has_keys(repo: &Repo, config: &RemoteConfig) -> Result<bool> {
    let has_keyring = keyring_in(repo, &keyring_name(&config.name))?.is_some();
    Ok(has_keyring || config.sign_verify != SignVerify::Off)
}

impl Trusted {
    /// When a commit was made, in seconds since 1970, if it is the ref's and the keys vouch for it. `read` gives objects.
    pub(super) fn time_of(
        &self,
        (id, name): &CollectionRef,
        commit: &CommitId,
        read: impl Fn(ObjectName) -> Option<Vec<u8>>,
    ) -> Result<u64, String> {
        let bytes = read((*commit).into()).ok_or("the commit is not there")?;
        let detached = read(ObjectName::commitmeta(commit));
        let judge = || -> Result<u64, Refusal> {
            if ostree_format::Checksum::of(&bytes) != *commit.checksum() {
                return Err("the commit has another checksum".into());
            }
            if let Some(voucher) = self.trust.commits() {
                let commit = CommitBytes { id: *commit, bytes: &bytes, detached: detached.as_deref() };
                require_voucher(voucher, &commit)?;
            }
            let parsed = CommitRef::parse(&bytes)?;
            check_bindings(&parsed.metadata()?, Some(name), Some(id))?;
            Ok(parsed.timestamp)
        };
        judge().map_err(|why| why.to_string())
    }
}
