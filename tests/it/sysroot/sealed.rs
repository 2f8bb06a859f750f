//! Images of commits whose composefs is signed: deployed as they are, or refused before a machine would not boot.

use std::fs;
use std::process::Output;

use ostree_rs::cap_std::ambient_authority;
use ostree_rs::cap_std::fs::Dir;
use ostree_rs::format::CommitId;
use ostree_rs::sign::{KeyKind, PublicKeys};
use ostree_rs::sysroot::prepare_root::{Error, sealed_digest};

use super::Place;
use crate::cli::OURS;
use crate::oracle::{need, need_root, run};
use crate::sign::Openssl;

/// What such a commit is made with.
const SEALED: &[&str] = &["--bootable", "--generate-composefs-metadata"];

impl Place {
    fn sign(&self, key: &Openssl) {
        self.write("secret", &key.secret());
        self.ours(&["sign", "--repo=build", "--sign-type=ed25519", "--keys-file=secret", "os"]);
    }

    fn build(&self, tag: &str) {
        let tag = format!("--tag={tag}");
        self.ours(&["container", "build", "--repo=build", "--ref=os", "--oci-dir=oci", &tag]);
    }

    fn deploy_image(&self, tag: &str) -> Output {
        let image = format!("--imgref=ostree-unverified-image:oci:oci:{tag}");
        self.run(OURS, &["container", "image", "deploy", "--sysroot=root", "--stateroot=os", &image])
    }

    /// What is said of an image that is not deployed.
    fn refused(&self, tag: &str) -> String {
        let out = self.deploy_image(tag);
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(!out.status.success(), "{said}");
        let status = self.ours(&["admin", "status", "--sysroot=root"]);
        assert!(!status.contains("os "), "it has no boot entry: {status}");
        said
    }
}

/// The commit of an image's layers is nobody's who signs. The one in the image counts, and is the same tree.
#[test]
fn an_initramfs_takes_the_commit_in_an_image() {
    if !need("ostree") || !need("fsverity") || !need_root() {
        return;
    }
    let (place, key) = (Place::new(), Openssl::ed25519());
    // Build tools leave such files behind, and it is taken away where they have: here the tree is signed with it.
    place.write("tree/usr/etc/hostname", "");
    place.wanting("signed", SEALED);
    place.sign(&key);
    place.build("1");
    let out = place.deploy_image("1");
    let said = String::from_utf8(out.stderr).unwrap();
    // Everything else is done by then.
    let without_verity = said.contains("enabling fs-verity of ") && said.contains("/.ostree.cfs.new: ");
    assert!(out.status.success() || without_verity, "{said}");
    let dirs =
        fs::read_dir(place.at("root/ostree/deploy/os/deploy")).unwrap().map(|entry| entry.unwrap().path());
    let [dir] = &dirs.filter(|path| path.is_dir()).collect::<Vec<_>>()[..] else { panic!("not one") };
    let image = dir.join(if without_verity { ".ostree.cfs.new" } else { ".ostree.cfs" });
    let measured = run("fsverity", &["digest", "--compact", image.to_str().unwrap()]);
    let commit: CommitId = dir.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let root = Dir::open_ambient_dir(place.at("root"), ambient_authority()).unwrap();
    let keys = |key: &Openssl| {
        let mut keys = PublicKeys::new(KeyKind::Ed25519);
        keys.trust_file(&key.public()).unwrap();
        keys
    };
    let digest = sealed_digest(&root, commit, &keys(&key)).unwrap();
    assert_eq!(digest.to_string(), String::from_utf8(measured).unwrap().trim());
    let refused = sealed_digest(&root, commit, &keys(&Openssl::ed25519())).unwrap_err();
    assert!(matches!(refused, Error::Unverified(_)), "{refused}");
}

#[test]
fn what_an_initramfs_would_refuse_is_not_deployed() {
    if !need("ostree") || !need("umoci") || !need_root() {
        return;
    }
    let (place, key) = (Place::new(), Openssl::ed25519());
    place.wanting("signed", SEALED);
    place.build("unsigned");
    let said = place.refused("unsigned");
    assert!(said.contains("no ed25519 key has signed the commit; sign it"), "{said}");
    place.sign(&key);
    place.build("layered");
    fs::write(place.at("more"), "more\n").unwrap();
    place.succeeds("umoci", &["insert", "--rootless", "--image", "oci:layered", "more", "/usr/lib/more"]);
    let said = place.refused("layered");
    assert!(said.contains("has layers on top of its commit, and is not what was signed; pull it"), "{said}");
    let plain =
        ["--repo=build", "commit", "-b", "os", "--tree=dir=tree", "--canonical-permissions", "--bootable"];
    place.ours(&plain);
    place.sign(&key);
    place.build("without-digest");
    let said = place.refused("without-digest");
    assert!(said.contains("`commit --generate-composefs-metadata` writes the digest"), "{said}");
    // Somebody may sign a commit of a ref yet; the user is told.
    place.ours(&plain);
    place.pull("root");
    let out = place.run(OURS, &["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.contains("warning: ") && said.contains("no ed25519 key has signed the commit"), "{said}");
}
