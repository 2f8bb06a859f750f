//! `admin upgrade`, `switch` and kernel arguments: beside C ostree on copies of the same sysroot.

use std::fs;

use super::Place;
use crate::cli::OURS;
use crate::oracle::{need, need_root, run};

/// Two copies of a sysroot in which C ostree has deployed the branch `os` of the remote `origin`: `c` and `ours`.
fn twins() -> Option<Place> {
    if !need("ostree") || !need_root() {
        return None;
    }
    let place = Place::new();
    place.sysroot("c");
    let url = format!("file://{}", place.at("build").display());
    let repo = "--repo=c/ostree/repo";
    place.c(&[repo, "remote", "add", "--no-gpg-verify", "origin", &url]);
    place.c(&[repo, "remote", "add", "--no-gpg-verify", "other", &url]);
    place.c(&[repo, "pull", "origin", "os"]);
    place.c(&["admin", "deploy", "--sysroot=c", "--os=os", "--karg=quiet", "origin:os"]);
    fs::write(place.deployment("c").join("etc/file"), "changed\n").unwrap();
    run("cp", &["-a", place.at("c").to_str().unwrap(), place.at("ours").to_str().unwrap()]);
    Some(place)
}

/// Does the same in both copies; gives what both printed.
fn both(place: &Place, args: &[&str]) -> [String; 2] {
    let with = |sysroot: &str| {
        let mut all = vec!["admin".to_owned()];
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        all.push(format!("--sysroot={sysroot}"));
        all
    };
    let run = |program: fn(&Place, &[&str]) -> String, args: Vec<String>| {
        program(place, &args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    [run(Place::c, with("c")), run(Place::ours, with("ours"))]
}

/// Both copies have the same deployments, with the same origins and configurations.
fn alike(place: &Place) {
    let [c, ours] = ["c", "ours"].map(|root| {
        let status = place.c(&["admin", "status", &format!("--sysroot={root}")]);
        let first = place.deployment(root);
        let origin = fs::read_to_string(format!("{}.origin", first.display())).unwrap();
        let file = fs::read_to_string(first.join("etc/file")).unwrap();
        let tool = fs::read_to_string(first.join("usr/bin/tool")).unwrap();
        let refs = place.c(&[&format!("--repo={root}/ostree/repo"), "refs"]);
        let mut refs: Vec<_> = refs.lines().map(str::to_owned).collect();
        refs.sort();
        (status, origin, file, tool, refs)
    });
    assert_eq!(c, ours);
}

#[test]
fn an_upgrade_brings_what_c_ostree_brings() {
    let Some(place) = twins() else { return };
    assert_eq!(both(&place, &["upgrade", "--os=os"])[1], "No update available.\n");
    place.commit("2");
    both(&place, &["upgrade", "--os=os", "--pull-only"]);
    alike(&place);
    place.commit("3");
    both(&place, &["upgrade", "--os=os", "--deploy-only"]);
    alike(&place);
    assert_eq!(fs::read_to_string(place.deployment("ours").join("usr/bin/tool")).unwrap(), "2");
    assert_eq!(fs::read_to_string(place.deployment("ours").join("etc/file")).unwrap(), "changed\n");
    let second = place.c(&["--repo=build", "rev-parse", "os^"]);
    both(&place, &["upgrade", "--os=os"]);
    alike(&place);
    let chosen = format!("--override-commit={}", second.trim());
    both(&place, &["upgrade", "--os=os", "--allow-downgrade", &chosen]);
    alike(&place);
    assert_eq!(fs::read_to_string(place.deployment("ours").join("usr/bin/tool")).unwrap(), "2");
}

/// What is a kernel here no machine starts, and many start none at all: it is named, and the deployment is there all the same.
/// The machine of `tests/boot` starts one.
#[test]
fn a_kernel_that_cannot_be_started_is_named() {
    let Some(place) = twins() else { return };
    place.commit("2");
    let refused = |options: &[&str], expected: &str| {
        let out = place.run(OURS, &[&["admin", "upgrade", "--sysroot=ours", "--os=os"], options].concat());
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{options:?}: {said}");
        assert!(said.contains(expected), "{options:?}: {said}");
    };
    refused(&["--kexec", "--pull-only"], "Cannot simultaneously specify --pull-only and --kexec");
    refused(&["--kexec", "--stage"], "Cannot simultaneously specify --stage and --kexec");
    refused(&["--kexec"], "Loading kernel ostree/deploy/os/deploy/");
    assert_eq!(fs::read_to_string(place.deployment("ours").join("usr/bin/tool")).unwrap(), "2");
}

#[test]
fn an_upgrade_refuses_what_c_ostree_refuses() {
    let Some(place) = twins() else { return };
    place.write("tree/usr/bin/tool", "old");
    let old = "--timestamp=1985-10-25 00:00:00 +0000";
    place.c(&["--repo=build", "commit", "-b", "os", "--tree=dir=tree", old]);
    let upgrade = ["admin", "upgrade", "--os=os", "--sysroot=ours"];
    let said = place.fails(&upgrade);
    assert!(said.contains("chronologically older than current revision"), "{said}");
    let said =
        place.fails(&["admin", "upgrade", "--os=os", "--sysroot=ours", "--pull-only", "--deploy-only"]);
    assert_eq!(said, "Cannot simultaneously specify --pull-only and --deploy-only");
    let origin = format!("{}.origin", place.deployment("ours").display());
    let with = fs::read_to_string(&origin).unwrap() + "unconfigured-state=Register first\n";
    fs::write(&origin, with).unwrap();
    assert_eq!(place.fails(&upgrade), "origin unconfigured-state: Register first");
    assert_eq!(
        place.fails(&["admin", "upgrade", "--os=no", "--sysroot=ours"]),
        "No previous deployment for OS 'no'"
    );
}

#[test]
fn a_ref_that_has_ended_leads_to_another() {
    let Some(place) = twins() else { return };
    place.write("tree/usr/bin/tool", "next");
    place.c(&["--repo=build", "commit", "-b", "next", "--tree=dir=tree", "--canonical-permissions"]);
    let rebase = "--add-metadata-string=ostree.endoflife-rebase=next";
    place.c(&["--repo=build", "commit", "-b", "os", "--tree=dir=tree/var", rebase]);
    both(&place, &["upgrade", "--os=os"]);
    alike(&place);
    let origin = fs::read_to_string(format!("{}.origin", place.deployment("ours").display())).unwrap();
    assert!(origin.contains("refspec=origin:next"), "{origin}");
}

#[test]
fn a_switch_goes_where_c_ostree_goes() {
    let Some(place) = twins() else { return };
    place.c(&["--repo=build", "commit", "-b", "devel", "--tree=dir=tree", "--canonical-permissions"]);
    let same = place.fails(&["admin", "switch", "--os=os", "--sysroot=ours", "os"]);
    assert_eq!(same, "Old and new refs are equal: origin:os");
    for (to, refspec) in [("devel", "origin:devel"), ("other:", "other:devel"), ("origin:os", "origin:os")] {
        both(&place, &["switch", "--os=os", to]);
        alike(&place);
        let status = place.ours(&["admin", "status", "--sysroot=ours"]);
        assert!(status.contains(&format!("origin refspec: {refspec}\n")), "{status}");
    }
}

/// The options of the boot entries in use, the first one first.
fn options(place: &Place, sysroot: &str) -> Vec<String> {
    let entries = place.at(&format!("{sysroot}/boot/loader/entries"));
    let mut names: Vec<_> = fs::read_dir(entries).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let of = |path| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().find(|line| line.starts_with("options ")).unwrap().to_owned()
    };
    names.into_iter().rev().map(of).collect()
}

#[test]
fn kernel_arguments_become_those_of_c_ostree() {
    let Some(place) = twins() else { return };
    let set = ["instutil", "set-kargs"];
    for args in [
        &["FOO=BAR", "quiet"][..],
        &["--merge", "--replace=FOO=XXX", "--append=FOO=BAR", "A=\"1 2\""],
        &["--merge", "--append=A=3", "EMPTY="],
        &["--import-proc-cmdline"],
    ] {
        both(&place, &[&set, args].concat());
        assert_eq!(options(&place, "ours"), options(&place, "c"));
    }
    place.commit("2");
    both(&place, &["upgrade", "--os=os"]);
    both(&place, &["kargs", "edit-in-place", "--append-if-missing=NEW=1", "--append-if-missing=quiet"]);
    assert_eq!(options(&place, "ours"), options(&place, "c"));
    assert_eq!(options(&place, "ours").iter().filter(|line| line.contains("NEW=1")).count(), 2);
    alike(&place);
}

#[test]
fn what_has_no_label_gets_that_of_the_deployments_policy() {
    let Some(place) = twins() else { return };
    let first = place.deployment("ours");
    let policy = first.join("etc/selinux/targeted/contexts/files");
    fs::create_dir_all(&policy).unwrap();
    fs::write(first.join("etc/selinux/config"), "SELINUX=enforcing\nSELINUXTYPE=targeted\n").unwrap();
    let contexts = "/.*  system_u:object_r:default_t:s0\n/srv/data(/.*)?  system_u:object_r:data_t:s0\n/srv/data/link -l system_u:object_r:link_t:s0\n";
    fs::write(policy.join("file_contexts"), contexts).unwrap();
    let dir = place.at("data");
    fs::create_dir_all(dir.join("inner")).unwrap();
    for file in ["inner/new", "known"] {
        fs::write(dir.join(file), "").unwrap();
    }
    std::os::unix::fs::symlink("known", dir.join("link")).unwrap();
    let known = dir.join("known");
    run("setfattr", &["-n", "security.selinux", "-v", "system_u:object_r:own_t:s0", known.to_str().unwrap()]);
    let said = place.ours(&[
        "admin",
        "instutil",
        "selinux-ensure-labeled",
        "--sysroot=ours",
        dir.to_str().unwrap(),
        "/srv/data",
    ]);
    let label = |name: &str| {
        let path = dir.join(name);
        let out = run("getfattr", &["-h", "--only-values", "-n", "security.selinux", path.to_str().unwrap()]);
        String::from_utf8(out).unwrap().trim_end_matches('\0').replace("system_u:object_r:", "")
    };
    assert_eq!(
        ["", "inner", "inner/new", "link", "known"].map(label),
        ["data_t:s0", "data_t:s0", "data_t:s0", "link_t:s0", "own_t:s0"]
    );
    assert!(said.starts_with("Relabeling using policy 'targeted'\n"), "{said}");
    assert_eq!(said.matches("Set label of ").count(), 4, "{said}");
}
