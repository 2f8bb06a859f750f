//! Other machines by ssh: the program that the user's ssh starts there, and how it ended.
//!
//! ```text
//! ssh://[USER@]HOST[:PORT]/PATH      [USER@]HOST:PATH, where no '/' comes before the ':'
//!   └► ssh [-p PORT] [USER@]HOST "ostree-rs receive --repo='PATH'"
//! ```
//! A user who names such a place asks for ssh to be executed, with the user's keys and `~/.ssh/config`; but for
//! credential helpers, which the user configured, no other program is. Names that ssh would take for options are
//! refused, and the path is quoted for the shell there.

use std::fmt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use ostree_format::ParseError;

use super::{Error, Machine, Result};

/// The program on the other machine.
const PROGRAM: &str = "ostree-rs";
/// The exit code of shells that find no such program.
const NO_PROGRAM: i32 = 127;
/// The exit code of ssh itself.
const NO_CONNECTION: i32 = 255;

/// A directory on another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshPlace {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    path: String,
}

impl SshPlace {
    /// Reads the name of a place; `None` if it is a path on this machine, as everything is that has no `:` before its
    /// first `/`.
    ///
    /// # Errors
    /// [`Error::SshPlace`] if it has no host or path, or one that would be taken for an option.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let invalid = |why: &'static str| Error::SshPlace {
            name: text.to_owned(),
            source: ParseError::invalid("destination", 0, why),
        };
        let (user, host, port, path) = if let Some(rest) = text.strip_prefix("ssh://") {
            let at = rest.find('/').ok_or_else(|| invalid("no path behind the host"))?;
            let (authority, path) = rest.split_at(at);
            let (user, host) = split_user(authority);
            let (host, port) = split_port(host).ok_or_else(|| invalid("no number behind the host"))?;
            (user, host, port, path.strip_prefix("/~/").unwrap_or(path))
        } else if text.split_once("://").is_some_and(|(scheme, _)| !scheme.contains('/')) {
            return Err(invalid("a push goes to a directory, to HOST:PATH, or to ssh://HOST/PATH"));
        } else {
            let Some((place, path)) = split_place(text) else { return Ok(None) };
            let (user, host) = split_user(place);
            (user, unbracketed(host), None, path.strip_prefix("~/").unwrap_or(path))
        };
        if host.is_empty() || user.is_some_and(str::is_empty) {
            return Err(invalid("no host"));
        }
        if path.is_empty() {
            return Err(invalid("no path"));
        }
        let is_option = |name: &str| name.starts_with('-');
        if is_option(host) || user.is_some_and(is_option) || is_option(path) {
            return Err(invalid("a name that begins with '-' would be taken for an option"));
        }
        if text.contains(char::is_control) {
            return Err(invalid("a control character"));
        }
        Ok(Some(Self { user: user.map(Into::into), host: host.into(), port, path: path.into() }))
    }

    /// The user and the host, as ssh takes them.
    fn login(&self) -> String {
        match &self.user {
            Some(user) => format!("{user}@{}", self.host),
            None => self.host.clone(),
        }
    }
}

impl fmt::Display for SshPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.login(), self.path)
    }
}

/// `HOST:PATH`, if it is that.
fn split_place(text: &str) -> Option<(&str, &str)> {
    let colon = match text.rfind("]:").filter(|_| text.contains('[')) {
        Some(end) => end + 1,
        None => text.find(':')?,
    };
    let (place, path) = (&text[..colon], &text[colon + 1..]);
    (!place.contains('/')).then_some((place, path))
}

fn split_user(place: &str) -> (Option<&str>, &str) {
    match place.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, place),
    }
}

/// A host, and its port if there is one.
fn split_port(host: &str) -> Option<(&str, Option<u16>)> {
    match host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => Some((unbracketed(host), Some(port.parse().ok()?))),
        _ => Some((unbracketed(host), None)),
    }
}

/// An address of version 6 stands in brackets.
fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// The programs for a connection, where they are not the usual ones.
#[derive(Debug, Clone, Default)]
pub struct SshOptions {
    /// The ssh of this machine, and options for it, separated by spaces.
    pub command: Option<String>,
    /// The ostree-rs of the other machine, as the shell there reads it.
    pub program: Option<String>,
}

