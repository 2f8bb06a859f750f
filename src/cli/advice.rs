//! Where an error becomes text: what went wrong, and what to do next.
//!
//! The library tells facts and kinds; which option, verb or file helps is known here alone.

use rustix::io::Errno;

use super::causes::Cause;
use super::room;
use crate::net::{self, Login, TlsProblem};
use crate::sysroot::Unsealed;
use crate::transfer::pipe;
use crate::{container, host, remote, store, sysroot, tar};

/// An error against which something helps that only the command knows.
#[derive(Debug, thiserror::Error)]
#[error("{advice}")]
pub(crate) struct Advised {
    advice: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Advised {
    /// The error `source`, against which `advice` helps: it is said behind all causes.
    pub(crate) fn new(source: impl std::error::Error + Send + Sync + 'static, advice: String) -> Self {
        Self { advice, source: Box::new(source) }
    }
}

/// All that is to be said of an error, on one line.
pub(crate) fn text(error: &anyhow::Error) -> String {
    let text = chain(error.chain().filter(|cause| !cause.is::<Advised>()));
    match room::advice(error).or_else(|| error.chain().find_map(next_step)) {
        Some(advice) => format!("{text}; {advice}"),
        None => text,
    }
}

/// What the standard library says of input that ends too early, in words of programmers.
const UNFILLED: &str = "failed to fill whole buffer";

/// Causes in a row. One that its error already quotes is not said twice, and the numbers of the system's errors are
/// left out: their words say it.
pub(crate) fn chain<'a>(causes: impl Iterator<Item = Cause<'a>>) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in causes {
        let cause = without_numbers(&cause.to_string()).replace(UNFILLED, "the data ends too early");
        let is_quoted = |by: &String| by.starts_with(&cause) || by.ends_with(&cause);
        if !said.last().is_some_and(is_quoted) {
            said.push(cause);
        }
    }
    said.join(": ")
}

/// `No such file or directory (os error 2)` without what stands in brackets.
pub(crate) fn without_numbers(text: &str) -> String {
    const START: &str = " (os error ";
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once(START) {
        out.push_str(before);
        rest = match behind.split_once(')') {
            Some((number, behind)) if number.parse::<i32>().is_ok() => behind,
            _ => {
                out.push_str(START);
                behind
            }
        };
    }
    out + rest
}

/// What helps against `cause`, if something is known to.
fn next_step(cause: Cause<'_>) -> Option<String> {
    let advised = cause.downcast_ref().map(|Advised { advice, .. }| advice.clone());
    advised.or_else(|| of_library(cause).map(str::to_owned))
}

/// What helps against `cause`, if it is an error of the library that something is known to help against.
fn of_library(cause: Cause<'_>) -> Option<&'static str> {
    None.or_else(|| cause.downcast_ref().and_then(of_host))
        .or_else(|| cause.downcast_ref().and_then(of_container))
        .or_else(|| cause.downcast_ref().and_then(of_tar))
        .or_else(|| cause.downcast_ref().and_then(of_store))
        .or_else(|| cause.downcast_ref().and_then(of_sysroot))
        .or_else(|| cause.downcast_ref().and_then(of_remote))
        .or_else(|| cause.downcast_ref().and_then(of_net))
        .or_else(|| cause.downcast_ref().and_then(of_pipe))
        .or_else(|| cause.downcast_ref().and_then(of_system))
}

fn of_system(error: &std::io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error)? {
        Errno::FBIG => Some("the file system, or `ulimit -f`, allows no larger file"),
        Errno::MFILE => Some("`ulimit -n` with a larger number allows more of them"),
        _ => None,
    }
}

fn of_host(error: &host::Error) -> Option<&'static str> {
    use host::{Error, HelperProblem};
    match error {
        Error::NoRepository(_) | Error::NotARepository(_) => Some("`init` makes one"),
        Error::NoSecretKeys => Some("--gpg-homedir names their directory"),
        Error::NoSecretKeysAt(_) => {
            Some("--gpg-homedir names another place of secret keys; `gpg-new-key` makes a file with one")
        }
        Error::Helper { problem: HelperProblem::Silent(_), .. } => {
            Some("with a longer --timeout it is waited for")
        }
        Error::Ssh { .. } => Some("--ssh and --receive-program name other programs"),
        Error::Helper { problem: HelperProblem::Missing, .. } => {
            Some("install it, or take its name out of there and log in with `podman login`")
        }
        Error::NoAuthFile(_) => {
            Some("`podman login --authfile` makes it; --authfile or REGISTRY_AUTH_FILE names it")
        }
        Error::Sysroot(sysroot::Error::NotASysroot) => {
            Some("--sysroot names another one, `admin init-fs` makes one")
        }
        Error::Sysroot(error) => of_sysroot(error),
        Error::Remote(error) => of_remote(error),
        Error::Net(error) => of_net(error),
        Error::At { source, .. } => of_host(source),
        Error::Image(error) => of_container(error),
        Error::Policy { source, .. } => of_container(source),
        Error::Store(error) | Error::Repository { source: error, .. } => of_store(error),
        _ => None,
    }
}

