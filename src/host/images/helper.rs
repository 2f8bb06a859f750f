//! Credential helpers: `docker-credential-NAME get`, which are executed because the user configured
//! them.
//!
//! ```text
//! stdin   SERVER
//! stdout  {"ServerURL": …, "Username": …, "Secret": …}     "<token>" for an identity token
//! ```

use std::io::{ErrorKind, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::super::{Error, HelperProblem, Result};
use crate::base::{Ctx, Event};
use crate::net::registry::Credentials;

/// The message of a helper that knows no credentials for a server.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// The largest answer, in bytes.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;
/// The interval at which a wait looks whether it has to end.
const TICK: Duration = Duration::from_millis(10);
/// A helper that is silent for so long is told of, and again after twice the time.
const FIRST_WORD: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks the helper `name` for the credentials of `server`; one that takes longer than `patience` is ended.
pub(super) fn ask(name: &str, server: &str, patience: Duration, ctx: &Ctx) -> Result<Option<Credentials>> {
    let program = format!("docker-credential-{name}");
    run(&program, server, patience, ctx).map_err(|problem| match problem {
        HelperProblem::Cancelled(cancelled) => cancelled.into(),
        problem => Error::Helper { program, server: server.to_owned(), problem },
    })
}

fn run(
    program: &str,
    server: &str,
    patience: Duration,
    ctx: &Ctx,
) -> Result<Option<Credentials>, HelperProblem> {
    if program.contains('/') {
        return Err(HelperProblem::Name);
    }
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => HelperProblem::Missing,
        _ => error.into(),
    })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not listen will say so by its answer.
        let _ = stdin.write_all(server.as_bytes());
    }
    let answered = answer(&mut child, program, patience, ctx);
    if answered.is_err() {
        // It may have ended by itself just now.
        let _ = child.kill();
        let _ = child.wait();
    }
    let (status, said) = answered?;
    if !status.success() {
        return match said.trim() {
            NOT_FOUND => Ok(None),
            "" => Err(HelperProblem::Failed { status, said: "it does not say why".into() }),
            said => Err(HelperProblem::Failed { status, said: said.to_owned() }),
        };
    }
    let answer: Answer = serde_json::from_str(&said).map_err(|_| HelperProblem::Answer)?;
    Ok(match (answer.username.as_str(), answer.secret) {
        (_, secret) if secret.is_empty() => None,
        ("<token>", secret) => Some(Credentials::IdentityToken { token: secret, login: None }),
        (_, password) => Some(Credentials::Password { user: answer.username, password }),
    })
}

/// How a helper ended, and what it said.
fn answer(
    child: &mut Child,
    program: &str,
    patience: Duration,
    ctx: &Ctx,
) -> Result<(ExitStatus, String), HelperProblem> {
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let stdout = child.stdout.take();
    // The thread ends with the output, which a program that the helper started may hold open.
    std::thread::Builder::new().spawn(move || {
        let mut said = Vec::new();
        let read = stdout.map_or(Ok(0), |stdout| stdout.take(MAX_ANSWER_BYTES).read_to_end(&mut said));
        let _ = sender.send(read.map(|_| said));
    })?;
    let (began, mut next_word, mut said) = (Instant::now(), FIRST_WORD, None);
    loop {
        if said.is_some() {
            std::thread::sleep(TICK);
        } else if let Ok(read) = receiver.recv_timeout(TICK) {
            said = Some(read?);
        }
        if let (Some(said), Some(status)) = (&said, child.try_wait()?) {
            return Ok((status, String::from_utf8_lossy(said).into_owned()));
        }
        ctx.cancel.check()?;
        let time = began.elapsed();
        if time >= patience {
            return Err(HelperProblem::Silent(patience));
        }
        if time >= next_word {
            next_word *= 2;
            let why = format!("silent for {} s", time.as_secs());
            ctx.progress.event(Event::Waiting { host: program, why: &why, pause: None });
        }
    }
}
