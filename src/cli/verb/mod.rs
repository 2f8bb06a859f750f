//! One file per verb: its arguments, and what it does with them. Verbs know nothing of the definitions in `app`,
//! which are made of them.

pub(crate) mod admin;
pub(crate) mod cat;
pub(crate) mod checkout;
pub(crate) mod checksum;
pub(crate) mod commit;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod container;
pub(crate) mod create_usb;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod find_remotes;
pub(crate) mod fsck;
pub(crate) mod gpg_new_key;
pub(crate) mod gpg_sign;
pub(crate) mod init;
pub(crate) mod log;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod prepare_root;
pub(crate) mod prune;
pub(crate) mod pull;
pub(crate) mod pull_local;
pub(crate) mod push;
pub(crate) mod receive;
pub(crate) mod refs;
pub(crate) mod remote;
pub(crate) mod remount;
pub(crate) mod reset;
pub(crate) mod rev_parse;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod sign;
pub(crate) mod signing;
pub(crate) mod static_delta;
pub(crate) mod summary;
pub(crate) mod system_generator;
pub(crate) mod tar;

use anyhow::{Context, bail};
use clap::{Command, Subcommand};

use super::locate::RepoOptions;
use super::near;
use super::terminal::Session;
use crate::format::{CommitId, RefSpec, RemoteName, Rev};
use crate::host::Machine;
use crate::repo::{CollectionRef, ConfigFile, Repo};
use crate::store::{ObjectRead, Refs, resolve_rev};

pub(crate) use self::container::Verb as ContainerVerb;

