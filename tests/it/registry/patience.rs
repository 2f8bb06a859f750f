//! Servers that keep us waiting: silent ones, slow ones, busy ones; and what is no reason to give up.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ostree_rs::base::{Ctx, Event, Progress};
use ostree_rs::format::Checksum;
use ostree_rs::net::registry::Registry;
use ostree_rs::net::{Error, Limits};

use super::peer::{Call, Peer};
use super::program::Home;
use super::{MANIFEST, noise};
use crate::oracle;

/// No test waits for longer than this.
const SOON: Duration = Duration::from_secs(4);

fn limits(patience_ms: u64) -> Limits {
    Limits::default().with_patience(Duration::from_millis(patience_ms))
}

/// At least 1000 bytes a second, looked at twice a second.
fn quick() -> Limits {
    Limits { slow_for: Duration::from_millis(500), ..limits(1000) }
}

/// Does something that has to be over soon.
fn soon<T>(work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    result
}

#[test]
fn a_silent_server_is_asked_again_and_given_up() {
    let peer = Peer::start(|call| call.silence());
    let error = soon(|| peer.registry(limits(1000)).tags(&Ctx::default())).unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error}");
    assert!(error.to_string().contains("nothing came for"), "{error}");
    // A lost request is no reason to fail.
    assert!(peer.connections() > 1);
    let once = Peer::start(|call| match call.number {
        0 => call.silence(),
        _ => call.answer("200 OK", br#"{"name": "a", "tags": ["x"]}"#),
    });
    assert_eq!(soon(|| once.registry(limits(2000)).tags(&Ctx::default())).unwrap(), ["x"]);
}

#[test]
fn a_trickle_is_given_up() {
    let peer = Peer::start(|call| {
        call.answer("200 OK\r\nContent-Length: 1000000", b"");
        call.drip(1, 50);
    });
    let (came, result) = soon(|| peer.blob(quick(), 1_000_000));
    let error = result.unwrap_err();
    let Error::BrokenOff { received, size, .. } = &error else { panic!("{error}") };
    assert_eq!((*received as usize, *size), (came, Some(1_000_000)));
    assert!(came > 0 && error.to_string().contains("1000 bytes a second"), "{error}");
    // A manifest too.
    let error = soon(|| peer.registry(quick()).manifest("x", &[MANIFEST], &Ctx::default())).unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error}");
}

#[test]
fn a_slow_line_is_good_enough() {
    let peer = Peer::start(|call| {
        call.answer("200 OK\r\nContent-Length: 60000", b"");
        call.drip(2000, 50);
    });
    let (came, result) = peer.blob(quick(), 60_000);
    assert!(came == 60_000 && result.is_ok(), "{came} {result:?}");
    assert_eq!(peer.connections(), 1);
}

/// Who is busy with what came does not wait for the server.
#[test]
fn a_slow_reader_is_not_a_slow_server() {
    let data = noise(8_000_000);
    let content = data.clone();
    let peer = Peer::start(move |call| {
        call.answer(&format!("200 OK\r\nContent-Length: {}", content.len()), &content);
    });
    let mut blob =
        peer.registry(quick()).blob(&Checksum::of(b"x"), Some(8_000_000), &Ctx::default()).unwrap();
    let (mut out, mut buf) = (Vec::new(), vec![0; 1_000_000]);
    while out.len() < data.len() {
        std::thread::sleep(Duration::from_millis(if out.is_empty() { 1500 } else { 10 }));
        let n = blob.read(&mut buf).unwrap();
        out.extend_from_slice(&buf[..n]);
    }
    assert!(out == data);
    assert_eq!(peer.connections(), 1);
}

