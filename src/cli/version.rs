//! `--version`: lines of YAML with the names that scripts ask C ostree for.

use std::io::{self, Write};

use super::program::Program;
use super::terminal::Session;

/// What this program can do, in the names of C ostree's features: `gpgme` stands for OpenPGP signatures, `sign-` for
/// those of bare keys, `libarchive` for tar in and out, `inode64` for hard links recognised by numbers of 64 bits,
/// `initial-var` for a first deployment that fills /var, `release` for a program that is not a development build.
const FEATURES: [&str; 9] = [
    "inode64",
    "initial-var",
    "gpgme",
    "composefs",
    "libarchive",
    "selinux",
    "sign-ed25519",
    "sign-spki",
    "release",
];

/// Prints name, version and features.
pub(crate) fn print(program: Program, session: &mut Session) -> io::Result<()> {
    let out = &mut session.out;
    // Scripts look for this key under the name `ostree`.
    writeln!(out, "{}:", if program == Program::Ostree { "libostree" } else { "ostree-rs" })?;
    writeln!(out, " Version: '{}'", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, " Implementation: ostree-rs")?;
    writeln!(out, " Features:")?;
    FEATURES.iter().try_for_each(|feature| writeln!(out, "  - {feature}"))
}
