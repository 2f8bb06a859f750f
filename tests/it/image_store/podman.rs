//! Images in podman's store, read in place, beside what skopeo takes out of it.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::libc;

use super::Work;
use crate::oracle::{need, run};
use crate::tree::fixture::{hard_tree, ready};

/// A store of podman in a test's directory.
struct Store<'a> {
    work: &'a Work,
    driver: &'static str,
}

impl Store<'_> {
    fn buildah(&self, args: &[&str]) -> String {
        let [root, runroot] = ["g", "r"].map(|name| self.path(name));
        let places = ["--root", &root, "--runroot", &runroot, "--storage-driver", self.driver];
        String::from_utf8(run("buildah", &[&places[..], args].concat())).unwrap().trim().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.work.path(&format!("{}-{name}", self.driver)).display().to_string()
    }

    /// The name of an image, as skopeo and we take it.
    fn image(&self, name: &str) -> String {
        format!("containers-storage:[{}@{}+{}]{name}", self.driver, self.path("g"), self.path("r"))
    }

    /// The directories with the files of images' layers; those of containers have no tar-split data.
    fn layer_dirs(&self) -> Vec<PathBuf> {
        let id = |split: &PathBuf| {
            let name = split.file_name().unwrap().to_str().unwrap();
            name.strip_suffix(".tar-split.gz").unwrap().to_owned()
        };
        let files = |id: String| match self.driver {
            "vfs" => format!("vfs/dir/{id}"),
            _ => format!("overlay/{id}/diff"),
        };
        let dirs = self.splits();
        dirs.iter().map(|split| Path::new(&self.path("g")).join(files(id(split)))).collect()
    }

    /// A file of a layer, by its path there.
    fn file(&self, path: &str) -> PathBuf {
        self.layer_dirs().into_iter().map(|dir| dir.join(path)).find(|file| file.exists()).unwrap()
    }

    fn layers(&self, name: &str) -> PathBuf {
        Path::new(&self.path("g")).join(format!("{}-layers", self.driver)).join(name)
    }

    /// The tar-split data of all layers.
    fn splits(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.layers("")).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.to_str().unwrap().ends_with(".tar-split.gz")).collect()
    }
}

/// Three images: a hard tree; changes on top of it, with whiteouts; more of them, with a directory that hides the one
/// below.
fn build(store: &Store<'_>) {
    let tree = store.work.path("tree");
    if !tree.exists() {
        hard_tree(&tree);
    }
    let base = store.buildah(&["from", "-q", "scratch"]);
    store.buildah(&["copy", "-q", &base, tree.to_str().unwrap(), "/"]);
    store.buildah(&["commit", "-q", &base, "base"]);
    let container = store.buildah(&["from", "-q", "localhost/base"]);
    let root = PathBuf::from(store.buildah(&["mount", &container]));
    fs::remove_file(root.join("usr/bin/tool")).unwrap();
    fs::remove_dir_all(root.join("private")).unwrap();
    fs::hard_link(root.join("usr/lib/same-1"), root.join("usr/bin/linked")).unwrap();
    fs::write(root.join("lib/below-a-link"), "x").unwrap();
    fs::create_dir_all(root.join("opt/app").join("deep/".repeat(60))).unwrap();
    fs::write(root.join("usr/lib/large"), vec![7; 3_000_000]).unwrap();
    store.buildah(&["commit", "-q", &container, "second"]);
    fs::remove_dir_all(root.join("usr/lib/modules")).unwrap();
    fs::create_dir_all(root.join("usr/lib/modules/new")).unwrap();
    symlink("new", root.join("usr/lib/modules/link")).unwrap();
    fs::write(root.join("usr/lib/modules/new/file"), "new").unwrap();
    store.buildah(&["umount", &container]);
    let container = store.buildah(&["commit", "-q", &container, "third"]);
    assert!(!container.is_empty());
}

fn pull(work: &Work, repo: &str, image: &str) -> String {
    work.ok(&["init", "--repo", repo, "--mode=bare"]);
    work.ok(&["container", "pull", "--repo", repo, "--ref=x", &format!("ostree-unverified-image:{image}")])
}

