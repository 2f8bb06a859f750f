//! Images that serve themselves: a container of one answers C ostree, whoever runs it, and however little it may do.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::on_base::work;
use super::{OURS, REF, THEIRS, Work, ready, same};
use crate::serve::{Reply, ask};

/// A container of an image, with nothing but what it brings, as some user that the image does not know.
struct Container<'w> {
    work: &'w Work,
    name: String,
    child: Child,
    address: SocketAddr,
}

const STORAGE: [&str; 6] = [
    "--root=pod",
    "--runroot=run",
    "--storage-driver=vfs",
    "--runtime=runc",
    "--cgroup-manager=cgroupfs",
    "--log-level=error",
];

impl<'w> Container<'w> {
    fn run(work: &'w Work, image: &str) -> Self {
        let id = work.run("podman", &[&STORAGE[..], &["pull", "-q", &format!("oci:{image}")]].concat());
        let name = format!("ostree-rs-{}-{}", std::process::id(), image.replace(':', "-"));
        let limits = ["--cgroups=enabled", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
        let rights = ["--read-only", "--user=12345", "--cap-drop=all", "--network=host"];
        let mut command = Command::new("podman");
        command.args(STORAGE).args(["run", "--rm", "--name", &name]).args(limits).args(rights);
        command.args([&id, "--listen=127.0.0.1:0"]).current_dir(work.path(".")).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').parse();
        let address = address.unwrap_or_else(|_| panic!("{image} says {line:?}"));
        Self { work, name, child, address }
    }

    /// Ends it with the signal that its first process gets, and gives the code with which that ends.
    fn stop(mut self) -> Option<i32> {
        self.work.run("podman", &[&STORAGE[..], &["stop", "--time=60", &self.name]].concat());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.work.start("podman", &[&STORAGE[..], &["rm", "-f", "-t", "0", &self.name]].concat());
            let _ = self.child.wait();
        }
    }
}

/// Builds the image that serves itself as `image:TAG`, and gives its digest.
fn build(work: &Work, tag: &str, more: &[&str]) -> String {
    let args =
        ["container", "build", "--repo=bare", "--ref", REF, "--serve", "--oci-dir=image", "--tag", tag];
    let program = ["--serve-program=program", "--compression=gzip:1"];
    if !work.path("program").exists() {
        // The program that is tested has tables for debuggers, three times as large as itself.
        work.run("strip", &["-o", "program", OURS]);
    }
    work.run(OURS, &[&args[..], &program, more].concat())
}

/// C ostree pulls the commit and its signature from the container, and we take the same out of the image.
fn is_served(work: &Work, tag: &str) {
    let id = work.run(OURS, &["rev-parse", "--repo=bare", REF]);
    let container = Container::run(work, &format!("image:{tag}"));
    let repo = format!("--repo={tag}-client");
    work.run(THEIRS, &[&repo, "init", "--mode=bare"]);
    let url = format!("http://{}/repo", container.address);
    work.run(THEIRS, &[&repo, "remote", "add", "--gpg-import=signer.gpg", "origin", &url]);
    work.run(THEIRS, &[&repo, "remote", "add", "--gpg-import=other.gpg", "stranger", &url]);
    let said = work.refused(THEIRS, &[&repo, "pull", "stranger", REF]);
    assert!(said.contains("signature") || said.contains("GPG"), "{said}");
    work.run(THEIRS, &[&repo, "pull", "origin", REF]);
    assert_eq!(work.run(THEIRS, &[&repo, "rev-parse", &format!("origin:{REF}")]), id);
    assert_eq!(work.run(THEIRS, &[&repo, "remote", "refs", "origin"]), format!("origin:{REF}"));
    work.run(THEIRS, &[&repo, "fsck", "-q"]);
    work.run(THEIRS, &[&repo, "refs", "--create", REF, &format!("origin:{REF}")]);
    let pulled = work.checkout(OURS, &format!("{tag}-client"), &["-H"]);
    same(&pulled, &work.checkout(OURS, "bare", &["-H"]), tag);
    is_registry(work, tag, &format!("{}/{REF}", container.address), &id);
    assert_eq!(container.stop(), Some(0), "{tag}");

    let ours = format!("{tag}-ours");
    work.init(OURS, &ours, "bare");
    let (repo, image) = (format!("--repo={ours}"), format!("oci:image:{tag}"));
    let pull = ["pull", &repo, "--ref", REF, "--gpg-keyring=signer.gpg", "--json", &image];
    let pulled: serde_json::Value = serde_json::from_str(&work.run(OURS, &pull)).unwrap();
    assert_eq!(pulled["commit"], *id);
    let layers = work.run("skopeo", &["inspect", "--raw", &image]);
    let layers: serde_json::Value = serde_json::from_str(&layers).unwrap();
    let (all, fetched) = (layers["layers"].as_array().unwrap(), pulled["layers"].as_array().unwrap());
    assert_eq!(fetched.len() + 1, all.len(), "the layer with the server is not looked at");
    assert!(all.len() <= 4, "the layer with the server is one of those that may be");
    assert!(fetched.iter().all(|layer| layer["digest"] != all[all.len() - 1]["digest"]));
}

