//! Who is shown our client certificate: the registry, and nobody that it sends us to.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ostree_rs::base::Ctx;
use ostree_rs::format::Checksum;
use ostree_rs::net::registry::Registry;
use ostree_rs::net::{Error, Http, HttpOptions, Identity, Limits, TlsOptions};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::program::Home;
use super::pull_blob;
use super::server::{Certificates, Login, Server, Speech};
use crate::oracle;

/// The requests to all servers of a test: which server, method and path, whether with a certificate.
type Seen = Arc<Mutex<Vec<(SocketAddr, String, bool)>>>;

/// A file by its name, and what is in it.
type Named<'a> = (&'a str, &'a [u8]);

/// A server that asks for a client certificate, but answers without one too.
fn asking(files: &Certificates, seen: &Seen, answer: impl Fn(&str) -> String + Send + 'static) -> SocketAddr {
    let provider = Arc::new(ring::default_provider());
    let certificate = |name: &str| CertificateDer::from_pem_slice(&files.read(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.crt")).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
        .with_single_cert(
            vec![certificate("server.crt")],
            PrivateKeyDer::from_pem_slice(&files.read("server.key")).unwrap(),
        );
    let (config, seen) = (Arc::new(config.unwrap()), Arc::clone(seen));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            serve(client, &config, |request, certified| {
                seen.lock().unwrap().push((address, request.to_owned(), certified));
                answer(request)
            });
        }
    });
    address
}

fn serve(client: TcpStream, config: &Arc<ServerConfig>, answer: impl FnOnce(&str, bool) -> String) {
    let stream = StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), client);
    let mut stream = BufReader::new(stream);
    let head: Vec<_> = stream.by_ref().lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
    let Some(request) = head.first().and_then(|line| line.strip_suffix(" HTTP/1.1")) else { return };
    let mut stream = stream.into_inner();
    let certified = stream.conn.peer_certificates().is_some();
    let answer = answer(request, certified).replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

fn registry(files: &Certificates, address: SocketAddr) -> Registry {
    let identity = Identity { certificates: files.pem("client.crt"), key: files.pem("client.key") };
    let tls =
        TlsOptions { roots: vec![files.pem("ca.crt")], identities: vec![identity], ..TlsOptions::default() };
    let http = Http::new(&HttpOptions {
        tls,
        limits: Limits { retries: 0, ..Limits::default() },
        ..HttpOptions::default()
    })
    .unwrap();
    Registry::new(http, &format!("https://{address}"), "a", None).unwrap()
}

