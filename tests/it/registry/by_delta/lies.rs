//! Deltas that say what is not so: each costs the whole layer, and nothing else.

use std::io::Read;

use super::{Answer, Ctx, Fixture, Front, MANIFEST, Value, json, registry, ways};
use crate::container::deltas::stream;
use crate::registry::{pull_blob, push_blob};

const V2: &[u8] = b"tardf2\n\0";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl Fixture {
    fn registry(&self) -> ostree_rs::net::registry::Registry {
        registry(&self.server.url(), "app", None)
    }

    /// The digest of the second version, and the manifest of the delta to it.
    fn listed(&self) -> (String, Value) {
        let (registry, ctx) = (self.registry(), Ctx::default());
        let digest = registry.manifest_digest("2", &[MANIFEST], &ctx).unwrap().unwrap();
        let hex = digest.strip_prefix("sha256:").unwrap().to_owned();
        let list = registry.referrers(&hex.parse().unwrap(), &ctx).unwrap();
        let list: Value = serde_json::from_slice(&list[0]).unwrap();
        let delta = list["manifests"][0]["digest"].as_str().unwrap();
        (hex, serde_json::from_slice(&registry.manifest(delta, &[MANIFEST], &ctx).unwrap().bytes).unwrap())
    }

    /// Lists `manifest` as the only delta to the image with this digest.
    fn list(&self, hex: &str, manifest: &Value) {
        let (registry, ctx) = (self.registry(), Ctx::default());
        let bytes = serde_json::to_vec(manifest).unwrap();
        registry.put_manifest("lie", MANIFEST, &bytes, &ctx).unwrap();
        let digest = ostree_rs::container::image::Digest::of(&bytes).to_string();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{
            "mediaType": MANIFEST, "digest": digest, "size": bytes.len(),
            "artifactType": "application/vnd.io.github.containers.oci-delta.v1",
        }]});
        let index = serde_json::to_vec(&index).unwrap();
        registry.put_manifest(&format!("sha256-{hex}"), INDEX, &index, &ctx).unwrap();
    }
}

/// The descriptor of the stream in the manifest of a delta.
fn layer(manifest: &mut Value) -> &mut Value {
    let layers = manifest["layers"].as_array_mut().unwrap();
    layers.iter_mut().find(|layer| layer["mediaType"] == "application/vnd.tar-diff").unwrap()
}

#[test]
fn a_delta_that_lies_does_no_harm() {
    let Some(fixture) = Fixture::new(&["--compression=gzip"]) else { return };
    fixture.delta(&[]);
    let (hex, manifest) = fixture.listed();
    let descriptor = layer(&mut manifest.clone()).clone();
    let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().parse().unwrap();
    let whole = pull_blob(&fixture.registry(), &digest, descriptor["size"].as_u64().unwrap()).unwrap();
    let front = Front::start(fixture.server.address, |_| None);
    fixture.init("bare-user");
    fixture.pull(&front, 1);
    fixture.copy("new", "first");
    fixture.list(&hex, &manifest);
    assert_eq!(ways(&fixture.pull(&front, 2), "delta").0, 1, "what tells the truth is taken");

    let open: (u8, u64, &[u8]) = (1, 27, b"usr/lib/deep/lib0.so.1\0\0\0\0\0");
    let open = (open.0, 22, &open.2[..22]);
    let up: (u8, u64, &[u8]) = (1, 25, b"../../../../../etc/passwd");
    let again = [open, (2, 200_000, b"")].repeat(2000);
    let zeros = |bytes| std::io::repeat(0).take(bytes);
    // Data of 2^40 bytes.
    let bomb = [&[0][..], &[0x80; 5], &[0x20]].concat();
    let bomb = zstd::encode_all(bomb.chain(zeros(1 << 29)), 3).unwrap();
    let frame = zstd::encode_all(zeros(1 << 29), 1).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    let lies: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("an empty stream", stream(V2, &[])),
        ("a byte that is flipped", flipped),
        ("the half of it", whole[..whole.len() / 2].to_vec()),
        ("a byte less", whole[..whole.len() - 1].to_vec()),
        ("something behind it", [&whole[..], b"more"].concat()),
        ("a copy from nowhere", stream(V2, &[open, (4, 1 << 60, b""), (2, 1, b"")])),
        ("a copy beyond the end", stream(V2, &[open, (2, u64::MAX, b"")])),
        ("a file above the root", stream(V2, &[up, (2, 1, b"")])),
        ("copies without end", stream(V2, &again)),
        ("zeros without end", [V2, &bomb].concat()),
        ("a patch without end", stream(V2, &[open, (5, frame.len() as u64, &frame)])),
        ("a stream that is no archive", stream(V2, &[(0, 1000, &[b'x'; 1000])])),
    ];
    for (what, bytes) in lies {
        let mut lie = manifest.clone();
        let digest = push_blob(&fixture.registry(), &bytes).unwrap();
        layer(&mut lie)["digest"] = json!(format!("sha256:{digest}"));
        layer(&mut lie)["size"] = json!(bytes.len());
        fixture.list(&hex, &lie);
        fixture.copy("first", "new");
        let pulled = fixture.pull(&front, 2);
        // What follows the delta's stream changes nothing of it, or it is refused.
        assert!(ways(&pulled, "whole").0 == 1 || what == "something behind it", "{what}: {pulled}");
        fixture.check();
    }
}

