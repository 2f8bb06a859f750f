//! What is installed, by the databases of package managers: names and versions.
//!
//! ```text
//! dpkg     status, or status.d/* in images without dpkg     Package, Version, Status, Architecture
//! rpm      the headers in rpmdb.sqlite                       NAME, EPOCH, VERSION, RELEASE
//! apk      installed                                        P, V
//! pacman   local/NAME-VERSION-RELEASE                       the directory's name says it
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::{apk, dpkg, lines, pacman, rpm};

/// Packages by name, each with its version; several, where it is there for several machines.
pub(in crate::container) type Packages = BTreeMap<String, BTreeSet<String>>;

/// A file or directory of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::container) enum Part {
    /// A list of packages as dpkg has it.
    Dpkg,
    /// A table of packages as rpm has it.
    Rpm,
    /// A list of packages as apk has it.
    Apk,
    /// A directory with the name of a package of pacman.
    Pacman,
}

impl Part {
    /// What is in one file for all packages.
    pub(in crate::container) const WHOLE: [Self; 3] = [Self::Dpkg, Self::Rpm, Self::Apk];
}

/// Where a file with all packages may lie.
pub(in crate::container) fn files() -> impl Iterator<Item = (Part, String)> {
    let dpkg = dpkg::PLACES.iter().map(|place| (Part::Dpkg, format!("{place}/status")));
    let rpm = rpm::PLACES.iter().map(|place| (Part::Rpm, (*place).to_owned()));
    dpkg.chain(rpm).chain(apk::PLACES.iter().map(|place| (Part::Apk, (*place).to_owned())))
}

/// Where a directory may lie that has a file, or a directory, for each package.
pub(in crate::container) fn dirs() -> impl Iterator<Item = (Part, String)> {
    let dpkg = dpkg::PLACES.iter().map(|place| (Part::Dpkg, format!("{place}/status.d")));
    dpkg.chain(pacman::PLACES.iter().map(|place| (Part::Pacman, (*place).to_owned())))
}

/// Adds what a file of a database, or the name of a directory, says.
pub(in crate::container) fn add(part: Part, content: &[u8], to: &mut Packages) {
    match part {
        Part::Dpkg => {
            paragraphs(content, &["Package", "Version", "Status"], &mut |[name, version, status]| {
                // Distroless images leave the state out.
                if status.is_empty() || status.ends_with(" installed") {
                    note(name, version, to);
                }
            })
        }
        Part::Rpm => rpm::headers(content, &mut |header| {
            if let Some((name, version)) = header.name_and_version() {
                note(name, &version, to);
            }
        }),
        Part::Apk => paragraphs(content, &["P", "V"], &mut |[name, version]| note(name, version, to)),
        Part::Pacman => {
            let Ok(text) = str::from_utf8(content) else { return };
            let mut words = text.rsplitn(3, '-');
            if let (Some(release), Some(version), Some(name)) = (words.next(), words.next(), words.next()) {
                note(name, &format!("{version}-{release}"), to);
            }
        }
    }
}

fn note(name: &str, version: &str, to: &mut Packages) {
    if !name.is_empty() {
        to.entry(name.to_owned()).or_default().insert(version.to_owned());
    }
}

/// Hands over some fields of each paragraph; those that it lacks are empty.
fn paragraphs<'t, const N: usize>(text: &'t [u8], keys: &[&str; N], each: &mut dyn FnMut([&'t str; N])) {
    let mut fields = [""; N];
    for line in lines(text).chain([""]) {
        match line.split_once(':') {
            None if line.is_empty() => each(std::mem::replace(&mut fields, [""; N])),
            Some((key, value)) => {
                if let Some(at) = keys.iter().position(|known| *known == key) {
                    fields[at] = value.trim();
                }
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(part: Part, text: &str) -> String {
        let mut packages = Packages::new();
        add(part, text.as_bytes(), &mut packages);
        format!("{packages:?}")
    }

    #[test]
    fn databases_are_read() {
        let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\
                      Description: x\n Version: no\n\nPackage: gone\nStatus: deinstall ok config-files\n\
                      Version: 1\n\nPackage: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\n\
                      Package: base-files\nVersion: 1:2";
        assert_eq!(read(Part::Dpkg, status), r#"{"base-files": {"1:2"}, "libc6": {"2.36-9"}}"#);
        let installed = "C:Q1x\nP:musl\nV:1.2.5-r0\nF:lib\nR:x\n\nP:busybox\nV:1.36\n\n";
        assert_eq!(read(Part::Apk, installed), r#"{"busybox": {"1.36"}, "musl": {"1.2.5-r0"}}"#);
        assert_eq!(read(Part::Pacman, "gcc-libs-14.2.1-1"), r#"{"gcc-libs": {"14.2.1-1"}}"#);
        assert_eq!(read(Part::Pacman, "ALPM_DB_VERSION"), "{}");
    }
}
