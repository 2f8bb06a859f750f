//! Commits through pipes, and peers that lie.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::thread;

use ostree_rs::base::{Ctx, ErrorKind, Kind, WithCauses};
use ostree_rs::format::{CommitId, ObjectType, RefName};
use ostree_rs::store::{
    Depth, Error as StoreError, MemStore, ObjectRead, Refs, Txn, load_commitmeta, local_ref,
};
use ostree_rs::transfer::pipe::{Error, Receiver, send};
use ostree_rs::transfer::{CopiedRef, Moves, RefCopy, TransferStats};

use super::{Flawed, objects, source};

type Sent = Result<(Vec<CopiedRef>, TransferStats), Error>;
type Received = Result<Vec<CopiedRef>, Error>;

fn main_ref() -> RefName {
    "main".parse().unwrap()
}

fn receive(to: &MemStore, reader: PipeReader, writer: PipeWriter) -> Received {
    let mut receiver = Receiver::greet(reader, writer)?;
    match receiver.receive(to, None, &Ctx::default()) {
        Ok(refs) => receiver.done().map(|()| refs),
        Err(error) => {
            receiver.refuse(&WithCauses(&error).to_string());
            Err(error)
        }
    }
}

/// Pushes `commit` as `main`, and gives what both ends say.
fn push(from: &Flawed, to: &MemStore, commit: CommitId, depth: Depth) -> (Sent, Received) {
    let ((down_reader, down), (up_reader, up)) = (pipe().unwrap(), pipe().unwrap());
    let refs = [RefCopy { from: main_ref(), to: main_ref() }];
    from.inner.set_ref(&local_ref(main_ref()), Some(commit)).unwrap();
    thread::scope(|scope| {
        let there = scope.spawn(move || receive(to, down_reader, up));
        let source = Source(from);
        let sent = send(&source, &refs, Moves::Forward, depth, (up_reader, down), &Ctx::default());
        (sent, there.join().unwrap())
    })
}

/// A flawed store with the refs of the store in it.
struct Source<'a>(&'a Flawed);

impl ObjectRead for Source<'_> {
    fn contains(&self, name: &super::ObjectName) -> super::Result<bool> {
        self.0.contains(name)
    }
    fn read_meta(&self, name: &super::ObjectName) -> super::Result<Option<Vec<u8>>> {
        self.0.read_meta(name)
    }
    fn open_file(&self, id: &super::FileId) -> super::Result<Option<super::FileObject>> {
        self.0.open_file(id)
    }
}

impl Refs for Source<'_> {
    fn resolve(&self, refspec: &ostree_rs::format::RefSpec) -> super::Result<Option<CommitId>> {
        self.0.inner.resolve(refspec)
    }
    fn list(&self) -> super::Result<std::collections::BTreeMap<ostree_rs::format::RefSpec, CommitId>> {
        self.0.inner.list()
    }
    fn commits_with_prefix(&self, digits: &str) -> super::Result<Vec<CommitId>> {
        self.0.inner.commits_with_prefix(digits)
    }
}

fn main_of(store: &MemStore) -> Option<CommitId> {
    store.resolve(&local_ref(main_ref())).unwrap()
}

#[test]
fn what_is_missing_is_sent_once() {
    let (from, commits) = source();
    let to = MemStore::new();
    let (sent, received) = push(&from, &to, commits[0], Depth::Parents(0));
    assert_eq!(received.unwrap(), [CopiedRef { name: main_ref(), before: None, now: commits[0] }]);
    assert_eq!(sent.unwrap().1.content_objects, 2);
    let (sent, received) = push(&from, &to, commits[2], Depth::All);
    let moved = [CopiedRef { name: main_ref(), before: Some(commits[0]), now: commits[2] }];
    assert_eq!(received.unwrap(), moved);
    let (refs, stats) = sent.unwrap();
    assert_eq!(refs, moved);
    // Two commits, the four files that came since the first, and each time three new dirtrees.
    assert_eq!((stats.metadata_objects, stats.content_objects), (8, 4));
    for commit in &commits {
        assert_eq!(objects(&to, commit).unwrap(), objects(&from.inner, commit).unwrap());
    }
    assert_eq!(main_of(&to), Some(commits[2]));
    let detached = load_commitmeta(&to, &commits[2]).unwrap().unwrap();
    assert_eq!(detached.get_bytes("some.signature"), Some(&b"bytes"[..]));
    assert_eq!(push(&from, &to, commits[2], Depth::All).0.unwrap().1, TransferStats::default());
    let (back, _) = push(&from, &to, commits[1], Depth::All);
    assert!(matches!(back, Err(Error::Store(StoreError::NotForward { .. }))));
    assert_eq!(main_of(&to), Some(commits[2]));
}

