//! What the conformance suite of the OCI distribution specification asks of a registry that can only be read.

use serde_json::Value;

use super::Serving;
use super::server::Reply;
use crate::registry::program::Home;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const UNKNOWN: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn json(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

/// An error in the shape of the specification.
fn assert_error(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let error = &json(reply)["errors"][0];
    assert_eq!(error["code"], code);
    assert!(error["message"].as_str().unwrap().len() > 10);
}

#[test]
fn what_a_registry_that_is_read_has_to_do() {
    let home = Home::new();
    home.ok(&["--repo=repo", "refs", "--create=os/stable", "main"]);
    let serving = Serving::start(&home.path("repo"));
    let of = |path: &str| format!("/v2/os/stable/{path}");

    // 1: the version.
    let version = serving.get("/v2/");
    assert_eq!(
        (version.status, version.header("docker-distribution-api-version")),
        (200, Some("registry/2.0"))
    );
    // 2, 3: tags, of an image and of a name that no image has.
    let tags = json(&serving.get(&of("tags/list")));
    assert_eq!(tags["name"], "os/stable");
    assert!(tags["tags"].as_array().unwrap().contains(&"latest".into()));
    assert_error(&serving.get("/v2/no/such/image/tags/list"), 404, "NAME_UNKNOWN");
    // 4-7: the manifest, by tag and digest, and only its headers.
    let manifest = serving.get(&of("manifests/latest"));
    let digest = manifest.header("docker-content-digest").unwrap().to_owned();
    let sum = ostree_rs::format::Checksum::of(&manifest.body);
    assert_eq!(digest, format!("sha256:{sum}"));
    for reference in ["latest", &digest] {
        for method in ["GET", "HEAD"] {
            let reply = serving.ask(
                method,
                &of(&format!("manifests/{reference}")),
                &[&format!("Accept: {MANIFEST}")],
            );
            assert_eq!(
                (reply.status, reply.header("content-type")),
                (200, Some(MANIFEST)),
                "{method} {reference}"
            );
            assert_eq!(reply.header("docker-content-digest"), Some(&*digest));
            assert_eq!(reply.header("content-length"), Some(&*manifest.body.len().to_string()));
            assert_eq!(reply.body, if method == "GET" { manifest.body.clone() } else { Vec::new() });
        }
    }
    // 8-11: every blob, and only its headers.
    let parsed = json(&manifest);
    assert_eq!(parsed["mediaType"], MANIFEST);
    for blob in parsed["layers"].as_array().unwrap().iter().chain([&parsed["config"]]) {
        let digest = blob["digest"].as_str().unwrap();
        let reply = serving.get(&of(&format!("blobs/{digest}")));
        assert_eq!(reply.status, 200);
        assert_eq!(format!("sha256:{}", ostree_rs::format::Checksum::of(&reply.body)), digest);
        let head = serving.ask("HEAD", &of(&format!("blobs/{digest}")), &[]);
        assert_eq!((head.status, head.header("docker-content-digest")), (200, Some(digest)));
        assert_eq!(head.header("content-length"), Some(&*blob["size"].to_string()));
        assert_eq!(head.header("accept-ranges"), Some("bytes"));
    }
    // 12: nothing refers to it, nor to what is not there.
    for subject in [&*digest, UNKNOWN] {
        let reply = serving.get(&of(&format!("referrers/{subject}")));
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(INDEX)));
        let index = json(&reply);
        assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&2.into(), &INDEX.into()));
        assert_eq!(index["manifests"].as_array().unwrap().len(), 0);
    }
    // 13-15: what is not there.
    assert_error(&serving.get(&of("manifests/no-such-tag")), 404, "MANIFEST_UNKNOWN");
    assert_error(&serving.get(&of(&format!("manifests/{UNKNOWN}"))), 404, "MANIFEST_UNKNOWN");
    assert_error(&serving.get(&of(&format!("blobs/{UNKNOWN}"))), 404, "BLOB_UNKNOWN");
    assert_eq!(serving.ask("HEAD", &of(&format!("blobs/{UNKNOWN}")), &[]).status, 404);
    // 16: what is no digest.
    for path in
        ["blobs/sha256:totallywrong", "manifests/sha256:totallywrong", "referrers/sha256:totallywrong"]
    {
        assert_error(&serving.get(&of(path)), 400, "DIGEST_INVALID");
    }
    assert_error(&serving.get("/v2/Bad//name/manifests/latest"), 404, "NAME_INVALID");
    assert_error(&serving.ask("POST", &of("blobs/uploads/"), &["Content-Length: 0"]), 405, "UNSUPPORTED");
}

/// Lists come page by page.
#[test]
fn lists_have_pages() {
    let home = Home::new();
    for name in ["b", "c/d", "Capital"] {
        home.ok(&["--repo=repo", "refs", &format!("--create={name}"), "main"]);
    }
    let serving = Serving::start(&home.path("repo"));
    let (mut path, mut all) = ("/v2/_catalog?n=3".to_owned(), Vec::new());
    loop {
        let reply = serving.get(&path);
        let page = json(&reply)["repositories"].as_array().unwrap().clone();
        assert!(page.len() <= 3);
        all.extend(page);
        match reply.header("link") {
            Some(link) => path = link.split(['<', '>']).nth(1).unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(all, ["b", "c/d", "capital", "main"]);
    let tags = json(&serving.get("/v2/main/tags/list?n=1&last=g"));
    assert_eq!(tags["tags"].as_array().unwrap(), &["latest"]);
}

/// Checks that want what the suite pushed itself, into a registry that can be written to.
const AFTER_PUSHES: [&str; 3] = [
    "GET request to existing blob should yield 200",
    "GET request to existing blob with filter should yield 200",
    "GET request to missing manifest should yield 200",
];

/// The suite itself, where `OSTREE_RS_OCI_CONFORMANCE` names the program that it was compiled to: see tests/README.md.
#[test]
fn the_suite() {
    let Some(suite) = std::env::var_os("OSTREE_RS_OCI_CONFORMANCE") else {
        eprintln!("skipped: OSTREE_RS_OCI_CONFORMANCE is not set");
        return;
    };
    let home = Home::new();
    home.ok(&["--repo=repo", "refs", "--create=os/stable", "main"]);
    let serving = Serving::start(&home.path("repo"));
    let manifest = serving.get("/v2/os/stable/manifests/latest");
    let blob = json(&manifest)["config"]["digest"].as_str().unwrap().to_owned();
    let out = std::process::Command::new(suite)
        .args(["-ginkgo.no-color", "-ginkgo.v"])
        .env("OCI_ROOT_URL", serving.url.trim_end_matches('/'))
        .envs([("OCI_NAMESPACE", "os/stable"), ("OCI_TAG_NAME", "latest"), ("OCI_REPORT_DIR", "none")])
        .envs([("OCI_TEST_PULL", "1"), ("OCI_TEST_CONTENT_DISCOVERY", "1"), ("OCI_TAG_LIST", "latest,a,b,c")])
        .env("OCI_MANIFEST_DIGEST", manifest.header("docker-content-digest").unwrap())
        .env("OCI_BLOB_DIGEST", blob)
        .output()
        .unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    let failed: Vec<_> =
        said.lines().filter_map(|line| line.split_once("[FAIL] ")).map(|(_, what)| what).collect();
    assert!(
        failed
            .iter()
            .all(|what| what.contains("listing references")
                && AFTER_PUSHES.iter().any(|end| what.ends_with(end))),
        "{failed:#?}"
    );
    assert!(said.contains("19 Passed | 3 Failed"), "{said}");
}
