//! The end that gets the commits: it asks for what it lacks, and lets refs name them at the end.

use std::fmt;
use std::io::{BufReader, BufWriter, Read, Write};

use ostree_format::CommitId;
use zstd::stream::read::Decoder;

use super::arrival::Arrivals;
use super::files::{Files, SmallFiles, WAITING_BYTES};
use super::frame::{self, Tag};
use super::message::{self, Offer};
use super::{Error, Result};
use crate::base::{Ctx, with_pool};
use crate::store::{Completeness, Txn, Voucher, local_ref};
use crate::transfer::CopiedRef;

/// The memory that decompressing what the sender sends may take: 8 MiB.
const WINDOW_LOG: u32 = 23;

/// One push, seen from the receiving end.
///
/// ```text
/// greet ─► receive, in a transaction ─► (the caller commits it) ─► done
///             └───────── failed ─────────────────┴──────────────► refuse
/// ```
pub struct Receiver<R: Read, W: Write> {
    from: Decoder<'static, BufReader<R>>,
    to: BufWriter<W>,
}

impl<R: Read, W: Write> fmt::Debug for Receiver<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

impl<R: Read, W: Write> Receiver<R, W> {
    /// Greets the sender at the other end of two pipes.
    ///
    /// # Errors
    /// [`Error::NotSpoken`], [`Error::Version`] if it is something else; [`Error::BrokenOff`], [`Error::Stream`].
    pub fn greet(reader: R, writer: W) -> Result<Self> {
        let (mut from, mut to) = (BufReader::new(reader), BufWriter::new(writer));
        frame::greet(&mut to)?;
        frame::expect_greeting(&mut from)?;
        let mut from = Decoder::with_buffer(from).map_err(Error::stream)?;
        from.window_log_max(WINDOW_LOG).map_err(Error::stream)?;
        Ok(Self { from, to })
    }

    /// Receives what the sender pushes into `txn`: commits with everything that they name, of which nothing is believed,
    /// and refs. `voucher` is asked about each commit before it is written.
    ///
    /// # Errors
    /// [`Error::Store`] with what the store gives, with [`Mismatch`](crate::store::Error::Mismatch) for an object that is
    /// not what its name says, and with [`Refused`](crate::store::Error::Refused) if nobody vouches for a commit;
    /// [`Error::Peer`] if the sender gives up; [`Error::RefChanged`]; [`Error::BrokenOff`], [`Error::Protocol`],
    /// [`Error::Cancelled`].
    pub fn receive(
        &mut self,
        txn: &dyn Txn,
        voucher: Option<&dyn Voucher>,
        ctx: &Ctx,
    ) -> Result<Vec<CopiedRef>> {
        let offer = frame::read(&mut self.from)?.expect(Tag::Offer, "it offers nothing")?;
        let Offer { depth, refs } = Offer::parse(&offer)?;
        let mut received = Vec::with_capacity(refs.len());
        for (name, now) in refs {
            let before = txn.resolve_exact(&local_ref(name.clone()))?;
            received.push(CopiedRef { name, before, now });
        }
        let have: Vec<Option<CommitId>> = received.iter().map(|received| received.before).collect();
        frame::write(&mut self.to, Tag::Have, &[&message::have(&have)])?;
        self.to.flush().map_err(Error::stream)?;
        frame::read(&mut self.from)?.expect(Tag::Go, "it does not say whether it goes on")?;

        ctx.phase("Receiving objects", None, None);
        let small = SmallFiles::new();
        let complete = with_pool(ctx, WAITING_BYTES, |pool| {
            let files = Files::new(txn, &small, pool, ctx);
            let mut arrivals = Arrivals::new(txn, voucher, files, ctx);
            received.iter().rev().for_each(|received| arrivals.commit(received.now, depth, false));
            arrivals.run(&mut self.from, &mut self.to)
        })?;
        for commit in complete {
            txn.set_partial(&commit, Completeness::Complete)?;
        }
        for CopiedRef { name, before, now } in &received {
            let refspec = local_ref(name.clone());
            if txn.resolve_exact(&refspec)? != *before {
                return Err(Error::RefChanged(name.clone()));
            }
            txn.set_ref(&refspec, Some(*now))?;
        }
        Ok(received)
    }

    /// Tells the sender that everything is there, and committed.
    ///
    /// # Errors
    /// [`Error::BrokenOff`], [`Error::Stream`].
    pub fn done(mut self) -> Result<()> {
        frame::write(&mut self.to, Tag::Done, &[])?;
        self.to.flush().map_err(Error::stream)
    }

    /// Tells the sender why nothing comes of it, as far as it still listens.
    pub fn refuse(mut self, why: &str) {
        frame::write_failure(&mut self.to, why);
    }
}
