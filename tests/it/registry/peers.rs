//! Registries of every kind, and the programs that others use with them, on a real commit.
//!
//! ```text
//!             push                                pull, run, inspect, copy
//! we ────────────────► docker-registry ─────────────────────────────────► skopeo, podman
//! skopeo, buildah ───► docker-registry ─────────────────────────────────► we
//! ```

use std::fs;
use std::path::PathBuf;

use super::program::Home;
use super::server::{Certificates, Login, Server, Speech, USER};
use super::token::TokenServer;
use crate::oracle;

/// A commit with a program in it, so that there is something to run.
fn home() -> Option<Home> {
    let busybox = PathBuf::from("/bin/busybox");
    assert!(busybox.exists() || std::env::var_os("CI").is_none(), "busybox-static is not installed");
    if !busybox.exists() || !oracle::need("skopeo") || !oracle::need("podman") || !oracle::need("runc") {
        return None;
    }
    let home = Home::new();
    fs::create_dir_all(home.path("tree/usr/bin")).unwrap();
    fs::copy(busybox, home.path("tree/usr/bin/busybox")).unwrap();
    home.ok(&["--repo=repo", "commit", "-b", "main", "--tree=dir=tree", "--timestamp=@1700000000"]);
    Some(home)
}

/// What a registry has to be told, for us and for the others.
struct RegistryAccess {
    ours: Vec<String>,
    /// Certificates, for podman.
    certificates: Vec<String>,
    /// User and password, for podman and skopeo.
    login: Vec<String>,
}

impl RegistryAccess {
    fn new(home: &Home, login: bool, certificates: Option<&Certificates>) -> Self {
        let user = format!("--creds={}:{}", USER.0, USER.1);
        let login = Vec::from_iter(login.then_some(user));
        let certificates = match certificates {
            Some(files) => {
                home.write("certs/ca.crt", &String::from_utf8(files.ca()).unwrap());
                vec![format!("--cert-dir={}", home.path("certs").display())]
            }
            None => vec!["--tls-verify=false".to_owned()],
        };
        Self { ours: [&certificates[..], &login[..]].concat(), certificates, login }
    }

    fn ours(&self) -> Vec<&str> {
        self.ours.iter().map(String::as_str).collect()
    }

    fn theirs(&self) -> Vec<&str> {
        self.certificates.iter().chain(&self.login).map(String::as_str).collect()
    }

    /// The same, as `skopeo copy` wants it of one side.
    fn side(&self, side: &str) -> Vec<String> {
        let all = self.certificates.iter().chain(&self.login);
        all.map(|option| option.replace("--", &format!("--{side}-"))).collect()
    }
}

/// Runs podman on stores of its own, below `home`.
fn podman(home: &Home, args: &[&str]) -> String {
    let (root, run) = (home.path("podman").display().to_string(), home.path("podrun").display().to_string());
    let places = ["--root", &root, "--runroot", &run, "--storage-driver", "vfs"];
    let how = ["--runtime", "runc", "--cgroup-manager", "cgroupfs"];
    String::from_utf8(oracle::run("podman", &[&places[..], &how, args].concat())).unwrap()
}

/// What a command prints in a container. It is asked of podman's log: on a busy machine a podman that is attached loses it.
fn run_in_container(home: &Home, image: &str, command: &[&str]) -> String {
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    let run = ["run", "--detach", "--log-driver=k8s-file", "--cgroups=enabled", "--network=none"];
    let id = podman(home, &[&run[..], &limits, &[image], command].concat());
    let id = id.trim();
    assert_eq!(podman(home, &["wait", id]), "0\n");
    let said = podman(home, &["logs", id]);
    podman(home, &["rm", id]);
    said
}

