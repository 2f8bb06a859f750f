//! What plain layers become, and how they lie over each other.

use ostree_rs::base::{Ctx, WithCauses};
use ostree_rs::container::build::{BuildOptions, build};
use ostree_rs::container::image::Image;
use ostree_rs::store::MemStore;

use super::{
    Item, add_layer, describe, dir, file, item, layer, link, new_layout, pull, pull_layers, symlink,
};

/// The paths and what is there, without directories.
pub(super) fn files(layers: &[&[Item]]) -> Vec<String> {
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

/// Each directory on the way of a path takes memory, and no tree is that deep.
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

/// A layer of 2 MB, 40 kB of gzip, whose paths would make half a million directories.
#[test]
fn directories_that_no_entry_lists_are_bounded() {
    let temp = tempfile::tempdir().unwrap();
    let deep = "d/".repeat(500);
    let items: Vec<_> = (0..1000).map(|n| file(&format!("usr/{n}/{deep}f"), "")).collect();
    let layout = new_layout(temp.path());
    super::put_image(&layout, &[layer(&items)], &[]);
    let error = pull(&layout, &MemStore::new(), "oci:x").unwrap_err();
    assert!(WithCauses(&error).to_string().contains("that the layer does not list"), "{error}");
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

/// A header of the old type with a slash at the end is a directory, unless it has content: podman and umoci make a
/// file of that, and no byte of it is taken for a header. A long name that is empty is none, and `..`
/// takes away the name before it.
#[test]
fn headers_that_are_odd() {
    let slash = patched(&file("usr/zz", "abc"), b"usr/z/");
    let dir = patched(&file("usr/dd", ""), b"usr/d/");
    let dots = patched(&file("usr/dddddd", "d"), b"usr/d/../q");
    let mut long = tar::Header::new_gnu();
    long.set_entry_type(tar::EntryType::GNULongName);
    long.set_path("././@LongLink").unwrap();
    long.set_size(0);
    long.set_cksum();
    let end = layer(&[file("usr/y", "y")]);
    let tar = [&slash[..1024], &dir[..512], &dots[..1024], long.as_bytes(), &end].concat();
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path());
    super::put_image(&layout, &[tar], &[]);
    let store = MemStore::new();
    let pulled = pull(&layout, &store, "oci:x").unwrap();
    let all = describe(&store, &pulled.commit);
    let below: Vec<_> = all.iter().filter(|(path, _)| path.len() > 5).collect();
    assert_eq!(
        below.iter().map(|(path, what)| format!("{path} {what}")).collect::<Vec<_>>(),
        ["/usr/d/ 644 0", "/usr/q 644 0 d", "/usr/y 644 0 y", "/usr/z 644 0 abc"]
    );
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
