//! `demo`: the main job with a directory of this machine, without root and without network.
//!
//! ```text
//! directory ─ commit, sign ─▶ repository ─ build ─▶ OCI image ─ pull, verify ─▶ repository ─▶ checkout
//!     └────────────────────────────────── compared, byte by byte ─────────────────────────────────┘
//! ```

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::{Context, bail};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::cli::terminal::{Session, size};
use crate::container;
use crate::container::build::BuildOptions;
use crate::container::place::OciLayout;
use crate::container::pull::{PullOptions, Pulled, Vouching};
use crate::container::trust::Admitted;
use crate::format::{CommitId, RefSpec, RepoMode};
use crate::host::{SignedBy, sign_commit};
use crate::repo::Repo;
use crate::sign::gpg::{Keyring, SecretKeys};
use crate::store::{Modifier, MutableTree, Txn, load_commit};
use crate::tree::{
    CheckoutOptions, CommitOptions, DirOptions, Linking, Ownership, RefBindings, Sealing, add_dir, checkout,
    write_commit,
};

mod by_hand;
mod compare;

/// Arguments of `demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Keep what was made
    #[arg(long)]
    keep: bool,
    /// A directory whose files the user may read [default: /usr/include or /usr/share/doc]
    dir: Option<PathBuf>,
}

/// Directories that nearly every machine has, with files that everybody may read.
const DEFAULT_DIRS: [&str; 3] = ["/usr/include", "/usr/share/doc", "/usr/share"];
/// The mode of both repositories: files of the current user, needing no privilege and no xattrs.
const MODE: RepoMode = RepoMode::BareUserOnly;
const REF: &str = "demo";
const USER: &str = "ostree-rs demo <demo@example.org>";

/// Where everything goes.
struct Demo<'a> {
    work: &'a Path,
    session: &'a mut Session,
    /// When the commit is made.
    now: SystemTime,
    started: Instant,
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Goes the whole way and says what happens.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let source = match &args.dir {
        Some(dir) => dir.clone(),
        None => {
            let found = DEFAULT_DIRS.iter().map(Path::new).find(|dir| dir.is_dir());
            found.context("give a directory: ostree-rs demo DIR")?.to_owned()
        }
    };
    let work = tempfile::Builder::new().prefix("ostree-rs-demo-").tempdir()?;
    let shown = work.path().display();
    writeln!(session.out, "{} goes the whole way, in {shown}:", source.display())?;
    let now = SystemTime::now();
    let mut demo = Demo { work: work.path(), session, now, started: Instant::now() };
    demo.all(&source)?;
    by_hand::print(&source, unix_seconds(now), &mut session.out)?;
    if args.keep {
        let kept = work.keep();
        writeln!(session.out, "Kept: {0}; try ostree-rs log --repo={0}/target demo", kept.display())?;
    }
    Ok(())
}

