//! Links in plain layers: to what is there, what is not yet there, and what is left out.

use std::slice::from_ref;

use ostree_rs::base::WithCauses;

use super::layers::files;
use super::{Item, describe, dir, file, item, link, pull_layers, symlink};

#[test]
fn hard_links_in_any_order() {
    let long = "usr/".to_owned() + &"long-name/".repeat(30);
    let target = format!("{long}target");
    let found = files(&[&[
        link("usr/a-before", "usr/z"),
        link("usr/absolute", "/usr/z"),
        link("usr/dotted", "./usr/z"),
        link("usr/of-link", "usr/a-before"),
        link("usr/long", &target),
        file("usr/z", "z"),
        file(&target, "far"),
    ]]);
    let expect = |name: &str, what: &str| format!("/usr/{name} 644 0 {what}");
    for (name, what) in
        [("a-before", "z"), ("absolute", "z"), ("dotted", "z"), ("of-link", "z"), ("z", "z"), ("long", "far")]
    {
        assert!(found.contains(&expect(name, what)), "{name}: {found:?}");
    }
}

/// In the tree, `etc` and `usr/etc` are one: a link from one to the other neither leads to itself nor takes the place of
/// what it leads to. ostree-ext stops at it (bootc#942).
#[test]
fn links_from_etc_into_usr_etc() {
    let confs = [file("usr/etc/p/conf", "1"), file("usr/etc/other", "2")];
    let found = ["/usr/etc/other 644 0 2", "/usr/etc/p/conf 644 0 1"];
    for link in [symlink("etc/p", "../usr/etc/p"), symlink("etc", "usr/etc"), symlink("etc", "/usr/etc")] {
        assert_eq!(files(&[&[&confs[..], from_ref(&link)].concat()]), found, "in the same layer, before");
        assert_eq!(files(&[&[from_ref(&link), &confs[..]].concat()]), found, "in the same layer, behind");
        assert_eq!(files(&[&confs, &[link]]), found, "in the next layer");
    }
    // What an image has below such a link lies where it leads.
    let below = [symlink("etc", "usr/etc"), file("etc/other", "2"), file("etc/p/conf", "1")];
    assert_eq!(files(&[&below]), found);
}

/// Of entries with one path the last wins, also over a link that still waits for its target.
#[test]
fn links_that_later_entries_replace() {
    let found = files(&[&[
        link("usr/a/b/l", "usr/z"),
        file("usr/a", "1"),
        link("usr/c", "usr/z"),
        file("usr/c", "2"),
        link("usr/d", "usr/z"),
        dir("usr/d", 0o755),
        file("usr/d/x", "3"),
        link("usr/e", "usr/nowhere"),
        dir("usr/e", 0o755),
        file("usr/z", "z"),
    ]]);
    assert_eq!(found, ["/usr/a 644 0 1", "/usr/c 644 0 2", "/usr/d/x 644 0 3", "/usr/z 644 0 z"]);
}

/// A build tool that links files of lower layers without copying them.
#[test]
fn hard_links_into_lower_layers() {
    let found = files(&[
        &[file("usr/tool", "tool"), file("etc/conf", "conf")],
        &[
            link("usr/alias", "usr/tool"),
            link("usr/conf", "/etc/conf"),
            item("usr/.wh.tool", tar::EntryType::Regular, 0),
        ],
    ]);
    assert_eq!(found, ["/usr/alias 644 0 tool", "/usr/conf 644 0 conf", "/usr/etc/conf 644 0 conf"]);
}

/// The target of a link is an object that is itself a link: both are what is there now.
#[test]
fn objects_that_are_links() {
    let object = |name: &str| format!("sysroot/ostree/repo/objects/{name}/{}.file", "cd".repeat(31));
    let found = files(&[&[
        link("usr/before", &object("ab")),
        file("etc/x", "changed"),
        link(&object("ab"), "etc/x"),
        link(&object("ef"), &object("ab")),
        link("usr/y", &object("ab")),
        link("usr/z", &object("ef")),
    ]]);
    let names = ["before", "etc/x", "y", "z"];
    assert_eq!(found, names.map(|name| format!("/usr/{name} 644 0 changed")));
}

