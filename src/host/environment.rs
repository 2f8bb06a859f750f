//! The variables of the environment that mean something here, read once.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Every variable that is read. Certificate authorities are found as the crate `rustls-native-certs` does, which reads
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` besides; a credential helper is searched in `PATH`, and gets the whole
/// environment.
const VARIABLES: [&str; 37] = [
    "ALL_PROXY",
    "CONTAINERS_POLICY_JSON",
    "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_STORAGE_CONF",
    "DOCKER_CONFIG",
    "GNUPGHOME",
    "GRUB2_BOOT_DEVICE_ID",
    "GRUB2_PREPARE_ROOT_CACHE",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "OSTREE_BOOTID",
    "OSTREE_DUMMY_SIGN_ENABLED",
    "OSTREE_EXP_WRITE_BARE_SPLIT_XATTRS",
    "OSTREE_GPG_HOME",
    "OSTREE_GRUB2_EXEC",
    "OSTREE_REPO",
    "OSTREE_RS_ABOOT_DEPLOY",
    "OSTREE_RS_SSH",
    "OSTREE_RS_ZIPL",
    "OSTREE_SKIP_CACHE",
    "OSTREE_SYSROOT",
    "OSTREE_SYSROOT_DEBUG",
    "OSTREE_SYSROOT_OPTS",
    "REGISTRY_AUTH_FILE",
    "STORAGE_DRIVER",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "_OSTREE_GRUB2_BOOTVERSION",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Variables by their names; one that is empty counts as none.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl std::fmt::Debug for Environment {
    /// Names only: a proxy's URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// The variables of this process that mean something here.
    pub fn of_process() -> Self {
        VARIABLES.iter().filter_map(|name| Some((*name, env::var_os(name)?))).collect()
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// A variable that is a path.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// A variable that is text; one that is not UTF-8 counts as none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(OsStr::to_str)
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_is_not_set() {
        let env: Environment = [("HOME", "/root"), ("TMPDIR", "")].into_iter().collect();
        assert_eq!((env.text("HOME"), env.get("TMPDIR"), env.get("x")), (Some("/root"), None, None));
        assert_eq!(format!("{env:?}"), r#"["HOME", "TMPDIR"]"#);
    }
}
