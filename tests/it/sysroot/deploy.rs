//! The same operations on two sysroots, one by C ostree and one by ours; and in turn on one.

use std::fs;
use std::path::Path;

use super::{Place, listing};
use crate::cli::OURS;
use crate::oracle::{need, need_root};

/// What is to be compared of a sysroot. Left out: the repository but for its refs, and what only newer versions make.
fn comparable(root: &Path) -> Vec<String> {
    let newer = [
        "ostree/deploy/os/backing/",
        "ostree/deploy/os/var/",
        "ostree/deploy/other/backing/",
        "ostree/deploy/other/var/",
    ];
    let mut lines = listing(root);
    lines.retain(|line| {
        let is_repo = line.starts_with("ostree/repo/") && !line.starts_with("ostree/repo/refs/heads/ostree");
        !is_repo && !line.contains(".ostree.cfs ") && !newer.iter().any(|start| line.starts_with(start))
    });
    lines
}

/// There are boot entries, and every one leads to a deployment that is there, and names a kernel that is there.
pub(super) fn assert_bootable(root: &Path) {
    let entries: Vec<_> = fs::read_dir(root.join("boot/loader/entries")).unwrap().collect();
    assert!(!entries.is_empty(), "nothing to boot");
    for entry in entries {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        let link = value("options ").split(' ').find_map(|word| word.strip_prefix("ostree=/")).unwrap();
        assert!(root.join(link).join("usr/lib/os-release").exists(), "{text}");
        assert!(root.join(link).join("etc/file").exists(), "{text}");
        assert!(root.join("boot").join(value("linux /")).exists(), "{text}");
    }
}

impl Place {
    /// Does the same with both programs, each on a sysroot of its own.
    fn both(&self, args: &[&str]) {
        let with = |name: &str| -> Vec<String> {
            args.iter().map(|arg| (*arg).to_owned()).chain([format!("--sysroot={name}")]).collect()
        };
        let (theirs, ours) = (with("theirs"), with("ours"));
        self.c(&theirs.iter().map(String::as_str).collect::<Vec<_>>());
        self.ours(&ours.iter().map(String::as_str).collect::<Vec<_>>());
        let (theirs, ours) = (comparable(&self.at("theirs")), comparable(&self.at("ours")));
        let only = |a: &[String], b: &[String]| {
            a.iter().filter(|line| !b.contains(line)).cloned().collect::<Vec<_>>().join("\n")
        };
        assert_eq!(only(&ours, &theirs), only(&theirs, &ours), "{args:?}");
        assert_bootable(&self.at("ours"));
    }

    /// Writes into the newest deployment of both sysroots.
    fn write_in_both(&self, path: &str, text: &str) {
        for root in ["theirs", "ours"] {
            let newest = self.c(&["admin", "--print-current-dir", &format!("--sysroot={root}")]);
            fs::write(Path::new(newest.trim_end()).join(path), text).unwrap();
        }
    }

    pub(super) fn new_version(&self, version: &str, roots: &[&str]) {
        self.commit(version);
        roots.iter().for_each(|root| self.pull(root));
    }
}

#[test]
fn sysroots_stay_equal_whoever_deploys() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    let roots = ["theirs", "ours"];
    roots.iter().for_each(|root| place.sysroot(root));
    place.both(&["admin", "deploy", "--os=os", "--karg=root=LABEL=X", "--karg=quiet", "os"]);
    place.write_in_both("etc/file", "changed\n");
    place.write_in_both("etc/new", "new\n");
    // The kernel stays the same, and the version changes the title.
    place.new_version("2", &roots);
    place.both(&["admin", "deploy", "--os=os", "os"]);
    // Nothing that a boot entry says changes: only links do.
    place.both(&["admin", "deploy", "--os=os", "os"]);
    place.both(&["admin", "pin", "0"]);
    place.write("tree/usr/lib/modules/6.1/vmlinuz", "another kernel\n");
    place.new_version("3", &roots);
    place.both(&["admin", "deploy", "--os=os", "--karg-append=console=tty0", "os"]);
    place.both(&["admin", "deploy", "--os=os", "--retain", "--karg-delete=quiet", "os"]);
    place.both(&["admin", "deploy", "--os=os", "--not-as-default", "--karg-none", "os"]);
    place.both(&["admin", "undeploy", "1"]);
    place.both(&["admin", "pin", "--unpin", "0"]);
    place.both(&["admin", "pin", "--unpin", "1"]);
    place.both(&["admin", "os-init", "other"]);
    place.both(&["admin", "deploy", "--os=other", "--no-merge", "os"]);
    place.both(&["admin", "deploy", "--os=os", "--no-prune", "--no-merge", "os"]);
    place.both(&["admin", "set-origin", "--index=0", "remote", "http://example.org/repo", "os/next"]);
    place.both(&["admin", "cleanup"]);
    place.ours(&["--repo=ours/ostree/repo", "fsck", "-q"]);
}

