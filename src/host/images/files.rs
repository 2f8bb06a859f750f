//! The places of the configuration files of podman, skopeo, docker and ostree.
//!
//! ```text
//! credentials   the file that was named | REGISTRY_AUTH_FILE | XDG_RUNTIME_DIR/containers/auth.json,
//!               ~/.config/containers/auth.json, ~/.docker/config.json, ~/.dockercfg; auth.json of ostree in
//!               /run|/etc|/usr/lib/ostree for root, XDG_RUNTIME_DIR/ostree and ~/.config/ostree for others
//! registries    CONTAINERS_REGISTRIES_CONF | ~/.config/containers, /etc/containers, /usr/share/containers;
//!               registries.conf.d of all of them, or of ~/.config/containers alone if registries.conf is
//!               there; short names that podman asked for, in the cache
//! storage       CONTAINERS_STORAGE_CONF | XDG_CONFIG_HOME, or ~/.config of users, /etc/containers, /usr/share/containers
//! policy        CONTAINERS_POLICY_JSON | ~/.config/containers, /etc/containers, /usr/share/containers
//! certificates  the directory that was named | certs.d/HOST:PORT of ~/.config/containers, /etc/containers, /etc/docker
//! ```
//! Source: containers-auth.json(5), containers-registries.conf(5), containers-certs.d(5),
//! containers-policy.json(5); for ostree's auth.json globals.rs of ostree-ext.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::super::{Environment, Error, Result};
use crate::container::config::registries::Role;

/// The file of credentials of the oldest versions of docker.
const DOCKERCFG: &str = ".dockercfg";
/// The directories of the system, the administrator's first.
const SYSTEM: [&str; 2] = ["/etc/containers", "/usr/share/containers"];

/// `~/.config`
fn config_home(env: &Environment) -> Option<PathBuf> {
    env.path("XDG_CONFIG_HOME").or_else(|| Some(env.path("HOME")?.join(".config")))
}

/// `~/.config/containers`
fn user(env: &Environment) -> Option<PathBuf> {
    Some(config_home(env)?.join("containers"))
}

/// The user's and the system's directories, the most important first.
fn directories(env: &Environment) -> impl Iterator<Item = PathBuf> {
    user(env).into_iter().chain(SYSTEM.map(PathBuf::from))
}

/// Files of credentials, the most important first, and whether they have to exist.
pub(super) fn auth(env: &Environment, option: Option<&Path>) -> (Vec<PathBuf>, Required) {
    if let Some(path) = option {
        return (vec![path.into()], Required::Yes);
    }
    if let Some(path) = env.path("REGISTRY_AUTH_FILE") {
        return (vec![path], Required::Yes);
    }
    let runtime = match env.path("XDG_RUNTIME_DIR") {
        Some(dir) => dir.join("containers/auth.json"),
        None => format!("/run/containers/{}/auth.json", rustix::process::getuid().as_raw()).into(),
    };
    let docker = match env.path("DOCKER_CONFIG") {
        Some(dir) => Some(dir.join("config.json")),
        None => env.path("HOME").map(|home| home.join(".docker/config.json")),
    };
    let ostree: Vec<_> = match rustix::process::getuid().is_root() {
        true => ["/run", "/etc", "/usr/lib"].map(PathBuf::from).into(),
        false => env.path("XDG_RUNTIME_DIR").into_iter().chain(config_home(env)).collect(),
    };
    let ostree = ostree.into_iter().map(|dir| dir.join("ostree/auth.json"));
    let own = user(env).map(|dir| dir.join("auth.json"));
    let oldest = env.path("HOME").map(|home| home.join(DOCKERCFG));
    let paths = [runtime].into_iter().chain(own).chain(docker).chain(oldest).chain(ostree);
    (paths.collect(), Required::No)
}

/// Whether a file of credentials has the form of the oldest versions of docker.
pub(super) fn is_dockercfg(path: &Path) -> bool {
    path.file_name() == Some(OsStr::new(DOCKERCFG))
}

/// Whether a file has to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Required {
    /// The user named the file, so it has to exist.
    Yes,
    /// The file is one of the usual places, and may be missing.
    No,
}

