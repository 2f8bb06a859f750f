//! Images made again of what was pulled, and images whose commit is signed later.

use std::fs;

use ostree_rs::container::image::Image;
use ostree_rs::container::place::OciLayout;
use ostree_rs::format::ObjectName;
use ostree_rs::store::ObjectRead;

use super::Work;
use crate::corpus;
use crate::oracle::{need, run};

fn unpacked() -> Work {
    let work = Work(corpus::unpack("ostree-ext/images.tar.zst"));
    work.ok(&["init", "--repo=r", "--mode=bare-user"]);
    work
}

fn image(work: &Work, layout: &str, tag: &str) -> Image {
    let layout = OciLayout::open(crate::container::dir(&work.path(layout)), Some(tag)).unwrap();
    Image::fetch(&layout, &Default::default()).unwrap()
}

fn tree(work: &Work, repo: &str, tag: &str) -> String {
    let refs = work.ok(&["refs", "--repo", repo]);
    let name = refs.lines().find(|name| name.contains("container/image") && name.ends_with(tag)).unwrap();
    work.ok(&["ls", "--repo", repo, "-R", "-C", "-X", name])
}

#[test]
fn the_same_layers_again() {
    let work = unpacked();
    for (layout, tag) in
        [("oci", "single"), ("oci", "chunked"), ("oci-derived", "derived"), ("oci-derived2", "derived2")]
    {
        let name = format!("oci:{layout}:{tag}");
        work.ok(&["container", "image", "pull", "-q", "r", &format!("ostree-unverified-image:{name}")]);
        for compression in ["gzip", "zstd:chunked"] {
            let again = format!("oci:again:{tag}");
            let out = work.ok(&[
                "container",
                "image",
                "reexport",
                "--repo=r",
                "--compression",
                compression,
                &name,
                &again,
            ]);
            let (old, new) = (image(&work, layout, tag), image(&work, "again", tag));
            assert_eq!(out, format!("Exported: {}", new.digest));
            // The commit's streams are the same bytes; those of others were not kept.
            let (old_plan, new_plan) = (old.plan().unwrap(), new.plan().unwrap());
            let of_commit = old_plan.layers_of_commit();
            assert_eq!(
                old.config.rootfs().diff_ids()[..of_commit],
                new.config.rootfs().diff_ids()[..of_commit]
            );
            assert_eq!(old_plan.plain_layers(), new_plan.plain_layers());
            assert_eq!(old.config.history(), new.config.history());
            assert_eq!(old.labels()["ostree.final-diffid"], new.labels()["ostree.final-diffid"]);
            let repo = format!("{tag}-{}", compression.replace(':', "-"));
            work.ok(&["init", "--repo", &repo, "--mode=bare-user"]);
            work.ok(&[
                "container",
                "image",
                "pull",
                "-q",
                &repo,
                &format!("ostree-unverified-image:{again}"),
            ]);
            assert_eq!(tree(&work, "r", tag), tree(&work, &repo, tag), "{again} {compression}");
        }
    }
}

/// Whoever wrote the layers of a commit, and in whatever order: they come out as they were.
#[test]
fn the_same_layers_in_every_way() {
    let work = unpacked();
    work.ok(&["container", "image", "pull", "-q", "r", "ostree-unverified-image:oci:oci:single"]);
    let commit = work.ok(&["rev-parse", "--repo=r", "ostree/container/image/oci_3A_oci_3A_single"]);
    for (number, more) in [
        &["--xattrs=linked", "--compression=zstd:chunked"][..],
        &["--xattrs=copied", "--compression=zstd:chunked"],
        &["--xattrs=copied", "--compression=gzip"],
        &["--xattrs=copied", "--max-layers=3"],
    ]
    .into_iter()
    .enumerate()
    {
        let tag = format!("--tag={number}");
        let build = ["container", "build", "--repo=r", "--ref", &commit, "--oci-dir=built", &tag];
        work.ok(&[&build[..], more].concat());
        let name = format!("oci:built:{number}");
        work.ok(&["container", "image", "pull", "-q", "r", &format!("ostree-unverified-image:{name}")]);
        let again = format!("oci:again:{number}");
        work.ok(&["container", "image", "reexport", "--repo=r", &name, &again]);
        let [old, new] = ["built", "again"].map(|layout| image(&work, layout, &number.to_string()));
        assert_eq!(old.config.rootfs().diff_ids(), new.config.rootfs().diff_ids(), "{more:?}");
    }
}

