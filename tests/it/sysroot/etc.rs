//! What was changed in `/etc`, and what a new deployment gets of it: beside C ostree on the same trees.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ostree_rs::base::{Ctx, ErrorKind, Kind};
use ostree_rs::store::XattrPolicy;
use ostree_rs::sysroot::{Error, etc};

use super::{Place, listing};
use crate::oracle::{need, need_root, run};

/// A sysroot in which C ostree has deployed once, with its `/etc` to be changed.
fn deployed() -> Option<(Place, PathBuf)> {
    if !need("ostree") || !need_root() {
        return None;
    }
    let place = Place::new();
    let default = place.at("tree/usr/etc");
    for dir in ["gone", "chmodded", "kept", "a/deep/one", "becomes-file", "linked"] {
        fs::create_dir_all(default.join(dir)).unwrap();
        fs::write(default.join(dir).join("inner"), "default\n").unwrap();
    }
    for file in ["gone-file", "chmod", "chown", "longer", "same-length", "to-link", "to-dir", "newer", "both"]
    {
        fs::write(default.join(file), "default\n").unwrap();
    }
    symlink("file", default.join("link")).unwrap();
    place.commit("1");
    place.sysroot("root");
    place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    let etc = place.deployment("root").join("etc");
    Some((place, etc))
}

/// Does to `etc` what an administrator might.
fn change(etc: &Path) {
    fs::remove_dir_all(etc.join("gone")).unwrap();
    fs::remove_file(etc.join("gone-file")).unwrap();
    fs::set_permissions(etc.join("chmod"), fs::Permissions::from_mode(0o600)).unwrap();
    run("chown", &["65534:65534", etc.join("chown").to_str().unwrap()]);
    fs::write(etc.join("longer"), "default, and more\n").unwrap();
    fs::write(etc.join("same-length"), "changed\n").unwrap();
    fs::write(etc.join("a/deep/one/inner"), "changed\n").unwrap();
    fs::set_permissions(etc.join("a/deep/one"), fs::Permissions::from_mode(0o711)).unwrap();
    fs::remove_file(etc.join("to-link")).unwrap();
    symlink("elsewhere", etc.join("to-link")).unwrap();
    fs::remove_file(etc.join("link")).unwrap();
    symlink("other", etc.join("link")).unwrap();
    fs::remove_file(etc.join("to-dir")).unwrap();
    fs::create_dir_all(etc.join("to-dir/inner")).unwrap();
    fs::write(etc.join("to-dir/inner/file"), "new\n").unwrap();
    fs::create_dir_all(etc.join("new/dir")).unwrap();
    fs::write(etc.join("new/dir/file"), "new\n").unwrap();
    fs::write(etc.join("new/empty"), "").unwrap();
    fs::set_permissions(etc.join("new"), fs::Permissions::from_mode(0o2750)).unwrap();
    fs::write(etc.join("both"), "changed by both\n").unwrap();
    fs::write(etc.join("kept/new in old"), "new\n").unwrap();
    run("mkfifo", &[etc.join("pipe").to_str().unwrap()]);
    run("setfattr", &["-n", "user.test", "-v", "value", etc.join("longer").to_str().unwrap()]);
}

fn open(path: &Path) -> Dir {
    Dir::open_ambient_dir(path, ambient_authority()).unwrap()
}

/// Merges with the library into a copy of the new default; gives where it is.
fn merged(old: &Path, new_default: &Path, to: &Path) -> Result<etc::Merged, Error> {
    run("cp", &["-a", new_default.to_str().unwrap(), to.to_str().unwrap()]);
    let (default, current) = (open(&old.join("usr/etc")), open(&old.join("etc")));
    etc::merge(&default, &current, &open(to), XattrPolicy::Keep, &Ctx::default())
}

