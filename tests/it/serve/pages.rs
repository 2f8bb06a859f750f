//! Pages for people, made of what is in a repository that wants to harm them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::Serving;
use super::server::Reply;
use crate::oracle::{need, run};

const OURS: &str = env!("CARGO_BIN_EXE_ostree-rs");
const SCRIPT: &str = "<script>alert('1')</script>";
/// Names of files, each of which means something to somebody.
const NAMES: [&str; 7] = [
    "<img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)",
    "'&amp;&#60;",
    "line\nbreak",
    "\u{202e}txt.exe",
    "a b?c#d%2e%2e",
    "ä ö",
];
/// What Python's parser finds in a document: tags, the names of their attributes, targets of links, text.
const PARSER: &str = r#"
import html.parser, json, sys
tags, attributes, links, text, depth = set(), set(), [], [], []
class P(html.parser.HTMLParser):
    def handle_starttag(self, tag, attrs):
        tags.add(tag)
        attributes.update(name for name, _ in attrs)
        links.extend(value for name, value in attrs if name == "href")
        if tag not in ("meta", "link"):
            depth.append(tag)
    def handle_endtag(self, tag):
        assert depth and depth.pop() == tag, tag
    def handle_data(self, data):
        text.append(data)
parser = P()
parser.feed(sys.stdin.read())
parser.close()
assert not depth, depth
print(json.dumps({"tags": sorted(tags), "attributes": sorted(attributes), "links": links, "text": "".join(text)}))
"#;

fn repository(mode: &str) -> TempDir {
    let tmp = tempfile::tempdir().unwrap();
    let at = |name: &str| tmp.path().join(name);
    fs::create_dir_all(at("tree/sub<b>/deep")).unwrap();
    for name in NAMES {
        fs::write(at("tree/sub<b>").join(name), name).unwrap();
    }
    fs::write(at("tree/large"), vec![b'x'; 3_000_000]).unwrap();
    std::os::unix::fs::symlink(SCRIPT, at("tree/link")).unwrap();
    let arg = format!("--repo={}", at("repo").display());
    let tree = format!("--tree=dir={}", at("tree").display());
    run(OURS, &[&arg, "init", &format!("--mode={mode}")]);
    let (secret, public) =
        (format!("--secret={}", at("k").display()), format!("--public={}", at("p").display()));
    run(OURS, &["gpg-new-key", &secret, &public, "me <me@example.org>"]);
    let homedir = format!("--gpg-homedir={}", at("k").display());
    let version = format!("--add-metadata-string=version={SCRIPT}");
    let commit = [&arg, "commit", "-b", "main", &tree, "-s", SCRIPT, "-m", SCRIPT, &version];
    run(OURS, &[&commit[..], &["--gpg-sign=me@example.org", &homedir]].concat());
    fs::remove_file(at("tree/sub<b>").join(NAMES[0])).unwrap();
    fs::write(at("tree/new<i>"), b"new").unwrap();
    run(OURS, &[&arg, "commit", "-b", "main", &tree, "-s", "second"]);
    tmp
}

/// Reads a page, of which everything that it may have is known.
fn parse(reply: &Reply) -> Value {
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = reply.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    let mut python = Command::new("python3");
    let mut child = python.args(["-c", PARSER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&reply.body).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", reply.text());
    let page: Value = serde_json::from_slice(&out.stdout).unwrap();
    let known = "html head meta title link body header nav a main h1 h2 p pre div table tr th td dl dt dd span code ul \
                 li i footer";
    for tag in page["tags"].as_array().unwrap() {
        assert!(known.split(' ').any(|known| tag == known), "{tag}: {}", reply.text());
    }
    let known = "lang charset name content rel href class colspan aria-label";
    for attribute in page["attributes"].as_array().unwrap() {
        assert!(known.split(' ').any(|known| attribute == known), "{attribute}: {}", reply.text());
    }
    page
}

/// Every page that a link leads to is there and harmless, and together they show everything.
#[test]
fn every_link_leads_somewhere() {
    if !need("python3") {
        return;
    }
    for mode in ["bare-user", "archive"] {
        let tmp = repository(mode);
        let serving = Serving::start(&tmp.path().join("repo"));
        let (mut todo, mut seen, mut texts) = (vec!["/".to_owned()], BTreeSet::new(), String::new());
        let mut contents = BTreeSet::new();
        while let Some(path) = todo.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let reply = serving.ask("GET", &path, &["Host: localhost"]);
            assert_eq!(reply.status, 200, "{path}");
            if path.starts_with("/file/") {
                assert_eq!(reply.header("content-disposition"), Some("attachment"));
                assert_eq!(reply.header("content-security-policy"), Some("default-src 'none'; sandbox"));
                assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
                contents.insert(reply.body);
            } else if path != "/style.css" {
                let page = parse(&reply);
                texts += page["text"].as_str().unwrap();
                let links = page["links"].as_array().unwrap().iter();
                todo.extend(links.map(|link| link.as_str().unwrap().to_owned()));
            }
        }
        for name in NAMES {
            let shown = name.replace('\u{202e}', "\\u{202e}");
            assert!(texts.contains(&shown), "{mode}: {name:?}");
            assert!(contents.contains(name.as_bytes()), "{mode}: {name:?}");
        }
        assert!(contents.contains(&vec![b'x'; 3_000_000]), "{mode}");
        for text in [SCRIPT, "OpenPGP key ", "Removed: 1", "Added: 1", "3.0 MB", "podman pull", "sub<b>/"] {
            assert!(texts.contains(text), "{mode}: {text}");
        }
        assert!(seen.len() > 20, "{seen:?}");
    }
}

#[test]
fn what_is_not_there() {
    if !need("python3") {
        return;
    }
    let tmp = repository("bare-user");
    let serving = Serving::start(&tmp.path().join("repo"));
    let commit = String::from_utf8(serving.get("/repo/refs/heads/main").body).unwrap();
    let (commit, zeros) = (commit.trim(), "0".repeat(64));
    for path in [
        format!("/commit/{zeros}"),
        format!("/tree/{zeros}"),
        format!("/tree/{commit}/none"),
        format!("/tree/{commit}/%2e%2e"),
        format!("/tree/{commit}/large"),
        format!("/file/{commit}/sub%3Cb%3E"),
        format!("/file/{commit}/link"),
        format!("/file/{commit}/large/x"),
        format!("/compare/{commit}/{zeros}"),
    ] {
        let reply = serving.get(&path);
        assert_eq!(reply.status, 404, "{path}");
        parse(&reply);
    }
    for path in ["/commit/x", "/commit", "/tree", "/favicon.ico", "//"] {
        assert_eq!(serving.get(path).status, 404, "{path}");
    }
    // A host that is none is not repeated.
    let reply = serving.ask("GET", "/", &["Host: a\"><script>"]);
    assert!(matches!(reply.status, 200 | 400) && !reply.text().contains("script"));
    let reply = serving.ask("GET", "/", &["Host: example.org:81"]);
    assert!(reply.text().contains("http://example.org:81/repo"));
}
