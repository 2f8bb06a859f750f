//! Floor 3: the store on disk, exactly as libostree keeps it.
//!
//! ```text
//! config                  key file: mode, settings, remotes
//! objects/xx/….EXT        loose objects, as the mode keeps them
//! refs/heads/NAME         "CHECKSUM\n"; an alias is a symbolic link
//! refs/remotes/R/NAME     refs of the remote R
//! refs/mirrors/C/NAME     refs of the collection C
//! state/….commitpartial   commits whose objects are not all there
//! tmp                     staging directories
//! tmp/cache               hints, which may be gone at any time
//! uncompressed-objects-cache    in an archive: files that checkouts link to
//! .lock                   shared by transactions, alone for prune
//! .lock-edit              alone for whoever reads a small file, changes it, and writes it
//! extensions              for others
//! ```
//! A [`Repo`] is read directly and written by a [`Transaction`].

mod cache;
mod delete;
mod deltas;
mod devino;
mod dir;
mod durable;
mod edit;
mod elsewhere;
pub mod fsck;
mod fsync;
mod init;
mod lock;
mod mirrored_summary;
mod object;
pub mod prune;
mod read;
mod refs;
mod served;
mod space;
mod staging;
mod state;
pub mod summary;
mod sys;
mod tmp;
mod txn;
mod uncompressed;
mod verity;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use cap_std::fs::Dir;
use ostree_format::keyfile::KeyFile;
use ostree_format::variant::Dict;
use ostree_format::{CommitId, ObjectName, ParseError, RepoConfig, RepoMode};

pub use deltas::DeltaFile;
pub use edit::ConfigFile;
pub use fsync::Fsync;
pub use lock::Lock;
pub use refs::CollectionRef;
pub use txn::{Transaction, TransactionStats};

use crate::base::{Ctx, fs};
use crate::store::{Completeness, DevInoCache, Error, Result};
use dir::ObjectDir;
use object::{FileFormat, ObjectSync, Sink};
pub(crate) use sys::{LockKind, try_lock};
use verity::ObjectVerity;

/// The largest config file that is read.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// A repository on disk.
#[derive(Debug)]
pub struct Repo {
    dir: Dir,
    /// The repository's directory, opened for more than paths.
    root: OwnedFd,
    objects: ObjectDir,
    uncompressed: uncompressed::Uncompressed,
    tmp: OwnedFd,
    config: RepoConfig,
    fsync: Fsync,
    format: Box<dyn FileFormat>,
    boot_id: String,
    writable: bool,
    parent: Option<Box<Repo>>,
    elsewhere: Option<elsewhere::Elsewhere>,
    verity: ObjectVerity,
}

