//! Files that get their names when they are whole, and on the disk.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;

use cap_std::fs::{Dir, File};

use crate::serve::answer::{Answer, Content};
use crate::serve::error::{Error, Result};
use crate::serve::shelf::Made;
use crate::serve::site::blocking;

/// Bytes that are copied at once.
const PIECE_BYTES: usize = 256 * 1024;
/// How many files wait for their names, so that one wait for the disk serves all of them.
const MAX_NAMELESS: usize = 1000;

/// Files that are written, but have no names yet. A crash of the machine would leave empty ones behind if they had, which
/// the next export takes for what it wrote.
#[derive(Debug)]
pub(super) struct Nameless {
    dir: Arc<Dir>,
    paths: BTreeSet<String>,
}

impl Nameless {
    pub(super) fn new(dir: Arc<Dir>) -> Self {
        Self { dir, paths: BTreeSet::new() }
    }

    /// Adds a file, which has its name soon.
    pub(super) async fn add(&mut self, path: String) -> Result<()> {
        self.paths.insert(path);
        if self.paths.len() < MAX_NAMELESS { Ok(()) } else { self.name_all().await }
    }

    /// Gives all of them their names.
    pub(super) async fn name_all(&mut self) -> Result<()> {
        let (dir, paths) = (Arc::clone(&self.dir), std::mem::take(&mut self.paths));
        if paths.is_empty() {
            return Ok(());
        }
        sync(&dir).await?;
        let name_each = move || {
            for path in paths {
                let failed = |e: io::Error| Error::Export { path: path.clone(), why: e.to_string() };
                dir.rename(unfinished(&path), &dir, &path).map_err(failed)?;
            }
            Ok(())
        };
        blocking(name_each).await.map_err(|answer| broken_off(".", &answer))?
    }
}

/// Waits until everything that was written is on the disk, names too.
pub(super) async fn sync(dir: &Arc<Dir>) -> Result<()> {
    let dir = Arc::clone(dir);
    // Opened as a file: what cap-std opens as a directory cannot be synced.
    let sync = move || Ok(rustix::fs::syncfs(dir.open(".")?)?);
    working(".", blocking(sync).await)
}

/// Whether a file is there.
pub(super) async fn is_there(dir: &Arc<Dir>, path: &str) -> Result<bool> {
    let (dir, path) = (Arc::clone(dir), path.to_owned());
    working(".", blocking(move || dir.try_exists(path)).await)
}

/// Writes a file that shall get this name; `false` if the file of that name has this content already.
pub(super) async fn content(dir: &Arc<Dir>, path: &str, content: Content) -> Result<bool> {
    match content {
        Content::Bytes(bytes) => {
            let (dir, name) = (Arc::clone(dir), path.to_owned());
            let write = move || {
                let mut file = begin(&dir, &name)?;
                file.write_all(&bytes)?;
                finish(&dir, &name, file)
            };
            working(path, blocking(write).await)
        }
        Content::Made(made) => copy(dir, path, &made).await,
        Content::Promised(_) => Err(Error::Export { path: path.to_owned(), why: "it has no content".into() }),
    }
}

/// Writes what is being made, as it grows.
async fn copy(dir: &Arc<Dir>, path: &str, made: &Arc<Made>) -> Result<bool> {
    let unmade = |e: io::Error| Error::Export { path: path.to_owned(), why: e.to_string() };
    let (place, name) = (Arc::clone(dir), path.to_owned());
    let mut file = working(path, blocking(move || begin(&place, &name)).await)?;
    let mut at = 0;
    loop {
        let there = made.reach(at).await.map_err(unmade)?;
        if there <= at {
            break;
        }
        let made = Arc::clone(made);
        let piece = blocking(move || {
            let mut buffer = vec![0; PIECE_BYTES];
            let mut at = at;
            while at < there {
                let most = usize::try_from(there - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
                let n = made.read_at(&mut buffer[..most], at)?;
                if n == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                file.write_all(&buffer[..n])?;
                at += n as u64;
            }
            Ok(file)
        });
        file = working(path, piece.await)?;
        at = there;
    }
    let (place, name) = (Arc::clone(dir), path.to_owned());
    working(path, blocking(move || finish(&place, &name, file)).await)
}

/// The name of a file that is being written. No object, ref or image is called so, and the next export, which has the
/// directory for itself, takes over what this one left.
fn unfinished(path: &str) -> String {
    format!("{path}~")
}

fn begin(dir: &Dir, path: &str) -> io::Result<File> {
    if let Some((above, _)) = path.rsplit_once('/') {
        dir.create_dir_all(above)?;
    }
    dir.create(unfinished(path))
}

/// Keeps a file for [`Nameless`]. One that has the same content already stays, with its time: by that, programs that copy an
/// export elsewhere know what is new.
fn finish(dir: &Dir, path: &str, file: File) -> io::Result<bool> {
    drop(file);
    let unfinished = unfinished(path);
    if is_same(dir, &unfinished, path)? {
        dir.remove_file(unfinished)?;
        return Ok(false);
    }
    Ok(true)
}

/// Whether `old` can be read and has the content of `new`.
fn is_same(dir: &Dir, new: &str, old: &str) -> io::Result<bool> {
    let Ok(old) = dir.open(old) else { return Ok(false) };
    let new = dir.open(new)?;
    if new.metadata()?.len() != old.metadata()?.len() {
        return Ok(false);
    }
    let [mut new, mut old] = [new, old].map(|file| BufReader::with_capacity(PIECE_BYTES, file));
    loop {
        let (ours, theirs) = (new.fill_buf()?, old.fill_buf()?);
        let n = ours.len().min(theirs.len());
        if n == 0 {
            return Ok(ours.len() == theirs.len());
        }
        if ours[..n] != theirs[..n] {
            return Ok(false);
        }
        new.consume(n);
        old.consume(n);
    }
}

/// The result of work on another thread.
fn working<T>(path: &str, done: Result<io::Result<T>, Answer>) -> Result<T> {
    match done {
        Ok(done) => done.map_err(|e| Error::Export { path: path.to_owned(), why: e.to_string() }),
        Err(answer) => Err(broken_off(path, &answer)),
    }
}

/// The error of a thread that did not come to its end.
fn broken_off(path: &str, answer: &Answer) -> Error {
    Error::Export { path: path.to_owned(), why: answer.reason() }
}
