//! Transactions by those who begin them: who begins one also ends it.
//!
//! ```text
//! begin ─► work ─┬─ done ───► commit      everything visible at once
//!                └─ failed ─┬─ suspend    what is whole waits for the next transaction, which goes on from there
//!                           └─ dropped    rolled back: what was written is in question
//! ```

use super::{Error, Hints, Result, Txn};
use crate::base::{Ctx, ErrorKind, Kind};

/// A store in which transactions can be begun.
pub trait Begin: Sync {
    /// Begins a transaction.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Io`], [`Error::Cancelled`].
    fn begin(&self, ctx: &Ctx) -> Result<Box<dyn OpenTxn + '_>>;

    /// Begins a transaction that reads the [journal](super::Hints::journal), and goes on from one that has some if it can.
    ///
    /// # Errors
    /// As [`Begin::begin`].
    fn resume(&self, ctx: &Ctx) -> Result<Box<dyn OpenTxn + '_>> {
        self.begin(ctx)
    }
}

/// A transaction in the hands of whoever began it. Dropped, it is rolled back.
pub trait OpenTxn: Txn {
    /// Makes everything visible.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Cancelled`]; [`Error::Usage`] if a ref cannot be written.
    fn commit(self: Box<Self>, ctx: &Ctx) -> Result<()>;

    /// Makes nothing visible, but leaves what was written to the next transaction.
    fn suspend(self: Box<Self>);
}

/// Does `work` in a transaction and ends it: see [`give_up`] for what becomes of it after an error.
///
/// # Errors
/// What `work` returns, and what [`Begin::begin`] and [`OpenTxn::commit`] do.
pub fn in_transaction<T, E: From<Error> + Kind>(
    store: &dyn Begin,
    ctx: &Ctx,
    work: impl FnOnce(&dyn Txn) -> Result<T, E>,
) -> Result<T, E> {
    work_in(store.begin(ctx)?, ctx, work)
}

/// Does `work` in a transaction that may take over what an interrupted one left ([`Begin::resume`]), and ends it as
/// [`in_transaction`] does.
///
/// # Errors
/// As [`in_transaction`].
pub fn in_resumed<T, E: From<Error> + Kind>(
    store: &dyn Begin,
    ctx: &Ctx,
    work: impl FnOnce(&dyn Txn) -> Result<T, E>,
) -> Result<T, E> {
    work_in(store.resume(ctx)?, ctx, work)
}

fn work_in<T, E: From<Error> + Kind>(
    txn: Box<dyn OpenTxn + '_>,
    ctx: &Ctx,
    work: impl FnOnce(&dyn Txn) -> Result<T, E>,
) -> Result<T, E> {
    match work(&*txn) {
        Ok(done) => {
            txn.commit(ctx)?;
            Ok(done)
        }
        Err(error) => {
            give_up(txn, error.kind());
            Err(error)
        }
    }
}

/// Ends a transaction whose work failed for a reason of this kind. What was finished is left to the next one, unless
/// the failure puts it in question: if nobody vouches for it, or it cannot be kept at all. Damage of one part leaves
/// those that the journal tells of.
pub fn give_up(txn: Box<dyn OpenTxn + '_>, why: ErrorKind) {
    let is_kept = match why {
        ErrorKind::Cancelled | ErrorKind::Network | ErrorKind::Exhausted | ErrorKind::System => true,
        ErrorKind::Damaged | ErrorKind::Missing => txn.hints().is_some_and(Hints::journal_tells),
        ErrorKind::Refused | ErrorKind::Locked | ErrorKind::Unsupported | ErrorKind::Usage => false,
    };
    if is_kept {
        txn.suspend();
    }
}
