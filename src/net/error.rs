//! What can go wrong on the network; every error names the URL.

use std::time::Duration;

use reqwest::{StatusCode, Url};

use super::patience::secs;
use super::tls::of_webpki;
use crate::base::{Cancelled, ErrorKind, Kind, causes};

/// The result of every call over the network.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong on the network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered with a status that means failure.
    #[error("{method} {url}: {}", status_text(*.status, .body, *.retry_after))]
    Status {
        /// The request's method.
        method: reqwest::Method,
        /// The request's URL, without query: it may carry secrets.
        url: String,
        /// The status.
        status: StatusCode,
        /// What the server says about it; at most some words.
        body: String,
        /// How long it asks to wait before the next try.
        retry_after: Option<Duration>,
    },
    /// No answer came, or it broke off more often than is retried.
    #[error("{url}: {}", chain(&**.cause))]
    Transport {
        /// The request's URL, without query.
        url: String,
        /// What went wrong. The message tells all of it, so it is no `source` to be told once more.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS cannot be spoken with the server, for a reason that the user can do something about.
    #[error("{host} {problem}")]
    Tls {
        /// The server, with its port if that is not the usual one.
        host: String,
        /// The reason.
        problem: TlsProblem,
    },
    /// A body broke off, and the rest could not be had.
    #[error("{url}: broke off after {received}{} bytes: {}", of_size(*.size), .cause.without_url())]
    BrokenOff {
        /// The request's URL, without query.
        url: String,
        /// Bytes that came.
        received: u64,
        /// Bytes that should have come, where that is known.
        size: Option<u64>,
        /// What the last try gave.
        cause: Box<Error>,
    },
    /// An answer is not the JSON that was expected.
    #[error("{url} answered {status} with {}, {why}: is it a registry?", type_text(.content_type.as_deref()))]
    NotJson {
        /// The request's URL, without query.
        url: String,
        /// The status.
        status: StatusCode,
        /// What the server says that it is.
        content_type: Option<String>,
        /// What was expected, and how the answer starts or where it goes wrong.
        why: String,
    },
    /// The server's answer makes no sense.
    #[error("{url}: {why}")]
    Protocol {
        /// The request's URL, without query.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server does not let us in with the credentials given, or wants some and none were given.
    #[error("{host}: {why}")]
    Denied {
        /// The server, with its port if that is not the usual one.
        host: String,
        /// What it said.
        why: String,
        /// Whether credentials were given for it.
        login: Login,
    },
    /// A certificate, key, proxy or URL that was given cannot be used.
    #[error("{what}: {why}")]
    Config {
        /// What was given.
        what: String,
        /// Why it cannot be used.
        why: String,
    },
    /// The registry threw an upload away that had broken off: the blob has to be sent from its start.
    #[error("{url}: the connection broke, and the registry cannot go on with the upload")]
    UploadLost {
        /// The upload's URL, without query.
        url: String,
    },
    /// What came could not be put into a file.
    #[error("keeping what was fetched: {0}")]
    Keeping(std::io::Error),
    /// The work was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// The reasons for which TLS cannot be spoken with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsProblem {
    /// The answer was not TLS.
    #[error("does not speak TLS")]
    NotSpoken,
    /// None of the authorities that are trusted signed the server's certificate.
    #[error("has a certificate of an issuer that is not trusted (UnknownIssuer)")]
    UnknownIssuer,
    /// The server signed its certificate itself, and it is not among those that are trusted.
    #[error("signed its certificate itself")]
    SelfSigned,
    /// The server's certificate is not valid any more, or not yet.
    #[error("has a certificate that is not valid at this time, by the clock of this machine (Expired)")]
    Expired,
    /// The server's certificate is of the first version, which has no place for names of hosts.
    #[error(
        "has a certificate of X.509 version 1, which does not say of which hosts it is (no subjectAltName)"
    )]
    NamesNoHost,
    /// The signature on the server's certificate, or by its key, is of a kind that is not accepted.
    #[error(
        "has a certificate with a signature that is wrong, too weak or of a kind that is not known here \
         (SHA-1, RSA of less than 2048 bits)"
    )]
    BadSignature,
    /// The server breaks the handshake off without a word.
    #[error(
        "broke the handshake off (HandshakeFailure): it knows no version, cipher or kind of key that this program \
         knows, or wants a client certificate"
    )]
    NothingInCommon,
    /// The server lets only those in who have a certificate, and there was none to show.
    #[error("wants a client certificate (CertificateRequired)")]
    WantsCertificate,
    /// The server does not accept the client certificate that it was shown.
    #[error("does not accept the client certificate")]
    RefusesCertificate,
}

/// Whether a server that did not let us in had been given credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// Credentials were given, and do not suffice.
    Insufficient,
    /// There were none to give.
    None,
}

impl Kind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Status { .. } if self.is_not_found() => ErrorKind::Missing,
            Self::Cancelled(_) => ErrorKind::Cancelled,
            Self::Config { .. } => ErrorKind::Usage,
            Self::Keeping(source) => Kind::kind(source),
            _ => ErrorKind::Network,
        }
    }
}

