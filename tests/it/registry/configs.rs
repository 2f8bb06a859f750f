//! registries.conf, read by us and by skopeo: which of three images a name leads to, or that it leads to none.

use std::process::Command;

use ostree_rs::container::image::Digest;

use super::program::Home;
use super::server::{Login, Server, Speech};
use crate::oracle;

/// What each of two readers gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gets {
    /// The image of the repository lib.
    Lib,
    /// That of mir, which has the same names as lib.
    Mir,
    Nothing,
}
use Gets::{Lib, Mir, Nothing};

/// The table of cases, which says itself how it is read.
const CONFIGS: &str = include_str!("configs.txt");

struct Case {
    name: String,
    text: String,
    ours: Gets,
    theirs: Option<Gets>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::<Case>::new();
    for line in CONFIGS.lines().skip_while(|line| !line.starts_with("## ")) {
        if let Some(head) = line.strip_prefix("== ") {
            let (name, gets) = head.split_once(' ').unwrap();
            let (ours, theirs) = match gets {
                "lib" => (Lib, Some(Lib)),
                "mir" => (Mir, Some(Mir)),
                "nothing" => (Nothing, Some(Nothing)),
                other => {
                    assert!(other.starts_with("ours nothing: "), "{line}");
                    (Nothing, None)
                }
            };
            cases.push(Case { name: name.into(), text: String::new(), ours, theirs });
        } else if let (Some(case), false) = (cases.last_mut(), line.starts_with("## ")) {
            case.text += &format!("{line}\n");
        }
    }
    assert!(cases.len() > 90);
    cases
}

struct Bench {
    home: Home,
    host: String,
    /// The digests of the images of lib and mir.
    digests: [String; 2],
    _server: Server,
}

impl Bench {
    fn new() -> Option<Self> {
        let server = Server::start(&Login::Anybody, &Speech::Plain)?;
        if !oracle::need("skopeo") {
            return None;
        }
        let (home, host) = (Home::new(), server.address.to_string());
        let digests = ["lib", "mir"].map(|name| {
            home.write(&format!("{name}/usr/name"), name);
            let tree = format!("--tree=dir={name}");
            home.ok(&["--repo=repo", "commit", "-b", "main", &tree, "--timestamp=@1700000000"]);
            home.push(&format!("{host}/{name}/img:1"), &["--tls-verify=false"])
        });
        Some(Self { home, host, digests, _server: server })
    }

    fn written_out(&self, text: &str) -> String {
        let (address, port) = self.host.split_once(':').unwrap();
        // No other word of a configuration is a capital letter alone.
        let text = text.replace("@LIB", &format!("@{}", self.digests[0]));
        let text = text.replace("@MIR", &format!("@{}", self.digests[1]));
        let word = |c: char| c.is_ascii_alphanumeric();
        let mut out = String::new();
        let mut rest = &*text;
        while let Some(start) = rest.find(word) {
            let end = rest[start..].find(|c| !word(c)).map_or(rest.len(), |length| start + length);
            out += &rest[..start];
            out += match &rest[start..end] {
                "H" => &self.host,
                "I" => address,
                "P" => port,
                other => other,
            };
            rest = &rest[end..];
        }
        out + rest
    }

    fn which(&self, digest: &str) -> Gets {
        match self.digests.iter().position(|known| known == digest) {
            Some(0) => Lib,
            Some(_) => Mir,
            None => Nothing,
        }
    }

    fn ours(&self, name: &str) -> (Gets, String) {
        let out = self.home.run(&["container", "info", &format!("docker://{name}")]);
        let (text, why) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
        assert!(out.status.success() || out.status.code() == Some(1), "{name}: {why}");
        let found = self.digests.iter().find(|digest| text.contains(*digest));
        (found.map_or(Nothing, |digest| self.which(digest)), why)
    }

    fn skopeo(&self, name: &str) -> (Gets, String) {
        let mut command = Command::new("skopeo");
        command.args(["--registries-conf=registries.conf", "inspect", "--raw", &format!("docker://{name}")]);
        let command = command.current_dir(self.home.path("")).env("HOME", self.home.path(""));
        let out = command.output().unwrap();
        let gets =
            if out.status.success() { self.which(&Digest::of(&out.stdout).to_string()) } else { Nothing };
        (gets, String::from_utf8(out.stderr).unwrap())
    }
}

