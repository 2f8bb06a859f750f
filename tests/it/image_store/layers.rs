//! What plain layers become, and how they lie over each other.

use ostree_rs::base::{Ctx, WithCauses};
use ostree_rs::container::build::{BuildOptions, build};
use ostree_rs::container::image::Image;
use ostree_rs::store::MemStore;

use super::{
    Item, add_layer, describe, dir, file, item, layer, link, new_layout, pull, pull_layers, symlink,
};

/// The paths and what is there, without directories.
fn files(layers: &[&[Item]]) -> Vec<String> {
    let (store, pulled) = pull_layers(layers);
    let all = describe(&store, &pulled.commit);
    all.iter().filter(|(path, _)| !path.ends_with('/')).map(|(path, what)| format!("{path} {what}")).collect()
}

#[test]
fn places_of_the_system() {
    let (store, pulled) = pull_layers(&[&[
        file("etc/conf", "c"),
        link("etc/other", "etc/conf"),
        file("var/lib/state", "s"),
        file("run/lock", "x"),
        file("opt/app", "a"),
        item("dev", tar::EntryType::Directory, 0o755),
        item("usr/null", tar::EntryType::Char, 0o666),
    ]]);
    let all = describe(&store, &pulled.commit);
    let paths: Vec<_> = all.keys().map(String::as_str).collect();
    // No commit of an operating system below: the tree is the root file system.
    assert_eq!(
        paths,
        [
            "/",
            "/dev/",
            "/opt/",
            "/opt/app",
            "/usr/",
            "/usr/etc/",
            "/usr/etc/conf",
            "/usr/etc/other",
            "/usr/share/",
            "/usr/share/factory/",
            "/usr/share/factory/var/",
            "/usr/share/factory/var/lib/",
            "/usr/share/factory/var/lib/state",
        ]
    );
    assert_eq!(
        pulled.left_out.iter().map(|(k, n)| format!("{k} {n}")).collect::<Vec<_>>(),
        ["a character device 1", "run 1"]
    );
}

/// AUFS left its own files in the layers of old programs.
#[test]
fn files_of_aufs_are_no_part_of_a_layer() {
    let found = files(&[
        &[file("usr/kept", "k"), file("plnk", "p"), file("usr/orph", "o")],
        &[
            dir(".wh..wh.plnk", 0o700),
            file(".wh..wh.plnk/12.34", "x"),
            file(".wh..wh.aufs", ""),
            dir(".wh..wh.orph", 0o700),
            file("usr/.wh..wh.orph", ""),
            dir("usr/.wh..wh.deep", 0o755),
            file("usr/.wh..wh.deep/a/b", "b"),
            file("usr/new", "n"),
        ],
    ]);
    assert_eq!(found, ["/plnk 644 0 p", "/usr/kept 644 0 k", "/usr/new 644 0 n", "/usr/orph 644 0 o"]);
}

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

#[test]
fn whiteouts_act_on_lower_layers_only() {
    let found = files(&[
        &[
            file("usr/a", "1"),
            file("usr/d/x", "1"),
            file("usr/o/x", "1"),
            file("usr/o/deep/y", "1"),
            file("usr/k", "1"),
        ],
        &[
            file("usr/.wh.a", ""),
            file("usr/.wh.d", ""),
            // Stands before and after the opaque mark: both are of this layer.
            file("usr/o/before", "2"),
            file("usr/o/.wh..wh..opq", ""),
            file("usr/o/after", "2"),
            // The name itself is there again.
            file("usr/.wh.k", ""),
            file("usr/k", "2"),
            // Nothing like that is below.
            file("usr/.wh.never", ""),
            file("usr/new/.wh..wh..opq", ""),
            file("usr/new/n", "2"),
            file("usr/.wh..wh.plnk", ""),
        ],
    ]);
    assert_eq!(
        found,
        ["/usr/k 644 0 2", "/usr/new/n 644 0 2", "/usr/o/after 644 0 2", "/usr/o/before 644 0 2"]
    );
}

/// A whiteout has nothing in it, and takes away what it names also where the layer says otherwise.
#[test]
fn what_is_below_a_whiteout_is_left_out() {
    let lower = || vec![file("usr/a", "1"), file("usr/b", "1")];
    for upper in [
        vec![file("usr/.wh.a", ""), file("usr/.wh.a/x", "2")],
        vec![dir("usr/.wh.a", 0o755), file("usr/.wh.a/x/y", "2")],
        vec![file("usr/.wh.a/x", "2"), dir("usr/.wh.a", 0o755)],
    ] {
        assert_eq!(files(&[&lower(), &upper]), ["/usr/b 644 0 1"]);
    }
    // It is no whiteout unless an entry says so.
    let found = files(&[&lower(), &[file("usr/.wh.a/x", "2"), file("usr/.wh..wh..opq/x", "2")]]);
    assert_eq!(found, ["/usr/a 644 0 1", "/usr/b 644 0 1"]);
}

