//! The other implementations, which the tests compare us with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Whether the program `name` can be run. Where it is missing the test is skipped with a line that says so;
/// in CI a missing oracle fails.
pub(crate) fn need(name: &str) -> bool {
    let found =
        Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "{name} is not installed");
    if !found {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// Whether we are root, whom some tests take for owners, devices and mounts. Otherwise the test, or the part of it, is
/// skipped with a line that says so; in CI it fails.
pub(crate) fn need_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "not root");
    if !root {
        eprintln!("skipped: not root");
    }
    root
}

/// A file of libostree's installed tests. Where they are missing the test is skipped with a line that says so; in CI that
/// fails.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let path = Path::new("/usr/libexec/installed-tests/libostree").join(name);
    if !path.exists() {
        assert!(std::env::var_os("CI").is_none(), "libostree's installed tests are missing");
        eprintln!("skipped: libostree's installed tests are missing");
    }
    path.exists().then_some(path)
}

/// Runs `program` with `args` and returns its standard output.
///
/// # Panics
/// If it cannot be started or fails; the message holds its standard error.
pub(crate) fn run(program: &str, args: &[&str]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(args).env("OSTREE_EXP_WRITE_BARE_SPLIT_XATTRS", "1");
    let out = command.output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(
        out.status.success(),
        "{program} {}: {}\n{}",
        args.join(" "),
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    out.stdout
}

/// Puts a program where a test executes it. Another process writes the file: one that a thread starts meanwhile would have
/// it open for writing for a moment, if we did, and it could not be executed ("Text file busy").
pub(crate) fn install(from: &Path, to: &Path) {
    run("install", &["-D", "-m755", from.to_str().unwrap(), to.to_str().unwrap()]);
}

/// Puts a shell script where a test executes it, as [`install`] does with a program.
pub(crate) fn script(lines: &str, to: &Path) {
    let text = tempfile::NamedTempFile::new().unwrap();
    fs::write(&text, format!("#!/bin/sh\n{lines}\n")).unwrap();
    install(text.path(), to);
}

/// Runs `program` while strace makes system calls fail as `inject` says; `None`, with a line that says so, where that
/// cannot be done.
pub(crate) fn injected(inject: &[&str], program: &str, args: &[&str]) -> Option<Output> {
    let strace = |inject: &[&str], program: &str, args: &[&str]| {
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null"]).args(inject).arg(program).args(args);
        command.env_remove("OSTREE_REPO").output().unwrap()
    };
    if !need("strace") {
        return None;
    }
    if !strace(&[], "true", &[]).status.success() {
        eprintln!("skipped: strace may not trace here");
        return None;
    }
    Some(strace(inject, program, args))
}