/// Owner, mode and xattrs of everything below a directory, and times of files that were changed.
fn attributes(dir: &Path) -> String {
    let find = "find . -printf '%P %y %m %U:%G\\n' | sort; find a/deep/one both chmod chown longer new/empty -type f -printf '%p %T@\\n' | sort; getfattr -h -R -d -m - . 2>/dev/null | sort";
    let out = Command::new("sh").args(["-c", find]).current_dir(dir).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn changes_are_those_that_c_ostree_lists() {
    let Some((place, etc)) = deployed() else { return };
    let sorted = |text: String| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let args = ["admin", "config-diff", "--sysroot=root", "--os=os"];
    assert_eq!(place.ours(&args), place.c(&args));
    change(&etc);
    let ours = sorted(place.ours(&args));
    assert_eq!(ours, sorted(place.c(&args)));
    for line in
        ["M    to-link", "M    a/deep/one", "D    gone", "A    new/dir/file", "A    pipe", "M    chown"]
    {
        assert!(ours.iter().any(|known| known == line), "{line}: {ours:?}");
    }
    assert_eq!(
        place.fails(&["admin", "config-diff", "--sysroot=root", "--os=no"]),
        "No deployment for OS 'no'"
    );
}

#[test]
fn a_new_deployment_gets_what_it_gets_from_c_ostree() {
    let Some((place, etc)) = deployed() else { return };
    change(&etc);
    let default = place.at("tree/usr/etc");
    fs::write(default.join("both"), "a new default\n").unwrap();
    fs::write(default.join("newer"), "a new default\n").unwrap();
    fs::write(default.join("a/deep/beside"), "new default\n").unwrap();
    // Of what the administrator has removed or changed, the new default has no more, or something else.
    fs::remove_file(default.join("same-length")).unwrap();
    fs::remove_dir_all(default.join("gone")).unwrap();
    fs::write(default.join("gone"), "a file now\n").unwrap();
    fs::create_dir_all(default.join("new/dir")).unwrap();
    fs::write(default.join("new/dir/default"), "default\n").unwrap();
    place.commit("2");
    place.pull("root");
    let old = etc.parent().unwrap();
    place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    let new = place.deployment("root");
    assert_ne!(old, new);
    let ours = place.at("merged");
    let merged = merged(old, &new.join("usr/etc"), &ours).unwrap();
    assert_eq!(listing(&ours), listing(&new.join("etc")));
    assert_eq!(attributes(&ours), attributes(&new.join("etc")));
    assert_eq!(merged.ignored, [Path::new("pipe")]);
}

#[test]
fn a_directory_in_the_place_of_a_changed_file_is_an_error() {
    let Some((place, etc)) = deployed() else { return };
    fs::write(etc.join("both"), "changed\n").unwrap();
    fs::remove_file(place.at("tree/usr/etc/both")).unwrap();
    fs::create_dir_all(place.at("tree/usr/etc/both/dir")).unwrap();
    place.commit("2");
    place.pull("root");
    let theirs = place.run("ostree", &["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    let error = merged(etc.parent().unwrap(), &place.at("tree/usr/etc"), &place.at("merged")).unwrap_err();
    let words = "Modified config file newly defaults to directory 'both', cannot merge";
    assert_eq!((error.to_string(), error.kind()), (words.to_owned(), ErrorKind::Usage));
    assert!(String::from_utf8_lossy(&theirs.stderr).contains(words), "{theirs:?}");
}

#[test]
fn nothing_is_written_outside_of_etc() {
    let Some((place, etc)) = deployed() else { return };
    fs::write(etc.join("linked/inner"), "changed\n").unwrap();
    fs::remove_file(etc.join("a/deep/one/inner")).unwrap();
    // The new default has links in the places of directories, and they lead out.
    let (default, outside) = (place.at("default"), place.at("outside"));
    run("cp", &["-a", place.at("tree/usr/etc").to_str().unwrap(), default.to_str().unwrap()]);
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("inner"), "not ours\n").unwrap();
    for dir in ["linked", "a/deep/one"] {
        fs::remove_dir_all(default.join(dir)).unwrap();
        symlink(&outside, default.join(dir)).unwrap();
    }
    let error = merged(etc.parent().unwrap(), &default, &place.at("merged")).unwrap_err();
    assert!(error.to_string().contains("linked"), "{error}");
    assert_eq!(fs::read_to_string(outside.join("inner")).unwrap(), "not ours\n");
}

/// libostree loses both: the mode of a directory in which nothing else was changed, and what is in a directory that
/// the administrator made where a file was, if the new default has one there, too.
#[test]
fn what_was_changed_of_directories_alone_is_kept() {
    let Some((place, etc)) = deployed() else { return };
    fs::set_permissions(etc.join("chmodded"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::remove_file(etc.join("to-dir")).unwrap();
    fs::create_dir(etc.join("to-dir")).unwrap();
    fs::write(etc.join("to-dir/own"), "own\n").unwrap();
    let default = place.at("default");
    run("cp", &["-a", place.at("tree/usr/etc").to_str().unwrap(), default.to_str().unwrap()]);
    fs::write(default.join("chmodded/inner"), "new default\n").unwrap();
    fs::remove_file(default.join("to-dir")).unwrap();
    fs::create_dir(default.join("to-dir")).unwrap();
    fs::write(default.join("to-dir/theirs"), "theirs\n").unwrap();
    let new = place.at("merged");
    merged(etc.parent().unwrap(), &default, &new).unwrap();
    assert_eq!(fs::metadata(new.join("chmodded")).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_to_string(new.join("chmodded/inner")).unwrap(), "new default\n");
    assert_eq!(fs::read_to_string(new.join("to-dir/own")).unwrap(), "own\n");
    assert_eq!(fs::read_to_string(new.join("to-dir/theirs")).unwrap(), "theirs\n");
}