/// A directory that the layer lists replaces a file, also if all that is in it is whiteouts.
#[test]
fn whiteouts_in_directories_that_replace_files() {
    let found = |upper: &[Item]| {
        let (store, pulled) = pull_layers(&[&[file("usr/a", "1")], upper]);
        describe(&store, &pulled.commit).into_keys().filter(|path| path.len() > 5).collect::<Vec<_>>()
    };
    assert_eq!(found(&[file("usr/a/.wh.x", "")]), ["/usr/a"]);
    assert_eq!(found(&[dir("usr/a", 0o755), file("usr/a/.wh.x", "")]), ["/usr/a/"]);
    assert_eq!(found(&[file("usr/a/d/.wh.x", ""), dir("usr/a/d", 0o755)]), ["/usr/a/", "/usr/a/d/"]);
    assert_eq!(found(&[file("usr/a/.wh.x", ""), file("usr/a/y", "")]), ["/usr/a/", "/usr/a/y"]);
}

#[test]
fn anything_replaces_anything() {
    let found = files(&[
        &[
            file("usr/f", "1"),
            file("usr/d/x", "1"),
            symlink("usr/s", "d"),
            symlink("usr/t", "f"),
            file("usr/u/v/w", "1"),
        ],
        &[
            file("usr/f/now-a-directory", "2"),
            file("usr/d", "2"),
            file("usr/s/y", "2"),
            file("usr/t", "2"),
            symlink("usr/u", "nowhere"),
        ],
    ]);
    assert_eq!(
        found,
        [
            "/usr/d 644 0 2",
            "/usr/f/now-a-directory 644 0 2",
            "/usr/s/y 644 0 2",
            "/usr/t 644 0 2",
            "/usr/u -> nowhere"
        ]
    );
}

#[test]
fn directories_keep_what_layers_do_not_say() {
    let with_xattr = Item { xattrs: vec![("user.x", b"1")], ..dir("usr/x", 0o750) };
    let (store, pulled) = pull_layers(&[
        &[Item { owner: 7, ..dir("usr/keep", 0o711) }, with_xattr, dir("usr/same", 0o700), dir("usr", 0o755)],
        // One is not listed, one is with other permissions, one just as it was.
        &[file("usr/keep/f", ""), dir("usr/x", 0o700), dir("usr/same", 0o700)],
    ]);
    let all = describe(&store, &pulled.commit);
    assert_eq!(all["/usr/keep/"], "711 7");
    assert_eq!(all["/usr/x/"], "700 0 xattrs");
    assert_eq!(all["/usr/same/"], "700 0");
}

#[test]
fn left_behind_by_builds() {
    let found = files(&[&[file("etc/hostname", ""), file("etc/resolv.conf", "")], &[file("etc/hosts", "")]]);
    assert_eq!(found, ["/usr/etc/hosts 644 0 "]);
    assert_eq!(files(&[&[file("etc/hostname", "mine")]]), ["/usr/etc/hostname 644 0 mine"]);
}

#[test]
fn unsafe_paths_are_refused() {
    for bad in [file("usr/../../etc/passwd", "x"), link("usr/a", "../../etc/shadow")] {
        let temp = tempfile::tempdir().unwrap();
        let layout = super::new_layout(temp.path());
        // The builder refuses such paths: they are patched in.
        let tar = match bad.link.is_empty() {
            true => patched(&file("usr/__/__/etc/passwd", "x"), b"usr/../../etc/passwd"),
            false => super::layer(&[bad]),
        };
        super::put_image(&layout, &[tar], &[]);
        let into = ostree_rs::store::MemStore::new();
        let error = super::pull(&layout, &into, "oci:x").unwrap_err();
        assert!(WithCauses(&error).to_string().contains("'..'"), "{error}");
    }
}

