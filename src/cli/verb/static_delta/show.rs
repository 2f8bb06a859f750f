//! `static-delta show`: what a static delta consists of, line by line as C ostree prints it.

use std::io::{Read, Write};

use super::named::Named;
use crate::cli::terminal::{Session, size};
use crate::delta::{Head, read_head, read_part};
use crate::format::delta::{ByteOrder, DeltaOp, DeltaOps, Endianness};
use crate::host::Machine;
use crate::repo::Repo;

/// Prints the superblock, and how each part is made up.
pub(super) fn show(repo: &Repo, name: &Named, session: &mut Session) -> anyhow::Result<()> {
    let head = read_head(name.superblock(repo, &session.ctx.cancel)?, None)?;
    let (block, out) = (&head.superblock, &mut session.out);
    writeln!(out, "Delta: {}", block.name())?;
    writeln!(out, "Signed: {}", if head.signatures.is_some() { "yes" } else { "no" })?;
    match &block.from {
        Some(from) => writeln!(out, "From: {from}")?,
        None => writeln!(out, "From <scratch>")?,
    }
    writeln!(out, "To: {}", block.to)?;
    writeln!(out, "Endianness: {}", endianness(block.endianness))?;
    writeln!(out, "Timestamp: {}", block.timestamp_secs)?;
    writeln!(out, "Number of parents: {}", block.before.len())?;
    writeln!(out, "Number of fallback entries: {}", block.fallbacks.len())?;
    for fallback in &block.fallbacks {
        writeln!(out, "  {}", fallback.object.checksum)?;
    }
    let fallbacks = Sizes::sum(block.fallbacks.iter().map(|one| (one.archived_bytes, one.unpacked_bytes)));
    fallbacks.print("Total Fallback", session)?;
    writeln!(session.out, "Number of parts: {}", block.parts.len())?;
    for number in 0..block.parts.len() {
        show_part(repo, name, &head, number, session)?;
    }
    let parts = Sizes::sum(block.parts.iter().map(|one| (one.file_bytes, one.unpacked_bytes)));
    parts.print("Total Part", session)?;
    let total =
        Sizes::sum([(parts.moved, parts.unpacked), (fallbacks.moved, fallbacks.unpacked)].into_iter());
    total.print("Total", session)
}

/// The words of C ostree.
const fn endianness(endianness: Endianness) -> &'static str {
    match endianness {
        Endianness::Stated(ByteOrder::Little) => "little",
        Endianness::Stated(ByteOrder::Big) => "big",
        Endianness::Guessed(ByteOrder::Little) => "little (heuristic)",
        Endianness::Guessed(ByteOrder::Big) => "big (heuristic)",
        Endianness::Unknown => "invalid",
    }
}

/// Prints a part; one that lies in the superblock, too, where C ostree looks for a file.
fn show_part(
    repo: &Repo,
    name: &Named,
    head: &Head,
    number: usize,
    session: &mut Session,
) -> anyhow::Result<()> {
    let (entry, out) = (&head.superblock.parts[number], &mut session.out);
    let (objects, size, usize) = (entry.objects.len(), entry.file_bytes, entry.unpacked_bytes);
    writeln!(out, "PartMeta{number}: nobjects={objects} size={size} usize={usize}")?;
    let mut file: Box<dyn Read + '_> = match head.inline_part(number) {
        Some(file) => Box::new(file),
        None => name.part(repo, number)?,
    };
    let machine = Machine::from_env();
    let part = read_part(&mut *file, None, &|| machine.temporary_file(), &session.ctx.cancel)?;
    let out = &mut session.out;
    let (modes, xattrs, payload, ops) =
        (part.mode_count(), part.xattrs_count(), part.payload_bytes(), part.ops().len());
    writeln!(out, "PartPayload{number}: nmodes={modes} nxattrs={xattrs} blobsize={payload} opsize={ops}")?;
    let mut counts = [0; 7];
    for op in DeltaOps::new(part.ops(), &entry.objects) {
        counts[position(&op?)] += 1;
    }
    let [splice, open, write, set, unset, close, patch] = counts;
    writeln!(
        out,
        "PartPayloadOps{number}: openspliceclose={splice} open={open} write={write} setread={set} \
         unsetread={unset} close={close} bspatch={patch}"
    )?;
    Ok(())
}

/// The place of an operation's kind in the list that is printed.
const fn position(op: &DeltaOp) -> usize {
    match op {
        DeltaOp::SpliceMeta { .. } | DeltaOp::SpliceContent { .. } => 0,
        DeltaOp::Open { .. } => 1,
        DeltaOp::Write { .. } => 2,
        DeltaOp::SetSource { .. } => 3,
        DeltaOp::UnsetSource => 4,
        DeltaOp::Close => 5,
        DeltaOp::Patch { .. } => 6,
    }
}

/// Bytes that are moved, and what they become.
#[derive(Clone, Copy)]
struct Sizes {
    moved: u64,
    unpacked: u64,
}

impl Sizes {
    fn sum(sizes: impl Iterator<Item = (u64, u64)>) -> Self {
        sizes.fold(Self { moved: 0, unpacked: 0 }, |sum, (moved, unpacked)| Self {
            moved: sum.moved.wrapping_add(moved),
            unpacked: sum.unpacked.wrapping_add(unpacked),
        })
    }

    fn print(self, what: &str, session: &mut Session) -> anyhow::Result<()> {
        let Self { moved, unpacked } = self;
        writeln!(session.out, "{what} Size: {moved} ({})", size(moved))?;
        writeln!(session.out, "{what} Uncompressed Size: {unpacked} ({})", size(unpacked))?;
        Ok(())
    }
}
