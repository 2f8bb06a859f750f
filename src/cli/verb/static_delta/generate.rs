//! `static-delta generate`: makes a delta in the repository, or as files anywhere.

use std::fs::{self, File};
use std::io::{self, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};

use super::super::{Common, resolve, signing};
use crate::cli::terminal::{self, Session, size};
use crate::delta::{GenerateOptions, Generated, generate};
use crate::format::CommitId;
use crate::format::delta::{ByteOrder, DeltaName, SignedSuperblock};
use crate::format::variant::Dict;
use crate::host::{self, Machine};
use crate::repo::DeltaFile;
use crate::sign::{BareSigner, KeyKind};
use crate::store::{Error, Result};

/// A megabyte, as options count.
const MEGABYTE: u64 = 1_000_000;

/// Arguments of `static-delta generate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The commit that the delta starts from [default: the parent of the one that it leads to]
    #[arg(long, value_name = "REV")]
    from: Option<String>,
    /// Make a delta that needs no commit
    #[arg(long)]
    empty: bool,
    /// Put the parts into the superblock: one file is all
    #[arg(long)]
    inline: bool,
    /// The commit that the delta leads to
    #[arg(long, value_name = "REV")]
    to: Option<String>,
    /// Make files of blocks of old ones instead of patches
    #[arg(long)]
    disable_bsdiff: bool,
    /// Do nothing if there is such a delta
    #[arg(short = 'n', long)]
    if_not_exists: bool,
    /// The byte order of the numbers in the superblock: l is little endian, B big endian
    #[arg(long, value_name = "TYPE")]
    set_endianness: Option<String>,
    /// Use the other byte order
    #[arg(long)]
    swap_endianness: bool,
    /// Leave new files larger than this to be fetched as they are, in megabytes; 0 for none
    #[arg(long, value_name = "SIZE", default_value_t = 4)]
    min_fallback_size: u64,
    /// Patch a file if the old and the new one have at most so many megabytes, or 33 of them
    #[arg(long, value_name = "SIZE", default_value_t = 128)]
    max_bsdiff_size: u64,
    /// The largest size of a part, in megabytes
    #[arg(long, value_name = "SIZE", default_value_t = 32)]
    max_chunk_size: u64,
    /// Write the superblock to this file, and parts beside it
    #[arg(long, value_name = "FILE")]
    filename: Option<PathBuf>,
    #[command(flatten)]
    sign: signing::BareOptions,
    /// Sign with the keys in this file, too
    #[arg(long, value_name = "NAME")]
    keys_file: Option<PathBuf>,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    /// The commit that the delta leads to
    #[arg(value_name = "REV")]
    rev: Option<String>,
}

impl Args {
    fn order(&self) -> anyhow::Result<ByteOrder> {
        let is_big = match self.set_endianness.as_deref() {
            None => cfg!(target_endian = "big"),
            Some("l") => false,
            Some("B") => true,
            Some(other) => bail!("Invalid endianness '{other}'"),
        };
        Ok(if is_big == self.swap_endianness { ByteOrder::Little } else { ByteOrder::Big })
    }

    fn signers(&self) -> anyhow::Result<Vec<BareSigner>> {
        let mut signers = self.sign.signers()?;
        if let Some(file) = &self.keys_file {
            let (machine, kind): (_, KeyKind) = (Machine::from_env(), self.sign.kind());
            machine.admit_kind(kind)?;
            signers.extend(machine.signers(kind, file)?);
        }
        Ok(signers)
    }

    fn options(&self, from: Option<CommitId>) -> anyhow::Result<GenerateOptions> {
        Ok(GenerateOptions {
            from,
            min_fallback_bytes: self.min_fallback_size.saturating_mul(MEGABYTE),
            max_patch_bytes: if self.disable_bsdiff {
                0
            } else {
                self.max_bsdiff_size.saturating_mul(MEGABYTE)
            },
            max_part_bytes: self.max_chunk_size.saturating_mul(MEGABYTE),
            inline: self.inline,
            order: self.order()?,
            timestamp_secs: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        })
    }
}

