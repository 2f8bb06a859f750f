//! What only a machine does that runs a deployment: here the library is told that one is booted.

use std::fs;
use std::process::Command;

use ostree_rs::base::{Ctx, Inode};
use ostree_rs::cap_std::ambient_authority;
use ostree_rs::cap_std::fs::Dir;
use ostree_rs::store::{Refs, resolve_rev};
use ostree_rs::sysroot::kargs::KernelArgs;
use ostree_rs::sysroot::{
    Cleanup, DeployOptions, DeploymentOrigin, Deployments, Error, Position, Retain, Stage, StagedLock,
    Surroundings, Sysroot, Tunables,
};

use super::Place;
use super::deploy::assert_bootable;
use crate::oracle::{need, need_root};

impl Place {
    /// The sysroot `root` as a machine sees it that has booted the deployment at this place of the list.
    pub(super) fn booted(&self, index: usize) -> Sysroot {
        let open = |path: &str| Dir::open_ambient_dir(self.at(path), ambient_authority()).unwrap();
        let first = Sysroot::open(open("root"), Surroundings::default()).unwrap().load().unwrap();
        let meta = fs::metadata(self.at("root").join(first.list[index].id.path())).unwrap();
        fs::create_dir_all(self.at("run")).unwrap();
        let surroundings = Surroundings {
            booted: Some(Inode::from(&meta)),
            run: Some(open("run")),
            var: Some(open("root/ostree/deploy/os/var")),
            tunables: Tunables { mutable: true, stateroot_in_names: true, ..Tunables::default() },
            ..Surroundings::default()
        };
        Sysroot::open(open("root"), surroundings).unwrap()
    }
}

pub(super) fn options<'a>(sysroot: &Sysroot, current: &'a Deployments) -> DeployOptions<'a> {
    let booted = current.booted().unwrap();
    let commit = resolve_rev(sysroot.repo(), &"os".parse().unwrap()).unwrap();
    DeployOptions {
        origin: Some(DeploymentOrigin::from_refspec("os").unwrap()),
        merge: Some(booted),
        ..DeployOptions::new(booted.id.stateroot.clone(), commit)
    }
}

#[test]
fn a_staged_deployment_is_finished_later() {
    if !need("ostree") || !need_root() {
        return;
    }
    let (place, ctx) = (Place::new(), Ctx::default());
    place.sysroot("root");
    place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "--karg=quiet", "os"]);
    place.new_version("2", &["root"]);
    let sysroot = place.booted(0);
    let current = sysroot.load().unwrap();
    let booted = current.booted().unwrap().id.clone();
    let staged = sysroot.stage(&current, &options(&sysroot, &current), StagedLock::Locked, &ctx).unwrap();
    assert_eq!((staged.list.len(), staged.list[0].stage), (2, Stage::Locked));
    assert_eq!(staged.booted().unwrap().id, booted);
    // Its commit is safe from prune, and no boot entry leads to it.
    let refs: Vec<String> = sysroot.repo().list().unwrap().keys().map(ToString::to_string).collect();
    assert!(refs.contains(&"ostree/1/1/1".to_owned()), "{refs:?}");
    assert!(!place.c(&["admin", "status", "--sysroot=root"]).contains("Version: 2"));

    // What is changed until then is not lost; what is locked stays.
    fs::write(place.at("root").join(booted.path()).join("etc/file"), "changed\n").unwrap();
    assert!(!sysroot.finalize_staged(staged.clone(), &ctx).unwrap());
    sysroot.lock_staged(&staged, StagedLock::Open).unwrap();
    let staged = sysroot.load().unwrap();
    assert_eq!(staged.list[0].stage, Stage::Staged);
    assert!(sysroot.finalize_staged(staged, &ctx).unwrap());
    let done = sysroot.load().unwrap();
    assert_eq!((done.list.len(), done.list[0].stage), (2, Stage::Finished));
    let text = fs::read_to_string(place.at("root").join(done.list[0].id.path()).join("etc/file")).unwrap();
    assert_eq!(text, "changed\n");
    assert!(done.list[0].entry.get("options").unwrap().starts_with("quiet "));
    assert!(place.c(&["admin", "status", "--sysroot=root"]).contains("Version: 2"));
    assert!(!place.at("run/ostree/staged-deployment").exists());
    assert_bootable(&place.at("root"));
}

