//! A small root file system as dpkg leaves it, to be upgraded.
//!
//! ```text
//! usr/bin/bash …                 bin and lib are links to them
//! var/lib/dpkg/{status,diversions,info/…}
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;

use ostree_rs::container::blob::read_layer;
use ostree_rs::container::image::Image;
use ostree_rs::container::place::OciLayout;
use ostree_rs::format::variant::Dict;
use ostree_rs::format::{Commit, CommitId, DirMeta, FileHeader, FileName, Xattrs};
use ostree_rs::store::{MemStore, MutableTree, ObjectWrite as _};
use ostree_rs::tar::{EntryKind, Reader};

use super::dir;

/// A root file system.
#[derive(Clone)]
pub(super) struct Debian {
    packages: BTreeMap<String, Package>,
    /// Owned by nobody.
    others: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone)]
struct Package {
    source: String,
    version: u64,
    files: BTreeMap<String, Vec<u8>>,
    dirs: BTreeSet<String>,
}

/// Bytes that compress somewhat.
pub(super) fn noise_file(len: usize, seed: u64) -> Vec<u8> {
    super::noise(len, seed)
}

impl Debian {
    pub(super) fn new() -> Self {
        let mut new = Self { packages: BTreeMap::new(), others: BTreeMap::new() };
        let same = ("same", b"two packages have this\n".to_vec());
        new.add(
            "bash",
            "bash",
            &[
                ("usr/bin/bash", noise_file(300_000, 1)),
                ("usr/share/bash/functions", noise_file(5_000, 2)),
                ("usr/share/doc/bash/copyright", noise_file(4_000, 3)),
                ("usr/share/man/man1/sh.distrib.1", noise_file(3_000, 4)),
                ("etc/bash.bashrc", noise_file(700, 5)),
            ],
        );
        new.add(
            "dash",
            "dash",
            &[
                ("usr/bin/dash", noise_file(90_000, 11)),
                ("usr/share/doc/dash/same", same.1.clone()),
                ("usr/share/man/man1/sh.1", noise_file(2_000, 12)),
            ],
        );
        new.add("libc6", "glibc", &[("usr/lib/x86_64-linux-gnu/libc.so.6", noise_file(1_500_000, 21))]);
        new.add(
            "python3",
            "python3",
            &[
                ("usr/bin/python3", noise_file(800_000, 31)),
                ("usr/lib/python3/os.py", noise_file(9_000, 32)),
                ("usr/share/doc/python3/same", same.1),
            ],
        );
        let passwd = b"root:x:0:0::/root:/bin/bash\n".to_vec();
        new.add(
            "base-files",
            "base-files",
            &[
                ("usr/share/base-files/motd", noise_file(1_000, 41)),
                ("usr/share/base-files/passwd", passwd.clone()),
            ],
        );
        new.packages.get_mut("base-files").unwrap().dirs.insert("opt".to_owned());
        let others = [
            ("usr/lib/python3/__pycache__/os.cpython-311.pyc", noise_file(7_000, 51)),
            ("usr/share/bash/cache", noise_file(600, 52)),
            ("opt/app/run", noise_file(400_000, 53)),
            ("opt/big.bin", noise_file(6_000_000, 54)),
            ("etc/passwd", passwd),
            ("etc/ld.so.cache", noise_file(5_000, 55)),
        ];
        new.others = others.into_iter().map(|(path, content)| (path.to_owned(), content)).collect();
        new
    }

    pub(super) fn add(&mut self, name: &str, source: &str, files: &[(&str, Vec<u8>)]) {
        let files = files.iter().map(|(path, content)| ((*path).to_owned(), content.clone())).collect();
        let package = Package { source: source.to_owned(), version: 1, files, dirs: BTreeSet::new() };
        self.packages.insert(name.to_owned(), package);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.packages.remove(name);
        self.others.remove("usr/lib/python3/__pycache__/os.cpython-311.pyc");
    }

    /// Another version: some of its files change, the caches too.
    pub(super) fn upgrade(&mut self, name: &str) {
        let package = self.packages.get_mut(name).unwrap();
        package.version += 1;
        for (number, content) in package.files.values_mut().enumerate() {
            if number % 2 == 0 {
                let len = content.len();
                *content = noise_file(len + 100, 1000 + number as u64);
            }
        }
        package.files.insert(format!("usr/share/doc/{name}/NEWS"), noise_file(1_000, 2000));
        self.others.insert("etc/ld.so.cache".to_owned(), noise_file(5_100, 2001));
    }

