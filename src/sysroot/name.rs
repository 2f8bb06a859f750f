//! The names in a sysroot: of stateroots, of deployments, and of the links that the kernel's command line has.
//!
//! ```text
//! ostree/deploy/STATEROOT/deploy/COMMIT.SERIAL            a deployment
//! ostree/deploy/STATEROOT/deploy/COMMIT.SERIAL.origin     where it came from
//! ostree/deploy/STATEROOT/backing/COMMIT.SERIAL           what overlays on it keep
//! ostree=/ostree/boot.V/STATEROOT/BOOTCHECKSUM/BOOTSERIAL a link to it, as the kernel is told of it
//! ```

use std::fmt;
use std::str::FromStr;

use ostree_format::{Checksum, CommitId, ParseError};

/// The name of a stateroot: a set of deployments that share `/var`, often called after the operating system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stateroot(String);

impl Stateroot {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of its directory in the sysroot.
    pub fn path(&self) -> String {
        format!("ostree/deploy/{self}")
    }
}

impl FromStr for Stateroot {
    type Err = ParseError;

    fn from_str(name: &str) -> Result<Self, ParseError> {
        if name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '\0', ' ', '\n']) {
            return Err(ParseError::invalid("stateroot", 0, format!("invalid name '{name}'")));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for Stateroot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a deployment: no two in a sysroot have the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeploymentId {
    /// The stateroot that it belongs to.
    pub stateroot: Stateroot,
    /// The commit that was checked out.
    pub commit: CommitId,
    /// The number among the deployments of this commit.
    pub serial: u32,
}

impl DeploymentId {
    /// The deployment whose directory has this name.
    ///
    /// # Errors
    /// If the name is not a commit, a dot and a number.
    pub fn from_name(stateroot: Stateroot, name: &str) -> Result<Self, ParseError> {
        DeploymentDir::from_name(stateroot, name)?.id().ok_or_else(|| not_a_deployment(name))
    }

    /// The name of its directory.
    pub fn name(&self) -> String {
        format!("{}.{}", self.commit, self.serial)
    }

    /// The path of its directory in the sysroot.
    pub fn path(&self) -> String {
        self.dir().path()
    }

    /// The path of the file that says where it came from.
    pub fn origin_path(&self) -> String {
        self.dir().origin_path()
    }

    /// The path of the directory that keeps what overlays on it write.
    pub fn backing_path(&self) -> String {
        self.dir().backing_path()
    }

    /// The directory in which the deployment lies.
    pub(super) fn dir(&self) -> DeploymentDir {
        DeploymentDir { stateroot: self.stateroot.clone(), name: self.name() }
    }
}

/// A directory where deployments lie, called as one: digits, a dot and a number. What has fewer digits than a commit is
/// no deployment, only rubbish.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeploymentDir {
    stateroot: Stateroot,
    name: String,
}

impl DeploymentDir {
    /// The directory of this name.
    pub(super) fn from_name(stateroot: Stateroot, name: &str) -> Result<Self, ParseError> {
        let is_made_of =
            |text: &str, digits: &str| !text.is_empty() && text.chars().all(|one| digits.contains(one));
        match name.split_once('.') {
            Some((hex, serial))
                if is_made_of(hex, "0123456789abcdef") && is_made_of(serial, "0123456789") =>
            {
                Ok(Self { stateroot, name: name.to_owned() })
            }
            _ => Err(not_a_deployment(name)),
        }
    }

    /// The deployment that it may be.
    pub(super) fn id(&self) -> Option<DeploymentId> {
        let (commit, serial) = self.name.split_once('.')?;
        let (commit, serial) = (commit.parse().ok()?, serial.parse().ok()?);
        Some(DeploymentId { stateroot: self.stateroot.clone(), commit, serial })
    }

    /// The path in the sysroot.
    pub(super) fn path(&self) -> String {
        format!("{}/deploy/{}", self.stateroot.path(), self.name)
    }

    /// The path of the file that says where the deployment came from.
    pub(super) fn origin_path(&self) -> String {
        format!("{}.origin", self.path())
    }

    /// The path of the directory that keeps what overlays on the deployment write.
    pub(super) fn backing_path(&self) -> String {
        format!("{}/backing/{}", self.stateroot.path(), self.name)
    }
}

fn not_a_deployment(name: &str) -> ParseError {
    let why = format!("Invalid deploy name '{name}', expected CHECKSUM.TREESERIAL");
    ParseError::invalid("deployment", 0, why)
}

/// One of the two versions that each set of boot entries or links alternates between: while one is in use, the
/// other is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BootVersion {
    /// Version 0, which is taken for the current one where there is none.
    #[default]
    Zero,
    /// Version 1.
    One,
}

impl BootVersion {
    /// The side that is not in use.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Zero => Self::One,
            Self::One => Self::Zero,
        }
    }
}

impl fmt::Display for BootVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zero => "0",
            Self::One => "1",
        })
    }
}

/// What the kernel's argument `ostree=` names: a link to a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootLink {
    /// The version of the boot entries that it belongs to.
    pub version: BootVersion,
    /// The stateroot of the deployment.
    pub stateroot: Stateroot,
    /// The checksum of the kernel and what belongs to it.
    pub boot_checksum: Checksum,
    /// The deployment's number among those of the stateroot with this kernel.
    pub serial: u32,
}

impl BootLink {
    /// The path of the link in the sysroot.
    pub fn path(&self) -> String {
        let Self { version, stateroot, boot_checksum, serial } = self;
        format!("ostree/boot.{version}/{stateroot}/{boot_checksum}/{serial}")
    }
}

impl FromStr for BootLink {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parse = || {
            let rest = text.strip_prefix('/')?.strip_prefix("ostree/boot.")?;
            let [version, stateroot, boot_checksum, serial] = rest.split('/').collect::<Vec<_>>()[..] else {
                return None;
            };
            let version = match version {
                "0" => BootVersion::Zero,
                "1" => BootVersion::One,
                _ => return None,
            };
            Some(Self {
                version,
                stateroot: stateroot.parse().ok()?,
                boot_checksum: boot_checksum.parse().ok()?,
                serial: number(serial)?,
            })
        };
        parse().ok_or_else(|| {
            let why = format!(
                "Invalid ostree= argument '{text}', expected \
                 ostree=/ostree/boot.BOOTVERSION/OSNAME/BOOTCSUM/TREESERIAL"
            );
            ParseError::invalid("boot entry", 0, why)
        })
    }
}

impl fmt::Display for BootLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.path())
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn names_are_read_as_they_are_written() {
        let os: Stateroot = "os".parse().unwrap();
        let id = DeploymentId::from_name(os.clone(), &format!("{C}.12")).unwrap();
        assert_eq!((id.serial, id.path()), (12, format!("ostree/deploy/os/deploy/{C}.12")));
        for wrong in ["", ".0", C, &format!("{C}.")[..], &format!("{C}.+1"), &format!("{C}.0.origin")] {
            assert!(DeploymentId::from_name(os.clone(), wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn links_are_read_as_they_are_written() {
        let text = format!("/ostree/boot.1/os/{C}/3");
        let link: BootLink = text.parse().unwrap();
        assert_eq!((link.to_string(), link.version, link.serial), (text, BootVersion::One, 3));
        for wrong in ["", "/ostree/boot.2/os/x/0", "ostree/boot.1/os", &format!("/ostree/boot.1/../{C}/0")] {
            assert!(wrong.parse::<BootLink>().is_err(), "{wrong}");
        }
    }
}
