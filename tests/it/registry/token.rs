//! A token server as registries use them: it takes user and password and gives signed tokens.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ostree_rs::base::Ctx;
use ostree_rs::net::registry::Registry;
use ostree_rs::net::{Error, TlsOptions, TlsVerify};
use serde_json::json;

use super::front::{Answer, Front};
use super::program::Home;
use super::server::{Certificates, Login, Server, Speech, USER};
use super::{http, registry, round_trip, user};
use crate::oracle;

/// A running token server; it ends with the test.
pub(crate) struct TokenServer {
    pub(crate) realm: String,
    /// The scopes of every token given.
    pub(crate) given: Arc<Mutex<Vec<String>>>,
}

/// Whom a token server gives tokens to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gives {
    ToTheUser,
    ToAnybody,
}

impl TokenServer {
    /// Tokens last for `life_secs`, or so the server says.
    fn start(keys: Certificates, life_secs: u64, gives: Gives) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let realm = format!("http://{}/token", listener.local_addr().unwrap());
        let given = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&given);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                answer(client, &keys, &log, life_secs, gives);
            }
        });
        Self { realm, given }
    }

    /// A token server, and a registry that wants its tokens.
    pub(crate) fn with_registry(life_secs: u64) -> Option<(Self, Server)> {
        let files = Certificates::make()?;
        let bundle = tempfile::NamedTempFile::new().unwrap();
        std::fs::copy(files.path("ca.crt"), bundle.path()).unwrap();
        let tokens = Self::start(files, life_secs, Gives::ToTheUser);
        let login = Login::Token { realm: tokens.realm.clone(), certificate: bundle.path().into() };
        Some((tokens, Server::start(&login, &Speech::Plain)?))
    }
}

