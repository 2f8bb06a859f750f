//! Completion as people meet it: something is typed in a real shell, and the key pressed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{OURS, start};
use crate::oracle::need;

const PROGRAMS: [&str; 3] = ["ostree-rs", "ostree", "ostree-container"];

/// What is typed, and what becomes of it: in every shell.
const LINES: &[(&str, &str)] = &[
    // Verbs, and verbs below them.
    ("ostree-rs chec", "ostree-rs check"),
    ("ostree-rs comm", "ostree-rs commit "),
    ("ostree-rs container bu", "ostree-rs container build "),
    ("ostree-rs container image his", "ostree-rs container image history "),
    ("ostree comm", "ostree commit "),
    ("ostree remote gpg-i", "ostree remote gpg-import "),
    ("ostree container image his", "ostree container image history "),
    ("ostree-container enc", "ostree-container encapsulate "),
    ("ostree-container image his", "ostree-container image history "),
    ("./ostree-container image his", "./ostree-container image history "),
    ("ostree-rs help comm", "ostree-rs help commit "),
    // Options, those of the verb among them that stand before it.
    ("ostree-rs commit --table", "ostree-rs commit --table-output "),
    ("ostree --repo=repo commit --table", "ostree --repo=repo commit --table-output "),
    ("ostree-container build --repo repo --max", "ostree-container build --repo repo --max-layers "),
    // Values that are a few words.
    ("ostree-rs init --mode=bare-user-", "ostree-rs init --mode=bare-user-only "),
    ("ostree init --mode arch", "ostree init --mode archive "),
    ("ostree-container build --compression=no", "ostree-container build --compression=none "),
    (
        "ostree-rs container build --compression zstd:",
        "ostree-rs container build --compression zstd:chunked ",
    ),
    ("ostree-rs container pull --progress js", "ostree-rs container pull --progress json "),
    ("ostree-rs commit --fsync=fa", "ostree-rs commit --fsync=false "),
    // Refs and remotes of the repository that was named, of the one in the environment, of another.
    ("ostree-rs --repo=repo checkout os/st", "ostree-rs --repo=repo checkout os/stable "),
    ("ostree --repo repo log os/t", "ostree --repo repo log os/testing "),
    ("ostree log inh", "ostree log inherited "),
    ("ostree-rs commit --repo=repo -b os/st", "ostree-rs commit --repo=repo -b os/stable "),
    ("ostree-rs commit --repo=repo --tree=ref=os/st", "ostree-rs commit --repo=repo --tree=ref=os/stable "),
    ("ostree-container build --repo=repo --ref=os/st", "ostree-container build --repo=repo --ref=os/stable "),
    ("ostree pull-local repo os/st", "ostree pull-local repo os/stable "),
    ("ostree remote show-url --repo=repo ori", "ostree remote show-url --repo=repo origin "),
    ("ostree ls --repo=repo os/stable /us", "ostree ls --repo=repo os/stable /usr/"),
    ("ostree ls --repo=repo os/stable /usr/t", "ostree ls --repo=repo os/stable /usr/tool "),
    (
        "ostree-container image history --repo=repo oci:kept",
        "ostree-container image history --repo=repo oci:kept ",
    ),
    // Files and directories; where a directory belongs no file is offered.
    ("ostree-rs checksum notes.t", "ostree-rs checksum notes.txt "),
    ("ostree --repo=re", "ostree --repo=repo/"),
    ("ostree --repo re", "ostree --repo repo/"),
    ("ostree commit --tree=dir=tr", "ostree commit --tree=dir=tree/"),
    ("ostree-rs pull oci:la", "ostree-rs pull oci:layout/"),
    (
        "ostree-container unencapsulate ostree-unverified-image:oci:la",
        "ostree-container unencapsulate ostree-unverified-image:oci:layout/",
    ),
    // What only the user knows.
    ("ostree-rs commit -s not", "ostree-rs commit -s not"),
];

/// Types each line into a shell that is started by the arguments; prints what became of it.
const TYPIST: &str = r#"
zmodload zsh/zpty
zpty shell "$1"
while IFS= read -r typed; do
    rm -f line
    zpty -w -n shell "$typed"$'\t\x14'
    for (( i = 0; i < 6000; i++ )); do
        while zpty -r -t shell seen; do :; done
        [[ -e line ]] && break
        sleep 0.01
    done
    cat line || exit 1
    echo
    zpty -w -n shell $'\x15'
done
"#;

