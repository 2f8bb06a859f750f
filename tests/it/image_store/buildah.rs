//! A layer that buildah puts on top of our image, in a registry: pulled, it is the tree that buildah had.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::Work;
use crate::oracle::{need, run};
use crate::registry::server::{Login, Server, Speech};
use crate::tree::fixture::{Detail, describe, hard_tree, ready};

struct Buildah<'a>(&'a Work);

impl Buildah<'_> {
    fn run(&self, args: &[&str]) -> String {
        let (root, runroot) =
            (self.0.path("store").display().to_string(), self.0.path("run").display().to_string());
        let places = ["--root", &root, "--runroot", &runroot, "--storage-driver", "vfs"];
        String::from_utf8(run("buildah", &[&places[..], args].concat())).unwrap().trim().to_owned()
    }
}

/// What a build does in `/usr` and `/etc`.
fn change(root: &Path) {
    fs::write(root.join("usr/bin/added"), "added").unwrap();
    fs::hard_link(root.join("usr/bin/added"), root.join("usr/bin/linked")).unwrap();
    symlink("added", root.join("usr/bin/also")).unwrap();
    fs::remove_file(root.join("usr/bin/tool")).unwrap();
    fs::write(root.join("usr/bin/wall"), "other content").unwrap();
    fs::set_permissions(root.join("usr/lib"), fs::Permissions::from_mode(0o711)).unwrap();
    fs::remove_dir_all(root.join("usr/lib/modules")).unwrap();
    fs::create_dir_all(root.join("usr/lib/modules/new")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/conf"), "conf").unwrap();
    fs::create_dir_all(root.join("opt/app")).unwrap();
    fs::write(root.join("opt/app/dropped"), "").unwrap();
}

#[test]
fn a_layer_on_top_of_ours() {
    if !ready() || !need("buildah") {
        return;
    }
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let work = Work::new();
    hard_tree(&work.path("tree"));
    work.ok(&["init", "--repo=r", "--mode=bare"]);
    work.ok(&["commit", "--repo=r", "-b", "os", "--tree=dir=tree"]);
    let (base, derived) = (format!("{}/os:1", server.address), format!("{}/derived:1", server.address));
    let insecure = "--tls-verify=false";
    work.ok(&["container", "build", "--repo=r", "--ref=os", insecure, "--max-layers=3", "--push", &base]);
    let buildah = Buildah(&work);
    let container = buildah.run(&["from", "-q", insecure, &format!("docker://{base}")]);
    let root = PathBuf::from(buildah.run(&["mount", &container]));
    change(&root);
    for format in ["oci", "docker"] {
        let image = format!("docker://{derived}-{format}");
        buildah.run(&["commit", "-q", insecure, "--format", format, &container, &image]);
        let repo = format!("r-{format}");
        work.ok(&["init", "--repo", &repo, "--mode=bare"]);
        let unverified = format!("ostree-unverified-image:{image}");
        let out = work.ok(&["container", "image", "pull", "-q", insecure, &repo, &unverified]);
        let commit = out.rsplit(' ').next().unwrap();
        run("ostree", &["fsck", "-q", "--repo", &work.path(&repo).display().to_string()]);
        work.ok(&["checkout", "--repo", &repo, "-H", commit, &format!("co-{format}")]);
        let ours = work.path(&format!("co-{format}"));
        assert_eq!(fs::read_to_string(ours.join("usr/etc/conf")).unwrap(), "conf");
        assert!(!ours.join("opt").exists() && !ours.join("etc").exists());
        fs::remove_dir_all(ours.join("usr/etc")).unwrap();
        // Containers are not shown the xattrs of a commit.
        let without_xattrs = |top: &Path| {
            let lines = describe(top, Detail::Plain);
            lines.iter().map(|line| line.split(" Xattrs(").next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(without_xattrs(&ours.join("usr")), without_xattrs(&root.join("usr")), "{format}");
    }
    buildah.run(&["rm", &container]);
}
