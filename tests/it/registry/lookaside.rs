//! registries.d, read by us and by skopeo: where the signature of an image lies, or that it lies nowhere.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::program::Home;
use super::server::{Login, Server, Speech};
use super::trust::{fingerprint, keys, manifest, policy, run};
use crate::oracle;

const KEY: &str = "good@example.com";

/// A registry with an image that is signed; its signature lies in the directory `sigs`, in `mirrored` by another path.
struct Bench {
    home: Home,
    host: String,
    server: Server,
}

impl Bench {
    fn new() -> Option<Self> {
        let server = Server::start(&Login::Anybody, &Speech::Plain)?;
        if !oracle::need("gpg") || !oracle::need("skopeo") {
            return None;
        }
        let (home, host) = (Home::new(), server.address.to_string());
        keys(&home, &[KEY]);
        home.write("registries.conf", &format!("[[registry]]\nlocation=\"{host}\"\ninsecure=true\n"));
        Some(Self { home, host, server })
    }

    /// Signs the image as `name`; the signature lies at `path` in each of `dirs`.
    fn sign(&self, name: &str, dirs: &[(&str, &str)]) {
        let digest = self.home.push(&format!("{}/org/app:1", self.host), &["--tls-verify=false"]);
        fs::write(self.home.path("manifest"), manifest(&self.server, "org/app", &digest)).unwrap();
        let key = fingerprint(&self.home, KEY);
        run(&self.home, "skopeo", &["standalone-sign", "manifest", name, &key, "-o", "signature"]);
        for (dir, path) in dirs {
            let place = self.home.path(dir).join(format!("{path}@{}", digest.replace(':', "=")));
            fs::create_dir_all(&place).unwrap();
            fs::copy(self.home.path("signature"), place.join("signature-1")).unwrap();
        }
    }