/// Every verb.
#[derive(Subcommand)]
pub(crate) enum Verb {
    #[command(flatten)]
    Ostree(OstreeVerb),
    /// Lossless tar streams of commits, in ostree-ext's format
    #[command(subcommand)]
    Tar(tar::Verb),
    /// Commits as container images, and back
    #[command(subcommand)]
    Container(container::Verb),
    /// Serve a repository of any mode over HTTP: as an archive, as a registry of images, for people
    ///
    /// Every ref is an image: os/stable is HOST:PORT/os/stable, with the tag latest and one for each of its commits. Where
    /// a ref has letters that no name of an image may have, the image has small ones, and '-' for other signs; where two
    /// refs would get the same name, those that are changed get the first digits of their SHA-256 behind it. The names
    /// are listed at /v2/_catalog.
    Serve(serve::Args),
    /// Copy commits to another repository, of this machine or over ssh, or into a tree of `serve --export`
    ///
    /// Commits keep their ids. Objects come before refs, only those that are missing are sent, and what was sent before the
    /// push broke off is not sent again. A ref only moves forward, to a commit that comes after the one that it names.
    ///
    /// In a tree that `serve --export` wrote, for web servers and object stores, the summary, images of the refs that changed
    /// and pages are made, too; commits may come from several repositories by and by. Its s3-sync.sh then sends what is new.
    ///
    /// Over ssh, this program runs on the other machine, too (`ostree-rs receive`), and verifies every object before it is
    /// stored. The user's ssh is executed for that: with another one, or with options for it, by --ssh or OSTREE_RS_SSH.
    Push(push::Args),
    /// Take what `push` sends through standard input and output
    ///
    /// `push` has ssh start it. In authorized_keys, `command="ostree-rs receive --repo=/srv/repo",restrict` lets a key do
    /// nothing else. Where the repository's config has gpg-verify=true in the group [receive], only commits that are signed
    /// are let in: by a key in the files and directories of gpgkeypath there, or else by one of the system's.
    Receive(receive::Args),
    /// In an initramfs, make the deployment that the kernel's command line names the root file system
    ///
    /// The deployment is what `ostree=` names. It is mounted where the physical root is mounted now, which can then be found
    /// below it, in /sysroot. /usr is read-only, /etc the deployment's own. prepare-root.conf in /usr/lib/ostree or
    /// /etc/ostree of the initramfs says what else is wanted: sysroot.readonly, etc.transient, root.transient, and
    /// composefs.enabled, with `signed` for a root that is verified from the key in the initramfs to the last file.
    ///
    /// A program of this name, ostree-prepare-root, may be a link to this one. As the first process, under this name or init, it
    /// does the same with the disk that the kernel has mounted, without an initramfs, and becomes the deployment's /sbin/init.
    PrepareRoot(prepare_root::Args),
    /// Early in the running system, make /sysroot read-only or writable as the initramfs had it planned
    ///
    /// systemd remounts the root as /etc/fstab says, and with it everything on the same file system. A program of the name
    /// ostree-remount may be a link to this one.
    Remount(remount::Args),
    /// Tell systemd to mount /var and, where it is not a file system of its own, /boot
    ///
    /// A link named ostree-system-generator in /usr/lib/systemd/system-generators has systemd call it.
    SystemGenerator(system_generator::Args),
    /// Make a key to sign commits with
    GpgNewKey(gpg_new_key::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Write the manual pages into a directory
    Man(man::Args),
    /// Do the main job with a directory of this machine: commit, sign, build, pull, check out, compare
    Demo(demo::Args),
}

/// The verbs that C ostree has too.
#[derive(Subcommand)]
pub(crate) enum OstreeVerb {
    /// Deployments: what a machine boots, and how it gets the next version of it
    Admin(admin::Args),
    /// Print the content of files of a commit
    Cat(cat::Args),
    /// Check out a commit into a directory
    Checkout(checkout::Args),
    /// Print the checksum of a file or directory
    Checksum(checksum::Args),
    /// Commit directories, tar archives or other commits
    Commit(Box<commit::Args>),
    /// Read or change the configuration of a repository
    Config(config::Args),
    /// Copy refs of collections to a volume that is carried to other machines
    CreateUsb(create_usb::Args),
    /// Compare commits or directories
    Diff(diff::Args),
    /// Write a commit as a plain tar archive
    Export(export::Args),
    /// Look for places that have refs of collections, and pull from them
    FindRemotes(find_remotes::Args),
    /// Check that a repository is complete and undamaged
    Fsck(fsck::Args),
    /// Sign a commit with OpenPGP keys
    GpgSign(gpg_sign::Args),
    /// Create an empty repository
    Init(init::Args),
    /// Show a commit and those before it
    Log(log::Args),
    /// List files of a commit
    Ls(ls::Args),
    /// Delete objects that no ref needs
    Prune(prune::Args),
    /// Fetch commits from a remote, or the commit of a container image
    Pull(Box<pull::Args>),
    /// Copy commits from another repository of this machine
    PullLocal(pull_local::Args),
    /// List, create or delete refs
    Refs(refs::Args),
    /// Configure where commits come from
    #[command(subcommand)]
    Remote(remote::Verb),
    /// Let a ref name another commit
    Reset(reset::Args),
    /// Print the commit that a revision names
    RevParse(rev_parse::Args),
    /// Show an object
    Show(show::Args),
    /// Sign a commit with keys that are not OpenPGP's: ed25519, spki
    Sign(sign::Args),
    /// Make, apply, list, show, verify or delete static deltas
    #[command(subcommand)]
    StaticDelta(static_delta::Verb),
    /// Write or show the summary of a repository
    Summary(summary::Args),
}

/// Options of every verb that works on a repository.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Common {
    #[command(flatten)]
    repo: RepoOptions,
    /// Say what is being done
    #[arg(short, long)]
    verbose: bool,
}

impl Common {
    fn open(&self) -> anyhow::Result<Repo> {
        self.repo.open()
    }

    /// The config of the repository, which may be one that cannot be opened.
    fn config_file(&self) -> anyhow::Result<ConfigFile> {
        Ok(Machine::from_env().config_file(self.repo.path()?)?)
    }
}

/// Does what the arguments ask for; `definitions` of all verbs are what manual pages are made of.
pub(crate) fn run(
    verb: Verb,
    definitions: impl FnOnce() -> Command,
    session: &mut Session,
) -> anyhow::Result<()> {
    match verb {
        Verb::Ostree(verb) => run_ostree(verb, session),
        Verb::Tar(verb) => tar::run(&verb, session),
        Verb::Container(verb) => container::run(&verb, session),
        Verb::Serve(args) => serve::run(&args, session),
        Verb::Push(args) => push::run(&args, session),
        Verb::Receive(args) => receive::run(&args, session),
        Verb::PrepareRoot(args) => prepare_root::run(&args, session),
        Verb::Remount(args) => remount::run(&args, session),
        Verb::SystemGenerator(args) => system_generator::run(&args),
        Verb::GpgNewKey(args) => gpg_new_key::run(&args, session),
        Verb::Completions(args) => completions::run(&args, session),
        Verb::Man(args) => man::run(&args, definitions()),
        Verb::Demo(args) => demo::run(&args, session),
    }
}