/// The layer of one entry, with another name of the same length.
fn patched(item: &Item, name: &[u8]) -> Vec<u8> {
    let mut tar = super::layer(std::slice::from_ref(item));
    tar[..name.len()].copy_from_slice(name);
    tar[148..156].copy_from_slice(b"        ");
    let sum: u32 = tar[..512].iter().map(|b| u32::from(*b)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar
}

/// Deeper than any file system goes, and than the stack of a thread allows.
#[test]
fn deep_paths_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    for (names, fine) in [(512, true), (513, false), (16_000, false)] {
        let layout = super::new_layout(&temp.path().join(names.to_string()));
        super::put_image(
            &layout,
            &[super::layer(&[file(&["usr/", &"a/".repeat(names - 2), "f"].concat(), "")])],
            &[],
        );
        let pulled = super::pull(&layout, &ostree_rs::store::MemStore::new(), "oci:x");
        assert_eq!(pulled.is_ok(), fine, "{names}");
    }
}

/// A build changed files of the commit: the layer has the objects, and links to them, in any order.
#[test]
fn changed_objects_of_the_commit() {
    let object = format!("sysroot/ostree/repo/objects/ab/{}.file", "cd".repeat(31));
    let found = files(&[&[
        link("usr/bin/tool", &object),
        Item { mode: 0o755, ..file(&object, "changed") },
        link("usr/bin/of-tool", "usr/bin/tool"),
        link("usr/bin/same", &format!("/{object}")),
    ]]);
    let names = ["of-tool", "same", "tool"];
    assert_eq!(found, names.map(|name| format!("/usr/bin/{name} 755 0 changed")));
    // Of an object that neither the layer nor the repository has.
    let temp = tempfile::tempdir().unwrap();
    let layout = super::new_layout(temp.path());
    super::put_image(&layout, &[super::layer(&[link("usr/bin/tool", &object)])], &[]);
    let error = super::pull(&layout, &ostree_rs::store::MemStore::new(), "oci:x").unwrap_err();
    assert!(WithCauses(&error).to_string().contains(&object), "{error}");
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

/// A header of the old type with a slash at the end is a directory, unless it has content: podman and umoci make a
/// file of that, and no byte of it is taken for a header. A long name that is empty is none.
#[test]
fn headers_that_are_odd() {
    let slash = patched(&file("usr/zz", "abc"), b"usr/z/");
    let dir = patched(&file("usr/dd", ""), b"usr/d/");
    let mut long = tar::Header::new_gnu();
    long.set_entry_type(tar::EntryType::GNULongName);
    long.set_path("././@LongLink").unwrap();
    long.set_size(0);
    long.set_cksum();
    let end = layer(&[file("usr/y", "y")]);
    let tar = [&slash[..1024], &dir[..512], long.as_bytes(), &end].concat();
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path());
    super::put_image(&layout, &[tar], &[]);
    let store = MemStore::new();
    let pulled = pull(&layout, &store, "oci:x").unwrap();
    let all = describe(&store, &pulled.commit);
    let below: Vec<_> = all.iter().filter(|(path, _)| path.len() > 5).collect();
    assert_eq!(
        below.iter().map(|(path, what)| format!("{path} {what}")).collect::<Vec<_>>(),
        ["/usr/d/ 644 0", "/usr/y 644 0 y", "/usr/z 644 0 abc"]
    );
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

/// On a system that boots, a layer that lists `lib` puts things where the link leads, as with ostree-ext 0.15.3: the
/// link is not replaced, and the directory keeps its mode.
#[test]
fn a_listed_directory_over_a_link_of_the_commit() {
    let conf = "[composefs]\nenabled = yes\n";
    let (store, base) = pull_layers(&[&[
        dir("usr/lib", 0o755),
        file("usr/lib/libc.so", "libc"),
        file("usr/lib/ostree/prepare-root.conf", conf),
        symlink("lib", "usr/lib"),
    ]]);
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path());
    build(&store, &base.commit, &layout, &BuildOptions::default(), &Ctx::default()).unwrap();
    let image = Image::fetch(&layout, &Default::default()).unwrap();
    add_layer(&layout, &image, &layer(&[dir("lib", 0o700), dir("lib/drv", 0o711), file("lib/drv/x", "x")]));
    let into = MemStore::new();
    let pulled = pull(&layout, &into, "oci:x").unwrap();
    let found = describe(&into, &pulled.commit);
    assert_eq!(found["/lib"], "-> usr/lib");
    assert_eq!(found["/usr/lib/"], describe(&store, &base.commit)["/usr/lib/"]);
    assert!(found["/usr/lib/drv/"].starts_with("711 "), "{found:?}");
    assert!(found.contains_key("/usr/lib/drv/x") && found.contains_key("/usr/lib/libc.so"));
}
