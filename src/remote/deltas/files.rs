//! The files of a static delta: small ones in memory, parts several ahead of whoever applies them.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use ostree_format::delta::{DeltaName, Superblock};
use ostree_format::{Checksum, MAX_METADATA_BYTES};

use super::super::error::{Error, Result};
use super::super::local::{LocalArchive, read_path};
use super::super::options::{PartsDir, RemoteOptions};
use super::super::parts::{Part, PartSpill, Parts};
use super::super::server::{RemoteServer, is_missing};
use crate::base::io::Spool;
use crate::base::{Ctx, WithCauses};
use crate::delta::SuperblockFile;
use crate::net::{Downloads, FetchedBody, Spill};
use crate::store;

/// Parts that are fetched before they are needed.
const AHEAD: usize = 4;

/// The place where a remote's deltas are.
#[derive(Clone, Copy)]
pub(in super::super) enum DeltaFiles<'a> {
    Server(&'a RemoteServer),
    Directory(&'a dyn LocalArchive),
}

impl DeltaFiles<'_> {
    /// A file of at most `limit` bytes, if it is there.
    pub(in super::super) fn small(&self, path: &str, limit: u64, ctx: &Ctx) -> Result<Option<Vec<u8>>> {
        let server = match self {
            Self::Directory(local) => return Ok(read_path(*local, path, limit)?),
            Self::Server(server) => server,
        };
        match server.downloads(ctx).fetch((), server.beside_objects(path, limit)) {
            Ok(fetched) => match fetched.body {
                FetchedBody::Held(bytes) => Ok(Some(bytes.to_vec())),
                FetchedBody::Spilled | FetchedBody::NotModified => Ok(None),
            },
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A superblock that came.
pub(super) struct CameSuperblock {
    pub(super) file: SuperblockFile,
    /// What it is kept in, if it is large and the pull can go on with it later.
    pub(super) kept: Option<Arc<Part>>,
    /// Bytes that came.
    pub(super) moved_bytes: u64,
}

impl DeltaFiles<'_> {
    /// The superblock at `path`, which should have the checksum `expected`, if it is there. A large one is in a file that
    /// only this pull writes to: what is verified of it stays what it is.
    pub(super) fn superblock(
        &self,
        path: &str,
        expected: &Checksum,
        options: &RemoteOptions<'_>,
        ctx: &Ctx,
    ) -> Result<Option<CameSuperblock>> {
        let server = match self {
            Self::Directory(local) => return copy_superblock(*local, path, options.spool, ctx),
            Self::Server(server) => server,
        };
        let kept = options.parts.clone().map(|dir| Parts::new(dir).superblock(expected));
        let mut request = server.beside_objects(path, MAX_METADATA_BYTES);
        request.spill = kept.clone().map(|part| Box::new(PartSpill(part)) as Box<dyn Spill>);
        let mut downloads = server.downloads(ctx);
        let fetched = match downloads.fetch((), request) {
            Ok(fetched) => fetched.body,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let moved_bytes = downloads.moved_bytes();
        match (fetched, kept) {
            (FetchedBody::Held(bytes), _) => Ok(Some(CameSuperblock {
                file: SuperblockFile::held(bytes.to_vec()),
                kept: None,
                moved_bytes,
            })),
            (FetchedBody::Spilled, Some(part)) => {
                let (file, content) = part.place().map_err(|e| store::Error::io("open", part.path(), e))?;
                let file = SuperblockFile::on_disk(file, content);
                Ok(Some(CameSuperblock { file, kept: Some(part), moved_bytes }))
            }
            _ => Ok(None),
        }
    }
}

fn copy_superblock(
    from: &dyn LocalArchive,
    path: &str,
    spool: Option<&Spool<'_>>,
    ctx: &Ctx,
) -> Result<Option<CameSuperblock>> {
    let (Some(file), Some(spool)) = (from.open_path(path)?, spool) else { return Ok(None) };
    let file = SuperblockFile::copied(file, MAX_METADATA_BYTES, spool, &ctx.cancel)?;
    let moved_bytes = file.len();
    Ok(Some(CameSuperblock { file, kept: None, moved_bytes }))
}

/// The parts of one delta.
pub(super) struct PartFiles<'a> {
    files: &'a DeltaFiles<'a>,
    name: DeltaName,
    /// The checksums and sizes of all parts.
    entries: Vec<(Checksum, u64)>,
    parts: Option<Parts>,
    state: RefCell<State>,
}

struct State {
    /// Parts that were not asked for yet.
    wanted: VecDeque<usize>,
    downloads: Option<Downloads<usize>>,
    arrived: HashMap<usize, FetchedBody>,
    spilled: HashMap<usize, Arc<Part>>,
    /// Bytes of the parts that were opened in a directory.
    opened_bytes: u64,
    /// What went wrong, which the one who applies the delta cannot tell.
    failed: Option<Error>,
}

impl<'a> PartFiles<'a> {
    /// The parts of `block`, of which those in `needed` will be asked for, in this order.
    pub(super) fn new(
        files: &'a DeltaFiles<'a>,
        block: &Superblock,
        needed: Vec<usize>,
        place: Option<PartsDir>,
        ctx: &Ctx,
    ) -> Self {
        let downloads = match files {
            DeltaFiles::Server(server) => Some(server.downloads(ctx)),
            DeltaFiles::Directory(_) => None,
        };
        let entries = block.parts.iter().map(|entry| (entry.checksum, entry.file_bytes)).collect();
        let state = State {
            wanted: needed.into(),
            downloads,
            arrived: HashMap::new(),
            spilled: HashMap::new(),
            opened_bytes: 0,
            failed: None,
        };
        Self { files, name: block.name(), entries, parts: place.map(Parts::new), state: RefCell::new(state) }
    }

    /// The file of a part.
    pub(super) fn part(&self, number: usize) -> store::Result<Box<dyn Read>> {
        let path = self.name.part_path(number);
        let mut state = self.state.borrow_mut();
        self.take(number, &path, &mut state).map_err(|error| {
            let what = WithCauses(&error).to_string();
            state.failed = Some(error);
            store::Error::Read { what: path, source: io::Error::other(what) }
        })
    }

    fn take(&self, number: usize, path: &str, state: &mut State) -> Result<Box<dyn Read>> {
        if let DeltaFiles::Directory(local) = self.files {
            let file = local.open_path(path)?.ok_or_else(|| missing(path))?;
            let bytes = self.entries.get(number).map_or(0, |(_, bytes)| *bytes);
            state.opened_bytes = state.opened_bytes.saturating_add(bytes);
            return Ok(Box::new(file));
        }
        // The one before was read to its end, and verified.
        state.spilled.iter().filter(|(earlier, _)| **earlier < number).for_each(|(_, part)| part.remove());
        state.spilled.retain(|earlier, _| *earlier >= number);
        loop {
            self.ask(state);
            if let Some(body) = state.arrived.remove(&number) {
                return match (body, state.spilled.get(&number)) {
                    (FetchedBody::Held(bytes), _) => Ok(Box::new(Cursor::new(bytes))),
                    (_, Some(part)) => {
                        Ok(Box::new(part.read().map_err(|e| store::Error::io("open", part.path(), e))?.0))
                    }
                    (_, None) => Err(missing(path).into()),
                };
            }
            let Some(downloads) = &mut state.downloads else { return Err(missing(path).into()) };
            match downloads.wait()? {
                // It may have to wait for those before it.
                Some((number, fetched)) => drop(state.arrived.insert(number, fetched?.kept().body)),
                None => return Err(missing(path).into()),
            }
        }
    }

    /// Asks for parts that will be needed.
    fn ask(&self, state: &mut State) {
        let (Some(downloads), DeltaFiles::Server(server)) = (&mut state.downloads, self.files) else {
            return;
        };
        while downloads.under_way() + state.arrived.len() < AHEAD
            && let Some(number) = state.wanted.pop_front()
            && let Some((checksum, bytes)) = self.entries.get(number)
        {
            let mut request = server.beside_objects(&self.name.part_path(number), *bytes);
            if let Some(parts) = &self.parts {
                let part = parts.delta_part(checksum);
                request.spill = Some(Box::new(PartSpill(Arc::clone(&part))));
                state.spilled.insert(number, part);
            }
            downloads.ask(number, request);
        }
    }

    /// Bytes that came.
    pub(super) fn moved_bytes(&self) -> u64 {
        let state = self.state.borrow();
        state.opened_bytes + state.downloads.as_ref().map_or(0, Downloads::moved_bytes)
    }

    /// Nothing of it is needed any more.
    pub(super) fn remove(&self) {
        self.state.borrow().spilled.values().for_each(|part| part.remove());
    }

    /// What went wrong with fetching.
    pub(super) fn into_error(self) -> Option<Error> {
        self.state.into_inner().failed
    }
}

fn missing(path: &str) -> store::Error {
    store::Error::io("open", path, io::Error::from(io::ErrorKind::NotFound))
}
