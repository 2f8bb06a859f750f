//! Files that a command writes: there when they are whole, or not at all.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;

use super::locate::kind;
use super::room::{Kept, Writing};
use crate::base::ErrorKind;

/// Lets `write` fill the file `path`. A file that was there stays what it was until the new one is whole; what is no
/// regular file, such as a pipe, is written as it comes.
pub(crate) fn write(path: &Path, write: impl FnOnce(&mut File) -> anyhow::Result<()>) -> anyhow::Result<()> {
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
    let mut file = tempfile::Builder::new()
        .prefix(".ostree-rs-")
        .permissions(old.map_or(Permissions::from_mode(0o666), |old| old.permissions()))
        .tempfile_in(dir)
        .with_context(|| format!("Creating {shown}"))?;
    write(file.as_file_mut()).map_err(|error| match kind(&error) {
        ErrorKind::Exhausted => error.context(Writing {
            place: format!("Writing {shown}"),
            path: Some(dir.to_owned()),
            kept: Kept::Nothing,
        }),
        ErrorKind::Cancelled => error,
        _ => error.context(format!("Writing {shown}")),
    })?;
    file.persist(&target).with_context(|| format!("Creating {shown}"))?;
    Ok(())
}
