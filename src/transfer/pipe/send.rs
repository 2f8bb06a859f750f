//! The end that has the commits: it offers refs, and answers what it is asked for.

use std::io::{BufReader, BufWriter, Read, Write};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use ostree_format::{CommitId, FileId, ObjectName, ObjectType};
use zstd::stream::write::Encoder;

use super::frame::{self, CHUNK_BYTES, Frame, Tag};
use super::message::{self, Offer};
use super::{Error, Result, WINDOW};
use crate::base::io::Exact;
use crate::base::{Ctx, WithCauses};
use crate::store::{self, Depth, ObjectRead, Refs, local_ref};
use crate::transfer::TransferStats;
use crate::transfer::refs::{CopiedRef, Moves, RefCopy, descends};

/// Quick enough for a local network; slow lines gain from any level.
const LEVEL: i32 = 1;
/// The time after which a wait looks whether the work has been cancelled.
const TICK: Duration = Duration::from_millis(100);
/// The time that the other side has to say why it hung up.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Offers the commits that `refs` name in `from` to the [`Receiver`](super::Receiver) at the other end of two pipes, and
/// sends it what it lacks of them. When this returns, objects and refs are there, and committed.
///
/// # Errors
/// [`store::Error::RefNotFound`] if `from` lacks a ref; [`store::Error::NotForward`] if a ref of the receiver would lose its
/// commit and `moves` does not allow that: nothing was pushed then. [`Error::Peer`] with what the receiver says;
/// [`Error::BrokenOff`], [`Error::NotSpoken`], [`Error::Version`], [`Error::Protocol`]; [`Error::Cancelled`]; what `from`
/// gives.
pub fn send(
    from: &(impl ObjectRead + Refs),
    refs: &[RefCopy],
    moves: Moves,
    depth: Depth,
    (reader, writer): (impl Read + Send + 'static, impl Write),
    ctx: &Ctx,
) -> Result<(Vec<CopiedRef>, TransferStats)> {
    let mut offered = Vec::with_capacity(refs.len());
    for RefCopy { from: source, to } in refs {
        let refspec = local_ref(source.clone());
        let now = from.resolve_exact(&refspec)?.ok_or(store::Error::RefNotFound(refspec))?;
        offered.push((to.clone(), now));
    }
    let answers = Answers::listen(reader);
    let mut writer = writer;
    answers.greeting(ctx)?;
    frame::greet(&mut writer)?;
    let out = Encoder::new(writer, LEVEL).map_err(Error::stream)?;
    let mut sender = Sender { from, answers, out: BufWriter::new(out), stats: TransferStats::default(), ctx };
    let done = sender.push(&Offer { depth, refs: offered }, moves).or_else(|error| sender.explain(error));
    Ok((done?, sender.stats))
}

struct Sender<'a, S, W: Write> {
    from: &'a S,
    answers: Answers,
    out: BufWriter<Encoder<'static, W>>,
    stats: TransferStats,
    ctx: &'a Ctx,
}