/// The files that make up registries.conf, in the order in which they are read. A user's own registries.conf
/// stands for that of the system and its drop-ins.
pub(super) fn registries(env: &Environment) -> Result<Vec<(PathBuf, Role)>> {
    let named = env.path("CONTAINERS_REGISTRIES_CONF");
    let own = user(env).filter(|dir| named.is_none() && dir.join("registries.conf").exists());
    let dirs = own.map_or_else(|| directories(env).collect(), |own| vec![own]);
    let found = || dirs.iter().map(|dir| dir.join("registries.conf")).find(|path| is_there(path));
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
        false => env.path("XDG_CACHE_HOME").or_else(|| Some(env.path("HOME")?.join(".cache"))),
    };
    let chosen = cache.map(|dir| dir.join("containers/short-name-aliases.conf"));
    out.extend(chosen.filter(|path| path.exists()).map(|path| (path, Role::ShortNames)));
    Ok(out)
}

/// The file that says where podman's store is, if there is one; and whether it is the user's own.
pub(super) fn storage(env: &Environment) -> (Option<PathBuf>, bool) {
    if let Some(path) = env.path("CONTAINERS_STORAGE_CONF") {
        return (Some(path), true);
    }
    // Root's own is not looked at, unless it is named.
    let has_own = env.get("XDG_CONFIG_HOME").is_some() || !rustix::process::geteuid().is_root();
    let own = user(env).filter(|_| has_own).map(|dir| dir.join("storage.conf"));
    match own.filter(|path| path.exists()) {
        Some(own) => (Some(own), true),
        None => {
            (SYSTEM.iter().map(|dir| Path::new(dir).join("storage.conf")).find(|path| path.exists()), false)
        }
    }
}

/// The policy, if there is one.
pub(super) fn policy(env: &Environment) -> Option<PathBuf> {
    match env.path("CONTAINERS_POLICY_JSON") {
        Some(path) => Some(path),
        None => directories(env).map(|dir| dir.join("policy.json")).find(|path| is_there(path)),
    }
}

/// Whether a file is there, or may be: a link to nowhere, and what cannot be looked for in a directory of the system, is
/// for the reader to fail on, since without the file more would be allowed. A home that is somebody else's says nothing.
fn is_there(path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(_) => true,
        Err(e) if e.kind() == ErrorKind::PermissionDenied => SYSTEM.iter().any(|dir| path.starts_with(dir)),
        Err(_) => false,
    }
}

/// The files of `registries.d`, which say where signatures lie.
pub(super) fn signature_places(env: &Environment) -> Result<Vec<PathBuf>> {
    let dir = user(env).map(|dir| dir.join("registries.d")).filter(|dir| dir.exists());
    let files = files_in(&dir.unwrap_or_else(|| "/etc/containers/registries.d".into()))?;
    Ok(files.into_iter().filter(|path| has_extension(path, "yaml")).collect())
}

/// The place of signatures if no file gives one.
pub(super) fn default_lookaside(env: &Environment) -> String {
    let own = env.path("HOME").filter(|_| !rustix::process::geteuid().is_root());
    let dir = own.map_or_else(|| "/var/lib".into(), |home| home.join(".local/share"));
    format!("file://{}/containers/sigstore", dir.display())
}

/// The files with certificates and keys for a registry.
pub(super) fn certificates(env: &Environment, option: Option<&Path>, host: &str) -> Result<Vec<PathBuf>> {
    if let Some(dir) = option {
        return if dir.is_dir() { files_in(dir) } else { Err(Error::NoCertificateDirectory(dir.into())) };
    }
    let docker = PathBuf::from("/etc/docker/certs.d");
    let mut dirs = directories(env).map(|dir| dir.join("certs.d")).chain([docker]).map(|dir| dir.join(host));
    let Some(dir) = dirs.find(|dir| dir.is_dir()) else { return Ok(Vec::new()) };
    match fs::read_dir(&dir) {
        // What is for root alone is not for us.
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(Vec::new()),
        _ => files_in(&dir),
    }
}

/// The files of a directory by name; none if it does not exist.
fn files_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("Reading", dir)(e)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(Error::io("Reading", dir))?;
    paths.sort();
    Ok(paths)
}

pub(super) fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension() == Some(OsStr::new(extension))
}

/// A file that is read whole.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::io("Reading", path))
}

/// A file of text.
pub(super) fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|_| Error::NotUtf8(path.into()))
}

/// A file that is read whole; `None` if it does not exist, or the user may not read it and need not.
pub(super) fn read_if_present(path: &Path, required: Required) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) if e.kind() == ErrorKind::PermissionDenied && required == Required::No => Ok(None),
        Err(e) => Err(Error::io("Reading", path)(e)),
    }
}
