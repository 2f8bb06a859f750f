//! Makes a static delta.
//!
//! Objects come in this order: metadata, files that are made of old ones, other files, symbolic links; each by path. What
//! a part consists of does not depend on the number of threads.
//!
//! Source: libostree ostree-repo-static-delta-compilation.c.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::mem::take;

use ostree_format::CommitId;
use ostree_format::delta::{ByteOrder, DeltaFallback, DeltaPartEntry, Endianness, InlinePart, Superblock};
use ostree_format::variant::{Dict, Value};

use super::changes::changes;
use super::compress::Packed;
use super::packing::pack;
use crate::base::Ctx;
use crate::base::io::Spool;
use crate::store::{Error, ObjectRead, Result, load_commitmeta};

/// The choices in making a static delta.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// The commit that the delta starts from; `None` for a delta that needs nothing.
    pub from: Option<CommitId>,
    /// Files larger than this, in bytes, that are like no old one are left to be fetched; 0 for none.
    pub min_fallback_bytes: u64,
    /// Files are patched if the old and the new one together have at most so many bytes; larger ones are made of blocks.
    pub max_patch_bytes: u64,
    /// A part has at most so many bytes before it is compressed, unless it is a single object.
    pub max_part_bytes: u64,
    /// Whether parts lie in the superblock.
    pub inline: bool,
    /// The byte order of the numbers in the superblock.
    pub order: ByteOrder,
    /// The time that the superblock gives, in seconds since 1970.
    pub timestamp_secs: u64,
}

/// What libostree's program does: a delta that needs nothing, in files of its own, in little endian. It is made in 1970:
/// the time is the caller's to tell.
impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            from: None,
            min_fallback_bytes: 4_000_000,
            max_patch_bytes: 128_000_000,
            max_part_bytes: 32_000_000,
            inline: false,
            order: ByteOrder::Little,
            timestamp_secs: 0,
        }
    }
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The superblock, to be signed perhaps, and to be written after the parts.
    pub superblock: Vec<u8>,
    /// What the superblock tells of each part.
    pub parts: Vec<DeltaPartEntry>,
    /// The objects that are left to be fetched.
    pub fallbacks: Vec<DeltaFallback>,
    /// The number of files that are patches of old ones.
    pub patched: u64,
    /// The number of files that are made of blocks of old ones.
    pub copied: u64,
    /// The bytes in these blocks.
    pub copied_bytes: u64,
}

/// Takes the file of a part, which stands at its start, and its number.
pub type PartSink<'a> = dyn Fn(usize, &mut File) -> Result<()> + 'a;

/// Makes a delta to the commit `to`. Parts are handed to `sink` in their order, unless they lie in the superblock; `spool`
/// makes the files in which they are kept until then.
///
/// Memory: 33 MiB for a part that is being compressed, or a large file that is being patched, 4 MiB for a small one, some
/// 100 bytes for each 8 KiB of a large one, and with [`GenerateOptions::inline`] twice the size of the delta.
///
/// # Errors
/// [`Error::NotFound`] if an object of a commit is missing; [`Error::Io`] if a file cannot be made or written;
/// [`Error::Cancelled`]; what the store and `sink` give.
pub fn generate(
    store: &dyn ObjectRead,
    to: &CommitId,
    options: &GenerateOptions,
    sink: &PartSink<'_>,
    spool: &Spool<'_>,
    ctx: &Ctx,
) -> Result<Generated> {
    let commit = store.read_meta(&(*to).into())?.ok_or(Error::NotFound((*to).into()))?;
    ctx.phase("Comparing commits", None, None);
    let changes = changes(store, options.from.as_ref(), to, ctx)?;
    let (packed, made) = pack(store, options, &changes, spool, ctx)?;
    let name = ostree_format::delta::DeltaName { from: options.from, to: *to };
    let mut metadata = Dict::new();
    metadata
        .push("ostree.endianness", Value::Byte(if options.order == ByteOrder::Little { b'l' } else { b'B' }));
    let (mut parts, mut inline, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for (number, Packed { mut file, entry }) in packed.into_iter().enumerate() {
        match options.inline {
            true => {
                inline.push(InlinePart { number, position: metadata.len(), bytes: 0..0 });
                files.push(content(&mut file)?);
            }
            false => sink(number, &mut file)?,
        }
        parts.push(entry);
    }
    if let Some(detached) = load_commitmeta(store, to)? {
        metadata.push(name.commitmeta_key(), detached.to_value());
    }
    let block = Superblock {
        metadata,
        inline,
        endianness: Endianness::Stated(options.order),
        timestamp_secs: options.timestamp_secs,
        from: options.from,
        to: *to,
        commit,
        before: Vec::new(),
        parts,
        fallbacks: made.fallbacks,
    };
    let files = RefCell::new(files);
    let file = |part: &InlinePart| files.borrow_mut().get_mut(part.number).map(take).unwrap_or_default();
    let superblock = block.to_bytes(file).map_err(Error::corrupt(*to))?;
    Ok(Generated {
        superblock,
        parts: block.parts,
        fallbacks: block.fallbacks,
        patched: made.patched,
        copied: made.copied,
        copied_bytes: made.copied_bytes,
    })
}

fn content(file: &mut File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|e| Error::io("read", "temporary file", e))?;
    Ok(bytes)
}