impl Error {
    /// Whether the server says that the thing does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Whether the other side was there, and TLS failed: another try will fail too.
    pub(crate) fn is_tls(&self) -> bool {
        match self {
            Self::Transport { cause, .. } => causes(&**cause).any(|e| rustls_error(e).is_some()),
            _ => false,
        }
    }

    /// The error in a few words, for a line that tells why another try is made.
    pub(super) fn in_short(&self) -> String {
        match self {
            Self::Status { status, .. } => status.to_string(),
            other => other.without_url(),
        }
    }

    /// The text of the error without the URL, for use within another error about that URL.
    fn without_url(&self) -> String {
        match self {
            Self::Status { status, body, retry_after, .. } => status_text(*status, body, *retry_after),
            Self::Transport { cause, .. } => chain(&**cause),
            Self::Protocol { why, .. } => why.clone(),
            other => other.to_string(),
        }
    }

    pub(crate) fn protocol(url: &Url, why: impl Into<String>) -> Self {
        Self::Protocol { url: shown(url), why: why.into() }
    }

    pub(crate) fn transport(url: &Url, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        let problem = causes(&*cause).filter_map(rustls_error).find_map(tls_problem);
        match problem {
            Some(problem) => Self::Tls { host: host(url), problem },
            None => Self::Transport { url: shown(url), cause },
        }
    }
}

/// A URL fit for messages: no user, password, query.
pub(crate) fn shown(url: &Url) -> String {
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// A server for messages, with its port if that is not the usual one.
pub(super) fn host(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

fn status_text(status: StatusCode, body: &str, retry_after: Option<Duration>) -> String {
    let colon = if body.is_empty() { "" } else { ": " };
    let wish = retry_after.map(|time| format!("; the server asks to wait {}", secs(time)));
    format!("{status}{colon}{body}{}", wish.unwrap_or_default())
}

fn type_text(content_type: Option<&str>) -> &str {
    content_type.unwrap_or("no content type")
}

fn of_size(size: Option<u64>) -> String {
    size.map(|size| format!(" of {size}")).unwrap_or_default()
}

/// What TLS says, which lies within an I/O error, or within one of those within another.
fn rustls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut error = error;
    while let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(|e| e.get_ref()) {
        error = inner;
    }
    error.downcast_ref()
}

/// How errors begin that name a step, and leave it to their cause to say what went wrong.
const SAY_NOTHING: [&str; 3] = ["client error (", "dns error", "error resolving DNS"];

/// An error with its causes, but for those that only say that a request failed.
fn chain(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        let cause_text = cause.to_string();
        let says_nothing = cause.is::<reqwest::Error>()
            || SAY_NOTHING.iter().any(|beginning| cause_text.starts_with(beginning));
        if (says_nothing && cause.source().is_some()) || text.contains(&cause_text) {
            continue;
        }
        let colon = if text.is_empty() { "" } else { ": " };
        text = format!("{text}{colon}{cause_text}");
    }
    text
}

/// The TLS problem, if it is one that people can do something about.
fn tls_problem(error: &rustls::Error) -> Option<TlsProblem> {
    use rustls::{AlertDescription as Alert, CertificateError as Wrong, Error, InvalidMessage};
    match error {
        Error::AlertReceived(Alert::HandshakeFailure | Alert::ProtocolVersion) => {
            Some(TlsProblem::NothingInCommon)
        }
        Error::AlertReceived(Alert::CertificateRequired) => Some(TlsProblem::WantsCertificate),
        Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown,
        ) => Some(TlsProblem::RefusesCertificate),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(TlsProblem::NotSpoken),
        Error::InvalidCertificate(Wrong::UnknownIssuer) => Some(TlsProblem::UnknownIssuer),
        Error::InvalidCertificate(
            Wrong::Expired
            | Wrong::ExpiredContext { .. }
            | Wrong::NotValidYet
            | Wrong::NotValidYetContext { .. },
        ) => Some(TlsProblem::Expired),
        Error::InvalidCertificate(
            Wrong::BadSignature
            | Wrong::UnsupportedSignatureAlgorithmContext { .. }
            | Wrong::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => Some(TlsProblem::BadSignature),
        error => match of_webpki(error)? {
            webpki::Error::CaUsedAsEndEntity => Some(TlsProblem::SelfSigned),
            webpki::Error::UnsupportedCertVersion => Some(TlsProblem::NamesNoHost),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Registries redirect to a storage that takes the right to read from the query.
    #[test]
    fn secrets_in_a_url_are_not_shown() {
        let url = Url::parse("https://me:word@cdn.example.org:444/blob?X-Amz-Signature=abc&sig=d#e");
        assert_eq!(url.as_ref().map(shown), Ok("https://cdn.example.org:444/blob".to_owned()));
        assert_eq!(url.as_ref().map(host), Ok("cdn.example.org:444".to_owned()));
    }
}