/// We push, everybody pulls.
fn push_for_all(home: &Home, server: &Server, access: &RegistryAccess) {
    let commit = home.ok(&["--repo=repo", "rev-parse", "main"]);
    let image = format!("{}/org/app:1", server.address);
    let digest = home.push(&image, &access.ours());
    let theirs = access.theirs();
    let of = |format: &str| {
        let inspect = ["inspect", "--format", format];
        let place = format!("docker://{image}");
        let args = [&inspect[..], &theirs, &[&place]].concat();
        String::from_utf8(oracle::run("skopeo", &args)).unwrap().trim().to_owned()
    };
    assert_eq!(of("{{.Digest}}"), digest);
    assert_eq!(of("{{index .Labels \"ostree.commit\"}}"), commit);

    podman(home, &[&["pull", "-q"], &theirs[..], &[&image]].concat());
    let said = run_in_container(home, &image, &["/usr/bin/busybox", "cat", "/usr/hello"]);
    assert_eq!(said, "hello\n");
    podman(home, &["rmi", "-f", &image]);

    // What skopeo copies to the registry is what we get.
    let copied = format!("{}/theirs/app:2", server.address);
    let sides = [access.side("src"), access.side("dest")].concat();
    let sides: Vec<_> = sides.iter().map(String::as_str).collect();
    let places = [format!("docker://{image}"), format!("docker://{copied}")];
    let places: Vec<_> = places.iter().map(String::as_str).collect();
    oracle::run("skopeo", &[&["--insecure-policy", "copy", "-q"], &sides[..], &places].concat());
    for image in [image, copied] {
        let unverified = format!("ostree-unverified-registry:{image}");
        let pull = ["--repo=new", "container", "pull", "--ref=got"];
        assert_eq!(home.ok(&[&pull[..], &access.ours(), &[&unverified]].concat()), commit);
        assert_eq!(home.ok(&["--repo=new", "rev-parse", "got"]), commit);
    }
    home.ok(&["--repo=new", "fsck"]);
}

#[test]
fn with_a_plain_registry() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let Some(home) = home() else { return };
    push_for_all(&home, &server, &RegistryAccess::new(&home, false, None));
}

#[test]
fn with_user_and_password() {
    let Some(server) = Server::start(&Login::Basic, &Speech::Plain) else { return };
    let Some(home) = home() else { return };
    push_for_all(&home, &server, &RegistryAccess::new(&home, true, None));
}

#[test]
fn with_a_certificate_of_an_own_authority() {
    let Some(files) = Certificates::make() else { return };
    let Some(server) = Server::start(&Login::Basic, &Speech::Tls(&files)) else { return };
    let Some(home) = home() else { return };
    push_for_all(&home, &server, &RegistryAccess::new(&home, true, Some(&files)));
}

#[test]
fn with_tokens() {
    let Some((_tokens, server)) = TokenServer::with_registry(300) else { return };
    let Some(home) = home() else { return };
    push_for_all(&home, &server, &RegistryAccess::new(&home, true, None));
}

