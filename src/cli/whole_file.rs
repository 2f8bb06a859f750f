//! Files that a command writes: there when they are whole, or not at all.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;
use tempfile::TempPath;

use super::causes::kind;
use super::room::{Kept, Writing};
use crate::base::ErrorKind;
use crate::base::fs::link_unnamed;

/// Lets `write` fill the file `path`. A file that was there stays what it was until the new one is whole; what is no
/// regular file, such as a pipe, is written as it comes.
pub(crate) fn write(path: &Path, write: impl FnOnce(&mut File) -> anyhow::Result<()>) -> anyhow::Result<()> {
    write_and_finish(path, write, |_| Ok(()))
}

/// [`write()`]; a regular file is given to `finish` when it is whole and has no name yet. It may be open in another way
/// afterwards.
pub(crate) fn write_and_finish(
    path: &Path,
    write: impl FnOnce(&mut File) -> anyhow::Result<()>,
    finish: impl FnOnce(&mut File) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let shown = path.display();
    // Through a link, whose target is replaced then.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = target.metadata().ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        let mut file =
            File::options().write(true).open(&target).with_context(|| format!("Opening {shown}"))?;
        return write(&mut file);
    }
    let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let permissions = old.map_or(Permissions::from_mode(0o666), |old| old.permissions());
    let (mut file, name) = begin(dir, permissions).with_context(|| format!("Creating {shown}"))?;
    write(&mut file).and_then(|()| finish(&mut file)).map_err(|error| match kind(&error) {
        ErrorKind::Exhausted => error.context(Writing {
            place: format!("Writing {shown}"),
            path: Some(dir.to_owned()),
            kept: Kept::Nothing,
        }),
        ErrorKind::Cancelled => error,
        _ => error.context(format!("Writing {shown}")),
    })?;
    let named = name.map_or_else(|| give_name(&file, dir), Ok);
    let done = named.and_then(|name| Ok(name.persist(&target)?));
    done.with_context(|| format!("Creating {shown}"))
}

/// A new file in `dir`. It has no name, so that nothing is left of it if the command is killed; where the file system knows
/// no such files it has one of its own.
fn begin(dir: &Path, permissions: Permissions) -> io::Result<(File, Option<TempPath>)> {
    let mut options = File::options();
    options.read(true).write(true).mode(permissions.mode() & 0o7777);
    match options.custom_flags(OFlags::TMPFILE.bits().cast_signed()).open(dir) {
        Err(e)
            if matches!(Errno::from_io_error(&e), Some(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOSYS)) =>
        {
            let named = new_name().permissions(permissions).tempfile_in(dir)?;
            let (file, name) = named.into_parts();
            Ok((file, Some(name)))
        }
        opened => Ok((opened?, None)),
    }
}

/// Gives a file a name of its own, by which it can take the place of another.
fn give_name(file: &File, dir: &Path) -> io::Result<TempPath> {
    let link = |name: &Path| Ok(link_unnamed(file, CWD, name)?);
    Ok(new_name().make_in(dir, link)?.into_temp_path())
}

fn new_name() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".ostree-rs-");
    builder
}
