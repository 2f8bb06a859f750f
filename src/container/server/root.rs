//! Files of a running container as the content objects that its commit wants at their paths.
//!
//! ```text
//! id ─► paths at which the commit has it ─► owner, mode, content of the file there ─┐
//!   └─► xattrs, from the image's repository ────────────────────────────────────────┴─► id again, or it is not taken
//! ```
//! Nothing that lies there is believed: containers change files, and runtimes lay theirs over some. Memory: the paths of
//! content that is no object in the image.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek};

use cap_std::fs::Dir;
use ostree_format::{CommitId, FileHeader, FileId, FileKind, ObjectName, ObjectType, Xattrs};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

use crate::container::image::Result;
use crate::store::{self, Content, FileObject, ObjectRead, load_commit};
use crate::tar::{CheckoutMap, ChunkContent};

const COPY_BYTES: usize = 128 * 1024;

/// Content objects of some commits that are files of a container.
#[derive(Debug)]
pub struct RootFiles {
    root: Dir,
    /// Where each may lie, and its xattrs if it has any.
    files: HashMap<FileId, Places>,
}

#[derive(Debug, Default)]
struct Places {
    paths: Vec<Box<str>>,
    xattrs: Xattrs,
}

impl RootFiles {
    /// What `store` lacks of the content of `commits`, in the container whose root is `root`.
    ///
    /// # Errors
    /// [`Error::Store`](crate::container::image::Error::Store) if metadata of a commit is missing or damaged.
    pub fn of<'c>(
        store: &dyn ObjectRead,
        commits: impl IntoIterator<Item = &'c CommitId>,
        root: Dir,
    ) -> Result<Self> {
        let mut files: HashMap<FileId, Places> = HashMap::new();
        for commit in commits {
            let map = CheckoutMap::of(store, &load_commit(store, commit)?)?;
            for (id, paths) in ChunkContent::of_commit(store, commit)?.iter() {
                if store.contains(&id.into())? {
                    continue;
                }
                let places = files.entry(id).or_default();
                places.paths.extend(paths.iter().filter_map(|path| map.map(path)).map(Into::into));
                let link = ObjectName::new(*id.checksum(), ObjectType::FileXattrsLink);
                if let Some(bytes) = store.read_meta(&link)? {
                    places.xattrs = Xattrs::parse_unsorted(&bytes).map_err(store::Error::corrupt(link))?;
                }
            }
        }
        Ok(Self { root, files })
    }

    /// Whether there is anything to look for.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The first file at one of the paths of an object that `is_right`.
    fn find<T>(
        &self,
        id: &FileId,
        mut is_right: impl FnMut(FileObject) -> store::Result<Option<T>>,
    ) -> store::Result<Option<T>> {
        let Some(places) = self.files.get(id) else { return Ok(None) };
        for path in &places.paths {
            let failed = |e| store::Error::io("open", &**path, e);
            let Some(mut file) = open(&self.root, path).map_err(failed)? else { continue };
            file.header.xattrs = places.xattrs.clone();
            if let Some(found) = is_right(file)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl ObjectRead for RootFiles {
    fn contains(&self, name: &ObjectName) -> store::Result<bool> {
        Ok(name.kind == ObjectType::File && self.files.contains_key(&FileId::new(name.checksum)))
    }

    fn read_meta(&self, _: &ObjectName) -> store::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn open_file(&self, id: &FileId) -> store::Result<Option<FileObject>> {
        let found = self.find(id, |file| verified(id, file))?;
        if found.is_none() && self.files.contains_key(id) {
            tracing::warn!(object = %ObjectName::from(*id), "no file of this container is this object any more");
        }
        Ok(found)
    }

    fn stat_file(&self, id: &FileId) -> store::Result<Option<(FileHeader, u64)>> {
        self.find(id, |file| Ok(Some((FileHeader { xattrs: Xattrs::EMPTY, ..file.header }, file.len))))
    }
}

/// A file, if it is the object.
fn verified(id: &FileId, mut file: FileObject) -> store::Result<Option<FileObject>> {
    let unread = |source| store::Error::Read { what: ObjectName::from(*id).to_string(), source };
    let mut hasher = file.header.hasher();
    if let Content::File(content) = &mut file.content {
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => hasher.update(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unread(error)),
            }
        }
        content.rewind().map_err(unread)?;
    }
    Ok((FileId::new(hasher.finish()) == *id).then_some(file))
}

/// Opens what is at a path, without xattrs; `None` if nothing is there that could be an object, or only others may read
/// it.
fn open(root: &Dir, path: &str) -> io::Result<Option<FileObject>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file: File = match openat(root, path, flags, Mode::empty()) {
        Ok(file) => file.into(),
        Err(Errno::LOOP) => return read_link(root, path),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let stat = fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let len = stat.st_size.max(0).unsigned_abs();
    Ok(Some(FileObject { header: header(&stat, FileKind::Regular), len, content: Content::File(file) }))
}

fn read_link(root: &Dir, path: &str) -> io::Result<Option<FileObject>> {
    let stat = match statat(root, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => stat,
        Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Ok(target) = readlinkat(root, path, Vec::new())?.into_string() else { return Ok(None) };
    let header = header(&stat, FileKind::Symlink(target.into()));
    Ok(Some(FileObject { header, len: 0, content: Content::Empty }))
}

fn header(stat: &Stat, kind: FileKind) -> FileHeader {
    FileHeader {
        uid: stat.st_uid,
        gid: stat.st_gid,
        permissions: stat.st_mode & 0o7777,
        kind,
        xattrs: Xattrs::EMPTY,
    }
}
