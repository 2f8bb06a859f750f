//! Says how `var` of a new system is filled: a file in `usr/lib/tmpfiles.d`, for systemd-tmpfiles.
//!
//! ```text
//! d /var/home 0755 0 0 - -         a directory
//! L /var/lock - - - - /run/lock    a link
//! C /var/lib/dpkg/status - - - -   a file: copied from usr/share/factory, unless there is one
//! ```
//! The file's name stands behind those of all others: what the image itself says of a path goes first.

use ostree_format::{FileHeader, RootDir, Xattrs};

use super::{dir, ensure_dir, file_name};
use crate::container::image::Result;
use crate::store::{self, MutableTree, ObjectRead, ObjectWrite, TreeEntry, load_dirmeta, paths};
use crate::tar::Var;

/// What `var` will be filled from.
pub(super) const FACTORY: &str = "usr/share/factory/var";
const VAR: &str = "var";
/// The directory with the rules of systemd-tmpfiles.
pub(super) const DIR: &str = "usr/lib/tmpfiles.d";
pub(super) const FILE: &str = "zz-ostree-rs-var.conf";
const HEADING: &str = "# What the image has in /var, /home, /root and /srv, and where links lead. Made by ostree-rs.\n\
                       d /run/media 0755 0 0 - -\n";

/// Writes the file; `false` if its directory cannot be made.
pub(super) fn describe(store: &dyn ObjectWrite, tree: &mut MutableTree, var: Var) -> Result<bool> {
    let mut text = HEADING.to_owned();
    if var == Var::Factory
        && let Some(factory) = dir(store, tree, FACTORY)?
    {
        let root = factory.write(store)?;
        add_lines(store, root, &mut text)?;
    }
    let header = FileHeader::regular(0, 0, 0o644, Xattrs::EMPTY);
    let id = store.write_file(&header, text.len() as u64, &mut text.as_bytes())?;
    let Some(dir) = ensure_dir(store, tree, DIR, 0o755)? else { return Ok(false) };
    dir.set_file(store, file_name(FILE)?, id)?;
    Ok(true)
}

fn add_lines(store: &dyn ObjectRead, root: RootDir, text: &mut String) -> Result<()> {
    for entry in paths(store, root) {
        let (path, entry) = entry?;
        if path == "/" {
            continue;
        }
        let path = word(&format!("/{VAR}{path}"));
        let line = match entry {
            TreeEntry::Dir(dir) => {
                let meta = load_dirmeta(store, &dir.meta)?;
                format!("d {path} {:04o} {} {} - -\n", meta.mode & 0o7777, meta.uid, meta.gid)
            }
            TreeEntry::File(id) => {
                let (header, _) = store.stat_file(&id)?.ok_or(store::Error::NotFound(id.into()))?;
                match header.symlink_target() {
                    Some(target) => format!("L {path} - - - - {}\n", rest(target)),
                    None => format!("C {path} - - - - -\n"),
                }
            }
        };
        text.push_str(&line);
    }
    Ok(())
}

/// A path as a word of tmpfiles.d(5): in quotes if it has odd characters. Versions of systemd differ in what they make
/// of other escapes than these two.
fn word(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+:@,=~%/".contains(c);
    let path = path.replace('%', "%%");
    match path.chars().all(is_plain) {
        true => path,
        false => format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")),
    }
}

/// The target of a link, which ends the line and is taken as it stands; a line cannot hold another one's end.
fn rest(target: &str) -> String {
    target.replace('%', "%%").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::{rest, word};

    #[test]
    fn odd_characters() {
        assert_eq!(word("/var/lib/a-b_c.d"), "/var/lib/a-b_c.d");
        assert_eq!(word("/a b\\1%\"\u{e4}"), "\"/a b\\\\1%%\\\"\u{e4}\"");
        assert_eq!(rest("a b%\\c"), "a b%%\\c");
    }
}
