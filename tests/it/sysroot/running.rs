//! A deployment as the root that runs: in a chroot of its own, with what a boot mounts there.

use std::fs;
use std::process::{Command, Output};

use super::Place;
use super::deploy::assert_bootable;
use crate::cli::OURS;
use crate::oracle::{need, need_root};

/// What a boot does with a deployment, as far as our program looks at it; then what stands in the arguments.
const BOOT: &str = "set -e; root=$1 deployment=$1/$2; shift 2\n\
    mount --make-rprivate /; mount --bind $deployment $deployment\n\
    mount --bind $root $deployment/sysroot; mount -o remount,bind,ro $deployment/sysroot\n\
    mount --bind $root/boot $deployment/boot; mount -o remount,bind,ro $deployment/boot\n\
    mount --bind $root/ostree/deploy/os/var $deployment/var\n\
    mount -t tmpfs tmpfs $deployment/run; touch $deployment/run/ostree-booted\n\
    mount -t proc proc $deployment/proc; exec chroot $deployment /var/program \"$@\"";

fn running(place: &Place, deployment: &str, args: &[&str]) -> Output {
    let mut command = Command::new("unshare");
    command.args(["-mpf", "sh", "-c", BOOT, "sh"]).arg(place.at("root")).arg(deployment).args(args);
    command.env("OSTREE_SYSROOT_DEBUG", "mutable-deployments").env_remove("OSTREE_REPO").output().unwrap()
}

#[test]
fn a_running_system_with_a_read_only_sysroot_is_changed() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    for dir in ["proc", "run", "boot"] {
        fs::create_dir(place.at("tree").join(dir)).unwrap();
    }
    place.new_version("2", &[]);
    place.sysroot("root");
    place.ours(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    fs::copy(OURS, place.at("root/ostree/deploy/os/var/program")).unwrap();
    let booted = place.deployment("root").strip_prefix(place.at("root")).unwrap().display().to_string();
    let try_out = running(&place, &booted, &["admin", "status"]);
    let error = String::from_utf8_lossy(&try_out.stderr).into_owned();
    if error.contains("No such file or directory") && error.contains("chroot") {
        eprintln!("skipped: the program is not static here: {error}");
        return;
    }
    let text = String::from_utf8_lossy(&try_out.stdout).into_owned();
    assert!(try_out.status.success() && text.starts_with("* os "), "{text}{error}");
    place.new_version("3", &["root"]);
    let done = running(&place, &booted, &["admin", "deploy", "os"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8_lossy(&running(&place, &booted, &["admin", "status"]).stdout).into_owned();
    assert!(text.contains("(pending)\n    Version: 3") && text.contains("\n* os "), "{text}");
    assert_bootable(&place.at("root"));
    let refused = running(&place, &booted, &["admin", "undeploy", "1"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("Cannot undeploy currently booted deployment 1"), "{error}");
}
