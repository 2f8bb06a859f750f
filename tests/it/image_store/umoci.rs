//! The same layers put together by umoci: the same tree.

use super::{Item, Work, dir, file, item, layer, link, new_layout, put_image, symlink};
use crate::oracle::{need, need_root, run};
use crate::tree::fixture::{Detail, describe};

/// The commit of an image's files as they are: `pull` would arrange them for a system that boots.
fn pull_whole(work: &Work) -> String {
    let image = "ostree-unverified-image:oci:oci:x";
    work.ok(&["container", "image", "pull", "-q", "--repo=r", "--ostree-digestfile=digest", image]);
    std::fs::read_to_string(work.path("digest")).unwrap()
}

#[test]
fn layers_as_umoci_unpacks_them() {
    if !need_root() || !need("umoci") {
        return;
    }
    let work = Work::new();
    let layout = new_layout(&work.path("oci"));
    let layers: [&[Item]; 4] = [
        &[
            dir("usr", 0o755),
            dir("usr/bin", 0o755),
            Item { mode: 0o4755, ..file("usr/bin/su", "su") },
            link("usr/bin/also-su", "usr/bin/su"),
            dir("usr/d", 0o750),
            Item { owner: 1000, ..file("usr/d/owned", "o") },
            file("usr/d/gone", "g"),
            dir("usr/opaque", 0o755),
            file("usr/opaque/hidden", "h"),
            symlink("usr/to-d", "d"),
            file("usr/becomes-dir", "x"),
            dir("usr/becomes-file", 0o755),
            file("usr/becomes-file/x", "x"),
        ],
        &[
            dir("usr/d", 0o700),
            item("usr/d/.wh.gone", tar::EntryType::Regular, 0o644),
            dir("usr/opaque", 0o711),
            item("usr/opaque/.wh..wh..opq", tar::EntryType::Regular, 0o644),
            file("usr/opaque/seen", "s"),
            item("usr/.wh.becomes-dir", tar::EntryType::Regular, 0o644),
            item("usr/.wh.becomes-file", tar::EntryType::Regular, 0o644),
        ],
        &[
            dir("usr/becomes-dir", 0o755),
            file("usr/becomes-dir/y", "y"),
            file("usr/becomes-file", "y"),
            file("usr/bin/su", "replaced"),
            Item { xattrs: vec![("user.note", b"a\nb")], ..file("usr/noted", "n") },
        ],
        &[file("usr/last", "l"), symlink("usr/last-link", "/usr/last")],
    ];
    let streams: Vec<_> = layers.iter().map(|items| layer(items)).collect();
    put_image(&layout, &streams, &[]);
    let path = |name: &str| work.path(name).display().to_string();
    run("umoci", &["unpack", "--image", &format!("{}:x", path("oci")), &path("bundle")]);
    work.ok(&["init", "--repo=r", "--mode=bare"]);
    let commit = pull_whole(&work);
    work.ok(&["checkout", "--repo=r", "-H", &commit, "co"]);
    let (ours, theirs) = (work.path("co/usr"), work.path("bundle/rootfs/usr"));
    assert_eq!(describe(&ours, Detail::Plain), describe(&theirs, Detail::Plain));
}

