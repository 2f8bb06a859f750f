//! A machine without an initramfs: the program is the first process, and its root the disk.

use super::prepare_root::{in_namespace, mounts};
use crate::cli::OURS;
use crate::oracle::{need, need_root};

/// What the init of the deployment tells, and the errors.
fn first_process(program: &str, case: &str) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let args = [program, dir.path().to_str().unwrap(), case];
    let out = in_namespace(&["-mpf"], "take_over.sh", &args);
    (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
}

/// The mounts among the lines, but those that only a system without an initramfs has.
fn common(text: &str) -> Vec<String> {
    let is_mount = |line: &&str| line.starts_with('/') && line.split(' ').count() == 5;
    let place = |line: &str| line.split(' ').nth(1).unwrap_or_default().to_owned();
    let of_both = |line: &&str| !matches!(&*place(line), "/run" | "/boot");
    text.lines().filter(is_mount).filter(of_both).map(str::to_owned).collect()
}

/// The mounts that an initramfs leads to, as seen from the new root.
fn by_initramfs(case: &str) -> Vec<String> {
    let seen = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        words[1] = words[1].strip_prefix("/sysroot").unwrap();
        words[1] = if words[1].is_empty() { "/" } else { words[1] };
        words.join(" ")
    };
    common(&mounts(OURS, case)).iter().map(|line| seen(line)).collect()
}

#[test]
fn mounts_are_those_of_an_initramfs() {
    if !need("busybox") || !need_root() {
        return;
    }
    for case in ["writable", "readonly-by-repo", "hotfix"] {
        let (found, errors) = first_process(OURS, case);
        assert!(found.starts_with("process 1, told single\n"), "{case}: {found}{errors}");
        let mut mounts = common(&found);
        // An initramfs has somebody else mount it.
        mounts.retain(|line| !line.contains(" /var "));
        assert_eq!(mounts, by_initramfs(case), "{case}");
        let is_readonly = case == "readonly-by-repo";
        let sysroot = if is_readonly { "/sysroot refuses" } else { "/sysroot takes it" };
        let usr = if case == "hotfix" { "/usr takes it" } else { "/usr refuses" };
        for line in [
            "/ /run rw private tmpfs",
            "/boot /boot rw private tmpfs",
            "/ostree/deploy/os/var /var rw shared tmpfs",
            "changed",
            usr,
            "/etc takes it",
            "/var takes it",
            sysroot,
            "ostree-booted",
            "initramfs-mount-var",
        ] {
            assert!(found.lines().any(|found| found == line), "{case}: {line}: {found}");
        }
    }
}

/// Debian's is no static program; one that was built as such can be named.
#[test]
fn mounts_are_those_of_cs_static_program() {
    let Ok(program) = std::env::var("OSTREE_RS_STATIC_PREPARE_ROOT") else {
        eprintln!("skipped: OSTREE_RS_STATIC_PREPARE_ROOT is not set");
        return;
    };
    for case in ["writable", "readonly-by-repo", "hotfix"] {
        let (theirs, errors) = first_process(&program, case);
        assert!(theirs.starts_with("process 1, told "), "{case}: {theirs}{errors}");
        // It leaves it to ostree-remount to make the disk read-only, and what is mounted below /var to itself.
        let mut theirs = common(
            &theirs.replace("/ostree/deploy/os/var /var rw private", "/ostree/deploy/os/var /var rw shared"),
        );
        if case == "readonly-by-repo" {
            theirs = theirs.iter().map(|line| line.replace("/ /sysroot rw", "/ /sysroot ro")).collect();
        }
        assert_eq!(common(&first_process(OURS, case).0), theirs, "{case}");
    }
}

#[test]
fn composefs_needs_no_initramfs() {
    if !need("busybox") || !need_root() {
        return;
    }
    let (found, errors) = first_process(OURS, "composefs");
    for line in [
        "process 1, told single",
        "/ / ro private overlay",
        "/ refuses",
        "/usr refuses",
        "/etc takes it",
        "/sysroot refuses",
    ] {
        assert!(found.lines().any(|found| found == line), "{line}: {found}{errors}");
    }
}

#[test]
fn what_cannot_be_the_root_stops_the_machine() {
    if !need("busybox") || !need_root() {
        return;
    }
    for (case, why) in [
        ("signed", "composefs.enabled=signed needs an initramfs, which has the key"),
        ("deployment", "the root that the kernel has mounted is a deployment"),
    ] {
        let (found, errors) = first_process(OURS, case);
        assert!(found.is_empty() && errors.contains(why), "{case}: {found}{errors}");
    }
}
