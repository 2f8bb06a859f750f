//! A root file system becomes an image on the layers of another one, made by umoci; other tools see the commit's files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use super::{OURS, REF, THEIRS, Work, ready, same};
use crate::tree::fixture::{Detail, describe};

/// `oci:base:v1` holds a root file system in two layers, `tree` another one, signed in `bare`.
pub(super) fn work() -> Work {
    let work = Work::new();
    work.run("umoci", &["init", "--layout", "base"]);
    work.run("umoci", &["new", "--image", "base:v1"]);
    work.run("umoci", &["unpack", "--image", "base:v1", "base-bundle"]);
    work.run("cp", &["-a", "tree/.", "base-bundle/rootfs/"]);
    let rootfs = work.path("base-bundle/rootfs");
    fs::create_dir_all(rootfs.join("usr/share/old/deep")).unwrap();
    fs::write(rootfs.join("usr/share/old/deep/file"), "gone with the first layer\n").unwrap();
    work.run("umoci", &["repack", "--refresh-bundle", "--image", "base:v1", "base-bundle"]);
    fs::remove_dir_all(rootfs.join("usr/share/old")).unwrap();
    fs::write(rootfs.join("etc/second-layer"), "second\n").unwrap();
    fs::copy(rootfs.join("etc/second-layer"), work.path("tree/etc/second-layer")).unwrap();
    work.run("umoci", &["repack", "--image", "base:v1", "base-bundle"]);
    change(&work.path("tree"));
    fs::rename(work.path("tree/etc"), work.path("tree/usr/etc")).unwrap();
    work.key("signer");
    work.init(OURS, "bare", "bare");
    commit(&work);
    work
}

pub(super) fn commit(work: &Work) {
    let key = ["--gpg-sign=signer", "--gpg-homedir=signer"];
    let tree = ["commit", "--repo=bare", "-b", REF, "--bootable", "--tree=dir=tree"];
    work.run(OURS, &[&tree[..], &key].concat());
}

/// What a newer system has otherwise than the base: names, kinds, contents, owners, modes and xattrs.
fn change(tree: &Path) {
    let bin = tree.join("usr/bin");
    let mut programs: Vec<_> = fs::read_dir(&bin)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| fs::symlink_metadata(path).unwrap().is_file())
        .collect();
    programs.sort();
    let [gone, grown, other_mode, other_owner, labelled, now_dir, now_link, copied, ..] = &programs[..]
    else {
        panic!("too few programs")
    };
    fs::remove_file(gone).unwrap();
    fs::write(grown, "changed\n").unwrap();
    fs::set_permissions(other_mode, fs::Permissions::from_mode(0o700)).unwrap();
    chown(other_owner, Some(5), Some(6)).unwrap();
    let set = |path: &Path, name: &str, value: &[u8]| {
        rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
    };
    set(labelled, "user.colour", b"blue");
    // cap_net_raw
    set(labelled, "security.capability", &[&[1, 0, 0, 2, 0, 32, 0, 0][..], &[0; 12]].concat());
    fs::remove_file(now_dir).unwrap();
    fs::create_dir(now_dir).unwrap();
    fs::write(now_dir.join("below"), "").unwrap();
    set(now_dir, "user.dir", b"yes");
    fs::remove_file(now_link).unwrap();
    symlink("below/nothing", now_link).unwrap();
    fs::copy(copied, bin.join("zz-copy")).unwrap();
    fs::create_dir_all(tree.join("opt/new/deep")).unwrap();
    fs::write(tree.join("opt/new/deep/empty"), "").unwrap();
    fs::set_permissions(tree.join("var/lib/empty"), fs::Permissions::from_mode(0o711)).unwrap();
    // A directory that becomes a file.
    fs::remove_dir_all(tree.join("etc/ssl")).ok();
    fs::write(tree.join("etc/ssl"), "no directory\n").unwrap();
}

fn build(work: &Work, to: &str, compression: &str) -> String {
    let args = ["container", "build", "--repo=bare", "--ref", REF, "--from=oci:base:v1", "--oci-dir", to];
    work.run(OURS, &[&args[..], &["--tag=v1", "--compression", compression]].concat())
}

