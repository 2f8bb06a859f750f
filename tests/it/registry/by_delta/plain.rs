//! Images that were never ostree's: their layers come by deltas of the files of the commit that was made of them.

use flate2::Compression;
use flate2::write::GzEncoder;
use ostree_rs::format::Checksum;

use super::{Ctx, Fixture, Front, Home, MANIFEST, Value, json, noise, registry, ways};
use crate::registry::push_blob;
use crate::registry::server::{Login, Server, Speech};

const KERNEL: &str = "6.1.0-9-test";

/// The files of a version, at places that a commit has elsewhere.
fn files(version: u8) -> Vec<(String, Vec<u8>)> {
    let paths = [
        "etc/config".to_owned(),
        "usr/bin/program".to_owned(),
        format!("boot/vmlinuz-{KERNEL}"),
        format!("boot/initrd.img-{KERNEL}"),
        "root/state".to_owned(),
        "var/lib/state".to_owned(),
    ];
    let mut files = vec![(format!("usr/lib/modules/{KERNEL}/modules.dep"), b"x".to_vec())];
    for (n, path) in paths.into_iter().enumerate() {
        let mut content = noise(100_000 + n);
        content[0] = n as u8;
        if version == 2 {
            content[50_000] ^= 1;
        }
        files.push((path, content));
    }
    files
}

/// Pushes a version as an image with one layer.
fn push(server: &Server, version: u8) {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files(version) {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, &content[..]).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let mut layer = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut layer, &tar).unwrap();
    let layer = layer.finish().unwrap();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", Checksum::of(&tar))]}});
    let config = serde_json::to_vec(&config).unwrap();
    let registry = registry(&server.url(), "app", None);
    let [config_digest, digest] = [&config, &layer].map(|bytes| push_blob(&registry, bytes).unwrap());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                   "digest": format!("sha256:{config_digest}"), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": format!("sha256:{digest}"), "size": layer.len()}],
    });
    let bytes = serde_json::to_vec(&manifest).unwrap();
    registry.put_manifest(&version.to_string(), MANIFEST, &bytes, &Ctx::default()).unwrap();
}

#[test]
fn an_image_that_never_was_ostrees() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    push(&server, 1);
    push(&server, 2);
    let mut fixture = Fixture { home: Home::new(), server, commit: String::new() };
    let front = Front::start(fixture.server.address, |_| None);
    fixture.init("bare-user");
    fixture.commit = fixture.pull(&front, 2)["commit"].as_str().unwrap().to_owned();
    let bytes = fixture.delta(&[]);
    for (mode, version) in [("bare-user", "kernel"), ("archive", "kernel")] {
        fixture.init(mode);
        let first = fixture.pull(&front, 1);
        assert_eq!(first[version], KERNEL);
        let second = fixture.pull(&front, 2);
        assert_eq!(ways(&second, "delta"), (1, bytes), "{second}");
        fixture.check();
    }
    // The image store, which keeps layers as they are.
    let pull = |version: u8| -> Value {
        let image = format!("ostree-unverified-registry:{}", fixture.image(version));
        let args = ["container", "image", "pull", "--tls-verify=false", "--json", "new", &image];
        serde_json::from_str(&fixture.home.ok(&args)).unwrap()
    };
    fixture.init("bare-user");
    pull(1);
    let second = pull(2);
    assert_eq!(ways(&second, "delta"), (1, bytes), "{second}");
    let refs = fixture.home.ok(&["--repo=new", "refs", "--list", "--revision"]);
    fixture.init("bare-user");
    pull(2);
    let from_whole = fixture.home.ok(&["--repo=new", "refs", "--list", "--revision"]);
    assert!(from_whole.lines().all(|line| refs.contains(line)), "{refs} {from_whole}");
}