/// What is left out has no place in the tree, but hard links to it have.
#[test]
fn hard_links_to_what_is_left_out() {
    let tool = |path: &str| Item { mode: 0o755, ..file(path, "tool") };
    let expected =
        |names: &[&str]| names.iter().map(|name| format!("/usr/{name} 755 0 tool")).collect::<Vec<_>>();
    // Before, after, and by way of others that are left out.
    let found = files(&[&[
        link("usr/before", "tmp/tool"),
        tool("tmp/tool"),
        link("usr/after", "/tmp/tool"),
        link("run/again", "tmp/tool"),
        link("usr/chain", "run/again"),
        link("usr/of-chain", "usr/chain"),
    ]]);
    assert_eq!(found, expected(&["after", "before", "chain", "of-chain"]));
    // Of what is in the tree, by way of what is not.
    let found = files(&[&[link("run/x", "usr/a"), link("usr/b", "run/x"), tool("usr/a")]]);
    assert_eq!(found, expected(&["a", "b"]));
    // In a lower layer, of which the higher one wins.
    let found = files(&[
        &[file("tmp/tool", "old"), tool("tmp/only")],
        &[tool("tmp/tool"), link("tmp/link", "tmp/tool")],
        &[link("usr/a", "tmp/tool"), link("usr/b", "tmp/only"), link("usr/c", "tmp/link")],
    ]);
    assert_eq!(found, expected(&["a", "b", "c"]));
    // Nowhere.
    let temp = tempfile::tempdir().unwrap();
    let layout = super::new_layout(temp.path());
    super::put_image(&layout, &[super::layer(&[file("tmp/x", ""), link("usr/a", "tmp/tool")])], &[]);
    let error = super::pull(&layout, &ostree_rs::store::MemStore::new(), "oci:x").unwrap_err();
    assert!(WithCauses(&error).to_string().contains("hard link /usr/a to /tmp/tool"), "{error}");
}

/// Every name of a device is left out; a file that it replaces is gone.
#[test]
fn devices_and_their_links() {
    let device = |path: &str| item(path, tar::EntryType::Char, 0o666);
    let (store, pulled) = pull_layers(&[&[
        file("usr/a", "1"),
        device("usr/a"),
        link("usr/b", "usr/a"),
        link("usr/c", "usr/d"),
        device("usr/d"),
        file("usr/e", "e"),
    ]]);
    let all = describe(&store, &pulled.commit);
    let files: Vec<_> = all.keys().filter(|path| !path.ends_with('/')).collect();
    assert_eq!(files, ["/usr/e"]);
    assert_eq!(pulled.left_out["a character device"], 4);
}

/// A device in `/dev` is left out with its other names.
#[test]
fn links_to_devices_that_are_left_out() {
    let (store, pulled) = pull_layers(&[&[
        item("dev/x", tar::EntryType::Char, 0o666),
        link("dev/y", "dev/x"),
        link("usr/a", "dev/x"),
        link("usr/b", "dev/y"),
        file("usr/c", "c"),
    ]]);
    let all = describe(&store, &pulled.commit);
    let files: Vec<_> = all.keys().filter(|path| !path.ends_with('/')).collect();
    assert_eq!(files, ["/usr/c"]);
}

/// Links that lead in circles, to files or out of the tree are replaced by directories: nothing is lost.
#[test]
fn symbolic_links_that_lead_nowhere() {
    let deep = "d/".repeat(300);
    let found = files(&[
        &[
            symlink("usr/loop", "loop"),
            symlink("usr/ping", "pong"),
            symlink("usr/pong", "ping"),
            file("usr/file", ""),
            symlink("usr/tofile", "file"),
            symlink("usr/torun", "/run/x"),
            symlink("usr/deep", &deep),
        ],
        &["loop", "ping", "tofile", "torun"].map(|name| file(&format!("usr/{name}/x"), "x")),
        &[file(&format!("usr/deep/{deep}x"), "x")],
    ]);
    for name in ["loop", "ping", "tofile", "torun"] {
        assert!(found.contains(&format!("/usr/{name}/x 644 0 x")), "{name}: {found:?}");
    }
    assert!(found.iter().any(|line| line.ends_with("/x 644 0 x") && line.len() > 1200), "{found:?}");
    // The layer itself changes where the link leads.
    let found = files(&[
        &[file("usr/lib/x", "1"), symlink("usr/a", "lib")],
        &[file("usr/lib", "3"), file("usr/a/y", "2")],
    ]);
    assert_eq!(found, ["/usr/a/y 644 0 2", "/usr/lib 644 0 3"]);
}

/// As in the container: `etc` of the layer is `usr/etc`, and `var` is where new systems get it from.
#[test]
fn symbolic_links_to_what_lies_elsewhere() {
    let found = files(&[
        &[
            dir("etc/conf.d", 0o755),
            symlink("usr/conf", "../etc/conf.d"),
            symlink("usr/local", "/var/usrlocal"),
            symlink("etc/up", "../usr"),
        ],
        &[file("usr/conf/a", "a"), file("usr/local/bin/b", "b"), file("etc/up/c", "c")],
    ]);
    let files: Vec<_> = found.iter().filter(|line| !line.contains("->")).collect();
    assert_eq!(
        files,
        ["/usr/c 644 0 c", "/usr/etc/conf.d/a 644 0 a", "/usr/share/factory/var/usrlocal/bin/b 644 0 b"]
    );
}

#[test]
fn long_chains_of_links() {
    let n = 20_000;
    let name = |n: usize| format!("usr/l{n:05}");
    let mut items: Vec<_> = (0..n).map(|i| link(&name(i), &name(i + 1))).collect();
    items.push(file(&name(n), "x"));
    let found = files(&[&items, &[link("usr/m", &name(0)), link("usr/n", "usr/m")]]);
    assert_eq!(found.len(), n + 3);
    assert!(found.iter().all(|line| line.ends_with(" 644 0 x")));
}
