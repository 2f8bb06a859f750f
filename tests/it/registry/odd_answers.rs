//! Answers that are written or compressed in other ways than most, and what is told of those that lack something.

use std::io::Write as _;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use ostree_rs::base::Ctx;
use ostree_rs::format::Checksum;
use ostree_rs::net::Limits;

use super::peer::Peer;
use super::program::Home;
use super::{MANIFEST, noise};
use crate::oracle;

fn limits() -> Limits {
    Limits { retries: 2, ..Limits::default() }
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Headers as proxies write them, and documents that were compressed though nobody asked for that.
#[test]
fn odd_answers_are_read_as_skopeo_reads_them() {
    if !oracle::need("skopeo") {
        return;
    }
    let document =
        format!(r#"{{"schemaVersion": 2, "mediaType": "{MANIFEST}", "config": {{}}, "layers": []}}"#);
    let many: String = (0..300).map(|n| format!("\r\nX-{n}: {n}")).collect();
    let plain = document.as_bytes();
    for (more, body) in [
        ("", plain),
        ("\r\nX-Folded: a\r\n b", plain),
        ("\r\nX-Spaced : a", plain),
        ("\r\nX-Control: \u{1}\u{e4}", plain),
        (&many, plain),
        ("\r\nContent-Encoding: gzip", &gzip(plain)),
        ("\r\nContent-Encoding: identity", plain),
    ] {
        let (head, body) = (format!("200 OK\r\nContent-Type: {MANIFEST}{more}"), body.to_vec());
        let peer = Peer::start(move |call| call.answer(&head, &body));
        let image = format!("docker://{}/a:1", peer.address);
        let skopeo = Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &image]).output();
        assert_eq!(String::from_utf8_lossy(&skopeo.unwrap().stdout), document, "{more}");
        let ours = peer.registry(limits()).manifest("1", &[MANIFEST], &Ctx::default()).unwrap();
        assert_eq!(String::from_utf8_lossy(&ours.bytes), document, "{more}");
    }
}

/// Compressed on its way, or by itself: whether it has the size that it should have tells.
#[test]
fn a_blob_that_is_said_to_be_compressed() {
    let data: &[u8] = Box::leak(noise(100_000).into_boxed_slice());
    let coded: &[u8] = Box::leak(gzip(data).into_boxed_slice());
    let head =
        |size: usize| format!("200 OK\r\nETag: \"one\"\r\nContent-Encoding: gzip\r\nContent-Length: {size}");
    let (on_its_way, by_itself) = (head(coded.len()), head(data.len()));
    let without_size = "200 OK\r\nContent-Encoding: gzip";
    for (name, whole, body) in [
        ("on its way", &*on_its_way, coded),
        ("by itself", &by_itself, data),
        ("no size", without_size, coded),
    ] {
        let whole = whole.to_owned();
        let peer = Peer::start(move |call| match call.number {
            0 => call.answer(&whole, &body[..body.len() / 2]),
            _ => {
                // A part of what is compressed is no part of the blob.
                let is_whole = call.header("range").is_none();
                let part = "206 Part\r\nContent-Range: bytes 50000-99999/100000";
                call.answer(
                    if is_whole { &whole } else { part },
                    if is_whole { body } else { &body[50_000..] },
                );
            }
        });
        let (came, result) = peer.blob(limits(), data.len() as u64);
        assert!(came == data.len() && result.is_ok(), "{name}: {came} bytes, {result:?}");
    }
}

/// Names of files in a Location are bytes, whatever they stand for.
#[test]
fn a_storage_with_names_that_are_not_ascii() {
    let storage = Peer::start(|call| match call.head[0].contains("/storage/%C3%A4%20b?x=%C3%BC ") {
        true => call.answer("200 OK", b"blob"),
        false => call.answer("404 No", b""),
    });
    let leads = format!("307 There\r\nLocation: http://{}/storage/ä b?x=ü", storage.address);
    let peer = Peer::start(move |call| call.answer(&leads, b""));
    let (came, result) = peer.blob(limits(), 4);
    assert!(came == 4 && result.is_ok(), "{result:?}");
}

/// What a registry lacks, and what it says that is not so, is told with its name.
#[test]
fn who_has_no_such_blob_is_named() {
    let id = Checksum::of(b"config");
    let manifest = serde_json::json!({
        "schemaVersion": 2, "layers": [],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": format!("sha256:{id}"), "size": 6},
    });
    let home = Home::new();
    for (more, says) in [
        (String::new(), format!("/x: blob sha256:{id} is missing")),
        (
            format!("\r\nDocker-Content-Digest: sha256:{id}"),
            format!("/x: Docker-Content-Digest: manifest: digest expected='sha256:{id}'"),
        ),
    ] {
        let manifest = manifest.clone();
        let peer = Peer::start(move |call| match call.head[0].split('/').nth(3) {
            Some("manifests") => {
                call.answer(
                    &format!("200 OK\r\nContent-Type: {MANIFEST}{more}"),
                    manifest.to_string().as_bytes(),
                );
            }
            Some("blobs") => call.answer("404 No", b""),
            _ => call.answer("200 OK", b"{}"),
        });
        let image = format!("docker://{}/x:1", peer.address);
        let error = home.fails(&["container", "copy", "--tls-verify=false", &image, "oci:copy:1"]);
        assert!(error.contains(&format!("{}{says}", peer.address)), "{error}");
    }
}
