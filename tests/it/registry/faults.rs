//! Lines that break, servers that are busy, bytes that are wrong: an image arrives whole, or nothing of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::front::{Answer, Front};
use super::program::Home;
use super::server::{Login, Server, Speech};
use crate::proxy::{Faults, Proxy};

const INSECURE: &str = "--tls-verify=false";

/// Bytes that hardly compress.
fn big_tree(home: &Home) {
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        let mut noise = super::noise(6_000_000 + number);
        noise.reverse();
        noise[0] = u8::try_from(number).unwrap();
        fs::write(home.path(&format!("tree/usr/{name}")), noise).unwrap();
    }
    home.ok(&["--repo=repo", "commit", "-b", "main", "--tree=dir=tree", "--timestamp=@1700000000"]);
}

#[test]
fn a_pull_goes_on_where_the_line_broke() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let home = Home::new();
    big_tree(&home);
    let commit = home.ok(&["--repo=repo", "rev-parse", "main"]);
    home.push(&format!("{}/app:1", server.address), &[INSECURE]);
    let faults = Faults { cut_answer: Some(700_000), refuse_every: Some(5), ..Faults::default() };
    let proxy = Proxy::start(server.address, faults);
    let image = format!("ostree-unverified-registry:{}/app:1", proxy.address);
    assert_eq!(home.ok(&["--repo=new", "container", "pull", INSECURE, &image]), commit);
    home.ok(&["--repo=new", "fsck"]);
    let size = fs::metadata(largest_blob(&server)).unwrap().len();
    assert!(proxy.connections() > size / 700_000, "{} connections", proxy.connections());
    assert!(proxy.answered() < size + size / 20, "{} bytes for a layer of {size}", proxy.answered());
    // A copy of it too, byte for byte.
    let proxy = Proxy::start(server.address, faults);
    let image = format!("docker://{}/app:1", proxy.address);
    home.ok(&["container", "copy", INSECURE, &image, "oci:copy:1"]);
    assert!(proxy.answered() < size + size / 20, "{} bytes for a layer of {size}", proxy.answered());
    home.ok(&["--repo=new", "container", "pull", "ostree-unverified-image:oci:copy:1"]);
}

/// The registry forgets what was cut off: the layer is made and sent again, over a line that breaks again
/// after as many bytes, so that chunks have to become shorter than that.
#[test]
fn a_push_gets_through() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let home = Home::new();
    big_tree(&home);
    for cut in [9_000_000, 1_500_000] {
        let faults = Faults { cut_request: Some(cut), refuse_every: Some(7), ..Faults::default() };
        let proxy = Proxy::start(server.address, faults);
        let name = format!("cut-{cut}/app:1");
        let digest = home.push(&format!("{}/{name}", proxy.address), &[INSECURE]);
        let image = format!("docker://{}/{name}", server.address);
        let plain = format!("dir:plain-{cut}");
        assert_eq!(home.ok(&["container", "copy", INSECURE, &image, &plain]), digest);
        // The same through `copy`.
        let again = format!("docker://{}/copy-{cut}:1", proxy.address);
        assert_eq!(home.ok(&["container", "copy", INSECURE, &plain, &again]), digest);
        let size = fs::metadata(largest_blob(&server)).unwrap().len();
        assert!(proxy.connections() > 2 * size / cut, "{} connections", proxy.connections());
    }
}

#[test]
fn a_line_that_never_holds_leaves_nothing() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let home = Home::new();
    home.push(&format!("{}/app:1", server.address), &[INSECURE]);
    let proxy = Proxy::start(server.address, Faults { cut_answer: Some(200), ..Faults::default() });
    refused(&home, &format!("{}/app:1", proxy.address));
}

#[test]
fn a_byte_that_changed_on_its_way_is_noticed() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let home = Home::new();
    big_tree(&home);
    let digest = home.push(&format!("{}/app:1", server.address), &[INSECURE]);
    let layer = digest_of(&largest_blob(&server));
    // Within the layer, within what surely is no header.
    for at in [500_000, 7_000_000] {
        let faults = Faults { corrupt_at: Some(at), ..Faults::default() };
        let proxy = Proxy::start(server.address, faults);
        let error = refused(&home, &format!("{}/app:1", proxy.address));
        assert!(error.contains(&layer), "{error}");
    }
    // The manifest that was asked for by its digest is another one.
    let other = Front::start(server.address, |asked| {
        let manifest = br#"{"schemaVersion":2,"config":{},"layers":[]}"#;
        asked.target.contains("/manifests/").then(|| Answer::new("200 OK", *manifest))
    });
    let error = refused(&home, &format!("{}/app@{digest}", other.address));
    assert!(error.contains(&digest), "{error}");
}