#[test]
fn files_are_the_layers_that_they_were() {
    if !ready() || !need("buildah") || !need("skopeo") {
        return;
    }
    let work = Work::new();
    for driver in ["overlay", "vfs"] {
        let store = Store { work: &work, driver };
        build(&store);
        for name in ["base", "second", "third"] {
            let image = store.image(&format!("localhost/{name}:latest"));
            let [ours, theirs] = ["ours", "theirs"].map(|who| store.path(&format!("{name}-{who}")));
            work.ok(&["container", "copy", "-q", &image, &format!("dir:{ours}")]);
            run("skopeo", &["copy", "-q", &image, &format!("dir:{theirs}")]);
            run("diff", &["-r", &ours, &theirs]);
            let repos = ["place", "copied"].map(|what| format!("{driver}-{name}-{what}"));
            let commit = pull(&work, &repos[0], &image);
            assert_eq!(commit, pull(&work, &repos[1], &format!("dir:{theirs}")), "{driver} {name}");
            let path = work.path(&repos[0]).display().to_string();
            run("ostree", &["fsck", "-q", "--repo", &path]);
            // A name without a registry is that of a local image, and an id is one, too.
            let short = store.image(name);
            let info = |image: &str| {
                let out = work.ok(&["container", "info", image]);
                out.rsplit(' ').next().unwrap().to_owned()
            };
            assert_eq!(info(&image), info(&short));
        }
    }
}

#[test]
fn commits_of_ours_are_taken_object_by_object() {
    if !ready() || !need("buildah") || !need("skopeo") {
        return;
    }
    let work = Work::new();
    hard_tree(&work.path("tree"));
    work.ok(&["init", "--repo=r", "--mode=bare"]);
    let build = |tag: &str| {
        work.ok(&["commit", "--repo=r", "-b", "os", "--tree=dir=tree"]);
        let tag = format!("--tag={tag}");
        work.ok(&["container", "build", "--repo=r", "--ref=os", "--oci-dir=oci", &tag, "--max-layers=4"]);
        work.ok(&["rev-parse", "--repo=r", "os"])
    };
    let first = build("1");
    fs::write(work.path("tree/usr/lib/brand-new"), vec![1; 200_000]).unwrap();
    fs::remove_file(work.path("tree/usr/lib/same-2")).unwrap();
    let second = build("2");
    for driver in ["overlay", "vfs"] {
        let store = Store { work: &work, driver };
        for (tag, commit) in [("1", &first), ("2", &second)] {
            let to = store.image(&format!("localhost/os:{tag}"));
            let from = format!("oci:{}:{tag}", work.path("oci").display());
            run("skopeo", &["copy", "-q", &from, &to]);
            for repo in ["place", "new"].map(|name| format!("{driver}-{name}")) {
                if !work.path(&repo).exists() {
                    work.ok(&["init", "--repo", &repo, "--mode=bare"]);
                }
                if repo.ends_with("new") && tag == "1" {
                    continue;
                }
                let image = format!("ostree-unverified-image:{to}");
                let out = work.ok(&["container", "pull", "--json", "--repo", &repo, "--ref=os", &image]);
                let json: serde_json::Value = serde_json::from_str(&out).unwrap();
                assert_eq!(json["commit"], **commit, "{driver} {tag}");
                let bytes: u64 = json["layers"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|l| l["bytes_fetched"].as_u64().unwrap())
                    .sum();
                // The rest was there, and is not read again.
                let is_update = tag == "2" && repo.ends_with("place");
                assert_eq!(bytes < 300_000, is_update, "{driver} {tag} {repo}: {bytes} of {out}");
                let path = work.path(&repo).display().to_string();
                run("ostree", &["fsck", "-q", "--repo", &path]);
            }
        }
        // The image that the store was given, with its digests, since we had compressed it.
        let back = format!("dir:{}", store.path("back"));
        work.ok(&["container", "copy", "-q", &store.image("localhost/os:2"), &back]);
        let theirs = format!("dir:{}", work.path("from-oci").display());
        run("skopeo", &["copy", "-q", &format!("oci:{}:2", work.path("oci").display()), &theirs]);
        run("diff", &["-r", &store.path("back"), work.path("from-oci").to_str().unwrap()]);
    }
}

/// The manifest and the configuration of an image in a layout, as skopeo reads them.
fn documents(work: &Work, image: &str) -> [serde_json::Value; 2] {
    let image = format!("oci:{}", work.path(image).display());
    [&["inspect", "--raw", &image][..], &["inspect", "--config", "--raw", &image]]
        .map(|args| serde_json::from_slice(&run("skopeo", args)).unwrap())
}

