//! What C ostree has deployed, read; and new sysroots.

use std::fs;

use super::{Place, listing};
use crate::oracle::{need, need_root};

#[test]
fn deployments_of_c_ostree_are_listed_as_it_lists_them() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.sysroot("root");
    let same = || {
        let args = ["admin", "status", "--sysroot=root"];
        assert_eq!(place.ours(&args), place.c(&args));
        place.ours(&args)
    };
    assert_eq!(same(), "No deployments.\n");
    place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    place.commit("2");
    place.pull("root");
    place.c(&["admin", "os-init", "other", "--sysroot=root"]);
    place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    place.c(&["admin", "deploy", "--sysroot=root", "--os=other", "os"]);
    let listed = same();
    assert!(
        listed.contains("  other ") && listed.contains("Version: 2\n    origin refspec: os\n"),
        "{listed}"
    );
    place.c(&["admin", "pin", "0", "--sysroot=root"]);
    assert!(same().contains("Pinned: yes"));
    let args = ["admin", "--print-current-dir", "--sysroot=root"];
    assert_eq!(place.ours(&args), place.c(&args));

    let json: serde_json::Value =
        serde_json::from_str(&place.ours(&["admin", "status", "--json", "--sysroot=root"])).unwrap();
    let list = json["deployments"].as_array().unwrap();
    assert_eq!(list.len(), listed.lines().filter(|line| line.contains("origin refspec")).count());
    assert_eq!((&list[0]["stateroot"], &list[0]["pinned"]), (&"other".into(), &true.into()));
    assert_eq!((&list[1]["version"], &list[1]["booted"]), (&"2".into(), &false.into()));
}

/// One that is damaged does not hide the others.
#[test]
fn deployments_with_a_wrong_origin_or_without_a_commit_are_listed() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.sysroot("root");
    place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    let deployment = place.deployment("root");
    let origin = format!("{}.origin", deployment.display());
    for text in ["[origin]\nrefspec=a:b:c\n", "[origin]\nother=1\n[more]\nkey=value\n"] {
        fs::write(&origin, text).unwrap();
        let args = ["admin", "status", "--sysroot=root"];
        assert_eq!(place.ours(&args), place.c(&args));
    }
    let json = ["admin", "status", "--json", "--sysroot=root"];
    assert!(place.ours(&json).contains("\"version\": \"1\""));
    let name = deployment.file_name().unwrap().to_str().unwrap();
    let commit = name.split_once('.').unwrap().0;
    let (dir, file) = commit.split_at(2);
    fs::remove_file(place.at(&format!("root/ostree/repo/objects/{dir}/{file}.commit"))).unwrap();
    let listed: serde_json::Value = serde_json::from_str(&place.ours(&json)).unwrap();
    assert_eq!(listed["deployments"][0]["checksum"], commit);
}

#[test]
fn new_sysroots_are_those_of_c_ostree() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    for (index, options) in [&[][..], &["--modern"]].iter().enumerate() {
        let (theirs, ours) = (format!("theirs{index}"), format!("ours{index}"));
        for name in [&theirs, &ours] {
            fs::create_dir(place.at(name)).unwrap();
        }
        place.c(&[&["admin", "init-fs"], *options, &[&theirs]].concat());
        place.ours(&[&["admin", "init-fs"], *options, &[&ours]].concat());
        let said = place.c(&["admin", "os-init", "os", &format!("--sysroot={theirs}")]);
        let name = ["os-init", "stateroot-init"][index];
        // Older versions say "root", and already make what is in /var.
        let ours_said = place.ours(&["admin", name, "os", &format!("--sysroot={ours}")]);
        assert_eq!(ours_said, said.replace("OSTree root", "OSTree stateroot"));
        let out = place.run(crate::cli::OURS, &["admin", "os-init", "os", &format!("--sysroot={ours}")]);
        assert!(!out.status.success(), "a stateroot is made once");
        fs::remove_dir(place.at(&ours).join("ostree/deploy/os/var")).unwrap();
        place.ours(&["admin", "os-init", "os", &format!("--sysroot={ours}")]); // what was only begun is finished
        let listed = |name: &str| {
            let mut lines = listing(&place.at(name));
            // What programs keep in their repository while they work is their own matter.
            lines.retain(|line| {
                let own = ["ostree/repo/tmp/", "ostree/repo/.lock", "ostree/deploy/os/var/"];
                line.starts_with("ostree/deploy/os/var/ ") || !own.iter().any(|own| line.starts_with(own))
            });
            lines
        };
        assert_eq!(listed(&ours), listed(&theirs));
    }
    // Nobody may look into it but root: 2024.6 and newer.
    fs::create_dir(place.at("private")).unwrap();
    place.ours(&["admin", "init-fs", "-E", "2", "private"]);
    assert!(listing(&place.at("private")).contains(&"ostree/ 40700".to_owned()));
}
