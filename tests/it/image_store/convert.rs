//! Images that were never ostree's become commits that boot: C ostree deploys them, and systemd-tmpfiles brings their
//! state back.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Item, Work, dir, file, layer, link, new_layout, put_image, symlink};
use crate::oracle::{need, need_root, run};

const KERNEL: &str = "6.1.0-9-test";
const IMAGE: &str = "oci:oci:x";
const UNVERIFIED: &str = "ostree-unverified-image:oci:oci:x";

/// What a distribution such as Debian has, in two layers; the upper one takes something away.
fn debian() -> [Vec<Item>; 2] {
    let modules = format!("usr/lib/modules/{KERNEL}");
    let lower = vec![
        dir("usr", 0o755),
        dir("usr/lib", 0o755),
        file("usr/lib/os-release", "NAME=Test\nID=test\nVERSION_ID=1\nPRETTY_NAME=Test\n"),
        file(&format!("{modules}/modules.dep"), ""),
        file(&format!("boot/vmlinuz-{KERNEL}"), "kernel"),
        file(&format!("boot/initrd.img-{KERNEL}"), "initramfs"),
        file(&format!("boot/config-{KERNEL}"), "CONFIG"),
        file("boot/gone", "gone"),
        symlink("vmlinuz", &format!("boot/vmlinuz-{KERNEL}")),
        symlink("bin", "usr/bin"),
        Item { mode: 0o4755, ..file("usr/bin/su", "su") },
        file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        dir("root", 0o700),
        file("root/.profile", "profile"),
        dir("home", 0o755),
        dir("opt", 0o755),
        file("opt/app", "app"),
        dir("srv", 0o755),
        dir("tmp", 0o1777),
    ];
    let status = "Package: app\nStatus: install ok installed\nVersion: 1\n\n";
    let upper = vec![
        file("boot/.wh.gone", ""),
        Item { owner: 7, ..dir("var/spool/odd name 100%", 0o2750) },
        Item { owner: 7, mode: 0o640, ..file("var/spool/odd name 100%/f", "state") },
        symlink("var/run", "/run"),
        file("var/lib/dpkg/status", status),
        file("var/lib/dpkg/info/app.list", "/usr/bin/app\n/opt/app\n"),
        file("usr/bin/app", "app"),
        link("usr/bin/app2", "usr/bin/app"),
        file("run/left", "out"),
        super::item("usr/null", tar::EntryType::Char, 0o600),
    ];
    [lower, upper]
}

fn image(work: &Work, layers: &[Vec<Item>]) {
    let streams: Vec<_> = layers.iter().map(|items| layer(items)).collect();
    put_image(&new_layout(&work.path("oci")), &streams, &[]);
}

/// The paths of a commit, as C ostree lists them.
fn listed(work: &Work, repo: &str, commit: &str) -> Vec<String> {
    let repo = format!("--repo={}", work.path(repo).display());
    let out = String::from_utf8(run("ostree", &["ls", "-R", &repo, commit])).unwrap();
    let rest = |line: &str| line.split_once(" /").map(|(_, path)| format!("/{path}"));
    out.lines().filter_map(rest).collect()
}

fn metadata(work: &Work, repo: &str, key: &str) -> String {
    let repo = format!("--repo={}", work.path(repo).display());
    let key = format!("--print-metadata-key={key}");
    String::from_utf8(run("ostree", &["show", &repo, &key, "os"])).unwrap().trim().to_owned()
}