/// Each object in turn is missing, or another than its name says: nothing lets a ref name it, and a true sender can then
/// push it.
#[test]
fn lies_are_refused() {
    let (mut from, commits) = source();
    for name in objects(&from.inner, &commits[2]).unwrap() {
        for damage in [false, true] {
            (from.missing, from.damaged) = if damage { (None, Some(name)) } else { (Some(name), None) };
            let to = MemStore::new();
            let (sent, received) = push(&from, &to, commits[2], Depth::Parents(0));
            match received.unwrap_err() {
                Error::Store(StoreError::NotFound(missing)) if !damage => assert_eq!(missing, name),
                Error::Store(StoreError::Mismatch { expected, .. }) if damage => assert_eq!(expected, name),
                other => panic!("{name}: {other}"),
            }
            let told = sent.unwrap_err();
            assert!(told.to_string().contains(&name.checksum.to_string()), "{told}");
            assert!(!damage || !to.contains(&name).unwrap(), "{name} was stored");
            assert_eq!(main_of(&to), None);
            assert!(name.kind == ObjectType::Commit || to.contains(&commits[2].into()).unwrap());
            (from.missing, from.damaged) = (None, None);
            push(&from, &to, commits[2], Depth::Parents(0)).0.unwrap();
            assert_eq!(objects(&to, &commits[2]).unwrap(), objects(&from.inner, &commits[2]).unwrap());
        }
    }
}

const GREETING: &[u8] = b"ostree-rs push, protocol 1\n";

/// What a receiver says of a sender that writes these bytes and does not hang up.
fn said_of_sender(greeting: &[u8], frames: &[&[u8]]) -> Error {
    let ((down_reader, mut down), (mut up_reader, up)) = (pipe().unwrap(), pipe().unwrap());
    let to = MemStore::new();
    thread::scope(|scope| {
        let there = scope.spawn(|| receive(&to, down_reader, up));
        down.write_all(greeting).unwrap();
        let mut stream = zstd::Encoder::new(&mut down, 1).unwrap();
        for frame in frames {
            // It may have hung up already.
            let _ = stream.write_all(frame);
        }
        let _ = stream.flush();
        let error = there.join().unwrap().unwrap_err();
        up_reader.read_to_end(&mut Vec::new()).unwrap();
        error
    })
}

fn frame(tag: u8, len: u32, bytes: &[u8]) -> Vec<u8> {
    [&[tag][..], &len.to_be_bytes(), bytes].concat()
}

fn whole(tag: u8, bytes: &[u8]) -> Vec<u8> {
    frame(tag, u32::try_from(bytes.len()).unwrap(), bytes)
}

