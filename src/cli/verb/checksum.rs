//! `checksum`: the id that a file or directory would have in a repository.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::base::{read_xattrs, read_xattrs_at};
use crate::cli::terminal::Session;
use crate::format::{Checksum, DirMeta, FileHeader, Xattrs, special_file_checksum};

/// Arguments of `checksum`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Say what is being done
    #[arg(short, long)]
    verbose: bool,
    /// Leave extended attributes out
    #[arg(long)]
    ignore_xattrs: bool,
    /// A file, a symbolic link, a directory or a device
    path: PathBuf,
}

/// Prints the id of the content object, or of a directory's dirmeta.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let path = &args.path;
    let id = checksum(path, args.ignore_xattrs).with_context(|| path.display().to_string())?;
    Ok(writeln!(session.out, "{id}")?)
}

fn checksum(path: &Path, ignore_xattrs: bool) -> anyhow::Result<Checksum> {
    let meta = fs::symlink_metadata(path)?;
    let (uid, gid, mode) = (meta.uid(), meta.gid(), meta.mode());
    let xattrs = if ignore_xattrs { Xattrs::EMPTY } else { xattrs(path, &meta)? };
    if meta.is_dir() {
        return Ok(*DirMeta::new(uid, gid, mode, xattrs).id().checksum());
    }
    if meta.is_symlink() {
        let target = fs::read_link(path)?;
        let target = target.to_str().context("the target of the link is not UTF-8")?;
        return Ok(FileHeader::symlink(uid, gid, target, xattrs).hasher().finish());
    }
    if !meta.is_file() {
        return Ok(special_file_checksum(uid, gid, mode, &xattrs));
    }
    let mut hasher = FileHeader::regular(uid, gid, mode, xattrs).hasher();
    let (mut file, mut buf) = (File::open(path)?, vec![0; 256 * 1024]);
    loop {
        match file.read(&mut buf)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&buf[..n]),
        }
    }
}

fn xattrs(path: &Path, meta: &fs::Metadata) -> io::Result<Xattrs> {
    // Opening anything else may wait for a writer, or rewind a tape.
    if meta.is_file() || meta.is_dir() {
        return read_xattrs(File::open(path)?);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_str().ok_or(io::ErrorKind::InvalidInput)?;
    read_xattrs_at(std::os::fd::AsFd::as_fd(&File::open(parent)?), name)
}
