//! What is ours alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::{OURS, repository_tree, start};
use crate::oracle::{need, run, script};

/// What is ours alone: usage, version, extensions, manual pages.
#[test]
fn around_the_verbs() {
    let tmp = tempfile::tempdir().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    for (args, message) in [
        (&[][..], "error: No command specified"),
        (&["nothing"], "error: Unknown command 'nothing'"),
        (&["remote"], "error: No \"remote\" subcommand specified"),
        (&["remote", "nothing"], "error: Unknown \"remote\" subcommand 'nothing'"),
        (&["log", "--repo=/nowhere", "x"], "No such file or directory"),
        (&["log", "x"], "error: Command requires a --repo argument"),
    ] {
        let out = start(OURS, tmp.path(), args);
        assert_eq!((out.status.code(), out.stdout.len()), (Some(1), 0), "{args:?}");
        assert!(text(out.stderr).contains(message), "{args:?}");
    }
    for args in
        [&["--help"][..], &["commit", "--help"], &["remote", "--help"], &["-v", "remote", "add", "-h"]]
    {
        let out = start(OURS, tmp.path(), args);
        assert_eq!((out.status.code(), out.stderr.len()), (Some(0), 0), "{args:?}");
        assert_eq!(text(out.stdout).lines().filter(|line| line.starts_with("Usage")).count(), 1, "{args:?}");
    }
    let name = tmp.path().join("ostree");
    symlink(OURS, &name).unwrap();
    let version = start(name.to_str().unwrap(), tmp.path(), &["ls", "--version"]);
    assert!(text(version.stdout).starts_with("libostree:\n Version: '"));

    let extension = tmp.path().join("ostree-hello");
    script("echo \"$@\"", &extension);
    let extended = |program: &str| {
        let mut command = Command::new(program);
        command.args(["-v", "hello", "world"]).env("PATH", tmp.path()).output().unwrap()
    };
    assert_eq!(text(extended(name.to_str().unwrap()).stdout), "-v hello world\n");
    assert_eq!(extended(OURS).status.code(), Some(1));
}

/// The manual pages are well-formed, and tell what is around the program.
#[test]
fn manual_pages() {
    let tmp = tempfile::tempdir().unwrap();
    assert!(start(OURS, tmp.path(), &["man", "pages"]).status.success());
    let pages: Vec<_> =
        fs::read_dir(tmp.path().join("pages")).unwrap().map(|page| page.unwrap().path()).collect();
    assert!(pages.len() > 50);
    if need("mandoc") {
        let out = Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).args(&pages).output().unwrap();
        // A page without a day is the same whenever it is made; a gap too many does no harm.
        let harmless =
            |line: &&str| ["missing date", "skipping paragraph macro"].iter().any(|it| line.contains(it));
        let text = String::from_utf8(out.stdout).unwrap();
        let complaints: Vec<_> = text.lines().filter(|line| !harmless(line)).collect();
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
        let shown = |page: &str| {
            let shown = run("mandoc", &["-T", "utf8", tmp.path().join("pages").join(page).to_str().unwrap()]);
            // Headings are overstruck.
            String::from_utf8(shown).unwrap().chars().fold(String::new(), |mut plain, c| {
                match c {
                    '\u{8}' => drop(plain.pop()),
                    c => plain.push(c),
                }
                plain
            })
        };
        let parts = ["NAME", "SYNOPSIS", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES"];
        for page in ["ostree-rs.1", "ostree-rs-commit.1", "ostree-rs-container-pull.1"] {
            let shown = shown(page);
            let missing = parts.iter().filter(|part| !shown.lines().any(|line| line == **part));
            assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&str>::new(), "{page}: {shown}");
            // The usage is the one line that --help tells.
            let verb = page.trim_end_matches(".1").split_once("rs-").map_or("", |(_, verb)| verb);
            let mut args: Vec<_> = verb.split('-').filter(|word| !word.is_empty()).collect();
            args.push("--help");
            let help = String::from_utf8(start(OURS, tmp.path(), &args).stdout).unwrap();
            let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap();
            let synopsis = shown.lines().skip_while(|line| *line != "SYNOPSIS").nth(1).unwrap();
            assert_eq!(synopsis.trim(), usage, "{page}");
        }
        assert!(shown("ostree-rs-commit.1").contains("SOURCE_DATE_EPOCH"));
        assert!(shown("ostree-rs-container-pull.1").contains("REGISTRY_AUTH_FILE"));
    }
}

