//! What a remote's configuration asks of its commits and its summary.
//!
//! ```text
//! gpg-verify=true              an OpenPGP signature on commits; without the key, too
//! gpg-verify-summary=false     one on the summary
//! sign-verify=ed25519;spki     a signature by a bare key of one of these kinds on commits; true: of any kind
//! sign-verify-summary=false    one on the summary
//! verification-KIND-key, -file whose; without them: the system's keys
//! ```
//! If both are asked for, both have to be there. Source: libostree ostree-repo-pull-verify.c.

use ostree_format::commitmeta;
use ostree_format::variant::Dict;
use ostree_format::{RemoteConfig, RemoteName, SignVerify};

use super::{Error, Machine, Result};
use crate::base::WithCauses;
use crate::repo::Repo;
#[cfg(feature = "openpgp")]
use crate::sign::gpg::Keyring;
use crate::sign::{self, KeyKind, PublicKeys, Verified};
use crate::store::{CommitBytes, Refusal, Voucher};

/// Stands for a keyring in programs that know no OpenPGP; there is none.
#[cfg(not(feature = "openpgp"))]
#[derive(Debug, Clone)]
enum Keyring {}

/// The keys of which some must have signed a remote's commits and its summary.
#[derive(Debug, Clone)]
pub struct RemoteTrust {
    commits: TrustedKeys,
    summary: TrustedKeys,
}

/// Keys, one of which must have signed; if there are both OpenPGP's and others, one of each.
#[derive(Debug, Clone, Default)]
struct TrustedKeys {
    gpg: Option<Keyring>,
    bare: Option<Vec<BareKeys>>,
}

/// Keys of a kind, or why their signatures do not count here.
#[derive(Debug, Clone)]
struct BareKeys {
    keys: PublicKeys,
    admitted: Result<(), sign::Error>,
}

impl Machine {
    /// The keys that must have signed what comes from `remote`, as its configuration says.
    ///
    /// # Errors
    /// As [`Machine::remote`]; [`Error::Parse`] if a value cannot be read; [`Error::BareKeys`] or [`Error::Keys`] if keys
    /// cannot be, [`Error::NoKeys`] if there are none of a kind that is asked for.
    pub fn remote_trust(&self, repo: &Repo, remote: &RemoteName) -> Result<RemoteTrust> {
        let config = self.remote_config(repo, remote)?;
        let (gpg, gpg_summary) = (config.gpg_verify, config.gpg_verify_summary);
        self.trust_as(repo, &config, gpg, gpg_summary)
    }

    /// The keys that must have signed commits of `remote` which come from somebody else, whom nobody has configured:
    /// one of them has to, also where the remote's own pulls ask for no signature. The summary is that of the server,
    /// and needs no signature.
    ///
    /// # Errors
    /// As [`Machine::remote_trust`].
    pub fn remote_trust_of_stranger(&self, repo: &Repo, remote: &RemoteName) -> Result<RemoteTrust> {
        let mut config = self.remote_config(repo, remote)?;
        config.sign_verify_summary = SignVerify::Off;
        let gpg = config.gpg_verify || config.sign_verify == SignVerify::Off;
        self.trust_as(repo, &config, gpg, false)
    }

    /// What is configured of a remote.
    ///
    /// # Errors
    /// As [`Machine::remote`]; [`Error::Parse`] if a value cannot be read.
    pub fn remote_config(&self, repo: &Repo, remote: &RemoteName) -> Result<RemoteConfig> {
        let file = self.remote(repo, remote)?.file;
        RemoteConfig::get(&file, remote)?.ok_or_else(|| Error::RemoteNotFound(remote.clone()))
    }

    fn trust_as(
        &self,
        repo: &Repo,
        config: &RemoteConfig,
        gpg: bool,
        gpg_summary: bool,
    ) -> Result<RemoteTrust> {
        let keyring = if gpg || gpg_summary { Some(self.remote_keyring(repo, &config.name)?) } else { None };
        let bare = |verify| self.bare_keys(config, verify);
        Ok(RemoteTrust {
            commits: TrustedKeys { gpg: keyring.clone().filter(|_| gpg), bare: bare(&config.sign_verify)? },
            summary: TrustedKeys {
                gpg: keyring.filter(|_| gpg_summary),
                bare: bare(&config.sign_verify_summary)?,
            },
        })
    }

