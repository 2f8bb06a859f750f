//! What the README tells people to type works, as it stands there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::oracle;

const README: &str = include_str!("../../README.md");

/// The fenced blocks in a language of the section with this title.
fn blocks(title: &str, language: &str) -> Vec<String> {
    let start = README.find(&format!("\n## {title}\n")).expect("a section of that title");
    let section = &README[start + 4..];
    let section = section.split("\n## ").next().unwrap();
    let fence = format!("```{language}\n");
    section.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The quick start and what follows it, block by block, in an empty directory, with nothing of this user configured.
#[test]
fn quick_start() {
    let work = tempfile::tempdir().unwrap();
    let (bin, home, dir) = (work.path().join("bin"), work.path().join("home"), work.path().join("dir"));
    for dir in [&bin, &home, &dir] {
        fs::create_dir(dir).unwrap();
    }
    symlink(env!("CARGO_BIN_EXE_ostree-rs"), bin.join("ostree-rs")).unwrap();
    // Deployments have owners, as root alone can give them.
    let machine = if oracle::need_root() { blocks("A machine", "sh") } else { Vec::new() };
    let steps = [blocks("Quick start", "sh"), blocks("Further steps", "sh"), machine].concat();
    assert!(steps.len() > 5);
    for block in steps {
        let out = shell(&block, &bin, &home, &dir);
        assert!(out.status.success(), "{block}\n{}", String::from_utf8_lossy(&out.stderr));
    }
    // A deployment cannot be changed, and not be deleted with the directory either.
    let _ = Command::new("chattr").args(["-R", "-i"]).arg(&dir).stderr(Stdio::null()).status();
    // What came out on the other side is the first tree, and the second commit is there, too.
    assert!(fs::read_to_string(dir.join("root/usr/bin/hello")).unwrap().contains("hello"));
    let out = shell("ostree-rs --repo=target cat os/stable /usr/lib/os-release", &bin, &home, &dir);
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "NAME=\"Example OS\"\nVERSION=2\n");
}

fn shell(script: &str, bin: &Path, home: &Path, dir: &Path) -> std::process::Output {
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display());
    Command::new("bash")
        .args(["-euc", script])
        .current_dir(dir)
        .env_clear()
        .envs([("PATH", &*path), ("HOME", home.to_str().unwrap()), ("LANG", "C.UTF-8")])
        .output()
        .unwrap()
}

/// The program in the README is one that is compiled and run.
#[test]
fn the_example_is_the_one_that_runs() {
    let example = include_str!("../../examples/pull_image.rs");
    let shown = blocks("The library", "rust");
    assert!(example.ends_with(&shown[0]), "README and examples/pull_image.rs differ");
}

/// What the README links to is there.
#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let links: Vec<_> = README.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() > 2);
    for link in links.into_iter().filter(|link| !link.contains("://")) {
        assert!(root.join(link).exists(), "{link}");
    }
}
