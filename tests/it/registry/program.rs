//! The program with registries, configured by the files that podman and skopeo read.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::server::{Certificates, Login, Server, Speech, USER};
use super::token::TokenServer;
use crate::oracle;

/// A home directory of its own, with a repository that has one commit.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(home.path("tree/usr")).unwrap();
        fs::write(home.path("tree/usr/hello"), b"hello\n").unwrap();
        home.write(".config/containers/policy.json", r#"{"default": [{"type": "insecureAcceptAnything"}]}"#);
        home.ok(&["--repo=repo", "init", "--mode=bare-user"]);
        home.ok(&["--repo=repo", "commit", "-b", "main", "--tree=dir=tree", "--timestamp=@1700000000"]);
        home.ok(&["--repo=new", "init", "--mode=bare-user"]);
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ostree-rs"));
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.args(args).current_dir(self.0.path()).env_clear();
        command.env("HOME", self.0.path()).env("XDG_RUNTIME_DIR", self.path("run")).env("PATH", path);
        // Whatever the machine is configured for.
        command.env("CONTAINERS_REGISTRIES_CONF", self.path("registries.conf"));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.run_with(&[], args)
    }

    pub(crate) fn run_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Output {
        if !self.path("registries.conf").exists() {
            self.write("registries.conf", "");
        }
        self.command(args).envs(variables.iter().copied()).output().unwrap()
    }

    /// Runs `program` as root, with directories of ours in the place of the system's; `None`, with a line that
    /// says so, where that cannot be done.
    pub(crate) fn run_mounted(
        &self,
        mounts: &[(&str, &str)],
        program: &str,
        args: &[&str],
    ) -> Option<Output> {
        if !oracle::need_root() || !oracle::need("unshare") {
            return None;
        }
        let run = |program: &str, args: &[&str]| {
            let mounts: String =
                mounts.iter().map(|(ours, theirs)| format!("mount --bind {ours} {theirs} && ")).collect();
            let script = format!("{mounts}exec \"$0\" \"$@\"");
            let mut command = Command::new("unshare");
            command
                .args(["--mount", "sh", "-c", &script, program])
                .args(args)
                .current_dir(self.path(""))
                .env_clear();
            command.env("HOME", self.path("")).env("PATH", std::env::var("PATH").unwrap());
            command.env("XDG_RUNTIME_DIR", self.path("run")).output().unwrap()
        };
        let works = run("true", &[]).status.success();
        if !works {
            eprintln!("skipped: directories cannot be mounted here");
        }
        works.then(|| run(program, args))
    }

    pub(crate) fn ok(&self, args: &[&str]) -> String {
        self.ok_with(&[], args)
    }

    pub(crate) fn ok_with(&self, variables: &[(&str, &str)], args: &[&str]) -> String {
        let out = self.run_with(variables, args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// What it says when it fails.
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert!(!out.status.success(), "{args:?} should fail");
        String::from_utf8(out.stderr).unwrap()
    }

    pub(crate) fn push(&self, image: &str, more: &[&str]) -> String {
        let push = format!("--push=docker://{image}");
        self.ok(&[&["--repo=repo", "container", "build", "--ref=main", &push], more].concat())
    }
}

pub(crate) fn auth_json(key: &str) -> String {
    let secret = STANDARD.encode(format!("{}:{}", USER.0, USER.1));
    format!(r#"{{"auths": {{"{key}": {{"auth": "{secret}"}}}}}}"#)
}

#[test]
fn pushes_pulls_and_copies() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let (home, image) = (Home::new(), format!("{}/org/app:1", server.address));
    let digest = home.push(&image, &["--tls-verify=false"]);
    let commit = home.ok(&["--repo=repo", "rev-parse", "main"]);
    let pull = ["--repo=new", "container", "pull", "--tls-verify=false", "--ref=got"];
    let pulled = home.ok(&[&pull[..], &[&format!("ostree-unverified-registry:{image}")]].concat());
    assert_eq!(pulled, commit);
    assert_eq!(home.ok(&["--repo=new", "rev-parse", "got"]), commit);
    let pinned = format!("ostree-unverified-registry:{}/org/app@{digest}", server.address);
    assert_eq!(home.ok(&[&pull[..], &[&pinned]].concat()), commit);
    let wrong = pinned.replace(&digest[7..], &"0".repeat(64));
    assert!(home.fails(&[&pull[..], &[&wrong]].concat()).contains("404"));

    // Round by all the transports; the digest stays.
    let copy = ["container", "copy", "--tls-verify=false"];
    let places = [
        format!("docker://{image}"),
        "dir:plain".to_owned(),
        "oci:layout:x".to_owned(),
        "oci-archive:archive.tar:x".to_owned(),
        "docker-archive:docker.tar:app:1".to_owned(),
    ];
    for pair in places.windows(2) {
        assert_eq!(home.ok(&[&copy[..], &[&pair[0], &pair[1]]].concat()), digest);
    }
    let elsewhere = format!("docker://{}/other:2", server.address);
    assert_eq!(home.ok(&[&copy[..], &["oci-archive:archive.tar:x", &elsewhere]].concat()), digest);
    if oracle::need("skopeo") {
        let theirs = format!("dir:{}", home.path("theirs").display());
        let args = ["--insecure-policy", "copy", "-q", "--src-tls-verify=false", &elsewhere, &theirs];
        oracle::run("skopeo", &args);
        let unverified = ["--repo=new", "container", "pull", "ostree-unverified-image:dir:theirs"];
        assert_eq!(home.ok(&unverified), commit);
    }
}

