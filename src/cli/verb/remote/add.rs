//! `remote add`: what is written of a remote, and where.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::super::Common;
use super::{OfSysroot, keys, remote_name};
use crate::cli::terminal::Session;
use crate::format::RemoteName;
use crate::format::keyfile::KeyFile;
use crate::host::{Machine, RemotePlace, remote_group};
use crate::repo::Repo;
use crate::sign::KeyKind;
use crate::store::Error;

/// Arguments of `remote add`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    sysroot: OfSysroot,
    /// Set an option of the remote
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Do not ask for OpenPGP signatures
    #[arg(long)]
    no_gpg_verify: bool,
    /// Do not ask for signatures of any kind
    #[arg(long)]
    no_sign_verify: bool,
    /// Ask for signatures by this public key, of the kind ed25519 or spki
    #[arg(long, value_name = "KEYTYPE=[inline|file]:PUBKEY", conflicts_with = "no_sign_verify")]
    sign_verify: Vec<String>,
    /// Do nothing if there is such a remote
    #[arg(long)]
    if_not_exists: bool,
    /// Replace the remote if there is one
    #[arg(long)]
    force: bool,
    /// Add the OpenPGP keys in this file to the keyring of the remote
    #[arg(long, value_name = "FILE")]
    gpg_import: Option<PathBuf>,
    /// Content of the remote comes through this program instead of ostree
    #[arg(long, value_name = "NAME")]
    custom_backend: Option<String>,
    /// Where content objects are, if not where the rest is
    #[arg(long, value_name = "URL")]
    contenturl: Option<String>,
    /// The collection that the remote's refs belong to
    #[arg(long, value_name = "COLLECTION-ID")]
    collection_id: Option<String>,
    /// The remote
    name: String,
    /// Where it is; with `metalink=` or `mirrorlist=` in front, where that is written
    #[arg(required_unless_present = "custom_backend")]
    url: Option<String>,
    /// Branches that it is used for
    #[arg(value_name = "BRANCH")]
    branches: Vec<String>,
}

pub(super) fn add(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    if args.if_not_exists && args.force {
        bail!("Can only specify one of --if-not-exists and --force");
    }
    let (mut repo, dir) = args.sysroot.open(&args.common)?;
    let name = remote_name(&args.name)?;
    let known = Machine::from_env().remotes_beside(&repo, dir.as_deref())?;
    match known.get(&name).map(|remote| &remote.place) {
        Some(_) if args.if_not_exists => return Ok(()),
        Some(RemotePlace::File(file)) if args.force => bail!("{name} is configured in {}", file.display()),
        Some(_) if args.force => {}
        Some(place) => {
            let place = match place {
                RemotePlace::File(file) => file.display().to_string(),
                RemotePlace::Config | RemotePlace::Parent => "(in config)".to_owned(),
            };
            bail!("Remote configuration for \"{name}\" already exists: {place}");
        }
        None => {}
    }
    let group = remote_group(&name);
    let options = options(args)?;
    // Read before the remote is there: one without its keys would be in the way of the next attempt.
    let imported = args.gpg_import.as_deref().map(keys::given).transpose()?;
    let import = |repo: &Repo| imported.map_or(Ok(()), |given| keys::take(repo, &name, given, session));
    let dir = dir.filter(|_| repo.config().add_remotes_config_dir != Some(false));
    if let Some(dir) = dir.filter(|_| !known.contains_key(&name)) {
        write_file(&dir, &name, |file| options.iter().try_for_each(|option| option.write(&group, file)))?;
        return import(&repo);
    }
    repo.update_config(|config| {
        // Somebody else may have been faster.
        if !args.force && config.has_group(&group) {
            return Err(Error::Usage(format!(
                "Remote configuration for \"{name}\" already exists: (in config)"
            )));
        }
        config.remove_group(&group);
        options.iter().try_for_each(|option| option.write(&group, config))
    })?;
    import(&repo)
}

/// A key and its value.
enum Setting<'a> {
    Text(&'a str, &'a str),
    Named(String, String),
    List(&'a str, &'a [String]),
}

impl Setting<'_> {
    fn write(&self, group: &str, config: &mut KeyFile) -> Result<(), Error> {
        match self {
            Self::Text(key, value) => config.set_string(group, key, value),
            Self::Named(key, value) => config.set_string(group, key, value),
            Self::List(key, values) => config.set_list(group, key, *values),
        }
        .map_err(|source| Error::Invalid { what: format!("[{group}]"), source })
    }
}

