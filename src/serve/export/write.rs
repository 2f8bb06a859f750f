//! Files that get their names when they are whole.

use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;

use cap_std::fs::{Dir, File};

use crate::serve::answer::Content;
use crate::serve::error::{Error, Result};
use crate::serve::shelf::Made;
use crate::serve::site::blocking;

/// Bytes that are copied at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Whether a file is there.
pub(super) async fn is_there(dir: &Arc<Dir>, path: &str) -> Result<bool> {
    let (dir, path) = (Arc::clone(dir), path.to_owned());
    working(".", blocking(move || dir.try_exists(path)).await)
}

/// Writes a file, and gives it its name; `false` if the file of that name has this content already.
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

/// Gives a file its name. One that has the same content already stays, with its time: by that, programs that copy an export
/// elsewhere know what is new.
fn finish(dir: &Dir, path: &str, file: File) -> io::Result<bool> {
    drop(file);
    let unfinished = unfinished(path);
    if is_same(dir, &unfinished, path)? {
        dir.remove_file(unfinished)?;
        return Ok(false);
    }
    dir.rename(unfinished, dir, path)?;
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
fn working<T>(path: &str, done: Result<io::Result<T>, crate::serve::answer::Answer>) -> Result<T> {
    let failed = |why: String| Error::Export { path: path.to_owned(), why };
    match done {
        Ok(done) => done.map_err(|e| failed(e.to_string())),
        Err(answer) => Err(failed(answer.text().unwrap_or_default())),
    }
}