#[test]
fn senders_that_break_the_protocol() {
    let (from, commits) = source();
    let commit = from.inner.read_meta(&commits[0].into()).unwrap().unwrap();
    let offer = [&[0, 0, 0, 0, 0, 4][..], b"main", commits[0].checksum().as_bytes()].concat();
    let (offer, go, none, commit) =
        (whole(b'O', &offer), whole(b'G', b""), whole(b'N', b""), whole(b'M', &commit));
    let begun = [&offer[..], &go, &none, &commit];
    let told = |more: &[&[u8]]| said_of_sender(GREETING, &[&begun[..], more].concat());
    assert!(
        matches!(said_of_sender(b"SSH-2.0-OpenSSH\n", &[]), Error::NotSpoken(said) if said == "SSH-2.0-OpenSSH")
    );
    assert!(matches!(said_of_sender(b"ostree-rs push, protocol 2\n", &[]), Error::Version(2)));
    // A line without an end is not read to its end.
    assert!(matches!(said_of_sender(&[b'x'; 5000], &[]), Error::NotSpoken(said) if said.len() == 200));
    let protocol = |error: Error| matches!(error, Error::Protocol(_));
    assert!(protocol(said_of_sender(GREETING, &[&go])));
    assert!(protocol(said_of_sender(GREETING, &[b"zzzzzzzz"])));
    assert!(protocol(said_of_sender(GREETING, &[&frame(b'O', u32::MAX, b"")])));
    assert!(protocol(said_of_sender(GREETING, &[&whole(b'O', &[0, 0, 0, 0, 0, 2, b'.', b'.'])])));
    // The root's dirmeta comes next: neither what nobody asked for nor endless data are taken.
    assert!(protocol(told(&[&go])));
    assert!(protocol(told(&[&whole(b'C', b"content")])));
    assert!(protocol(told(&[&frame(b'M', 1 << 30, b"")])));
    let damaged = told(&[&whole(b'M', b"no dirmeta")]);
    assert_eq!(damaged.kind(), ErrorKind::Damaged);
    assert!(matches!(damaged, Error::Store(StoreError::Mismatch { .. })));
    let gone = told(&[&whole(b'E', b"my disk\x1b[31m is broken")]);
    assert!(matches!(&gone, Error::Peer(why) if why == "my disk [31m is broken"), "{gone}");
    assert_eq!(gone.kind(), ErrorKind::Network);
}

/// What a sender says of a receiver that writes these bytes, and then hangs up.
fn said_of_receiver(greeting: &[u8], frames: &[&[u8]]) -> Error {
    let ((mut down_reader, down), (up_reader, mut up)) = (pipe().unwrap(), pipe().unwrap());
    let (from, commits) = source();
    from.inner.set_ref(&local_ref(main_ref()), Some(commits[2])).unwrap();
    up.write_all(greeting).unwrap();
    frames.iter().for_each(|frame| up.write_all(frame).unwrap());
    drop(up);
    let read = thread::spawn(move || down_reader.read_to_end(&mut Vec::new()));
    let refs = [RefCopy { from: main_ref(), to: main_ref() }];
    let source = Source(&from);
    let sent = send(&source, &refs, Moves::Forward, Depth::All, (up_reader, down), &Ctx::default());
    read.join().unwrap().unwrap();
    sent.unwrap_err()
}

#[test]
fn receivers_that_break_the_protocol() {
    let have = whole(b'H', &[0]);
    assert!(matches!(said_of_receiver(b"", &[]), Error::BrokenOff));
    assert!(matches!(said_of_receiver(b"bash: no such thing\n", &[]), Error::NotSpoken(_)));
    assert!(matches!(said_of_receiver(b"ostree-rs push, protocol 12\n", &[]), Error::Version(12)));
    assert!(matches!(said_of_receiver(GREETING, &[]), Error::BrokenOff));
    assert!(matches!(said_of_receiver(GREETING, &[&have]), Error::BrokenOff));
    let full = said_of_receiver(GREETING, &[&have, &whole(b'E', b"the disk is full")]);
    assert!(matches!(&full, Error::Peer(why) if why == "the disk is full"), "{full}");
    for frames in [
        &[&whole(b'H', &[0, 0])[..]][..],
        &[&whole(b'H', &[2])],
        &[&whole(b'H', b"")],
        &[&whole(b'H', &[1, 7])],
        &[&have, &have],
        &[&have, &whole(b'W', &[9; 5])],
        &[&have, &whole(b'W', &[99; 33])],
        // A tombstone belongs to no commit.
        &[&have, &whole(b'W', &[5; 33])],
        &[&have, &frame(b'W', 1 << 20, b"")],
        &[&have, b"zzzzzzz"],
    ] {
        let error = said_of_receiver(GREETING, frames);
        assert!(matches!(error, Error::Protocol(_)), "{frames:?}: {error}");
    }
}
