//! One file of registries.conf: read, checked, and what in it has no effect.
//!
//! As containers/image reads it: the case of keys does not matter, a key that is not known is passed over, and
//! of two tables for one prefix the first counts, unless they contradict each other. What is passed over is
//! noted, so that nobody takes a registry for blocked that is not.
//! Source: containers-registries.conf(5), containers/image pkg/sysregistriesv2.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Table, Value};

use crate::container::config::registries::{PullFrom, Role};
use crate::container::image::{RepositoryName, is_host};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) search: Option<Vec<String>>,
    pub(super) helpers: Option<Vec<String>>,
    /// `None` takes an alias of an earlier file away.
    pub(super) aliases: BTreeMap<String, Option<RepositoryName>>,
    /// The registries, by prefix.
    pub(super) registries: BTreeMap<String, Registry>,
    /// What has no effect.
    pub(super) notes: Vec<String>,
}

/// A registry, or some of its repositories.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Registry {
    pub(super) prefix: String,
    pub(super) location: String,
    pub(super) insecure: bool,
    pub(super) blocked: bool,
    pub(super) mirror_by_digest_only: bool,
    pub(super) mirror: Vec<Mirror>,
    /// A registry is no mirror.
    pull_from_mirror: String,
}

/// Where else its images can be had.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Mirror {
    pub(super) location: String,
    pub(super) insecure: bool,
    #[serde(rename = "pull-from-mirror")]
    pull_from: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Raw {
    unqualified_search_registries: Option<Vec<String>>,
    credential_helpers: Option<Vec<String>>,
    short_name_mode: String,
    aliases: BTreeMap<String, String>,
    registry: Option<Vec<Registry>>,
    registries: Version1,
}

/// What stood below `[registries]` in version 1.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Version1 {
    search: List,
    insecure: List,
    block: List,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct List {
    registries: Vec<String>,
}

const TOP: [&str; 7] = [
    "unqualified-search-registries",
    "credential-helpers",
    "short-name-mode",
    // It is for another program.
    "additional-layer-store-auth-helper",
    "aliases",
    "registry",
    "registries",
];
const REGISTRY: [&str; 7] =
    ["prefix", "location", "insecure", "blocked", "mirror-by-digest-only", "mirror", "pull-from-mirror"];
const MIRROR: [&str; 3] = ["location", "insecure", "pull-from-mirror"];

impl File {
    pub(super) fn parse(text: &str, role: Role) -> Result<Self, String> {
        let table: Table = toml::from_str(text).map_err(|e| e.to_string())?;
        let mut notes = Vec::new();
        let table = fold(table, &mut notes)?;
        let raw: Raw = table.try_into().map_err(|e: toml::de::Error| e.to_string())?;
        let aliases = raw.aliases.iter().map(|(short, full)| Ok((short.clone(), alias(short, full)?)));
        let aliases = aliases.collect::<Result<_, String>>()?;
        if role == Role::ShortNames {
            return Ok(Self { aliases, ..Self::default() });
        }
        if !matches!(&*raw.short_name_mode, "" | "enforcing" | "permissive" | "disabled") {
            return Err(format!(
                "short-name-mode {:?}: enforcing, permissive or disabled",
                raw.short_name_mode
            ));
        }
        let (search, registries) = match raw.registries.is_there() {
            false => (raw.unqualified_search_registries, raw.registry.unwrap_or_default()),
            true if role == Role::DropIn => {
                return Err(
                    "version 1 of the format ([registries.search] …) is for the main file alone; here \
                            write unqualified-search-registries = [\"HOST\"], and [[registry]] with \
                            location = \"HOST\", insecure = true or blocked = true"
                        .into(),
                );
            }
            true => {
                let version_2 = raw.unqualified_search_registries.is_some()
                    || raw.credential_helpers.is_some()
                    || raw.registry.is_some()
                    || !raw.short_name_mode.is_empty()
                    || !aliases.is_empty();
                if version_2 {
                    return Err(
                        "it is of version 1 ([registries.search] …) and of version 2 at once; write \
                                [[registry]] tables in place of [registries.insecure] and [registries.block]"
                            .into(),
                    );
                }
                raw.registries.convert()?
            }
        };
        let search = search.map(|hosts| hosts.iter().map(|host| searched(host)).collect()).transpose()?;
        let registries = check_all(registries, &mut notes)?;
        Ok(Self { search, helpers: raw.credential_helpers, aliases, registries, notes })
    }
}

impl Version1 {
    /// Lists of nothing are left over in many a file.
    fn is_there(&self) -> bool {
        [&self.search, &self.insecure, &self.block].iter().any(|list| !list.registries.is_empty())
    }

    /// Turns version 1 into version 2: hosts to search, and registries.
    fn convert(self) -> Result<(Option<Vec<String>>, Vec<Registry>), String> {
        let mut registries = BTreeMap::<String, Registry>::new();
        let mut each = |list: List, set: fn(&mut Registry)| {
            for location in list.registries {
                let location = place(&location)?;
                let new = || Registry { location: location.clone(), ..Registry::default() };
                set(registries.entry(location.clone()).or_insert_with(new));
            }
            Ok::<(), String>(())
        };
        each(self.block, |registry| registry.blocked = true)?;
        each(self.insecure, |registry| registry.insecure = true)?;
        Ok((Some(self.search.registries), registries.into_values().collect()))
    }
}