#[test]
fn a_server_may_ask_for_no_more_than_the_patience() {
    let busy = |secs: u64| {
        Peer::start(move |call| match call.number {
            0 => call.answer(
                &format!("429 Busy\r\nRetry-After: {secs}"),
                b"{\"errors\": [{\"code\": \"LIMIT\"}]}",
            ),
            _ => call.answer("200 OK", br#"{"name": "a", "tags": []}"#),
        })
    };
    let peer = busy(3600);
    let error = soon(|| peer.registry(limits(120_000)).tags(&Ctx::default())).unwrap_err();
    assert!(error.to_string().contains("LIMIT; the server asks to wait 3600 s"), "{error}");
    assert_eq!(peer.connections(), 1);

    let (peer, heard) = (busy(1), Arc::new(Heard::default()));
    let ctx = Ctx { progress: Arc::clone(&heard) as Arc<dyn Progress>, ..Ctx::default() };
    soon(|| peer.registry(limits(3000)).tags(&ctx)).unwrap();
    let said = heard.0.lock().unwrap().clone();
    let expected = format!("{} 429 Too Many Requests Some(1s)", peer.address);
    assert_eq!(said, [expected]);
}

/// What is said about waits.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn event(&self, event: Event<'_>) {
        if let Event::Waiting { host, why, pause } = event {
            self.0.lock().unwrap().push(format!("{host} {why} {pause:?}"));
        }
    }
}

/// The only answers that come are those about the upload, not to its bytes.
fn deaf(call: &mut Call<'_>) {
    match call.head[0].split(' ').next().unwrap() {
        "POST" | "GET" => call.answer("202 Accepted\r\nLocation: /up\r\nContent-Length: 0", b""),
        _ => std::thread::sleep(Duration::from_secs(60)),
    }
}

#[test]
fn an_upload_that_gets_nowhere_is_given_up() {
    let (peer, data) = (Peer::start(deaf), Bytes::from(noise(8 << 20)));
    let (registry, ctx) = (peer.registry(quick()), Ctx::default());
    let mut upload = registry.start_upload(&ctx).unwrap();
    let error = soon(|| upload.send(&data, &ctx)).unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error}");
    let upload = registry.start_upload(&ctx).unwrap();
    let error = soon(|| upload.finish(&data, &Checksum::of(&data), &ctx)).unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error}");
}

#[test]
fn an_upload_over_a_slow_line_gets_through() {
    let peer = Peer::start(|call| {
        if call.is("PATCH") {
            // Longer than the patience, all in all.
            let mut left = call.header("content-length").unwrap().parse::<usize>().unwrap();
            while left > 0 {
                std::thread::sleep(Duration::from_millis(320));
                let mut buf = vec![0; left.min(1 << 20)];
                call.line.read_exact(&mut buf).unwrap();
                left -= buf.len();
            }
        }
        call.answer("202 Accepted\r\nLocation: /up\r\nContent-Length: 0", b"");
    });
    // Much longer than the kernel's buffers take once all is sent, on a busy machine, too.
    let limits = Limits { slow_for: Duration::from_millis(3000), ..limits(6000) };
    let mut upload = peer.registry(limits).start_upload(&Ctx::default()).unwrap();
    let (data, began) = (Bytes::from(noise(24 << 20)), Instant::now());
    upload.send(&data, &Ctx::default()).unwrap();
    assert!(began.elapsed() > limits.patience && peer.connections() == 2);
}

/// However long the patience: what was cancelled ends at once.
#[test]
fn cancel_ends_every_wait() {
    let digest = Checksum::of(b"x");
    type Serve = fn(&mut Call<'_>);
    type Work = fn(&Registry, &Checksum, &Ctx) -> Result<(), Error>;
    let waits: [(Serve, Work); 4] = [
        (|call| call.silence(), |registry, _, ctx| registry.tags(ctx).map(drop)),
        (
            |call| call.answer("503 Busy\r\nRetry-After: 100", b""),
            |registry, _, ctx| registry.tags(ctx).map(drop),
        ),
        (
            |call| {
                call.answer("200 OK\r\nContent-Length: 10", b"12345");
                call.silence();
            },
            |registry, digest, ctx| {
                let read = registry.blob(digest, None, ctx)?.read_to_end(&mut Vec::new());
                read.map(drop).map_err(|error| error.downcast().unwrap())
            },
        ),
        (deaf, |registry, _, ctx| registry.start_upload(ctx)?.send(&vec![0; 8 << 20].into(), ctx)),
    ];
    for (number, (serve, work)) in waits.into_iter().enumerate() {
        let (registry, ctx) = (Peer::start(serve).registry(Limits::default()), Ctx::default());
        let cancel = ctx.cancel.clone();
        let timer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            cancel.cancel();
        });
        let error = soon(|| work(&registry, &digest, &ctx)).unwrap_err();
        assert!(matches!(error, Error::Cancelled(_)), "{number}: {error}");
        timer.join().unwrap();
    }
}