/// What is written, in the order of C ostree.
fn options(args: &Args) -> anyhow::Result<Vec<Setting<'_>>> {
    let mut out = Vec::new();
    match args.url.as_deref().map(|url| (url, url.strip_prefix("metalink="))) {
        Some((_, Some(metalink))) => out.push(Setting::Text("metalink", metalink)),
        Some((url, None)) => out.push(Setting::Text("url", url)),
        None => {}
    }
    if !args.branches.is_empty() {
        out.push(Setting::List("branches", &args.branches));
    }
    out.extend(args.contenturl.as_deref().map(|url| Setting::Text("contenturl", url)));
    out.extend(args.custom_backend.as_deref().map(|name| Setting::Text("custom-backend", name)));
    for set in &args.set {
        let (key, value) =
            set.split_once('=').with_context(|| format!("Missing '=' in KEY=VALUE for --set '{set}'"))?;
        out.push(Setting::Text(key, value));
    }
    if args.no_gpg_verify || args.no_sign_verify {
        out.push(Setting::Text("gpg-verify", "false"));
    }
    if args.no_sign_verify {
        out.push(Setting::Text("sign-verify", "false"));
    }
    let mut kinds: Vec<&str> = Vec::new();
    for given in &args.sign_verify {
        let (kind, key, value) = verification(given)?;
        kinds.push(kind.name());
        out.push(Setting::Named(key, value));
    }
    if !kinds.is_empty() {
        out.push(Setting::Named("sign-verify".to_owned(), kinds.join(";")));
    }
    if let Some(id) = &args.collection_id {
        out.push(Setting::Text("collection-id", id));
    }
    Ok(out)
}

/// The kind of a key given as `KIND=inline:KEY` or `KIND=file:PATH`, and what is written for it.
fn verification(given: &str) -> anyhow::Result<(KeyKind, String, String)> {
    let failed = || format!("Failed to parse KEYTYPE=[inline|file]:DATA in {given}");
    let (kind, rest) = given.split_once('=').with_context(failed)?;
    let kind: KeyKind = kind.parse()?;
    let (place, value) = rest.split_once(':').unwrap_or((rest, ""));
    let key = match place {
        "inline" => format!("verification-{}-key", kind.name()),
        "file" => format!("verification-{}-file", kind.name()),
        _ => bail!("Invalid key reference {place}, expected inline|file"),
    };
    if value.is_empty() {
        bail!("{}", failed());
    }
    Ok((kind, key, value.to_owned()))
}

/// Adds a remote of a sysroot with options `KEY=VALUE`, unless there is one of this name.
pub(in crate::cli::verb) fn add_if_missing(
    repo: &mut Repo,
    sysroot: &Path,
    (name, url): (&RemoteName, &str),
    options: &[String],
) -> anyhow::Result<()> {
    let machine = Machine::from_env();
    let dir = machine.remotes_dir(repo, Some(sysroot));
    if machine.remotes_beside(repo, dir.as_deref())?.contains_key(name) {
        return Ok(());
    }
    let pairs: Vec<(&str, &str)> = options
        .iter()
        .map(|pair| {
            pair.split_once('=').with_context(|| format!("Missing '=' in KEY=VALUE for --set {pair}"))
        })
        .collect::<anyhow::Result<_>>()?;
    let group = remote_group(name);
    let fill = |config: &mut KeyFile| {
        let mut all = [("url", url)].into_iter().chain(pairs.iter().copied());
        let written = all.try_for_each(|(key, value)| config.set_string(&group, key, value));
        written.map_err(|source| Error::Invalid { what: group.clone(), source })
    };
    match dir.filter(|_| repo.config().add_remotes_config_dir != Some(false)) {
        Some(dir) => write_file(&dir, name, fill),
        None => Ok(repo.update_config(fill)?),
    }
}

/// Configures a remote in a file of its own.
fn write_file(
    dir: &Path,
    name: &RemoteName,
    fill: impl FnOnce(&mut KeyFile) -> Result<(), Error>,
) -> anyhow::Result<()> {
    let mut file = KeyFile::new();
    fill(&mut file)?;
    let path = dir.join(format!("{name}.conf"));
    let written = fs::create_dir_all(dir).and_then(|()| fs::write(&path, file.to_string()));
    written.with_context(|| format!("Writing {}", path.display()))
}