/// The keys in their own case, without those that are not known.
fn fold(mut table: Table, notes: &mut Vec<String>) -> Result<Table, String> {
    fold_keys(&mut table, &TOP, "", notes)?;
    for registry in tables(table.get_mut("registry")) {
        fold_keys(registry, &REGISTRY, "registry.", notes)?;
        for mirror in tables(registry.get_mut("mirror")) {
            fold_keys(mirror, &MIRROR, "registry.mirror.", notes)?;
        }
    }
    if let Some(Value::Table(version_1)) = table.get_mut("registries") {
        fold_keys(version_1, &["search", "insecure", "block"], "registries.", notes)?;
        for list in version_1.iter_mut().filter_map(|(_, list)| list.as_table_mut()) {
            fold_keys(list, &["registries"], "registries.", notes)?;
        }
    }
    Ok(table)
}

/// The tables of an array of them; what is none is found when it is read.
fn tables(value: Option<&mut Value>) -> impl Iterator<Item = &mut Table> {
    value.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_table_mut)
}

fn fold_keys(table: &mut Table, known: &[&str], at: &str, notes: &mut Vec<String>) -> Result<(), String> {
    for (key, value) in std::mem::take(table) {
        match known.iter().find(|known| known.eq_ignore_ascii_case(&key)) {
            None => notes.push(format!("the key {at}{key} is not known, and has no effect")),
            Some(known) => {
                if table.insert((*known).to_owned(), value).is_some() {
                    return Err(format!(
                        "the key {at}{known} stands there twice, in small and capital letters"
                    ));
                }
            }
        }
    }
    Ok(())
}

/// The registries by their prefixes, if they make sense.
fn check_all(
    registries: Vec<Registry>,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, Registry>, String> {
    let mut by_location = BTreeMap::<String, (bool, bool)>::new();
    let mut out = BTreeMap::new();
    for registry in registries {
        let registry = registry.checked()?;
        let Registry { prefix, location, insecure, blocked, .. } = &registry;
        let place = if location.is_empty() { prefix } else { location };
        let known = by_location.entry(place.clone()).or_insert((*insecure, *blocked));
        if *known != (*insecure, *blocked) {
            let key = if known.0 == *insecure { "blocked" } else { "insecure" };
            return Err(format!("two tables for {place:?} contradict each other: {key} is true and false"));
        }
        if out.contains_key(prefix) {
            notes.push(format!("the second table for the prefix {prefix:?} has no effect"));
            continue;
        }
        // Without a "/" it is HOST:PORT.
        if prefix.contains('/') && !RepositoryName::split(prefix).1.is_empty() {
            notes.push(format!(
                "the prefix {prefix:?} has a tag or digest: it fits no image, and has no effect"
            ));
        }
        out.insert(prefix.clone(), registry);
    }
    Ok(out)
}

impl Registry {
    /// Fills in the prefix, and checks that the entry makes sense.
    fn checked(mut self) -> Result<Self, String> {
        self.location = place(&self.location)?;
        self.prefix = match place(&self.prefix)? {
            prefix if prefix.is_empty() => self.location.clone(),
            prefix => prefix,
        };
        let (prefix, is_wildcard) = (&self.prefix, self.prefix.starts_with("*."));
        if prefix.is_empty() {
            return Err("a [[registry]] with neither prefix nor location".into());
        }
        if is_wildcard && prefix.contains(['/', '@', ':']) {
            return Err(format!("prefix {prefix:?}: \"*.\" stands before a domain alone"));
        }
        if !is_wildcard && self.location.is_empty() {
            return Err(format!("prefix {prefix:?}: without a location, which may be the same"));
        }
        if !self.pull_from_mirror.is_empty() {
            return Err(format!("pull-from-mirror of {prefix:?}: it is for its mirrors"));
        }
        for mirror in &mut self.mirror {
            mirror.location = place(&mirror.location)?;
            if mirror.location.is_empty() {
                return Err(format!("a mirror of {prefix:?} without a location"));
            }
            if mirror.pull_from()?.is_some() && self.mirror_by_digest_only {
                return Err(format!(
                    "{prefix:?}: mirror-by-digest-only and pull-from-mirror exclude each other"
                ));
            }
        }
        Ok(self)
    }
}

impl Mirror {
    /// The images that the mirror is for, if it says so.
    pub(super) fn pull_from(&self) -> Result<Option<PullFrom>, String> {
        Ok(Some(match &*self.pull_from {
            "" => return Ok(None),
            "all" => PullFrom::All,
            "digest-only" => PullFrom::DigestOnly,
            "tag-only" => PullFrom::TagOnly,
            other => return Err(format!("pull-from-mirror {other:?}: all, digest-only or tag-only")),
        }))
    }
}

/// A location or prefix without the slashes at its end.
fn place(text: &str) -> Result<String, String> {
    match text.contains("://") {
        true => Err(format!("{text:?}: a registry is named without http:// or https://")),
        false => Ok(text.trim_end_matches('/').into()),
    }
}

/// A registry that short names are looked for in.
fn searched(text: &str) -> Result<String, String> {
    let host = place(text)?;
    match is_host(&host) {
        true => Ok(host),
        false => Err(format!("unqualified-search-registries: {text:?} is no HOST or HOST:PORT")),
    }
}

/// What an alias stands for. Neither of its sides has a tag or digest: these are those of the name that is
/// asked for.
fn alias(short: &str, full: &str) -> Result<Option<RepositoryName>, String> {
    let bare = |text: &str| RepositoryName::split(text).1.is_empty();
    if !RepositoryName::is_short(short) || !bare(short) {
        return Err(format!("alias {short:?}: a short name has no registry, tag or digest"));
    }
    if full.is_empty() {
        return Ok(None);
    }
    if !bare(full) {
        return Err(format!("alias {short:?}: {full:?} must not have a tag or digest"));
    }
    full.parse().map(Some).map_err(|e| format!("alias {short:?}: {full:?}: {e}"))
}