/// What is answered in place of these bytes.
type Answered = fn(&[u8]) -> Answer;
/// What becomes of the manifest of a delta.
type Lie<'a> = &'a dyn Fn(&mut Value);

/// Manifests of deltas that are wrong, or name what is not there.
#[test]
fn a_delta_that_cannot_be_had_does_no_harm() {
    let Some(fixture) = Fixture::new(&["--compression=gzip"]) else { return };
    fixture.delta(&[]);
    let (hex, manifest) = fixture.listed();
    let stream = layer(&mut manifest.clone())["digest"].as_str().unwrap().to_owned();
    let front = Front::start(fixture.server.address, |_| None);
    fixture.init("bare-user");
    fixture.pull(&front, 1);
    fixture.copy("new", "first");
    let pull = |front: &Front| {
        fixture.copy("first", "new");
        let pulled = fixture.pull(front, 2);
        fixture.check();
        ways(&pulled, "delta").0
    };
    assert_eq!(pull(&front), 1);
    // The blob: not there, another one's, an answer without end, refused.
    let answers: [(&str, Answered); 4] = [
        ("404", |_| Answer::new("404 Not Found", "")),
        ("another", |_| Answer::new("200 OK", vec![b'x'; 3000])),
        ("longer", |whole| Answer::new("200 OK", [whole, &[0; 1 << 20]].concat())),
        ("403", |_| Answer::new("403 Forbidden", "")),
    ];
    let registry = fixture.registry();
    let checksum = stream.strip_prefix("sha256:").unwrap().parse().unwrap();
    let size = layer(&mut manifest.clone())["size"].as_u64().unwrap();
    let whole = pull_blob(&registry, &checksum, size).unwrap();
    for (what, answer) in answers {
        let (stream, whole) = (stream.clone(), whole.clone());
        let front = Front::start(fixture.server.address, move |asked| {
            asked.target.ends_with(&format!("/blobs/{stream}")).then(|| answer(&whole))
        });
        // Bytes behind those that were promised are not read.
        assert_eq!(pull(&front), usize::from(what == "longer"), "{what}");
    }
    // The list, and what it names.
    let front = Front::start(fixture.server.address, move |asked| {
        let list = asked.target.contains("/manifests/sha256-") || asked.target.contains("/referrers/");
        list.then(|| Answer::new(&format!("200 OK\r\nContent-Type: {INDEX}"), "[]"))
    });
    assert_eq!(pull(&front), 0);
    let annotation = |name: &str| format!("io.github.containers.delta.{name}");
    let other = format!("sha256:{}", "0".repeat(64));
    let lies: [(&str, Lie<'_>); 6] = [
        ("of another image", &|lie| lie["annotations"][annotation("source-config")] = json!(other)),
        ("to another image", &|lie| lie["annotations"][annotation("target")] = json!(other)),
        ("to another layer", &|lie| layer(lie)["annotations"][annotation("to")] = json!(other)),
        ("no digest", &|lie| lie["annotations"][annotation("source-config")] = json!("sha256:x")),
        ("no layers", &|lie| lie["layers"] = json!([])),
        ("larger than the layer", &|lie| layer(lie)["size"] = json!(1u64 << 40)),
    ];
    for (what, change) in lies {
        let mut lie = manifest.clone();
        change(&mut lie);
        fixture.list(&hex, &lie);
        assert_eq!(pull(&Front::start(fixture.server.address, |_| None)), 0, "{what}");
    }
}
