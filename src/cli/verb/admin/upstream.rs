//! Where upgrades of a deployment come from: a ref of a remote that its origin names. `upgrade` and `switch` pull it and
//! deploy what came.

use anyhow::{Context, bail};

use super::SysrootOptions;
use crate::cli::locate;
use crate::cli::terminal::Session;
use crate::cli::verb::container::update::PullingOptions;
use crate::cli::verb::pull;
use crate::container::image::OstreeImageReference;
use crate::format::{CommitId, RefSpec, RemoteName};
use crate::host::{Finish, Machine, image_of};
use crate::repo::Repo;
use crate::store::{Refs, Txn, load_commit};
use crate::sysroot::{DeployOptions, Deployment, DeploymentOrigin, Deployments, Stateroot, Sysroot};

/// The key of a commit's metadata that names the ref which goes on after it.
const REBASE: &str = "ostree.endoflife-rebase";

/// A deployment that is to be upgraded, and where its upgrades come from.
pub(super) struct Upstream {
    stateroot: Stateroot,
    merge: Deployment,
    origin: DeploymentOrigin,
}

/// Arguments of `upgrade` and `switch`.
#[derive(clap::Args)]
pub(super) struct Common {
    #[command(flatten)]
    pub(super) sysroot: SysrootOptions,
    /// The stateroot, instead of the booted one
    #[arg(long, value_name = "STATEROOT")]
    pub(super) os: Option<Stateroot>,
    /// Restart the machine afterwards, by `systemctl reboot`, or `kexec` with --kexec
    #[arg(short, long)]
    reboot: bool,
    /// Let the running kernel load the new one, for `systemctl kexec`: a restart without firmware and boot loader
    #[arg(short, long)]
    pub(super) kexec: bool,
    #[command(flatten)]
    pub(super) pulling: PullingOptions,
}

impl Common {
    /// The option that has a new deployment started, for messages.
    pub(super) fn starts(&self) -> Option<&'static str> {
        match (self.kexec, self.reboot) {
            (true, _) => Some("--kexec"),
            (_, true) => Some("--reboot"),
            _ => None,
        }
    }

    /// When a new deployment is finished, if that is not left to what it comes from: a kernel is loaded from one that is.
    pub(super) fn finish(&self) -> Option<Finish> {
        self.kexec.then_some(Finish::AT_ONCE)
    }

    /// Has the new deployment of a stateroot started: its kernel loaded, the machine restarted.
    pub(super) fn start(
        &self,
        sysroot: &Sysroot,
        stateroot: &Stateroot,
        before: &Deployments,
    ) -> anyhow::Result<()> {
        if self.kexec {
            let deployments = sysroot.load()?;
            let new = deployments.list.iter().find(|deployment| deployment.id.stateroot == *stateroot);
            sysroot.load_kexec(new.with_context(|| format!("No deployment for OS '{stateroot}'"))?)?;
        }
        // Another machine than this one nobody wants to restart.
        if !self.reboot || before.booted().is_none() {
            return Ok(());
        }
        let machine = Machine::from_env();
        Ok(if self.kexec { machine.kexec() } else { machine.reboot() }?)
    }
}

/// What is fetched before it is looked which commit is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetch {
    /// What the remote has; nothing where the origin names no remote.
    FromRemote,
    /// Nothing: what is here already is deployed.
    Nothing,
}

/// How old the next commit may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// Not older than the one that is deployed: whoever serves an old commit must not bring old gaps back.
    NotOlder,
    /// However old.
    Any,
}

impl Upstream {
    /// The deployment of a stateroot, or of the booted one, whose configuration the next one takes over.
    pub(super) fn of(deployments: &Deployments, stateroot: Option<&Stateroot>) -> anyhow::Result<Self> {
        let named = stateroot.or_else(|| deployments.booted().map(|booted| &booted.id.stateroot));
        let stateroot = named.context("Not currently booted into an OSTree system and no OS specified")?;
        let merge = deployments.merge_deployment(stateroot);
        let merge = merge.with_context(|| format!("No previous deployment for OS '{stateroot}'"))?;
        let origin = merge.origin.clone();
        let origin = origin.with_context(|| format!("No origin known for deployment {}", merge.id.name()))?;
        Ok(Self { stateroot: stateroot.clone(), merge: merge.clone(), origin })
    }