#[test]
fn a_commit_lies_on_an_image_of_the_store() {
    if !ready() || !need("buildah") || !need("skopeo") {
        return;
    }
    let work = Work::new();
    for driver in ["overlay", "vfs"] {
        let store = Store { work: &work, driver };
        build(&store);
        let base = store.image("localhost/second");
        let repo = format!("{driver}-r");
        work.ok(&["init", "--repo", &repo, "--mode=bare"]);
        work.ok(&["commit", "--repo", &repo, "-b", "os", "--tree=dir=tree"]);
        let commit = work.ok(&["rev-parse", "--repo", &repo, "os"]);
        let (dir, from) = (format!("--oci-dir={driver}-oci"), format!("--from={base}"));
        let build = ["container", "build", "-q", "--repo", &repo, "--ref=os", "--tag=x", &dir, &from];
        work.ok(&build);
        let taken_out = format!("oci:{}:base", work.path(&format!("{driver}-oci")).display());
        run("skopeo", &["copy", "-q", &base, &taken_out]);
        let [ours, theirs] = ["x", "base"].map(|tag| documents(&work, &format!("{driver}-oci:{tag}")));
        let ids =
            |[_, config]: &[serde_json::Value; 2]| config["rootfs"]["diff_ids"].as_array().unwrap().clone();
        let (ours_ids, their_ids) = (ids(&ours), ids(&theirs));
        assert_eq!((&ours_ids[..2], ours_ids.len()), (&their_ids[..], 3), "{driver}");
        assert_eq!(ours[0]["layers"].as_array().unwrap().len(), 3);
        // Every blob is what the manifest says: skopeo reads them all, and a pull finds the commit's files in them.
        let image = format!("oci:{}:x", work.path(&format!("{driver}-oci")).display());
        run("skopeo", &["copy", "-q", &image, &format!("dir:{}", store.path("copied"))]);
        assert_eq!(pull(&work, &format!("{driver}-pulled"), &image), commit, "{driver}");
        let path = work.path(&format!("{driver}-pulled")).display().to_string();
        run("ostree", &["fsck", "-q", "--repo", &path]);
    }
}

#[test]
fn damage_is_named() {
    if !ready() || !need("buildah") || !need("skopeo") {
        return;
    }
    let work = Work::new();
    let store = Store { work: &work, driver: "overlay" };
    build(&store);
    let image = store.image("localhost/second:latest");
    let refused = |what: &str| {
        let out = format!("dir:{}", work.path("refused").display());
        let text = work.refused(&["container", "copy", "-q", &image, &out]);
        assert!(text.contains(what) && text.contains("localhost/second"), "{text}");
        work.ok(&["init", "--repo=refused-pull", "--mode=bare"]);
        let unverified = format!("ostree-unverified-image:{image}");
        let text = work.refused(&["container", "pull", "--repo=refused-pull", "--ref=x", &unverified]);
        assert!(text.contains(what), "{text}");
        fs::remove_dir_all(work.path("refused")).unwrap();
        fs::remove_dir_all(work.path("refused-pull")).unwrap();
    };
    let big = store.file("usr/lib/big");
    let content = fs::read(&big).unwrap();
    let mut other = content.clone();
    other[100_000] ^= 1;
    fs::write(&big, &other).unwrap();
    refused("usr/lib/big was changed in the store");
    fs::write(&big, &content[1..]).unwrap();
    refused("usr/lib/big was changed in the store");
    fs::remove_file(&big).unwrap();
    refused("usr/lib/big: No such file");
    fs::write(&big, &content).unwrap();
    for split in store.splits() {
        let whole = fs::read(&split).unwrap();
        fs::write(&split, &whole[..whole.len() / 2]).unwrap();
    }
    refused("tar-split data are damaged, at record ");
    store.splits().iter().for_each(|split| fs::remove_file(split).unwrap());
    refused("tar-split data are missing");
    let text = work.refused(&["container", "info", &store.image("localhost/fourth")]);
    assert!(text.contains("localhost/second:latest"), "{text}");
    let other = image.replace("[overlay@", "[btrfs@");
    let text = work.refused(&["container", "info", &other]);
    assert!(text.contains("btrfs") && text.contains("overlay and vfs"), "{text}");
}

#[test]
fn storage_conf_is_read_and_locks_are_waited_for() {
    if !ready() || !need("buildah") || !need("skopeo") {
        return;
    }
    let work = Work::new();
    let store = Store { work: &work, driver: "vfs" };
    build(&store);
    fs::create_dir(work.path("empty")).unwrap();
    let conf = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\n[storage.options]\nadditionalimagestores = [\"{}\"]\n",
        work.path("empty").display(),
        store.path("g"),
    );
    fs::write(work.path("storage.conf"), conf).unwrap();
    let info = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ostree-rs"));
        command.env("CONTAINERS_STORAGE_CONF", work.path("storage.conf"));
        command.args(["container", "info", "containers-storage:localhost/third"]);
        command
    };
    let before = fs::metadata(store.layers("layers.lock")).unwrap();
    let out = info().output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let after = fs::metadata(store.layers("layers.lock")).unwrap();
    assert_eq!((before.mtime_nsec(), before.len()), (after.mtime_nsec(), after.len()), "nothing is written");
    assert!(fs::read_dir(work.path("empty")).unwrap().next().is_none());
    // As podman holds it while it writes: by process.
    let lock = File::options().write(true).open(store.layers("layers.lock")).unwrap();
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&lock, nix::fcntl::FcntlArg::F_SETLK(&whole)).unwrap();
    let mut waiting = info().spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(waiting.try_wait().unwrap().is_none(), "it waits for the writer");
    drop(lock);
    assert!(waiting.wait().unwrap().success());
}