    #[cfg(feature = "openpgp")]
    fn remote_keyring(&self, repo: &Repo, remote: &RemoteName) -> Result<Keyring> {
        self.keyring_of_remote(repo, remote)
    }

    #[cfg(not(feature = "openpgp"))]
    fn remote_keyring(&self, _repo: &Repo, remote: &RemoteName) -> Result<Keyring> {
        Err(Error::NotSigned(format!(
            "remote \"{remote}\" asks for OpenPGP signatures, which this program does not know"
        )))
    }

    fn bare_keys(&self, config: &RemoteConfig, verify: &SignVerify) -> Result<Option<Vec<BareKeys>>> {
        let (kinds, required) = match verify {
            SignVerify::Off => return Ok(None),
            SignVerify::Any => (KeyKind::ALL.to_vec(), false),
            SignVerify::Types(names) => {
                let kinds = names.iter().map(|name| name.parse()).collect::<Result<_, _>>();
                (kinds.map_err(|unknown| Error::NotSigned(format!("sign-verify: {unknown}")))?, true)
            }
        };
        let of_kind = |kind| self.bare_keys_of(config, kind, required);
        kinds.into_iter().map(of_kind).collect::<Result<_>>().map(Some)
    }

    fn bare_keys_of(&self, config: &RemoteConfig, kind: KeyKind, required: bool) -> Result<BareKeys> {
        let file = config.verification_files.get(kind.name());
        let inline = config.verification_keys.get(kind.name());
        let mut keys = match (file, inline) {
            (None, None) if required => return Err(Error::NoKeys(kind)),
            (None, None) if kind != KeyKind::Dummy => self.system_keys(kind)?,
            _ => PublicKeys::new(kind),
        };
        if let Some(file) = file {
            let failed = |error| {
                Error::NotSigned(format!(
                    "Failed loading '{}' keys from '{file}': {}",
                    kind.name(),
                    WithCauses(&error)
                ))
            };
            self.add_keys(&mut keys, file).map_err(failed)?;
        }
        if let Some(inline) = inline {
            let failed = |error| {
                let name = kind.name();
                Error::NotSigned(format!(
                    "Failed loading '{name}' keys from inline `verification-key`: {error}"
                ))
            };
            keys.trust(inline).map_err(failed)?;
        }
        Ok(BareKeys { keys, admitted: self.admit_kind(kind) })
    }
}

impl RemoteTrust {
    /// The judge of commits; `None` if they need no signature.
    pub fn commits(&self) -> Option<&dyn Voucher> {
        self.commits.is_asked_for().then_some(self as &dyn Voucher)
    }

    /// The OpenPGP keys of which one must have signed a commit; `None` if none has to.
    #[cfg(feature = "openpgp")]
    pub fn keyring(&self) -> Option<&Keyring> {
        self.commits.gpg.as_ref()
    }

    /// The bare key that a commit counts by; `None` if no bare key has to have signed it.
    ///
    /// # Errors
    /// Why the commit does not count.
    pub fn bare_key_of(&self, commit: &CommitBytes<'_>) -> Result<Option<Verified>, Refusal> {
        if self.commits.bare.is_none() {
            return Ok(None);
        }
        let Some(bytes) = commit.detached.filter(|bytes| !bytes.is_empty()) else {
            return Err("Can't verify commit without detached metadata".into());
        };
        let (detached, damage) = read_signatures(bytes, "detached metadata");
        let judged = self.commits.judge_bare(commit.bytes, &detached);
        judged.map_err(|why| damage(format!("Can't verify commit: {why}").into()))
    }

    /// Whether the summary needs a signature.
    pub fn verifies_summary(&self) -> bool {
        self.summary.is_asked_for()
    }

