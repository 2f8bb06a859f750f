//! The same layers put together by umoci: the same tree.

use super::{Item, Work, dir, file, item, layer, link, new_layout, put_image, symlink};
use crate::oracle::{need, run};
use crate::tree::fixture::{Detail, describe};

#[test]
fn layers_as_umoci_unpacks_them() {
    if !rustix::process::geteuid().is_root() || !need("umoci") {
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
    let commit = work.ok(&["container", "pull", "--repo=r", "ostree-unverified-image:oci:oci:x"]);
    work.ok(&["checkout", "--repo=r", "-H", &commit, "co"]);
    let (ours, theirs) = (work.path("co/usr"), work.path("bundle/rootfs/usr"));
    assert_eq!(describe(&ours, Detail::Plain), describe(&theirs, Detail::Plain));
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
    let commit = work.ok(&["container", "pull", "--repo=r", "ostree-unverified-image:oci:oci:x"]);
    assert_eq!(work.ok(&["cat", "--repo=r", &commit, "/usr/new"]), "inserted");
    work.ok(&["fsck", "-q", "--repo=r"]);
}
