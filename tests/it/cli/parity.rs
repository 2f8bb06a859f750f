//! The table of what both programs have, `src/cli/PARITY.md`: made by asking both, and checked here.
//!
//! `OSTREE_RS_WRITE_PARITY=1 cargo test --test it cli::parity` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use super::{OURS, start};
use crate::oracle::need;

/// Verbs and options that C ostree got after the version that is asked here, or does not tell of: those of 2026.4,
/// which was built and asked for its help.
const NEWER: &[(&str, &[&str])] = &[
    ("admin deploy", &["--lock-finalization", "--stateroot"]),
    ("admin init-fs", &["--epoch"]),
    ("admin lock-finalization", &["--sysroot", "--unlock"]),
    ("admin post-copy", &["--sysroot"]),
    ("admin prepare-soft-reboot", &["--reboot", "--reset", "--sysroot"]),
    ("admin set-default", &["--sysroot"]),
    ("admin stateroot-init", &["--sysroot"]),
    ("admin status", &["--is-default", "--json", "--skip-signatures"]),
    ("admin switch", &["--kexec"]),
    ("admin upgrade", &["--kexec"]),
    ("checkout", &["--composefs", "--composefs-noverity"]),
    ("commit", &["--generate-composefs-metadata", "--selinux-labeling-epoch", "--sign-from-file"]),
    (
        "pull",
        &[
            "--disable-retry-on-network-errors",
            "--low-speed-limit-bytes",
            "--low-speed-time-seconds",
            "--max-outstanding-fetcher-requests",
        ],
    ),
    ("pull-local", &["--disable-static-deltas"]),
    ("refs", &["--revision"]),
    ("remote refs", &["--revision"]),
    ("remote summary", &["--list-metadata-keys", "--print-metadata-key"]),
    ("show", &["--list-detached-metadata-keys", "--list-metadata-keys", "--print-hex"]),
    ("sign", &["--keys-dir", "--keys-file"]),
    ("static-delta apply-offline", &["--keys-dir", "--keys-file"]),
    ("static-delta generate", &["--keys-file"]),
    ("static-delta verify", &["--keys-dir", "--keys-file"]),
    ("summary", &["--list-metadata-keys", "--print-metadata-key"]),
];

/// The long options of every verb, those that have a value or not.
type Verbs = BTreeMap<String, BTreeSet<String>>;

/// Asks a program for all of its verbs.
fn verbs(program: &str) -> Verbs {
    let (mut out, mut todo) = (Verbs::new(), vec![String::new()]);
    while let Some(verb) = todo.pop() {
        let words = verb.split(' ').filter(|word| !word.is_empty());
        let args: Vec<&str> = words.chain(["--help"]).collect();
        let help = String::from_utf8(start(program, Path::new("/"), &args).stdout).unwrap();
        let mut lines = help.lines();
        if lines.by_ref().any(|line| line.starts_with("Builtin ") && line.contains("Commands:")) {
            let names = lines.take_while(|line| line.starts_with("  "));
            let names = names.filter(|line| !line.starts_with("   "));
            let names = names.flat_map(|line| line.split_whitespace().next().into_iter().chain(alias(line)));
            todo.extend(names.map(|name| format!("{verb} {name}")));
        } else {
            out.insert(verb.trim().to_owned(), options(&help));
        }
    }
    out
}

/// The other name that the help of this program gives a verb or an option.
fn alias(line: &str) -> Option<&str> {
    line.split_once("[alias: ")?.1.split(']').next()
}

fn options(help: &str) -> BTreeSet<String> {
    let of_line = |line: &str| {
        let words = line.split_whitespace().take(2);
        let option = words.map(|word| word.trim_end_matches(',')).find(|word| word.starts_with("--"))?;
        Some(option.split(['=', '[', '.']).next()?.to_owned())
    };
    let lines = help.lines().filter(|line| line.trim_start().starts_with('-'));
    let all = lines.filter_map(of_line).chain(help.lines().filter_map(alias).map(str::to_owned));
    all.filter(|option| !["--help", "--version", "--verbose", "--repo"].contains(&&**option)).collect()
}

fn table(theirs: &Verbs, ours: &Verbs) -> String {
    let (mut rows, mut count, mut here) = (String::new(), 0, 0);
    let mut theirs = theirs.clone();
    for (verb, options) in NEWER {
        theirs.entry((*verb).to_owned()).or_default().extend(options.iter().map(|&option| option.to_owned()));
    }
    for (verb, all) in &theirs {
        let list = |options: Vec<&String>| {
            let code: Vec<String> = options.iter().map(|option| format!("`{option}`")).collect();
            code.join(" ")
        };
        let Some(has) = ours.get(verb) else {
            count += all.len();
            let _ = writeln!(rows, "| `{verb}` | no | | |");
            continue;
        };
        let (missing, more) = (all.difference(has).collect::<Vec<_>>(), has.difference(all).collect());
        let common = all.len() - missing.len();
        (count, here) = (count + all.len(), here + common);
        let _ =
            writeln!(rows, "| `{verb}` | {common} of {} | {} | {} |", all.len(), list(missing), list(more));
    }
    let verbs = theirs.keys().filter(|verb| ours.contains_key(*verb)).count();
    format!(
        "# What `ostree-rs` has of the command line of `ostree`\n\n\
         Both programs were asked for their verbs and options; a test makes this table (`tests/it/cli/parity.rs`).\n\
         Verbs and options of libostree 2026.4 that the C program of Debian does not know are counted, too. Not counted:\n\
         `--help`, `--version`, `--verbose` and `--repo`, which all have.\n\n\
         Here are {verbs} of {} verbs, and {here} of {count} options.\n\n\
         | verb | options of C ostree | missing here | only here |\n|---|---|---|---|\n{rows}",
        theirs.len()
    )
}

#[test]
fn the_table_is_true() {
    if !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    // Under the name that stands for the C program.
    let link = tmp.path().join("ostree");
    std::os::unix::fs::symlink(OURS, &link).unwrap();
    let (theirs, ours) = (verbs("ostree"), verbs(link.to_str().unwrap()));
    assert!(theirs.len() > 50 && theirs["commit"].contains("--statoverride"), "{theirs:?}");
    let (made, file) = (table(&theirs, &ours), concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/PARITY.md"));
    if std::env::var_os("OSTREE_RS_WRITE_PARITY").is_some() {
        std::fs::write(file, &made).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(made == written, "the table has to be written anew, see tests/it/cli/parity.rs:\n{made}");
}