    /// Decides about a summary, given the content of `summary.sig` if there is one.
    ///
    /// # Errors
    /// Why the summary does not count.
    pub fn judge_summary(&self, summary: &[u8], signatures: Option<&[u8]>) -> Result<(), Refusal> {
        let missing = |what: &str, key: &str| -> Result<(), Refusal> {
            let advice = format!("(use {key}=false in remote config to disable)");
            Err(format!("{what} verification enabled, but no summary.sig found {advice}").into())
        };
        match (signatures, &self.summary) {
            (None, TrustedKeys { gpg: Some(_), .. }) => missing("GPG", "gpg-verify-summary"),
            (None, TrustedKeys { bare: Some(_), .. }) => missing("Signatures", "sign-verify-summary"),
            (None, _) => Ok(()),
            (Some(bytes), trusted) => {
                let (signatures, damage) = read_signatures(bytes, "summary.sig");
                let judged = trusted.judge_gpg(summary, Some(&signatures), "summary");
                judged.and_then(|()| trusted.judge_bare(summary, &signatures).map(drop)).map_err(damage)
            }
        }
    }
}

impl Voucher for RemoteTrust {
    fn vouch(&self, commit: &CommitBytes<'_>) -> Result<(), Refusal> {
        let what = format!("Commit {}", commit.id);
        match commit.detached.filter(|bytes| !bytes.is_empty()) {
            None => self.commits.judge_gpg(commit.bytes, None, &what)?,
            Some(bytes) => {
                let (detached, damage) = read_signatures(bytes, "detached metadata");
                self.commits.judge_gpg(commit.bytes, Some(&detached), &what).map_err(damage)?;
            }
        }
        self.bare_key_of(commit).map(drop)
    }
}

/// The dictionary of signatures in a file, and what an error says besides: there are none in a damaged file.
fn read_signatures<'a>(bytes: &[u8], file: &'a str) -> (Dict, impl Fn(Refusal) -> Refusal + 'a) {
    let (dict, damage) = match Dict::parse(bytes) {
        Ok(dict) => (dict, None),
        Err(error) => (Dict::new(), Some(error)),
    };
    let said = move |why: Refusal| match &damage {
        Some(damage) => format!("{why}; {file}: {damage}").into(),
        None => why,
    };
    (dict, said)
}

impl TrustedKeys {
    fn is_asked_for(&self) -> bool {
        self.gpg.is_some() || self.bare.is_some()
    }

    #[cfg(feature = "openpgp")]
    fn judge_gpg(&self, data: &[u8], signatures: Option<&Dict>, what: &str) -> Result<(), Refusal> {
        match &self.gpg {
            None => Ok(()),
            Some(keyring) => super::require_signature(keyring, data, signatures)
                .map_err(|why| format!("{what}: {why}").into()),
        }
    }

    #[cfg(not(feature = "openpgp"))]
    fn judge_gpg(&self, _data: &[u8], _signatures: Option<&Dict>, _what: &str) -> Result<(), Refusal> {
        Ok(())
    }

    /// The first good signature of any kind is enough.
    fn judge_bare(&self, data: &[u8], dict: &Dict) -> Result<Option<Verified>, Refusal> {
        let Some(kinds) = &self.bare else { return Ok(None) };
        let (mut first, mut failed): (Option<Refusal>, usize) = (None, 0);
        for BareKeys { keys, admitted } in kinds {
            let kind = keys.kind().signature_kind();
            if !dict.contains_key(kind.key()) {
                continue;
            }
            let judge = || -> Result<Verified, Refusal> {
                admitted.clone()?;
                Ok(keys.verify(data, &commitmeta::signatures(dict, kind)?)?)
            };
            match judge() {
                Ok(verified) => return Ok(Some(verified)),
                Err(why) => {
                    failed += 1;
                    first = first.or(Some(why));
                }
            }
        }
        Err(match (first, failed) {
            (None, _) => "No signatures found".into(),
            (Some(why), 1) => why,
            (Some(why), _) => format!("({} other invalid signatures): {why}", failed - 1).into(),
        })
    }
}