/// The container is a registry with an image of the commit, too: skopeo, podman and we pull that.
fn is_registry(work: &Work, tag: &str, image: &str, id: &str) {
    let from = format!("docker://{image}");
    let options = ["--insecure-policy", "copy", "-q", "--src-tls-verify=false"];
    work.run("skopeo", &[&options[..], &[&from, &format!("dir:{tag}-copied")]].concat());
    work.run("podman", &[&STORAGE[..], &["pull", "-q", "--tls-verify=false", image]].concat());
    let ours = format!("{tag}-registry");
    work.init(OURS, &ours, "bare");
    let repo = format!("--repo={ours}");
    let pull = ["pull", &repo, "--ref", REF, "--gpg-keyring=signer.gpg", "--tls-verify=false", &from];
    assert_eq!(work.run(OURS, &pull), id);
}

#[test]
fn containers_serve_their_commit() {
    if !ready(&["gpg", "umoci", "podman", "runc", "skopeo", "strip", THEIRS]) {
        return;
    }
    let work = work();
    work.key("other");
    let secret = work.path("tree/usr/etc/secret");
    fs::write(&secret, "only for root\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    super::on_base::commit(&work);
    for (tag, more) in [("plain", &["--max-layers=4"][..]), ("on-base", &["--from=oci:base:v1"])] {
        let digest = build(&work, tag, more);
        assert_eq!(build(&work, tag, more), digest, "the same again");
        is_served(&work, tag);
    }
}

/// What a container has at a path is served as long as it is the object that the commit has there.
#[test]
fn files_that_were_changed_are_not_served() {
    if !ready(&["gpg", "umoci", "strip"]) {
        return;
    }
    let work = work();
    build(&work, "v1", &["--from=oci:base:v1"]);
    work.run("umoci", &["unpack", "--image=image:v1", "bundle"]);
    let root = work.path("bundle/rootfs");
    let serving = Root::start(&root);
    // Content that is nothing but one file of the base.
    let list = work.run(OURS, &["ls", "--repo=bare", "-R", "-C", REF]);
    let mut paths: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in list.lines().filter(|line| line.starts_with('-')) {
        let id = line.split_whitespace().find(|word| word.len() == 64).unwrap();
        paths.entry(id).or_default().push(line.split_whitespace().last().unwrap());
    }
    let name = |id: &str| format!("repo/objects/{}/{}.filez", &id[..2], &id[2..]);
    let alone = paths.iter().filter_map(|(id, paths)| match paths[..] {
        [path] if path.starts_with("/usr/bin/") => Some((name(id), root.join(&path[1..]))),
        _ => None,
    });
    let is_base = |(name, path): &(String, PathBuf)| {
        let object = root.join("sysroot/ostree").join(name).with_extension("file");
        !object.exists() && path.metadata().is_ok_and(|file| file.len() > 100 && file.mode() & 0o4 != 0)
    };
    let files: Vec<_> = alone.filter(is_base).take(4).collect();
    let [(_, changed), (_, replaced), (_, gone), _] = &files[..] else { panic!("{files:?}") };
    let names: Vec<_> = files.iter().map(|(name, _)| format!("/{name}")).collect();
    for name in &names {
        assert_eq!(serving.get(name).status, 200, "{name}");
    }
    let mut content = fs::read(changed).unwrap();
    content[50] ^= 1;
    fs::write(changed, content).unwrap();
    fs::remove_file(replaced).unwrap();
    std::os::unix::fs::symlink("/etc/shadow", replaced).unwrap();
    fs::remove_file(gone).unwrap();
    // Another server, which has nothing left from before.
    drop(serving);
    let serving = Root::start(&root);
    for name in &names[..3] {
        let reply = serving.get(name);
        assert!(matches!(reply.status, 404 | 500), "{name}: {}", reply.status);
    }
    assert_eq!(serving.get(&names[3]).status, 200);
}

/// A server of a root directory, as a container runs it.
struct Root {
    child: Child,
    address: SocketAddr,
}

impl Root {
    fn start(root: &Path) -> Self {
        let program = root.join("sysroot/ostree/serve/ostree-rs");
        let mut command = Command::new(program);
        command.args(["serve", "--listen=127.0.0.1:0", "--image-root"]).arg(root).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        Self { child, address }
    }

    fn get(&self, path: &str) -> Reply {
        ask(self.address, "GET", path, &[])
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What cannot run in the image is refused, and so is a commit that nobody could ask for.
#[test]
fn programs_that_cannot_serve() {
    let tmp = tempfile::tempdir().unwrap();
    let at = |name: &str| tmp.path().join(name).display().to_string();
    let run = |args: &[&str]| {
        let out = Command::new(OURS).args(args).env_remove("OSTREE_REPO").output().unwrap();
        (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    };
    let repo = format!("--repo={}", at("repo"));
    fs::create_dir(tmp.path().join("tree")).unwrap();
    assert!(run(&["init", &repo, "--mode=bare-user"]).0);
    let tree = format!("--tree=dir={}", at("tree"));
    assert!(run(&["commit", &repo, "-b", "main", &tree]).0);
    let unbound = run(&["commit", &repo, "--orphan", "--no-bindings", &tree]).1;
    let mut arm = fs::read(OURS).unwrap()[..4096].to_vec();
    arm[18] = 183;
    fs::write(tmp.path().join("arm"), arm).unwrap();
    fs::write(tmp.path().join("script"), "#!/bin/sh\n").unwrap();
    let image = format!("--oci-dir={}", at("image"));
    let build = |rev: &str, more: &[&str]| {
        run(&[&["container", "build", &repo, "--ref", rev, "--serve", &image], more].concat())
    };
    for (program, why) in [
        (at("arm"), "the program is for arm64, which cannot serve an image for linux/"),
        (at("script"), "no program of Linux"),
        ("/bin/true".to_owned(), "needs a loader"),
    ] {
        let (done, said) = build("main", &["--serve-program", &program]);
        assert!(!done && said.contains(why) && said.contains("--serve-program"), "{said}");
    }
    let (done, said) = build(unbound.trim(), &[]);
    assert!(!done && said.contains("which ref shall --serve offer?"), "{said}");
    assert!(!build("main", &["--cmd=sh"]).0);
    let (done, said) = build("main", &["--compression=none"]);
    assert!(done, "{said}");
    let commit = run(&["rev-parse", &repo, "main"]).1;
    let (done, said) = build(commit.trim(), &["--compression=none"]);
    assert!(done, "it is bound to a ref: {said}");
}
