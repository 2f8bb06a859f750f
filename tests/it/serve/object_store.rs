//! An export in an object store: what the script sends is what clients need.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::exports::{Server, files};
use super::server::ask;
use crate::oracle::{need, run};
use crate::registry::program::Home;

const BUCKET: &str = "bucket";

/// An object store: moto's, which stands in for the one of AWS.
struct Store {
    address: SocketAddr,
    child: Child,
}

impl Store {
    fn start(program: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let store = Self { address, child };
        for _ in 0..600 {
            if TcpStream::connect(address).is_ok() {
                return store;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{program} does not start");
    }

    /// Runs a program that finds the store, by the names of the variables of AWS and of rclone.
    fn ok(&self, program: &str, args: &[&str]) {
        let url = format!("http://{}", self.address);
        let names = ["ENDPOINT", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "REGION", "ACL", "TYPE", "PROVIDER"];
        let values = [&*url, "x", "y", "us-east-1", "public-read", "s3", "Other"];
        let rclone =
            names.iter().zip(values).map(|(name, value)| (format!("RCLONE_CONFIG_STORE_{name}"), value));
        let aws = [("AWS_ENDPOINT_URL", &*url), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y")];
        let out = Command::new(program)
            .args(args)
            .env_remove("AWS_CA_BUNDLE")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .envs(aws)
            .envs(rclone)
            .output()
            .unwrap();
        assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }

    fn header(&self, path: &str, name: &str) -> Option<String> {
        let host = format!("Host: {}", self.address);
        let reply = ask(self.address, "HEAD", &format!("/{BUCKET}/{path}"), &[&host]);
        assert_eq!(reply.status, 200, "{path}");
        reply.header(name).map(str::to_owned)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where `OSTREE_RS_MOTO_SERVER` names moto's program: see tests/README.md.
#[test]
fn clients_pull_from_an_object_store() {
    let Ok(moto) = std::env::var("OSTREE_RS_MOTO_SERVER") else {
        eprintln!("skipped: OSTREE_RS_MOTO_SERVER is not set");
        return;
    };
    if !need("ostree") || !need("skopeo") {
        return;
    }
    for (program, place) in [("aws", format!("s3://{BUCKET}")), ("rclone", format!("store:{BUCKET}"))] {
        if !need(program) {
            continue;
        }
        let home = Home::new();
        let commit =
            ["--repo=repo", "commit", "-b", "os/stable", "--tree=dir=tree", "--timestamp=@1700000001"];
        home.ok(&commit);
        home.ok(&["serve", "--repo=repo", "--export=www"]);
        let store = Store::start(&moto);
        store.ok("aws", &["s3", "mb", &format!("s3://{BUCKET}")]);
        let script = home.path("www/s3-sync.sh").display().to_string();
        let more: &[&str] = if program == "aws" { &["--acl=public-read"] } else { &[] };
        let sync = || store.ok("sh", &[&[&*script, &*place], more].concat());
        sync();
        headers(&store, &home.path("www"));
        // A web site in front of the bucket, as object stores have them.
        fs::create_dir(home.path("site")).unwrap();
        let to_bucket = format!(
            ":8080 {{\n\t@dir path */\n\troute {{\n\t\trewrite @dir {{path}}index.html\n\t\trewrite * \
             /{BUCKET}{{uri}}\n\t\treverse_proxy {}\n\t}}\n}}\n",
            store.address
        );
        fs::write(home.path("site/Caddyfile"), format!("{{\n\tadmin off\n\tauto_https off\n}}\n{to_bucket}"))
            .unwrap();
        let Some(site) = Server::caddy(&home.path("site")) else { return };
        let id = home.ok(&["--repo=repo", "rev-parse", "os/stable"]);
        pulls(&home, &site, id.trim());
        // What changes is sent, and clients see it. What is named by its content is not, by whatever times files have.
        let sent: Vec<_> = keys(&home.path("www")).into_iter().filter(|key| is_kept(key)).collect();
        let times = || sent.iter().map(|key| store.header(key, "last-modified")).collect::<Vec<_>>();
        let before = times();
        run("find", &[home.path("www").to_str().unwrap(), "-exec", "touch", "{}", "+"]);
        home.ok(&[
            "--repo=repo",
            "commit",
            "-b",
            "os/stable",
            "--tree=ref=os/stable",
            "--timestamp=@1700000002",
        ]);
        home.ok(&["serve", "--repo=repo", "--export=www"]);
        sync();
        assert_eq!(times(), before, "{sent:?}");
        let newer = home.ok(&["--repo=repo", "rev-parse", "os/stable"]);
        assert_ne!(newer, id);
        pulls(&home, &site, newer.trim());
    }
}

/// The keys of what is sent.
fn keys(www: &Path) -> Vec<String> {
    let key = |path: PathBuf| path.strip_prefix(www).unwrap().to_str().unwrap().to_owned();
    let is_sent = |key: &String| !matches!(&**key, "nginx.conf" | "Caddyfile" | "s3-sync.sh");
    files(www).into_iter().map(key).filter(is_sent).collect()
}

fn is_kept(key: &str) -> bool {
    key.contains("/sha256:") || (key.starts_with("repo/objects/") && !key.ends_with(".commitmeta"))
}

/// Every file that is named by its content may be kept, and no other.
fn headers(store: &Store, www: &Path) {
    for key in keys(www) {
        let cache = store.header(&key, "cache-control").unwrap();
        assert_eq!(cache.contains("immutable"), is_kept(&key), "{key}: {cache}");
    }
}

/// C ostree, skopeo and we take the commit, and documents have their types.
fn pulls(home: &Home, site: &Server, id: &str) {
    let arg = format!("--repo={}", home.path("client").display());
    if !home.path("client").exists() {
        run("ostree", &[&arg, "init", "--mode=bare-user"]);
        let url = format!("http://{}/repo", site.address);
        run("ostree", &[&arg, "remote", "add", "--no-gpg-verify", "origin", &url]);
        home.ok(&["--repo=ours", "init", "--mode=bare-user"]);
    }
    run("ostree", &[&arg, "pull", "origin", "os/stable"]);
    assert_eq!(home.ok(&["--repo=client", "rev-parse", "origin:os/stable"]).trim(), id);
    let (image, copied) = (format!("docker://{}/os/stable", site.address), home.path("copied"));
    let to = format!("dir:{}", copied.display());
    run("skopeo", &["--insecure-policy", "copy", "-q", "--src-tls-verify=false", &image, &to]);
    let ours = format!("ostree-unverified-registry:{}/os/stable", site.address);
    home.ok(&["pull", "--repo=ours", "--ref=got", "--tls-verify=false", &ours]);
    assert_eq!(home.ok(&["--repo=ours", "rev-parse", "got"]).trim(), id);
    documents(site, id);
}

/// Documents come as what they are.
fn documents(site: &Server, id: &str) {
    for (path, kind) in [
        ("/v2/", "application/json"),
        ("/v2/os/stable/tags/list", "application/json"),
        ("/v2/os/stable/manifests/latest", "application/vnd.oci.image.manifest.v1+json"),
        ("/repo/summary", "application/octet-stream"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/", "text/html; charset=utf-8"),
        (&format!("/tree/{id}/"), "text/html; charset=utf-8"),
    ] {
        let reply = ask(site.address, "GET", path, &[]);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(kind)), "{path}");
    }
}
