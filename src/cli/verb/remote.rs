//! `remote …`: configures where commits come from, and asks remotes what they have.

mod cookies;
mod listing;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail};
use chrono::Local;

use super::Common;
use crate::cli::terminal::Session;
use crate::format::RemoteName;
use crate::format::keyfile::KeyFile;
use crate::host::{Machine, RemotePlace, keyring_in, keyring_name, remote_group};
use crate::repo::Repo;
use crate::sign::KeyKind;
use crate::sign::gpg::Keyring;
use crate::store::Error;

/// The verbs below `remote`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Add a remote
    Add(Box<AddArgs>),
    /// Delete a remote
    Delete(DeleteArgs),
    /// Print the URL of a remote
    ShowUrl(NameArgs),
    /// List remotes
    List(ListArgs),
    /// Add OpenPGP keys to the keyring of a remote
    GpgImport(GpgImportArgs),
    /// List the OpenPGP keys of a remote
    GpgListKeys(GpgListKeysArgs),
    /// List the refs of a remote
    Refs(listing::RefsArgs),
    /// Print the summary of a remote
    Summary(listing::SummaryArgs),
    /// Send a cookie with requests to a remote
    AddCookie(cookies::AddArgs),
    /// Send a cookie no longer
    DeleteCookie(cookies::DeleteArgs),
    /// List the cookies of a remote
    ListCookies(cookies::ListArgs),
}

/// Arguments of `remote add`.
#[derive(clap::Args)]
pub(crate) struct AddArgs {
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

/// The sysroot whose remotes are meant.
#[derive(clap::Args)]
struct OfSysroot {
    /// Work on the repository of this sysroot; remotes of a deployment are files in its /etc/ostree/remotes.d
    #[arg(long = "sysroot", value_name = "PATH", value_hint = clap::ValueHint::DirPath)]
    path: Option<PathBuf>,
}

impl OfSysroot {
    /// Opens the repository; gives the directory for files of remotes, too, if there is one.
    fn open(&self, common: &Common) -> anyhow::Result<(Repo, Option<PathBuf>)> {
        let machine = Machine::from_env();
        let repo = match &self.path {
            Some(path) => machine.open_sysroot(path)?.into_repo(),
            None => common.open()?,
        };
        let dir = machine.remotes_dir(&repo, self.path.as_deref());
        Ok((repo, dir))
    }
}

/// Arguments of `remote delete`.
#[derive(clap::Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    sysroot: OfSysroot,
    /// Do nothing if there is no such remote
    #[arg(long)]
    if_exists: bool,
    /// The remote
    name: String,
}

/// Arguments of `remote show-url`.
#[derive(clap::Args)]
pub(crate) struct NameArgs {
    #[command(flatten)]
    common: Common,
    /// The remote
    name: String,
}

/// Arguments of `remote list`.
#[derive(clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    common: Common,
    /// Print URLs too
    #[arg(short = 'u', long)]
    show_urls: bool,
}

/// Arguments of `remote gpg-import`.
#[derive(clap::Args)]
pub(crate) struct GpgImportArgs {
    #[command(flatten)]
    common: Common,
    /// Files with keys
    #[arg(short, long = "keyring", value_name = "FILE", conflicts_with = "stdin")]
    keyrings: Vec<PathBuf>,
    /// Read keys from standard input
    #[arg(long)]
    stdin: bool,
    /// The remote
    name: String,
    /// The keys to import [default: all keys of the files]
    #[arg(value_name = "KEY-ID")]
    key_ids: Vec<String>,
}

/// Arguments of `remote gpg-list-keys`.
#[derive(clap::Args)]
pub(crate) struct GpgListKeysArgs {
    #[command(flatten)]
    common: Common,
    /// The remote [default: the system]
    name: Option<String>,
}

/// Does what the arguments ask for.
pub(crate) fn run(verb: &Verb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        Verb::Add(args) => add(args, session),
        Verb::Delete(args) => delete(args),
        Verb::List(args) => list(args, session),
        Verb::GpgImport(args) => gpg_import(args, session),
        Verb::GpgListKeys(args) => gpg_list_keys(args, session),
        Verb::Refs(args) => listing::refs(args, session),
        Verb::Summary(args) => listing::summary(args, session),
        Verb::AddCookie(args) => cookies::add(args, session),
        Verb::DeleteCookie(args) => cookies::delete(args, session),
        Verb::ListCookies(args) => cookies::list(args, session),
        Verb::ShowUrl(args) => {
            let (repo, name) = (args.common.open()?, remote_name(&args.name)?);
            Ok(writeln!(session.out, "{}", Machine::from_env().remote(&repo, &name)?.url(&name)?)?)
        }
    }
}

