//! Mistakes with registries: every message says what to do.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::peer::Peer;
use super::program::Home;
use super::server::{Certificates, Login, Server, Speech};

/// The one line that `container info` says of the image `x:1` at `address`.
fn said(home: &Home, address: impl std::fmt::Display, options: &[&str]) -> String {
    let image = format!("docker://{address}/x:1");
    let text = home.fails(&[&["container", "info", &image], options].concat());
    assert!(!text.contains("(os error"), "{text}");
    let message = text.strip_prefix("error: ").and_then(|text| text.strip_suffix('\n'));
    message.filter(|message| !message.contains('\n')).unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn certificates_that_nobody_vouches_for() {
    let (Some(own), Some(signed)) = (Certificates::self_signed(2), Certificates::make()) else { return };
    let home = Home::new();
    let into = "(*.crt) into a directory for --cert-dir, or into certs.d";
    for (files, problem, advice) in [
        (own, "signed its certificate itself", format!("to trust it, put it {into}")),
        (
            signed,
            "has a certificate of an issuer that is not trusted (UnknownIssuer)",
            format!("to trust the issuer, put its certificate {into}"),
        ),
    ] {
        let Some(server) = Server::start(&Login::Anybody, &Speech::Tls(&files)) else { return };
        assert_eq!(said(&home, server.address, &[]), format!("{} {problem}; {advice}", server.address));
        let nowhere = said(&home, server.address, &["--cert-dir=nodir"]);
        assert_eq!(nowhere, "--cert-dir nodir: no such directory");
    }
}

/// Certificates that no authority helps: the message tells what is wrong with them.
#[test]
fn certificates_that_are_of_no_use() {
    let (Some(old), Some(past)) = (Certificates::make(), Certificates::self_signed(-1)) else { return };
    for (from, to) in [("client-v1.crt", "server.crt"), ("client.key", "server.key")] {
        std::fs::copy(old.path(from), old.path(to)).unwrap();
    }
    let home = Home::new();
    for (files, authority, problem) in [
        (old, "ca.crt", "has a certificate of X.509 version 1"),
        (
            past,
            "server.crt",
            "has a certificate that is not valid at this time, by the clock of this machine",
        ),
    ] {
        let Some(server) = Server::start(&Login::Anybody, &Speech::Tls(&files)) else { return };
        home.write("certs/a.crt", &String::from_utf8(files.read(authority)).unwrap());
        let message = said(&home, server.address, &["--cert-dir=certs"]);
        assert!(message.starts_with(&format!("{} {problem}", server.address)), "{message}");
    }
}

#[test]
fn a_server_without_tls() {
    let (home, plain) = (Home::new(), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = plain.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut line in plain.incoming().flatten() {
            let _ = line.read(&mut [0; 4096]).and_then(|_| line.write_all(b"HTTP/1.1 400 Bad\r\n\r\n"));
        }
    });
    let way = "--tls-verify=false, or `insecure` in registries.conf, does without";
    assert_eq!(said(&home, address, &[]), format!("{address} does not speak TLS; {way}"));
}

#[test]
fn a_page_is_no_registry() {
    let page = b"<html>\n <title>Please log in</title>";
    let peer = Peer::start(|call| call.answer("200 OK\r\nContent-Type: text/html", page));
    let message = said(&Home::new(), peer.address, &["--tls-verify=false"]);
    let start = format!("http://{}/v2/x/manifests/1 answered 200 OK with text/html, ", peer.address);
    assert!(message.starts_with(&start) && message.ends_with(": is it a registry?"), "{message}");
    assert!(message.contains("<html> <title>Please log in"), "{message}");
}

#[test]
fn who_is_not_let_in_is_told_how() {
    let Some(server) = Server::start(&Login::Basic, &Speech::Plain) else { return };
    let message = said(&Home::new(), server.address, &["--tls-verify=false"]);
    assert!(message.contains("it wants credentials and none are configured"), "{message}");
    assert!(message.ends_with("; log in with `podman login`, or give --authfile or --creds"), "{message}");
    let wrong = said(&Home::new(), server.address, &["--tls-verify=false", "--creds=a:b"]);
    assert!(wrong.ends_with("the credentials given for it do not suffice"), "{wrong}");
}