/// Makes the delta.
pub(super) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    repo.require_writable()?;
    let rev = args.to.as_ref().or(args.rev.as_ref()).context("TO revision must be specified")?;
    let from = match (&args.from, args.empty) {
        (Some(_), true) => bail!("Cannot specify both --empty and --from=REV"),
        (None, true) => None,
        (Some(from), false) => Some(resolve(&repo, from)?),
        (None, false) => Some(resolve(&repo, &format!("{rev}^"))?),
    };
    let name = DeltaName { from, to: resolve(&repo, rev)? };
    if args.if_not_exists && repo.open_delta(&DeltaFile::Superblock(name))?.is_some() {
        return Ok(writeln!(session.out, "Delta {name} already exists.")?);
    }
    let (options, signers) = (args.options(from)?, args.signers()?);
    writeln!(session.out, "Generating static delta:")?;
    match from {
        Some(from) => writeln!(session.out, "  From: {from}")?,
        None => writeln!(session.out, "  From: empty")?,
    }
    writeln!(session.out, "  To:   {}", name.to)?;
    session.out.flush()?;
    let (machine, ctx) = (Machine::from_env(), &session.ctx);
    let put = |file: DeltaFile, content: &mut dyn io::Read| match &args.filename {
        Some(path) => beside(path, &file, content),
        None => repo.write_delta(&file, content),
    };
    let sink = |number: usize, part: &mut File| put(DeltaFile::Part(name, number), part);
    let mut made = generate(&repo, &name.to, &options, &sink, &|| machine.temporary_file(), ctx)?;
    // With the parts in it it may be large.
    let mut superblock = mem::take(&mut made.superblock);
    if !signers.is_empty() {
        superblock = signed(&superblock, &signers)?;
    }
    put(DeltaFile::Superblock(name), &mut &superblock[..])?;
    if args.filename.is_none() {
        repo.trim_delta(&name, if args.inline { 0 } else { made.parts.len() })?;
    }
    tell(&made);
    Ok(())
}

fn signed(superblock: &[u8], signers: &[BareSigner]) -> anyhow::Result<Vec<u8>> {
    let mut signatures = Dict::new();
    host::add_signatures(&mut signatures, signers, superblock)?;
    Ok(SignedSuperblock::wrap(superblock, &signatures))
}

/// Writes a file of a delta that lies outside of a repository.
fn beside(superblock: &Path, file: &DeltaFile, content: &mut dyn io::Read) -> Result<()> {
    let dir = superblock.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let path = match file {
        DeltaFile::Part(_, number) => dir.join(number.to_string()),
        _ => superblock.to_owned(),
    };
    let mut write = || -> io::Result<()> {
        let mut new = tempfile::NamedTempFile::new_in(dir)?;
        io::copy(content, &mut new)?;
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(new.path(), readable)?;
        new.persist(&path)?;
        Ok(())
    };
    write().map_err(|e| Error::io("write", &path, e))
}

/// Says on standard error what was made, as C ostree does.
fn tell(made: &Generated) {
    for fallback in &made.fallbacks {
        let (checksum, bytes) = (fallback.object.checksum, size(fallback.unpacked_bytes));
        terminal::say(format_args!("fallback for {checksum} ({bytes})"));
    }
    for (number, part) in made.parts.iter().enumerate() {
        let (objects, file, unpacked) = (part.objects.len(), part.file_bytes, part.unpacked_bytes);
        let number = number + 1;
        terminal::say(format_args!("part {number} n:{objects} compressed:{file} uncompressed:{unpacked}"));
    }
    let unpacked: u64 = made.parts.iter().map(|part| part.unpacked_bytes).sum();
    let packed: u64 = made.parts.iter().map(|part| part.file_bytes).sum();
    terminal::say(format_args!("uncompressed={unpacked} compressed={packed}"));
    terminal::say(format_args!("rollsum={} objects, {} bytes", made.copied, made.copied_bytes));
    terminal::say(format_args!("bsdiff={} objects", made.patched));
}
