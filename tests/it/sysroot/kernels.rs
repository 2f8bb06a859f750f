//! Which kernel of a tree is booted, and that it is a file in `/boot` whatever it is in the tree.

use std::fs;
use std::os::unix::fs::symlink;

use super::Place;
use super::deploy::assert_bootable;
use crate::oracle::{need, need_root};

const DEPLOY: &[&str] = &["admin", "deploy", "--sysroot=root", "--os=os", "os"];

impl Place {
    /// The path in `/boot` that the first boot entry has under this key, such as `linux`.
    fn in_entry(&self, key: &str) -> String {
        let entries = self.at("root/boot/loader/entries");
        let mut names: Vec<_> = fs::read_dir(entries).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let text = fs::read_to_string(names.last().unwrap()).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" /"));
        value.unwrap().to_owned()
    }

    /// A commit in whose tree the kernel is a link.
    fn linked_kernel(&self) {
        fs::create_dir_all(self.at("tree/usr/lib/kernels")).unwrap();
        self.write("tree/usr/lib/kernels/new", "kernel\n");
        fs::remove_file(self.at("tree/usr/lib/modules/6.1/vmlinuz")).unwrap();
        symlink("../../kernels/new", self.at("tree/usr/lib/modules/6.1/vmlinuz")).unwrap();
        self.new_version("2", &[]);
    }

    fn kernel(&self, version: &str) {
        fs::create_dir_all(self.at("tree/usr/lib/modules").join(version)).unwrap();
        self.write(&format!("tree/usr/lib/modules/{version}/vmlinuz"), &format!("kernel {version}\n"));
        self.write(
            &format!("tree/usr/lib/modules/{version}/initramfs.img"),
            &format!("initramfs {version}\n"),
        );
    }
}

#[test]
fn of_several_kernels_the_highest_version_is_booted() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    ["6.9.1", "6.12.0", "6.10.20", "5.99"].iter().for_each(|version| place.kernel(version));
    place.new_version("2", &[]);
    place.sysroot("root");
    place.ours(DEPLOY);
    assert!(place.in_entry("linux").ends_with("/vmlinuz-6.12.0"), "{}", place.in_entry("linux"));
    assert!(place.in_entry("initrd").ends_with("/initramfs-6.12.0.img"));
    let text = fs::read_to_string(place.at("root/boot").join(place.in_entry("linux"))).unwrap();
    assert_eq!(text, "kernel 6.12.0\n");
}

/// libostree takes whichever the file system lists first: its deployments keep that one when ours writes the list anew.
#[test]
fn a_deployment_keeps_the_kernel_that_it_has() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    ["6.2", "6.3", "6.4", "6.5", "6.6"].iter().for_each(|version| place.kernel(version));
    place.new_version("2", &[]);
    place.sysroot("root");
    for version in ["6.1", "6.3", "6.5"] {
        place.c(DEPLOY);
        place.ours(&["admin", "instutil", "set-kargs", "--sysroot=root", version]);
        let kernel = fs::read_to_string(place.at("root/boot").join(place.in_entry("linux"))).unwrap();
        let initramfs = fs::read_to_string(place.at("root/boot").join(place.in_entry("initrd"))).unwrap();
        assert_eq!(kernel.replace("kernel", "initramfs"), initramfs);
        let kernels = fs::read_dir(place.at("root/boot").join(place.in_entry("linux")).parent().unwrap());
        assert_eq!(kernels.unwrap().count(), 2, "one kernel and one initramfs");
        assert_bootable(&place.at("root"));
        fs::remove_dir_all(place.at("tree/usr/lib/modules").join(version)).unwrap();
        place.new_version(version, &["root"]);
    }
}

#[test]
fn a_kernel_that_is_a_link_is_a_file_in_boot() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.linked_kernel();
    place.sysroot("root");
    place.ours(DEPLOY);
    let installed = place.at("root/boot").join(place.in_entry("linux"));
    assert!(fs::symlink_metadata(&installed).unwrap().is_file());
    assert_eq!(fs::read_to_string(&installed).unwrap(), "kernel\n");
}

/// Boot loaders and older kernels read `/boot`, too: it need not have fs-verity where objects have to, and the image of a
/// deployment as they. Where a file system has it, the virtual machine of tests/boot shows that all of them get it.
#[test]
fn a_copy_in_boot_needs_no_fsverity() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.linked_kernel();
    place.sysroot("root");
    let verity = |wish: &str| {
        place.ours(&["--repo=root/ostree/repo", "config", "set", "ex-integrity.fsverity", wish]);
    };
    verity("maybe");
    place.ours(DEPLOY);
    place.ours(DEPLOY);
    verity("yes");
    assert!(place.fails(DEPLOY).contains("fsverity required"));
    fs::remove_dir_all(place.at("root/boot/ostree")).unwrap();
    place.ours(&["admin", "undeploy", "--sysroot=root", "1"]);
    let installed = place.at("root/boot").join(place.in_entry("linux"));
    assert_eq!(fs::read_to_string(installed).unwrap(), "kernel\n");
    assert_bootable(&place.at("root"));
}

#[test]
fn a_kernel_that_is_a_link_out_of_the_tree_is_refused() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.write("elsewhere", "kernel\n");
    fs::remove_file(place.at("tree/usr/lib/modules/6.1/vmlinuz")).unwrap();
    symlink(place.at("elsewhere"), place.at("tree/usr/lib/modules/6.1/vmlinuz")).unwrap();
    place.new_version("2", &[]);
    place.sysroot("root");
    let said = place.fails(DEPLOY);
    assert!(said.contains("usr/lib/modules/6.1/vmlinuz"), "{said}");
}
