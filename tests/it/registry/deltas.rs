//! `container delta` by the program: in layouts, archives and a registry, with images of ours and of others.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::program::Home;
use super::server::{Login, Server, Speech};
use crate::container::deltas::{peer, reader};
use crate::oracle;

/// A home with two commits, the second of which changes a little of a program.
fn home() -> Home {
    let home = Home::new();
    let program = super::noise(300_000);
    fs::write(home.path("tree/usr/program"), &program).unwrap();
    commit(&home, "v1");
    let mut changed = program;
    changed.iter_mut().step_by(5000).for_each(|byte| *byte ^= 1);
    fs::write(home.path("tree/usr/program"), &changed).unwrap();
    fs::create_dir(home.path("tree/usr/share")).unwrap();
    fs::write(home.path("tree/usr/share/new"), b"new\n").unwrap();
    commit(&home, "v2");
    home
}

fn commit(home: &Home, name: &str) {
    home.ok(&["--repo=repo", "commit", "-b", name, "--tree=dir=tree", "--timestamp=@1700000000"]);
}

fn build(home: &Home, name: &str, to: &str, compression: &str) -> String {
    let (name, compression) = (format!("--ref={name}"), format!("--compression={compression}"));
    home.ok(&["--repo=repo", "container", "build", &name, to, &compression])
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The bytes of the document that a digest names in a layout.
fn blob(home: &Home, layout: &str, digest: &str) -> Vec<u8> {
    let hex = digest.strip_prefix("sha256:").unwrap();
    fs::read(home.path(&format!("{layout}/blobs/sha256/{hex}"))).unwrap()
}

/// The delta's blob in a layout that holds one delta.
fn delta_blob(home: &Home, layout: &str, manifest: &str) -> std::path::PathBuf {
    let manifest = json(std::str::from_utf8(&blob(home, layout, manifest)).unwrap());
    let layers = manifest["layers"].as_array().unwrap().iter();
    let delta = layers.clone().find(|layer| layer["mediaType"] == "application/vnd.tar-diff").unwrap();
    let hex = delta["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    home.path(&format!("{layout}/blobs/sha256/{hex}"))
}

/// The old image and the delta make the new image, with the digest that it had, and the commit comes out of it.
#[test]
fn the_new_image_comes_back() {
    let home = home();
    for compression in ["gzip", "zstd", "zstd:chunked", "none"] {
        let new = ["old", "newer", "delta", "back"].map(|name| home.path(name));
        new.iter().for_each(|path| drop(fs::remove_dir_all(path)));
        build(&home, "v1", "--oci-dir=old", compression);
        let new = build(&home, "v2", "--oci-dir=newer", compression);
        let created =
            json(&home.ok(&["container", "delta", "create", "--json", "oci:old", "oci:newer", "oci:delta"]));
        assert_eq!(created["target"], new.as_str(), "{compression}");
        assert_eq!((&created["layers_delta"], &created["layers_whole"]), (&1.into(), &0.into()));
        assert!(created["bytes"].as_u64().unwrap() < 20_000, "{created}");
        let shown = json(&home.ok(&["container", "delta", "show", "--json", "oci:delta"]));
        assert_eq!(
            (&shown["target"], &shown["manifest_digest"]),
            (&created["target"], &created["manifest_digest"])
        );
        assert_eq!(shown["layers"][0]["bytes"], created["bytes"]);
        let applied =
            json(&home.ok(&["container", "delta", "apply", "--json", "oci:old", "oci:delta", "oci:back"]));
        assert_eq!(
            (&applied["as_promised"], &applied["manifest_digest"]),
            (&true.into(), &created["target"])
        );
    }
    home.ok(&["pull", "--repo=new", "--ref=v2", "ostree-unverified-image:oci:back"]);
    assert_eq!(home.ok(&["--repo=new", "rev-parse", "v2"]), home.ok(&["--repo=repo", "rev-parse", "v2"]));
}

/// The crate of the project oci-delta reads the whole artifact, and makes the same streams.
#[test]
fn the_peer_reads_the_artifact() {
    let Some(program) = peer::program() else { return };
    let home = home();
    build(&home, "v1", "--oci-dir=old", "none");
    build(&home, "v2", "--oci-dir=newer", "none");
    for effort in [&[][..], &["--best"]] {
        let _ = fs::remove_dir_all(home.path("delta"));
        home.ok(
            &[&["container", "delta", "create", "oci:old", "oci:newer", "oci:delta"][..], effort].concat()
        );
        let [layout, root, made] = ["delta", "root", "made"].map(|name| home.path(name));
        let _ = fs::remove_dir_all(&made);
        fs::create_dir(&made).unwrap();
        home.ok(&["--repo=repo", "checkout", "-U", "--force-copy", "--union", "v1", "root"]);
        let args = [&layout, &root, &made].map(|path| path.to_str().unwrap());
        let said = oracle::run(program.to_str().unwrap(), &[&["artifact"], &args[..]].concat());
        let diff_id = String::from_utf8(said).unwrap().trim().to_owned();
        // What is not compressed has its diffid as its digest.
        assert!(fs::read(made.join(diff_id.replace(':', "-"))).unwrap() == blob(&home, "newer", &diff_id));
    }
}

/// Layers that both images have, by skopeo compressed otherwise, are not in the delta; the new image has the same
/// configuration then, and so the same streams.
#[test]
fn images_that_others_compressed() {
    if !oracle::need("skopeo") {
        return;
    }
    let home = home();
    build(&home, "v1", "--oci-dir=old", "zstd");
    build(&home, "v2", "--oci-dir=plain", "none");
    let path = |name: &str| format!("oci:{}", home.path(name).display());
    oracle::run(
        "skopeo",
        &[
            "--insecure-policy",
            "copy",
            "--dest-compress",
            "--dest-compress-format=gzip",
            &path("plain"),
            &path("newer"),
        ],
    );
    home.ok(&[
        "container",
        "delta",
        "create",
        "--best",
        "oci:old",
        "oci:newer",
        "oci-archive:delta.ociarchive",
    ]);
    let back =
        home.ok(&["container", "delta", "apply", "oci:old", "oci-archive:delta.ociarchive", "oci:back"]);
    let inspect = |name| {
        String::from_utf8(oracle::run("skopeo", &["inspect", "--config", "--raw", &path(name)])).unwrap()
    };
    assert_eq!(inspect("back"), inspect("newer"));
    assert_eq!(
        json(&home.ok(&["container", "delta", "create", "--json", "oci:newer", "oci:back", "oci:nothing"]))["layers_reused"],
        1
    );
    // What podman and skopeo verify, digests and sizes, is right.
    oracle::run(
        "skopeo",
        &["--insecure-policy", "copy", &path("back"), &format!("dir:{}", home.path("copy").display())],
    );
    assert!(home.path("copy/manifest.json").exists(), "{back}");
}

/// A delta that was damaged, or belongs to another image, makes nothing.
#[test]
fn wrong_deltas_make_no_image() {
    let home = home();
    build(&home, "v1", "--oci-dir=old", "zstd");
    build(&home, "v2", "--oci-dir=newer", "zstd");
    let manifest = home.ok(&["container", "delta", "create", "-q", "oci:old", "oci:newer", "oci:delta"]);
    let said = home.fails(&["container", "delta", "apply", "oci:newer", "oci:delta", "oci:back"]);
    assert!(said.contains("the delta begins with the image whose configuration is"), "{said}");
    let said = home.fails(&["container", "delta", "show", "oci:newer"]);
    assert!(said.contains("is no delta but"), "{said}");
    let said = home.fails(&["container", "delta", "create", "oci:old", "oci:newer", "oci:newer"]);
    assert!(said.contains("would take the place of oci:newer"), "{said}");
    let file = delta_blob(&home, "delta", &manifest);
    let whole = fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        fs::write(&file, damaged).unwrap();
        drop(fs::remove_dir_all(home.path("back")));
        let said = home.fails(&["container", "delta", "apply", "oci:old", "oci:delta", "oci:back"]);
        assert!(said.lines().count() == 1, "{said}");
        assert_eq!(images_in(&home.path("back")), 0, "byte {at}");
    }
}

fn images_in(layout: &Path) -> usize {
    let index = fs::read_to_string(layout.join("index.json")).unwrap();
    json(&index)["manifests"].as_array().unwrap().len()
}

/// In a registry the delta is found among the referrers of the new image, and no tag changes but the one that stands
/// for the list of referrers where the registry has none.
#[test]
fn a_registry_lists_deltas_as_referrers() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let home = home();
    home.write(
        "registries.conf",
        &format!("[[registry]]\nlocation = '{}'\ninsecure = true\n", server.address),
    );
    let image = format!("docker://{}/os", server.address);
    let push = |name: &str| build(&home, name, &format!("--push={image}:{name}"), "zstd");
    push("v1");
    let new = push("v2");
    let (old, newer) = (format!("{image}:v1"), format!("{image}:v2"));
    let create = ["container", "delta", "create", "-q", &old, &newer, &image];
    let delta = home.ok(&create);
    // Once more: the same delta is listed once.
    assert_eq!(home.ok(&create), delta);
    let registry = super::registry(&server.url(), "os", None);
    let hex = new.strip_prefix("sha256:").unwrap();
    let mut tags = registry.tags(&Default::default()).unwrap();
    tags.sort();
    assert_eq!(tags, [format!("sha256-{hex}"), "v1".into(), "v2".into()]);
    let list = registry.referrers(&hex.parse().unwrap(), &Default::default()).unwrap();
    let entries = json(std::str::from_utf8(&list[0]).unwrap())["manifests"].as_array().unwrap().clone();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["digest"], delta.as_str());
    assert_eq!(entries[0]["artifactType"], "application/vnd.io.github.containers.oci-delta.v1");
    assert_eq!(entries[0]["annotations"]["io.github.containers.delta.target"], new.as_str());
    let back = home.ok(&["container", "delta", "apply", &old, &format!("{image}@{delta}"), "oci:back"]);
    assert_eq!(back, new);
}