/// The program: whatever is asked for, in the time that was given.
#[test]
fn the_program_gives_up_in_time() {
    let (home, peer) = (Home::new(), Peer::start(|call| call.silence()));
    let image = format!("ostree-unverified-registry:{}/x:1", peer.address);
    let timed = ["--timeout=1", "--tls-verify=false"];
    let error = soon(|| home.fails(&[&["--repo=new", "container", "pull", &image], &timed[..]].concat()));
    assert!(error.contains(&peer.address.to_string()) && error.contains("nothing came"), "{error}");
    let push = format!("--push={}/x:1", peer.address);
    let build = ["--repo=repo", "container", "build", "--ref=main", &push];
    soon(|| home.fails(&[&build[..], &timed].concat()));
    // The repository is free again.
    home.ok(&["--repo=new", "prune"]);
}

/// Nobody is told that a request was not sent, but why.
#[test]
fn what_went_wrong_is_said_at_once() {
    let (home, plain) = (Home::new(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let image = format!("docker://{}/x:1", plain.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut line in plain.incoming().flatten() {
            let _ = line.read(&mut [0; 4096]).and_then(|_| line.write_all(b"HTTP/1.1 400 Bad\r\n\r\n"));
        }
    });
    let error = soon(|| home.fails(&["container", "info", &image]));
    let expected = " does not speak TLS; --tls-verify=false";
    assert!(error.contains(expected), "{error}");
    let nobody = ["container", "info", "--timeout=1", "docker://127.0.0.1:9/x:1"];
    let error = soon(|| home.fails(&nobody));
    assert!(error.contains("/manifests/1: tcp connect error: Connection refused"), "{error}");
}

#[test]
fn a_program_is_told_of_waits() {
    let home = Home::new();
    let peer = Peer::start(|call| match call.number {
        0..3 => call.answer("429 Busy\r\nRetry-After: 1", b""),
        _ => call.answer("404 No", b""),
    });
    let image = format!("docker://{}/x:1", peer.address);
    let copy = ["container", "copy", "--timeout=4", "--tls-verify=false", &image, "oci:x"];
    let out = home.run(&[&copy[..], &["--progress=json"]].concat());
    let said = String::from_utf8(out.stderr).unwrap();
    let line = said.lines().find(|line| line.contains("\"waiting\"")).expect(&said);
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(event["host"], peer.address.to_string());
    assert_eq!((&event["why"], &event["seconds"]), (&"429 Too Many Requests".into(), &1.0.into()));
    // In a pipe nothing is said unasked.
    assert_eq!(home.fails(&copy).lines().count(), 1);
}

#[test]
fn a_helper_that_hangs_is_ended() {
    let (home, peer) = (Home::new(), Peer::start(|call| call.answer("200 OK", b"{}")));
    home.write(
        ".config/containers/auth.json",
        &format!(r#"{{"credHelpers": {{"{}": "hanging"}}}}"#, peer.address),
    );
    let image = format!("ostree-unverified-registry:{}/x:1", peer.address);
    // One that says nothing, and one that said it all and does not go.
    for script in ["exec sleep 61", "exec >&-; exec sleep 61"] {
        oracle::script(script, &home.path("bin/docker-credential-hanging"));
        let pull = ["--repo=new", "container", "pull", "--timeout=1", "--tls-verify=false", &image];
        let error = soon(|| home.fails(&pull));
        assert!(error.contains("docker-credential-hanging") && error.contains("within 1 s"), "{error}");
    }
}

#[test]
fn ctrl_c_ends_the_wait_for_a_server() {
    let (home, peer) = (Home::new(), Peer::start(|call| call.silence()));
    home.write("registries.conf", "");
    let image = format!("ostree-unverified-registry:{}/x:1", peer.address);
    let mut child = home
        .command(&["--repo=new", "container", "pull", "--tls-verify=false", &image])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while peer.connections() == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert_eq!(soon(|| child.wait()).unwrap().code(), Some(130));
}
