//! The machines that an image is for, and their names.
//!
//! ```text
//! aarch64    what the kernel and ostree call them: `ostree.architecture` of a commit
//! arm64      what Go, and so images, call them; some have variants: arm/v7
//! ```
//! Source: Go's `go/build/syslist.go`; containerd `platforms/database.go`; the names of Debian and Fedora.

use ostree_format::CommitId;

use super::error::{Error, Result};
use super::labels;
use super::platform::PlatformName;
use crate::store::{ObjectRead, load_commit};

/// Names of the kernel and of distributions, and what Go calls these machines.
const NAMES: [(&str, &str, Option<&str>); 26] = [
    ("x86_64", "amd64", None),
    ("x86-64", "amd64", None),
    ("i386", "386", None),
    ("i486", "386", None),
    ("i586", "386", None),
    ("i686", "386", None),
    ("x86", "386", None),
    ("aarch64", "arm64", None),
    ("armv5tel", "arm", Some("v5")),
    ("armel", "arm", Some("v5")),
    ("armv6l", "arm", Some("v6")),
    ("armv6hl", "arm", Some("v6")),
    ("armv7", "arm", Some("v7")),
    ("armv7l", "arm", Some("v7")),
    ("armv7hl", "arm", Some("v7")),
    ("armhf", "arm", Some("v7")),
    ("armhfp", "arm", Some("v7")),
    ("armv8l", "arm", Some("v8")),
    ("powerpc64", "ppc64", None),
    ("powerpc64le", "ppc64le", None),
    ("ppc64el", "ppc64le", None),
    ("loongarch64", "loong64", None),
    ("mips64el", "mips64le", None),
    ("mipsel", "mipsle", None),
    ("powerpc", "ppc", None),
    ("riscv64gc", "riscv64", None),
];

/// Names of Go that images have.
const GO: [&str; 18] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc", "ppc64",
    "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc64", "wasm",
];

/// What Go calls these machines, and their variant; `None` for a name that nobody knows.
pub(in crate::container) fn go_name(name: &str) -> Option<(&str, Option<&'static str>)> {
    let known = NAMES.iter().find(|(ours, ..)| *ours == name).map(|(_, go, variant)| (*go, *variant));
    known.or_else(|| GO.contains(&name).then_some((name, None)))
}

/// The machines for which an image of `commit` is: those that its metadata says (`ostree.architecture`), else
/// `wanted`, else those that this program was compiled for.
///
/// # Errors
/// [`Error::UnknownMachine`] if the commit is for those of a name that nobody knows and none are `wanted`;
/// [`Error::Usage`] if it is for other machines than `wanted`, or if `wanted` is not Linux; [`Error::Store`].
pub fn platform_of(
    store: &dyn ObjectRead,
    commit: &CommitId,
    wanted: Option<&PlatformName>,
) -> Result<PlatformName> {
    if let Some(other) = wanted.filter(|wanted| wanted.os != "linux") {
        return Err(Error::Usage(format!("an image of a commit is one of Linux, not one for {other}")));
    }
    let Some(said) = labels::architecture(&load_commit(store, commit)?)? else {
        return Ok(wanted.cloned().unwrap_or_default());
    };
    let Some((architecture, variant)) = go_name(&said) else {
        return wanted.cloned().ok_or(Error::UnknownMachine { commit: *commit, said });
    };
    let own = PlatformName {
        os: "linux".to_owned(),
        architecture: architecture.to_owned(),
        variant: variant.map(str::to_owned),
    };
    match wanted {
        None => Ok(own),
        Some(wanted) if wanted.is_of(&own) => Ok(wanted.clone()),
        Some(wanted) if own.is_of(wanted) => Ok(own),
        Some(wanted) => {
            let why = format!(
                "commit {commit} is for '{said}' (ostree.architecture), which is {own}, not {wanted}"
            );
            Err(Error::Usage(why))
        }
    }
}

impl PlatformName {
    /// Whether all of these machines are among `others`.
    fn is_of(&self, others: &Self) -> bool {
        let base = |name: &Self| match (&*name.architecture, name.variant.as_deref()) {
            ("arm64", Some("v8")) => None,
            (_, variant) => variant.map(str::to_owned),
        };
        self.os == others.os
            && self.architecture == others.architecture
            && (base(others).is_none() || base(self) == base(others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, go) in [
            ("x86_64", Some(("amd64", None))),
            ("aarch64", Some(("arm64", None))),
            ("ppc64le", Some(("ppc64le", None))),
            ("s390x", Some(("s390x", None))),
            ("riscv64", Some(("riscv64", None))),
            ("i686", Some(("386", None))),
            ("armv7hl", Some(("arm", Some("v7")))),
            ("arm64", Some(("arm64", None))),
            ("vax", None),
        ] {
            assert_eq!(go_name(name), go, "{name}");
        }
    }
}