fn fixture() -> TempDir {
    let tmp = tempfile::tempdir().unwrap();
    let at = |path: &str| tmp.path().join(path);
    PROGRAMS.iter().for_each(|name| symlink(OURS, at(name)).unwrap());
    fs::create_dir_all(at("tree/usr")).unwrap();
    fs::create_dir_all(at("layout")).unwrap();
    for file in ["tree/usr/tool", "notes.txt", "trees", "report", "layout.txt"] {
        fs::write(at(file), "text").unwrap();
    }
    let ours = |args: &[&str]| {
        let out = start(OURS, tmp.path(), args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    for (repo, refs) in [("repo", &["os/stable", "os/testing"][..]), ("other", &["inherited"])] {
        ours(&["--repo", repo, "init", "--mode=bare-user-only"]);
        for name in refs {
            ours(&["--repo", repo, "commit", "-b", name, "--tree=dir=tree"]);
        }
    }
    ours(&["--repo=repo", "remote", "add", "origin", "http://example.org", "--no-gpg-verify"]);
    ours(&["container", "build", "--repo=repo", "--ref=os/stable", "--oci-dir=kept"]);
    ours(&["container", "image", "pull", "repo", "ostree-unverified-image:oci:kept"]);
    fs::rename(at("kept"), at("moved")).unwrap();
    tmp
}

/// A program in a directory of the fixture, with what the shells need of an environment.
fn command(program: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    command.current_dir(dir).env("PATH", path).env("HOME", dir).env("ZDOTDIR", dir).env("TERM", "dumb");
    command.env("OSTREE_REPO", dir.join("other")).env("LC_ALL", "C.UTF-8");
    command
}

/// What becomes of every line in the shell that `start` starts.
fn typed(dir: &Path, start: &str) -> Vec<String> {
    fs::write(dir.join("typist"), TYPIST).unwrap();
    let lines: Vec<&str> = LINES.iter().map(|(typed, _)| *typed).collect();
    fs::write(dir.join("lines"), lines.join("\n") + "\n").unwrap();
    let mut typist = command("zsh", dir);
    let out = typist.args(["-f", "typist", start]).stdin(fs::File::open(dir.join("lines")).unwrap()).output();
    let out = out.unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn compare(found: &[String]) {
    assert_eq!(found.len(), LINES.len());
    let wrong = LINES.iter().zip(found).filter(|((_, expected), found)| expected != found);
    let wrong: Vec<_> =
        wrong.map(|((typed, expected), found)| format!("{typed:?}: {found:?}, not {expected:?}")).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bash() {
    if !need("zsh") {
        return;
    }
    let tmp = fixture();
    let rc = r#"
        source <(ostree-rs completions bash)
        bind 'set bell-style none'
        bind -x '"\C-t": printf %s "$READLINE_LINE" >line.new; mv line.new line'
    "#;
    fs::write(tmp.path().join("rc"), rc).unwrap();
    compare(&typed(tmp.path(), "bash --rcfile rc -i"));
}

#[test]
fn zsh() {
    if !need("zsh") {
        return;
    }
    let tmp = fixture();
    let rc = r#"
        autoload -U compinit; compinit -u -D
        source <(ostree-rs completions zsh)
        show() { print -rn -- "$BUFFER" >line.new; mv line.new line }
        zle -N show; bindkey -e; bindkey '^t' show
        unsetopt beep
    "#;
    fs::write(tmp.path().join(".zshrc"), rc).unwrap();
    compare(&typed(tmp.path(), "zsh -d -i"));
}

/// fish is asked what it would offer: words in place of the last one. It adds what all of these begin with.
#[test]
fn fish() {
    if !need("fish") {
        return;
    }
    let tmp = fixture();
    let lines = tmp.path().join("lines");
    fs::write(&lines, LINES.iter().map(|(typed, _)| format!("{typed}\n")).collect::<String>()).unwrap();
    let script = "ostree-rs completions fish | source; while read -l line; complete -C $line; echo end; end";
    let out = command("fish", tmp.path())
        .args(["-N", "-c", script])
        .stdin(fs::File::open(lines).unwrap())
        .output()
        .unwrap();
    let out = String::from_utf8(out.stdout).unwrap();
    let mut answers = out.split("end\n");
    let found = LINES.iter().map(|(typed, _)| {
        let offered = answers.next().unwrap_or_default().lines().map(|line| line.split('\t').next().unwrap());
        let offered: Vec<&str> = offered.collect();
        let (before, last) = typed.rsplit_once(' ').unwrap();
        let word = match &offered[..] {
            [] => last.to_owned(),
            [one] if one.ends_with('/') => (*one).to_owned(),
            [one] => format!("{one} "),
            [first, rest @ ..] => {
                let is_common = |end: &usize| rest.iter().all(|word| word.starts_with(&first[..*end]));
                first[..(0..=first.len()).rev().find(is_common).unwrap()].to_owned()
            }
        };
        format!("{before} {word}")
    });
    compare(&found.collect::<Vec<_>>());
}

/// Under the name of `ostree` there may be C ostree: what completes that goes on to do it.
#[test]
fn bash_leaves_another_program_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let script = "source <($0 completions bash); COMP_WORDS=(/bin/false com); COMP_CWORD=1; \
                  _ostree_rs /bin/false com ''; echo $?; complete -F _ostree_rs false; _ostree_rs false com ''; \
                  complete -p false; complete -p ostree";
    let out = Command::new("bash").args(["-c", script, OURS]).current_dir(tmp.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "124\ncomplete -F _ostree_rs ostree\n");
}

/// A program that is not in `PATH` is the one that made the script.
#[test]
fn bash_without_the_program_in_the_path() {
    let script = "source <($0 completions bash ostree-rs); COMP_WORDS=(ostree-rs commit --tab); COMP_CWORD=2; \
                  _ostree_rs ostree-rs --tab commit; echo ${COMPREPLY[@]}; complete -p";
    let out = Command::new("bash").args(["-c", script, OURS]).env("PATH", "/usr/bin:/bin").output().unwrap();
    let expected = "--table-output\ncomplete -F _ostree_rs ostree-rs\n";
    assert_eq!(String::from_utf8_lossy(&out.stdout), expected);
}