    /// The origin that the next deployment gets.
    pub(super) fn origin(&self) -> &DeploymentOrigin {
        &self.origin
    }

    /// Lets the next deployment have another origin.
    pub(super) fn set_origin(&mut self, origin: DeploymentOrigin) {
        self.origin = origin;
    }

    /// The stateroot that is upgraded.
    pub(super) fn stateroot(&self) -> &Stateroot {
        &self.stateroot
    }

    /// The container image that upgrades come from, if it is one.
    pub(super) fn image(&self) -> anyhow::Result<Option<OstreeImageReference>> {
        Ok(image_of(&self.merge)?)
    }

    /// Refuses a system whose maker says that it has to be configured first.
    pub(super) fn refuse_unconfigured(&self) -> anyhow::Result<()> {
        match self.origin.keys().get_string("origin", "unconfigured-state")? {
            Some(state) => bail!("origin unconfigured-state: {state}"),
            None => Ok(()),
        }
    }

    /// The ref that upgrades come from.
    pub(super) fn refspec(&self) -> anyhow::Result<RefSpec> {
        let none = "No origin/refspec in current deployment origin; cannot upgrade via ostree";
        let text = self.origin.refspec().context(none)?;
        text.parse().with_context(|| format!("Invalid refspec {text}"))
    }

    /// Fetches the next commit; gives it, and whether it is another one than the deployed. A commit that says that its
    /// ref has ended leads to the one that goes on.
    pub(super) fn fetch(
        &mut self,
        repo: &mut Repo,
        fetch: Fetch,
        age: Age,
        session: &mut Session,
    ) -> anyhow::Result<(CommitId, bool)> {
        let mut refspec = self.refspec()?;
        let pinned = self.origin.override_commit()?;
        let deployed = self.merge.id.commit;
        let remote = refspec.remote.clone().filter(|_| fetch == Fetch::FromRemote);
        let checked = (age == Age::NotOlder).then_some(deployed);
        if let Some(remote) = &remote {
            let wanted = pinned.map_or_else(|| refspec.name.to_string(), |commit| commit.to_string());
            pull_one(repo, remote, wanted, checked, session)?;
        }
        let newest = resolve(repo, &refspec)?;
        if let Some(name) = load_commit(repo, &newest)?.metadata.get_str(REBASE) {
            refspec.name = name.parse().with_context(|| format!("Invalid ref name {name}"))?;
            if let Some(remote) = &remote {
                pull_one(repo, remote, refspec.name.to_string(), None, session)?;
            }
            self.origin.set_refspec(&refspec.to_string())?;
        }
        let next = match pinned {
            Some(commit) => {
                let set = |txn: &crate::repo::Transaction<'_>| Ok(txn.set_ref(&refspec, Some(commit))?);
                locate::in_transaction(repo, &session.ctx, set)?;
                commit
            }
            None => resolve(repo, &refspec)?,
        };
        if age == Age::NotOlder && next != deployed {
            let time = |commit: &CommitId| load_commit(repo, commit).map(|loaded| loaded.timestamp);
            crate::remote::refuse_older((&deployed, time(&deployed)?), (&next, time(&next)?))
                .map_err(|why| anyhow::anyhow!("{why}"))?;
        }
        Ok((next, next != deployed))
    }

    /// Deploys a commit, and deletes what is not needed any more.
    pub(super) fn deploy(
        self,
        sysroot: &Sysroot,
        deployments: Deployments,
        commit: CommitId,
        finish: Finish,
        session: &Session,
    ) -> anyhow::Result<()> {
        let options = DeployOptions {
            origin: Some(self.origin),
            merge: Some(&self.merge),
            ..DeployOptions::new(self.stateroot, commit)
        };
        Machine::from_env().deploy(sysroot, deployments, &options, finish, &session.ctx)?;
        Ok(())
    }
}

fn pull_one(
    repo: &mut Repo,
    remote: &RemoteName,
    wanted: String,
    not_older_than: Option<CommitId>,
    session: &mut Session,
) -> anyhow::Result<()> {
    let options = pull::remote::Options::of_upgrade(not_older_than);
    pull::remote::pull(repo, remote, &[wanted], &options, true, session)
}

fn resolve(repo: &Repo, refspec: &RefSpec) -> anyhow::Result<CommitId> {
    repo.resolve(refspec)?.with_context(|| format!("Refspec '{refspec}' not found"))
}