/// What flatpak looks for: an index under a tag, deltas of version 1 between layers that go by their diffids. Another
/// delta to the same image, and one to another image, come beside it.
#[test]
fn flatpak_finds_deltas_in_an_index() {
    let home = home();
    commit(&home, "v3");
    for (name, dir) in [("v1", "one"), ("v2", "two"), ("main", "zero")] {
        build(&home, name, &format!("--oci-dir={dir}"), "none");
    }
    let create = |old: &str, new: &str| {
        home.ok(&["container", "delta", "create", "-q", "--format=deltaindex", old, new, "oci:flat"]);
    };
    for (old, new) in
        [("oci:one", "oci:two"), ("oci:zero", "oci:two"), ("oci:zero", "oci:one"), ("oci:one", "oci:two")]
    {
        create(old, new);
    }
    let text = |bytes: Vec<u8>| json(std::str::from_utf8(&bytes).unwrap());
    let named = |layout: &str| {
        let index = text(fs::read(home.path(&format!("{layout}/index.json"))).unwrap());
        assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
        index["manifests"][0].clone()
    };
    assert_eq!(named("flat")["annotations"]["org.opencontainers.image.ref.name"], "_deltaindex");
    let index = text(blob(&home, "flat", named("flat")["digest"].as_str().unwrap()));
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    let (target, from, to) = (
        "io.github.containers.delta.target",
        "io.github.containers.delta.from",
        "io.github.containers.delta.to",
    );
    let entry = entries.iter().find(|entry| entry["annotations"][target] == named("two")["digest"]).unwrap();
    let manifest = text(blob(&home, "flat", entry["digest"].as_str().unwrap()));
    assert_eq!(manifest["annotations"][target], named("two")["digest"]);
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.redhat.delta.config.v1+json");
    assert_eq!(blob(&home, "flat", manifest["config"]["digest"].as_str().unwrap()), b"{}");
    // What is not compressed has its diffid as its digest.
    let layer = |layout: &str| {
        let manifest = text(blob(&home, layout, named(layout)["digest"].as_str().unwrap()));
        manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
    };
    let deltas = manifest["layers"].as_array().unwrap();
    assert_eq!(deltas.len(), 2);
    for (delta, old) in deltas.iter().zip(["one", "zero"]) {
        assert_eq!(delta["mediaType"], "application/vnd.tar-diff");
        assert_eq!(
            (&delta["annotations"][from], &delta["annotations"][to]),
            (&layer(old).into(), &layer("two").into())
        );
        let stream = blob(&home, "flat", delta["digest"].as_str().unwrap());
        assert!(stream.starts_with(b"tardf1\n\0"));
        let made = reader::read(&stream, &reader::files(&blob(&home, old, &layer(old)))).unwrap();
        assert!(made == blob(&home, "two", &layer("two")), "from {old}");
    }
    let said = home.fails(&[
        "container",
        "delta",
        "create",
        "--format=deltaindex",
        "oci:one",
        "oci:two",
        "oci:flat:x",
    ]);
    assert!(said.contains("without a tag"), "{said}");
}