fn remote_name(text: &str) -> anyhow::Result<RemoteName> {
    text.parse().with_context(|| format!("Invalid remote name {text}"))
}

fn add(args: &AddArgs, session: &mut Session) -> anyhow::Result<()> {
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
    let dir = dir.filter(|_| repo.config().add_remotes_config_dir != Some(false));
    if let Some(dir) = dir.filter(|_| !known.contains_key(&name)) {
        write_file(&dir, &name, |file| options.iter().try_for_each(|option| option.write(&group, file)))?;
        return import_of(args, &repo, &name, session);
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
    import_of(args, &repo, &name, session)
}

/// Takes the keys that came with a new remote.
fn import_of(args: &AddArgs, repo: &Repo, name: &RemoteName, session: &mut Session) -> anyhow::Result<()> {
    match &args.gpg_import {
        Some(file) => import(repo, name, Machine::from_env().keyring(file)?, session),
        None => Ok(()),
    }
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

/// Adds a remote of a sysroot with options `KEY=VALUE`, unless there is one of this name.
pub(super) fn add_if_missing(
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

/// What is written, in the order of C ostree.
fn options(args: &AddArgs) -> anyhow::Result<Vec<Setting<'_>>> {
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

fn delete(args: &DeleteArgs) -> anyhow::Result<()> {
    let (mut repo, dir) = args.sysroot.open(&args.common)?;
    let name = remote_name(&args.name)?;
    let remote = Machine::from_env().remotes_beside(&repo, dir.as_deref())?.remove(&name);
    let remote = match remote {
        None if args.if_exists => return Ok(()),
        remote => remote.ok_or_else(|| crate::host::Error::RemoteNotFound(name.clone()))?,
    };
    match remote.place {
        RemotePlace::Config => {
            let group = remote_group(&name);
            repo.update_config(|config| {
                config.remove_group(&group);
                Ok(())
            })?;
        }
        RemotePlace::Parent => bail!("Remote \"{name}\" belongs to the parent repository"),
        RemotePlace::File(file) => {
            fs::remove_file(&file).with_context(|| format!("Deleting {}", file.display()))?;
        }
    }
    Ok(repo.remove_file(&keyring_name(&name))?)
}

fn list(args: &ListArgs, session: &mut Session) -> anyhow::Result<()> {
    let remotes = Machine::from_env().remotes(&args.common.open()?)?;
    let width = remotes.keys().map(|name| name.as_str().len()).max().unwrap_or(0);
    for (name, remote) in &remotes {
        if args.show_urls {
            writeln!(session.out, "{name:width$}  {}", remote.url(name)?)?;
        } else {
            writeln!(session.out, "{name}")?;
        }
    }
    Ok(())
}

fn gpg_import(args: &GpgImportArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let name = remote_name(&args.name)?;
    Machine::from_env().remote(&repo, &name)?;
    let mut keys = if args.keyrings.is_empty() && !args.stdin {
        Machine::from_env().secret_keys(None)?.public().clone()
    } else {
        Keyring::default()
    };
    if args.stdin {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        keys.extend(Keyring::from_bytes(&bytes)?);
    }
    for file in &args.keyrings {
        keys.extend(Machine::from_env().keyring(file)?);
    }
    if !args.key_ids.is_empty() {
        keys = keys.select(&args.key_ids)?;
    }
    import(&repo, &name, keys, session)
}

fn import(repo: &Repo, name: &RemoteName, keys: Keyring, session: &mut Session) -> anyhow::Result<()> {
    let file = keyring_name(name);
    let _lock = repo.lock_edits(&session.ctx)?;
    let mut keyring = keyring_in(repo, &file)?.unwrap_or_default();
    let imported = keyring.extend(keys);
    repo.replace_file(&file, &keyring.to_bytes()?)?;
    let s = if imported == 1 { "" } else { "s" };
    Ok(writeln!(session.out, "Imported {imported} GPG key{s} to remote \"{name}\"")?)
}

fn gpg_list_keys(args: &GpgListKeysArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let keyring = match &args.name {
        Some(name) => Machine::from_env().imported_keyring(&repo, &remote_name(name)?)?,
        None => Machine::from_env().system_keyring()?,
    };
    for cert in keyring.certs() {
        write!(session.out, "{}", cert.info(SystemTime::now()).describe(&Local))?;
    }
    Ok(())
}