#[test]
fn blobs_that_were_swapped_are_noticed() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let home = Home::new();
    // Two layers of nearly the same content; that of the first image is asked for, the other is given.
    let mut layers = Vec::new();
    for (tag, hello) in [("1", "hello one\n"), ("2", "hello two\n")] {
        home.write("tree/usr/hello", hello);
        home.ok(&["--repo=repo", "commit", "-b", "main", "--tree=dir=tree", "--timestamp=@1700000000"]);
        home.push(&format!("{}/app:{tag}", server.address), &[INSECURE]);
        home.ok(&[
            "container",
            "copy",
            INSECURE,
            &format!("docker://{}/app:{tag}", server.address),
            &format!("dir:d{tag}"),
        ]);
        let manifest = fs::read(home.path(&format!("d{tag}/manifest.json"))).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let digest = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
        let bytes = fs::read(home.path(&format!("d{tag}/{}", &digest[7..]))).unwrap();
        layers.push((digest, bytes));
    }
    let [(first, first_bytes), (second, second_bytes)] = [layers[0].clone(), layers[1].clone()];
    let (one, two) = (first.clone(), second.clone());
    let swapping = Front::start(server.address, move |asked| {
        let bytes = match asked.target.rsplit('/').next() {
            Some(digest) if digest == one => second_bytes.clone(),
            Some(digest) if digest == two => first_bytes.clone(),
            _ => return None,
        };
        (asked.method == "GET").then(|| Answer::new("200 OK", bytes))
    });
    for (tag, layer) in [("1", first), ("2", second)] {
        let error = refused(&home, &format!("{}/app:{tag}", swapping.address));
        assert!(error.contains(&layer), "{error}");
        let copy =
            ["container", "copy", INSECURE, &format!("docker://{}/app:{tag}", swapping.address), "oci:bad:1"];
        assert!(home.fails(&copy).contains(&layer));
        assert!(
            home.fails(&["--repo=new", "container", "pull", "ostree-unverified-image:oci:bad:1"])
                .contains("no image")
        );
    }
}

fn digest_of(blob: &Path) -> String {
    blob.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn damage_is_refused_and_leaves_nothing() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let home = Home::new();
    big_tree(&home);
    let image = format!("{}/app:1", server.address);
    // Of zstd:chunked a second pull would fetch, and verify, only what the first had not.
    home.push(&image, &["--tls-verify=false", "--compression=gzip"]);
    let blob = largest_blob(&server);
    let digest = digest_of(&blob);
    let good = fs::read(&blob).unwrap();
    let pull = || {
        let error = refused(&home, &image);
        assert!(error.contains(&digest), "{error}");
    };
    for at in [good.len() / 2, good.len() - 1, 20] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&blob, bad).unwrap();
        pull();
    }
    // Another layer in its place.
    home.write("tree/usr/a", "different");
    home.ok(&["--repo=repo", "commit", "-b", "main", "--tree=dir=tree"]);
    fs::remove_file(&blob).unwrap();
    home.push(&format!("{}/other:1", server.address), &["--tls-verify=false", "--compression=gzip"]);
    fs::copy(largest_blob(&server), &blob).unwrap();
    pull();
}

/// What a pull says that fails, and leaves nothing.
fn refused(home: &Home, image: &str) -> String {
    let unverified = format!("ostree-unverified-registry:{image}");
    let error = home.fails(&["--repo=new", "container", "pull", "--ref=got", INSECURE, &unverified]);
    assert!(home.ok(&["--repo=new", "refs"]).is_empty());
    let visible = count_files(&home.path("new/objects"));
    assert_eq!(visible, 0, "{visible} objects became visible");
    home.ok(&["--repo=new", "fsck"]);
    error
}

/// The file of the largest blob that the registry has.
fn largest_blob(server: &Server) -> PathBuf {
    let root = server.dir.path().join("data/docker/registry/v2/blobs/sha256");
    let folders = fs::read_dir(root).unwrap().flat_map(|e| fs::read_dir(e.unwrap().path()).unwrap());
    let files = folders.map(|e| e.unwrap().path().join("data")).filter(|path| path.exists());
    files.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

/// How many files lie two folders below `root`.
fn count_files(root: &Path) -> usize {
    let folders = fs::read_dir(root).into_iter().flatten();
    folders.map(|e| fs::read_dir(e.unwrap().path()).unwrap().count()).sum()
}
