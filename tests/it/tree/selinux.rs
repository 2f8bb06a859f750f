//! SELinux labels: the same commits as C ostree's for the same policy.

use std::fs;
use std::path::Path;
use std::process::Command;

use ostree_rs::base::read_xattrs_at;

use super::fixture;
use crate::oracle::run;

const CONTEXTS: &str = "\
/.*\tsystem_u:object_r:default_t:s0
/mnt(/[^/]*)?\t-d\tsystem_u:object_r:mnt_t:s0
/proc\t-d\t<<none>>
/run/.*\t<<none>>
/usr(/.*)?\tsystem_u:object_r:usr_t:s0
/usr/bin/.*\t--\tsystem_u:object_r:bin_t:s0
/usr/bin/su\t--\tsystem_u:object_r:su_exec_t:s0
/usr/bin/s.*\tsystem_u:object_r:late_t:s0
/usr/lib(64)?/[^/]*\\.so(\\.[^/]*)*\t--\tsystem_u:object_r:lib_t:s0
/etc(/.*)?\tsystem_u:object_r:etc_t:s0
/etc/ssh/.*\t-l\tsystem_u:object_r:ssh_t:s0
/var/l(og|ib)/x\\+y\tsystem_u:object_r:var_t:s0
";

fn policy(top: &Path) {
    let dir = top.join("etc/selinux/default/contexts/files");
    fs::create_dir_all(&dir).unwrap();
    // C ostree wants some file there, and does not look into it.
    fs::create_dir_all(top.join("etc/selinux/default/policy")).unwrap();
    fs::write(top.join("etc/selinux/default/policy/policy.33"), "none").unwrap();
    fs::write(top.join("etc/selinux/config"), "SELINUX=permissive\nSELINUXTYPE=default\n").unwrap();
    fs::write(dir.join("file_contexts"), CONTEXTS).unwrap();
    let local = "/usr/local/.*\tsystem_u:object_r:local_t:s0\n";
    fs::write(dir.join("file_contexts.local"), local).unwrap();
    fs::write(dir.join("file_contexts.subs_dist"), "/usr/etc /etc\n/opt/app /usr/lib\n").unwrap();
}

fn tree(top: &Path) {
    policy(top);
    for path in [
        "usr/bin/su",
        "usr/bin/sh",
        "usr/bin/ls",
        "usr/lib/libx.so.1",
        "usr/lib64/liby.so",
        "usr/lib/noso",
        "usr/etc/passwd",
        "usr/local/x",
        "opt/app/libz.so",
        "opt/application",
        "run/x",
        "var/log/x+y",
        "var/log/xy",
        "mnt/disk/file",
        "etc/ssh/file",
    ] {
        fs::create_dir_all(top.join(path).parent().unwrap()).unwrap();
        fs::write(top.join(path), path).unwrap();
    }
    fs::create_dir(top.join("proc")).unwrap();
    std::os::unix::fs::symlink("file", top.join("etc/ssh/link")).unwrap();
    // What the policy says nothing about keeps its label, everything else loses it.
    for name in ["run/x", "usr/bin/ls"] {
        let path = top.join(name);
        let label = b"system_u:object_r:old_t:s0\0";
        fixture::set_xattr(
            path.parent().unwrap(),
            path.file_name().unwrap().to_str().unwrap(),
            "security.selinux",
            label,
        );
    }
}

/// The label of everything below `top`, without a NUL at its end.
fn labels_of(top: &Path, path: &Path, is_file_only: bool, found: &mut Vec<String>) {
    for entry in fs::read_dir(top.join(path)).unwrap() {
        let entry = entry.unwrap();
        let (name, kind) = (entry.file_name().into_string().unwrap(), entry.file_type().unwrap());
        let xattrs = read_xattrs_at(fs::File::open(top.join(path)).unwrap(), &name).unwrap();
        let label = xattrs.get(b"security.selinux").unwrap_or_default();
        let label = String::from_utf8_lossy(label).trim_end_matches('\0').to_owned();
        if kind.is_file() || !is_file_only {
            found.push(format!("{} {label}", path.join(&name).display()));
        }
        if kind.is_dir() {
            labels_of(top, &path.join(name), is_file_only, found);
        }
    }
    found.sort();
}

