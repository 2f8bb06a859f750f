//! The notices name everything that cargo says is built, with a text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::process::Command;

/// Crates whose authors put no licence text into them.
const WITHOUT_TEXT: [&str; 3] = ["composefs-ioctls 0.9.4", "cx448 0.1.1", "kexec-loader 0.17.0"];

fn output(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn every_crate_has_its_licence() {
    let notices = output(env!("CARGO_BIN_EXE_notices"), &[]);
    let bar = format!("\n{}\n", "=".repeat(80));
    let sections: Vec<&str> = notices.split(&bar).collect();
    let (table, sections) = sections.split_first().unwrap();
    let listed: BTreeSet<&str> =
        table.lines().filter_map(|line| line.split_once('\t')).map(|l| l.0).collect();
    let tree = ["tree", "--package=ostree-rs", "--all-features", "--edges=normal,build", "--prefix=none"];
    let tree = output("cargo", &tree);
    // `NAME vVERSION`; what lies in this workspace has its path behind.
    let built: BTreeSet<String> = tree
        .lines()
        .filter(|line| !line.is_empty() && !line.contains("(/"))
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ").replacen(" v", " ", 1))
        .collect();
    assert!(built.len() > 100, "{tree}");
    let missing: Vec<_> = built.iter().filter(|name| !listed.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");

    let with = |words: &str| -> BTreeSet<&str> {
        let sections = sections.iter().filter(|s| s.contains(words));
        sections.flat_map(|s| s.lines().next().unwrap().split(", ")).collect()
    };
    assert_eq!(with("No text comes with it").into_iter().collect::<Vec<_>>(), WITHOUT_TEXT);
    assert!(with("").is_superset(&listed));
    // Sources in C, of other authors, in a folder below.
    let carries = |words, name: &str| with(words).iter().any(|of| of.starts_with(name));
    assert!(carries("Eric Biggers", "libdeflate-sys ") && carries("Meta Platforms", "zstd-sys "));
    assert!(
        carries("GNU LESSER GENERAL PUBLIC LICENSE", "sequoia-openpgp ")
            || carries("GNU LIBRARY GENERAL", "sequoia-openpgp ")
    );
    assert!(carries("The Rust Project", "Rust's standard library") && notices.contains("The GNU C library"));
}
