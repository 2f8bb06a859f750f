//! The summary that clients get, and its signatures.
//!
//! ```text
//! a signer was given         made of the refs as they are, signed when they changed
//! an archive, signed there   as it lies there: what was signed is passed on
//! else                       made of the refs as they are, without signatures
//! ```

use std::fmt;
use std::sync::{Mutex, PoisonError};

use ostree_format::variant::Dict;

use crate::repo::Repo;
use crate::store::Result;

type Sign = dyn Fn(&[u8]) -> Result<Dict> + Send + Sync;

/// Makes the signatures of a summary: the content of `summary.sig` for the bytes of `summary`.
pub struct SummarySigner(Box<Sign>);

/// The summary of a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Served {
    /// `summary`
    pub(super) bytes: Vec<u8>,
    /// `summary.sig`, if it is signed.
    pub(super) signatures: Option<Vec<u8>>,
}

/// The summaries of a repository, one after the other.
#[derive(Debug, Default)]
pub(super) struct Summaries {
    signer: Option<SummarySigner>,
    /// The one that was signed last: two requests bring a summary and its signatures, and have to get what fits.
    signed: Mutex<Option<Served>>,
}

impl SummarySigner {
    /// A signer that does what `sign` does. It is called by several threads, though never by two at a time, whenever a
    /// summary was asked for after refs changed.
    pub fn new(sign: impl Fn(&[u8]) -> Result<Dict> + Send + Sync + 'static) -> Self {
        Self(Box::new(sign))
    }
}

impl fmt::Debug for SummarySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SummarySigner")
    }
}

impl Summaries {
    pub(super) fn new(signer: Option<SummarySigner>) -> Self {
        Self { signer, signed: Mutex::default() }
    }

    /// Whether there are signatures.
    pub(super) fn are_signed(&self, repo: &Repo) -> Result<bool> {
        Ok(self.signer.is_some() || repo.signed_summary()?.is_some())
    }

    /// The summary as it is now.
    pub(super) fn of(&self, repo: &Repo) -> Result<Served> {
        let Some(signer) = &self.signer else {
            return Ok(match repo.signed_summary()? {
                Some(file) => {
                    Served { bytes: file.bytes, signatures: file.signatures.map(|signed| signed.to_bytes()) }
                }
                None => Served { bytes: repo.served_summary()?, signatures: None },
            });
        };
        let bytes = repo.served_summary()?;
        let mut last = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(served) if served.bytes == bytes => Ok(served.clone()),
            _ => {
                let signatures = Some((signer.0)(&bytes)?.to_bytes());
                Ok(last.insert(Served { bytes, signatures }).clone())
            }
        }
    }
}
