//! Vouchers: they accept or refuse a commit before anything of it becomes visible.

use ostree_format::{Checksum, CommitId, ObjectName, ObjectType};

use super::{Error, ObjectRead, Result};

/// A commit to be judged. These bytes are what is used afterwards, whatever a name leads to by then.
#[derive(Debug, Clone, Copy)]
pub struct CommitBytes<'a> {
    /// The checksum of `bytes`.
    pub id: CommitId,
    /// The commit object.
    pub bytes: &'a [u8],
    /// The commit's detached metadata, which holds the signatures.
    pub detached: Option<&'a [u8]>,
}

/// The reason for which a commit is refused.
pub type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// A judge of commits: keys, the bindings of a ref, a policy. A closure is one, too.
pub trait Voucher: Sync {
    /// Decides about a commit.
    ///
    /// # Errors
    /// Why it is not let in.
    fn vouch(&self, commit: &CommitBytes<'_>) -> Result<(), Refusal>;
}

impl<F: Fn(&CommitBytes<'_>) -> Result<(), Refusal> + Sync> Voucher for F {
    fn vouch(&self, commit: &CommitBytes<'_>) -> Result<(), Refusal> {
        self(commit)
    }
}

/// Lets `voucher` decide about a commit.
///
/// # Errors
/// [`Error::Refused`].
pub fn require_voucher(voucher: &dyn Voucher, commit: &CommitBytes<'_>) -> Result<()> {
    voucher.vouch(commit).map_err(|why| Error::Refused { commit: commit.id, why })
}

/// Lets `voucher` decide about a commit that is in `store`.
///
/// # Errors
/// [`Error::Refused`]; [`Error::NotFound`]; [`Error::Mismatch`] if the object is not what its name says;
/// [`Error::Io`].
pub fn vouch_stored(store: &(impl ObjectRead + ?Sized), id: &CommitId, voucher: &dyn Voucher) -> Result<()> {
    let name = ObjectName::from(*id);
    let bytes = store.read_meta(&name)?.ok_or(Error::NotFound(name))?;
    let actual = Checksum::of(&bytes);
    if actual != name.checksum {
        return Err(Error::Mismatch { expected: ObjectName::new(name.checksum, ObjectType::Commit), actual });
    }
    let detached = store.read_meta(&ObjectName::commitmeta(id))?;
    require_voucher(voucher, &CommitBytes { id: *id, bytes: &bytes, detached: detached.as_deref() })
}
