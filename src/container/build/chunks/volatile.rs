//! Files that change whenever any package is installed or upgraded: they go to the first layer, so that this
//! changes that layer and the package's only.
//!
//! ```text
//! databases   dpkg, apk, pacman, rpm: what is not one package's       var/lib/dpkg/status
//! caches      made of the files of all packages                       etc/ld.so.cache
//! accounts    added by packages                                       etc/passwd
//! logs
//! ```
//! Asked only of files that no package owns.

/// Directories with everything below them.
const TREES: &[&str] = &[
    "etc/alternatives",
    "etc/rc0.d",
    "etc/rc1.d",
    "etc/rc2.d",
    "etc/rc3.d",
    "etc/rc4.d",
    "etc/rc5.d",
    "etc/rc6.d",
    "etc/rcS.d",
    "etc/systemd/system",
    "lib/apk",
    "lib/dpkg",
    "lib/sysimage/dpkg",
    "lib/sysimage/rpm",
    "share/dpkg/database",
    "share/rpm",
    "var/cache",
    "var/lib/apk",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/lib/pacman",
    "lib/pacman",
    "var/lib/rpm",
    "var/lib/systemd",
    "var/lib/ucf",
    "var/log",
];

/// Single files.
const FILES: &[&str] = &[
    "etc/.pwd.lock",
    "etc/group",
    "etc/gshadow",
    "etc/ld.so.cache",
    "etc/machine-id",
    "etc/passwd",
    "etc/shadow",
    "etc/shells",
    "etc/subgid",
    "etc/subuid",
    "share/info/dir",
    "share/mime/mime.cache",
];

/// Caches that lie in several places.
const NAMES: &[&str] = &[
    "giomodule.cache",
    "gschemas.compiled",
    "icon-theme.cache",
    "loaders.cache",
    "immodules.cache",
    "mimeinfo.cache",
];

/// Whether the file at `path` changes with every package.
pub(super) fn is_volatile(path: &str) -> bool {
    let path = path.strip_prefix("usr/share/factory/").unwrap_or(path);
    let path = path.strip_prefix("usr/").unwrap_or(path);
    // Programs for accounts leave a copy of the file before.
    let single = path.strip_suffix('-').unwrap_or(path);
    let name = path.rsplit('/').next().unwrap_or(path);
    let below = |tree: &str| path.strip_prefix(tree).is_some_and(|rest| rest.starts_with('/'));
    FILES.contains(&single) || NAMES.contains(&name) || TREES.iter().any(|tree| below(tree))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for yes in [
            "var/lib/dpkg/status",
            "usr/share/factory/var/lib/dpkg/status-old",
            "usr/etc/passwd-",
            "etc/passwd",
            "usr/lib/apk/db/installed",
            "usr/share/icons/hicolor/icon-theme.cache",
        ] {
            assert!(is_volatile(yes), "{yes}");
        }
        for no in ["etc/passwd.d", "var/lib/dpkgs/x", "usr/lib/libc.so", "boot/vmlinuz", "opt/etc/passwd", ""]
        {
            assert!(!is_volatile(no), "{no}");
        }
    }
}