/// A program that runs on another machine. Dropped, it is ended.
#[derive(Debug)]
pub struct SshSession {
    place: SshPlace,
    ssh: String,
    program: String,
    child: Child,
}

impl Machine {
    /// Has the user's ssh (`OSTREE_RS_SSH`, or `ssh`) start `ostree-rs receive` for the repository at `place`; gives the
    /// session, and what it writes and reads.
    ///
    /// # Errors
    /// [`Error::Ssh`] if ssh cannot be started.
    pub fn receive_at(
        &self,
        place: &SshPlace,
        options: &SshOptions,
    ) -> Result<(SshSession, (ChildStdout, ChildStdin))> {
        let ssh = options.command.as_deref().or_else(|| self.env.text("OSTREE_RS_SSH")).unwrap_or("ssh");
        let mut words = ssh.split_whitespace();
        let program = options.program.clone().unwrap_or_else(|| PROGRAM.to_owned());
        let failed = |why: String| Error::Ssh { place: place.to_string(), why };
        let mut command = Command::new(words.next().ok_or_else(|| failed("no program for ssh".into()))?);
        command.args(words);
        if let Some(port) = place.port {
            command.arg("-p").arg(port.to_string());
        }
        command.arg(place.login());
        command.arg(format!("{program} receive --repo={}", quoted(&place.path)));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut child = child.map_err(|source| failed(format!("{ssh}: {source}")))?;
        let pipes = child.stdout.take().zip(child.stdin.take());
        let session = SshSession { place: place.clone(), ssh: ssh.to_owned(), program, child };
        Ok((session, pipes.ok_or_else(|| failed("no pipes".into()))?))
    }
}

impl SshSession {
    /// The place that it works on.
    pub fn place(&self) -> &SshPlace {
        &self.place
    }

    /// Waits until the program has ended, whose pipes have to be closed; gives the reason if it, or ssh, failed.
    ///
    /// # Errors
    /// [`Error::Ssh`] with the reason.
    pub fn end(mut self) -> Result<()> {
        let (ssh, program) = (&self.ssh, &self.program);
        let why = match self.child.wait().map(|status| (status, status.code())) {
            Ok((status, _)) if status.success() => return Ok(()),
            Ok((_, Some(NO_PROGRAM))) => {
                format!("there is no program {program} there, or no {ssh} here (exit code {NO_PROGRAM})")
            }
            Ok((_, Some(NO_CONNECTION))) => format!("{ssh} could not connect, or lost the connection"),
            Ok((status, _)) => format!("the program there failed ({status})"),
            Err(source) => source.to_string(),
        };
        Err(Error::Ssh { place: self.place.to_string(), why })
    }
}

impl Drop for SshSession {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A word of a shell's command line.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_from_paths() {
        let parse = |text: &str| match SshPlace::parse(text) {
            Ok(None) => "path".to_owned(),
            Ok(Some(place)) => format!("{} {:?} {}", place.login(), place.port, place.path),
            Err(error) => error.to_string(),
        };
        for (text, expected) in [
            ("host:repo", "host None repo"),
            ("me@host:/srv/a b", "me@host None /srv/a b"),
            ("host:~/repo", "host None repo"),
            ("me@[::1]:/srv", "me@::1 None /srv"),
            ("ssh://host/srv/repo", "host None /srv/repo"),
            ("ssh://me@host:2222/~/repo", "me@host Some(2222) repo"),
            ("ssh://[fe80::1]:22/srv", "fe80::1 Some(22) /srv"),
            ("/srv/a:b", "path"),
            ("./a:b", "path"),
            ("repo", "path"),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        for text in [
            "-oProxyCommand=x:repo",
            "-l@host:repo",
            "http://host/repo",
            "file:///srv/repo",
            "ssh://-oProxyCommand=x/repo",
            "host:-repo",
            "host:",
            ":repo",
            "@host:repo",
            "ssh://host",
            "ssh://host:x/repo",
            "host:a\nb",
        ] {
            assert!(SshPlace::parse(text).is_err(), "{text}");
        }
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
