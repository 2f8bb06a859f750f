//! Killed at any system call that changes something, a machine boots what it did before or what is new.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::Place;
use super::deploy::assert_bootable;
use crate::cli::OURS;
use crate::oracle::{need, need_root};

/// The calls that change a file system, and how many of each are let through between two places where a program is
/// killed: numbers that have nothing to do with how work repeats.
const CHANGES: &[(&str, usize)] = &[
    ("renameat", 5),
    ("linkat", 13),
    ("symlinkat", 1),
    ("mkdirat", 11),
    ("unlinkat", 17),
    ("syncfs", 1),
    ("utimensat", 3),
];

/// Kills our program at each place in turn; `before` prepares each try. Gives how often it was killed.
fn kill_everywhere(place: &Place, args: &[&str], mut before: impl FnMut(usize)) -> usize {
    let mut killed = 0;
    for (call, step) in CHANGES {
        for at in (1..).step_by(*step) {
            before(killed);
            let inject = format!("inject={call}:signal=KILL:when={at}");
            let mut command = Command::new("strace");
            command.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject, OURS]);
            command.args(args).current_dir(place.tmp.path()).env_remove("OSTREE_REPO");
            let out = command.env("OSTREE_SYSROOT_DEBUG", "mutable-deployments").output().unwrap();
            assert_bootable(&place.at("root"));
            // What both programs see is the same, and neither stumbles over what is left.
            let status = ["admin", "status", "--sysroot=root"];
            assert_eq!(place.ours(&status), place.c(&status));
            if out.status.success() {
                break;
            }
            let text = String::from_utf8_lossy(&out.stderr).into_owned();
            let died = out.status.signal().or(out.status.code().map(|code| code - 128));
            assert_eq!(died, Some(9), "{call} {at}: {text}");
            killed += 1;
        }
    }
    killed
}

fn can_trace() -> bool {
    let works = |program: &str| Command::new("strace").args(["-o", "/dev/null", program]).output();
    need("ostree") && need_root() && need("strace") && works("true").is_ok_and(|out| out.status.success())
}

#[test]
fn a_machine_boots_whenever_a_deployment_breaks_off() {
    if !can_trace() {
        return;
    }
    let place = Place::new();
    place.sysroot("root");
    place.ours(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    place.new_version("2", &["root"]);
    let mut kernel = 0;
    let args = ["admin", "deploy", "--sysroot=root", "--os=os", "os"];
    let killed = kill_everywhere(&place, &args, |killed| {
        // Every other time there is another kernel, too: a new boot version, otherwise only new links.
        if killed % 2 == 1 {
            kernel += 1;
            place.write("tree/usr/lib/modules/6.1/vmlinuz", &format!("kernel {kernel}"));
            place.new_version(&format!("2.{kernel}"), &["root"]);
        }
    });
    assert!(killed > 15, "{killed}");
    place.c(&["--repo=root/ostree/repo", "fsck", "-q"]);
}

#[test]
fn a_machine_boots_whenever_cleanup_breaks_off() {
    if !can_trace() {
        return;
    }
    let place = Place::new();
    place.sysroot("root");
    for version in ["2", "3", "4"] {
        place.write("tree/usr/lib/modules/6.1/vmlinuz", version);
        place.new_version(version, &["root"]);
        place.ours(&["admin", "deploy", "--sysroot=root", "--os=os", "--retain", "os"]);
    }
    let killed = kill_everywhere(&place, &["admin", "undeploy", "--sysroot=root", "1"], |_| {
        place.ours(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    });
    assert!(killed > 8, "{killed}");
    place.c(&["admin", "cleanup", "--sysroot=root"]);
    place.c(&["--repo=root/ostree/repo", "fsck", "-q"]);
    let kernels = fs::read_dir(place.at("root/boot/ostree")).unwrap();
    assert!(kernels.count() <= 3, "kernels that nobody has are left");
}