impl Demo<'_> {
    fn all(&mut self, source: &Path) -> anyhow::Result<()> {
        let keys = SecretKeys::generate(USER, SystemTime::now())?;
        let strangers = SecretKeys::generate(USER, SystemTime::now())?;
        let repo = self.create("source")?;
        let commit = self.commit(&repo, source, &keys)?;
        let image = self.build(&repo, &commit)?;
        let target = self.create("target")?;
        self.refusals(&target, &image, strangers.public())?;
        self.pull(&target, &image, keys.public(), &commit)?;
        let out = self.check_out(&target, &commit)?;
        let compared = compare::trees(source, &out, &self.session.ctx.cancel)?;
        self.say("compared", &format!("{compared} files and links of the checkout with {}", source.display()))
    }

    fn create(&self, name: &str) -> anyhow::Result<Repo> {
        Ok(Repo::create(self.make_dir(name)?, MODE, None)?)
    }

    fn make_dir(&self, name: &str) -> anyhow::Result<Dir> {
        let path = self.work.join(name);
        fs::create_dir(&path)?;
        Ok(Dir::open_ambient_dir(path, ambient_authority())?)
    }

    fn commit(&mut self, repo: &Repo, source: &Path, keys: &SecretKeys) -> anyhow::Result<CommitId> {
        let ctx = &self.session.ctx;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(CWD, source, flags, Mode::empty())
            .with_context(|| format!("opendir({})", source.display()))?;
        let name: RefSpec = REF.parse()?;
        let txn = repo.begin(ctx)?;
        let mut tree = MutableTree::new();
        let mut modifier = Modifier::default().for_mode(MODE);
        let options = DirOptions { sealing: Sealing::AsFinished, ..DirOptions::default() };
        let stats = add_dir(&txn, &mut tree, dir, &mut modifier, &options, ctx)?;
        let options = CommitOptions {
            subject: by_hand::subject(source),
            timestamp: unix_seconds(self.now),
            bindings: Some(RefBindings { refs: vec![name.clone()], collection: None }),
            ..CommitOptions::default()
        };
        let id = write_commit(&txn, tree.write(&txn)?, &options)?;
        sign_commit(&txn, &id, keys, &[USER.to_owned()])?;
        txn.set_ref(&name, Some(id))?;
        txn.commit(ctx)?;
        let files = format!("{} files, {}", stats.files, size(stats.bytes));
        self.say("committed", &format!("{id} ({files})"))?;
        let key = keys.public().certs().next().context("no key")?.fingerprint();
        self.say("signed", &format!("with the OpenPGP key {key}, made for this run"))?;
        Ok(id)
    }

    fn build(&mut self, repo: &Repo, commit: &CommitId) -> anyhow::Result<OciLayout> {
        let layout = OciLayout::create(self.make_dir("image")?, Some(REF))?;
        let built =
            container::build::build(repo, commit, &layout, &BuildOptions::default(), &self.session.ctx)?;
        let bytes: u64 = fs::read_dir(self.work.join("image/blobs/sha256"))?
            .map(|entry| Ok(entry?.metadata()?.len()))
            .sum::<std::io::Result<u64>>()?;
        self.say("built", &format!("OCI image {} ({})", built.manifest, size(bytes)))?;
        Ok(layout)
    }

    /// What must not be pulled is not pulled.
    fn refusals(&mut self, target: &Repo, image: &OciLayout, strangers: &Keyring) -> anyhow::Result<()> {
        if self.try_pull(target, image, None).is_ok() {
            bail!("the commit was pulled although nobody vouches for it");
        }
        self.say("refused", "to pull it without a keyring")?;
        if self.try_pull(target, image, Some(strangers)).is_ok() {
            bail!("the commit was pulled although its signature is not of that key");
        }
        self.say("refused", "to pull it with the keyring of somebody else")
    }

    fn pull(
        &mut self,
        target: &Repo,
        image: &OciLayout,
        keyring: &Keyring,
        commit: &CommitId,
    ) -> anyhow::Result<()> {
        let pulled = self.try_pull(target, image, Some(keyring))?;
        if pulled.commit != *commit {
            bail!("commit {commit} went in, {} came out", pulled.commit);
        }
        self.say("pulled", "into a second repository: signature, digests and every object verified")
    }

    fn try_pull(
        &self,
        target: &Repo,
        image: &OciLayout,
        keyring: Option<&Keyring>,
    ) -> anyhow::Result<Pulled> {
        let signed_by = keyring.cloned().map(SignedBy);
        let vouching = signed_by.as_ref().map_or(Vouching::Undecided, |voucher| Vouching::By(voucher));
        let options = PullOptions { vouching, name: Some(REF.parse()?), ..PullOptions::default() };
        Ok(container::pull::pull(&Admitted::unjudged(image)?, target, &options, &self.session.ctx)?)
    }

    fn check_out(&mut self, target: &Repo, commit: &CommitId) -> anyhow::Result<PathBuf> {
        let out = self.work.join("checkout");
        let options =
            CheckoutOptions { ownership: Ownership::User, linking: Linking::Require, ..Default::default() };
        let root = load_commit(target, commit)?.root;
        checkout(target, root, CWD, &out, &options.for_mode(MODE), &self.session.ctx)?;
        self.say("checked out", "by hard links to the objects of the second repository")?;
        Ok(out)
    }

    /// One line, with the time since the last one.
    fn say(&mut self, done: &str, what: &str) -> anyhow::Result<()> {
        let secs = std::mem::replace(&mut self.started, Instant::now()).elapsed().as_secs_f64();
        writeln!(self.session.out, "  {done:12}{what}  [{secs:.2} s]")?;
        Ok(self.session.out.flush()?)
    }
}
