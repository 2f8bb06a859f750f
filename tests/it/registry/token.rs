//! A token server as registries use them: it takes user and password and gives signed tokens.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::server::{Certificates, USER};

/// A running token server; it ends with the test.
pub(crate) struct TokenServer {
    pub(crate) realm: String,
    /// The scopes of every token given.
    pub(crate) given: Arc<Mutex<Vec<String>>>,
}

impl TokenServer {
    /// Tokens last for `life_secs`, or so the server says.
    pub(crate) fn start(keys: Certificates, life_secs: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let realm = format!("http://{}/token", listener.local_addr().unwrap());
        let given = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&given);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                answer(client, &keys, &log, life_secs);
            }
        });
        Self { realm, given }
    }
}

fn answer(mut client: TcpStream, keys: &Certificates, log: &Mutex<Vec<String>>, life_secs: u64) {
    let mut lines = BufReader::new(client.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let mut allowed = false;
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
            log.lock().unwrap().extend(scopes.iter().cloned());
            let token = token(keys, &scopes);
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

/// A JSON web token as docker's registries read them.
fn token(keys: &Certificates, scopes: &[String]) -> String {
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
        "iss": "tests", "sub": USER.0, "aud": "test", "jti": "1",
        "iat": now - 10, "nbf": now - 10, "exp": now + 300, "access": access,
    });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(keys.sign(signed.as_bytes())))
}
