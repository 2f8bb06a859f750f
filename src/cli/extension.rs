//! `ostree VERB` for a verb that does not exist runs the program `ostree-VERB`, as C ostree does. Only under
//! the name `ostree`: who types that asks for its extensions too.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

/// Where C ostree looks before `PATH`.
const EXTENSIONS: &str = "/usr/libexec/libostree/ext";

/// Becomes `ostree-VERB`, with all arguments; returns if there is no such program.
pub(crate) fn exec_if_present(verb: &OsStr, argv: &[OsString]) -> anyhow::Result<()> {
    let mut name = OsString::from("ostree-");
    name.push(verb);
    let Some(program) = find(&name) else { return Ok(()) };
    let error = Command::new(&program).arg0(&name).args(argv).exec();
    Err(error).with_context(|| format!("Executing {}", program.display()))
}

fn find(name: &OsStr) -> Option<PathBuf> {
    // A name with a slash would leave the directories that are searched.
    if name.as_encoded_bytes().contains(&b'/') {
        return None;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = [PathBuf::from(EXTENSIONS)].into_iter().chain(std::env::split_paths(&path));
    dirs.map(|dir| dir.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
