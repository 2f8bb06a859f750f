//! Debian's `docker-registry` on a free port, for as long as the value lives.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ostree_rs::net::PemFile;
use tempfile::TempDir;

use crate::oracle;

/// User and password that [`Login::Basic`] and the token server want.
pub(crate) const USER: (&str, &str) = ("user", "secret");
/// The line of `htpasswd -B` for [`USER`].
const HTPASSWD: &str = "user:$2b$04$tWY0gmb1wdRyQEZNPmmc0OYEhZcfvHIjqDxH88pucl63e50iIx/bG\n";

/// Who may use the registry.
pub(crate) enum Login {
    Anybody,
    Basic,
    /// With tokens of the server at `realm`, signed by the key of the certificate.
    Token {
        realm: String,
        certificate: PathBuf,
    },
}

/// How the registry is spoken to.
pub(crate) enum Speech<'a> {
    Plain,
    Tls(&'a Certificates),
    /// Only with a client certificate of the authority.
    MutualTls(&'a Certificates),
}

/// A running registry.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) dir: TempDir,
    child: Child,
}

impl Server {
    /// `None`, with a line that says so, if there is no `docker-registry`.
    pub(crate) fn start(login: &Login, speech: &Speech<'_>) -> Option<Self> {
        if !oracle::need("docker-registry") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let address = free_address();
        let mut config = format!(
            "version: 0.1\nlog: {{accesslog: {{disabled: true}}, level: error}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n",
            dir.path().join("data").display()
        );
        match login {
            Login::Anybody => {}
            Login::Basic => {
                let file = dir.path().join("htpasswd");
                fs::write(&file, HTPASSWD).unwrap();
                config += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display());
            }
            Login::Token { realm, certificate } => {
                config += &format!(
                    "auth: {{token: {{realm: '{realm}', service: test, issuer: tests, rootcertbundle: {}}}}}\n",
                    certificate.display()
                );
            }
        }
        config += &format!("http:\n  addr: {address}\n  secret: test\n");
        if let Speech::Tls(files) | Speech::MutualTls(files) = speech {
            config += &format!(
                "  tls:\n    certificate: {}\n    key: {}\n",
                files.path("server.crt").display(),
                files.path("server.key").display()
            );
        }
        if let Speech::MutualTls(files) = speech {
            config += &format!("    clientcas: [{}]\n", files.path("ca.crt").display());
        }
        let file = dir.path().join("config.yml");
        fs::write(&file, config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let server = Self { address, dir, child };
        server.wait();
        Some(server)
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn wait(&self) {
        for _ in 0..600 {
            if TcpStream::connect(self.address).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("docker-registry does not start: {:?}", fs::read_to_string(self.dir.path().join("log")));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// An authority of our own, and certificates signed by it: for 127.0.0.1, and for a client.
pub(crate) struct Certificates(TempDir);

impl Certificates {
    /// `None`, with a line that says so, if there is no `openssl`.
    pub(crate) fn make() -> Option<Self> {
        if !oracle::need("openssl") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let made = Self(dir);
        // By its key tokens are signed, too, as registries take them: by RSA.
        made.openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=test-ca",
        );
        made.openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=127.0.0.1");
        fs::write(made.path("ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
        made.openssl(
            "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 2 -extfile ext",
        );
        made.openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout client.key -out client.csr -subj /CN=client");
        let sign = "x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2";
        made.openssl(&format!("{sign} -extfile ext -out client.crt"));
        // Without extensions it is X.509 version 1, as many have it.
        made.openssl(&format!("{sign} -out client-v1.crt"));
        Some(made)
    }

    /// One certificate for 127.0.0.1 as `openssl req -x509` makes it, server.crt: signed by itself, and an
    /// authority's. It is valid for so many days.
    pub(crate) fn self_signed(days: i32) -> Option<Self> {
        if !oracle::need("openssl") {
            return None;
        }
        let made = Self(tempfile::tempdir().unwrap());
        made.openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=127.0.0.1");
        fs::write(made.path("ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:TRUE\n").unwrap();
        let sign = "x509 -req -in server.csr -signkey server.key -out server.crt -extfile ext";
        made.openssl(&format!("{sign} -days {days}"));
        Some(made)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn pem(&self, name: &str) -> PemFile {
        PemFile { name: name.into(), bytes: self.read(name) }
    }

    pub(crate) fn ca(&self) -> Vec<u8> {
        self.read("ca.crt")
    }

    /// Signs with the authority's key: RSA, SHA-256.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new_in(self.0.path()).unwrap();
        fs::write(file.path(), message).unwrap();
        openssl(self.0.path(), &["dgst", "-sha256", "-sign", "ca.key", file.path().to_str().unwrap()])
    }

    fn openssl(&self, line: &str) {
        openssl(self.0.path(), &line.split(' ').collect::<Vec<_>>());
    }
}

fn openssl(dir: &Path, args: &[&str]) -> Vec<u8> {
    let out = Command::new("openssl").args(args).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}
