//! policy.json and what signatures sign, judged by us and by skopeo: the same image is let in, or not.

mod messages;
mod payloads;
mod texts;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use ostree_rs::container::config::policy::Policy;
use ostree_rs::container::image::{Compression, Digest, Error, Result};
use ostree_rs::container::place::DirImage;
use ostree_rs::container::trust::{Candidate, Signatures, SigstoreSignature, check};
use tempfile::TempDir;

use super::{dir, put_image, small_tar};
use crate::oracle;

/// What the image is signed as.
const NAME: &str = "example.com/org/app:1";

/// An image in a directory, and a key to sign it with.
struct Bench {
    temp: TempDir,
    digest: Digest,
}

impl Bench {
    fn new() -> Option<Self> {
        if !oracle::need("gpg") || !oracle::need("skopeo") {
            return None;
        }
        let temp = tempfile::tempdir().unwrap();
        // A scope has the name of a directory without links.
        let image = temp.path().canonicalize().unwrap().join("image");
        fs::create_dir(&image).unwrap();
        let (manifest, _) =
            put_image(&DirImage::create(dir(&image)).unwrap(), Compression::None, &small_tar(b"x"));
        let bench = Self { temp, digest: manifest.digest };
        fs::create_dir(bench.path("gnupg")).unwrap();
        oracle::run("chmod", &["700", bench.path("gnupg").to_str().unwrap()]);
        bench.gpg(&["--quick-gen-key", "key@example.com", "rsa2048", "sign", "never"]);
        fs::write(bench.path("key.gpg"), bench.gpg(&["--export"])).unwrap();
        Some(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().canonicalize().unwrap().join(name)
    }

    fn gpg(&self, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--pinentry-mode=loopback", "--passphrase", ""]).args(args);
        let out = command.env("GNUPGHOME", self.path("gnupg")).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    }

    /// A message with this content, signed as simple signing does.
    fn sign(&self, content: &str) -> Vec<u8> {
        fs::write(self.path("content"), content).unwrap();
        self.gpg(&["--output=-", "--compress-level=0", "--sign", self.path("content").to_str().unwrap()])
    }

    /// The claim that is right for the image.
    fn claim(&self) -> String {
        format!(
            r#"{{"critical": {{"type": "atomic container signature", "image": {{"docker-manifest-digest": "{}"}}, "identity": {{"docker-reference": "{NAME}"}}}}, "optional": {{}}}}"#,
            self.digest
        )
    }

    /// What skopeo says of the image with these signatures.
    fn skopeo(&self, policy: &str, signatures: &[Vec<u8>]) -> Result<(), String> {
        fs::write(self.path("policy.json"), policy).unwrap();
        for (number, signature) in signatures.iter().enumerate() {
            fs::write(self.path(&format!("image/signature-{}", number + 1)), signature).unwrap();
        }
        let place = |name: &str| format!("dir:{}", self.path(name).display());
        let policy = self.path("policy.json");
        let mut command = Command::new("skopeo");
        command.args(["--policy", policy.to_str().unwrap(), "copy", "-q", "--remove-signatures"]);
        let out = command.args([place("image"), place("copy")]).output().unwrap();
        out.status.success().then_some(()).ok_or_else(|| String::from_utf8(out.stderr).unwrap())
    }

    /// What we say of it.
    fn ours(&self, policy: &str, signatures: &dyn Signatures) -> Result<()> {
        let policy = Policy::parse("policy.json", policy.as_bytes())?;
        let name = self.path("image").display().to_string();
        let image = Candidate { transport: "dir", name: &name, manifest: self.digest };
        check(&policy, &image, signatures, SystemTime::now())
    }
}

/// Signatures in memory.
#[derive(Default)]
struct Given {
    gpg: Vec<Vec<u8>>,
    sigstore: Vec<SigstoreSignature>,
}

impl Signatures for Given {
    fn gpg(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.gpg.clone())
    }

    fn sigstore(&self) -> Result<Vec<SigstoreSignature>> {
        Ok(self.sigstore.clone())
    }

    fn key_file(&self, path: &str) -> Result<Vec<u8>> {
        fs::read(path).map_err(|source| Error::Io { op: "read", path: Path::new(path).into(), source })
    }
}

/// How many were let in and how many were not, so that a table cannot say one thing of everything.
#[derive(Default)]
struct Tally {
    accepted: usize,
    refused: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn compare(&mut self, what: &str, ours: &Result<()>, theirs: &Result<(), String>) {
        match ours {
            Ok(()) => self.accepted += 1,
            Err(_) => self.refused += 1,
        }
        if ours.is_ok() != theirs.is_ok() {
            self.wrong.push(format!("{what}\n  ours: {ours:?}\n  theirs: {theirs:?}"));
        }
    }

    fn check(&self, accepted: usize, refused: usize) {
        assert!(self.wrong.is_empty(), "{} of them:\n{}", self.wrong.len(), self.wrong.join("\n"));
        let enough = self.accepted >= accepted && self.refused >= refused;
        assert!(enough, "{} accepted, {} refused", self.accepted, self.refused);
    }
}