/// Layers of zstd:chunked, ours with podman and skopeo, skopeo's with us.
#[test]
fn zstd_chunked() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let Some(home) = home() else { return };
    let commit = home.ok(&["--repo=repo", "rev-parse", "main"]);
    let (ours, insecure) = (format!("{}/ours:1", server.address), "--tls-verify=false");
    home.push(&ours, &[insecure, "--compression=zstd:chunked"]);
    podman(&home, &["pull", "-q", insecure, &ours]);
    let said = run_in_container(&home, &ours, &["/usr/bin/busybox", "cat", "/usr/hello"]);
    assert_eq!(said, "hello\n");
    // The annotations survive a copy, and skopeo's own writing of the format is read.
    home.ok(&["container", "copy", insecure, &format!("docker://{ours}"), "oci:layout:1"]);
    let gzip = format!("docker://{}/gzip:1", server.address);
    home.push(&gzip[9..], &[insecure]);
    let plain = format!("dir:{}", home.path("theirs").display());
    let compress = ["--dest-compress", "--dest-compress-format", "zstd:chunked"];
    let decompressed = format!("dir:{}", home.path("plain").display());
    let copy = ["--insecure-policy", "copy", "-q", "--src-tls-verify=false"];
    // It compresses anew only what is not compressed.
    oracle::run("skopeo", &[&copy[..], &["--dest-decompress", &gzip, &decompressed]].concat());
    oracle::run("skopeo", &[&copy[..], &compress, &[&decompressed, &plain]].concat());
    let manifest = |place: &str| fs::read_to_string(home.path(place)).unwrap();
    assert!(manifest("theirs/manifest.json").contains("zstd-chunked.manifest-checksum"));
    for image in [&format!("docker://{ours}"), "oci:layout:1", "dir:theirs"] {
        let unverified = format!("ostree-unverified-image:{image}");
        assert_eq!(home.ok(&["--repo=new", "container", "pull", insecure, &unverified]), commit);
        let place = home.path("copy").display().to_string();
        let _ = fs::remove_dir_all(&place);
        home.ok(&["container", "copy", insecure, image, "dir:copy"]);
        assert!(manifest("copy/manifest.json").contains("zstd-chunked.manifest-position"), "{image}");
    }
    home.ok(&["--repo=new", "fsck"]);
}

/// The digest of every blob, and the manifest, of an image in a layout.
fn blobs(home: &Home, layout: &str) -> Vec<String> {
    let entries = fs::read_dir(home.path(layout).join("blobs/sha256")).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn images_that_buildah_made() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    if !oracle::need("buildah") || !oracle::need("skopeo") {
        return;
    }
    let home = Home::new();
    let (root, run) = (home.path("store").display().to_string(), home.path("run2").display().to_string());
    let places = ["--root", &root, "--runroot", &run, "--storage-driver", "vfs"];
    let buildah = |args: &[&str]| {
        String::from_utf8(oracle::run("buildah", &[&places[..], args].concat())).unwrap().trim().to_owned()
    };
    let container = buildah(&["from", "scratch"]);
    buildah(&["copy", "-q", &container, &home.path("tree").display().to_string(), "/"]);
    for format in ["oci", "docker"] {
        let image = format!("docker://{}/built/{format}:1", server.address);
        buildah(&["commit", "-q", "--tls-verify=false", "--format", format, &container, &image]);
        let skopeo = ["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &image];
        let digest = String::from_utf8(oracle::run("skopeo", &skopeo)).unwrap().trim().to_owned();
        // The same bytes in a plain directory; a layout has OCI's documents only.
        let plain = format!("dir:plain-{format}");
        assert_eq!(home.ok(&["container", "copy", "--tls-verify=false", &image, &plain]), digest);
        let (ours, theirs) = (format!("ours-{format}"), format!("theirs-{format}"));
        let layout = format!("oci:{ours}:1");
        let copied = home.ok(&["container", "copy", "--tls-verify=false", &image, &layout]);
        assert_eq!(copied == digest, format == "oci");
        let place = format!("oci:{}:1", home.path(&theirs).display());
        let copy = ["--insecure-policy", "copy", "-q", "--src-tls-verify=false", &image, &place];
        oracle::run("skopeo", &copy);
        if format == "oci" {
            assert_eq!(blobs(&home, &ours), blobs(&home, &theirs));
        }
        // Skopeo reads what was converted.
        let ours = format!("oci:{}:1", home.path(&ours).display());
        oracle::run("skopeo", &["inspect", &ours]);
        // An image without a commit is a root file system.
        let unverified = format!("ostree-unverified-image:{image}");
        home.ok(&["--repo=new", "container", "pull", "--ref=plain", "--tls-verify=false", &unverified]);
        assert_eq!(home.ok(&["--repo=new", "cat", "plain", "/usr/hello"]), "hello");
        home.ok(&["--repo=new", "fsck"]);
    }
    buildah(&["rm", &container]);
}