#[test]
fn a_staged_deployment_keeps_inherited_arguments_when_one_is_added() {
    if !need("ostree") || !need_root() {
        return;
    }
    let (place, ctx) = (Place::new(), Ctx::default());
    place.sysroot("root");
    place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "--karg=root=LABEL=a", "os"]);
    place.new_version("2", &["root"]);
    let sysroot = place.booted(0);
    let current = sysroot.load().unwrap();
    let mut staged = sysroot.stage(&current, &options(&sysroot, &current), StagedLock::Open, &ctx).unwrap();
    let change = |kargs: &mut KernelArgs| kargs.append_if_missing("new=1");
    sysroot.change_kernel_args_in_place(&mut staged, &change, &ctx).unwrap();
    assert!(sysroot.finalize_staged(sysroot.load().unwrap(), &ctx).unwrap());
    let done = sysroot.load().unwrap().list[0].entry.get("options").unwrap().to_owned();
    assert!(done.contains("root=LABEL=a ") && done.ends_with(" new=1"), "{done}");
    assert_eq!(done.matches("ostree=").count(), 1, "{done}");
    assert_bootable(&place.at("root"));
}

#[test]
fn a_staged_deployment_gives_way_to_another() {
    if !need("ostree") || !need_root() {
        return;
    }
    let (place, ctx) = (Place::new(), Ctx::default());
    place.sysroot("root");
    place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    let sysroot = place.booted(0);
    let mut current = sysroot.load().unwrap();
    for version in ["2", "3"] {
        place.new_version(version, &["root"]);
        current = sysroot.stage(&current, &options(&sysroot, &current), StagedLock::Open, &ctx).unwrap();
        assert_eq!(current.list.len(), 2);
    }
    let before = current.list[0].id.clone();
    // A list that is refused changes nothing.
    let after = ostree_rs::sysroot::After::Nothing;
    let refused = sysroot.write_deployments(current, Vec::new(), after, &ctx).unwrap_err();
    assert!(matches!(refused, Error::RemovesBooted), "{refused}");
    let current = sysroot.load().unwrap();
    assert_eq!(current.staged().unwrap().id, before);
    // One that is finished at once is what counts.
    let new = sysroot.deploy(&options(&sysroot, &current), &ctx).unwrap();
    let keep = (Retain::default(), Position::First);
    let merge = current.booted().unwrap().id.clone();
    let written = sysroot.add_deployment(current, new, Some(&merge), keep, &ctx).unwrap();
    assert!(written.staged().is_none() && written.find(&before).is_none());
    assert!(!place.at("root").join(before.path()).exists());
    sysroot.cleanup(&written, Cleanup::All, &ctx).unwrap();
    // Nobody deletes what runs.
    let without = vec![written.list[0].clone()];
    let refused = sysroot.write_deployments(written, without, after, &ctx).unwrap_err();
    assert!(matches!(refused, Error::RemovesBooted), "{refused}");
    assert_bootable(&place.at("root"));
}

/// The next upgrade stages another one.
#[test]
fn a_damaged_record_of_a_staged_deployment_is_none() {
    if !need("ostree") || !need_root() {
        return;
    }
    let (place, ctx) = (Place::new(), Ctx::default());
    place.sysroot("root");
    place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    place.new_version("2", &["root"]);
    let sysroot = place.booted(0);
    let current = sysroot.load().unwrap();
    sysroot.stage(&current, &options(&sysroot, &current), StagedLock::Open, &ctx).unwrap();
    fs::write(place.at("run/ostree/staged-deployment"), "damaged").unwrap();
    let current = sysroot.load().unwrap();
    assert!(current.staged().is_none() && current.list.len() == 1);
    let staged = sysroot.stage(&current, &options(&sysroot, &current), StagedLock::Open, &ctx).unwrap();
    assert!(sysroot.finalize_staged(staged, &ctx).unwrap());
    assert!(place.c(&["admin", "status", "--sysroot=root"]).contains("Version: 2"));
    assert_bootable(&place.at("root"));
}

/// A boot partition that holds two kernels gets a third one in place of that which goes.
#[test]
fn a_small_boot_partition_is_enough() {
    if !need("ostree") || !need_root() {
        return;
    }
    let (place, ctx) = (Place::new(), Ctx::default());
    fs::create_dir_all(place.at("root/boot")).unwrap();
    let boot = place.at("root/boot");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=18m", "tmpfs"]).arg(&boot).output();
    if !mount.is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: tmpfs cannot be mounted");
        return;
    }
    let mounted = Mounted(boot);
    place.c(&["admin", "init-fs", "root"]);
    place.c(&["admin", "os-init", "os", "--sysroot=root"]);
    let kernel = |version: &str| {
        let path = place.at("tree/usr/lib/modules/6.1/vmlinuz");
        fs::write(path, version.repeat(6 << 20)).unwrap();
        place.new_version(version, &["root"]);
    };
    for version in ["1", "2"] {
        kernel(version);
        place.ours(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    }
    kernel("3");
    let sysroot = place.booted(0);
    let current = sysroot.load().unwrap();
    assert_eq!(current.list.len(), 2);
    let merge = current.booted().unwrap().id.clone();
    let new = sysroot.deploy(&options(&sysroot, &current), &ctx).unwrap();
    let keep = (Retain::default(), Position::First);
    let written = sysroot.add_deployment(current, new, Some(&merge), keep, &ctx).unwrap();
    assert_eq!(written.list.len(), 2);
    assert_bootable(&place.at("root"));
    drop(sysroot);
    drop(mounted);
}

