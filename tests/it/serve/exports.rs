//! A tree of plain files behind nginx does what the server does.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::server::ask;
use crate::oracle::{need, need_root, run};
use crate::registry::program::Home;

/// Another server, with the configuration that is exported, on a free port.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    child: Child,
}

impl Server {
    pub(super) fn nginx(dir: &Path) -> Option<Self> {
        let pid =
            format!("daemon off; user root; error_log stderr; pid {};", dir.with_extension("pid").display());
        Self::start(dir, "nginx", "-v", "nginx.conf", "listen 8080;", &["-g", &pid, "-p", "./", "-c"])
    }

    pub(super) fn caddy(dir: &Path) -> Option<Self> {
        let arguments = ["run", "--adapter", "caddyfile", "--config"];
        Self::start(dir, "caddy", "version", "Caddyfile", ":8080 {", &arguments)
    }

    /// Starts `program` with the name of its configuration behind `arguments`; `port` is what says there where it listens.
    fn start(
        dir: &Path,
        program: &str,
        version: &str,
        config: &str,
        port: &str,
        arguments: &[&str],
    ) -> Option<Self> {
        let known = Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !known.is_ok_and(|status| status.success()) {
            assert!(std::env::var_os("CI").is_none(), "{program} is not installed");
            eprintln!("skipped: {program} is not installed");
            return None;
        }
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = fs::read_to_string(dir.join(config)).unwrap();
        assert!(text.contains(port));
        let beside = dir.with_extension(program);
        fs::write(&beside, text.replace(port, &port.replace("8080", &address.port().to_string()))).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .arg(&beside)
            .current_dir(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { address, child };
        for _ in 0..200 {
            if TcpStream::connect(address).is_ok() {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{program} does not start");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The first process of nginx ends the others, if it is asked to.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let _ = self.child.wait();
    }
}

fn export(home: &Home) -> (u64, u64) {
    let said = home.ok(&["serve", "--repo=repo", "--export=www"]);
    let numbers: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut todo) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => todo.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    found
}

/// The files of a directory, and which ones they are.
fn inodes(dir: &Path) -> BTreeMap<String, u64> {
    let of = |path: &PathBuf| {
        let inode = fs::metadata(path).unwrap().ino();
        (path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned(), inode)
    };
    files(dir).iter().map(of).collect()
}

/// Files that are others now, or gone.
fn changed(before: &BTreeMap<String, u64>, dir: &Path) -> Vec<String> {
    let now = inodes(dir);
    before
        .iter()
        .filter(|(path, inode)| now.get(*path) != Some(inode))
        .map(|(path, _)| path.clone())
        .collect()
}

/// Neither into the repository itself, nor into another one, which C ostree made.
#[test]
fn repositories_are_no_place_for_exports() {
    if !need("ostree") {
        return;
    }
    let home = Home::new();
    home.ok(&["--repo=repo", "commit", "-b", "os/stable", "--tree=dir=tree"]);
    run("ostree", &[&format!("--repo={}", home.path("theirs").display()), "init", "--mode=archive"]);
    for name in ["repo", "theirs"] {
        let said = home.fails(&["serve", "--repo=repo", &format!("--export={name}")]);
        assert!(said.contains("the directory is a repository"), "{said}");
        assert!(!home.path(name).join("repo").exists() && !home.path(name).join("index.html").exists());
    }
}

/// As root, since nginx changes its user where it can.
#[test]
fn everybody_pulls_from_files() {
    if !need_root() || !need("ostree") || !need("skopeo") {
        return;
    }
    let home = Home::new();
    fs::write(home.path("tree/usr/large"), vec![b'x'; 500_000]).unwrap();
    let commit = ["--repo=repo", "commit", "-b", "os/stable", "--tree=dir=tree", "--timestamp=@1700000001"];
    home.ok(&commit);
    home.ok(&["--repo=repo", "static-delta", "generate", "--empty", "os/stable"]);
    let (written, kept) = export(&home);
    assert!(written > 10 && kept == 0);
    assert_eq!(files(&home.path("www")).len() as u64, written);
    // What has not changed stays as it is. A summary says when it was made.
    let before = inodes(&home.path("www"));
    let (again, kept) = export(&home);
    assert_eq!(again + kept, written);
    let others = changed(&before, &home.path("www"));
    assert!(others.iter().all(|path| path == "repo/summary") && others.len() as u64 == again, "{others:?}");

    let Some(nginx) = Server::nginx(&home.path("www")) else { return };
    let (arg, url) =
        (format!("--repo={}", home.path("new").display()), format!("http://{}/repo", nginx.address));
    run("ostree", &[&arg, "remote", "add", "--no-gpg-verify", "origin", &url]);
    run("ostree", &[&arg, "pull", "origin", "os/stable"]);
    run("ostree", &[&arg, "fsck"]);
    let id = home.ok(&["--repo=repo", "rev-parse", "os/stable"]);
    assert_eq!(home.ok(&["--repo=new", "rev-parse", "origin:os/stable"]), id);
    run("ostree", &[&arg, "remote", "refs", "origin"]);

    let image = format!("{}/os/stable", nginx.address);
    let label =
        ["inspect", "--config", "--tls-verify=false", "--format={{index .Config.Labels \"ostree.commit\"}}"];
    let label = run("skopeo", &[&label[..], &[&format!("docker://{image}")]].concat());
    assert_eq!(String::from_utf8(label).unwrap().trim(), id.trim());
    let copied = format!("dir:{}", home.path("copied").display());
    let from = format!("docker://{image}");
    run("skopeo", &["--insecure-policy", "copy", "-q", "--src-tls-verify=false", &from, &copied]);
    home.ok(&["--repo=other", "init", "--mode=bare-user"]);
    let ours = format!("ostree-unverified-registry:{image}");
    home.ok(&["pull", "--repo=other", "--ref=got", "--tls-verify=false", &ours]);
    assert_eq!(home.ok(&["--repo=other", "rev-parse", "got"]), id);
    podman_pulls(&home, &image);
    answers(&nginx, id.trim());

    // A new commit, and the files of it alone; the one before is still there by its name.
    fs::write(home.path("tree/usr/new"), b"new").unwrap();
    home.ok(&["--repo=repo", "commit", "-b", "os/stable", "--tree=dir=tree", "--timestamp=@1700000002"]);
    let before = inodes(&home.path("www"));
    export(&home);
    let others = changed(&before, &home.path("www"));
    let stays =
        ["repo/objects/", "repo/deltas/", "/sha256:", "v2/_catalog", "tree/", "style.css", "Caddyfile"];
    assert!(!others.iter().any(|path| stays.iter().any(|stays| path.contains(stays))), "{others:?}");
    assert!(others.contains(&"v2/os/stable/manifests/latest".to_owned()), "{others:?}");
    run("ostree", &[&arg, "pull", "origin", "os/stable"]);
    assert_ne!(home.ok(&["--repo=new", "rev-parse", "origin:os/stable"]), id);
    let tag = format!("/v2/os/stable/manifests/{}", id.trim());
    assert_eq!(ask(nginx.address, "GET", &tag, &[]).status, 200);
}

/// podman takes the image.
fn podman_pulls(home: &Home, image: &str) {
    if !need("podman") || !need_root() {
        return;
    }
    let at = |name: &str| home.path(name).display().to_string();
    let places = [format!("--root={}", at("pod")), format!("--runroot={}", at("run"))];
    let places = [&*places[0], &places[1], "--storage-driver=vfs"];
    run("podman", &[&places[..], &["pull", "-q", "--tls-verify=false", image]].concat());
    run("podman", &[&places[..], &["rmi", "-f", image]].concat());
}

/// Types of documents, and what is no file.
fn answers(server: &Server, id: &str) {
    let get = |path: &str| ask(server.address, "GET", path, &[]);
    for (path, kind) in [
        ("/v2/", "application/json"),
        ("/v2/_catalog", "application/json"),
        ("/v2/os/stable/tags/list", "application/json"),
        ("/v2/os/stable/manifests/latest", "application/vnd.oci.image.manifest.v1+json"),
        ("/", "text/html"),
        ("/style.css", "text/css"),
        (&format!("/commit/{id}/"), "text/html"),
        (&format!("/tree/{id}/"), "text/html"),
        (&format!("/tree/{id}/usr/"), "text/html"),
        (&format!("/v2/os/stable/referrers/sha256:{id}"), "application/vnd.oci.image.index.v1+json"),
    ] {
        let reply = get(path);
        let said = reply.header("content-type").and_then(|said| said.split(';').next());
        assert_eq!((reply.status, said), (200, Some(kind)), "{path}");
    }
    let manifest = get("/v2/os/stable/manifests/latest");
    let digest = format!("sha256:{}", ostree_rs::format::Checksum::of(&manifest.body));
    let by_digest = get(&format!("/v2/os/stable/manifests/{digest}"));
    assert_eq!(by_digest.header("docker-content-digest"), Some(&*digest));
    assert!(by_digest.header("content-type").unwrap().ends_with("manifest.v1+json"));
    let object = get("/repo/summary");
    assert_eq!((object.status, object.header("content-type")), (200, Some("application/octet-stream")));
    for hidden in ["/nginx.conf", "/Caddyfile", "/s3-sync.sh"] {
        assert_eq!(get(hidden).status, 404, "{hidden}");
    }
    // Directories are shown, and lead to directories; files are only named.
    let commit = get(&format!("/commit/{id}/"));
    assert!(commit.text().contains(&format!("href=\"/tree/{id}\"")), "{}", commit.text());
    let root = get(&format!("/tree/{id}/"));
    assert!(root.text().contains(&format!("href=\"/tree/{id}/usr\"")), "{}", root.text());
    assert!(!get(&format!("/tree/{id}/usr/")).text().contains("href=\"/file/"));
    assert_eq!(get("/v2/os/stable/manifests/none").status, 404);
}

/// The summary is signed as it is exported, and C ostree asks for the signature.
#[test]
fn caddy_serves_a_signed_summary() {
    if !need("ostree") || !need("skopeo") {
        return;
    }
    let home = Home::new();
    home.ok(&["gpg-new-key", "--secret=secret.asc", "--public=key.asc", "Example <os@example.org>"]);
    let signing = ["--gpg-sign=os@example.org", "--gpg-homedir=secret.asc"];
    let commit = ["--repo=repo", "commit", "-b", "os/stable", "--tree=dir=tree"];
    home.ok(&[&commit[..], &signing].concat());
    home.ok(&[&["serve", "--repo=repo", "--export=www"], &signing[..]].concat());
    let Some(caddy) = Server::caddy(&home.path("www")) else { return };
    let id = home.ok(&["--repo=repo", "rev-parse", "os/stable"]);
    answers(&caddy, id.trim());

    let (arg, url) =
        (format!("--repo={}", home.path("new").display()), format!("http://{}/repo", caddy.address));
    let key = format!("--gpg-import={}", home.path("key.asc").display());
    run("ostree", &[&arg, "init", "--mode=bare-user"]);
    run("ostree", &[&arg, "remote", "add", "--set=gpg-verify-summary=true", &key, "origin", &url]);
    run("ostree", &[&arg, "pull", "origin", "os/stable"]);
    assert_eq!(home.ok(&["--repo=new", "rev-parse", "origin:os/stable"]), id);
    let from = format!("docker://{}/os/stable", caddy.address);
    let copied = format!("dir:{}", home.path("copied").display());
    run("skopeo", &["--insecure-policy", "copy", "-q", "--src-tls-verify=false", &from, &copied]);
    let image = format!("{}/os/stable", caddy.address);
    let pull = ["pull", "--repo=other", "--ref=got", "--tls-verify=false", "--gpg-keyring=key.asc"];
    home.ok(&["--repo=other", "init", "--mode=bare-user"]);
    home.ok(&[&pull[..], &[&format!("docker://{image}")]].concat());
    assert_eq!(home.ok(&["--repo=other", "rev-parse", "got"]), id);
    podman_pulls(&home, &image);
}