fn of_container(error: &container::image::Error) -> Option<&'static str> {
    use container::image::Error;
    match error {
        Error::NoSignaturePolicy => Some(
            "give its keys (--gpg-keyring FILE, or a remote that has some: ostree-remote-image:REMOTE:IMAGE), let \
             policy.json ask for a signature of the image, or accept any commit (ostree-unverified-image:IMAGE)",
        ),
        Error::UnsignedLayers { .. } => Some(
            "have the image itself signed (ostree-image-signed:IMAGE), or accept any layers \
             (ostree-unverified-image:IMAGE)",
        ),
        Error::Program { .. } => {
            Some("--serve-program takes an ostree-rs that was built for them, as a static program")
        }
        Error::UnknownMachine { .. } => Some("--platform says which it is for"),
        Error::Source { source, .. } => of_container(source),
        Error::Net(error) => of_net(error),
        Error::Tar(error) => of_tar(error),
        Error::Store(error) => of_store(error),
        _ => None,
    }
}

fn of_tar(error: &tar::Error) -> Option<&'static str> {
    match error {
        tar::Error::Store(error) => of_store(error),
        _ => None,
    }
}

fn of_store(error: &store::Error) -> Option<&'static str> {
    match error {
        store::Error::NotForward { .. } => Some("nothing was pushed; --force lets the ref go elsewhere"),
        store::Error::Io { source, .. } if source.kind() == std::io::ErrorKind::CrossesDevices => {
            Some("hard links stay on one file system, and without -H files are copied")
        }
        store::Error::Io { op, source, .. }
            if op.starts_with("set the xattr") && source.kind() == std::io::ErrorKind::Unsupported =>
        {
            Some("files there have no xattrs; a repository of `init --mode=archive` does without")
        }
        store::Error::Io { op: "symlink", source, .. } if has_no_links(source) => Some(
            "there are no symbolic links; objects of a repository of `init --mode=archive` never are any",
        ),
        store::Error::Io { op: "symlinkat", source, .. } if has_no_links(source) => {
            Some("there are no symbolic links: another file system has them")
        }
        store::Error::Owner { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => Some(
            "a bare repository keeps owners, which takes root; one of `init --mode=bare-user` does without",
        ),
        _ => None,
    }
}

/// Whether a file system knows no symbolic links: vfat and exfat do not.
fn has_no_links(error: &std::io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP))
}

fn of_sysroot(error: &sysroot::Error) -> Option<&'static str> {
    match error {
        sysroot::Error::BootFull { .. } => {
            Some("`admin undeploy` of a deployment that is not needed makes room")
        }
        sysroot::Error::WhichStateroot => Some("--os names one"),
        sysroot::Error::Unsealed {
            why: Unsealed::NoCommit | Unsealed::Layers | Unsealed::NoDigest, ..
        } => Some("`commit --generate-composefs-metadata` writes the digest"),
        sysroot::Error::In { source, .. } => of_sysroot(source),
        sysroot::Error::Store(error) => of_store(error),
        _ => None,
    }
}

fn of_remote(error: &remote::Error) -> Option<&'static str> {
    match error {
        remote::Error::Net(error) => of_net(error),
        remote::Error::Store(error) => of_store(error),
        _ => None,
    }
}

fn of_pipe(error: &pipe::Error) -> Option<&'static str> {
    use pipe::Error::{BrokenOff, NotSpoken, Store, Stream};
    match error {
        Store(error) => of_store(error),
        BrokenOff | Stream(_) => Some("what has arrived is kept for the next push"),
        NotSpoken(_) => {
            Some("a shell that prints something at its start, or another program, stands in between")
        }
        _ => None,
    }
}

fn of_net(error: &net::Error) -> Option<&'static str> {
    match error {
        net::Error::Tls { problem: TlsProblem::NotSpoken, .. } => {
            Some("--tls-verify=false, or `insecure` in registries.conf, does without")
        }
        net::Error::Tls { problem: TlsProblem::UnknownIssuer, .. } => Some(
            "to trust the issuer, put its certificate (*.crt) into a directory for --cert-dir, or into certs.d",
        ),
        net::Error::Tls { problem: TlsProblem::SelfSigned, .. } => {
            Some("to trust it, put it (*.crt) into a directory for --cert-dir, or into certs.d")
        }
        net::Error::Tls { problem: TlsProblem::WantsCertificate, .. } => Some(
            "put it (X.cert) and its key (X.key) into a directory for --cert-dir, or into certs.d; for a remote, set \
             tls-client-cert-path and tls-client-key-path",
        ),
        net::Error::Denied { login: Login::None, .. } => {
            Some("log in with `podman login`, or give --authfile or --creds")
        }
        net::Error::Status { retry_after: Some(_), .. } => Some("with a longer --timeout it is waited for"),
        net::Error::BrokenOff { cause, .. } => of_net(cause),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_that_ends_too_early() {
        let error = std::io::Read::read_exact(&mut std::io::empty(), &mut [0]).unwrap_err();
        assert_eq!(chain(anyhow::Chain::new(&error)), "the data ends too early");
    }

    #[test]
    fn numbers_of_errors_say_nothing() {
        for (given, said) in [
            ("open x: No such file or directory (os error 2)", "open x: No such file or directory"),
            ("a (os error 2), b (os error 17)!", "a, b!"),
            ("a (os error b) (os error 2", "a (os error b) (os error 2"),
        ] {
            assert_eq!(without_numbers(given), said);
        }
    }
}