/// GRUB, which reads no journals, finds what was deployed at once: its own drivers look at a copy of the disk.
#[test]
fn grub_sees_what_was_deployed() {
    if !need("ostree") || !need_root() || !need("grub-fstest") {
        return;
    }
    for kind in ["xfs", "ext4"] {
        let (place, ctx) = (Place::new(), Ctx::default());
        let run = |program: &str, args: &[&str]| place.succeeds(program, args);
        run("truncate", &["-s", "400M", "disk"]);
        run(&format!("mkfs.{kind}"), &["-q", "disk"]);
        fs::create_dir_all(place.at("root/boot")).unwrap();
        if !place.run("mount", &["-o", "loop", "disk", "root/boot"]).status.success() {
            eprintln!("skipped: no file system in a file can be mounted here");
            return;
        }
        let mounted = Mounted(place.at("root/boot"));
        place.c(&["admin", "init-fs", "root"]);
        place.c(&["admin", "os-init", "os", "--sysroot=root"]);
        place.pull("root");
        place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
        place.write("tree/usr/lib/modules/6.1/vmlinuz", "another kernel\n");
        place.new_version("2", &["root"]);
        let sysroot = place.booted(0);
        let current = sysroot.load().unwrap();
        let merge = current.booted().unwrap().id.clone();
        let new = sysroot.deploy(&options(&sysroot, &current), &ctx).unwrap();
        let keep = (Retain::default(), Position::First);
        sysroot.add_deployment(current, new, Some(&merge), keep, &ctx).unwrap();

        run("cp", &["--sparse=always", "disk", "copy"]);
        let grub = |args: &[&str]| place.succeeds("grub-fstest", &[&["copy"], args].concat());
        let entries = grub(&["ls", "(loop0)/loader/entries/"]);
        let mut entries: Vec<_> = entries.split_whitespace().collect();
        entries.sort_unstable();
        assert_eq!(entries, ["ostree-1-os.conf", "ostree-2-os.conf"], "{kind}");
        for dir in fs::read_dir(place.at("root/boot/ostree")).unwrap() {
            let kernel = format!("ostree/{}/vmlinuz-6.1", dir.unwrap().file_name().display());
            grub(&["cmp", &format!("(loop0)/{kernel}"), &format!("root/boot/{kernel}")]);
        }
        // It can be written again.
        fs::write(place.at("root/boot/probe"), "").unwrap();
        drop((sysroot, mounted));
    }
}

/// A kernel that does not fit is told of with what it takes, and the machine boots what it did before.
#[test]
fn a_full_boot_partition_is_told_of() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    fs::create_dir_all(place.at("root/boot")).unwrap();
    let boot = place.at("root/boot");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&boot).output();
    if !mount.is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: tmpfs cannot be mounted");
        return;
    }
    let mounted = Mounted(boot);
    place.c(&["admin", "init-fs", "root"]);
    place.c(&["admin", "os-init", "os", "--sysroot=root"]);
    place.pull("root");
    let deploy = ["admin", "deploy", "--sysroot=root", "--os=os", "os"];
    place.ours(&deploy);
    place.write("tree/usr/lib/modules/6.1/vmlinuz", &"kernel".repeat(500_000));
    place.new_version("2", &["root"]);
    let entries = || super::listing(&place.at("root/boot/loader/entries"));
    let before = entries();
    let theirs = place.run("ostree", &deploy);
    let theirs = String::from_utf8(theirs.stderr).unwrap();
    assert!(theirs.contains("Installing kernel: regfile copy: No space left on device"), "{theirs}");
    let said = place.fails(&deploy);
    let free =
        said.strip_prefix("Installing kernel: copy vmlinuz-6.1 into boot: 3000000 bytes are needed, and ");
    let (free, rest) =
        free.and_then(|said| said.split_once(" are free: ")).unwrap_or_else(|| panic!("{said}"));
    assert!((1_900_000..2_097_152).contains(&free.parse::<u64>().unwrap()), "{said}");
    let end = "No space left on device; `admin undeploy` of a deployment that is not needed makes room";
    assert_eq!(rest, end);
    assert_eq!(entries(), before);
    assert_bootable(&place.at("root"));
    place.write("tree/usr/lib/modules/6.1/vmlinuz", &"kernel".repeat(100_000));
    place.new_version("3", &["root"]);
    place.ours(&deploy);
    assert!(place.c(&["admin", "status", "--sysroot=root"]).contains("Version: 3"));
    drop(mounted);
}

/// Unmounted when it is dropped.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).output();
    }
}
