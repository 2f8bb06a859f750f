//! Vouchers: they accept or refuse a commit before anything of it becomes visible.

use ostree_format::variant::Dict;
use ostree_format::{Checksum, CommitId, ObjectName};

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

/// A commit of a store, read once: what is judged of it is what is used.
#[derive(Debug, Clone)]
pub struct StoredCommit {
    /// The name that it has in the store.
    pub id: CommitId,
    /// The object, which may be damaged.
    pub bytes: Vec<u8>,
    /// The detached metadata.
    pub detached: Option<Vec<u8>>,
}

impl StoredCommit {
    /// Reads a commit and its detached metadata.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Io`].
    pub fn read(store: &(impl ObjectRead + ?Sized), id: &CommitId) -> Result<Self> {
        let name = ObjectName::from(*id);
        let bytes = store.read_meta(&name)?.ok_or(Error::NotFound(name))?;
        Ok(Self { id: *id, bytes, detached: store.read_meta(&ObjectName::commitmeta(id))? })
    }

    /// What a voucher is given.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the object is not what its name says.
    pub fn to_judge(&self) -> Result<CommitBytes<'_>> {
        let (expected, actual) = (ObjectName::from(self.id), Checksum::of(&self.bytes));
        match actual == expected.checksum {
            true => Ok(CommitBytes { id: self.id, bytes: &self.bytes, detached: self.detached.as_deref() }),
            false => Err(Error::Mismatch { expected, actual }),
        }
    }

    /// The detached metadata; `None` if there is none. An empty file means the same.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn detached_metadata(&self) -> Result<Option<Dict>> {
        let bytes = self.detached.as_deref().filter(|bytes| !bytes.is_empty());
        bytes.map(Dict::parse).transpose().map_err(Error::corrupt(ObjectName::commitmeta(&self.id)))
    }
}

/// Lets `voucher` decide about a commit that is in `store`.
///
/// # Errors
/// [`Error::Refused`]; those of [`StoredCommit::read`] and [`StoredCommit::to_judge`].
pub fn vouch_stored(store: &(impl ObjectRead + ?Sized), id: &CommitId, voucher: &dyn Voucher) -> Result<()> {
    require_voucher(voucher, &StoredCommit::read(store, id)?.to_judge()?)
}
