//! How a remote is reached: certificates, versions of HTTP, proxies, slow and failing servers. C ostree with the same
//! configuration does the same.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{Fixture, Nginx, OURS};
use crate::oracle;
use crate::registry::server::Certificates;

/// Pulls by both programs with more lines for the remote; says whether they succeeded, which has to be the same, and what
/// ours said.
fn both(fixture: &Fixture, url: &str, more: &str) -> (bool, String) {
    let outs = [("theirs", "ostree"), ("ours", OURS)].map(|(name, program)| {
        fixture.repository(name, "bare-user", url);
        let config = fixture.path(name).join("config");
        fs::write(&config, fs::read_to_string(&config).unwrap() + more).unwrap();
        fixture.start(program, &["pull", &format!("--repo={name}"), "origin", "main"])
    });
    let [theirs, ours] = outs.each_ref().map(|out| out.status.success());
    let said = super::text(&outs[1].stderr);
    assert_eq!(ours, theirs, "{more}: {said} / {}", super::text(&outs[0].stderr));
    if ours {
        assert_eq!(fixture.content("ours"), fixture.content("theirs"), "{more}");
        fixture.fsck("ours");
    }
    (ours, said)
}

#[test]
fn certificates_of_the_server_and_of_the_client_are_asked_for() {
    let fixture = Fixture::new();
    let Some(files) = Certificates::make() else { return };
    let at = |name: &str| files.path(name).display().to_string();
    let ca = format!("tls-ca-path={}\n", at("ca.crt"));
    let (certificate, key) = (
        format!("tls-client-cert-path={}\n", at("client.crt")),
        format!("tls-client-key-path={}\n", at("client.key")),
    );
    for asks_for_client in [false, true] {
        let client = format!("ssl_client_certificate {}; ssl_verify_client on;", at("ca.crt"));
        let more = if asks_for_client { &*client } else { "" };
        let Some(server) = Nginx::start_tls(&fixture.path("srv"), &files, more) else { return };
        let url = format!("https://{}/repo", server.address);
        for (settings, expected) in [
            (String::new(), false),
            (ca.clone(), !asks_for_client),
            ("tls-permissive=true\n".into(), !asks_for_client),
            (format!("{ca}{certificate}{key}"), true),
            (format!("tls-permissive=true\n{certificate}{key}"), true),
            // The authority of another.
            (format!("tls-ca-path={}\n{certificate}{key}", at("client.crt")), false),
            (format!("{ca}{certificate}"), false),
        ] {
            let (succeeded, said) = both(&fixture, &url, &settings);
            assert_eq!(succeeded, expected, "{settings}{said}");
        }
        let (_, said) = both(&fixture, &url, &format!("{ca}{certificate}"));
        assert!(
            said.contains("must specify both \"tls-client-cert-path\" and \"tls-client-key-path\""),
            "{said}"
        );
    }
}

#[test]
fn http_2_is_spoken_unless_it_is_switched_off() {
    let fixture = Fixture::new();
    let Some(files) = Certificates::make() else { return };
    let ca = format!("tls-ca-path={}\n", files.path("ca.crt").display());
    for (refused, settings) in [("HTTP/1.1", ""), ("HTTP/2.0", "http2=false\n")] {
        let more = format!("location / {{ if ($server_protocol = {refused}) {{ return 403; }} }}");
        let Some(server) = Nginx::start_tls(&fixture.path("srv"), &files, &more) else { return };
        let url = format!("https://{}/repo", server.address);
        fixture.repository("ours", "bare-user", &url);
        let config = fixture.path("ours/config");
        fs::write(&config, fs::read_to_string(&config).unwrap() + &ca + settings).unwrap();
        fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
        fixture.fsck("ours");
        let other = if settings.is_empty() { "http2=false\n" } else { "http2=true\n" };
        fixture.repository("ours", "bare-user", &url);
        fs::write(&config, fs::read_to_string(&config).unwrap() + &ca + other).unwrap();
        let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
        assert!(said.contains("403"), "{said}");
    }
}

/// A running tinyproxy.
struct TinyProxy {
    address: SocketAddr,
    dir: TempDir,
    child: Child,
}

