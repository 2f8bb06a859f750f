//! libostree's own tests, with this program in place of `ostree`: Debian's package `ostree-tests` has those of 2022.7.
//!
//! Each test counts its `ok` lines; [`POINTS`] is what has to be reached. Where a test stops before its end, the table says
//! why: something is missing here, or 2026.4, which is followed, behaves otherwise than 2022.7.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use tempfile::TempDir;

use crate::cli::OURS;
use crate::oracle::{need, need_root, run, script};

const SUITE: &str = "/usr/libexec/installed-tests/libostree";
const HTTPD: &str = "/usr/libexec/libostree/ostree-trivial-httpd";
/// Longer than the longest test takes on a busy machine, in seconds.
const LIMIT_SECS: &str = "300";

/// The tests, and how many `ok` each has to say at least. test-admin-deploy-bootid-gc is not among them: it wants `admin
/// deploy` to fail by an error that is made for it alone.
const POINTS: &[(&str, usize)] = &[
    ("test-admin-deploy-2", 8),
    ("test-admin-deploy-clean", 1),
    ("test-admin-deploy-etcmerge-cornercases", 2),
    // Those of 27 points stop at a watchdog for frozen file systems: nothing is frozen here.
    ("test-admin-deploy-grub2", 27),
    ("test-admin-deploy-karg", 4),
    ("test-admin-deploy-nomerge", 1),
    ("test-admin-deploy-none", 27),
    ("test-admin-deploy-switch", 4),
    ("test-admin-deploy-syslinux", 27),
    ("test-admin-deploy-uboot", 27),
    ("test-admin-deploy-whiteouts", 3),
    ("test-admin-gpg", 2),
    ("test-admin-instutil-set-kargs", 5),
    ("test-admin-kargs", 2),
    ("test-admin-pull-deploy-commit", 1),
    ("test-admin-pull-deploy-split", 1),
    ("test-admin-upgrade-endoflife", 3),
    ("test-admin-upgrade-not-backwards", 2),
    ("test-admin-upgrade-systemd-update", 2),
    ("test-admin-upgrade-unconfigured", 2),
    ("test-archivez", 13),
    ("test-auto-summary", 4),
    ("test-basic-bare-split-xattrs", 3),
    ("test-basic-root", 1),
    ("test-basic-user-only", 91),
    ("test-basic-user", 91),
    ("test-basic", 85),
    ("test-cli-extensions", 2),
    ("test-commit-sign", 6),
    ("test-commit-timestamp", 2),
    ("test-config", 3),
    ("test-corruption", 9),
    ("test-create-usb", 5),
    ("test-delta-ed25519", 12),
    ("test-delta-sign", 7),
    ("test-delta", 13),
    ("test-demo-buildsystem", 1),
    ("test-export", 5),
    ("test-find-remotes", 1),
    ("test-fsck-collections", 11),
    ("test-fsck-delete", 6),
    ("test-gpg-signed-commit", 9),
    ("test-help", 1),
    ("test-init-collections", 1),
    ("test-libarchive", 18),
    ("test-local-pull-depth", 3),
    ("test-local-pull", 8),
    ("test-no-initramfs", 10),
    ("test-oldstyle-partial", 1),
    ("test-parent", 2),
    ("test-pre-signed-pull", 1),
    ("test-prune-collections", 2),
    ("test-prune", 17),
    ("test-pull-bare", 38),
    ("test-pull-bareuser", 38),
    ("test-pull-bareuseronly", 38),
    ("test-pull-basicauth", 3),
    ("test-pull-collections", 7),
    ("test-pull-commit-only", 1),
    ("test-pull-contenturl", 2),
    ("test-pull-corruption", 3),
    ("test-pull-depth", 3),
    ("test-pull-metalink", 9),
    ("test-pull-mirror-summary", 5),
    ("test-pull-mirrorlist", 3),
    ("test-pull-override-url", 1),
    ("test-pull-resume", 1),
    ("test-pull-sizes", 3),
    ("test-pull-subpath", 4),
    ("test-pull-summary-caching", 1),
    ("test-pull-summary-sigs", 9),
    ("test-pull-untrusted", 1),
    ("test-refs-collections", 2),
    ("test-refs", 7),
    ("test-remote-add-collections", 1),
    ("test-remote-add", 16),
    ("test-remote-cookies", 4),
    ("test-remote-gpg-import", 4),
    ("test-remote-gpg-list-keys", 7),
    ("test-remote-headers", 2),
    ("test-reset-nonlinear", 1),
    ("test-rofiles-fuse", 12),
    ("test-signed-commit", 11),
    ("test-signed-pull-summary", 13),
    ("test-signed-pull", 20),
    ("test-summary-collections", 1),
    ("test-summary-update", 2),
    ("test-summary-view", 2),
];

