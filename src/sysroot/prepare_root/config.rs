//! `prepare-root.conf`: how a deployment becomes the root file system.

use std::io::{self, Read};

use cap_std::fs::Dir;
use ostree_format::ParseError;
use ostree_format::keyfile::KeyFile;

use super::cmdline;

/// Where the file is, in an initramfs and in a deployment; the last one that exists counts alone.
const FILES: [&str; 2] = ["usr/lib/ostree/prepare-root.conf", "etc/ostree/prepare-root.conf"];
/// The file may not be larger.
const MAX_BYTES: u64 = 1 << 20;
/// The keys that a commit has to be signed by, unless `composefs.keypath` names another file.
const DEFAULT_KEYS: &str = "etc/ostree/initramfs-root-binding.key";
/// The word of the command line that overrides `composefs.enabled`.
const CMDLINE_KEY: &str = "ostree.prepare-root.composefs";

/// How a deployment becomes the root file system.
///
/// ```text
/// [root]       transient, transient-ro
/// [etc]        transient
/// [sysroot]    readonly
/// [composefs]  enabled = no | maybe | yes | verity | signed, keypath
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootConfig {
    /// Whether the root is a composefs mount.
    pub composefs: Composefs,
    /// What of a composefs mount is verified.
    pub integrity: Integrity,
    /// What becomes of changes to the root directory and `/usr`.
    pub root: RootChanges,
    /// Whether changes to `/etc` last until the machine is turned off.
    pub is_etc_transient: bool,
    /// Whether `/sysroot` can only be read, if that is configured.
    pub is_sysroot_readonly: Option<bool>,
    /// The file with the keys that commits have to be signed by, without the first `/`.
    pub keys: String,
}

/// A choice between composefs and bind mounts for the root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Composefs {
    /// Bind mounts of the checked-out deployment.
    #[default]
    No,
    /// composefs, if the deployment has an image.
    Maybe,
    /// composefs; without an image the machine does not boot.
    Yes,
}

/// What of a composefs mount is verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Integrity {
    /// Nothing.
    #[default]
    None,
    /// Every file, by fs-verity's digests in the image.
    Verity,
    /// The image as well, by its digest in the commit, and the commit by its signature.
    Signed,
}

/// What becomes of changes to the root directory and `/usr`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RootChanges {
    /// Refused as far as the root is read-only; otherwise they last.
    #[default]
    AsMounted,
    /// Taken, and lost when the machine is turned off.
    Transient,
    /// There is room for them, but it is mounted read-only: privileged programs mount it anew.
    TransientReadOnly,
}

/// `prepare-root.conf`, or a word of the command line, cannot be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootConfigError {
    /// The file could not be read.
    #[error("reading {file}")]
    Read {
        /// The file, below the root that was handed in.
        file: &'static str,
        /// The error of the system.
        source: io::Error,
    },
    /// The file is no key file, or a value is not what its key may have.
    #[error("prepare-root.conf")]
    Syntax(#[from] ParseError),
    /// The value of `composefs.enabled`, or of the word on the command line, has no meaning.
    #[error("Invalid value for composefs: {0}")]
    Composefs(String),
    /// Both kinds of transient roots are asked for.
    #[error("Cannot set both root.transient and root.transient-ro")]
    TwoTransients,
}

impl RootConfig {
    /// Reads the configuration in a root directory, that of an initramfs or of a deployment, with the kernel's command
    /// line, which is empty if none concerns it. Without a file everything is as by default.
    ///
    /// # Errors
    /// [`RootConfigError`].
    pub fn load(root: &Dir, cmdline: &str) -> Result<Self, RootConfigError> {
        let mut config = KeyFile::new();
        for file in FILES {
            match read(root, file) {
                Ok(data) => config = KeyFile::parse(&data)?,
                Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(RootConfigError::Read { file, source }),
            }
        }
        Self::of(&config, cmdline)
    }

    /// Takes the configuration from a file that was parsed.
    ///
    /// # Errors
    /// [`RootConfigError`], but for what concerns reading.
    pub fn of(file: &KeyFile, cmdline: &str) -> Result<Self, RootConfigError> {
        let flag = |group, key| Ok::<_, ParseError>(file.get_bool(group, key)?.unwrap_or(false));
        let root = match (flag("root", "transient")?, flag("root", "transient-ro")?) {
            (false, false) => RootChanges::AsMounted,
            (true, false) => RootChanges::Transient,
            (false, true) => RootChanges::TransientReadOnly,
            (true, true) => return Err(RootConfigError::TwoTransients),
        };
        let enabled = file.get_raw("composefs", "enabled").unwrap_or("no");
        let (mut composefs, mut integrity) = enabled_value(enabled)?;
        if let Some(word) = cmdline::value(cmdline, CMDLINE_KEY) {
            let asked = enabled_value(word)?;
            composefs = asked.0;
            // Whoever may change the command line may do without signatures, but fs-verity stays configured.
            let configured = if integrity == Integrity::None { Integrity::None } else { Integrity::Verity };
            integrity = if asked.1 == Integrity::None { configured } else { asked.1 };
        }
        let keys = file.get_string("composefs", "keypath")?;
        let keys = keys.as_deref().map_or(DEFAULT_KEYS, |path| path.trim_start_matches('/')).to_owned();
        let is_etc_transient = flag("etc", "transient")?;
        let is_sysroot_readonly = file.get_bool("sysroot", "readonly")?;
        Ok(Self { composefs, integrity, root, is_etc_transient, is_sysroot_readonly, keys })
    }
}

fn read(root: &Dir, file: &str) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    root.open(file)?.take(MAX_BYTES + 1).read_to_end(&mut data)?;
    if data.len() as u64 > MAX_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(data) }
}

fn enabled_value(word: &str) -> Result<(Composefs, Integrity), RootConfigError> {
    match word {
        "signed" => Ok((Composefs::Yes, Integrity::Signed)),
        "verity" => Ok((Composefs::Yes, Integrity::Verity)),
        "yes" | "true" | "1" => Ok((Composefs::Yes, Integrity::None)),
        "no" | "false" | "0" => Ok((Composefs::No, Integrity::None)),
        "maybe" => Ok((Composefs::Maybe, Integrity::None)),
        _ => Err(RootConfigError::Composefs(word.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str, cmdline: &str) -> Result<RootConfig, RootConfigError> {
        RootConfig::of(&KeyFile::parse(text.as_bytes())?, cmdline)
    }

    #[test]
    fn the_command_line_counts_more() {
        let signed = "[composefs]\nenabled=signed\nkeypath=/etc/my.key\n";
        let read = config(signed, "quiet").expect("good");
        assert_eq!((read.composefs, read.integrity), (Composefs::Yes, Integrity::Signed));
        assert_eq!(read.keys, "etc/my.key");
        let off = config(signed, "ostree.prepare-root.composefs=0").expect("good");
        assert_eq!(off.composefs, Composefs::No);
        let unsigned = config(signed, "ostree.prepare-root.composefs=yes").expect("good");
        assert_eq!((unsigned.composefs, unsigned.integrity), (Composefs::Yes, Integrity::Verity));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(matches!(config("[composefs]\nenabled=ja\n", ""), Err(RootConfigError::Composefs(_))));
        let both = "[root]\ntransient=true\ntransient-ro=true\n";
        assert!(matches!(config(both, ""), Err(RootConfigError::TwoTransients)));
        assert!(matches!(config("[etc]\ntransient=perhaps\n", ""), Err(RootConfigError::Syntax(_))));
    }
}
