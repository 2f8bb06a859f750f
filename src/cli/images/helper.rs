//! Credential helpers: `docker-credential-NAME get`, the one kind of program that is executed, because the
//! user configured it.
//!
//! ```text
//! stdin   SERVER
//! stdout  {"ServerURL": …, "Username": …, "Secret": …}     "<token>" for an identity token
//! ```

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::base::net::registry::Credentials;

/// What a helper says if it knows nothing.
const NOT_FOUND: &str = "credentials not found in native keychain";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks the helper `name` for the credentials of `server`.
pub(super) fn ask(name: &str, server: &str) -> anyhow::Result<Option<Credentials>> {
    let program = format!("docker-credential-{name}");
    if name.contains('/') {
        bail!("{program:?} is no name of a credential helper");
    }
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(|| format!("Running {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not listen will say so by its answer.
        let _ = stdin.write_all(server.as_bytes());
    }
    let output = child.wait_with_output().with_context(|| format!("Running {program}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        if said.trim() == NOT_FOUND {
            return Ok(None);
        }
        bail!("{program} for {server}: {}: {}", output.status, said.trim());
    }
    // The answer is not quoted: it holds a secret.
    let answer: Answer = serde_json::from_str(&said)
        .ok()
        .with_context(|| format!("{program}: its answer is not understood"))?;
    Ok(match (answer.username.as_str(), answer.secret) {
        (_, secret) if secret.is_empty() => None,
        ("<token>", secret) => Some(Credentials::IdentityToken(secret)),
        (_, password) => Some(Credentials::Password { user: answer.username, password }),
    })
}