/// Every way of an update, each with the bytes that it has: by the registry, by the delta that was pushed there, by the
/// files of a static delta that C ostree made.
#[test]
fn the_ways_of_an_update() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    if !oracle::need("ostree") {
        return;
    }
    let home = home();
    let image = |name: &str| format!("{}/app:{name}", server.address);
    for name in ["v1", "v2"] {
        let (name, push) = (format!("--ref={name}"), format!("--push={}", image(name)));
        home.ok(&["--repo=repo", "container", "build", "--tls-verify=false", &name, &push]);
    }
    let [old, new] = ["v1", "v2"].map(|name| format!("docker://{}", image(name)));
    let stats = |more: &[&str]| {
        let args = ["container", "delta", "stats", "--tls-verify=false", "--json", &old, &new];
        let ways = json(&home.ok(&[&args[..], more].concat()))["ways"].clone();
        let bytes =
            |way: &str| ways.as_array().unwrap().iter().find(|row| row["way"] == way)?["bytes"].as_u64();
        ["image", "layers", "objects", "delta", "made", "static-delta", "deltaindex"].map(bytes)
    };
    let [Some(all), Some(layers), Some(objects), None, None, None, None] = stats(&[]) else {
        panic!("{:?}", stats(&[]))
    };
    assert!(all == layers && objects <= layers, "{all} {layers} {objects}");

    let place = format!("docker://{}/app", server.address);
    let create = ["container", "delta", "create", "--tls-verify=false", "--json", &old, &new, &place];
    let created = json(&home.ok(&create));
    let repo = home.path("repo").display().to_string();
    oracle::run("ostree", &["static-delta", "generate", "--repo", &repo, "--from=v1", "--to=v2"]);
    let files = oracle::run("find", &[&format!("{repo}/deltas"), "-type", "f", "-printf", "%s\n"]);
    let files: u64 = String::from_utf8(files).unwrap().lines().map(|line| line.parse::<u64>().unwrap()).sum();
    let flatpak = ["container", "delta", "create", "--tls-verify=false", "--json", "--format=deltaindex"];
    let flatpak = json(&home.ok(&[&flatpak[..], &[&old, &new, &place]].concat()));
    assert_eq!(flatpak["layers_whole"], 0);
    let [_, _, _, delta, made, of_ostree, of_flatpak] = stats(&["--create", "--repo=repo"]);
    assert_eq!((delta, made), (created["bytes"].as_u64(), created["bytes"].as_u64()));
    assert_eq!(of_flatpak, flatpak["bytes"].as_u64());
    assert_eq!(of_ostree, Some(files));
    assert!(delta < Some(objects), "{delta:?} {objects}");

    // A delta that lies elsewhere; and one that is between other images.
    home.ok(&["container", "delta", "create", "--tls-verify=false", &old, &new, "oci:delta"]);
    assert_eq!(stats(&["--delta=oci:delta"])[3], delta);
    let other = ["container", "delta", "stats", "--tls-verify=false", "--delta=oci:delta", &new, &old];
    assert!(home.fails(&other).contains("no delta from"));
}
