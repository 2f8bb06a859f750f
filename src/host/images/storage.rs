//! The store of podman on this machine: what storage.conf says of it.
//!
//! ```text
//! CONTAINERS_STORAGE_CONF | XDG_CONFIG_HOME, or a user's ~/.config, containers/storage.conf
//!                         | /etc/containers/storage.conf | /usr/share/containers/storage.conf
//! root   graphroot, or /var/lib/containers/storage
//! user   graphroot of a file of the user's own; rootless_storage_path; ~/.local/share/containers/storage
//! ```
//! Source: containers-storage.conf(5), containers/storage types/options.go.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::repos::open_dir;
use super::super::{Environment, Error, Machine, Result};
use super::files::{self, Required};
use crate::base::Ctx;
use crate::container::image::{self, ConfigError, ImageReference};
use crate::container::place::{ContainersStorage, PodmanImage, StorageName};

/// The store of root, if nothing else is said.
const GRAPHROOT: &str = "/var/lib/containers/storage";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    storage: Table,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Table {
    driver: String,
    graphroot: String,
    imagestore: String,
    rootless_storage_path: String,
    options: Options,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    additionalimagestores: Vec<String>,
    imagestore: String,
}

/// A store as it is configured.
struct Configured {
    driver: Option<String>,
    graphroot: PathBuf,
    /// Further directories with images, the more important first.
    others: Vec<PathBuf>,
}

impl Machine {
    /// The image of podman's store that `reference` names, and its name for policies.
    pub(super) fn open_stored(&self, reference: &ImageReference, ctx: &Ctx) -> Result<(PodmanImage, String)> {
        let text = reference.name();
        let name =
            StorageName::parse(text).map_err(|source| Error::ImageName { name: text.to_owned(), source })?;
        let mut configured = Configured::read(&self.env)?;
        if let Some(store) = &name.store {
            configured.driver = store.driver.clone();
            configured.graphroot = store.graphroot.clone();
        }
        let mut roots = vec![open_dir("Opening podman's store", &configured.graphroot)?];
        for other in &configured.others {
            roots.push(open_dir("Opening podman's store", other)?);
        }
        let at = |source| image::Error::Source { place: reference.to_string(), source: Box::new(source) };
        let storage = ContainersStorage::open(roots, configured.driver.as_deref()).map_err(at)?;
        let image = storage.image(&name, ctx).map_err(at)?;
        let policy_name = image.policy_name(&configured.graphroot.display().to_string());
        Ok((image, policy_name))
    }
}

impl Configured {
    fn read(env: &Environment) -> Result<Self> {
        let (path, is_users) = files::storage(env);
        let required =
            if env.get("CONTAINERS_STORAGE_CONF").is_some() { Required::Yes } else { Required::No };
        let text = match &path {
            Some(path) => files::read_if_present(path, required)?,
            None => None,
        };
        let shown = path.unwrap_or_default().display().to_string();
        let wrong = |why: &dyn std::fmt::Display| Error::from(ConfigError::new(&shown, why));
        let text = String::from_utf8(text.unwrap_or_default()).map_err(|error| wrong(&error))?;
        let Table { driver, graphroot, imagestore, rootless_storage_path, options } =
            toml::from_str::<File>(&text).map_err(|error| wrong(&error))?.storage;
        let is_root = rustix::process::geteuid().is_root();
        let (users, own) = (expanded(env, &rootless_storage_path), expanded(env, &graphroot));
        // What the system's file says of root's store is not for users.
        let own = own.filter(|_| is_root || is_users);
        let graphroot = match is_root {
            true => own.unwrap_or_else(|| GRAPHROOT.into()),
            false => own.or(users).unwrap_or_else(|| data_home(env).join("containers/storage")),
        };
        let named = env.get("STORAGE_DRIVER").map(|name| name.to_string_lossy().into_owned());
        let others = [imagestore, options.imagestore].into_iter().chain(options.additionalimagestores);
        Ok(Self {
            driver: named.or(Some(driver).filter(|driver| !driver.is_empty() && (is_root || is_users))),
            graphroot,
            others: others.filter_map(|path| expanded(env, &path)).collect(),
        })
    }
}

fn data_home(env: &Environment) -> PathBuf {
    let home = || env.path("HOME").unwrap_or_default().join(".local/share");
    env.path("XDG_DATA_HOME").unwrap_or_else(home)
}

/// A path in which `$HOME` and `$UID` stand for what they are; none, if nothing is given.
fn expanded(env: &Environment, path: &str) -> Option<PathBuf> {
    let home = env.path("HOME").unwrap_or_default().display().to_string();
    let uid = rustix::process::getuid().as_raw().to_string();
    let path = path.replace("${HOME}", &home).replace("$HOME", &home);
    let path = path.replace("${UID}", &uid).replace("$UID", &uid);
    (!path.is_empty()).then(|| Path::new(&path).to_owned())
}
