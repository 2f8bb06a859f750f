//! The registry client against Debian's `docker-registry`, also through a proxy that does its worst.

mod again;
mod answers;
mod by_delta;
mod configs;
mod deltas;
mod diffs;
mod faults;
mod front;
mod identities;
mod identity;
mod logins;
mod lookaside;
mod messages;
mod objects;
mod odd_answers;
mod on_base;
mod patience;
mod peer;
mod peers;
pub(crate) mod program;
mod progress;
mod referrers;
mod reuse;
pub(crate) mod server;
mod short_names;
mod signed;
mod token;
pub(crate) mod trust;
mod uploads;
mod ways;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ostree_rs::base::Ctx;
use ostree_rs::format::Checksum;
use ostree_rs::net::registry::{Credentials, Registry, RegistryAccess};
use ostree_rs::net::{Error, Http, HttpOptions, Limits, TlsOptions, TlsVerify};

use crate::proxy::{Faults, Proxy};
use server::{Certificates, Login, Server, Speech, USER};
use uploads::Uploads;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CHUNK: usize = 1024 * 1024;

fn http(tls: TlsOptions) -> Http {
    Http::new(&HttpOptions { tls, ..HttpOptions::default() }).unwrap()
}

fn registry(url: &str, name: &str, credentials: Option<Credentials>) -> Registry {
    Registry::new(http(TlsOptions::default()), url, name, credentials).unwrap()
}

fn user() -> Option<Credentials> {
    Some(Credentials::Password { user: USER.0.into(), password: USER.1.into() })
}

/// Bytes that do not repeat.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(len).collect()
}

fn push_blob(registry: &Registry, data: &[u8]) -> Result<Checksum, Error> {
    let (ctx, digest) = (Ctx::default(), Checksum::of(data));
    let mut upload = registry.start_upload(&ctx)?;
    for chunk in data.chunks(CHUNK) {
        upload.send(&Bytes::copy_from_slice(chunk), &ctx)?;
    }
    upload.finish(&Bytes::new(), &digest, &ctx)?;
    Ok(digest)
}

fn pull_blob(registry: &Registry, digest: &Checksum, size: u64) -> Result<Vec<u8>, std::io::Error> {
    let mut out = Vec::new();
    let mut body = registry.blob(digest, Some(size), &Ctx::default()).map_err(std::io::Error::other)?;
    body.read_to_end(&mut out)?;
    Ok(out)
}

/// A manifest with one configuration and one layer, pushed as `tag`; gives its bytes.
fn push_image(registry: &Registry, tag: &str, layer: &[u8]) -> Vec<u8> {
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let (config_digest, layer_digest) =
        (push_blob(registry, config).unwrap(), push_blob(registry, layer).unwrap());
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                   "digest": format!("sha256:{config_digest}"), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": format!("sha256:{layer_digest}"), "size": layer.len()}],
    });
    let bytes = serde_json::to_vec(&manifest).unwrap();
    registry.put_manifest(tag, MANIFEST, &bytes, &Ctx::default()).unwrap();
    bytes
}

/// Everything a client does, once.
fn round_trip(registry: &Registry) {
    let ctx = Ctx::default();
    registry.ping(&ctx).unwrap();
    let layer = noise(3 * CHUNK + 17);
    let manifest = push_image(registry, "one", &layer);
    registry.put_manifest("two", MANIFEST, &manifest, &ctx).unwrap();

    let read = registry.manifest("one", &[MANIFEST], &ctx).unwrap();
    assert_eq!((read.bytes, read.media_type.as_deref()), (manifest.clone(), Some(MANIFEST)));
    let digest = format!("sha256:{}", Checksum::of(&manifest));
    assert_eq!(registry.manifest(&digest, &[MANIFEST], &ctx).unwrap().bytes, manifest);
    assert_eq!(registry.manifest_digest("two", &[MANIFEST], &ctx).unwrap(), Some(digest));
    assert_eq!(registry.manifest_digest("three", &[MANIFEST], &ctx).unwrap(), None);
    assert!(registry.manifest("three", &[MANIFEST], &ctx).unwrap_err().is_not_found());
    let mut tags = registry.tags(&ctx).unwrap();
    tags.sort();
    assert_eq!(tags, ["one", "two"]);

    let digest = Checksum::of(&layer);
    assert!(registry.has_blob(&digest, RegistryAccess::Pull, &ctx).unwrap());
    assert!(!registry.has_blob(&Checksum::of(b"?"), RegistryAccess::Pull, &ctx).unwrap());
    assert_eq!(pull_blob(registry, &digest, layer.len() as u64).unwrap(), layer);
    assert!(registry.blob(&Checksum::of(b"?"), None, &ctx).unwrap_err().is_not_found());
}

#[test]
fn plain() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    round_trip(&registry(&server.url(), "org/app", None));
}

#[test]
fn a_wrong_digest_is_refused_by_the_server() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let (registry, ctx) = (registry(&server.url(), "org/app", None), Ctx::default());
    let upload = registry.start_upload(&ctx).unwrap();
    let error = upload.finish(&Bytes::from_static(b"content"), &Checksum::of(b"other"), &ctx).unwrap_err();
    assert!(matches!(error, Error::Status { status, .. } if status == 400), "{error}");
}

#[test]
fn basic() {
    let Some(server) = Server::start(&Login::Basic, &Speech::Plain) else { return };
    round_trip(&registry(&server.url(), "org/app", user()));
    let wrong = Credentials::Password { user: "user".into(), password: "wrong".into() };
    for credentials in [None, Some(wrong)] {
        let error = registry(&server.url(), "org/app", credentials).tags(&Ctx::default()).unwrap_err();
        assert!(matches!(error, Error::Denied { .. }), "{error}");
    }
}