fn to(place: &str) -> String {
    format!("307 Elsewhere\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn redirects_are_followed_without_the_certificate() {
    let Some(files) = Certificates::make() else { return };
    let seen = Seen::default();
    let home = Arc::new(Mutex::new(String::new()));
    let back = Arc::clone(&home);
    let elsewhere = asking(&files, &seen, move |_| to(&format!("{}/last", back.lock().unwrap())));
    let there = format!("https://{elsewhere}/store");
    let address = asking(&files, &seen, move |request| match request {
        "GET /moved" => to(&there),
        "GET /last" => "200 OK\r\nContent-Length: 2\r\n\r\nok".into(),
        _ => to("/moved"),
    });
    *home.lock().unwrap() = format!("https://{address}");
    let digest = Checksum::of(b"ok");
    // The authority of the registry is trusted elsewhere too, or there would be no answer.
    assert_eq!(pull_blob(&registry(&files, address), &digest, 2).unwrap(), b"ok");
    let seen = seen.lock().unwrap();
    let expected = [
        (address, format!("GET /v2/a/blobs/sha256:{digest}"), true),
        (address, "GET /moved".to_owned(), true),
        (elsewhere, "GET /store".to_owned(), false),
        (address, "GET /last".to_owned(), false),
    ];
    assert_eq!(*seen, expected);
}

#[test]
fn uploads_elsewhere_go_without_the_certificate() {
    let Some(files) = Certificates::make() else { return };
    let seen = Seen::default();
    let elsewhere = asking(&files, &seen, |_| "201 Created\r\nContent-Length: 0\r\n\r\n".into());
    let home = asking(&files, &seen, move |_| {
        format!("202 Accepted\r\nLocation: https://{elsewhere}/up\r\nContent-Length: 0\r\n\r\n")
    });
    let (ctx, data) = (Ctx::default(), Bytes::from_static(b"ok"));
    let upload = registry(&files, home).start_upload(&ctx).unwrap();
    upload.finish(&data, &Checksum::of(&data), &ctx).unwrap();
    let certified: Vec<_> = seen.lock().unwrap().iter().map(|(at, _, yes)| (*at, *yes)).collect();
    assert_eq!(certified, [(home, true), (elsewhere, false)]);
}

#[test]
fn what_speaks_tls_leads_to_nothing_in_the_clear() {
    let Some(files) = Certificates::make() else { return };
    let seen = Seen::default();
    let home = asking(&files, &seen, |request| match request.starts_with("GET") {
        true => to("http://127.0.0.1:9/store"),
        false => "202 Accepted\r\nLocation: http://127.0.0.1:9/up\r\nContent-Length: 0\r\n\r\n".into(),
    });
    let (registry, ctx) = (registry(&files, home), Ctx::default());
    let upload = registry.start_upload(&ctx).unwrap();
    let uploaded = upload.finish(&Bytes::from_static(b"ok"), &Checksum::of(b"ok"), &ctx);
    let manifest = registry.manifest("1", &[], &ctx).map(drop);
    for result in [uploaded, manifest] {
        assert!(matches!(&result, Err(Error::Protocol { why, .. }) if why.contains("TLS")), "{result:?}");
    }
}

#[test]
fn a_registry_that_wants_a_certificate() {
    let Some(files) = Certificates::make() else { return };
    let Some(server) = Server::start(&Login::Anybody, &Speech::MutualTls(&files)) else { return };
    let (home, image) = (Home::new(), format!("{}/org/app:1", server.address));
    let certs_d = format!(".config/containers/certs.d/{}", server.address);
    let copy = |from: &str, to: &str| home.write(to, &String::from_utf8(files.read(from)).unwrap());
    copy("ca.crt", &format!("{certs_d}/ca.crt"));
    let push = format!("--push=docker://{image}");
    let args = ["--repo=repo", "container", "build", "--ref=main", &push];
    home.fails(&args);
    for (dir, certificate) in [("certs", "client.crt"), (&certs_d, "client-v1.crt")] {
        copy("ca.crt", &format!("{dir}/ca.crt"));
        copy(certificate, &format!("{dir}/client.cert"));
        copy("client.key", &format!("{dir}/client.key"));
        let option = (dir == "certs").then_some("--cert-dir=certs");
        home.ok(&args.into_iter().chain(option).collect::<Vec<_>>());
    }
    // A key that belongs to another certificate.
    copy("server.key", "certs/client.key");
    let error = home.fails(&[&args[..], &["--cert-dir=certs"]].concat());
    assert!(error.contains("certs/client.cert: the certificate belongs to another key"), "{error}");
}

/// What lies in a directory of certificates, and whether we and skopeo get in with it.
#[test]
fn directories_of_certificates_say_the_same_to_both() {
    let (Some(files), Some(other)) = (Certificates::make(), Certificates::self_signed(2)) else { return };
    let Some(server) = Server::start(&Login::Anybody, &Speech::MutualTls(&files)) else { return };
    if !oracle::need("skopeo") {
        return;
    }
    let (home, image) = (Home::new(), format!("docker://{}/org/app:1", server.address));
    let (cert, key, ca) = (files.read("client.crt"), files.read("client.key"), files.ca());
    let (cert2, key2) = (other.read("server.crt"), other.read("server.key"));
    let cases: [(&str, &[Named<'_>], bool, &str); 8] = [
        ("one pair", &[("a.cert", &cert), ("a.key", &key)], true, "404"),
        (
            "the second",
            &[("a.cert", &cert2), ("a.key", &key2), ("b.cert", &cert), ("b.key", &key)],
            true,
            "404",
        ),
        (
            "the first",
            &[("a.cert", &cert), ("a.key", &key), ("b.cert", &cert2), ("b.key", &key2)],
            true,
            "404",
        ),
        ("a key alone", &[("a.cert", &cert), ("a.key", &key), ("b.key", &key)], false, "certs/b.cert"),
        ("no key", &[("a.cert", &cert), ("a.key", &key), ("b.cert", &cert)], false, "certs/b.key"),
        ("no certificate", &[("a.cert", b"x"), ("a.key", &key)], false, "certs/a.cert: no certificate"),
        (
            "no authority",
            &[("a.cert", &cert), ("a.key", &key), ("b.crt", b"x")],
            true,
            "certs/b.crt: no certificate",
        ),
        (
            "half an authority",
            &[("a.cert", &cert), ("a.key", &key), ("b.crt", &ca[..99])],
            true,
            "certs/b.crt",
        ),
    ];
    for (name, put, gets_in, word) in cases {
        let _ = fs::remove_dir_all(home.path("certs"));
        for (file, content) in put.iter().chain(&[("ca.crt", &*ca)]) {
            home.write(&format!("certs/{file}"), std::str::from_utf8(content).unwrap());
        }
        let said = home.fails(&["container", "info", "--cert-dir=certs", &image]);
        assert!(said.contains(word), "{name}: {said}");
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["inspect", "--cert-dir=certs", &image]).current_dir(home.path(""));
        let theirs = String::from_utf8(skopeo.output().unwrap().stderr).unwrap();
        // There is no image: whoever is let in is told so.
        let got_in = [said.contains("404 Not Found"), theirs.contains("manifest unknown")];
        assert_eq!(got_in, [gets_in; 2], "{name}: {said}{theirs}");
    }
}

/// The certificate of a registry stands for its authority, which nobody gave us; another one does not.
#[test]
fn the_certificate_of_a_registry_itself() {
    let (Some(files), Some(other)) = (Certificates::make(), Certificates::make()) else { return };
    let Some(server) = Server::start(&Login::Anybody, &Speech::Tls(&files)) else { return };
    if !oracle::need("skopeo") {
        return;
    }
    let (home, image) = (Home::new(), format!("docker://{}/org/app:1", server.address));
    for (given, gets_in) in [(&files, true), (&other, false)] {
        home.write("certs/own.crt", &String::from_utf8(given.read("server.crt")).unwrap());
        let ours = home.fails(&["container", "info", "--cert-dir=certs", &image]);
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["inspect", "--cert-dir=certs", &image]).current_dir(home.path(""));
        let theirs = String::from_utf8(skopeo.output().unwrap().stderr).unwrap();
        let got_in = [ours.contains("404 Not Found"), theirs.contains("manifest unknown")];
        assert_eq!(got_in, [gets_in; 2], "{ours}{theirs}");
    }
}

/// The certificate of --cert-dir is for the host that is named, not for its mirrors.
#[test]
fn a_mirror_is_asked_without_the_certificate() {
    let Some(files) = Certificates::make() else { return };
    let (home, seen) = (Home::new(), Seen::default());
    let nothing = || |_: &str| "404 No\r\nContent-Length: 0\r\n\r\n".to_owned();
    let (mirror, named) = (asking(&files, &seen, nothing()), asking(&files, &seen, nothing()));
    let config =
        format!("[[registry]]\nlocation = \"{named}\"\n[[registry.mirror]]\nlocation = \"{mirror}\"\n");
    home.write("registries.conf", &config);
    for (from, to) in [("ca.crt", "ca.crt"), ("client.crt", "client.cert"), ("client.key", "client.key")] {
        home.write(&format!("certs/{to}"), &String::from_utf8(files.read(from)).unwrap());
    }
    let image = format!("ostree-unverified-registry:{named}/a:1");
    home.fails(&["--repo=new", "container", "pull", "--cert-dir=certs", &image]);
    let seen: Vec<_> = seen.lock().unwrap().iter().map(|(at, _, certified)| (*at, *certified)).collect();
    assert_eq!(seen, [(mirror, false), (named, true)]);
}
