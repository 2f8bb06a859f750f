//! Whether two directories hold the same files and links.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::base::Cancel;

const BUFFER_BYTES: usize = 64 * 1024;

/// Compares names, content of files and targets of links; returns how many files and links there are.
///
/// # Errors
/// Names what differs.
pub(super) fn trees(left: &Path, right: &Path, cancel: &Cancel) -> anyhow::Result<u64> {
    let mut compared = 0;
    let mut todo = vec![PathBuf::new()];
    while let Some(below) = todo.pop() {
        let (l, r) = (left.join(&below), right.join(&below));
        let names = names(&l)?;
        if names != self::names(&r)? {
            bail!("{} and {} hold other names", l.display(), r.display());
        }
        for name in names {
            cancel.check()?;
            let (l, r) = (l.join(&name), r.join(&name));
            if fs::symlink_metadata(&l)?.is_dir() {
                todo.push(below.join(name));
                continue;
            }
            if !same(&l, &r)? {
                bail!("{} and {} differ", l.display(), r.display());
            }
            compared += 1;
        }
    }
    Ok(compared)
}

fn names(dir: &Path) -> anyhow::Result<Vec<OsString>> {
    let entries = fs::read_dir(dir).with_context(|| format!("opendir({})", dir.display()))?;
    let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn same(left: &Path, right: &Path) -> std::io::Result<bool> {
    let (l, r) = (fs::symlink_metadata(left)?, fs::symlink_metadata(right)?);
    if l.file_type() != r.file_type() {
        return Ok(false);
    }
    if l.is_symlink() {
        return Ok(fs::read_link(left)? == fs::read_link(right)?);
    }
    if l.len() != r.len() {
        return Ok(false);
    }
    let open = |path| File::open(path).map(|file| BufReader::with_capacity(BUFFER_BYTES, file));
    let (mut l, mut r) = (open(left)?, open(right)?);
    let (mut from_left, mut from_right) = ([0; BUFFER_BYTES], [0; BUFFER_BYTES]);
    loop {
        let n = l.read(&mut from_left)?;
        r.read_exact(&mut from_right[..n])?;
        match from_left[..n] == from_right[..n] {
            true if n == 0 => return Ok(true),
            true => {}
            false => return Ok(false),
        }
    }
}
