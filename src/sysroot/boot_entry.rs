//! One file of `loader/entries`: a boot entry of the boot loader specification.
//!
//! ```text
//! boot/loader.1/entries/ostree-2.conf         +3-0 before .conf: three tries left, none done
//!     title Example OS 1.0 (ostree:0)
//!     version 2                               boot loaders try the highest one first
//!     options root=… ostree=/ostree/boot.1/…
//!     linux /ostree/STATEROOT-CSUM/vmlinuz-…
//!     initrd /ostree/STATEROOT-CSUM/initramfs-….img
//!     initrd /ostree/initramfs-overlays/….img
//!     x-other …                               what other programs added is kept
//! ```
//! What is accepted, and the order in which keys are written, is libostree's (`ostree-bootconfig-parser.c`).

use std::cmp::Ordering;
use std::fmt;
use std::io::{self, Read};

use cap_std::fs::Dir;

use super::kargs::KernelArgs;
use crate::store::{Error, Result};

/// The keys that deployments set, in the order in which they are written.
const KNOWN_KEYS: [&str; 6] = ["title", "version", "options", "devicetree", "linux", "initrd"];

/// The longest entry that is read. A kernel takes 4 KiB of options at most.
const ENTRY_MAX_BYTES: u64 = 1 << 20;

/// A boot entry: keys with values, and its file name if it was read from one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BootEntry {
    fields: Vec<(String, String)>,
    overlay_initrds: Vec<String>,
    file_name: Option<String>,
}

/// How often an entry has been tried and may still be tried, which boot loaders count in its file name (automatic
/// boot assessment).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BootTries {
    /// Tries that are left; once there is none, the entry comes last.
    pub left: u64,
    /// Tries that were made.
    pub done: u64,
}

impl BootEntry {
    /// Reads the content of an entry. Lines that do not begin with a letter are comments; of a key that stands there
    /// twice the last value counts, except that the second and further `initrd` are the overlays.
    pub fn parse(text: &str) -> Self {
        let mut entry = Self::default();
        let lines = text.split('\n').filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic()));
        for (key, value) in lines.filter_map(|line| line.split_once([' ', '\t'])) {
            match key {
                "initrd" if entry.get(key).is_some() => entry.overlay_initrds.push(value.to_owned()),
                _ => entry.set(key, value),
            }
        }
        entry
    }

    /// The value of a key; of `initrd` that of the first one.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == key).map(|(_, value)| &**value)
    }

    /// Sets the value of a key. Line ends in it become blanks: what comes after one would be a key of its own.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        let value = value.into().replace('\n', " ");
        match self.fields.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.fields.push((key.to_owned(), value)),
        }
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) {
        self.fields.retain(|(known, _)| known != key);
    }

    /// The kernel's command line, from `options`.
    pub fn kernel_args(&self) -> KernelArgs {
        KernelArgs::parse(self.get("options").unwrap_or_default())
    }

    /// The initrds that are loaded after the first one.
    pub fn overlay_initrds(&self) -> &[String] {
        &self.overlay_initrds
    }

    /// Sets the initrds that are loaded after the first one. They are written only where there is a first one.
    pub fn set_overlay_initrds(&mut self, initrds: Vec<String>) {
        self.overlay_initrds = initrds;
    }

    /// The keys that deployments do not set by themselves: those that other programs added, `fdtdir`, `aboot` and
    /// `abootcfg`.
    pub fn extra(&self) -> impl Iterator<Item = (&str, &str)> {
        let extra = self.fields.iter().filter(|(key, _)| !KNOWN_KEYS.contains(&&**key));
        extra.map(|(key, value)| (&**key, &**value))
    }

    /// The name of the file that it was read from.
    pub fn file_name(&self) -> Option<&str> {
        self.file_name.as_deref()
    }

    /// The tries that its file name counts; none if it was not read from a file.
    pub fn tries(&self) -> BootTries {
        self.file_name.as_deref().map(BootTries::of_file_name).unwrap_or_default()
    }

    /// Which of two entries a boot loader offers first: the one with the higher version.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self.get("version"), other.get("version")) {
            (Some(own), Some(others)) => compare_versions(others, own),
            _ => Ordering::Equal,
        }
    }
}

impl fmt::Display for BootEntry {
    /// The content of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = KNOWN_KEYS.iter().filter_map(|key| Some((*key, self.get(key)?)));
        known.into_iter().try_for_each(|(key, value)| writeln!(f, "{key} {value}"))?;
        if self.get("initrd").is_some() {
            self.overlay_initrds.iter().try_for_each(|initrd| writeln!(f, "initrd {initrd}"))?;
        }
        self.extra().try_for_each(|(key, value)| writeln!(f, "{key} {value}"))
    }
}

impl BootTries {
    /// The tries in a file name: `+LEFT` or `+LEFT-DONE` at its end. Both 0 if there are none.
    pub fn of_file_name(name: &str) -> Self {
        let Some((_, counted)) = name.rsplit_once('+') else { return Self::default() };
        let Some((left, rest)) = number(counted) else { return Self::default() };
        let Some(rest) = rest.strip_prefix('-') else { return Self { left, done: 0 } };
        number(rest).map(|(done, _)| Self { left, done }).unwrap_or_default()
    }
}

