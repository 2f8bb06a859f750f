//! A soft reboot: what systemd will find as its root, as C ostree mounts it, and what undoes that.

use std::fs;
use std::path::Path;

use ostree_rs::base::{Ctx, Inode};
use ostree_rs::sysroot::prepare_root::Booted;
use ostree_rs::sysroot::{After, Error, StagedLock, Sysroot};

use super::Place;
use super::booted::options;
use super::prepare_root::in_namespace;
use crate::cli::OURS;
use crate::oracle::{need, need_root};

const COMPOSEFS: &str = "[composefs]\nenabled=yes\n";

/// What the initramfs tells of a deployment.
fn booted_of(dir: &Path) -> Booted {
    let found = fs::metadata(dir).unwrap();
    let backing = Some(Inode::from(&found));
    Booted { backing, ..Booted::default() }
}

impl Place {
    /// A sysroot with two deployments that have the same kernel, of versions 2 and 1, and this `prepare-root.conf`.
    fn two_versions(&self, config: &str) {
        for dir in ["usr/lib/ostree", "boot", "run", "proc"] {
            fs::create_dir_all(self.at("tree").join(dir)).unwrap();
        }
        self.write("tree/usr/lib/ostree/prepare-root.conf", config);
        self.new_version("1", &[]);
        self.sysroot("root");
        self.ours(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
        self.new_version("2", &["root"]);
        self.ours(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    }

    /// What the script tells, and the errors, of the machine that has booted version 1. `executed` is what libostree
    /// executes to mount anything.
    fn prepared(&self, program: &str, executed: &str) -> (String, String) {
        let second = self.booted(1).load().unwrap().list[1].id.path();
        fs::write(self.at("booted"), booted_of(&self.at("root").join(second)).to_bytes()).unwrap();
        let paths = [self.at("root"), self.at("booted")].map(|path| path.to_str().unwrap().to_owned());
        let out = in_namespace(&["-mpf"], "soft_reboot.sh", &[program, &paths[0], &paths[1], executed]);
        (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    }

    fn note_next(&self, dir: &Path) {
        fs::create_dir_all(self.at("run/ostree")).unwrap();
        fs::write(self.at("run/ostree/nextroot-booted"), booted_of(dir).to_bytes()).unwrap();
    }
}

#[test]
fn the_next_root_is_that_of_c_ostree() {
    if !need("ostree") || !need("busybox") || !need_root() {
        return;
    }
    let place = Place::new();
    place.two_versions(COMPOSEFS);
    let (found, errors) = place.prepared(OURS, "/bin/false");
    let lines: Vec<&str> = found.lines().collect();
    for line in [
        "/ /run/nextroot ro shared overlay",
        "2default",
        ". refuses",
        "usr refuses",
        "etc takes it",
        "sysroot refuses",
        "1",
        "no soft-reboot",
    ] {
        assert!(lines.contains(&line), "{line}: {found}{errors}");
    }
    assert!(found.contains(" (pending) (soft-reboot)\n"), "{found}{errors}");
    assert!(errors.contains("Cannot prepare for soft-reboot currently booted deployment 1"), "{errors}");
    assert!(errors.contains("Out of range deployment index 9"), "{errors}");
    assert!(!found.contains("is prepared") && !found.contains("ninth"), "{found}");
    let Ok(program) = std::env::var("OSTREE_RS_COMPOSEFS_OSTREE") else {
        eprintln!("OSTREE_RS_COMPOSEFS_OSTREE is not set: not compared with C ostree");
        return;
    };
    for executed in [&*program, OURS] {
        let (theirs, their_errors) = place.prepared(&program, executed);
        assert_eq!(found, theirs, "{executed}: {their_errors}");
    }
}

#[test]
fn the_next_root_takes_changes_if_it_is_to() {
    if !need("ostree") || !need("busybox") || !need_root() {
        return;
    }
    let transient = format!("{COMPOSEFS}[root]\ntransient=true\n[etc]\ntransient=true\n");
    let place = Place::new();
    place.two_versions(&transient);
    let (found, errors) = place.prepared(OURS, "/bin/false");
    for line in [
        "/ /run/nextroot rw shared overlay",
        "/ /run/nextroot/etc rw shared overlay",
        ". takes it",
        "usr takes it",
    ] {
        assert!(found.lines().any(|found| found == line), "{line}: {found}{errors}");
    }
    let place = Place::new();
    place.two_versions(COMPOSEFS);
    let next = place.at("root").join(place.booted(1).load().unwrap().list[0].id.path());
    ["upper", "work"].iter().for_each(|dir| fs::create_dir(next.join(format!(".usr-ovl-{dir}"))).unwrap());
    let (found, errors) = place.prepared(OURS, "/bin/false");
    for line in ["/ /run/nextroot/usr rw shared overlay", ". refuses", "usr takes it", "sysroot refuses"] {
        assert!(found.lines().any(|found| found == line), "{line}: {found}{errors}");
    }
    assert!(next.join(".usr-ovl-upper/written").exists());
    // Bind mounts are nothing that systemd could take for a root.
    let place = Place::new();
    place.two_versions("");
    let (found, errors) = place.prepared(OURS, "/bin/false");
    assert!(errors.contains("soft reboot not supported without composefs"), "{errors}");
    assert!(!found.contains("nextroot"), "{found}");
}

#[test]
fn what_a_soft_reboot_leads_to_is_told_and_undone() {
    if !need("ostree") || !need_root() {
        return;
    }
    let (place, ctx) = (Place::new(), Ctx::default());
    place.two_versions(COMPOSEFS);
    let sysroot = place.booted(1);
    let dirs = |sysroot: &Sysroot| {
        let list = sysroot.load().unwrap().list;
        list.iter().map(|one| place.at("root").join(one.id.path())).collect::<Vec<_>>()
    };
    let is_noted = || place.at("run/ostree/nextroot-booted").exists();
    let [next, _] = &dirs(&sysroot)[..] else { panic!("not two") };
    place.note_next(next);
    let current = sysroot.load().unwrap();
    assert_eq!(current.soft_reboot_target().unwrap().id, current.list[0].id);
    // The same list again changes nothing, also in another order; the target being gone from it does.
    let turned = current.list.iter().rev().cloned().collect();
    let current = sysroot.write_deployments(current, turned, After::Nothing, &ctx).unwrap();
    assert!(current.list[1].is_soft_reboot_target && is_noted());
    let rest = vec![current.list[0].clone()];
    let current = sysroot.write_deployments(current, rest, After::Nothing, &ctx).unwrap();
    assert!(current.soft_reboot_target().is_none() && !is_noted());

    // Staging undoes it, too; and what is staged gives way to another target.
    place.new_version("3", &["root"]);
    place.ours(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    let current = sysroot.load().unwrap();
    place.note_next(&place.at("root").join(current.list[0].id.path()));
    let current = sysroot.load().unwrap();
    assert!(current.list[0].is_soft_reboot_target);
    let staged = sysroot.stage(&current, &options(&sysroot, &current), StagedLock::Open, &ctx).unwrap();
    assert!(!is_noted() && staged.list[0].is_staged() && staged.soft_reboot_target().is_none());
    let target = staged.list[1].id.clone();
    assert!(staged.can_soft_reboot(&staged.list[0]).unwrap(), "it gets the arguments of the booted one");
    sysroot.plan_soft_reboot(staged, &target, &ctx).unwrap();
    let current = sysroot.load().unwrap();
    assert!(current.staged().is_none() && current.list[0].id == target);

    // Of a deployment that is gone nobody makes the running one.
    place.note_next(&place.at("tree"));
    sysroot.finish_soft_reboot(&sysroot.load().unwrap()).unwrap();
    assert!(!is_noted() && !place.at("run/ostree-booted").exists());
    let next = place.at("root").join(target.path());
    place.note_next(&next);
    sysroot.finish_soft_reboot(&sysroot.load().unwrap()).unwrap();
    assert_eq!(fs::read(place.at("run/ostree-booted")).unwrap(), booted_of(&next).to_bytes());
    assert!(!is_noted());
}

#[test]
fn another_kernel_is_no_matter_of_a_soft_reboot() {
    if !need("ostree") || !need_root() {
        return;
    }
    let (place, ctx) = (Place::new(), Ctx::default());
    place.sysroot("root");
    let deploy =
        |karg: &str| place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "--retain", karg, "os"]);
    for karg in ["--karg=one", "--karg=one", "--karg=two"] {
        deploy(karg);
    }
    place.write("tree/usr/lib/modules/6.1/vmlinuz", "another\n");
    place.new_version("2", &["root"]);
    deploy("--karg=one");
    // The booted one is the first; behind it the same with the same argument, with another one, with another kernel.
    let sysroot = place.booted(3);
    let list = sysroot.load().unwrap().list;
    let plan = |index: usize| sysroot.plan_soft_reboot(sysroot.load().unwrap(), &list[index].id, &ctx);
    plan(2).unwrap();
    for other in [0, 1] {
        assert!(
            matches!(plan(other), Err(Error::OtherKernel)),
            "{other}: {}",
            list[other].entry.kernel_args()
        );
    }
    let unbooted = Sysroot::open(sysroot.dir().try_clone().unwrap(), Default::default()).unwrap();
    let refused = unbooted.plan_soft_reboot(unbooted.load().unwrap(), &list[2].id, &ctx);
    assert!(matches!(refused, Err(Error::NotBooted)), "{refused:?}");
}