fn run_ostree(verb: OstreeVerb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        OstreeVerb::Admin(args) => admin::run(&args, session),
        OstreeVerb::Cat(args) => cat::run(&args, session),
        OstreeVerb::Checkout(args) => checkout::run(&args, session),
        OstreeVerb::Checksum(args) => checksum::run(&args, session),
        OstreeVerb::Commit(args) => commit::run(&args, session),
        OstreeVerb::Config(args) => config::run(&args, session),
        OstreeVerb::CreateUsb(args) => create_usb::run(&args, session),
        OstreeVerb::Diff(args) => diff::run(&args, session),
        OstreeVerb::Export(args) => export::run(&args, session),
        OstreeVerb::FindRemotes(args) => find_remotes::run(&args, session),
        OstreeVerb::Fsck(args) => fsck::run(&args, session),
        OstreeVerb::GpgSign(args) => gpg_sign::run(&args, session),
        OstreeVerb::Init(args) => init::run(&args),
        OstreeVerb::Log(args) => log::run(&args, session),
        OstreeVerb::Ls(args) => ls::run(&args, session),
        OstreeVerb::Prune(args) => prune::run(&args, session),
        OstreeVerb::Pull(args) => pull::run(&args, session),
        OstreeVerb::PullLocal(args) => pull_local::run(&args, session),
        OstreeVerb::Refs(args) => refs::run(&args, session),
        OstreeVerb::Remote(verb) => remote::run(&verb, session),
        OstreeVerb::Reset(args) => reset::run(&args, session),
        OstreeVerb::RevParse(args) => rev_parse::run(&args, session),
        OstreeVerb::Show(args) => show::run(&args, session),
        OstreeVerb::Sign(args) => sign::run(&args, session),
        OstreeVerb::StaticDelta(verb) => static_delta::run(&verb, session),
        OstreeVerb::Summary(args) => summary::run(&args, session),
    }
}

/// The commit that `rev` names.
fn resolve<S: ObjectRead + Refs + ?Sized>(store: &S, rev: &str) -> anyhow::Result<CommitId> {
    let rev: Rev = rev.parse().with_context(|| format!("Invalid refspec {rev}"))?;
    resolve_rev(store, &rev).map_err(|error| near::with_nearest_ref(store, error))
}

/// The commit that a branch names, if it exists; as C ostree does, that of a remote if there is no local one.
fn resolve_if_present<S: ObjectRead + Refs + ?Sized>(
    store: &S,
    branch: &RefSpec,
) -> anyhow::Result<Option<CommitId>> {
    Ok(store.resolve(branch)?)
}

/// What is said of a remote that has no keys of its own.
fn no_key(remote: &RemoteName) -> String {
    format!("no key for remote {remote} yet: `remote gpg-import {remote} -k FILE` brings one")
}

/// The refs that pairs of words name: a collection, and a ref of it.
fn collection_refs(words: &[String]) -> anyhow::Result<Vec<CollectionRef>> {
    let pair = |pair: &[String]| match pair {
        [id, name] => Ok((id.parse()?, name.parse()?)),
        _ => bail!("Only complete COLLECTION-ID REF pairs may be specified"),
    };
    words.chunks(2).map(pair).collect()
}

/// Stops early if no files can be written.
fn require_files_writable(repo: &Repo) -> anyhow::Result<()> {
    repo.require_writable()?;
    let mode = repo.mode();
    match Machine::from_env().may_write_files(mode) {
        true => Ok(()),
        false => {
            bail!("Not allowed due to repo mode {mode}; with OSTREE_EXP_WRITE_BARE_SPLIT_XATTRS=1 it is")
        }
    }
}

/// What C ostree takes for a truth value.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "none" | "off" => Ok(false),
        _ => Err(format!("Invalid boolean argument '{text}'")),
    }
}
