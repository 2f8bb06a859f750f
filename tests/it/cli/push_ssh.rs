//! `push` over ssh: through a stand-in for ssh that runs the command line by a shell of this machine, as the other machine
//! would, and through OpenSSH itself.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::OURS;
use crate::oracle::{self, need, need_root, run};

/// Two machines in one directory: `here`, `there`, and programs between them.
struct Machines(TempDir);

impl Machines {
    /// `here` has three commits on `os`, each with more files than the one before; `there` is an empty archive.
    fn new() -> Self {
        let it = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(it.path("tree/usr/lib")).unwrap();
        fs::create_dir(it.path("bin")).unwrap();
        std::os::unix::fs::symlink(OURS, it.path("bin/ostree-rs")).unwrap();
        it.theirs("here", &["init", "--mode=bare-user"]);
        it.theirs("there", &["init", "--mode=archive"]);
        for n in 0..3 {
            for file in 0..100 {
                it.file(&format!("tree/usr/lib/file{n}-{file}"), n * 1000 + file, 3000);
            }
            it.file(&format!("tree/usr/large{n}"), n, 300_000);
            it.theirs("here", &["commit", "-b", "os", &format!("--tree=dir={}", it.arg("tree"))]);
        }
        it.ssh("ssh", "exec sh -c \"$2\"");
        it
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn arg(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A file that cannot be compressed to much less than half of its size.
    fn file(&self, name: &str, seed: usize, len: usize) {
        let mut state = seed as u64 * 2 + 1;
        let byte = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b'a' + ((state >> 40) % 23) as u8
        };
        fs::write(self.path(name), (0..len).map(byte).collect::<Vec<u8>>()).unwrap();
    }

    /// A program `bin/NAME` that is called as ssh is: with a host and a command line.
    fn ssh(&self, name: &str, script: &str) {
        oracle::script(script, &self.path("bin").join(name));
    }

    fn push(&self, args: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.arg("bin"));
        let mut command = Command::new(OURS);
        command.args(["push", "--repo=here"]).args(args).current_dir(self.0.path()).env_clear();
        command.env("PATH", path).env("HOME", self.0.path()).output().unwrap()
    }

    /// What C ostree says of a repository.
    fn theirs(&self, repo: &str, args: &[&str]) -> String {
        let out = run("ostree", &[&[&*format!("--repo={}", self.arg(repo))], args].concat());
        String::from_utf8(out).unwrap().trim().to_owned()
    }

