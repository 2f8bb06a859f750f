//! Bytes and files per second of every stage, on a generated tree or, with `OSTREE_RS_BENCH_TREE=DIR`, on any
//! directory. Run as root to keep owners; scratch space is `TMPDIR`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use ostree_rs::base::Ctx;
use ostree_rs::container::build::{BuildOptions, build};
use ostree_rs::container::image::Compression;
use ostree_rs::container::place::OciLayout;
use ostree_rs::container::pull::{PullOptions, Vouching, pull};
use ostree_rs::container::trust::Admitted;
use ostree_rs::format::{Checksum, CommitId, FileHeader, RepoMode, Xattrs};
use ostree_rs::repo::Repo;
use ostree_rs::store::{Modifier, MutableTree, ObjectWrite, load_commit};
use ostree_rs::tar::{ExportOptions, ImportOptions, export_commit, import_commit};
use ostree_rs::tree::{CheckoutOptions, CommitOptions, DirOptions, Linking, add_dir, checkout, write_commit};
use tempfile::TempDir;

/// The tree that is measured.
struct Tree {
    path: PathBuf,
    files: u64,
    bytes: u64,
    _generated: Option<TempDir>,
}

impl Tree {
    fn new() -> Self {
        let (path, generated) = match std::env::var_os("OSTREE_RS_BENCH_TREE") {
            Some(path) => (PathBuf::from(path), None),
            None => {
                let dir = TempDir::new().unwrap();
                generate(dir.path());
                (dir.path().to_path_buf(), Some(dir))
            }
        };
        let mut tree = Self { path: path.clone(), files: 0, bytes: 0, _generated: generated };
        tree.measure(&path);
        tree
    }

    fn measure(&mut self, dir: &Path) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let meta = entry.metadata().unwrap();
            self.files += 1;
            if meta.is_dir() {
                self.measure(&entry.path());
            } else if meta.is_file() {
                self.bytes += meta.len();
            }
        }
    }
}

/// 2,000 files of 0 to 64 KiB in 40 directories, and one of 32 MiB; compressible in part, as programs are.
fn generate(root: &Path) {
    let mut state = 1u64;
    let mut content = |len: u64| -> Vec<u8> {
        let mut next = |i: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if i.is_multiple_of(3) { state.to_be_bytes()[0] } else { (i / 64).to_le_bytes()[0] }
        };
        (0..len).map(&mut next).collect()
    };
    for d in 0..40 {
        let dir = root.join(format!("usr/lib/dir-{d:02}"));
        fs::create_dir_all(&dir).unwrap();
        for f in 0..50u64 {
            fs::write(dir.join(format!("file-{f:02}")), content((f * f * 29) % 65536)).unwrap();
        }
    }
    fs::write(root.join("usr/lib/large"), content(32 << 20)).unwrap();
}

fn new_repo(mode: RepoMode) -> (TempDir, Repo) {
    let dir = TempDir::new().unwrap();
    let open = Dir::open_ambient_dir(dir.path(), ambient_authority()).unwrap();
    (dir, Repo::create(open, mode, None).unwrap())
}

/// Commits the tree and returns its id.
fn commit(repo: &Repo, tree: &Tree) -> CommitId {
    let ctx = Ctx::default();
    let txn = repo.begin(&ctx).unwrap();
    let (mut root, source) = (MutableTree::new(), File::open(&tree.path).unwrap());
    let (mut modifier, options) = (Modifier::default(), DirOptions::default());
    add_dir(&txn, &mut root, source.into(), &mut modifier, &options, &ctx).unwrap();
    let root = root.write(&txn).unwrap();
    let id = write_commit(&txn, root, &CommitOptions::default()).unwrap();
    txn.commit(&ctx).unwrap();
    id
}

fn hashing(c: &mut Criterion) {
    let data = vec![0x5a; 16 << 20];
    let mut group = c.benchmark_group("hashing");
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function("sha256", |b| b.iter(|| Checksum::of(&data)));
    let header = FileHeader::regular(0, 0, 0o644, Xattrs::EMPTY);
    group.bench_function("content object id", |b| b.iter(|| header.id_with(&data)));
    group.finish();
}

