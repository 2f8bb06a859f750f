//! Where the configuration files of podman, skopeo, docker and ostree lie.
//!
//! ```text
//! credentials   --authfile | REGISTRY_AUTH_FILE | XDG_RUNTIME_DIR/containers/auth.json,
//!               ~/.config/containers/auth.json, ~/.docker/config.json; auth.json of ostree in
//!               /run|/etc|/usr/lib/ostree for root, XDG_RUNTIME_DIR/ostree and ~/.config/ostree for others
//! registries    CONTAINERS_REGISTRIES_CONF | ~/.config/containers, /etc/containers, /usr/share/containers;
//!               registries.conf.d of all of them, or of ~/.config/containers alone if registries.conf is
//!               there; short names that podman asked for, in the cache
//! policy        CONTAINERS_POLICY_JSON | ~/.config/containers, /etc/containers, /usr/share/containers
//! certificates  --cert-dir | certs.d/HOST:PORT of ~/.config/containers, /etc/containers, /etc/docker
//! ```
//! Source: containers-auth.json(5), containers-registries.conf(5), containers-certs.d(5),
//! containers-policy.json(5); for ostree's auth.json globals.rs of ostree-ext.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::container::config::registries::Role;

/// The directories of the system, the administrator's first.
const SYSTEM: [&str; 2] = ["/etc/containers", "/usr/share/containers"];

/// A variable that is set and not empty.
pub(super) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn home() -> Option<PathBuf> {
    variable("HOME").map(PathBuf::from)
}

/// `~/.config`
fn config_home() -> Option<PathBuf> {
    variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(home()?.join(".config")))
}

/// `~/.config/containers`
fn user() -> Option<PathBuf> {
    Some(config_home()?.join("containers"))
}

/// The user's and the system's directories, the most important first.
fn directories() -> impl Iterator<Item = PathBuf> {
    user().into_iter().chain(SYSTEM.map(PathBuf::from))
}

/// Files of credentials, the most important first, and whether they have to exist.
pub(super) fn auth(option: Option<&Path>) -> (Vec<PathBuf>, Required) {
    if let Some(path) = option {
        return (vec![path.into()], Required::Yes);
    }
    if let Some(path) = variable("REGISTRY_AUTH_FILE") {
        return (vec![path.into()], Required::Yes);
    }
    let runtime = match variable("XDG_RUNTIME_DIR") {
        Some(dir) => PathBuf::from(dir).join("containers/auth.json"),
        None => format!("/run/containers/{}/auth.json", rustix::process::getuid().as_raw()).into(),
    };
    let docker = match variable("DOCKER_CONFIG") {
        Some(dir) => Some(PathBuf::from(dir).join("config.json")),
        None => home().map(|home| home.join(".docker/config.json")),
    };
    let ostree: Vec<_> = match rustix::process::getuid().is_root() {
        true => ["/run", "/etc", "/usr/lib"].map(PathBuf::from).into(),
        false => variable("XDG_RUNTIME_DIR").map(PathBuf::from).into_iter().chain(config_home()).collect(),
    };
    let ostree = ostree.into_iter().map(|dir| dir.join("ostree/auth.json"));
    let own = user().map(|dir| dir.join("auth.json"));
    ([runtime].into_iter().chain(own).chain(docker).chain(ostree).collect(), Required::No)
}

/// Whether a file has to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Required {
    /// The user named it.
    Yes,
    /// It is looked for.
    No,
}

/// The files that make up registries.conf, in the order in which they are read. A user's own registries.conf
/// stands for that of the system and its drop-ins.
pub(super) fn registries() -> anyhow::Result<Vec<(PathBuf, Role)>> {
    let named = variable("CONTAINERS_REGISTRIES_CONF").map(PathBuf::from);
    let own = user().filter(|dir| named.is_none() && dir.join("registries.conf").exists());
    let dirs = own.map_or_else(|| directories().collect(), |own| vec![own]);
    let found = || dirs.iter().map(|dir| dir.join("registries.conf")).find(|path| path.exists());
    let main = named.or_else(found);
    let mut out: Vec<_> = main.into_iter().map(|path| (path, Role::Main)).collect();
    for dir in dirs.iter().rev() {
        let files = files_in(&dir.join("registries.conf.d"))?.into_iter();
        let files = files.filter(|path| has_extension(path, "conf") && !path.is_dir());
        out.extend(files.map(|path| (path, Role::DropIn)));
    }
    // Short names that the user once chose for podman.
    let cache = match rustix::process::geteuid().is_root() {
        true => Some(PathBuf::from("/var/cache")),
        false => variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(home()?.join(".cache"))),
    };
    let chosen = cache.map(|dir| dir.join("containers/short-name-aliases.conf"));
    out.extend(chosen.filter(|path| path.exists()).map(|path| (path, Role::ShortNames)));
    Ok(out)
}

/// The policy, if there is one.
pub(super) fn policy() -> Option<PathBuf> {
    match variable("CONTAINERS_POLICY_JSON") {
        Some(path) => Some(path.into()),
        None => directories().map(|dir| dir.join("policy.json")).find(|path| path.exists()),
    }
}

/// The files of `registries.d`, which say where signatures lie.
pub(super) fn signature_places() -> anyhow::Result<Vec<PathBuf>> {
    let dir = user().map(|dir| dir.join("registries.d")).filter(|dir| dir.exists());
    let files = files_in(&dir.unwrap_or_else(|| "/etc/containers/registries.d".into()))?;
    Ok(files.into_iter().filter(|path| has_extension(path, "yaml")).collect())
}

/// Where signatures lie if no file says so.
pub(super) fn default_lookaside() -> String {
    let own = home().filter(|_| !rustix::process::geteuid().is_root());
    let dir = own.map_or_else(|| "/var/lib".into(), |home| home.join(".local/share"));
    format!("file://{}/containers/sigstore", dir.display())
}

/// The files with certificates and keys for a registry.
pub(super) fn certificates(option: Option<&Path>, host: &str) -> anyhow::Result<Vec<PathBuf>> {
    if let Some(dir) = option {
        if !dir.is_dir() {
            bail!("--cert-dir {}: no such directory", dir.display());
        }
        return files_in(dir);
    }
    let docker = PathBuf::from("/etc/docker/certs.d");
    let mut dirs = directories().map(|dir| dir.join("certs.d")).chain([docker]).map(|dir| dir.join(host));
    let Some(dir) = dirs.find(|dir| dir.is_dir()) else { return Ok(Vec::new()) };
    match fs::read_dir(&dir) {
        // What is for root alone is not for us.
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(Vec::new()),
        _ => files_in(&dir),
    }
}

/// The files of a directory by name; none if it does not exist.
fn files_in(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).with_context(|| format!("Reading {}", dir.display())),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths =
        paths.collect::<Result<Vec<_>, _>>().with_context(|| format!("Reading {}", dir.display()))?;
    paths.sort();
    Ok(paths)
}

pub(super) fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension() == Some(OsStr::new(extension))
}

/// A file that is read whole.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("Reading {}", path.display()))
}

/// A file that is read whole; `None` if it does not exist, or the user may not read it and need not.
pub(super) fn read_if_present(path: &Path, required: Required) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) if e.kind() == ErrorKind::PermissionDenied && required == Required::No => Ok(None),
        Err(e) => Err(e).with_context(|| format!("Reading {}", path.display())),
    }
}