/// Programs read JSON, and may stop reading.
#[test]
fn output_for_programs() {
    let tmp = repository_tree();
    let json = |args: &[&str]| {
        let out = start(OURS, tmp.path(), args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(out.stderr.is_empty(), "{args:?}");
        let lines = String::from_utf8(out.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    start(OURS, tmp.path(), &["--repo=repo", "init", "--mode=bare-user-only"]);
    let commit = json(&["--repo=repo", "commit", "-b", "main", "-s", "Äh", "--tree=dir=tree", "--json"]);
    let id = commit[0]["commit"].clone();
    assert_eq!(commit[0]["content_written"], 4);
    let refs = json(&["--repo=repo", "refs", "--json"]);
    assert_eq!(refs[0], serde_json::json!([{"ref": "main", "commit": id}]));
    assert_eq!(json(&["--repo=repo", "show", "--json", "main"])[0]["subject"], "Äh");
    assert_eq!(json(&["--repo=repo", "log", "--json", "main"])[0]["commit"], id);
    let list = json(&["--repo=repo", "ls", "-R", "--json", "main"]);
    let link = list.iter().find(|line| line["path"] == "/usr/link").unwrap();
    assert_eq!((&link["type"], &link["target"]), (&"symlink".into(), &"bin/tool".into()));
    json(&["--repo=repo", "commit", "-b", "main", "--owner-uid=0", "--tree=dir=tree/usr", "--json"]);
    assert_eq!(json(&["--repo=repo", "diff", "--json", "main"])[0]["removed"], serde_json::json!(["/usr"]));
    assert_eq!(json(&["--repo=repo", "diff", "--stats", "--json", "main"])[0]["stats"]["from_objects"], 11);
    assert_eq!(json(&["--repo=repo", "fsck", "--json"])[0]["commits"], 2);
    let pruned = json(&["--repo=repo", "prune", "--refs-only", "--depth=0", "--no-prune", "--json"]);
    assert_eq!(pruned[0]["deleted"], false);
    let built = json(&["--repo=repo", "container", "build", "--ref=main", "--oci-dir=o", "--json"]);
    assert_eq!(built[0]["layers"], serde_json::json!({"total": 1, "reused": 0, "written": 1}));
    let pulled = json(&["--repo=repo", "container", "pull", "ostree-unverified-image:oci:o", "--json"]);
    for key in ["commit", "manifest_digest"] {
        assert_eq!(pulled[0][key], built[0][key]);
    }

    for args in ["--repo=repo ls -R main $(yes / | head -n 2000)", "--help", "commit --help"] {
        // A pipe that nobody reads any more, from the first byte on.
        let shell = format!("(sleep 0.2; {OURS} {args}; echo $? >code) | true; cat code");
        let out = Command::new("bash").args(["-c", &shell]).current_dir(tmp.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stderr), "", "{args}");
        assert_eq!(String::from_utf8_lossy(&out.stdout), "0\n", "{args}");
    }
}

/// Ctrl-C and SIGTERM end the work cleanly: exit code 130 or 143, no ref, nothing to fix.
#[test]
fn interrupted() {
    let tmp = tempfile::tempdir().unwrap();
    start(OURS, tmp.path(), &["--repo=repo", "init", "--mode=archive"]);
    fs::create_dir(tmp.path().join("tree")).unwrap();
    let file = fs::File::create(tmp.path().join("tree/large")).unwrap();
    file.set_len(8 << 30).unwrap();
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let mut command = Command::new(OURS);
        command.args(["--repo=repo", "commit", "-b", "main", "--tree=dir=tree"]).current_dir(tmp.path());
        let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(700));
        run("kill", &[signal, &child.id().to_string()]);
        let out = child.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(code), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(start(OURS, tmp.path(), &["--repo=repo", "refs"]).stdout, b"");
        assert!(start(OURS, tmp.path(), &["--repo=repo", "fsck"]).status.success());
    }
}

/// Who stands in a repository means that one; damage is told in JSON, too; nobody has to read errors.
#[test]
fn a_repository_and_its_errors() {
    let tmp = repository_tree();
    let ours = |args: &[&str]| start(OURS, tmp.path(), args);
    for repo in ["here", "there"] {
        assert!(ours(&[&format!("--repo={repo}"), "init", "--mode=archive"]).status.success());
    }
    let mut command = Command::new(OURS);
    command.args(["commit", "-b", "x", "--tree=dir=../tree"]).current_dir(tmp.path().join("here"));
    assert!(command.env("OSTREE_REPO", "../there").output().unwrap().status.success());
    assert!(ours(&["--repo=here", "rev-parse", "x"]).status.success());
    assert!(ours(&["help"]).status.success() && ours(&["help", "commit"]).status.success());

    let dirs = fs::read_dir(tmp.path().join("here/objects")).unwrap().map(|dir| dir.unwrap().path());
    let mut files = dirs.flat_map(|dir| fs::read_dir(dir).unwrap()).map(|file| file.unwrap().path());
    let tree = files.find(|file| file.extension().is_some_and(|ext| ext == "dirtree")).unwrap();
    fs::write(&tree, "damaged").unwrap();
    let out = ours(&["--repo=here", "fsck", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), json["findings"].as_array().unwrap().len()), (Some(1), 1), "{json}");
    assert!(json["findings"][0]["object"].as_str().unwrap().ends_with(".dirtree"));

    for args in [&["--repo=here", "fsck"][..], &["--repo=none", "refs"], &[], &["commit", "--nonsense"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let status = Command::new(OURS).args(args).current_dir(tmp.path()).stderr(full).status().unwrap();
        assert_eq!(status.code(), Some(1), "{args:?}");
    }
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let out = Command::new(OURS).args(["--repo=here", "refs"]).current_dir(tmp.path()).stdout(full).output();
    let out = out.unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.code() == Some(1), "{said}");
    assert!(said.starts_with("error: write standard output: No space left on device"), "{said}");
}