    /// Demands the signature of images of this host.
    fn demand(&self, host: &str) {
        let file = self.home.path(&format!("{KEY}.asc"));
        policy(&self.home, host, &json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": file}));
    }

    /// Whether we, and skopeo, let the image in with these files in registries.d; and what was said.
    fn let_in(&self, image: &str, files: &[(&str, String)]) -> ([bool; 2], String) {
        let dir = self.home.path(".config/containers/registries.d");
        let _ = fs::remove_dir_all(&dir);
        for (name, text) in files {
            self.home.write(&format!(".config/containers/registries.d/{name}"), text);
        }
        let image = format!("docker://{image}");
        let ours = self.home.run(&["container", "copy", "-q", &image, "dir:ours"]);
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--policy=.config/containers/policy.json", "--registries-conf=registries.conf"]);
        skopeo.args(["copy", "-q", &image, "dir:theirs"]);
        let skopeo = skopeo.current_dir(self.home.path("")).env("HOME", self.home.path("")).output().unwrap();
        for copy in ["ours", "theirs"] {
            let _ = fs::remove_dir_all(self.home.path(copy));
        }
        let said = [&ours.stderr, &skopeo.stderr].map(|said| String::from_utf8_lossy(said).into_owned());
        ([ours.status.success(), skopeo.status.success()], said.join("\n"))
    }
}

/// `H` is the registry, `L` where the signatures lie, `M` and `E` are other ways to say so, `Y` is YAML. Files beyond the
/// first begin with `== `.
const FORMS: &[(&str, bool)] = &[
    ("docker:\n  H:\n    lookaside: L\n", true),
    ("---\ndocker:\n  H:\n    lookaside: L\n...\n", true),
    ("%Y 1.1\n--- # one\ndocker:\n  H:\n    lookaside: L\n---\ndocker: {}\n", true),
    ("\u{feff}docker:\r\n  H:\r\n    lookaside: L\r\n", true),
    ("\"docker\": # all of them\n  'H': # ours\n    \"lookaside\":\t'L'   # here\n", true),
    ("docker:\n H/org:\n  lookaside: L/\n", true),
    ("docker:\n  H/org/app:1:\n    lookaside: L\n", true),
    ("docker:\n  H/or:\n    lookaside: L\n", false),
    ("docker:\n  H:\n    sigstore: L\n", true),
    ("docker:\n  H:\n    sigstore: file:///nowhere\n    lookaside: L\n", true),
    ("docker:\n  H:\n    lookaside-staging: L\n", false),
    ("default-docker:\n  lookaside: L\ndocker:\n  H:\n", true),
    ("default-docker:\n  lookaside: L\ndocker:\n  H:\n    lookaside: ~\n", true),
    ("default-docker:\n  lookaside: L\ndocker:\n  H:\n    lookaside: \"\"\n", true),
    ("default-docker:\n  lookaside: L\ndocker:\n  H:\n    lookaside: file:///nowhere\n", false),
    ("default-docker: {}\ndocker:\n  H:\n    lookaside: L\n", true),
    (
        "other:\n- 1\n- a: b\n  c: d\nmore: [1, 2]\ndocker:\n  H:\n    new:\n      - 1\n    lookaside: L\n    x: {y: 1}\n",
        true,
    ),
    ("docker:\n  H:\n    lookaside: L\n    use-sigstore-attachments: yes\n", true),
    ("docker:\n  H:\n    lookaside: L\n    use-sigstore-attachments: perhaps\n", false),
    ("docker:\n    H:\n          lookaside: L\n    x.y:\n      lookaside: file:///x\n", true),
    ("docker:\n    H:\n      lookaside: L\n   x.y:\n      lookaside: file:///x\n", false),
    ("docker:\n\tH:\n\t\tlookaside: L\n", false),
    ("docker:\n  H: L\n", false),
    ("docker:\n  - H\n", false),
    ("docker:\n  H:\n    lookaside: L\ndocker:\n  x.y:\n    lookaside: file:///x\n", false),
    ("docker:\n  H:\n    lookaside: L\n== b.yaml\n- 1\n", false),
    ("docker:\n  H:\n    lookaside: L\n== b.yml\n- 1\n", true),
    ("docker:\n  H:\n    lookaside: L\n== b.yaml\n# nothing\n", true),
    ("docker:\n  H:\n    lookaside: L\n== b.yaml\ndocker:\n  H:\n    lookaside: L\n", false),
    (
        "docker:\n  H:\n    lookaside: L\n== b.yaml\ndocker:\n  H:\n    use-sigstore-attachments: true\n",
        false,
    ),
    (
        "default-docker:\n  lookaside: L\n== b.yaml\ndefault-docker:\n  use-sigstore-attachments: true\n",
        false,
    ),
    ("default-docker:\n  lookaside: L\n== b.yaml\ndefault-docker:\n", true),
    ("{\"docker\": {\"H\": {\"lookaside\": \"L\"}}}", true),
    ("docker: {H: {lookaside: L, use-sigstore-attachments: n}, x.y: {}}", true),
    ("docker:\n  x.y: &place\n    lookaside: L\n  H: *place\n", true),
    ("docker:\n  x.y: &place\n    lookaside: L\n  H:\n    <<: *place\n    sigstore: file:///nowhere\n", true),
    ("docker:\n  H:\n    lookaside: >-\n      L\n", true),
    ("docker:\n  H:\n    ? lookaside\n    : !!str L\n", true),
    ("docker:\n  H:\n    lookaside: [L]\n", false),
    ("docker: &all\n  H: *all\n", false),
    ("docker: {H: {lookaside: L}\n", false),
    ("docker:\n  H:\n    lookaside: M\n", true),
    ("docker:\n  H:\n    lookaside: E\n", true),
];

#[test]
fn registries_d_says_the_same_to_both() {
    let Some(bench) = Bench::new() else { return };
    bench.demand(&bench.host);
    bench.sign(&format!("{}/org/app:1", bench.host), &[("sigs", "org/app"), ("more sigs", "org/app")]);
    let home = bench.home.path("").display().to_string();
    let home = home.trim_end_matches('/');
    let mut wrong = Vec::new();
    for (text, good) in FORMS {
        let written = |letter: char| match letter {
            'H' => bench.host.clone(),
            'L' => format!("file://{home}/sigs"),
            'M' => format!("file://localhost{home}/sigs"),
            'E' => format!("file://{home}/more%20sigs"),
            'Y' => "YAML".into(),
            other => other.to_string(),
        };
        let text: String = text.chars().map(written).collect();
        let mut files = Vec::new();
        for part in format!("== a.yaml\n{text}").split("== ").skip(1) {
            let (name, text) = part.split_once('\n').unwrap();
            files.push((name.to_owned(), text.to_owned()));
        }
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
        let (both, said) = bench.let_in(&format!("{}/org/app:1", bench.host), &files);
        if both != [*good; 2] {
            wrong.push(format!("{text}{both:?}\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

/// The policy goes by the name that was asked for, and signatures lie where the place is that the image came from.
#[test]
fn signatures_lie_where_the_mirror_is() {
    let Some(bench) = Bench::new() else { return };
    let (host, image) = (&bench.host, "reg.example/app:1");
    bench.demand("reg.example");
    bench.sign(image, &[("by-place", "org/app"), ("by-name", "app")]);
    let lookaside = |scope: &str, dir: &str| {
        let dir = bench.home.path(dir).display().to_string();
        [("a.yaml", format!("docker:\n  {scope}:\n    lookaside: file://{dir}\n"))]
    };
    for conf in [
        format!("[[registry]]\nprefix=\"reg.example\"\nlocation=\"{host}/org\"\ninsecure=true\n"),
        format!(
            "[[registry]]\nlocation=\"reg.example\"\n[[registry.mirror]]\nlocation=\"{host}/org\"\ninsecure=true\n"
        ),
    ] {
        bench.home.write("registries.conf", &conf);
        for (scope, dir, good) in [
            (host.as_str(), "by-place", true),
            (host.as_str(), "by-name", false),
            ("reg.example", "by-place", false),
            ("reg.example", "by-name", false),
        ] {
            let (both, said) = bench.let_in(image, &lookaside(scope, dir));
            assert_eq!(both, [good; 2], "{conf}{scope} {dir}: {said}");
        }
    }
}