/// One layer after the other, and what entries of one path become.
#[test]
fn paths_that_change_as_umoci_unpacks_them() {
    if !need_root() || !need("umoci") {
        return;
    }
    let owned = |item: Item| Item { owner: 1000, ..item };
    let whiteout = |path: &str| item(path, tar::EntryType::Regular, 0o644);
    let lower = || {
        vec![
            dir("usr", 0o755),
            dir("usr/lib", 0o755),
            file("usr/lib/libc", "c"),
            symlink("usr/lib64", "lib"),
            symlink("usr/abs", "/usr/./lib/"),
            symlink("usr/twice", "../usr/lib/../lib64"),
            symlink("usr/dangling", "nowhere/./at"),
            dir("usr/d", 0o750),
            file("usr/d/x", "x"),
        ]
    };
    let one: [(&str, Vec<Item>); 19] = [
        ("file, directory", vec![file("usr/a", "1"), dir("usr/a", 0o711), file("usr/a/x", "1")]),
        (
            "directory, file",
            vec![file("usr/z", ""), dir("usr/a", 0o755), link("usr/a/l", "usr/z"), file("usr/a", "1")],
        ),
        ("directory, link", vec![dir("usr/b", 0o755), file("usr/a/x", "1"), symlink("usr/a", "b")]),
        ("link, what is below", vec![dir("usr/b", 0o755), symlink("usr/a", "b"), file("usr/a/x", "1")]),
        (
            "link, directory",
            vec![dir("usr/b", 0o755), symlink("usr/a", "b"), dir("usr/a", 0o755), file("usr/a/x", "1")],
        ),
        ("link, file", vec![file("usr/b", "1"), symlink("usr/a", "b"), file("usr/a", "2")]),
        ("hard link, file", vec![file("usr/b", "1"), link("usr/a", "usr/b"), file("usr/a", "2")]),
        ("file, hard link", vec![file("usr/b", "1"), file("usr/a", "2"), link("usr/a", "usr/b")]),
        (
            "target changes",
            vec![file("usr/a", "1"), link("usr/b", "usr/a"), file("usr/a", "2"), link("usr/c", "usr/b")],
        ),
        ("whiteout below a file of its layer", vec![file("usr/a", "1"), whiteout("usr/a/b/.wh.x")]),
        (
            "opaque below one",
            vec![file("usr/a", "1"), whiteout("usr/a/.wh..wh..opq"), link("usr/b", "usr/a")],
        ),
        (
            "opaque below a hard link",
            vec![file("usr/b", "1"), link("usr/a", "usr/b"), whiteout("usr/a/.wh..wh..opq")],
        ),
        ("hard link to a link", vec![file("usr/b", "1"), symlink("usr/a", "b"), link("usr/c", "usr/a")]),
        (
            "links to links",
            vec![
                dir("usr/x", 0o755),
                symlink("usr/y", "x"),
                symlink("usr/z", "y"),
                file("usr/z/f", "1"),
                link("usr/h", "usr/y/f"),
            ],
        ),
        (
            "no owner",
            vec![
                Item { owner: u32::MAX.into(), ..file("usr/x", "1") },
                Item { owner: u32::MAX.into(), ..dir("usr/y", 0o700) },
            ],
        ),
        ("owners", vec![owned(file("usr/new/deep/x", "1")), owned(dir("usr/listed/deep", 0o700))]),
        (
            "hard link with dots",
            vec![dir("usr/x", 0o755), file("usr/b", "1"), link("usr/x/a", "usr/x/.././b")],
        ),
        ("link above the root", vec![symlink("usr/up", "../../.."), file("usr/up/x", "1")]),
        (
            "link to what is left out",
            vec![symlink("usr/t", "/tmp"), dir("usr/t/d", 0o755), file("usr/t/d/x", "1")],
        ),
    ];
    let two: [(&str, Vec<Item>); 21] = [
        ("implied", vec![file("usr/lib64/y", "y")]),
        ("listed", vec![dir("usr/lib64", 0o755), file("usr/lib64/y", "y")]),
        ("implied, deep", vec![owned(file("usr/lib64/n/y", "y"))]),
        ("absolute", vec![file("usr/abs/y", "y")]),
        ("upwards", vec![file("usr/twice/y", "y")]),
        ("dangling", vec![file("usr/dangling/y", "y")]),
        ("whiteout", vec![whiteout("usr/lib64/.wh.libc")]),
        ("whiteout as a directory", vec![dir("usr/lib/.wh.libc", 0o755), dir("usr/.wh.d", 0o700)]),
        ("whiteout as a hard link", vec![link("usr/lib/.wh.libc", "usr/d/x")]),
        ("whiteout as a device", vec![item("usr/lib/.wh.libc", tar::EntryType::Char, 0)]),
        ("whiteout below a file", vec![whiteout("usr/lib/libc/.wh.x"), whiteout("usr/lib/libc/y/.wh.z")]),
        ("opaque", vec![whiteout("usr/lib64/.wh..wh..opq"), file("usr/lib64/z", "z")]),
        ("opaque below a file", vec![whiteout("usr/d/x/.wh..wh..opq")]),
        (
            "opaque below a link that waits",
            vec![link("usr/h", "usr/lib/libc"), whiteout("usr/h/.wh..wh..opq")],
        ),
        ("hard link through it", vec![link("usr/h", "usr/lib64/libc"), link("usr/lib64/h", "usr/d/x")]),
        ("link again", vec![symlink("usr/lib64", "lib"), file("usr/lib64/y", "y")]),
        ("over a directory", vec![file("usr/d", "now a file")]),
        ("hard link over a directory", vec![link("usr/d", "usr/lib/libc")]),
        (
            "target replaced later",
            vec![
                link("usr/h", "usr/lib/libc"),
                link("usr/of-h", "usr/h"),
                file("usr/lib/libc", "new"),
                link("usr/late", "usr/lib/libc"),
            ],
        ),
        (
            "target becomes a link",
            vec![link("usr/h", "usr/d/x"), link("usr/d/x", "usr/lib/libc"), file("usr/lib/libc", "new")],
        ),
        (
            "target removed later",
            vec![link("usr/h", "usr/lib/libc"), whiteout("usr/lib/.wh.libc"), dir("usr/lib/libc", 0o700)],
        ),
    ];
    let one = one.into_iter().map(|(what, items)| (what, vec![items]));
    let two = two.into_iter().map(|(what, items)| (what, vec![lower(), items]));
    for (what, layers) in one.chain(two) {
        let work = Work::new();
        let streams: Vec<_> = layers.iter().map(|items| layer(items)).collect();
        put_image(&new_layout(&work.path("oci")), &streams, &[]);
        let path = |name: &str| work.path(name).display().to_string();
        run("umoci", &["unpack", "--image", &format!("{}:x", path("oci")), &path("bundle")]);
        work.ok(&["init", "--repo=r", "--mode=bare"]);
        let commit = pull_whole(&work);
        work.ok(&["checkout", "--repo=r", "-H", &commit, "co"]);
        let (ours, theirs) = (work.path("co/usr"), work.path("bundle/rootfs/usr"));
        assert_eq!(describe(&ours, Detail::Plain), describe(&theirs, Detail::Plain), "{what}");
    }
}

