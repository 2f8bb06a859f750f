//! Answers that are not what they should be, and bodies whose rest comes in many ways.

use ostree_rs::base::Ctx;
use ostree_rs::format::Checksum;
use ostree_rs::net::{Error, Limits};

use super::peer::{Call, Peer};
use super::program::Home;
use super::{MANIFEST, noise};

fn limits() -> Limits {
    Limits { retries: 2, ..Limits::default() }
}

fn html(call: &mut Call<'_>) {
    call.answer("200 OK\r\nContent-Type: text/html", b"<html>\n <title>Please log in</title>");
}

#[test]
fn a_page_is_named() {
    let peer = Peer::start(html);
    let (registry, ctx) = (peer.registry(limits()), Ctx::default());
    let signed = Peer::start(|call| match call.head[0].contains("/extensions/") {
        false => call.answer("200 OK\r\nX-Registry-Supports-Signatures: 1", b"{}"),
        true => html(call),
    });
    let errors = [
        ("/v2/a/tags/list", registry.tags(&ctx).unwrap_err()),
        ("/v2/a/manifests/1", registry.manifest("1", &[MANIFEST], &ctx).unwrap_err()),
        ("/v2/a/manifests/sha256-", registry.referrers(&Checksum::of(b""), &ctx).unwrap_err()),
        ("/signatures/", signed.registry(limits()).signatures(&Checksum::of(b""), &ctx).unwrap_err()),
    ];
    for (path, error) in errors {
        assert!(matches!(error, Error::NotJson { .. }), "{error}");
        let error = error.to_string();
        for part in [path, "200 OK", "text/html", "<html> <title>Please log in", "is it a registry?"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

/// Some proxies call an error a success.
#[test]
fn an_error_that_is_called_a_success() {
    for (body, says) in [
        (
            "{\"errors\": [{\"code\": \"UNAUTHORIZED\", \"message\": \"authentication required\"}]}",
            "authentication required",
        ),
        ("{\"message\": \"down for maintenance\"}", "down for maintenance"),
        ("{\"error\": \"quota exceeded\", \"status\": 403}", "quota exceeded"),
        ("{\"type\": \"about:blank\", \"title\": \"Not here\"}", "Not here"),
    ] {
        let peer =
            Peer::start(|call| call.answer("200 OK\r\nContent-Type: application/json", body.as_bytes()));
        let error = peer.registry(limits()).manifest("1", &[MANIFEST], &Ctx::default()).unwrap_err();
        assert!(matches!(error, Error::NotJson { .. }), "{error}");
        let error = error.to_string();
        for part in ["/v2/a/manifests/1", "200 OK", &format!("no manifest but an error: {says}")] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

/// A proxy that puts a page in place of a blob.
#[test]
fn a_page_is_no_blob() {
    let peer = Peer::start(html);
    let error = peer.registry(limits()).blob(&Checksum::of(b"x"), Some(7000), &Ctx::default()).unwrap_err();
    let error = error.to_string();
    for part in ["/v2/a/blobs/sha256:", "no blob of 7000 bytes but text/html, ", "<title>Please log in"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

/// Where a redirect led, no login for the registry helps.
#[test]
fn a_storage_that_refuses_is_named() {
    let storage = Peer::start(|call| call.answer("403 No", b"Request has expired"));
    let leads = format!("307 There\r\nLocation: http://{}/storage/x?sig=secret", storage.address);
    let peer = Peer::start(move |call| call.answer(&leads, b""));
    let error = peer.registry(limits()).blob(&Checksum::of(b"x"), None, &Ctx::default()).unwrap_err();
    let expected = format!("GET http://{}/storage/x: 403 Forbidden: Request has expired", storage.address);
    assert_eq!(error.to_string(), expected);
    let peer = Peer::start(|call| call.answer("307 There\r\nLocation: ftp://example.org/x", b""));
    let error = peer.registry(limits()).blob(&Checksum::of(b"x"), None, &Ctx::default()).unwrap_err();
    assert!(error.to_string().ends_with("redirected to ftp://example.org/x, which is not HTTP"), "{error}");
    assert_eq!(peer.connections(), 1, "no further try");
}

#[test]
fn a_token_server_that_is_none() {
    for (answer, part) in [
        (&b"<html>\n <title>Please log in</title>"[..], "<html> <title>"),
        (b"", "empty and no token"),
        (b"{\"token\": \"secret", "no token: EOF"),
        (b"[1]", "no token: "),
        (b"{\"details\": \"try later\"}", "no token but an error: try later"),
    ] {
        let peer = Peer::start(move |call| {
            let at = call.header("host").unwrap().to_owned();
            match call.head[0].contains("/token") {
                true => call.answer("200 OK\r\nContent-Type: text/html", answer),
                false => {
                    let wants = format!("401 No\r\nWWW-Authenticate: Bearer realm=\"http://{at}/token\"");
                    call.answer(&wants, b"");
                }
            }
        });
        let error = peer.registry(limits()).tags(&Ctx::default()).unwrap_err();
        assert!(matches!(error, Error::NotJson { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains("/token") && error.contains(part) && !error.contains("secret"), "{error}");
    }
}

/// What a registry that asks for a token and a token server come to: the tags, or an error.
fn asked_for_token(challenge: &'static str, token: &'static str) -> Result<(), Error> {
    let peer = Peer::start(move |call| {
        let at = call.header("host").unwrap().to_owned();
        match (call.head[0].contains("/token"), call.header("authorization")) {
            (true, _) => {
                let (head, body) = token.split_once("\n").unwrap();
                call.answer(head, body.as_bytes());
            }
            (false, Some("Bearer T")) => call.answer("200 OK", b"{\"name\": \"a\", \"tags\": []}"),
            (false, _) => {
                call.answer(&format!("401 No\r\n{}", challenge.replace("HOST", &at)), b"");
            }
        }
    });
    peer.registry(limits()).tags(&Ctx::default()).map(drop)
}

/// What skopeo takes, too.
#[test]
fn odd_tokens_are_taken() {
    for token in [
        "{\"token\": \"\", \"access_token\": \"T\"}",
        "{\"token\": null, \"access_token\": \"T\"}",
        "{\"token\": \"T\", \"expires_in\": -5}",
        "{\"token\": \"T\", \"expires_in\": 0.5, \"issued_at\": \"yesterday\"}",
        "{\"token\": \"T\", \"expires_in\": 1e300, \"message\": \"welcome\"}",
    ] {
        let answer = Box::leak(format!("200 OK\n{token}").into_boxed_str());
        let asked = asked_for_token("WWW-Authenticate: Bearer realm=\"http://HOST/token\"", answer);
        assert!(asked.is_ok(), "{token}: {asked:?}");
    }
}

#[test]
fn why_there_is_no_token_is_told() {
    const BEARER: &str = "WWW-Authenticate: Bearer realm=\"http://HOST/token\"";
    for (challenge, token, parts) in [
        (BEARER, "404 No\nnothing here", ["/token: 404 Not Found: nothing here", ""]),
        (BEARER, "200 OK\n{\"token\": \"a\\r\\nb\"}", ["/token: ", "characters that cannot be sent"]),
        ("WWW-Authenticate: Bearer realm=\"ftp://x/y\"", "200 OK\n", ["ftp://x/y", "it is not HTTP"]),
        (
            "WWW-Authenticate: Digest realm=\"x\", nonce=\"1\"",
            "200 OK\n",
            ["how it wants to be told who asks is not known", "Digest realm=\"x\", nonce=\"1\""],
        ),
    ] {
        let error = asked_for_token(challenge, token).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

/// What goes wrong is said in the server's words, or in the first of them.
#[test]
fn failures_are_told_in_short() {
    for (head, body, expected) in [
        ("404 No", "{\"errors\": [{\"code\": \"X\", \"message\": \"no such name\"}]}", ": no such name"),
        (
            "404 No\r\nContent-Type: text/html",
            "<html>\n<h1>Not here</h1>",
            ": text/html, \"<html> <h1>Not here</h1>\"",
        ),
        ("404 No", "nobody\nhome", ": nobody home"),
        (
            "403 No",
            "{\"errors\": [{\"code\": \"DENIED\", \"message\": \"access is denied\"}]}",
            "(access is denied)",
        ),
        // What a terminal would obey is not passed on to it.
        ("403 No", "{\"errors\": [{\"message\": \"\\u001b[31mred\\u0007\\nline\"}]}", "([31mred line)"),
        ("500 No", "\u{1b}]0;title\u{7} boom", ": ]0;title boom"),
    ] {
        let peer = Peer::start(move |call| call.answer(head, body.as_bytes()));
        let error = peer.registry(limits()).tags(&Ctx::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// The body breaks off after half of it; then the rest is asked for.
fn broken_once(
    data: &'static [u8],
    rest: impl Fn(&mut Call<'_>) + Send + Sync + 'static,
) -> (usize, Result<(), Error>) {
    let peer = Peer::start(move |call| match call.number {
        0 => call.answer(
            &format!("200 OK\r\nETag: \"one\"\r\nContent-Length: {}", data.len()),
            &data[..data.len() / 2],
        ),
        _ => rest(call),
    });
    peer.blob(limits(), data.len() as u64)
}

#[test]
fn the_rest_comes_in_many_ways() {
    let data: &[u8] = Box::leak(noise(100_000).into_boxed_slice());
    let partial = |call: &mut Call<'_>, from: usize| {
        let head = format!("206 Part\r\nContent-Range: bytes {from}-99999/100000");
        call.answer(&format!("{head}\r\nContent-Length: {}", 100_000 - from), &data[from..]);
    };
    let whole = |call: &mut Call<'_>| call.answer("200 OK\r\nContent-Length: 100000", data);
    // As it was asked for, and only if it is the same still.
    let asked = move |call: &mut Call<'_>| {
        assert_eq!(call.header("range"), Some("bytes=50000-"));
        assert_eq!(call.header("if-range"), Some("\"one\""));
    };
    let good = [
        broken_once(data, move |call| {
            asked(call);
            partial(call, 50_000);
        }),
        // Some more than was asked for; all of it.
        broken_once(data, move |call| partial(call, 49_000)),
        broken_once(data, whole),
        // A server that takes the range for wrong.
        broken_once(data, move |call| match call.header("range") {
            Some(_) => call.answer("416 No", b""),
            None => whole(call),
        }),
        // One that begins a byte too late, one that does not say where, one that knows no ranges and says so.
        broken_once(data, move |call| match call.header("range") {
            Some(_) => partial(call, 50_001),
            None => whole(call),
        }),
        broken_once(data, move |call| match call.header("range") {
            Some(_) => call.answer("206 Part\r\nContent-Length: 50000", &data[50_000..]),
            None => whole(call),
        }),
        broken_once(data, move |call| match call.header("range") {
            Some(_) => call.answer("501 No", b""),
            None => whole(call),
        }),
    ];
    for (number, (came, result)) in good.into_iter().enumerate() {
        assert!(came == 100_000 && result.is_ok(), "{number}: {came} bytes, {result:?}");
    }
    let bad = [
        (broken_once(data, move |call| partial(call, 60_000)), "another range"),
        (broken_once(data, |call| call.answer("200 OK\r\nContent-Length: 7", b"another")), "and 7 now"),
        (broken_once(data, |call| call.answer("404 No", b"gone")), "404 Not Found: gone"),
        (broken_once(data, |call| call.answer("503 No", b"busy")), "503 Service Unavailable: busy"),
        // All of it each time, but never more than half.
        (broken_once(data, move |call| call.answer("200 OK\r\nContent-Length: 100000", &data[..50_000])), ""),
    ];
    for ((came, result), why) in bad {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::BrokenOff { received: 50_000, size: Some(100_000), .. }), "{error}");
        let error = error.to_string();
        assert!(
            came == 50_000 && error.contains("after 50000 of 100000 bytes: ") && error.contains(why),
            "{error}"
        );
    }
}

/// What has layers and is no image says what it is.
#[test]
fn a_chart_is_no_image() {
    const HELM: &str = "application/vnd.cncf.helm.config.v1+json";
    let (config, layer) = (b"{}", b"chart");
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "config": {"mediaType": HELM, "digest": format!("sha256:{}", Checksum::of(config)), "size": 2},
        "layers": [{"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
                    "digest": format!("sha256:{}", Checksum::of(layer)), "size": 5}],
    });
    let peer = Peer::start(move |call| match call.head[0].contains("/manifests/") {
        true => call.answer(&format!("200 OK\r\nContent-Type: {MANIFEST}"), manifest.to_string().as_bytes()),
        false => call.answer("200 OK", config),
    });
    let image = format!("ostree-unverified-registry:{}/x:1", peer.address);
    let error = Home::new().fails(&["--repo=new", "container", "pull", "--tls-verify=false", &image]);
    assert!(error.contains("is no image") && error.contains(HELM), "{error}");
}