#[test]
fn tls() {
    let Some(files) = Certificates::make() else { return };
    let Some(server) = Server::start(&Login::Basic, &Speech::Tls(&files)) else { return };
    let at = |tls| Registry::new(http(tls), &format!("https://{}", server.address), "a/b", user()).unwrap();
    round_trip(&at(TlsOptions { roots: vec![files.pem("ca.crt")], ..TlsOptions::default() }));
    at(TlsOptions { verify: TlsVerify::No, ..TlsOptions::default() }).ping(&Ctx::default()).unwrap();
    let quick = HttpOptions { limits: Limits { retries: 0, ..Limits::default() }, ..HttpOptions::default() };
    let unknown =
        Registry::new(Http::new(&quick).unwrap(), &format!("https://{}", server.address), "a/b", user());
    let error = unknown.unwrap().ping(&Ctx::default()).unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[test]
fn mounts_across_repositories() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let (first, second) = (registry(&server.url(), "a/b", None), registry(&server.url(), "c", None));
    let (ctx, digest) = (Ctx::default(), push_blob(&first, b"content").unwrap());
    assert!(!second.has_blob(&digest, RegistryAccess::Push, &ctx).unwrap());
    assert!(second.mount(&digest, "a/b", &ctx).unwrap());
    assert!(second.has_blob(&digest, RegistryAccess::Push, &ctx).unwrap());
    assert!(!second.mount(&Checksum::of(b"?"), "a/b", &ctx).unwrap());
}

/// A registry that sends us elsewhere for a blob: the password does not go there.
#[test]
fn credentials_stay_at_home() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let elsewhere = answering(&seen, |_| "200 OK\r\nContent-Length: 2\r\n\r\nok".into());
    let there = format!("http://{elsewhere}/blob?signature=1");
    let home = answering(&seen, move |authorized| match authorized {
        true => format!("307 Elsewhere\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n"),
        false => "401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n".into(),
    });
    let registry = registry(&format!("http://{home}"), "a", user());
    assert_eq!(pull_blob(&registry, &Checksum::of(b"ok"), 2).unwrap(), b"ok");
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen, [(home, false), (home, true), (elsewhere, false)]);
}

type Seen = Arc<Mutex<Vec<(SocketAddr, bool)>>>;

/// A server that answers every request by whether it carries credentials.
fn answering(seen: &Seen, answer: impl Fn(bool) -> String + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::clone(seen));
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let lines = BufReader::new(client.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|l| !l.is_empty()).collect();
            let authorized = head.iter().any(|l| l.to_ascii_lowercase().starts_with("authorization:"));
            seen.lock().unwrap().push((address, authorized));
            let answer = answer(authorized).replacen("\r\n", "\r\nConnection: close\r\n", 1);
            let _ = client.write_all(format!("HTTP/1.1 {answer}").as_bytes());
        }
    });
    address
}

#[test]
fn pull_resumes_on_a_bad_line() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let data = noise(6 * CHUNK);
    let digest = push_blob(&registry(&server.url(), "a", None), &data).unwrap();
    let faults = Faults { cut_answer: Some(300_000), refuse_every: Some(4), ..Faults::default() };
    let proxy = Proxy::start(server.address, faults);
    let pulled = pull_blob(&registry(&proxy.url(), "a", None), &digest, data.len() as u64).unwrap();
    assert_eq!(Checksum::of(&pulled), digest);
    assert!(proxy.connections() > 20, "{} connections", proxy.connections());
    let (sent, size) = (proxy.answered(), data.len() as u64);
    assert!(sent < size + size / 20, "{sent} bytes for a blob of {size}");
}

#[test]
fn a_line_without_progress_is_given_up() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let digest = push_blob(&registry(&server.url(), "a", None), &noise(CHUNK)).unwrap();
    let proxy = Proxy::start(server.address, Faults { cut_answer: Some(100), ..Faults::default() });
    let options =
        HttpOptions { limits: Limits { retries: 2, ..Limits::default() }, ..HttpOptions::default() };
    let registry = Registry::new(Http::new(&options).unwrap(), &proxy.url(), "a", None).unwrap();
    assert!(pull_blob(&registry, &digest, CHUNK as u64).is_err());
}

#[test]
fn push_resumes_where_the_registry_can() {
    let (store, data) = (Uploads::start(), noise(6 * CHUNK));
    let faults = Faults { cut_request: Some(1_600_000), refuse_every: Some(5), ..Faults::default() };
    let proxy = Proxy::start(store.address, faults);
    push_blob(&registry(&proxy.url(), "a", None), &data).unwrap();
    assert!(store.finished() == [data.clone()]);
    let (sent, size) = (proxy.asked(), data.len() as u64);
    assert!(sent < size + size / 20, "{sent} bytes for a blob of {size}");
}

/// `docker-registry` 2.8 forgets an upload of which more arrived than it had confirmed.
#[test]
fn push_starts_again_where_the_registry_cannot_resume() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let data = noise(4 * CHUNK);
    let proxy = Proxy::start(server.address, Faults { cut_request: Some(1_600_000), ..Faults::default() });
    let registry = registry(&proxy.url(), "a", None);
    let error = push_blob(&registry, &data).unwrap_err();
    assert!(matches!(error, Error::UploadLost { .. }), "{error}");
    // A blob in one piece: the client has all of it, and tries on.
    let (ctx, small) = (Ctx::default(), Bytes::from(noise(CHUNK)));
    for tag in 0..4 {
        let data = Bytes::from([&[tag], &small[..]].concat());
        registry.start_upload(&ctx).unwrap().finish(&data, &Checksum::of(&data), &ctx).unwrap();
    }
}