/// Where everything goes; and both ways, into repositories of two modes, give the same commit.
#[test]
fn server_and_client_make_the_same_commit() {
    if !need("ostree") {
        return;
    }
    let work = Work::new();
    image(&work, &debian());
    work.ok(&["init", "--repo=server", "--mode=archive"]);
    work.ok(&["init", "--repo=client", "--mode=bare-user"]);
    let commit = work.ok(&["container", "convert", "--repo=server", "--branch=os", "--bootable", IMAGE]);
    assert_eq!(work.ok(&["pull", "--repo=client", "--ref=os", UNVERIFIED]), commit);
    run("ostree", &["fsck", "-q", &format!("--repo={}", work.path("client").display())]);
    for repo in ["server", "client"] {
        assert_eq!(metadata(&work, repo, "ostree.linux"), format!("'{KERNEL}'"));
        assert_eq!(metadata(&work, repo, "ostree.bootable"), "true");
    }
    let paths = listed(&work, "server", "os");
    let modules = format!("/usr/lib/modules/{KERNEL}");
    for path in [
        "/home -> var/home",
        "/root -> var/roothome",
        "/srv -> var/srv",
        "/mnt -> var/mnt",
        "/media -> run/media",
        "/ostree -> sysroot/ostree",
        "/bin -> usr/bin",
        "/opt/app",
        "/sysroot",
        "/run",
        "/usr/etc/passwd",
        "/usr/share/factory/var/roothome/.profile",
        "/usr/share/factory/var/lib/dpkg/status",
        &format!("{modules}/vmlinuz"),
        &format!("{modules}/initramfs.img"),
        &format!("{modules}/config"),
    ] {
        assert!(paths.iter().any(|line| line == path), "{path} is missing: {paths:#?}");
    }
    for gone in ["/etc", "/boot/", "/var/", "/vmlinuz", "/run/", "/usr/null"] {
        let found: Vec<_> = paths.iter().filter(|path| path.starts_with(gone)).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

/// A commit without a kernel is made, but does not say that it can be booted; nothing is made where it has to.
#[test]
fn without_a_kernel() {
    let work = Work::new();
    image(&work, &[vec![dir("usr", 0o755), file("usr/a", "a")]]);
    work.ok(&["init", "--repo=r", "--mode=archive"]);
    let refused = work.refused(&["container", "convert", "--repo=r", "--bootable", IMAGE]);
    assert!(refused.contains("cannot be booted: no kernel"), "{refused}");
    assert_eq!(work.ok(&["refs", "--repo=r"]), "");
    let out = work.start(&["container", "convert", "--repo=r", "-b", "os", IMAGE]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success() && said.contains("no kernel"), "{said}");
    assert_eq!(work.ok(&["cat", "--repo=r", "os", "/usr/a"]), "a");
    work.refused(&["show", "--repo=r", "--print-metadata-key=ostree.bootable", "os"]);
}

/// Where other distributions have kernel and initramfs.
fn kernels_of_distributions() -> [(&'static str, Vec<Item>); 7] {
    let modules = |name: &str, content: &str| file(&format!("usr/lib/modules/{KERNEL}/{name}"), content);
    let boot = |name: &str, content: &str| file(&format!("boot/{name}"), content);
    let of_release = |name: &str, content: &str| boot(&name.replace('*', KERNEL), content);
    [
        (
            "Fedora: a copy in /boot, and one to rescue the system",
            vec![
                modules("vmlinuz", "kernel"),
                modules("initramfs.img", "initramfs"),
                of_release("vmlinuz-*", "kernel"),
                boot("vmlinuz-0-rescue-123", "kernel"),
            ],
        ),
        (
            "Arch: named by their flavour, with one to fall back to",
            vec![
                modules("vmlinuz", "kernel"),
                boot("vmlinuz-linux", "kernel"),
                boot("initramfs-linux.img", "initramfs"),
                boot("initramfs-linux-fallback.img", "large"),
            ],
        ),
        (
            "Arch Linux ARM: the image of aarch64, and that in another form",
            vec![
                modules("modules.dep", ""),
                boot("Image", "kernel"),
                boot("Image.gz", "compressed"),
                boot("initramfs-linux.img", "initramfs"),
            ],
        ),
        (
            "Alpine: modules under another name",
            vec![
                modules("modules.dep", ""),
                boot("vmlinuz-lts", "kernel"),
                boot("initramfs-lts", "initramfs"),
            ],
        ),
        (
            "Gentoo: another word for it",
            vec![of_release("kernel-*", "kernel"), of_release("initramfs-*.img", "initramfs")],
        ),
        (
            "openSUSE on aarch64: the image of aarch64 among the modules",
            vec![
                modules("Image", "kernel"),
                symlink(&format!("boot/Image-{KERNEL}"), &format!("../usr/lib/modules/{KERNEL}/Image")),
                of_release("initrd-*", "initramfs"),
            ],
        ),
        (
            "a kernel with its other forms, and the one before it",
            vec![
                of_release("vmlinuz-*", "kernel"),
                of_release("vmlinux-*", "for debuggers"),
                of_release("vmlinux-*.gz", "for debuggers"),
                boot("vmlinuz-6.0.old", "before"),
                of_release("initrd.img-*", "initramfs"),
            ],
        ),
    ]
}

/// They are moved to where C ostree looks, with the release that it is told.
#[test]
fn kernels_of_other_distributions() {
    if !need("ostree") {
        return;
    }
    for (what, items) in kernels_of_distributions() {
        let work = Work::new();
        let release = file("usr/lib/os-release", "ID=x\n");
        image(&work, &[[release].into_iter().chain(items).collect()]);
        work.ok(&["init", "--repo=r", "--mode=archive"]);
        work.ok(&["container", "convert", "--repo=r", "-b", "os", "--bootable", IMAGE]);
        assert_eq!(metadata(&work, "r", "ostree.linux"), format!("'{KERNEL}'"), "{what}");
        for (name, content) in [("vmlinuz", "kernel"), ("initramfs.img", "initramfs")] {
            let path = format!("/usr/lib/modules/{KERNEL}/{name}");
            assert_eq!(work.ok(&["cat", "--repo=r", "os", &path]), content, "{what}");
        }
    }
}

#[test]
fn c_ostree_deploys_it() {
    if !need_root() || !need("ostree") || !need("systemd-tmpfiles") {
        return;
    }
    let work = Work::new();
    image(&work, &debian());
    work.ok(&["init", "--repo=r", "--mode=bare"]);
    work.ok(&["container", "convert", "--repo=r", "--branch=os", IMAGE]);
    let path = |name: &str| work.path(name).display().to_string();
    fs::create_dir(work.path("sysroot")).unwrap();
    let sysroot = format!("--sysroot={}", path("sysroot"));
    run("ostree", &["admin", "init-fs", &sysroot, &path("sysroot")]);
    run("ostree", &["admin", "os-init", &sysroot, "test"]);
    let repo = format!("--repo={}", path("sysroot/ostree/repo"));
    run("ostree", &["pull-local", &repo, &path("r"), "os"]);
    // Otherwise the deployment is immutable, and the directory of this test could not be taken away.
    let mutable = ["OSTREE_SYSROOT_DEBUG=mutable-deployments", "ostree"];
    let deploy = ["admin", "deploy", &sysroot, "--os=test", "--karg=root=LABEL=x", "os"];
    run("env", &[&mutable[..], &deploy].concat());
    let entries = fs::read_dir(work.path("sysroot/boot/loader/entries")).unwrap();
    let entry = fs::read_to_string(entries.map(|entry| entry.unwrap().path()).next().unwrap()).unwrap();
    for line in [format!("vmlinuz-{KERNEL}"), format!("initramfs-{KERNEL}.img")] {
        let name = entry.lines().find(|at| at.ends_with(&line)).unwrap().split_once(' ').unwrap().1.trim();
        let content = fs::read_to_string(work.path(&format!("sysroot/boot{name}"))).unwrap();
        assert_eq!(content, if line.starts_with('v') { "kernel" } else { "initramfs" });
    }
    state_comes_back(&work);
}

/// systemd-tmpfiles fills `/var` of a new machine as it was in the image, with owners and modes.
fn state_comes_back(work: &Work) {
    work.ok(&["checkout", "--repo=r", "os", "machine"]);
    let root = work.path("machine");
    let rules = format!("--root={}", root.display());
    run("systemd-tmpfiles", &[&rules, "--create", "--prefix=/var", "zz-ostree-rs-var.conf"]);
    let var = root.join("var");
    assert_eq!(fs::read_link(var.join("run")).unwrap(), Path::new("/run"));
    assert_eq!(fs::read_to_string(var.join("roothome/.profile")).unwrap(), "profile");
    for (path, owner, mode) in [
        ("spool/odd name 100%", 7, 0o42750),
        ("spool/odd name 100%/f", 7, 0o100_640),
        ("roothome", 0, 0o40700),
    ] {
        let stat = fs::metadata(var.join(path)).unwrap();
        assert_eq!((stat.uid(), stat.mode()), (owner, mode), "{path}");
    }
}

/// `--check` names what a person wants to know, and leaves nothing in the repository that it may use.
#[test]
fn what_stands_in_the_way() {
    let work = Work::new();
    let [mut lower, upper] = debian();
    lower.extend([file("boot/vmlinuz-6.2", "another"), file("lib/x", "")]);
    image(&work, &[lower, upper]);
    work.ok(&["init", "--repo=r", "--mode=bare-user"]);
    let json = work.ok(&["container", "convert", "--check", "--json", "--repo=r", IMAGE]);
    assert_eq!(json, work.ok(&["container", "convert", "--check", "--json", IMAGE]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["bootable"], &json["kernel"]), (&false.into(), &serde_json::Value::Null));
    let paths = |what: &str| -> Vec<&str> {
        let remarks = json["remarks"].as_array().unwrap();
        let remark = remarks.iter().find(|remark| remark["what"] == what).unwrap_or_else(|| panic!("{what}"));
        remark["paths"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect()
    };
    assert_eq!(paths("several-kernels"), [KERNEL, "6.2"]);
    assert_eq!(paths("devices"), ["/usr/null"]);
    assert_eq!(paths("set-id"), ["/usr/bin/su"]);
    assert_eq!(paths("not-usr-merged"), ["/lib"]);
    assert_eq!(paths("in-the-way"), ["/opt"]);
    assert_eq!(paths("runtime"), ["/run"]);
    assert!(paths("var").contains(&"/var/lib/dpkg/status") && paths("var").contains(&"/root/.profile"));
    assert!(paths("unpackaged").contains(&"/usr/bin/su") && !paths("unpackaged").contains(&"/usr/bin/app"));
    let text = work.ok(&["container", "convert", "--check", IMAGE]);
    assert!(text.contains("cannot be booted") && text.contains("/usr/null"), "{text}");
    let objects = fs::read_dir(work.path("r/objects")).unwrap().count();
    assert_eq!(objects, 0, "left behind");
}

/// The policy of the image labels everything, what is in `usr/etc` as if it were in `etc`.
#[test]
fn labels_of_the_policy() {
    if !need("ostree") {
        return;
    }
    let contexts = "/.*\tany\n/etc(/.*)?\tetc\n/usr/lib/modules(/.*)?\tmodules\n";
    let policy = vec![
        file("etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n"),
        file("etc/selinux/targeted/contexts/files/file_contexts", contexts),
    ];
    let work = Work::new();
    image(&work, &[debian().into_iter().flatten().collect(), policy]);
    work.ok(&["init", "--repo=r", "--mode=bare-user"]);
    work.ok(&["container", "convert", "--repo=r", "-b", "os", IMAGE]);
    let repo = format!("--repo={}", work.path("r").display());
    let modules = format!("/usr/lib/modules/{KERNEL}/vmlinuz");
    for (path, label) in
        [("/usr/etc/passwd", "etc"), (&*modules, "modules"), ("/usr/bin/app", "any"), ("/home", "any")]
    {
        let line = String::from_utf8(run("ostree", &["ls", "-X", &repo, "os", path])).unwrap();
        let expected = format!("(b'security.selinux', b'{label}')");
        assert!(line.contains(&expected), "{line}");
    }
}

#[test]
fn an_image_with_a_commit_is_not_converted() {
    let work = Work::new();
    fs::create_dir_all(work.path("tree/usr")).unwrap();
    work.ok(&["init", "--repo=r", "--mode=archive"]);
    work.ok(&["commit", "--repo=r", "-b", "os", "--tree=dir=tree", "--canonical-permissions"]);
    work.ok(&["container", "build", "--repo=r", "--ref=os", "--oci-dir=oci", "--tag=x"]);
    for more in [&["--repo=r"][..], &["--check"]] {
        let refused = work.refused(&[&["container", "convert"], more, &[IMAGE]].concat());
        assert!(refused.contains("holds a commit of ostree already"), "{refused}");
    }
}
