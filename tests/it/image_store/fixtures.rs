//! Images by ostree-ext, pulled by us: the trees are those that ostree-ext made of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Work;
use crate::oracle::{need, run};
use crate::{corpus, tree};

const IMAGES: [(&str, &str); 4] = [
    ("single", "oci:oci:single"),
    ("chunked", "oci:oci:chunked"),
    ("derived", "oci:oci-derived:derived"),
    ("derived2", "oci:oci-derived2:derived2"),
];

fn unpacked() -> Work {
    Work(corpus::unpack("ostree-ext/images.tar.zst"))
}

fn image_ref(work: &Work, repo: &str) -> String {
    let repo = work.path(repo).display().to_string();
    let refs = String::from_utf8(run("ostree", &["refs", "--repo", &repo])).unwrap();
    let images: Vec<_> = refs.lines().filter(|name| name.starts_with("ostree/container/image/")).collect();
    assert_eq!(images.len(), 1, "{refs}");
    images[0].to_owned()
}

#[test]
fn trees_are_those_of_ostree_ext() {
    if !tree::fixture::ready() {
        return;
    }
    let work = unpacked();
    for (tag, image) in IMAGES {
        for mode in ["bare", "bare-user", "archive", "bare-split-xattrs"] {
            let repo = format!("{tag}-{mode}");
            work.ok(&["init", "--repo", &repo, "--mode", mode]);
            let verified = format!("ostree-unverified-image:{image}");
            work.ok(&["container", "image", "pull", "--quiet", &repo, &verified]);
            let name = image_ref(&work, &repo);
            let path = work.path(&repo).display().to_string();
            let listed = run("ostree", &["ls", "--repo", &path, "-R", "-C", &name]);
            let expected = fs::read(corpus::path(&format!("ostree-ext/pulled-{tag}.ls"))).unwrap();
            assert_eq!(String::from_utf8(listed).unwrap(), String::from_utf8(expected).unwrap(), "{repo}");
            run("ostree", &["fsck", "--repo", &path, "-q", "-a"]);
        }
    }
}

/// Beside libostree since 2024.3 `/var` of layers stays where it is.
#[test]
fn trees_with_var_are_those_of_ostree_ext() {
    if !tree::fixture::ready() {
        return;
    }
    let work = unpacked();
    let expected = fs::read_to_string(corpus::path("ostree-ext/pulled-derived-2024.3.ls")).unwrap();
    for (tag, image) in IMAGES.iter().filter(|(tag, _)| tag.starts_with("derived")) {
        work.ok(&["init", "--repo", tag, "--mode=bare"]);
        let image = format!("ostree-unverified-image:{image}");
        work.ok(&["container", "image", "pull", "--quiet", "--keep-var", tag, &image]);
        let path = work.path(tag).display().to_string();
        let listed = run("ostree", &["ls", "--repo", &path, "-R", "-C", &image_ref(&work, tag)]);
        assert_eq!(String::from_utf8(listed).unwrap(), expected, "{tag}");
        // So it stays, whoever looks for something new.
        let said = work.ok(&["container", "image", "pull", tag, &image]);
        assert!(said.starts_with("No changes in "), "{said}");
    }
}

/// The layers' refs name complete commits, one for each layer.
#[test]
fn refs_are_those_of_ostree_ext() {
    if !need("ostree") {
        return;
    }
    let work = unpacked();
    work.ok(&["init", "--repo=r", "--mode=bare-user"]);
    work.ok(&["container", "image", "pull", "-q", "r", "ostree-unverified-image:oci:oci-derived2:derived2"]);
    let refs = work.ok(&["refs", "--repo=r"]);
    let layers: Vec<_> =
        refs.lines().filter(|name| name.starts_with("ostree/container/blob/sha256_3A_")).collect();
    assert_eq!(layers.len(), 10);
    assert!(refs.contains("ostree/container/image/oci_3A_oci-derived2_3A_derived2"), "{refs}");
    // An object set lists its objects by checksum.
    let chunk =
        "ostree/container/blob/sha256_3A_5f9d3dcf5281c5f6512471366be68bee46c2485eddf4fd1887da6b240712be5f";
    assert!(layers.contains(&chunk));
    let listed = work.ok(&["ls", "--repo=r", "-C", chunk]);
    for line in listed.lines().skip(1) {
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[5], &words[6][1..], "{line}");
    }
}

