//! State in a directory of the deployment.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ostree_rs::cap_std::ambient_authority;
use ostree_rs::cap_std::fs::Dir;
use ostree_rs::sysroot::prepare_root::Place as Found;
use ostree_rs::sysroot::{Error, Sysroot};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::Place;
use crate::oracle::{need, need_root};

fn found(path: &Path) -> Found {
    let dir = Dir::open_ambient_dir(path, ambient_authority()).unwrap();
    Found { path: path.to_owned(), dir }
}

/// Lets the overlay be used; says whether it could be mounted.
fn with_overlay(place: &Place, sysroot: &Sysroot, use_it: impl FnOnce(&Path)) -> bool {
    let current = sysroot.load().unwrap();
    let at = place.at("root").join(current.booted().unwrap().id.path()).join("usr/opt");
    let var = place.at("root/ostree/deploy/os/var");
    match sysroot.mount_state_overlay(&current, "opt", &found(&at), &found(&var)) {
        Err(Error::Io { op: "mount an overlay at", source, .. }) => {
            eprintln!("skipped: overlayfs cannot be mounted: {source}");
            return false;
        }
        done => done.unwrap(),
    }
    use_it(&at);
    // A file that was open while another test's thread forked stays open until that child executes its program.
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = unmount(&at, UnmountFlags::empty()) {
        assert!(error == Errno::BUSY && Instant::now() < deadline, "{error}");
        sleep(Duration::from_millis(20));
    }
    true
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| error.kind().to_string())
}

#[test]
fn state_lasts_and_files_of_packages_are_those_of_the_deployment() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    for dir in ["usr/opt/app/lib", "usr/opt/hidden"] {
        fs::create_dir_all(place.at("tree").join(dir)).unwrap();
    }
    for file in ["app/program", "app/lib/one", "gone", "hidden/file", "becomes-dir"] {
        place.write(&format!("tree/usr/opt/{file}"), "1");
    }
    place.new_version("1", &[]);
    place.sysroot("root");
    place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    let sysroot = place.booted(0);
    let change = |opt: &Path| {
        assert_eq!(read(opt.join("app/program")), "1");
        for file in ["app/program", "app/lib/one", "app/lib/state", "state"] {
            fs::write(opt.join(file), "changed").unwrap();
        }
        for file in ["gone", "becomes-dir"] {
            fs::remove_file(opt.join(file)).unwrap();
        }
        fs::remove_dir_all(opt.join("hidden")).unwrap();
        for dir in ["hidden", "becomes-dir"] {
            fs::create_dir(opt.join(dir)).unwrap();
            fs::write(opt.join(dir).join("state"), "changed").unwrap();
        }
    };
    if !with_overlay(&place, &sysroot, change) {
        return;
    }
    let file_of_package = |opt: &Path| ["app/program", "app/lib/one"].map(|file| read(opt.join(file)));
    // The next boot of the same deployment finds everything.
    with_overlay(&place, &sysroot, |opt| {
        assert_eq!(file_of_package(opt), ["changed", "changed"]);
        assert!(!opt.join("gone").exists() && !opt.join("hidden/file").exists());
    });
    // The next version has its own files, beside what was made.
    place.write("tree/usr/opt/app/program", "2");
    place.new_version("2", &["root"]);
    place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    let sysroot = place.booted(0);
    with_overlay(&place, &sysroot, |opt| {
        assert_eq!(file_of_package(opt), ["2", "1"]);
        assert_eq!(["app/lib/state", "state"].map(|file| read(opt.join(file))), ["changed", "changed"]);
        assert_eq!(["gone", "hidden/file", "becomes-dir"].map(|file| read(opt.join(file))), ["1", "1", "1"]);
        assert!(!opt.join("hidden/state").exists());
    });
    let commit = sysroot.load().unwrap().list[0].id.commit.to_string();
    let upper = "root/ostree/deploy/os/var/ostree/state-overlays/opt/upper";
    let args = ["--only-values", "-n", "user.ostree.deploymentcsum", upper];
    assert_eq!(place.succeeds("getfattr", &args), commit);
}
