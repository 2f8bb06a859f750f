//! Where the machine gives no more threads, as where something limits the processes of a container, work goes on with fewer
//! or says so.

use std::path::Path;

use super::{OURS, repository_tree};
use crate::oracle;

/// Everything below `dir` that somebody could take for an image.
fn image(dir: &Path) -> bool {
    std::fs::read_to_string(dir.join("index.json")).is_ok_and(|index| index.contains("sha256:"))
}

#[test]
fn fewer_threads_are_enough_or_are_asked_for() {
    let tmp = repository_tree();
    let at = |path: &str| tmp.path().join(path).display().to_string();
    let tree = format!("--tree=dir={}", at("tree"));
    oracle::run(OURS, &["init", "--repo", &at("made"), "--mode=bare-user"]);
    oracle::run(OURS, &["commit", "--repo", &at("made"), "-b", "x", &tree]);
    oracle::run(
        OURS,
        &["container", "build", "-q", "--repo", &at("made"), "--ref=x", "--oci-dir", &at("image")],
    );
    let source = format!("ostree-unverified-image:oci:{}", at("image"));
    for when in ["1+", "2+", "3+", "4+"] {
        let inject = format!("inject=clone3:error=EAGAIN:when={when}");
        let [repo, gzip, chunked, target] =
            ["r", "gzip", "chunked", "t"].map(|name| at(&format!("{name}{when}")));
        for repo in [&repo, &target] {
            oracle::run(OURS, &["init", "--repo", repo, "--mode=bare-user"]);
        }
        let build = ["container", "build", "-q", "--repo", &at("made"), "--ref=x", "--oci-dir"];
        let chunked_args = [&build[..], &[&chunked, "--compression=zstd:chunked"]].concat();
        for args in [
            &["commit", "--repo", &repo, "-b", "x", &tree][..],
            &[&build[..], &[&gzip]].concat(),
            &chunked_args,
            &["container", "pull", "--repo", &target, "--ref=y", &source],
            &["pull-local", "--repo", &target, &at("made")],
        ] {
            let Some(out) = oracle::injected(&["-e", &inject], OURS, args) else { return };
            let said = String::from_utf8_lossy(&out.stderr);
            let is_told = out.status.code() == Some(1) && said.contains("no thread could be started");
            assert!(out.status.success() || is_told, "{args:?}, {when}: {}: {said}", out.status);
            // Hashing and writing objects takes no thread of its own.
            assert!(out.status.success() || args[0] == "container", "{args:?}, {when}: {said}");
        }
        for repo in [&repo, &target] {
            oracle::run("ostree", &["fsck", "--repo", repo]);
        }
        for layout in [&gzip, &chunked].into_iter().filter(|layout| image(Path::new(layout))) {
            oracle::run("skopeo", &["inspect", &format!("oci:{layout}")]);
        }
    }
}