impl Repo {
    /// Opens the repository in `dir`. Its parent, if the config names one, is not opened: see
    /// [`Repo::set_parent`].
    ///
    /// # Errors
    /// [`Error::NotARepository`]; [`Error::Invalid`] if its config is not understood; [`Error::Io`].
    pub fn open(dir: Dir) -> Result<Self> {
        let failed = |op, path: &'static str| {
            let dir = &dir;
            move |e| Error::at(dir, op, path, e)
        };
        let root = sys::open_dir(&dir, ".").map_err(failed("open", "."))?;
        let objects = open_objects(&dir)?;
        let writable = sys::require_writable(&objects).is_ok();
        if writable {
            // Whoever looks for free space may have removed it.
            sys::mkdir(&dir, "tmp", 0o775).map_err(failed("mkdir", "tmp"))?;
        }
        let tmp = sys::open_dir(&dir, "tmp").map_err(failed("open", "tmp"))?;
        if writable {
            // Hints are lost without it, and nothing else.
            let _ = sys::mkdir(&tmp, "cache", 0o775);
        }
        let config = read_config(&dir)?;
        Ok(Self {
            format: object::file_format(&config),
            objects: ObjectDir::new(objects),
            uncompressed: uncompressed::Uncompressed::new(),
            boot_id: sys::boot_id(),
            tmp,
            fsync: Fsync::of(&config),
            verity: ObjectVerity::new(config.fsverity),
            config,
            writable,
            dir,
            root,
            parent: None,
            elsewhere: None,
        })
    }

    /// The mode of the repository.
    pub fn mode(&self) -> RepoMode {
        self.config.mode
    }

    /// The settings.
    pub fn config(&self) -> &RepoConfig {
        &self.config
    }

    /// The directory.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The directories that it is read from: its own, that of its objects, which may be a link to elsewhere, those of
    /// its parent, and that of content which is elsewhere.
    pub fn places(&self) -> Vec<BorrowedFd<'_>> {
        let above = self.parent.iter().flat_map(|parent| parent.places());
        let elsewhere = self.elsewhere.iter().map(|elsewhere| elsewhere.dir.as_fd());
        [self.root.as_fd(), self.objects.as_fd()].into_iter().chain(above).chain(elsewhere).collect()
    }

    /// Whether this process may write objects.
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// An error if this process may not write objects. Whatever writes begins with it; a caller does so, too, to stop
    /// before work that would be in vain.
    ///
    /// # Errors
    /// [`Error::NotWritable`].
    pub fn require_writable(&self) -> Result<()> {
        sys::require_writable(&self.objects).map_err(|source| not_writable(&self.root, source))
    }

    /// Has objects and refs that this repository lacks looked up in `parent`, too; see
    /// [`RepoConfig::parent`].
    pub fn set_parent(&mut self, parent: Self) {
        self.parent = Some(Box::new(parent));
    }

    /// The repository in which objects and refs are looked up that this one lacks, if it was given one.
    pub fn parent(&self) -> Option<&Self> {
        self.parent.as_deref()
    }

    /// Overrides `core.fsync` for this process.
    pub fn set_fsync(&mut self, fsync: Fsync) {
        self.fsync = fsync;
    }

    /// Uses `id` for this boot's id; a test that simulates a restart does.
    pub fn set_boot_id(&mut self, id: impl Into<String>) {
        self.boot_id = id.into();
    }

    /// Begins a transaction: takes the lock, shared, and a staging directory.
    ///
    /// # Errors
    /// [`Error::NotWritable`]; [`Error::Locked`] if the lock is not to be had in time; [`Error::Cancelled`];
    /// [`Error::Io`].
    pub fn begin(&self, ctx: &Ctx) -> Result<Transaction<'_>> {
        Transaction::begin(self, staging::Takeover::Plain, ctx)
    }

    /// Ends a transaction that was stopped when all its objects were in place, as the next transaction would. Call it
    /// when there is nothing else to do: only then are the refs of the stopped transaction on the disk for certain.
    ///
    /// # Errors
    /// As [`Repo::begin`] and [`Transaction::commit`].
    pub fn settle(&self, ctx: &Ctx) -> Result<()> {
        let takeover = staging::Takeover::Emptied;
        match staging::Staging::take_over(self.tmp.as_fd(), &self.boot_id, takeover) {
            Ok(Some(left)) => drop(left),
            // What cannot be taken over is somebody else's, or the repository cannot be written.
            Ok(None) | Err(_) => return Ok(()),
        }
        Transaction::begin(self, takeover, ctx)?.commit(ctx).map(drop)
    }

    /// Takes the lock together with others. A repository that cannot be written needs none.
    ///
    /// # Errors
    /// As [`Repo::begin`].
    pub fn lock_shared(&self, ctx: &Ctx) -> Result<Lock> {
        self.lock(LockKind::Shared, ctx)
    }

    /// Takes the lock alone. It must be dropped before this process can begin a transaction.
    ///
    /// # Errors
    /// As [`Repo::begin`].
    pub fn lock_exclusive(&self, ctx: &Ctx) -> Result<Lock> {
        self.lock(LockKind::Exclusive, ctx)
    }

    fn lock(&self, kind: LockKind, ctx: &Ctx) -> Result<Lock> {
        match self.writable {
            true => Lock::take(self.root.as_fd(), lock::NAME, kind, self.config.locking, ctx),
            false => Ok(Lock::none()),
        }
    }

    /// Calls `visit` for every object of every type, in no order. The parent's are not among them.
    ///
    /// # Errors
    /// [`Error::Io`], and what `visit` returns.
    pub fn for_each_object(&self, visit: &mut dyn FnMut(ObjectName) -> Result<()>) -> Result<()> {
        self.objects.for_each(self.mode(), visit)
    }

    /// The size of the file of an object, in bytes.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Io`].
    pub fn object_bytes(&self, name: &ObjectName) -> Result<u64> {
        self.size_in(&self.objects, name)?.ok_or(Error::NotFound(*name))
    }

    fn size_in(&self, objects: &ObjectDir, name: &ObjectName) -> Result<Option<u64>> {
        let path = name.loose_path(self.mode());
        let stat = sys::lstat(objects, &path).map_err(|e| objects.failed("stat", &path, e))?;
        Ok(stat.map(|stat| stat.st_size.max(0).unsigned_abs()))
    }

    /// Whether all objects of a commit are there, as far as was noted.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn completeness(&self, commit: &CommitId) -> Result<Completeness> {
        state::completeness(self.root.as_fd(), commit)
    }

    /// Notes at once, outside of a transaction, whether all objects of a commit are there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_partial(&self, commit: &CommitId, state: Completeness) -> Result<()> {
        state::set_completeness(self.root.as_fd(), commit, state)
    }

    /// Replaces the detached metadata of a commit at once, outside of a transaction.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_detached(&self, commit: &CommitId, metadata: &Dict) -> Result<()> {
        let name = ObjectName::commitmeta(commit);
        object::replace_meta(&self.direct_sink(), self.mode(), &name, &metadata.to_bytes())?;
        let mut changed = durable::ChangedDirs::default();
        changed.note(&format!("objects/{}", name.loose_path(self.mode())));
        self.sync_changed(&changed)
    }

    /// The content objects of this repository and its parents, by inode.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn devino_cache(&self) -> Result<DevInoCache> {
        let mut cache = match &self.parent {
            Some(parent) => parent.devino_cache()?,
            None => DevInoCache::new(),
        };
        devino::scan(&mut cache, &self.objects, self.mode())?;
        Ok(cache)
    }

    /// An [`Error::Io`] about `path` in here.
    fn failed(&self, op: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Error {
        Error::at(&self.root, op, path, source)
    }

    /// Objects are written in place.
    fn direct_sink(&self) -> Sink<'_> {
        let sync = if self.fsync == Fsync::Never { ObjectSync::Later } else { ObjectSync::Each };
        let (tmp, objects) = (self.tmp.as_fd(), &self.objects);
        Sink { tmp, objects, committed: objects, sync, payload_links_from: None, verity: &self.verity }
    }
}

fn not_writable(root: &OwnedFd, source: io::Error) -> Error {
    Error::NotWritable { path: fs::place(root, "."), source }
}

fn open_objects(dir: &Dir) -> Result<OwnedFd> {
    sys::open_dir(dir, "objects").map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NotARepository { missing: "objects" },
        _ => Error::at(dir, "open", "objects", error),
    })
}

fn read_config(dir: &Dir) -> Result<RepoConfig> {
    RepoConfig::from_keyfile(read_keys(dir)?).map_err(invalid_config)
}

/// The config, whatever its values are.
fn read_keys(dir: &impl AsFd) -> Result<KeyFile> {
    let text =
        sys::read_file(dir, "config", MAX_CONFIG_BYTES).map_err(|e| Error::at(dir, "read", "config", e))?;
    let text = text.ok_or(Error::NotARepository { missing: "config" })?;
    KeyFile::parse(&text).map_err(invalid_config)
}

fn invalid_config(source: ParseError) -> Error {
    Error::Invalid { what: "config".into(), source }
}