#[test]
fn they_say_the_same_to_both() {
    let Some(bench) = Bench::new() else { return };
    let mut wrong = Vec::new();
    for case in cases() {
        let (name, text) = (bench.written_out(&case.name), bench.written_out(&case.text));
        bench.home.write("registries.conf", &text);
        let ((ours, our_words), (theirs, their_words)) = (bench.ours(&name), bench.skopeo(&name));
        let they_are_right = case.theirs.map_or(theirs != Nothing, |expected| theirs == expected);
        if ours != case.ours || !they_are_right {
            wrong.push(format!("{name}\n{text}  {ours:?} {our_words}  {theirs:?} {their_words}"));
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

/// Files beside the main one, in the order of their names.
#[test]
fn drop_ins_say_the_same_to_both() {
    let Some(bench) = Bench::new() else { return };
    let main =
        "[[registry]]\nlocation='H/lib'\ninsecure=true\n[[registry]]\nlocation='H/mir'\ninsecure=true\n";
    let place = ".config/containers/registries.conf.d";
    for (files, expected) in [
        (&[][..], Lib),
        (&[("1.conf", "[[registry]]\nlocation='H/lib'\nblocked=true\n")], Nothing),
        (&[("1.txt", "[[registry]]\nlocation='H/lib'\nblocked=true\n")], Lib),
        (&[("1.conf", "[[registry]]\nprefix='H/lib'\nlocation='H/mir'\ninsecure=true\n")], Mir),
        (
            &[
                ("1.conf", "[[registry]]\nlocation='H/lib'\nblocked=true\n"),
                ("2.conf", "[[registry]]\nlocation='H/lib'\ninsecure=true\n"),
            ],
            Lib,
        ),
        (&[("1.conf", "[[registry]]\nlocation='H/lib/img'\nblocked=true\n")], Nothing),
        (&[("1.conf", "[registries.block]\nregistries=['quay.io']\n")], Nothing),
        (&[("1.conf", "[[registry]\n")], Nothing),
        (&[("1.conf/x", "[[registry]\n")], Lib),
    ] {
        bench.home.write("registries.conf", &bench.written_out(main));
        for (name, text) in files {
            bench.home.write(&format!("{place}/{name}"), &bench.written_out(text));
        }
        let name = bench.written_out("H/lib/img:1");
        let (ours, theirs) = (bench.ours(&name), bench.skopeo(&name));
        assert_eq!((ours.0, theirs.0), (expected, expected), "{files:?}\n{}\n{}", ours.1, theirs.1);
        let _ = std::fs::remove_dir_all(bench.home.path(place));
    }
}

/// What has no effect is said, since it may have been meant to keep a registry away.
#[test]
fn keys_that_are_not_known_are_named() {
    let Some(bench) = Bench::new() else { return };
    let text = bench.written_out("[[registry]]\nlocation='H'\ninsecure=true\nblocket=true\n");
    bench.home.write("registries.conf", &text);
    let (gets, words) = bench.ours(&bench.written_out("H/lib/img:1"));
    assert_eq!(gets, Lib);
    assert!(words.contains("registries.conf: the key registry.blocket is not known"), "{words}");
}

/// Where no place has the image, each is named with what it said.
#[test]
fn mirrors_that_failed_are_named() {
    let Some(bench) = Bench::new() else { return };
    let text = "[[registry]]\nlocation='H/lib'\ninsecure=true\n[[registry.mirror]]\nlocation='127.0.0.1:9/m'\n\
                insecure=true\n[[registry.mirror]]\nlocation='H/mir'\ninsecure=true\n";
    bench.home.write("registries.conf", &bench.written_out(text));
    let name = bench.written_out("H/lib/other:1");
    let ((ours, our_words), (theirs, their_words)) = (bench.ours(&name), bench.skopeo(&name));
    assert_eq!((ours, theirs), (Nothing, Nothing));
    assert!(
        their_words.contains("Mirrors also failed") && their_words.contains("127.0.0.1:9/m"),
        "{their_words}"
    );
    let places = ["mirror 127.0.0.1:9/m/other: ", "; mirror H/mir/other: ", "; H/lib/other: "];
    for place in places.map(|place| bench.written_out(place)) {
        assert!(our_words.contains(&place), "{place}: {our_words}");
    }
    assert!(our_words.contains("refused") && our_words.contains("404 Not Found"), "{our_words}");
}