/// An archive that contradicts itself: nothing of it is lost in silence.
#[test]
fn files_in_the_middle_of_a_path() {
    if !need("umoci") {
        return;
    }
    let below = || file("usr/a/x", "1");
    for (what, items, wrong) in [
        ("file", vec![file("usr/a", "1"), below()], "'usr/a', which came before, is no directory"),
        (
            "link to a file",
            vec![file("usr/b", "1"), symlink("usr/a", "b"), below()],
            "'usr/a', which came before",
        ),
        ("loop", vec![symlink("usr/a", "b"), symlink("usr/b", "a"), below()], "'usr/a', which came before"),
        ("directory in it", vec![file("usr/a", "1"), dir("usr/a/d", 0o755)], "'usr/a', which came before"),
        ("waiting link", vec![link("usr/a", "usr/z"), below()], "'usr/a', which came before"),
        (
            "link to a directory",
            vec![dir("usr/d", 0o755), link("usr/a", "usr/d")],
            "/usr/d, which is a directory",
        ),
        ("link to nothing", vec![link("usr/a", "usr/d")], "/usr/d, which is nothing that a layer has"),
    ] {
        let work = Work::new();
        put_image(&new_layout(&work.path("oci")), &[layer(&items)], &[]);
        let image = format!("{}:x", work.path("oci").display());
        let mut umoci = std::process::Command::new("umoci");
        umoci.args(["unpack", "--rootless", "--image", &image]).arg(work.path("bundle"));
        assert!(!umoci.output().unwrap().status.success(), "{what}");
        work.ok(&["init", "--repo=r", "--mode=archive"]);
        let error = work.refused(&[
            "container",
            "image",
            "pull",
            "-q",
            "--repo=r",
            "ostree-unverified-image:oci:oci:x",
        ]);
        assert!(error.contains("layer sha256:") && error.contains(wrong), "{what}: {error}");
        assert_eq!(work.ok(&["refs", "--repo=r"]), "", "{what}");
    }
}

/// Programs for macOS write its xattrs into layers; no file on Linux can have them.
#[test]
fn xattrs_that_no_file_can_have() {
    if !need_root() || !need("umoci") {
        return;
    }
    let work = Work::new();
    let foreign: Vec<(&str, &[u8])> = vec![("com.apple.provenance", b"\x01\0"), ("user.note", b"n")];
    let items = [dir("usr", 0o755), Item { xattrs: foreign, ..file("usr/a", "1") }];
    put_image(&new_layout(&work.path("oci")), &[layer(&items)], &[]);
    let path = |name: &str| work.path(name).display().to_string();
    run("umoci", &["unpack", "--image", &format!("{}:x", path("oci")), &path("bundle")]);
    work.ok(&["init", "--repo=r", "--mode=bare"]);
    let args = ["container", "image", "pull", "--repo=r", "ostree-unverified-image:oci:oci:x"];
    let said = String::from_utf8(work.start(&args).stderr).unwrap();
    assert!(said.contains("xattr com.apple.provenance: 1"), "{said}");
    let commit = pull_whole(&work);
    work.ok(&["checkout", "--repo=r", "-H", &commit, "co"]);
    let names = |file: &std::path::Path| {
        let mut names = vec![0; 1000];
        let size = rustix::fs::listxattr(file, &mut names[..]).unwrap();
        String::from_utf8(names[..size].to_vec()).unwrap()
    };
    assert_eq!(names(&work.path("co/usr/a")), names(&work.path("bundle/rootfs/usr/a")));
}

/// Its layers end with the content of the last file: no padding, no blocks of zeros.
#[test]
fn layers_that_umoci_inserts() {
    if !need("umoci") {
        return;
    }
    let work = Work::new();
    put_image(&new_layout(&work.path("oci")), &[layer(&[dir("usr", 0o755)])], &[]);
    std::fs::write(work.path("new"), "inserted").unwrap();
    let image = format!("{}:x", work.path("oci").display());
    let new = work.path("new").display().to_string();
    run("umoci", &["insert", "--rootless", "--image", &image, &new, "/usr/new"]);
    work.ok(&["init", "--repo=r", "--mode=archive"]);
    let commit = pull_whole(&work);
    assert_eq!(work.ok(&["cat", "--repo=r", &commit, "/usr/new"]), "inserted");
    work.ok(&["fsck", "-q", "--repo=r"]);
}