/// The digests of an image's layers.
fn layers(work: &Work, layout: &str) -> Vec<String> {
    let manifest = work.run("skopeo", &["inspect", "--raw", &format!("oci:{layout}:v1")]);
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

/// What containers see, apart from the repository.
fn seen(root: &Path) -> Vec<String> {
    let lines = describe(root, Detail::Plain).into_iter();
    lines.filter(|line| !line.starts_with("\"./sysroot")).collect()
}

/// The commit's files, where they lie in a container.
fn expected(work: &Work) -> Vec<String> {
    work.run(OURS, &["checkout", "--repo=bare", REF, "checkout"]);
    let lines = seen(&work.path("checkout")).into_iter();
    fs::remove_dir_all(work.path("checkout")).unwrap();
    let mut lines: Vec<_> = lines.map(|line| line.replacen("\"./usr/etc", "\"./etc", 1)).collect();
    lines.sort();
    lines
}

#[test]
fn other_tools_see_the_commit() {
    if !ready(&["gpg", "umoci", "podman"]) {
        return;
    }
    let work = work();
    for compression in ["gzip", "zstd:chunked"] {
        let digest = build(&work, "image", compression);
        assert_eq!(build(&work, "image", compression), digest);
        let expected = expected(&work);
        if compression == "gzip" {
            work.run("umoci", &["unpack", "--image=image:v1", "bundle"]);
            same(&seen(&work.path("bundle/rootfs")), &expected, "umoci");
        }
        for driver in ["vfs", "overlay"] {
            let (root, run) = (work.path(driver), work.path("run"));
            let (root, run) = (root.to_str().unwrap(), run.to_str().unwrap());
            let storage = ["--root", root, "--runroot", run, "--storage-driver", driver];
            let podman = |args: &[&str]| work.start("podman", &[&storage, args].concat());
            let text = |out: Vec<u8>| String::from_utf8(out).unwrap().trim().to_owned();
            let pulled = podman(&["pull", "-q", "oci:image:v1"]);
            if driver == "overlay" && String::from_utf8_lossy(&pulled.stderr).contains("not supported over") {
                eprintln!("skipped: no overlay on this file system");
                continue;
            }
            assert!(pulled.status.success(), "{}", text(pulled.stderr));
            let image = text(pulled.stdout);
            let mounted = podman(&["image", "mount", &image]);
            assert!(mounted.status.success(), "{}", text(mounted.stderr));
            // The root itself is podman's own there.
            let apart = |line: &&String| driver == "vfs" || !line.starts_with("\".\" ");
            let lines = |lines: &[String]| lines.iter().filter(apart).cloned().collect::<Vec<_>>();
            same(&lines(&seen(Path::new(&text(mounted.stdout)))), &lines(&expected), driver);
            podman(&["image", "umount", &image]);
            podman(&["rmi", "-f", &image]);
        }
    }
}

#[test]
fn pulled_from_the_base() {
    if !ready(&["gpg", "skopeo", "umoci", THEIRS]) {
        return;
    }
    let work = work();
    build(&work, "image", "gzip");
    let (base, layers) = (layers(&work, "base"), layers(&work, "image"));
    assert_eq!((base.len(), layers.len()), (2, 3));
    assert_eq!(layers[..2], base);
    for digest in base {
        let blob = Path::new("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap());
        let read = |layout: &str| fs::read(work.path(layout).join(&blob)).unwrap();
        assert_eq!(read("image"), read("base"));
    }
    let pull = |mode: &str| -> (String, u64) {
        let repo = format!("--repo=pulled-{mode}");
        let args = ["container", "pull", &repo, "--ref", REF, "--gpg-keyring=signer.gpg", "--json"];
        let json = work.run(OURS, &[&args[..], &["oci:image:v1"]].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        (json["commit"].as_str().unwrap().to_owned(), json["layers_fetched"].as_u64().unwrap())
    };
    let modes = ["bare", "archive", "bare-user"];
    for (round, fetched) in [3, 1].into_iter().enumerate() {
        if round == 1 {
            // A newer commit on the same base: nobody needs that again.
            fs::write(work.path("tree/usr/lib/news"), "new\n").unwrap();
            commit(&work);
            build(&work, "image", "gzip");
        }
        let id = work.run(OURS, &["rev-parse", "--repo=bare", REF]);
        for mode in modes {
            let repo = format!("pulled-{mode}");
            if round == 0 {
                work.init(OURS, &repo, mode);
            }
            assert_eq!(pull(mode), (id.clone(), fetched), "{mode}");
            assert_eq!(pull(mode), (id.clone(), 0), "{mode}");
            work.run(THEIRS, &["fsck", &format!("--repo={repo}"), "-q"]);
            let options: &[&str] = if mode == "bare" { &["-H"] } else { &["-C"] };
            same(&work.checkout(OURS, &repo, options), &work.checkout(OURS, "bare", options), mode);
        }
    }
    work.key("other");
    let args = ["container", "pull", "--repo=pulled-bare", "--gpg-keyring=other.gpg", "oci:image:v1"];
    let said = work.refused(OURS, &args);
    assert!(said.contains("other.gpg") || said.contains("sign"), "{said}");
}

/// The image store has the commit itself, with its signature, and keeps it as long as the image is there.
#[test]
fn kept_by_the_image_store() {
    if !ready(&["gpg", "umoci", THEIRS]) {
        return;
    }
    let work = work();
    let name = "oci:image:v1";
    for repo in ["store", "copied"] {
        work.init(OURS, repo, "bare");
    }
    let pull = |keyring: &str| {
        let args = ["container", "image", "pull", "--repo=store", "--json", keyring, name];
        let json: serde_json::Value = serde_json::from_str(&work.run(OURS, &args)).unwrap();
        (json["commit"].as_str().unwrap().to_owned(), json["layers_fetched"].as_u64().unwrap())
    };
    let commits_on_bases =
        |repo: &str| work.run(OURS, &["refs", "--repo", repo, "--list", "ostree/container/commit"]);
    // ostree-ext wants a ref of an image's first layer, and finds by it what other images share.
    let lowest = || {
        let layer = layers(&work, "image")[0].replace(':', "_3A_");
        let tree = ["ls", "--repo=store", "-R", &format!("ostree/container/blob/{layer}")];
        let listed = work.run(THEIRS, &tree);
        let in_layer = listed.lines().filter(|line| line.starts_with('-')).count();
        assert!(in_layer > 0 && listed.contains("/usr/"), "{listed}");
        listed
    };
    let (mut seen, mut first) = (Vec::new(), None);
    for (round, fetched) in [3, 1].into_iter().enumerate() {
        if round == 1 {
            fs::write(work.path("tree/usr/lib/news"), "new\n").unwrap();
            commit(&work);
        }
        build(&work, "image", "gzip");
        let signed = work.run(OURS, &["rev-parse", "--repo=bare", REF]);
        let (image, layers) = pull("--gpg-keyring=signer.gpg");
        assert_eq!(layers, fetched);
        assert_eq!(pull("--gpg-keyring=signer.gpg"), (image.clone(), 0));
        assert_eq!(work.run(OURS, &["rev-parse", "--repo=store", &format!("{image}^")]), signed);
        assert_eq!(commits_on_bases("store"), format!("ostree/container/commit/{signed}"));
        assert_eq!(lowest(), first.clone().unwrap_or_else(lowest));
        first = Some(lowest());
        // As the peer cleans a sysroot: what no ref names goes, parents of commits, too.
        work.run(THEIRS, &["prune", "--repo=store", "--refs-only", "--depth=0"]);
        work.run(THEIRS, &["fsck", "--repo=store", "-q"]);
        work.run(OURS, &["container", "image", "copy", "--src-repo=store", "--dest-repo=copied", name]);
        for repo in ["store", "copied"] {
            let tree = |repo: &str, commit: &str| {
                work.run(THEIRS, &["ls", "--repo", repo, "-R", "-C", "-X", commit])
            };
            assert_eq!(tree(repo, &image), tree("bare", &signed), "{repo}");
            let shown = work.run(THEIRS, &["show", "--repo", repo, &signed]);
            assert!(shown.contains("Found 1 signature"), "{shown}");
        }
        seen.push(signed);
    }
    // A layer of its own would be another tree.
    let said = work.refused(OURS, &["container", "image", "reexport", "--repo=store", name, "oci:again:v1"]);
    assert!(said.contains(&seen[1]) && said.contains("build an image"), "{said}");
    work.key("other");
    let args = ["container", "image", "pull", "--repo=store", "--gpg-keyring=other.gpg", name];
    let said = work.refused(OURS, &args);
    assert!(said.contains("sign"), "{said}");
    work.run(OURS, &["container", "image", "remove", "--repo=store", name]);
    assert_eq!(commits_on_bases("store"), "");
}

/// An image that somebody took for a plain one is pulled again, since nobody signed what came of it.
#[test]
fn once_taken_for_a_plain_image() {
    if !ready(&["gpg", "umoci"]) {
        return;
    }
    let work = work();
    build(&work, "image", "gzip");
    work.init(OURS, "store", "bare");
    let pull = ["container", "image", "pull", "-q", "--repo=store", "ostree-unverified-image:oci:image:v1"];
    work.run(OURS, &pull);
    let list = ["refs", "--repo=store", "--list", "ostree/container/image"];
    let name = work.run(OURS, &list);
    let image = work.run(OURS, &["rev-parse", "--repo=store", &name]);
    // The same image by who does not know of bases: no parent.
    let tree = format!("--tree=ref={image}");
    let mut args = vec!["commit", "--repo=store", "-b", &name, "--parent=none", &tree, "--no-bindings"];
    let facts = ["ostree.manifest-digest", "ostree.manifest", "ostree.container.image-config"].map(|key| {
        let value = work.run(OURS, &["show", "--repo=store", &format!("--print-metadata-key={key}"), &image]);
        format!("--add-metadata={key}={value}")
    });
    args.extend(facts.iter().map(String::as_str));
    work.run(OURS, &args);
    work.run(OURS, &pull);
    assert_eq!(work.run(OURS, &["rev-parse", "--repo=store", &name]), image);
    // It has no plain layers whose /var could be somewhere else.
    let said = work.run(OURS, &[&pull[..], &["--keep-var"]].concat());
    assert!(said.starts_with("No changes in "), "{said}");
}