fn answer(
    mut client: TcpStream,
    keys: &Certificates,
    log: &Mutex<Vec<String>>,
    life_secs: u64,
    gives: Gives,
) {
    let mut lines = BufReader::new(client.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let mut allowed = gives == Gives::ToAnybody;
    for line in lines.by_ref().take_while(|l| !l.is_empty()) {
        let wanted = format!("authorization: basic {}", STANDARD.encode(format!("{}:{}", USER.0, USER.1)));
        allowed |= line.eq_ignore_ascii_case(&wanted);
    }
    let target = first.split(' ').nth(1).unwrap_or_default();
    let url = reqwest::Url::parse(&format!("http://localhost{target}")).unwrap();
    let scopes: Vec<String> =
        url.query_pairs().filter(|(k, _)| k == "scope").map(|(_, v)| v.into_owned()).collect();
    let (status, body) = match allowed {
        true => {
            let mut log = log.lock().unwrap();
            log.extend(scopes.iter().cloned());
            let token = token(keys, &scopes, log.len());
            ("200 OK", json!({ "token": token, "expires_in": life_secs }).to_string())
        }
        false => ("401 Unauthorized", json!({ "errors": [{ "code": "UNAUTHORIZED" }] }).to_string()),
    };
    let _ = write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

/// A JSON web token as docker's registries read them; no two have the same number.
fn token(keys: &Certificates, scopes: &[String], number: usize) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let access: Vec<_> = scopes
        .iter()
        .filter_map(|scope| {
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            Some(json!({ "type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>() }))
        })
        .collect();
    let ca = String::from_utf8(keys.ca()).unwrap();
    let der: String = ca.lines().filter(|l| !l.starts_with("-----")).collect();
    let header = json!({ "typ": "JWT", "alg": "RS256", "x5c": [der] });
    let claims = json!({
        "iss": "tests", "sub": USER.0, "aud": "test", "jti": number.to_string(),
        "iat": now - 10, "nbf": now - 10, "exp": now + 300, "access": access,
    });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(keys.sign(signed.as_bytes())))
}

#[test]
fn tokens() {
    for life_secs in [300, 0] {
        let Some((tokens, server)) = TokenServer::with_registry(life_secs) else { return };
        round_trip(&registry(&server.url(), "org/app", user()));
        let given = tokens.given.lock().unwrap().len();
        assert!(life_secs == 0 || given <= 3, "{given} tokens for one round");
        let error = registry(&server.url(), "org/app", None).tags(&Ctx::default()).unwrap_err();
        assert!(matches!(error, Error::Denied { .. }), "{error}");
    }
}

/// A registry with TLS whose tokens come without: who has no password, or does not care for TLS, may ask there.
#[test]
fn a_realm_without_tls() {
    let Some(files) = Certificates::make() else { return };
    let Some(keys) = Certificates::make() else { return };
    let bundle = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(keys.path("ca.crt"), bundle.path()).unwrap();
    let tokens = TokenServer::start(keys, 300, Gives::ToAnybody);
    let login = Login::Token { realm: tokens.realm.clone(), certificate: bundle.path().into() };
    let Some(server) = Server::start(&login, &Speech::Tls(&files)) else { return };
    let at = |tls, credentials| {
        Registry::new(http(tls), &format!("https://{}", server.address), "org/app", credentials).unwrap()
    };
    let trusted = || TlsOptions { roots: vec![files.pem("ca.crt")], ..TlsOptions::default() };
    let error = at(trusted(), user()).tags(&Ctx::default()).unwrap_err();
    assert!(matches!(&error, Error::Protocol { why, .. } if why.contains("without TLS")), "{error}");
    assert!(tokens.given.lock().unwrap().is_empty());
    round_trip(&at(trusted(), None));
    round_trip(&at(TlsOptions { verify: TlsVerify::No, ..TlsOptions::default() }, user()));
}

/// The registry takes a token for some requests only, whatever the token server said of its life: uploads
/// and downloads of many layers go on with a new one.
#[test]
fn tokens_that_expire_on_the_way() {
    const REQUESTS: usize = 5;
    const LAYERS: usize = 16;
    let Some((tokens, server)) = TokenServer::with_registry(300) else { return };
    let expired =
        format!("401 Expired\r\nWWW-Authenticate: Bearer realm=\"{}\",service=\"test\"", tokens.realm);
    let seen = Mutex::new((HashMap::<String, usize>::new(), HashSet::new()));
    let front = Front::start(server.address, move |asked| {
        let (used, refused) = &mut *seen.lock().unwrap();
        let requests = used.entry(asked.header("authorization")?.to_owned()).or_default();
        *requests += 1;
        // A request whose new token other threads used up meanwhile is not refused again.
        let expired_now =
            *requests > REQUESTS && refused.insert((asked.method.clone(), asked.target.clone()));
        expired_now.then(|| Answer::new(&expired, ""))
    });
    let (home, insecure, creds) =
        (Home::new(), "--tls-verify=false", format!("--creds={}:{}", USER.0, USER.1));
    // Files so large have layers of their own.
    for number in 0..LAYERS {
        let file = home.path(&format!("tree/usr/{number}"));
        std::fs::write(file, vec![u8::try_from(number).unwrap(); 4 << 20]).unwrap();
    }
    let commit = home.ok(&["--repo=repo", "commit", "-b", "main", "--tree=dir=tree"]);
    let image = format!("{}/org/app:1", front.address);
    let count = || tokens.given.lock().unwrap().len();
    let digest = home.push(&image, &[insecure, &creds, "--max-layers=64"]);
    let pushed = count();
    let unverified = format!("ostree-unverified-registry:{image}");
    assert_eq!(home.ok(&["--repo=new", "container", "pull", insecure, &creds, &unverified]), commit);
    let pulled = count() - pushed;
    home.ok(&["--repo=images", "init", "--mode=bare-user"]);
    home.ok(&["container", "image", "pull", "images", insecure, &creds, &unverified]);
    for repo in ["new", "images"] {
        home.ok(&[&format!("--repo={repo}"), "fsck"]);
    }
    // For each layer at least three requests, and at least one.
    assert!(pushed >= 3 * LAYERS / REQUESTS && pulled >= LAYERS / REQUESTS, "{pushed} and {pulled} tokens");
    if oracle::need("skopeo") {
        let login = format!("{}:{}", USER.0, USER.1);
        let place = format!("docker://{}/org/app:1", server.address);
        let inspect = ["inspect", insecure, "--creds", &login, "--format", "{{.Digest}}", &place];
        assert_eq!(oracle::run("skopeo", &inspect).trim_ascii(), digest.as_bytes());
    }
}
