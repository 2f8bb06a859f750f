//! Files for what is too large for memory. One that a pull did not finish is there for the next one.
//!
//! ```text
//! tmp/fetch-CHECKSUM.filez    an object as far as it came: see PartialFile
//! tmp/fetch-CHECKSUM.part     a part of a static delta
//! tmp/fetch-CHECKSUM.super    the superblock of one
//! ```

use std::fs::File;
use std::io;
use std::sync::Arc;

use ostree_format::{Checksum, FileId};

use super::options::PartsDir;
pub(super) use crate::base::PartialFile as Part;
use crate::base::PartialFiles;
use crate::net::{Spill, SpillBegun};
use crate::store;

/// What has no more bytes is held in memory.
const THRESHOLD_BYTES: u64 = 1024 * 1024;

/// The directory with parts.
#[derive(Clone)]
pub(super) struct Parts(PartialFiles);

impl Parts {
    /// Looks which parts are there.
    pub(super) fn new(place: PartsDir) -> Self {
        let room = place.room;
        let room = move |bytes| room(bytes).map_err(store::Error::into_io);
        Self(PartialFiles::new(place.dir, Arc::new(room)))
    }

    /// The file for an object.
    pub(super) fn object(&self, id: &FileId) -> Arc<Part> {
        self.named(&format!("{id}.filez"))
    }

    /// The file for the part of a delta with this checksum.
    pub(super) fn delta_part(&self, checksum: &Checksum) -> Arc<Part> {
        self.named(&format!("{checksum}.part"))
    }

    /// The file for the superblock of a delta with this checksum.
    pub(super) fn superblock(&self, checksum: &Checksum) -> Arc<Part> {
        self.named(&format!("{checksum}.super"))
    }

    fn named(&self, name: &str) -> Arc<Part> {
        Arc::new(self.0.file(name))
    }
}

/// A part as a place to write to.
pub(super) struct PartSpill(pub(super) Arc<Part>);

impl Spill for PartSpill {
    fn threshold(&self) -> u64 {
        THRESHOLD_BYTES
    }

    fn begun(&self) -> Option<SpillBegun> {
        self.0.begun().map(|(bytes, validator)| SpillBegun { bytes, validator })
    }

    fn open(&mut self, at: u64, validator: Option<&str>) -> io::Result<File> {
        self.0.open(at, validator)
    }

    fn require_room(&self, bytes: u64) -> io::Result<()> {
        self.0.require_room(bytes)
    }
}