    /// Everything that is there, by path.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut out = self.others.clone();
        let mut status = String::new();
        for (name, package) in &self.packages {
            out.extend(package.files.clone());
            status += &format!("Package: {name}\nStatus: install ok installed\n");
            if package.source != *name {
                status += &format!("Source: {} ({})\n", package.source, package.version);
            }
            status += &format!("Version: {}\n\n", package.version);
            for (kind, content) in [("list", self.list(name)), ("md5sums", format!("{}\n", package.version))]
            {
                let arch = if name == "libc6" { ":amd64" } else { "" };
                out.insert(format!("var/lib/dpkg/info/{name}{arch}.{kind}"), content.into_bytes());
            }
        }
        out.insert("var/lib/dpkg/status".to_owned(), status.into_bytes());
        let diversions = "/usr/share/man/man1/sh.1\n/usr/share/man/man1/sh.distrib.1\ndash\n";
        out.insert("var/lib/dpkg/diversions".to_owned(), diversions.into());
        out
    }

    /// As dpkg keeps it: with the paths that the package had before bin and lib became links, and before
    /// others diverted them.
    fn list(&self, name: &str) -> String {
        let package = &self.packages[name];
        let mut paths: BTreeSet<String> = BTreeSet::from(["/.".to_owned()]);
        for path in package.files.keys() {
            let path = match path.as_str() {
                "usr/share/man/man1/sh.distrib.1" => "/usr/share/man/man1/sh.1".to_owned(),
                path if path.starts_with("usr/bin/") || path.starts_with("usr/lib/x86") => {
                    format!("/{}", &path[4..])
                }
                path => format!("/{path}"),
            };
            let slashes = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
            paths.extend(slashes.map(|at| path[..at].to_owned()));
            paths.insert(path);
        }
        paths.extend(package.dirs.iter().map(|dir| format!("/{dir}")));
        paths.into_iter().map(|path| path + "\n").collect()
    }

    pub(super) fn commit(&self, store: &MemStore) -> CommitId {
        let links = [("bin", "usr/bin"), ("lib", "/usr/lib")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        commit(store, &self.files(), &links.into())
    }

    /// The size of a package's files, in a compressed archive of nothing else.
    pub(super) fn compressed_bytes(&self, name: &str) -> u64 {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        for content in self.packages[name].files.values() {
            gzip.write_all(content).unwrap();
        }
        gzip.finish().unwrap().len() as u64
    }
}

/// Commits a tree with these files and links.
pub(super) fn commit(
    store: &MemStore,
    files: &BTreeMap<String, Vec<u8>>,
    links: &BTreeMap<String, String>,
) -> CommitId {
    let meta = DirMeta::new(0, 0, 0o755, Xattrs::EMPTY);
    let meta = store.write_dirmeta(&meta).unwrap();
    let mut root = MutableTree::new();
    root.set_meta(meta);
    let files = files.iter().map(|(path, content)| {
        let header = FileHeader::regular(0, 0, 0o644, Xattrs::EMPTY);
        (path, store.write_file(&header, content.len() as u64, &mut &**content).unwrap())
    });
    let links = links.iter().map(|(path, target)| {
        let header = FileHeader::symlink(0, 0, target, Xattrs::EMPTY);
        (path, store.write_file(&header, 0, &mut std::io::empty()).unwrap())
    });
    for (path, id) in files.chain(links) {
        let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut dir = &mut root;
        for name in dirs.split('/').filter(|n| !n.is_empty()) {
            dir = dir.ensure_dir(store, FileName::new(name).unwrap()).unwrap();
            dir.set_meta(meta);
        }
        dir.set_file(store, FileName::new(name).unwrap(), id).unwrap();
    }
    let root = root.write(store).unwrap();
    let commit = Commit {
        metadata: Dict::default(),
        parent: None,
        related: Vec::new(),
        subject: String::new(),
        body: String::new(),
        timestamp: 0,
        root,
    };
    store.write_commit(&commit).unwrap()
}

/// The components of the layer in which each path of the checkout is; of the first layer the empty text.
pub(super) fn places(path: &Path, tag: &str, image: &Image) -> BTreeMap<String, String> {
    let source = OciLayout::open(dir(path), Some(tag)).unwrap();
    let mut out = BTreeMap::new();
    for layer in image.layers().unwrap() {
        let names =
            layer.descriptor.annotations().as_ref().and_then(|all| all.get("ostree.components").cloned());
        let mut tar = Vec::new();
        read_layer(&source, &layer.descriptor, &layer.diff_id, &ostree_rs::base::Ctx::default(), |stream| {
            stream.read_to_end(&mut tar).unwrap();
            Ok(())
        })
        .unwrap();
        let mut reader = Reader::new(&*tar);
        while let Some(entry) = reader.next_entry().unwrap() {
            let path = entry.names().unwrap().join("/");
            if entry.kind != EntryKind::Dir && !path.starts_with("sysroot/") {
                let before = out.insert(path.clone(), names.clone().unwrap_or_default());
                assert_eq!(before, None, "{path} is in two layers");
            }
        }
    }
    out
}