/// Links into lower layers, whiteouts of `etc` and the like survive.
#[test]
fn plain_layers_again() {
    let work = Work::new();
    let layout = super::new_layout(&work.path("oci"));
    let lower = super::layer(&[
        super::file("usr/tool", "tool"),
        super::file("etc/conf", "conf"),
        super::file("etc/gone", ""),
    ]);
    let upper = super::layer(&[
        super::link("usr/alias", "usr/tool"),
        super::file("usr/tool", "a newer tool"),
        super::link("etc/alias", "etc/conf"),
        super::file("etc/.wh.gone", ""),
    ]);
    super::put_image(&layout, &[lower, upper], &[]);
    for repo in ["a", "b"] {
        work.ok(&["init", "--repo", repo, "--mode=bare-user"]);
    }
    work.ok(&["container", "image", "pull", "-q", "a", "ostree-unverified-image:oci:oci:x"]);
    work.ok(&["container", "image", "reexport", "--repo=a", "oci:oci:x", "oci:again:x"]);
    work.ok(&["container", "image", "pull", "-q", "b", "ostree-unverified-image:oci:again:x"]);
    let listed = tree(&work, "b", "x");
    assert_eq!(tree(&work, "a", "x"), listed);
    assert!(listed.contains("/usr/etc/alias") && !listed.contains("gone"), "{listed}");
    let commit = work.ok(&["refs", "--repo=b", "--list", "ostree/container/image"]);
    for (path, content) in [("/usr/alias", "tool"), ("/usr/tool", "a newer tool")] {
        assert_eq!(work.ok(&["cat", "--repo=b", &commit, path]), content);
    }
}

#[test]
fn signed_later() {
    let work = unpacked();
    let signed = image(&work, "oci-derived", "derived");
    let detached = {
        work.ok(&[
            "container",
            "image",
            "pull",
            "-q",
            "r",
            "ostree-unverified-image:oci:oci-derived:derived",
        ]);
        let repo = ostree_rs::repo::Repo::open(crate::container::dir(&work.path("r"))).unwrap();
        let commit = signed.plan().unwrap().commit.unwrap();
        repo.read_meta(&ObjectName::commitmeta(&commit)).unwrap().unwrap()
    };
    fs::write(work.path("meta"), detached).unwrap();
    let replace = |from: &str, to: &str, more: &[&str]| {
        let verb = ["container", "image", "replace-detached-metadata", "--src", from, "--dest", to];
        work.ok(&[&verb, more].concat())
    };
    replace("oci:oci-derived:derived", "oci:without:x", &[]);
    replace("oci:without:x", "oci:with:x", &["meta"]);
    let (without, with) = (image(&work, "without", "x"), image(&work, "with", "x"));
    assert_ne!(without.config.rootfs().diff_ids()[0], signed.config.rootfs().diff_ids()[0]);
    // Taken away and put back, every byte is the same.
    assert_eq!(with.config, signed.config);
    let label = |image: &Image| image.labels()["ostree.final-diffid"].clone();
    assert_eq!(label(&without), without.config.rootfs().diff_ids()[0]);
    assert_eq!(without.manifest.layers()[1..], signed.manifest.layers()[1..]);
    fs::write(work.path("bad"), b"no dictionary").unwrap();
    let args = [
        "container",
        "image",
        "replace-detached-metadata",
        "--src=oci:without:x",
        "--dest=oci:wrong:x",
        "bad",
    ];
    assert!(work.refused(&args).contains(".commitmeta"));
}

/// As the peer's verbs of these names.
#[test]
fn encapsulate_and_unencapsulate() {
    if !need("skopeo") {
        return;
    }
    let work = unpacked();
    work.ok(&[
        "container",
        "unencapsulate",
        "--repo=r",
        "--write-ref=os",
        "ostree-unverified-image:oci:oci:single",
    ]);
    fs::write(work.path("config.json"), r#"{"Env":["A=1"],"Labels":{"mine":"1"}}"#).unwrap();
    let digest = work.ok(&[
        "container",
        "encapsulate",
        "--repo=r",
        "--label=a=b",
        "--config=config.json",
        "--cmd=sh",
        "--cmd=-c",
        "--copymeta-opt=nothing",
        "--compression-fast",
        "os",
        "oci:enc:x",
    ]);
    let name = format!("oci:{}:x", work.path("enc").display());
    let inspected = String::from_utf8(run("skopeo", &["inspect", "--config", &name])).unwrap();
    let config: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(config["config"]["Env"][0], "A=1");
    assert_eq!(config["config"]["Cmd"], serde_json::json!(["sh", "-c"]));
    assert_eq!(
        (&config["config"]["Labels"]["a"], &config["config"]["Labels"]["mine"]),
        (&"b".into(), &"1".into())
    );
    let info = work.ok(&["container", "info", "oci:enc:x"]);
    assert_eq!(info, format!("oci:enc:x digest: {digest}"));
    work.ok(&["init", "--repo=b", "--mode=bare-user"]);
    let out = work.ok(&[
        "container",
        "unencapsulate",
        "--repo=b",
        "--write-ref=os",
        "ostree-unverified-image:oci:enc:x",
    ]);
    let commit = work.ok(&["rev-parse", "--repo=r", "os"]);
    assert_eq!(out, format!("Imported: os => {commit}"));
    work.ok(&["fsck", "--repo=b", "-q"]);
}