/// A directory in which tests find this program as `ostree`, and the suite beside the web server that it starts.
fn place() -> TempDir {
    let top = tempfile::tempdir().unwrap();
    let at = |path: &str| top.path().join(path);
    for dir in ["bin", "program", "lib/installed-tests", "lib/libostree"] {
        fs::create_dir_all(at(dir)).unwrap();
    }
    // The tests of deltas take the program as a file that changes. This one is large while it is not optimized.
    symlink(OURS, at("program/ostree")).unwrap();
    script(&format!("exec {} \"$@\"", at("program/ostree").display()), &at("bin/ostree"));
    run("cp", &["-a", SUITE, at("lib/installed-tests/").to_str().unwrap()]);
    symlink(HTTPD, at("lib/libostree/ostree-trivial-httpd")).unwrap();
    // The suite looks at a file for a label of SELinux, and leaves xattrs out where there is none.
    script(
        "case \"$*\" in *\"security.selinux testlabel.txt\"*)\n\
         setfattr -n security.selinux -v system_u:object_r:tmp_t:s0 testlabel.txt;; esac\n\
         exec /usr/bin/getfattr \"$@\"",
        &at("bin/getfattr"),
    );
    top
}

/// Runs a test; gives the number of its `ok`, and its last words.
fn score(top: &Path, name: &str) -> (usize, String) {
    let suite = top.join("lib/installed-tests/libostree");
    let home = tempfile::Builder::new().prefix("t").tempdir_in(top).unwrap();
    let work = home.path().join("w");
    fs::create_dir(&work).unwrap();
    let path = format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", top.display());
    // What a test leaves running dies with its namespaces.
    let out = Command::new("timeout")
        .args(["-k", "5", LIMIT_SECS, "unshare", "-mpn", "--fork", "--kill-child", "--mount-proc"])
        .args(["sh", "-c", "ip link set lo up 2>/dev/null; exec bash \"$0\""])
        .arg(suite.join(format!("{name}.sh")))
        .current_dir(&work)
        .env_clear()
        .env("PATH", path)
        .envs([("LANG", "C.UTF-8"), ("TZ", "UTC"), ("USER", "root")])
        .envs([("G_TEST_SRCDIR", &suite), ("G_TEST_BUILDDIR", &suite)])
        .envs([("OSTREE_TEST_SUDO", "1")])
        // Since 2024.5 boot entries are called otherwise than these tests expect.
        .envs([("OSTREE_SYSROOT_OPTS", "bootloader-naming-1")])
        .env("HOME", home.path())
        .env("TMPDIR", top)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let is_point = |line: &&str| {
        let rest = line.strip_prefix("ok");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ','])) && !line.contains("# SKIP")
    };
    let points = text.lines().filter(is_point).count();
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    let words: Vec<&str> = error.lines().filter(|line| !line.contains("gpg-connect-agent")).collect();
    let last = words[words.len().saturating_sub(6)..].join("\n    ");
    let _ = Command::new("chattr").args(["-R", "-i"]).arg(home.path()).stderr(Stdio::null()).status();
    (points, format!("{}: {last}", out.status))
}

/// Every test of the table reaches what it says.
#[test]
fn the_suite_reaches_its_points() {
    if !need("ostree") || !need_root() {
        return;
    }
    assert!(Path::new(SUITE).exists() || std::env::var_os("CI").is_none(), "no ostree-tests");
    let (top, missed) = (place(), Mutex::new(Vec::new()));
    let next = Mutex::new(POINTS.iter());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((name, points)) = { next.lock().unwrap().next() } {
                    let (reached, last) = score(top.path(), name);
                    eprintln!("{name} {reached}");
                    if reached < *points {
                        missed.lock().unwrap().push(format!("{name}: {reached}, not {points}\n    {last}"));
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