/// The entries of deployments in a directory of entries (`boot/loader.0/entries`), in the order in which a boot
/// loader offers them. Files of other names are others' entries.
///
/// # Errors
/// [`Error::Io`]; [`Error::Unsupported`] for an entry that is not
/// UTF-8, or longer than 1 MiB.
pub fn read_entries(dir: &Dir) -> Result<Vec<BootEntry>> {
    let mut entries = Vec::new();
    let failed = |name: &str, e| Error::at(dir, "read", name, e);
    for found in dir.entries().map_err(|e| failed(".", e))? {
        let found = found.map_err(|e| failed(".", e))?;
        let name = found.file_name().to_string_lossy().into_owned();
        if name.starts_with("ostree-")
            && name.ends_with(".conf")
            && let Some(text) = read_entry(dir, &name).map_err(|e| failed(&name, e))?
        {
            entries.push(BootEntry { file_name: Some(name), ..BootEntry::parse(&text) });
        }
    }
    entries.sort_by(|a, b| a.compare(b).then_with(|| b.file_name.cmp(&a.file_name)));
    Ok(entries)
}

/// The text of a regular file; `None` of anything else.
fn read_entry(dir: &Dir, name: &str) -> io::Result<Option<String>> {
    if !dir.metadata(name)?.is_file() {
        return Ok(None);
    }
    let mut text = String::new();
    dir.open(name)?.take(ENTRY_MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > ENTRY_MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a boot entry of more than 1 MiB"));
    }
    Ok(Some(text))
}

/// A decimal number at the beginning, and what comes after it.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Compares as `strverscmp` of the C library does: numbers within the texts by their values. A number that begins
/// with zeros is a fraction, and comes before whole ones.
pub(super) fn compare_versions(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let digits_from = a[..same].iter().rposition(|c| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    let run = |text: &[u8]| text[digits_from..].iter().take_while(|c| c.is_ascii_digit()).count();
    let begins = |text: &[u8]| text.get(digits_from).is_some_and(|c| (b'1'..=b'9').contains(c));
    if begins(a) && begins(b) {
        return run(a).cmp(&run(b)).then_with(|| a[same..].cmp(&b[same..]));
    }
    let zeros = digits_from < same && a[digits_from..same].iter().all(|c| *c == b'0');
    if zeros && (run(a) > same - digits_from || run(b) > same - digits_from) {
        // A longer fraction of the same zeros comes before what ends with them.
        let place = |text: &[u8]| text.get(same).copied().unwrap_or(0).wrapping_sub(b'0');
        return place(a).cmp(&place(b));
    }
    a[same..].cmp(&b[same..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_in_their_order_and_others_are_kept() {
        let read = "# comment\nx-tuned a=b  c\ninitrd /i1\n linux no\ntitle\tA title \ninitrd /i2\nversion 1\nx-first 2\nlinux /v\ndevicetree /d\noptions a b\nalone\ninitrd /i3\nversion 2";
        let entry = BootEntry::parse(read);
        assert_eq!(entry.overlay_initrds(), ["/i2", "/i3"]);
        assert_eq!(entry.get("initrd"), Some("/i1"));
        assert_eq!(entry.get("title"), Some("A title "));
        assert_eq!(entry.extra().collect::<Vec<_>>(), [("x-tuned", "a=b  c"), ("x-first", "2")]);
        let written = "title A title \nversion 2\noptions a b\ndevicetree /d\nlinux /v\ninitrd /i1\ninitrd /i2\ninitrd /i3\nx-tuned a=b  c\nx-first 2\n";
        assert_eq!(entry.to_string(), written);
        assert_eq!(BootEntry::parse(written).to_string(), written);
    }

    #[test]
    fn no_value_makes_another_key() {
        let mut entry = BootEntry::parse("options quiet\n");
        entry.set("title", "OS 1\noptions init=/bin/sh");
        assert_eq!(entry.to_string(), "title OS 1 options init=/bin/sh\noptions quiet\n");
    }

    #[test]
    fn tries_are_read_from_the_file_name() {
        let tries = |name| {
            let BootTries { left, done } = BootTries::of_file_name(name);
            (left, done)
        };
        assert_eq!(tries("ostree-1+3-2.conf"), (3, 2));
        assert_eq!(tries("ostree-1+5.conf"), (5, 0));
        assert_eq!(tries("ostree-a+b-2+0-1.conf"), (0, 1));
        for none in ["ostree-1.conf", "ostree-1+.conf", "ostree-1+-1.conf", "a+x.conf", "a+1-x.conf"] {
            assert_eq!(tries(none), (0, 0), "{none}");
        }
        assert_eq!(tries("a+99999999999999999999.conf"), (0, 0));
    }

    #[test]
    fn versions_are_compared_as_the_c_library_does() {
        // The order that its manual page gives.
        let sorted = ["000", "00", "01", "010", "09", "0", "1", "9", "10", "a1", "a1b", "a2", "a10", "a10b"];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(compare_versions(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
    }
}