#[test]
fn credentials_are_found() {
    let Some(server) = Server::start(&Login::Basic, &Speech::Plain) else { return };
    let (home, host) = (Home::new(), server.address.to_string());
    let image = format!("{host}/org/app:1");
    let insecure = "--tls-verify=false";
    let push = format!("--push=docker://{image}");
    let push_fails =
        |home: &Home| home.fails(&["--repo=repo", "container", "build", "--ref=main", &push, insecure]);
    let error = push_fails(&home);
    assert!(error.contains("podman login") && error.contains(&format!("error: {host}: ")), "{error}");
    home.push(&image, &[insecure, &format!("--creds={}:{}", USER.0, USER.1)]);

    home.write("some.json", &auth_json(&host));
    home.push(&image, &[insecure, "--authfile=some.json"]);
    let mut command = home.command(&["--repo=repo", "container", "build", "--ref=main", &push, insecure]);
    assert!(command.env("REGISTRY_AUTH_FILE", "some.json").status().unwrap().success());
    for place in ["run/containers/auth.json", ".config/containers/auth.json", ".docker/config.json"] {
        home.write(place, &auth_json(&format!("{host}/org")));
        home.push(&image, &[insecure]);
        fs::remove_file(home.path(place)).unwrap();
    }
    push_fails(&home);
    // What comes first is enough: a file behind it may be damaged.
    home.write("run/containers/auth.json", &auth_json(&host));
    home.write(".docker/config.json", "{");
    home.push(&image, &[insecure]);
    fs::remove_file(home.path("run/containers/auth.json")).unwrap();
    assert!(push_fails(&home).contains("config.json"));

    // A credential helper.
    let helper = format!(
        "read -r server\ntest \"$1 $server\" = 'get {host}' || exit 1\n\
         echo '{{\"ServerURL\": \"x\", \"Username\": \"{}\", \"Secret\": \"{}\"}}'",
        USER.0, USER.1
    );
    oracle::script(&helper, &home.path("bin/docker-credential-test"));
    home.write(".docker/config.json", &format!(r#"{{"credHelpers": {{"{host}": "test"}}}}"#));
    home.push(&image, &[insecure]);
    home.write(".docker/config.json", r#"{"credsStore": "test"}"#);
    home.push(&image, &[insecure]);
    fs::remove_file(home.path(".docker/config.json")).unwrap();
    home.write("registries.conf", r#"credential-helpers = ["containers-auth.json", "test"]"#);
    home.push(&image, &[insecure]);
    // One that fails is an error only if no other knows.
    home.write("registries.conf", r#"credential-helpers = ["missing", "test"]"#);
    home.push(&image, &[insecure]);
    home.write("registries.conf", r#"credential-helpers = ["missing"]"#);
    assert!(push_fails(&home).contains("docker-credential-missing"));
}

/// ostree's own files: of the user, or of root.
#[test]
fn credentials_of_ostree_are_found() {
    let Some(server) = Server::start(&Login::Basic, &Speech::Plain) else { return };
    let (home, host) = (Home::new(), server.address.to_string());
    let push = format!("--push=docker://{host}/org/app:1");
    let args = ["--repo=repo", "container", "build", "--ref=main", &push, "--tls-verify=false"];
    if !oracle::need_root() {
        for place in ["run/ostree/auth.json", ".config/ostree/auth.json"] {
            home.write(place, &auth_json(&host));
            home.ok(&args);
            fs::remove_file(home.path(place)).unwrap();
        }
        return;
    }
    let wrong = auth_json(&host).replace(&STANDARD.encode(format!("{}:{}", USER.0, USER.1)), "eDp5");
    for (run, etc, good) in [(&auth_json(&host), &wrong, true), (&wrong, &auth_json(&host), false)] {
        home.write("system/run/ostree/auth.json", run);
        home.write("system/etc/ostree/auth.json", etc);
        let mounts = [("system/run", "/run"), ("system/etc", "/etc")];
        let Some(out) = home.run_mounted(&mounts, env!("CARGO_BIN_EXE_ostree-rs"), &args) else { return };
        assert_eq!(out.status.success(), good, "{out:?}");
    }
}

#[test]
fn certificates_are_found() {
    let Some(files) = Certificates::make() else { return };
    let Some(server) = Server::start(&Login::Anybody, &Speech::Tls(&files)) else { return };
    let (home, image) = (Home::new(), format!("{}/org/app:1", server.address));
    let push = format!("--push=docker://{image}");
    let args = ["--repo=repo", "container", "build", "--ref=main", &push];
    let error = home.fails(&args);
    assert!(error.contains("UnknownIssuer") && error.contains("--cert-dir"), "{error}");
    home.push(&image, &["--tls-verify=false"]);
    home.write("certs/ca.crt", &String::from_utf8(files.ca()).unwrap());
    home.push(&image, &["--cert-dir=certs"]);
    let host = format!(".config/containers/certs.d/{}", server.address);
    home.write(&format!("{host}/ca.crt"), &String::from_utf8(files.ca()).unwrap());
    home.push(&image, &[]);
}

/// What ostree-ext calls the options for credentials and certificates.
#[test]
fn nobody_in_particular_and_any_certificate() {
    let Some(files) = Certificates::make() else { return };
    let Some(server) = Server::start(&Login::Basic, &Speech::Tls(&files)) else { return };
    let (home, host) = (Home::new(), server.address.to_string());
    home.write(".config/containers/auth.json", &auth_json(&host));
    let image = format!("docker://{host}/org/app:1");
    home.push(&format!("{host}/org/app:1"), &["--insecure-skip-tls-verification"]);
    let info = ["container", "info", "--insecure-skip-tls-verification", &image];
    home.ok(&info);
    let error = home.fails(&[&info[..], &["--auth-anonymous"]].concat());
    assert!(error.contains("it wants credentials and none are configured"), "{error}");
    let error = home.fails(&["container", "info", &image]);
    assert!(error.contains("UnknownIssuer"), "{error}");
}

/// The certificate of `openssl req -x509` is the server's and an authority's at once.
#[test]
fn a_self_signed_certificate_is_trusted() {
    let Some(files) = Certificates::self_signed(2) else { return };
    let Some(server) = Server::start(&Login::Anybody, &Speech::Tls(&files)) else { return };
    let (home, image) = (Home::new(), format!("{}/org/app:1", server.address));
    home.write("certs/ca.crt", &String::from_utf8(files.read("server.crt")).unwrap());
    let untrusted = ["--repo=repo", "container", "build", "--ref=main", &format!("--push={image}")];
    let error = home.fails(&untrusted);
    assert!(error.contains("signed its certificate itself") && error.contains("--cert-dir"), "{error}");
    let nowhere = home.fails(&[&untrusted[..], &["--cert-dir=nodir"]].concat());
    assert!(nowhere.contains("nodir: no such directory"), "{nowhere}");
    let digest = home.push(&image, &["--cert-dir=certs"]);
    let (dir, place) = (home.path("certs").display().to_string(), format!("docker://{image}"));
    if oracle::need("skopeo") {
        let inspect = ["inspect", "--cert-dir", &dir, "--format", "{{.Digest}}", &place];
        assert_eq!(oracle::run("skopeo", &inspect).trim_ascii(), digest.as_bytes());
    }
    // It is for one address, and no other of the kind will do.
    let elsewhere = format!("--push=docker://localhost:{}/org/app:1", server.address.port());
    let build = ["--repo=repo", "container", "build", "--ref=main", "--cert-dir=certs"];
    let error = home.fails(&[&build[..], &[&elsewhere]].concat());
    assert!(error.contains("not valid for"), "{error}");
    let Some(other) = Certificates::self_signed(2) else { return };
    home.write("certs/ca.crt", &String::from_utf8(other.read("server.crt")).unwrap());
    let push = format!("--push=docker://{image}");
    assert!(home.fails(&[&build[..], &[&push]].concat()).contains("certificate"));

    // Nor one that is valid no more.
    let Some(old) = Certificates::self_signed(-1) else { return };
    let Some(server) = Server::start(&Login::Anybody, &Speech::Tls(&old)) else { return };
    home.write("certs/ca.crt", &String::from_utf8(old.read("server.crt")).unwrap());
    let push = format!("--push=docker://{}/org/app:1", server.address);
    let error = home.fails(&[&build[..], &[&push]].concat());
    assert!(error.contains("Expired"), "{error}");
}

#[test]
fn registries_conf_is_followed() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let (home, host) = (Home::new(), server.address.to_string());
    home.push(&format!("{host}/foo/app:1"), &["--tls-verify=false"]);
    let config = format!(
        r#"
        unqualified-search-registries = ["example.com"]
        [aliases]
        "short" = "example.com/foo/app"
        [[registry]]
        prefix = "example.com/foo"
        location = "{host}/nowhere"
        insecure = true
        [[registry.mirror]]
        location = "{host}/missing"
        insecure = true
        [[registry.mirror]]
        location = "{host}/foo"
        insecure = true
        [[registry]]
        location = "evil.example"
        blocked = true
        [[registry]]
        location = "{host}"
        insecure = true
        "#
    );
    home.write("registries.conf", &config);
    let commit = home.ok(&["--repo=repo", "rev-parse", "main"]);
    let pull = |name: &str| {
        home.run(&["--repo=new", "container", "pull", &format!("ostree-unverified-registry:{name}")])
    };
    for name in ["example.com/foo/app:1", "short:1", "foo/app:1", &format!("{host}/foo/app:1")] {
        let out = pull(name);
        assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), commit, "{out:?}");
    }
    let error = String::from_utf8(pull("evil.example/app:1").stderr).unwrap();
    assert!(error.contains("blocked"), "{error}");
}

/// `-v` and `RUST_LOG` tell of requests, places, credentials and what was reused; no secret is in it.
#[test]
fn what_is_done_is_told_without_secrets() {
    let Some((_tokens, server)) = TokenServer::with_registry(300) else { return };
    let (home, host) = (Home::new(), server.address.to_string());
    home.write("run/containers/auth.json", &auth_json(&host));
    home.write(
        "registries.conf",
        &format!(
            "[[registry]]\nlocation = \"{host}\"\ninsecure = true\n\
             [[registry.mirror]]\nlocation = \"{host}/missing\"\ninsecure = true\n"
        ),
    );
    let push = format!("--push=docker://{host}/org/app:1");
    let image = format!("ostree-unverified-registry:{host}/org/app:1");
    let told = |variables: &[(&str, &str)], args: &[&str]| {
        let out = home.run_with(variables, args);
        let text = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.success(), "{text}");
        text
    };
    let built = told(&[], &["--repo=repo", "-v", "container", "build", "--ref=main", &push]);
    let pulled = told(&[], &["--repo=new", "-v", "container", "pull", "--ref=x", &image]);
    let again = told(&[("RUST_LOG", "trace")], &["--repo=new", "container", "pull", "--ref=x", &image]);
    for (told, expected) in [
        (&built, "request method=PUT url=http://"),
        (&pulled, "request method=GET url=http://"),
        (&pulled, "status=200"),
        (&pulled, "credentials found"),
        (&pulled, "run/containers/auth.json"),
        (&pulled, "no image there"),
        (&pulled, "image found"),
        (&pulled, "OT: "),
        (&again, "layer reused"),
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let secrets = [USER.1.to_owned(), STANDARD.encode(format!("{}:{}", USER.0, USER.1)), "eyJ".to_owned()];
    for (told, secret) in
        [&built, &pulled, &again].into_iter().flat_map(|told| secrets.iter().map(move |s| (told, s)))
    {
        assert!(
            !told.contains(secret) && !told.contains('?') && !told.contains("Bearer"),
            "{secret}: {told}"
        );
    }
    // Nobody asked: nothing is told.
    assert_eq!(told(&[], &["--repo=new", "container", "pull", "--ref=x", &image]), "");
    let requests =
        told(&[("RUST_LOG", "off,ostree_rs::net=debug")], &["--repo=new", "container", "pull", &image]);
    assert!(
        requests.lines().all(|line| line.starts_with("ostree_rs::net")) && !requests.is_empty(),
        "{requests}"
    );
}