/// A checkout with a policy has the labels that C ostree's commit with that policy has. Its own checkout labels
/// symbolic links and directories only where the running kernel has SELinux; files it labels anywhere.
#[test]
fn checkouts_are_labeled() {
    if !fixture::ready() {
        return;
    }
    const OURS: &str = env!("CARGO_BIN_EXE_ostree-rs");
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name).display().to_string();
    let labels = |name: &str, is_file_only| {
        let mut found = Vec::new();
        labels_of(&work.path().join(name), Path::new(""), is_file_only, &mut found);
        found
    };
    tree(&work.path().join("tree"));
    let (repo, tree) = (format!("--repo={}", path("repo")), format!("--tree=dir={}", path("tree")));
    let policy = format!("--selinux-policy={}", path("tree"));
    run("ostree", &[&repo, "init", "--mode=bare-user"]);
    run("ostree", &[&repo, "commit", "-b", "labeled", &policy, &tree]);
    // Where the policy has no label, C ostree's checkout ends by SIGSEGV.
    fs::write(work.path().join("skip"), "/run/x\n").unwrap();
    let skip = format!("--skip-list={}", path("skip"));
    run("ostree", &[&repo, "commit", "-b", "plain", "--no-xattrs", &skip, &tree]);
    run("ostree", &[&repo, "checkout", "labeled", &path("expected")]);
    run(OURS, &[&repo, "checkout", &policy, "labeled", &path("again")]);
    assert_eq!(labels("again", false), labels("expected", false));
    assert!(labels("again", false).iter().any(|line| line == "etc/ssh/link system_u:object_r:ssh_t:s0"));
    for (n, options) in [
        &[][..],
        &["--subpath=/usr"],
        &["--subpath=/usr", "--selinux-prefix=/"],
        &["--selinux-prefix=/usr/local/", "--union"],
        &["--subpath=/usr/etc", "--selinux-prefix=/usr/bin"],
    ]
    .iter()
    .enumerate()
    {
        for (program, name) in [("ostree", "theirs"), (OURS, "ours")] {
            let fixed = [&*repo, "checkout", &policy, "plain", &path(&format!("{name}{n}"))];
            run(program, &[&fixed[..], options].concat());
        }
        let (ours, theirs) = (labels(&format!("ours{n}"), true), labels(&format!("theirs{n}"), true));
        assert_eq!(ours, theirs, "{options:?}");
        assert!(!ours.is_empty());
    }
    let out = Command::new(OURS).args([&*repo, "checkout", "--selinux-prefix=/x", "plain", "no"]).output();
    assert!(String::from_utf8_lossy(&out.unwrap().stderr).contains("without --selinux-policy"));
}

/// With `-P` the policy is that of the base, which may be a commit, or else that of the first tree.
#[test]
fn labels_come_from_the_base() {
    if !fixture::ready() {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name).display().to_string();
    tree(&work.path().join("base"));
    // C ostree looks for the policy of a commit here alone.
    fs::remove_dir_all(work.path().join("base/usr/etc")).unwrap();
    fs::rename(work.path().join("base/etc"), work.path().join("base/usr/etc")).unwrap();
    fs::create_dir_all(work.path().join("more/usr/bin")).unwrap();
    fs::write(work.path().join("more/usr/bin/su"), "other").unwrap();
    let (base, more) = (format!("--tree=dir={}", path("base")), format!("--tree=dir={}", path("more")));
    let commits = |program: &str, repo: &str| {
        let repo = format!("--repo={}", path(repo));
        run(program, &[&repo, "init", "--mode=bare-user"]);
        let commit = |args: &[&str]| {
            let fixed = [&*repo, "commit", "--timestamp=@1", "--orphan"];
            String::from_utf8(run(program, &[&fixed[..], args].concat())).unwrap().trim().to_owned()
        };
        let first = commit(&[&base]);
        let (on, of) = (format!("--base={first}"), format!("--tree=ref={first}"));
        [vec![&*on, &more], vec![&*of, &more], vec![&*of], vec![&*base, &more], vec![&*more, &base]]
            .map(|args| commit(&[&args[..], &["-P"]].concat()))
    };
    assert_eq!(commits(env!("CARGO_BIN_EXE_ostree-rs"), "ours"), commits("ostree", "theirs"));
}

#[test]
fn labels_are_those_of_libselinux() {
    if !fixture::ready() {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name).display().to_string();
    tree(&work.path().join("tree"));
    let options =
        [vec![format!("--selinux-policy={}", path("tree"))], vec!["--selinux-policy-from-base".to_owned()]];
    for (program, repo) in [("ostree", "theirs"), (env!("CARGO_BIN_EXE_ostree-rs"), "ours")] {
        run(program, &["init", "--repo", &path(repo), "--mode=bare-user"]);
    }
    for (n, options) in options.iter().enumerate() {
        let commit = |program: &str, repo: &str| {
            let (tree, name) = (format!("--tree=dir={}", path("tree")), format!("b{n}"));
            let fixed = ["commit", "--repo", &path(repo), "-b", &name, "--timestamp=@1", &tree];
            let args = [&fixed[..], &options.iter().map(String::as_str).collect::<Vec<_>>()].concat();
            String::from_utf8(run(program, &args)).unwrap()
        };
        let (ours, theirs) = (commit(env!("CARGO_BIN_EXE_ostree-rs"), "ours"), commit("ostree", "theirs"));
        let list = |repo: &str| {
            let listed = run("ostree", &["ls", "--repo", &path(repo), "-R", "-X", &format!("b{n}")]);
            String::from_utf8(listed).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(list("ours"), list("theirs"));
        assert_eq!(ours, theirs);
        // Otherwise nothing was labeled at all.
        assert!(list("ours").iter().any(|line| line.contains("su_exec_t")));
    }
    let from_ref = Command::new(env!("CARGO_BIN_EXE_ostree-rs"))
        .args(["commit", "--repo", &path("ours"), "-b", "c", "--timestamp=@1", "--tree=ref=b0", "-P"])
        .output()
        .unwrap();
    assert!(from_ref.status.success(), "{}", String::from_utf8_lossy(&from_ref.stderr));
    let dir_of = |name: &str| run("ostree", &["ls", "--repo", &path("ours"), "-d", "-C", name]);
    assert_eq!(dir_of("c"), dir_of("b0"));
}