impl TinyProxy {
    fn start(more: &str) -> Option<Self> {
        if !oracle::need("tinyproxy") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "Port {}\nListen 127.0.0.1\nTimeout 60\nLogLevel Connect\nLogFile \"{}\"\nMaxClients 100\n{more}\n",
            address.port(),
            dir.path().join("log").display()
        );
        fs::write(dir.path().join("config"), config).unwrap();
        let child = Command::new("tinyproxy")
            .arg("-d")
            .arg("-c")
            .arg(dir.path().join("config"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let proxy = Self { address, dir, child };
        for _ in 0..200 {
            if TcpStream::connect(proxy.address).is_ok() {
                return Some(proxy);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("tinyproxy does not start: {}", proxy.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for TinyProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn proxies_are_used_as_configured() {
    let fixture = Fixture::new();
    // Only what came through a proxy says so.
    let only_via = "location / { if ($http_via = \"\") { return 403; } }";
    let Some(server) = Nginx::start_with(&fixture.path("srv"), only_via) else { return };
    let Some(open) = TinyProxy::start("") else { return };
    let Some(closed) = TinyProxy::start("BasicAuth user secret") else { return };
    let url = server.url("repo");
    let proxy = |login: &str, proxy: &TinyProxy| format!("http://{login}{}", proxy.address);
    for (settings, expected) in [
        (String::new(), false),
        (format!("proxy={}\n", proxy("", &open)), true),
        (format!("proxy={}\n", proxy("", &closed)), false),
        (format!("proxy={}\n", proxy("user:wrong@", &closed)), false),
        (format!("proxy={}\n", proxy("user:secret@", &closed)), true),
    ] {
        let (succeeded, said) = both(&fixture, &url, &settings);
        assert_eq!(succeeded, expected, "{settings}{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    // TLS goes through it as it is.
    let Some(files) = Certificates::make() else { return };
    let Some(server) = Nginx::start_tls(&fixture.path("srv"), &files, "") else { return };
    let url = format!("https://{}/repo", server.address);
    let ca = format!("tls-ca-path={}\n", files.path("ca.crt").display());
    for (login, expected) in [("", false), ("user:secret@", true)] {
        let settings = format!("{ca}proxy={}\n", proxy(login, &closed));
        let (succeeded, said) = both(&fixture, &url, &settings);
        assert_eq!(succeeded, expected, "{settings}{said}");
    }
    let log = closed.log();
    assert!(log.contains(&format!("CONNECT {}", server.address)), "{log}");
}

/// As for curl, with which C ostree asks: this machine is a host like others, and `no_proxy` counts for every proxy.
#[test]
fn proxies_of_the_environment_are_used_as_the_c_program_uses_them() {
    let fixture = Fixture::new();
    let only_via = "location / { if ($http_via = \"\") { return 403; } }";
    let Some(server) = Nginx::start_with(&fixture.path("srv"), only_via) else { return };
    let Some(proxy) = TinyProxy::start("") else { return };
    let (url, proxy) = (server.url("repo"), format!("http://{}", proxy.address));
    type Variables<'a> = &'a [(&'a str, &'a str)];
    let lines: [(&str, Variables<'_>, bool); 6] = [
        ("", &[], false),
        ("", &[("http_proxy", &proxy)], true),
        ("", &[("http_proxy", &proxy), ("no_proxy", "example.org")], true),
        ("", &[("http_proxy", &proxy), ("no_proxy", "127.0.0.1")], false),
        (&format!("proxy={proxy}\n"), &[("no_proxy", "127.0.0.1")], false),
        (&format!("proxy={proxy}\n"), &[("http_proxy", "http://127.0.0.1:1")], true),
    ];
    for (settings, variables, expected) in lines {
        for program in ["ostree", OURS] {
            fixture.repository("ours", "bare-user", &url);
            let config = fixture.path("ours/config");
            fs::write(&config, fs::read_to_string(&config).unwrap() + settings).unwrap();
            let mut pull = Command::new(program);
            pull.args(["pull", "--repo=ours", "origin", "main"]).current_dir(fixture.dir.path());
            let out = pull.env_remove("OSTREE_REPO").envs(variables.iter().copied()).output().unwrap();
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            assert_eq!(out.status.success(), expected, "{program} {settings}{variables:?}: {said}");
        }
    }
}

#[test]
fn what_fails_is_asked_for_as_often_as_it_is_said() {
    let fixture = Fixture::new();
    // What is asked for beside it must not fail before it is asked for.
    let more = "location ~ [.]commit$ { return 503; }";
    let Some(server) = Nginx::start_with(&fixture.path("srv"), more) else { return };
    fixture.repository("ours", "bare-user", &server.url("repo"));
    for retries in [0, 2] {
        server.asked();
        let option = format!("--network-retries={retries}");
        let said = fixture.refused(&["pull", "--repo=ours", &option, "origin", "main"]);
        assert!(said.contains("503"), "{said}");
        let asked = server.asked().into_iter().filter(|line| line.contains(".commit ")).count();
        assert_eq!(asked, retries + 1);
    }
}

#[test]
fn a_server_that_is_too_slow_is_given_up() {
    let fixture = Fixture::new();
    let more = "location ~ /objects/ { limit_rate 300; }";
    let Some(server) = Nginx::start_with(&fixture.path("srv"), more) else { return };
    fixture.repository("ours", "bare-user", &server.url("repo"));
    let pull = ["pull", "--repo=ours", "--network-retries=0", "origin", "main"];
    let slow = ["--low-speed-limit-bytes=100000", "--low-speed-time-seconds=1"];
    let said = fixture.refused(&[&pull[..], &slow].concat());
    assert!(said.contains("bytes came within") || said.contains("nothing came for"), "{said}");
    // A commit alone comes in time.
    fixture.ours(&[&pull[..], &["--low-speed-limit-bytes=1", "--commit-metadata-only"]].concat());
}
