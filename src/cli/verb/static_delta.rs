//! `static-delta list|show|delete`: what there is of static deltas.

use std::io::Write;

use anyhow::{Context, bail};

use super::Common;
use crate::cli::terminal::Session;
use crate::delta::{Head, read_head, unpack_part};
use crate::format::delta::{ByteOrder, DeltaName, DeltaOp, DeltaPart, Endianness};
use crate::repo::Repo;

/// The verbs below `static-delta`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// List static deltas
    List(ListArgs),
    /// Show what is in a static delta
    Show(NameArgs),
    /// Delete a static delta
    Delete(NameArgs),
}

/// Arguments of `static-delta list`.
#[derive(clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    common: Common,
}

/// Arguments of verbs that are about one static delta.
#[derive(clap::Args)]
pub(crate) struct NameArgs {
    #[command(flatten)]
    common: Common,
    /// The static delta: the commits from which and to which it leads, or only the latter
    #[arg(value_name = "FROM-TO")]
    name: String,
}

impl NameArgs {
    fn name(&self) -> anyhow::Result<DeltaName> {
        let hint = || format!("'{}' is not the name of a static delta, FROM-TO or TO", self.name);
        self.name.parse().with_context(hint)
    }
}

/// Does what the arguments ask for.
pub(crate) fn run(verb: &Verb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        Verb::List(args) => list(&args.common.open()?, session),
        Verb::Show(args) => show(&args.common.open()?, &args.name()?, session),
        Verb::Delete(args) => delete(&args.common.open()?, &args.name()?),
    }
}

fn list(repo: &Repo, session: &mut Session) -> anyhow::Result<()> {
    let deltas = repo.deltas()?;
    if deltas.is_empty() {
        writeln!(session.out, "(No static deltas)")?;
    }
    Ok(deltas.iter().try_for_each(|delta| writeln!(session.out, "{delta}"))?)
}

fn delete(repo: &Repo, name: &DeltaName) -> anyhow::Result<()> {
    if repo.delta_superblock(name)?.is_none() {
        bail!("Can't find delta {name}");
    }
    Ok(repo.delete_delta(name)?)
}

/// Prints the superblock, and how each part is made up.
fn show(repo: &Repo, name: &DeltaName, session: &mut Session) -> anyhow::Result<()> {
    let bytes = repo.delta_superblock(name)?.with_context(|| format!("Can't find delta {name}"))?;
    let head = read_head(&bytes)?;
    let (block, out) = (&head.superblock, &mut session.out);
    writeln!(out, "Delta: {name}")?;
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
    name: &DeltaName,
    head: &Head,
    number: usize,
    session: &mut Session,
) -> anyhow::Result<()> {
    let (entry, out) = (&head.superblock.parts[number], &mut session.out);
    let (objects, size, usize) = (entry.objects.len(), entry.file_bytes, entry.unpacked_bytes);
    writeln!(out, "PartMeta{number}: nobjects={objects} size={size} usize={usize}")?;
    let file = match head.superblock.inline_part(number) {
        Some(file) => file,
        None => {
            let missing = || format!("The static delta lacks its part {}", name.part_path(number));
            repo.delta_part(name, number)?.with_context(missing)?
        }
    };
    let bytes = unpack_part(&file)?;
    let part = DeltaPart::parse(&bytes)?;
    let (modes, xattrs, payload, ops) =
        (part.mode_count(), part.xattrs().count(), part.payload.len(), part.ops_bytes());
    writeln!(out, "PartPayload{number}: nmodes={modes} nxattrs={xattrs} blobsize={payload} opsize={ops}")?;
    let mut counts = [0; 7];
    for op in part.ops(&entry.objects) {
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
        writeln!(session.out, "{what} Size: {moved} ({})", human(moved))?;
        writeln!(session.out, "{what} Uncompressed Size: {unpacked} ({})", human(unpacked))?;
        Ok(())
    }
}

/// A size as GLib writes it: `12.3 kB`, with a space at which no line breaks.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" });
    }
    let steps = (bytes.ilog10() / 3) as usize;
    let value = bytes as f64 / 1000f64.powi(steps as i32);
    format!("{value:.1}\u{a0}{}", UNITS[steps - 1])
}