fn objects(c: &mut Criterion) {
    let (ctx, header) = (Ctx::default(), FileHeader::regular(0, 0, 0o644, Xattrs::EMPTY));
    let mut group = c.benchmark_group("write 500 objects of 4 KiB");
    group.throughput(Throughput::Elements(500));
    for mode in [RepoMode::Bare, RepoMode::BareUser, RepoMode::Archive] {
        let write = |(dir, repo): (TempDir, Repo)| {
            let txn = repo.begin(&ctx).unwrap();
            for n in 0..500u32 {
                let content = n.to_le_bytes().repeat(1024);
                txn.write_file(&header, content.len() as u64, &mut &content[..]).unwrap();
            }
            txn.commit(&ctx).unwrap();
            dir
        };
        group.bench_function(mode.as_str(), |b| {
            b.iter_batched(|| new_repo(mode), write, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// A group of slow benches.
fn slow_group<'c>(c: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    group
}

fn trees(c: &mut Criterion) {
    let (ctx, tree) = (Ctx::default(), Tree::new());
    let mut group = slow_group(c, "tree");
    group.throughput(Throughput::Bytes(tree.bytes));
    for mode in [RepoMode::Bare, RepoMode::BareUser, RepoMode::Archive] {
        let run = |(dir, repo): (TempDir, Repo)| (commit(&repo, &tree), dir);
        group.bench_function(format!("commit to {mode}"), |b| {
            b.iter_batched(|| new_repo(mode), run, BatchSize::PerIteration);
        });
    }
    let (_dir, repo) = new_repo(RepoMode::Bare);
    let id = commit(&repo, &tree);
    group.bench_function("commit unchanged", |b| b.iter(|| commit(&repo, &tree)));

    group.throughput(Throughput::Elements(tree.files));
    let options = CheckoutOptions { linking: Linking::Require, ..CheckoutOptions::default() };
    let root = load_commit(&repo, &id).unwrap().root;
    group.bench_function("hardlink checkout", |b| {
        let run = |dir: TempDir| {
            let parent = File::open(dir.path()).unwrap();
            checkout(&repo, root, &parent, Path::new("out"), &options, &ctx).unwrap();
            dir
        };
        b.iter_batched(|| TempDir::new().unwrap(), run, BatchSize::PerIteration);
    });
    group.finish();
}

fn streams(c: &mut Criterion) {
    let (ctx, tree) = (Ctx::default(), Tree::new());
    let (_dir, repo) = new_repo(RepoMode::Bare);
    let id = commit(&repo, &tree);
    let export = |out: &mut dyn Write| {
        export_commit(&repo, &id, out, &ExportOptions::default(), &ctx).unwrap();
    };
    let mut group = slow_group(c, "tar");
    group.throughput(Throughput::Bytes(tree.bytes));
    group.bench_function("export", |b| b.iter(|| export(&mut std::io::sink())));

    let mut stream = tempfile::tempfile().unwrap();
    export(&mut stream);
    let import = |(dir, repo): (TempDir, Repo)| {
        let mut stream = stream.try_clone().unwrap();
        stream.rewind().unwrap();
        let txn = repo.begin(&ctx).unwrap();
        import_commit(&mut stream, &txn, &ImportOptions::default(), &ctx).unwrap();
        txn.commit(&ctx).unwrap();
        dir
    };
    group.bench_function("import", |b| {
        b.iter_batched(|| new_repo(RepoMode::Bare), import, BatchSize::PerIteration);
    });
    group.finish();
}

fn images(c: &mut Criterion) {
    let (ctx, tree) = (Ctx::default(), Tree::new());
    let (_dir, repo) = new_repo(RepoMode::Bare);
    let id = commit(&repo, &tree);
    let layout = |dir: &TempDir, compression: Compression| {
        let open = Dir::open_ambient_dir(dir.path(), ambient_authority()).unwrap();
        let layout = OciLayout::create(open, None).unwrap();
        let options = BuildOptions { compression, ..BuildOptions::default() };
        build(&repo, &id, &layout, &options, &ctx).unwrap();
        layout
    };
    let mut group = slow_group(c, "image");
    group.throughput(Throughput::Bytes(tree.bytes));
    for (name, compression) in [("gzip", Compression::GZIP), ("zstd", Compression::ZSTD)] {
        let run = |dir: TempDir| {
            layout(&dir, compression);
            dir
        };
        group.bench_function(format!("build with {name}"), |b| {
            b.iter_batched(|| TempDir::new().unwrap(), run, BatchSize::PerIteration);
        });
        let dir = TempDir::new().unwrap();
        let source = layout(&dir, compression);
        let run = |(dir, repo): (TempDir, Repo)| {
            let options = PullOptions { vouching: Vouching::Nobody, ..PullOptions::default() };
            pull(&Admitted::unjudged(&source).unwrap(), &repo, &options, &ctx).unwrap();
            dir
        };
        group.bench_function(format!("pull with {name}"), |b| {
            b.iter_batched(|| new_repo(RepoMode::Bare), run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, hashing, objects, trees, streams, images);
criterion_main!(benches);
