//! Writes the third-party notices of the static program to standard output: a table of all crates that it is built
//! from with their licences, then every licence text in their sources, once.
//!
//! ```text
//! cargo run --package notices > THIRD-PARTY
//! ```
//! The crates are those of `Cargo.lock` for this machine's kind with all features. The C library and Rust's own are part
//! of a static file, too: their texts are taken from where Debian and rustup keep them.

mod crates;
mod system;

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::crates::Crate;

/// The package whose program it is about.
const PROGRAM: &str = "ostree-rs";

fn main() -> anyhow::Result<()> {
    let crates = crates::of(PROGRAM)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    writeln!(out, "{PROGRAM} contains or is built with the software below, under the licences named.\n")?;
    for it in &crates {
        writeln!(out, "{} {}\t{}\t{}", it.name, it.version, it.licence, it.home)?;
    }
    for (of, text) in by_text(&crates)? {
        heading(&mut out, &of.join(", "))?;
        writeln!(out, "{text}")?;
    }
    for (name, text) in system::texts()? {
        heading(&mut out, &name)?;
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(out.flush()?)
}

/// Every text with the crates that it lies in, in the order of these; a crate without one has its authors here.
fn by_text(crates: &[Crate]) -> anyhow::Result<Vec<(Vec<String>, String)>> {
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for it in crates {
        let mut texts = it.texts()?;
        if texts.is_empty() {
            let authors = it.authors.join(", ");
            texts.push(format!("No text comes with it. {}\nBy {authors}, {}", it.licence, it.home));
        }
        for text in texts {
            let of = out.entry(text).or_default();
            let name = format!("{} {}", it.name, it.version);
            if of.last() != Some(&name) {
                of.push(name);
            }
        }
    }
    let mut out: Vec<_> = out.into_iter().map(|(text, of)| (of, text)).collect();
    out.sort();
    Ok(out)
}

fn heading(out: &mut impl Write, title: &str) -> io::Result<()> {
    writeln!(out, "\n{}\n{title}\n", "=".repeat(80))
}
