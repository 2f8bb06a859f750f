//! The head of a static delta: its superblock, and the signatures that it may be wrapped in.

use ostree_format::delta::{SignedSuperblock, Superblock};
use ostree_format::variant::Dict;

use crate::store::{Error, Refusal, Result};

/// Decides about the bytes of a superblock, by their signatures if there are any.
pub type DeltaJudge<'a> = dyn Fn(&[u8], Option<&Dict>) -> Result<(), Refusal> + 'a;

/// A superblock, and its signatures if it has any.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The superblock.
    pub superblock: Superblock,
    /// The signatures, by the key that detached metadata has for their kind; `None` if it was not signed.
    pub signatures: Option<Dict>,
}

/// Reads a superblock, with signatures or without, and lets `judge` decide about it; `None` accepts any.
///
/// # Errors
/// [`Error::Invalid`] if it is damaged; [`Error::Refused`].
pub fn read_head(data: &[u8], judge: Option<&DeltaJudge<'_>>) -> Result<Head> {
    let invalid = |source| Error::Invalid { what: "static delta".into(), source };
    let signed = SignedSuperblock::parse(data).map_err(invalid)?;
    let bytes = signed.as_ref().map_or(data, |signed| &signed.bytes);
    let superblock = Superblock::parse(bytes).map_err(invalid)?;
    if let Some(judge) = judge {
        let signatures = signed.as_ref().map(|signed| &signed.signatures);
        judge(bytes, signatures).map_err(|why| Error::Refused { commit: superblock.to, why })?;
    }
    Ok(Head { superblock, signatures: signed.map(|signed| signed.signatures) })
}
