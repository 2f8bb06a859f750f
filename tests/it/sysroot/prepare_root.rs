//! A deployment becomes the root, in a namespace of mounts: as Debian's `ostree-prepare-root` does it, and as libostree
//! 2026.4 is documented to.

use std::process::{Command, Output};

use ostree_rs::base::Inode;
use ostree_rs::sysroot::prepare_root::{Booted, RootChanges};

use crate::cli::OURS;
use crate::oracle;

/// Debian's, of the package ostree-boot.
const C: &str = "/usr/lib/ostree/ostree-prepare-root";

/// Debian's own, which has the bindings of GLib.
const PYTHON: &str = "/usr/bin/python3";

/// Runs the script with a program and a case of it.
fn attempt(program: &str, case: &str) -> (tempfile::TempDir, Output) {
    let dir = tempfile::tempdir().unwrap();
    let output = in_namespace(&["-m"], "prepare_root.sh", &[program, dir.path().to_str().unwrap(), case]);
    (dir, output)
}

/// Runs a script of this directory with mounts of its own, and whatever else is asked for.
pub(super) fn in_namespace(unshare: &[&str], script: &str, args: &[&str]) -> Output {
    let script = format!("{}/tests/it/sysroot/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("unshare");
    command.args(unshare).args(["sh", &script]).args(args).env_remove("OSTREE_REPO");
    command.env("OSTREE_SYSROOT_DEBUG", "mutable-deployments").output().unwrap()
}

/// The mounts that come out, and what can be written to.
pub(super) fn mounts(program: &str, case: &str) -> String {
    let (_dir, output) = attempt(program, case);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {case}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn refusal(case: &str) -> String {
    let (_dir, output) = attempt(OURS, case);
    assert!(!output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn mounts_are_those_of_c_ostree() {
    if !oracle::need_root() || !oracle::need(C) {
        return;
    }
    for case in ["writable", "readonly-by-repo", "hotfix"] {
        assert_eq!(mounts(OURS, case), mounts(C, case), "{case}");
    }
    // Since 2024 /var shares what is mounted below it with its own binds.
    let var = "/ostree/deploy/os/var /sysroot/var rw";
    let theirs = mounts(C, "var-by-initramfs").replace(&format!("{var} private"), &format!("{var} shared"));
    assert_eq!(mounts(OURS, "var-by-initramfs"), theirs);
    // 2022.7 knows no prepare-root.conf; what that asks for is the same as what the repository says.
    assert_eq!(mounts(OURS, "readonly"), mounts(C, "readonly-by-repo"));
}

#[test]
fn a_transient_etc_begins_with_the_default() {
    if !oracle::need_root() {
        return;
    }
    let found = mounts(OURS, "etc-transient");
    assert!(found.contains("/ /sysroot/etc rw private overlay\n"), "{found}");
    assert!(found.contains("\ndefault\n") && found.contains("etc takes it\n"), "{found}");
}

#[test]
fn composefs_shows_the_image() {
    if !oracle::need_root() {
        return;
    }
    let found = mounts(OURS, "composefs");
    assert!(found.contains("/ /sysroot ro private overlay\n"), "{found}");
    assert!(!found.contains("cfsroot-lower") && !found.contains("erofs"), "{found}");
    for line in ["in-image", "100000", "usr refuses", ". refuses", "etc takes it", "changed"] {
        assert!(found.lines().any(|found| found == line), "{line}: {found}");
    }
    // composefs makes /sysroot read-only, too; and nothing but the stateroot's /var stays writable below it.
    assert!(found.contains("sysroot refuses\nsysroot/ostree/deploy/os/var takes it\n"), "{found}");
    let transient = mounts(OURS, "composefs-transient");
    assert!(transient.contains("/ /sysroot rw private overlay\n"), "{transient}");
    assert!(transient.contains(". takes it\nusr takes it\n"), "{transient}");
    let off = mounts(OURS, "composefs-off");
    assert!(!off.contains("overlay") && !off.contains("in-image"), "{off}");
}

#[test]
fn what_cannot_be_the_root_is_refused() {
    if !oracle::need_root() {
        return;
    }
    for (case, why) in [
        ("no-image", "has no image .ostree.cfs"),
        ("signed", "reading public keys of etc/ostree/initramfs-root-binding.key"),
        ("transient-without", "Must enable composefs with root.transient"),
        ("not-a-link", "OSTree target is not a symbolic link: /ostree/boot.1/os/bbbb/0"),
    ] {
        let told = refusal(case);
        assert!(told.contains(why), "{case}: {told}");
    }
}

/// GLib's own serialization of the dictionary, by `g_variant_get_data`.
#[test]
fn the_running_system_is_told_in_gvariants_form() {
    let backing = Some(Inode { device: 65025, number: 7 });
    let booted = Booted { backing, root: RootChanges::Transient, ..Booted::default() };
    let program = "import gi; from gi.repository import GLib; import sys
t = GLib.VariantType.new('a{sv}')
text = \"{'backing-root-device-inode': <(uint64 65025, uint64 7)>, 'root.transient': <true>, \"
text += \"'root.transient-ro': <false>, 'sysroot-ro': <false>}\"
sys.stdout.buffer.write(GLib.Variant.parse(t, text).get_data_as_bytes().get_data())";
    if oracle::need(PYTHON) {
        assert_eq!(booted.to_bytes(), oracle::run(PYTHON, &["-c", program]));
    }
}
