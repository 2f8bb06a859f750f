//! Files that were read and are not yet written take bounded memory, also where their xattrs are all of it.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::sleep;
use std::time::Duration;

use ostree_rs::base::Ctx;
use ostree_rs::format::{Checksum, FileHeader, FileId, MetaKind, ObjectName, ObjectType, RepoMode, Xattrs};
use ostree_rs::store::{
    FileObject, MemStore, Modifier, MutableTree, ObjectRead, ObjectWrite, Result as StoreResult,
};
use ostree_rs::tar::{ArchiveInput, Parents, TreeOptions, Writer, import_objects, import_tree};

use super::build::{archive, entry, pax};

const FILES: usize = 600;
const XATTR: &str = "user.large";
const CONTENT: &[u8] = b"content";
/// More than fit into the pool of an import, the buffer of its reader, and its threads.
const MOST_AHEAD: usize = FILES - FILES / 4;

/// A store that is slower than every reader.
struct SlowStore<'a> {
    store: MemStore,
    /// Files that were read and written.
    read: &'a AtomicUsize,
    written: AtomicUsize,
    /// The most files that were read and not written.
    ahead: AtomicUsize,
}

impl ObjectRead for SlowStore<'_> {
    fn contains(&self, name: &ObjectName) -> StoreResult<bool> {
        self.store.contains(name)
    }

    fn read_meta(&self, name: &ObjectName) -> StoreResult<Option<Vec<u8>>> {
        self.store.read_meta(name)
    }

    fn open_file(&self, id: &FileId) -> StoreResult<Option<FileObject>> {
        self.store.open_file(id)
    }
}

impl ObjectWrite for SlowStore<'_> {
    fn write_meta(&self, kind: MetaKind, bytes: &[u8]) -> StoreResult<Checksum> {
        self.store.write_meta(kind, bytes)
    }

    fn write_file(&self, header: &FileHeader, len: u64, content: &mut dyn Read) -> StoreResult<FileId> {
        sleep(Duration::from_millis(1));
        let ahead = self.read.load(SeqCst) - self.written.fetch_add(1, SeqCst);
        self.ahead.fetch_max(ahead, SeqCst);
        self.store.write_file(header, len, content)
    }
}

/// A stream of files, all of the same size, that counts them.
struct Counted<'a> {
    stream: &'a [u8],
    read: &'a AtomicUsize,
    len: usize,
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buf)?;
        self.read.store((self.len - self.stream.len()) * FILES / self.len, SeqCst);
        Ok(n)
    }
}

/// The most files that were ahead in an import.
fn ahead(stream: &[u8], import: impl Fn(&mut dyn Read, &SlowStore<'_>)) -> usize {
    let read = AtomicUsize::new(0);
    let (written, ahead) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let store = SlowStore { store: MemStore::new(), read: &read, written, ahead };
    import(&mut Counted { stream, read: &read, len: stream.len() }, &store);
    assert_eq!(store.written.load(SeqCst), FILES);
    store.ahead.load(SeqCst)
}

#[test]
fn xattrs_of_an_archive() {
    let file = |n: usize| {
        let value = [&[b'x'; 40_000][..], &n.to_le_bytes()].concat();
        let xattrs = pax(b'x', &[(&format!("SCHILY.xattr.{XATTR}"), &value)]);
        [xattrs, entry(b'0', &format!("{n:05}"), CONTENT)].concat()
    };
    let stream = archive(&(0..FILES).map(file).collect::<Vec<_>>());
    let most = ahead(&stream, |mut input, store| {
        let options = TreeOptions { parents: Parents::Create, ..Default::default() };
        let (mut tree, mut modifier) = (MutableTree::new(), Modifier::default());
        let input = ArchiveInput::Stream(&mut input);
        import_tree(input, store, &mut tree, &mut modifier, &options, &Ctx::default()).unwrap();
    });
    assert!(most < MOST_AHEAD, "{most}");
}

/// In a layer of objects one set of xattrs may serve many files.
#[test]
fn xattrs_of_objects() {
    let xattrs = Xattrs::from_pairs([(XATTR.as_bytes(), vec![b'x'; 40_000])]);
    let set = xattrs.to_bytes();
    let path = |checksum, kind| {
        let name = ObjectName::new(checksum, kind);
        format!("sysroot/ostree/repo/objects/{}", name.loose_path(RepoMode::BareSplitXattrs))
    };
    let header = |kind, uid, size: usize| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(uid);
        header.set_gid(0);
        header.set_size(size as u64);
        header
    };
    let mut out = Writer::new(Vec::new());
    let all = path(Checksum::of(&set), ObjectType::FileXattrs);
    out.append_bytes(&mut header(tar::EntryType::Regular, 0, set.len()), &all, &set).unwrap();
    for uid in 0..FILES as u32 {
        let id = *FileHeader::regular(uid, 0, 0o644, xattrs.clone()).id_with(CONTENT).checksum();
        let mut link = header(tar::EntryType::Link, 0, 0);
        out.append_link(&mut link, &path(id, ObjectType::FileXattrsLink), &all).unwrap();
        let mut file = header(tar::EntryType::Regular, uid.into(), CONTENT.len());
        out.append_bytes(&mut file, &path(id, ObjectType::File), CONTENT).unwrap();
    }
    let most = ahead(&out.finish().unwrap(), |input, store| {
        import_objects(input, store, None, None, &Ctx::default()).unwrap();
    });
    assert!(most < MOST_AHEAD, "{most}");
}
