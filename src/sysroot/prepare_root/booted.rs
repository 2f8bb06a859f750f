//! `/run/ostree-booted`: what the initramfs tells the running system of its root.

use std::path::Path;

use cap_std::fs::Dir;
use ostree_format::ParseError;
use ostree_format::variant::{Dict, Value};

use super::config::{RootChanges, RootConfig};
use super::error::{Result, io_error};
use crate::base::Inode;

/// What `/run/ostree-booted` says, a dictionary `a{sv}`. Systems of before 2022 have an empty file there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Booted {
    /// The deployment's directory, which composefs hides.
    pub backing: Option<Inode>,
    /// What becomes of changes to the root.
    pub root: RootChanges,
    /// The composefs mount that the root is, if it is one.
    pub composefs: Option<Mounted>,
    /// Whether `/sysroot` is to be read only.
    pub is_sysroot_readonly: bool,
    /// The directory with the changes to a transient `/etc`.
    pub transient_etc: Option<String>,
}

/// A composefs mount that is the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounted {
    /// Whether the kernel verifies every file.
    pub is_verity_required: bool,
    /// The file with the keys that vouched for the commit, if they were asked.
    pub signed_by: Option<String>,
}

impl Booted {
    /// What is known of the deployment in `dir`, whose path is `deployment`, before anything is mounted.
    pub(super) fn before_mounts(dir: &Dir, deployment: &Path, config: &RootConfig) -> Result<Self> {
        let found = Inode::of(dir).map_err(io_error("looking at", deployment))?;
        Ok(Self { backing: Some(found), root: config.root, ..Self::default() })
    }

    /// Reads the file.
    ///
    /// # Errors
    /// If it is not empty, and not a dictionary in GVariant's form.
    pub fn parse(data: &[u8]) -> Result<Self, ParseError> {
        let dict = Dict::parse(data)?;
        let flag = |key| dict.get_bool(key).unwrap_or(false);
        let backing = match dict.get("backing-root-device-inode") {
            Some(Value::Tuple(pair)) => match **pair {
                [Value::U64(device), Value::U64(number)] => Some(Inode { device, number }),
                _ => None,
            },
            _ => None,
        };
        let root = match (flag("root.transient"), flag("root.transient-ro")) {
            (_, true) => RootChanges::TransientReadOnly,
            (true, false) => RootChanges::Transient,
            (false, false) => RootChanges::AsMounted,
        };
        let composefs = flag("composefs").then(|| Mounted {
            is_verity_required: flag("composefs.verity"),
            signed_by: dict.get_str("composefs.signed").map(ToOwned::to_owned),
        });
        let transient_etc = dict.get_str("transient-etc").map(ToOwned::to_owned);
        Ok(Self { backing, root, composefs, is_sysroot_readonly: flag("sysroot-ro"), transient_etc })
    }

    /// The bytes of the file, with the keys in libostree's order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut dict = Dict::new();
        if let Some(Inode { device, number }) = self.backing {
            let pair = Value::Tuple(vec![Value::U64(device), Value::U64(number)]);
            dict.push("backing-root-device-inode", pair);
        }
        dict.push("root.transient", self.root != RootChanges::AsMounted);
        dict.push("root.transient-ro", self.root == RootChanges::TransientReadOnly);
        if let Some(mounted) = &self.composefs {
            if let Some(keys) = &mounted.signed_by {
                dict.push("composefs.signed", Value::Str(keys.clone()));
            }
            dict.push("composefs", true);
            dict.push("composefs.verity", mounted.is_verity_required);
        }
        dict.push("sysroot-ro", self.is_sysroot_readonly);
        if let Some(dir) = &self.transient_etc {
            dict.push("transient-etc", Value::Str(dir.clone()));
        }
        dict.to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let booted = Booted {
            backing: Some(Inode { device: 65025, number: 12 }),
            root: RootChanges::TransientReadOnly,
            composefs: Some(Mounted { is_verity_required: true, signed_by: Some("/etc/key".to_owned()) }),
            is_sysroot_readonly: true,
            transient_etc: Some("/run/ostree/transient-etc.x".to_owned()),
        };
        assert_eq!(Booted::parse(&booted.to_bytes()), Ok(booted));
        assert_eq!(Booted::parse(b""), Ok(Booted::default()));
    }
}
