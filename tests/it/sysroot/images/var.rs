//! `/var` of images in sysroots.

use std::fs;

use super::super::Place;
use crate::oracle::{need, need_root, run};

impl Place {
    /// Puts a layer with this file below `/var` on top of the image under the tag 1.
    fn add_var_layer(&self, n: &str, content: &str) {
        fs::create_dir_all(self.at(&format!("layer{n}/var/lib/app"))).unwrap();
        self.write(&format!("layer{n}/var/lib/app/state"), content);
        let (dir, tar) = (self.at(&format!("layer{n}")), self.at("layer.tar"));
        run("tar", &["-C", dir.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "var"]);
        let image = format!("{}:1", self.at("oci").display());
        run("umoci", &["raw", "add-layer", "--image", &image, tar.to_str().unwrap()]);
    }
}

/// What layers on top of the commit have in `/var` becomes that of a new system, and is no news for one that exists: as with bootc
/// beside libostree since 2024.3.
#[test]
fn var_of_layers_is_that_of_a_new_system() {
    if !need("ostree") || !need("umoci") || !need_root() {
        return;
    }
    let place = Place::new();
    fs::create_dir(place.at("root")).unwrap();
    place.ours(&["admin", "init-fs", "root"]);
    place.ours(&["admin", "stateroot-init", "os", "--sysroot=root"]);
    place.image("1", "1");
    place.add_var_layer("1", "first");
    let image = "ostree-unverified-image:oci:oci:1";
    let names = ["--sysroot=root", "--stateroot=os", "--imgref", image];
    place.ours(&[&["container", "image", "deploy"], &names[..]].concat());
    let state = || fs::read_to_string(place.at("root/ostree/deploy/os/var/lib/app/state")).unwrap();
    assert_eq!(state(), "first");
    place.add_var_layer("2", "second");
    let has_factory = || {
        let name = "ostree/container/image/oci_3A_oci_3A_1";
        let tree = place.c(&["ls", "-R", "--repo=root/ostree/repo", name, "/usr"]);
        tree.contains("/usr/share/factory/var/lib/app/state")
    };
    // A pull goes on with what is there; whoever pulls it anew for another libostree gets another tree, which is not what is
    // deployed.
    let pull = ["container", "image", "pull", "-q", "root/ostree/repo", image];
    place.ours(&pull);
    assert!(!has_factory());
    place.ours(&["container", "image", "remove", "--skip-gc", "--repo=root/ostree/repo", "oci:oci:1"]);
    place.ours(&pull);
    assert!(has_factory());
    let said = place.fails(&["admin", "upgrade", "--sysroot=root", "--os=os", "--deploy-only"]);
    assert!(said.contains("pulled for something else"), "{said}");
    place.ours(&["container", "image", "upgrade", "--sysroot=root"]);
    assert_eq!((state(), place.deployments("root")), ("first".to_owned(), 2));
    let (_, dir) = place.newest("root");
    assert!(!dir.join("usr/share/factory").exists());
    assert_eq!(place.ours(&["container", "image", "upgrade", "--sysroot=root"]), "No update available.\n");
}