#[test]
fn both_work_on_one_sysroot_in_turn() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.sysroot("root");
    let root = place.at("root");
    for (version, program) in ["ostree", OURS, "ostree", OURS, OURS, "ostree"].into_iter().enumerate() {
        place.write("tree/usr/lib/modules/6.1/initramfs.img", &format!("initramfs {}", version / 2));
        place.new_version(&format!("{version}.0"), &["root"]);
        place.succeeds(program, &["admin", "deploy", "--sysroot=root", "--os=os", "--retain", "os"]);
        assert_bootable(&root);
        let args = ["admin", "status", "--sysroot=root"];
        assert_eq!(place.ours(&args), place.c(&args));
        if version % 2 == 1 {
            let other = if program == OURS { "ostree" } else { OURS };
            place.succeeds(other, &["admin", "undeploy", "--sysroot=root", "1"]);
            assert_bootable(&root);
        }
    }
    place.c(&["--repo=root/ostree/repo", "fsck", "-q"]);
}

#[test]
fn titles_keep_versions_of_commits_that_are_gone() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    let roots = ["theirs", "ours"];
    roots.iter().for_each(|root| place.sysroot(root));
    for version in ["1", "2", "3"] {
        place.new_version(version, &roots);
        place.both(&["admin", "deploy", "--os=os", "--retain", "os"]);
    }
    let commit = place.c(&["--repo=ours/ostree/repo", "rev-parse", "os^^"]);
    let (dir, file) = commit.trim_end().split_at(2);
    fs::remove_file(place.at(&format!("ours/ostree/repo/objects/{dir}/{file}.commit"))).unwrap();
    // The C program still has the commit, and with it the version.
    place.both(&["admin", "undeploy", "0"]);
}

#[test]
fn set_default_puts_one_first() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.sysroot("root");
    for version in ["1", "2"] {
        place.new_version(version, &["root"]);
        place.ours(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    }
    let versions = || {
        let status = place.c(&["admin", "status", "--sysroot=root"]);
        let lines = status.lines().filter_map(|line| line.trim().strip_prefix("Version: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(versions(), ["2", "1"]);
    place.ours(&["admin", "set-default", "--sysroot=root", "1"]);
    assert_eq!(versions(), ["1", "2"]);
    assert_bootable(&place.at("root"));
    let out = place.run(OURS, &["admin", "set-default", "--sysroot=root", "2"]);
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(error.contains("Out of range deployment index 2, expected < 2"), "{error}");
}

/// A tree without a kernel, or with two places for its configuration, is refused, and nothing changes.
#[test]
fn what_cannot_boot_is_refused() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.sysroot("root");
    place.ours(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    let before = place.c(&["admin", "status", "--sysroot=root"]);
    let refused = |why: &str, os: &str| {
        let out = place.run(OURS, &["admin", "deploy", "--sysroot=root", &format!("--os={os}"), "os"]);
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && error.contains(why), "{why}: {error}");
        assert_eq!(place.c(&["admin", "status", "--sysroot=root"]), before);
        assert_bootable(&place.at("root"));
    };
    refused("No such stateroot: missing", "missing");
    fs::create_dir_all(place.at("tree/etc")).unwrap();
    place.write("tree/etc/x", "x");
    place.new_version("2", &["root"]);
    refused("Tree contains both /etc and /usr/etc", "os");
    fs::remove_dir_all(place.at("tree/etc")).unwrap();
    fs::remove_dir_all(place.at("tree/usr/lib/modules")).unwrap();
    place.new_version("3", &["root"]);
    refused("Failed to find kernel in /usr/lib/modules", "os");
    place.ours(&["admin", "cleanup", "--sysroot=root"]);
    let deployments = fs::read_dir(place.at("root/ostree/deploy/os/deploy")).unwrap();
    assert_eq!(deployments.count(), 2, "a directory and its origin");
}

/// What is called like a deployment and is none, with all that would belong to it; what is called otherwise stays.
#[test]
fn rubbish_beside_deployments_is_deleted() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    let roots = ["theirs", "ours"];
    for root in roots {
        place.sysroot(root);
    }
    place.both(&["admin", "deploy", "--os=os", "os"]);
    for root in roots {
        let os = place.at(root).join("ostree/deploy/os");
        fs::create_dir_all(os.join("deploy/aa.0/usr")).unwrap();
        fs::write(os.join("deploy/aa.0.origin"), "").unwrap();
        fs::write(os.join("deploy/file"), "").unwrap();
    }
    place.both(&["admin", "cleanup"]);
    assert!(!place.at("ours/ostree/deploy/os/deploy/aa.0").exists());
    place.both(&["admin", "deploy", "--os=os", "os"]);
}