/// What the repository cannot keep is refused, and nothing is left.
#[test]
fn bare_user_only_keeps_what_it_can() {
    let work = unpacked();
    work.ok(&["init", "--repo=r", "--mode=bare-user-only"]);
    let why = work.refused(&["container", "image", "pull", "r", "ostree-unverified-image:oci:oci:single"]);
    // Of the many things in it, which comes first is a matter of threads.
    assert!(why.contains("which mode bare-user-only cannot keep"), "{why}");
    assert_eq!(work.ok(&["refs", "--repo=r"]), "");
    assert_no_objects(&work.path("r"));
}

pub(super) fn assert_no_objects(repo: &Path) {
    for name in ["objects", "tmp"] {
        let found = Command::new("find").arg(repo.join(name)).args(["-type", "f"]).output().unwrap().stdout;
        let found = String::from_utf8(found).unwrap();
        let left: Vec<_> = found.lines().filter(|path| !path.contains("/tmp/cache")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Layers on top of a signed commit are not what was signed.
#[test]
fn signature_of_the_commit_covers_no_other_layers() {
    let work = unpacked();
    work.ok(&["init", "--repo=r", "--mode=bare-user"]);
    let key = corpus::path("repos/signer.asc").display().to_string();
    for verb in [&["container", "image", "pull"][..], &["container", "pull"]] {
        let args = [verb, &["--repo=r", "--gpg-keyring", &key, "oci:oci-derived:derived"]].concat();
        let why = work.refused(&args);
        assert!(why.contains("2 layers that the signature of its commit says nothing about"), "{why}");
        let args = [verb, &["--repo=r", "oci:oci-derived:derived"]].concat();
        assert!(work.refused(&args).contains("the commit's signature cannot be checked"));
    }
    assert_eq!(work.ok(&["refs", "--repo=r"]), "");
    assert_no_objects(&work.path("r"));
}

/// `container pull` makes the same commit, and gives it the name that was asked for.
#[test]
fn pull_by_ref() {
    let work = unpacked();
    work.ok(&["init", "--repo=a", "--mode=bare-user"]);
    work.ok(&["init", "--repo=b", "--mode=bare-user"]);
    let image = "ostree-unverified-image:oci:oci-derived:derived";
    work.ok(&["container", "image", "pull", "-q", "--ostree-digestfile=digest", "a", image]);
    let commit = work.ok(&["container", "pull", "--repo=b", "--ref=os/stable", image]);
    assert_eq!(fs::read_to_string(work.path("digest")).unwrap(), commit);
    assert_eq!(work.ok(&["refs", "--repo=b"]), "os/stable");
    assert_eq!(work.ok(&["rev-parse", "--repo=b", "os/stable"]), commit);
}

/// An image that came without a signature is not taken for signed when somebody asks for one.
#[test]
fn what_is_here_is_vouched_for_as_well() {
    let work = unpacked();
    work.ok(&["init", "--repo=r", "--mode=bare-user"]);
    let pull = ["container", "image", "pull", "-q", "--repo=r"];
    let other = corpus::path("repos/other.asc").display().to_string();
    for image in ["oci:oci:single", "oci:oci-derived:derived"] {
        work.ok(&[&pull[..], &[&format!("ostree-unverified-image:{image}")]].concat());
        let undecided = work.refused(&[&pull[..], &[image]].concat());
        assert!(undecided.contains("the commit's signature cannot be checked"), "{undecided}");
        let why = work.refused(&[&pull[..], &["--gpg-keyring", &other, image]].concat());
        let expected = if image.ends_with("single") { "signature" } else { "2 layers that the signature" };
        assert!(why.contains(expected), "{why}");
    }
}
