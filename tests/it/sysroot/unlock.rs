//! A deployment whose `/usr` can be written.

use std::fs;
use std::path::PathBuf;

use ostree_rs::base::Ctx;
use ostree_rs::sysroot::{Error, Unlock, Unlocked};
use rustix::mount::{UnmountFlags, unmount};

use super::Place;
use super::deploy::assert_bootable;
use super::running::Running;
use crate::oracle::{need, need_root};

/// A mount that is taken away again.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn changes_to_usr_stay_beside_the_deployment() {
    if !need("ostree") || !need_root() {
        return;
    }
    let all = [
        (Unlock::Development, Unlocked::Development),
        (Unlock::Transient, Unlocked::Transient),
        (Unlock::Hotfix, Unlocked::Hotfix),
    ];
    for (how, state) in all {
        let (place, ctx) = (Place::new(), Ctx::default());
        place.sysroot("root");
        place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "--karg=quiet", "os"]);
        let sysroot = place.booted(0);
        let current = sysroot.load().unwrap();
        let deployment = place.at("root").join(current.list[0].id.path());
        // Where a machine that runs it has /usr.
        let usr = place.at("usr");
        fs::create_dir(&usr).unwrap();
        match sysroot.unlock(current, how, &usr, &ctx) {
            Err(Error::Io { op: "mount an overlay at", source, .. }) => {
                eprintln!("skipped: overlayfs cannot be mounted: {source}");
                return;
            }
            done => done.unwrap(),
        }
        let _mounted = Mounted(usr.clone());
        assert_eq!(fs::read_to_string(usr.join("bin/tool")).unwrap(), "1");
        let written = fs::write(usr.join("bin/tool"), "changed");
        assert_eq!(written.is_ok(), how != Unlock::Transient, "{how:?}");
        assert_eq!(fs::read_to_string(deployment.join("usr/bin/tool")).unwrap(), "1");

        let after = sysroot.load().unwrap();
        assert_eq!(after.list[0].unlocked, state);
        // C ostree sees it, too, with the /run of that machine.
        let status = "mount --bind run /run && exec ostree admin status --sysroot=root";
        let said = place.succeeds("unshare", &["-m", "sh", "-c", status]);
        assert!(said.contains(&format!("Unlocked: {state}")), "{said}");
        let again = sysroot.unlock(after.clone(), how, &usr, &ctx).unwrap_err();
        assert!(again.to_string().contains(&format!("already in unlocked state: {state}")), "{again}");
        if how == Unlock::Hotfix {
            // One without changes to go back to.
            assert_eq!((after.list.len(), after.list[1].unlocked), (2, Unlocked::No));
            assert_eq!(after.list[1].id.commit, after.list[0].id.commit);
            assert!(after.list[1].entry.get("options").unwrap().starts_with("quiet "));
            assert_eq!(fs::read_to_string(deployment.join(".usr-ovl-upper/bin/tool")).unwrap(), "changed");
            assert_bootable(&place.at("root"));
        } else {
            assert_eq!(after.list.len(), 1);
        }
    }
}

/// The mount reaches the whole system although the program has the read-only sysroot in a view of its own.
#[test]
fn a_running_system_with_a_read_only_sysroot_is_unlocked() {
    let Some(machine) = Running::start() else { return };
    let out = machine.shell(
        "if echo 3 2>/dev/null > $deployment/usr/bin/tool; then echo not read-only; fi\n\
        chroot $deployment /var/program admin unlock\n\
        echo changed > $deployment/usr/bin/tool; cat $deployment/usr/bin/tool\n\
        cat $root/ostree/deploy/os/backing/*/usr-transient/upper/bin/tool\n\
        if touch $deployment/sysroot/new 2>/dev/null; then echo sysroot is not read-only; fi\n\
        chroot $deployment /var/program admin status; chroot $deployment /var/program admin unlock --hotfix",
        &[],
    );
    let (said, error) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    let unlocked = "Development mode enabled.  A writable overlayfs is now mounted on /usr.\n\
        All changes there will be discarded on reboot.\nchanged\nchanged\n* os ";
    assert!(said.starts_with(unlocked) && said.contains("Unlocked: development"), "{said}{error}");
    assert!(!said.contains("read-only"), "{said}");
    assert!(error.contains("Deployment is already in unlocked state: development"), "{error}");
}
