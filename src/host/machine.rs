//! A machine, as it is configured.

use std::fs::File;
use std::io;
#[cfg(feature = "net")]
use std::sync::OnceLock;

use super::Environment;
#[cfg(feature = "net")]
use crate::net::Authorities;

/// A machine, as a process with this environment sees it. Files are read when they are needed.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    pub(super) env: Environment,
    /// The certificate authorities that the machine trusts on TLS connections.
    #[cfg(feature = "net")]
    pub(super) authorities: OnceLock<Authorities>,
}

impl Machine {
    /// The machine, with the environment of this process.
    pub fn from_env() -> Self {
        Self::new(Environment::of_process())
    }

    /// The machine, with another environment.
    pub fn new(env: Environment) -> Self {
        Self {
            env,
            #[cfg(feature = "net")]
            authorities: OnceLock::new(),
        }
    }

    /// A file without a name for what does not fit into memory: in TMPDIR, or else in /var/tmp, as podman does.
    ///
    /// # Errors
    /// What the file system says.
    pub fn temporary_file(&self) -> io::Result<File> {
        tempfile::tempfile_in(self.env.path("TMPDIR").unwrap_or_else(|| "/var/tmp".into()))
    }
}