    fn to(&self, repo: &str) -> String {
        format!("me@machine:{}", self.arg(repo))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The number of content objects that a push says it has pushed.
fn content_objects(out: &Output) -> u64 {
    assert!(out.status.success(), "{out:?}");
    let said = text(&out.stdout);
    let (before, _) = said.split_once(" content objects pushed").unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

fn failure(out: &Output) -> String {
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    text(&out.stderr)
}

#[test]
fn commits_keep_their_ids() {
    if !need("ostree") {
        return;
    }
    let it = Machines::new();
    let (first, now) = (it.theirs("here", &["rev-parse", "os^^"]), it.theirs("here", &["rev-parse", "os"]));
    it.theirs("here", &["refs", "--create=old", &first]);
    let out = it.push(&["--from-ref=old", "--to-ref=os", &it.to("there")]);
    assert_eq!(content_objects(&out), 101);
    // Only what is missing: the files of two more commits.
    let out = it.push(&["--from-ref=os", "--depth=-1", &it.to("there")]);
    assert_eq!(content_objects(&out), 202);
    assert!(text(&out.stdout).ends_with(&format!("\nos: {first} -> {now}\n")), "{out:?}");
    assert_eq!(it.theirs("there", &["rev-parse", "os"]), now);
    assert_eq!(it.theirs("there", &["rev-parse", "os^"]), it.theirs("here", &["rev-parse", "os^"]));
    it.theirs("there", &["fsck"]);
    let again = it.push(&["--from-ref=os", &it.to("there")]);
    assert_eq!(text(&again.stdout), format!("0 metadata, 0 content objects pushed\nos: {now} as before\n"));
    let back = failure(&it.push(&["--from-ref=old", "--to-ref=os", &it.to("there")]));
    assert_eq!(
        back,
        format!(
            "error: ref os names commit {now}, which is not in the history of {first}; nothing was pushed; --force \
             lets the ref go elsewhere\n"
        )
    );
    assert!(it.push(&["--force", "--from-ref=old", "--to-ref=os", &it.to("there")]).status.success());
    assert_eq!(it.theirs("there", &["rev-parse", "os"]), first);
    // Every mode takes it, a path with a quote and a blank too.
    for mode in ["bare-user", "bare-user-only"] {
        let name = format!("it's {mode}");
        it.theirs(&name, &["init", &format!("--mode={mode}")]);
        it.theirs("here", &["refs", "--delete", "old"]);
        assert!(it.push(&["--quiet", &it.to(&name)]).status.success());
        it.theirs(&name, &["fsck"]);
        it.theirs("here", &["refs", "--create=old", &first]);
    }
}

#[test]
fn a_push_that_broke_off_goes_on() {
    if !need("ostree") {
        return;
    }
    let it = Machines::new();
    it.ssh("cut", "stdbuf -o0 head -c 800000 | sh -c \"$2\"");
    let whole = 3 * 101;
    let said = failure(&it.push(&["--ssh=cut", "--from-ref=os", &it.to("there")]));
    assert!(said.contains("there"), "{said}");
    assert_eq!(it.theirs("there", &["refs"]), "");
    let rest = content_objects(&it.push(&["--from-ref=os", &it.to("there")]));
    assert!(0 < rest && rest < whole - 100, "{rest}");
    it.theirs("there", &["fsck"]);
    assert_eq!(it.theirs("there", &["rev-parse", "os"]), it.theirs("here", &["rev-parse", "os"]));

    // Killed on the spot, with the connection still there.
    it.theirs("other", &["init", "--mode=bare-user"]);
    it.ssh(
        "killed",
        "mkfifo fifo; exec 3<&0; (stdbuf -o0 head -c 800000 <&3; sleep 2) > fifo & sh -c \"exec $2\" < fifo & sleep 1; kill -9 $!; exit 1",
    );
    failure(&it.push(&["--ssh=killed", "--from-ref=os", &it.to("other")]));
    let rest = content_objects(&it.push(&["--from-ref=os", &it.to("other")]));
    assert!(0 < rest && rest < whole - 100, "{rest}");
    it.theirs("other", &["fsck"]);
}

#[test]
fn what_goes_wrong_is_told() {
    if !need("ostree") {
        return;
    }
    let it = Machines::new();
    let to = it.to("there");
    let said = |args: &[&str]| failure(&it.push(&[&["--from-ref=os"], args].concat()));
    it.ssh("none", "exec sh -c \"no-$2\"");
    assert!(said(&["--ssh=none", &to]).contains("there is no program ostree-rs there"));
    it.ssh("lost", "exit 255");
    assert!(said(&["--ssh=lost", &to]).contains("lost could not connect, or lost the connection"));
    assert!(said(&["--ssh=not-there", &to]).contains("not-there: No such file or directory"));
    it.ssh("noise", "echo Welcome to machine; exec sh -c \"$2\"");
    let noise = said(&["--ssh=noise", &to]);
    assert!(noise.contains("begins with \"Welcome to machine\""), "{noise}");
    it.ssh("new", "echo 'ostree-rs push, protocol 7'; cat > /dev/null");
    let new = said(&["--ssh=new", &to]);
    assert!(new.contains("speaks version 7 of the protocol, and this one version 1"), "{new}");
    let missing = said(&["me@machine:/not/there"]);
    assert_eq!(
        missing,
        "error: me@machine:/not/there: Opening repository /not/there: No such file or directory; `init` makes one\n"
    );
    for place in ["-oProxyCommand=x:repo", "ssh://-l/repo", "machine:-repo"] {
        let option = failure(&it.push(&["--from-ref=os", "--", place]));
        assert!(option.contains("would be taken for an option"), "{option}");
    }
    assert_eq!(it.theirs("there", &["refs"]), "");
}

#[test]
fn signatures_are_carried_and_demanded() {
    if !need("ostree") || !need("gpg") {
        return;
    }
    let it = Machines::new();
    for name in ["good", "other"] {
        let (secret, public) = (it.arg(&format!("{name}.secret")), it.arg(&format!("{name}.asc")));
        let id = format!("{name} <{name}@example.org>");
        run(OURS, &["gpg-new-key", &format!("--secret={secret}"), &format!("--public={public}"), &id]);
    }
    let config = |key: &str, value: &str| it.theirs("there", &["config", "set", key, value]);
    config("receive.gpg-verify", "true");
    config("receive.gpgkeypath", &it.arg("good.asc"));
    let unsigned = failure(&it.push(&["--from-ref=os", &it.to("there")]));
    assert!(unsigned.contains("no signatures found"), "{unsigned}");
    let sign = |name: &str| {
        let (repo, home) = (it.arg("here"), it.arg(&format!("{name}.secret")));
        let key = format!("{name}@example.org");
        run(OURS, &["gpg-sign", "--repo", &repo, "--gpg-homedir", &home, "os", &key]);
    };
    sign("other");
    let other = failure(&it.push(&["--from-ref=os", &it.to("there")]));
    assert!(other.contains("me@machine") && other.contains("public key not found"), "{other}");
    assert_eq!(it.theirs("there", &["refs"]), "");
    sign("good");
    assert!(it.push(&["--from-ref=os", &it.to("there")]).status.success());
    it.theirs("there", &["fsck"]);
    // A signature that comes later comes alone.
    config("receive.gpg-verify", "false");
    let detached =
        |repo: &str| it.theirs(repo, &["show", "--print-detached-metadata-key=ostree.gpgsigs", "os"]);
    assert_eq!(detached("there"), detached("here"));
}

/// A server of its own, on a free port, that lets in whoever has one key.
struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Sshd {
    fn start(it: &Machines) -> (Self, u16) {
        for key in ["host", "user"] {
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &it.arg(key)]);
        }
        fs::copy(it.path("user.pub"), it.path("authorized")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nPidFile none\n\
             UsePAM no\nPermitRootLogin yes\nSetEnv PATH={}:/usr/bin:/bin\n",
            it.arg("host"),
            it.arg("authorized"),
            it.arg("bin"),
        );
        fs::write(it.path("sshd_config"), config).unwrap();
        // Where it drops to while a client is not known yet.
        fs::create_dir_all("/run/sshd").unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f", &it.arg("sshd_config")]).stderr(Stdio::null());
        let sshd = Self(command.spawn().unwrap());
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        (sshd, port)
    }
}

#[test]
fn through_a_real_sshd() {
    if !need("ostree") || !need_root() || !need("ssh-keygen") {
        return;
    }
    assert!(
        Path::new("/usr/sbin/sshd").exists() || std::env::var_os("CI").is_none(),
        "sshd is not installed"
    );
    if !Path::new("/usr/sbin/sshd").exists() {
        eprintln!("skipped: sshd is not installed");
        return;
    }
    let it = Machines::new();
    let (_sshd, port) = Sshd::start(&it);
    let options = "-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes";
    let ssh = format!("--ssh=/usr/bin/ssh {options} -o LogLevel=ERROR -i {}", it.arg("user"));
    let to = format!("ssh://root@127.0.0.1:{port}{}", it.arg("there"));
    let out = it.push(&[&ssh, "--from-ref=os", "--depth=-1", &to]);
    assert_eq!(content_objects(&out), 3 * 101);
    it.theirs("there", &["fsck"]);
    assert_eq!(it.theirs("there", &["rev-parse", "os"]), it.theirs("here", &["rev-parse", "os"]));
    let missing = failure(&it.push(&[&ssh, "--receive-program=not-there", "--from-ref=os", &to]));
    assert!(missing.contains("there is no program not-there there"), "{missing}");
    // A key that can do nothing else.
    let forced = format!("command=\"ostree-rs receive --repo={}\",restrict ", it.arg("there"));
    fs::write(it.path("authorized"), forced + &fs::read_to_string(it.path("user.pub")).unwrap()).unwrap();
    let elsewhere = format!("ssh://root@127.0.0.1:{port}/elsewhere");
    assert_eq!(content_objects(&it.push(&[&ssh, "--from-ref=os", &elsewhere])), 0);
}