impl<S: ObjectRead, W: Write> Sender<'_, S, W> {
    fn push(&mut self, offer: &Offer, moves: Moves) -> Result<Vec<CopiedRef>> {
        frame::write(&mut self.out, Tag::Offer, &[&offer.to_bytes()])?;
        self.flush()?;
        let have = self.answers.next(self.ctx)?.expect(Tag::Have, "it does not say what it has")?;
        let have = message::parse_have(&have, offer.refs.len())?;
        let mut copied = Vec::with_capacity(have.len());
        for ((name, now), before) in offer.refs.iter().cloned().zip(have) {
            self.check_forward(&name, moves, before, now)?;
            copied.push(CopiedRef { name, before, now });
        }
        frame::write(&mut self.out, Tag::Go, &[])?;
        self.flush()?;
        self.ctx.phase("Sending objects", None, None);
        while let Some(wanted) = self.next_wanted()? {
            for name in wanted {
                self.ctx.cancel.check()?;
                self.answer(&name)?;
            }
            if self.answers.is_empty() {
                self.flush()?;
            }
        }
        Ok(copied)
    }

    fn check_forward(
        &self,
        name: &ostree_format::RefName,
        moves: Moves,
        before: Option<CommitId>,
        now: CommitId,
    ) -> Result<()> {
        match (before, moves) {
            (Some(before), Moves::Forward) if !descends(self.from, now, before)? => {
                Err(store::Error::NotForward { name: name.clone(), before, now }.into())
            }
            _ => Ok(()),
        }
    }

    /// What the other side wants next; nothing if it has all and has committed it.
    fn next_wanted(&mut self) -> Result<Option<Vec<ObjectName>>> {
        let frame = self.answers.next(self.ctx)?.or_failure()?;
        match frame.tag {
            Tag::Done => Ok(None),
            Tag::Want => message::parse_want(&frame.bytes).map(Some),
            _ => Err(Error::Protocol("it wants nothing and is not done")),
        }
    }

    fn answer(&mut self, name: &ObjectName) -> Result<()> {
        let bytes = match name.kind {
            ObjectType::File => return self.answer_file(*name),
            ObjectType::Commit | ObjectType::DirTree | ObjectType::DirMeta | ObjectType::CommitMeta => {
                self.from.read_meta(name)?
            }
            _ => return Err(Error::Protocol("it wants an object that belongs to no commit")),
        };
        let Some(bytes) = bytes else { return frame::write(&mut self.out, Tag::Missing, &[]) };
        frame::write(&mut self.out, Tag::Meta, &[&bytes])?;
        if name.kind != ObjectType::CommitMeta {
            self.stats.metadata_objects += 1;
            self.ctx.object_done(bytes.len() as u64);
        }
        Ok(())
    }

    fn answer_file(&mut self, name: ObjectName) -> Result<()> {
        let Some(file) = self.from.open_file(&FileId::new(name.checksum))? else {
            return frame::write(&mut self.out, Tag::Missing, &[]);
        };
        let len = file.len;
        frame::write(&mut self.out, Tag::File, &[&len.to_be_bytes(), &file.header.to_bytes()])?;
        let (mut content, mut buf) = (Exact::new(file, len), vec![0; CHUNK_BYTES]);
        loop {
            let unreadable = |source| store::Error::Read { what: name.to_string(), source };
            match content.read(&mut buf).map_err(unreadable)? {
                0 => break,
                n => frame::write(&mut self.out, Tag::Chunk, &[&buf[..n]])?,
            }
            self.ctx.cancel.check()?;
        }
        self.stats.content_objects += 1;
        self.stats.copied_bytes += len;
        self.ctx.object_done(len);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(Error::stream)
    }

    /// Tells the other side what went wrong here, or asks it what went wrong there.
    fn explain<T>(&mut self, error: Error) -> Result<T> {
        Err(match error {
            Error::BrokenOff | Error::Stream(_) => self.answers.last_words().unwrap_or(error),
            Error::Peer(_) => error,
            error => {
                frame::write_failure(&mut self.out, &WithCauses(&error).to_string());
                error
            }
        })
    }
}

/// What the other side sends, read by a thread of its own: so it can always go on sending, and a wait for it can be
/// cancelled. The thread ends with the stream.
struct Answers(Receiver<Result<Frame>>);

impl Answers {
    fn listen(reader: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = bounded(WINDOW);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            // An empty frame stands for the greeting.
            let mut next =
                frame::expect_greeting(&mut reader).map(|()| Frame { tag: Tag::Go, bytes: Vec::new() });
            loop {
                let is_last = next.is_err();
                if sender.send(next).is_err() || is_last {
                    return;
                }
                next = frame::read(&mut reader);
            }
        });
        Self(receiver)
    }

    fn greeting(&self, ctx: &Ctx) -> Result<()> {
        self.next(ctx).map(drop)
    }

    fn next(&self, ctx: &Ctx) -> Result<Frame> {
        loop {
            match self.0.recv_timeout(TICK) {
                Ok(next) => return next,
                Err(RecvTimeoutError::Timeout) => ctx.cancel.check()?,
                Err(RecvTimeoutError::Disconnected) => return Err(Error::BrokenOff),
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The reason for which the other side hung up, if it gave one.
    fn last_words(&self) -> Option<Error> {
        while let Ok(Ok(frame)) = self.0.recv_timeout(LAST_WORDS) {
            if let Err(said) = frame.or_failure() {
                return Some(said);
            }
        }
        None
    }
}
