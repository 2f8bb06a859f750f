//! A deployment as the root that runs: in a chroot of its own, with what a boot mounts there.

use std::fs;
use std::process::{Command, Output};

use super::Place;
use super::deploy::assert_bootable;
use crate::cli::OURS;
use crate::oracle::{need, need_root};

/// What a boot does with a deployment, as far as our program looks at it: `/sysroot`, `/boot` and `/usr` are read-only, and
/// mounts are seen by all.
const BOOT: &str = "set -e; root=$1 deployment=$1/$2\n\
    mount --make-rprivate /; mount --bind $deployment $deployment\n\
    mount --bind $root $deployment/sysroot; mount -o remount,bind,ro $deployment/sysroot\n\
    mount --bind $root/boot $deployment/boot; mount -o remount,bind,ro $deployment/boot\n\
    mount --bind $deployment/usr $deployment/usr; mount -o remount,bind,ro $deployment/usr\n\
    mount --bind $root/ostree/deploy/os/var $deployment/var\n\
    mount -t tmpfs tmpfs $deployment/run; touch $deployment/run/ostree-booted\n\
    mount -t proc proc $deployment/proc; mount --make-rshared /\n";

/// A machine with one deployment, of version 2, which it runs.
pub(super) struct Running {
    pub(super) place: Place,
    booted: String,
}

impl Running {
    /// The machine; `None`, with a line that says why, where there can be none.
    pub(super) fn start() -> Option<Self> {
        if !need("ostree") || !need_root() {
            return None;
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
        let running = Self { place, booted };
        let try_out = running.admin(&["status"]);
        let error = String::from_utf8_lossy(&try_out.stderr).into_owned();
        if error.contains("No such file or directory") && error.contains("chroot") {
            eprintln!("skipped: the program is not static here: {error}");
            return None;
        }
        let text = String::from_utf8_lossy(&try_out.stdout).into_owned();
        assert!(try_out.status.success() && text.starts_with("* os "), "{text}{error}");
        Some(running)
    }

    /// Lets a shell do something once the machine has booted; `$root` is its disk, `$deployment` its root.
    pub(super) fn shell(&self, lines: &str, args: &[&str]) -> Output {
        let mut command = Command::new("unshare");
        command.args(["-mpf", "sh", "-c", &format!("{BOOT}shift 2; {lines}"), "sh"]);
        command.arg(self.place.at("root")).arg(&self.booted).args(args);
        command.env("OSTREE_SYSROOT_DEBUG", "mutable-deployments").env_remove("OSTREE_REPO");
        command.output().unwrap()
    }

    /// Runs a verb of `admin` on the machine.
    fn admin(&self, args: &[&str]) -> Output {
        self.shell("exec chroot $deployment /var/program admin \"$@\"", args)
    }
}

#[test]
fn a_running_system_with_a_read_only_sysroot_is_changed() {
    let Some(machine) = Running::start() else { return };
    machine.place.new_version("3", &["root"]);
    let done = machine.admin(&["deploy", "os"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8_lossy(&machine.admin(&["status"]).stdout).into_owned();
    assert!(text.contains("(pending)\n    Version: 3") && text.contains("\n* os "), "{text}");
    assert_bootable(&machine.place.at("root"));
    let refused = machine.admin(&["undeploy", "1"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("Cannot undeploy currently booted deployment 1"), "{error}");
}
