//! `admin status`: which deployments there are.

use std::io::Write;

use anyhow::{Context, bail};
use chrono::Local;
use serde::Serialize;

use crate::cli::terminal::Session;
use crate::format::{Commit, RefSpec, RemoteName};
use crate::host::{Machine, verdicts};
use crate::repo::Repo;
use crate::sign::gpg::Keyring;
use crate::store::{Error, StoredCommit, load_commit, require_voucher};
use crate::sysroot::{Deployment, Deployments, Stage, Unlocked};

/// Arguments of `admin status`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: super::SysrootOptions,
    /// Verify the commits' signatures, as the remotes that they came from ask for
    #[arg(short = 'V', long)]
    verify: bool,
    /// Print JSON
    #[arg(short = 'J', long)]
    json: bool,
    /// Do not show signatures
    #[arg(short = 'S', long)]
    skip_signatures: bool,
    /// Print "default" if the deployment that runs is the one that will be booted next, and else "not-default"
    #[arg(short = 'D', long)]
    is_default: bool,
}

/// What a deployment is called in the list.
#[derive(Debug, Clone, Copy, Default)]
struct Role {
    booted: bool,
    pending: bool,
    rollback: bool,
}

#[derive(Serialize)]
struct Json {
    deployments: Vec<JsonDeployment>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct JsonDeployment {
    checksum: String,
    stateroot: String,
    refspec: Option<String>,
    serial: u32,
    index: usize,
    booted: bool,
    pending: bool,
    rollback: bool,
    finalization_locked: bool,
    soft_reboot_target: bool,
    staged: bool,
    pinned: bool,
    unlocked: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_title: Option<String>,
}

/// Lists the deployments.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let sysroot = args.common.open()?;
    let deployments = sysroot.load()?;
    let roles = roles(&deployments);
    let listed = deployments.list.iter().zip(&roles);
    if args.json {
        let each = listed.enumerate().map(|(index, (one, role))| json(sysroot.repo(), one, *role, index));
        let json = Json { deployments: each.collect() };
        serde_json::to_writer_pretty(&mut session.out, &json)?;
        return Ok(writeln!(session.out)?);
    }
    let out = &mut session.out;
    if args.is_default {
        let first = deployments.list.first().context("Not in a booted OSTree system")?;
        let is_default = deployments.is_booted(first);
        return Ok(writeln!(out, "{}", if is_default { "default" } else { "not-default" })?);
    }
    if deployments.list.is_empty() {
        return Ok(writeln!(out, "No deployments.")?);
    }
    for (index, (deployment, role)) in listed.enumerate() {
        print(deployment, *role, sysroot.repo(), out)?;
        signatures(args, deployment, sysroot.repo(), out).with_context(|| format!("Deployment {index}"))?;
    }
    Ok(())
}

fn roles(deployments: &Deployments) -> Vec<Role> {
    let (pending, rollback) = match deployments.booted() {
        Some(booted) => deployments.around_booted(&booted.id.stateroot),
        None => (None, None),
    };
    let is = |one: &Deployment, other: Option<&Deployment>| other.is_some_and(|other| other.id == one.id);
    let role = |one| Role {
        booted: deployments.is_booted(one),
        pending: is(one, pending),
        rollback: is(one, rollback),
    };
    deployments.list.iter().map(role).collect()
}

fn print(deployment: &Deployment, role: Role, repo: &Repo, out: &mut impl Write) -> anyhow::Result<()> {
    let state = match (deployment.stage, role) {
        (Stage::Locked, _) => " (finalization locked)",
        (Stage::Staged, _) => " (staged)",
        (_, Role { pending: true, .. }) => " (pending)",
        (_, Role { rollback: true, .. }) => " (rollback)",
        _ => "",
    };
    let soft = if deployment.is_soft_reboot_target { " (soft-reboot)" } else { "" };
    let marker = if role.booted { '*' } else { ' ' };
    writeln!(out, "{marker} {} {}{state}{soft}", deployment.id.stateroot, deployment.id.name())?;
    // A commit that is damaged or gone is no reason to say nothing of the rest.
    let commit = load_commit(repo, &deployment.id.commit).ok();
    let text = |key| commit.as_ref().and_then(|commit: &Commit| commit.metadata.get_str(key));
    if let Some(version) = text("version") {
        writeln!(out, "    Version: {version}")?;
    }
    if deployment.unlocked != Unlocked::No {
        writeln!(out, "    Unlocked: {}", deployment.unlocked)?;
    }
    if deployment.is_pinned() {
        writeln!(out, "    Pinned: yes")?;
    }
    let Some(origin) = &deployment.origin else { return Ok(writeln!(out, "    origin: none")?) };
    match (origin.refspec(), origin.image()) {
        (Some(refspec), _) => writeln!(out, "    origin refspec: {refspec}")?,
        (None, Some(image)) => writeln!(out, "    origin image: {image}")?,
        (None, None) => writeln!(out, "    origin: <unknown origin type>")?,
    }
    if let Some(title) = text("ostree.source-title") {
        writeln!(out, "    `- {title}")?;
    }
    Ok(())
}

/// Shows the signatures of the commit, where its remote asks for some.
fn signatures(args: &Args, deployment: &Deployment, repo: &Repo, out: &mut impl Write) -> anyhow::Result<()> {
    let remote = match remote_of(deployment) {
        // The list has shown what the origin says; who does not verify anything can do without the remote.
        Err(_) if !args.verify => None,
        remote => remote?,
    };
    let commit = match StoredCommit::read(repo, &deployment.id.commit) {
        Err(Error::NotFound(_)) if args.verify => bail!("Cannot verify, failed to load commit"),
        Err(Error::NotFound(_)) => return Ok(()),
        read => read?,
    };
    let remote = match remote {
        None if args.verify => bail!("Cannot verify deployment without remote"),
        None => return Ok(()),
        Some(remote) => remote,
    };
    if args.verify {
        return Ok(writeln!(out, "{}", verified(repo, &remote, &commit)?)?);
    }
    let machine = Machine::from_env();
    let asks_for_gpg = machine.remote_config(repo, &remote).is_ok_and(|config| config.gpg_verify);
    if asks_for_gpg && !args.skip_signatures {
        let keyring = machine.keyring_of_remote(repo, &remote)?;
        write!(out, "{}", gpg_lines("    GPG: ", &keyring, &commit)?)?;
    }
    Ok(())
}

/// Demands the signatures that the remote asks for, and says which they are.
fn verified(repo: &Repo, remote: &RemoteName, commit: &StoredCommit) -> anyhow::Result<String> {
    let trust = Machine::from_env().remote_trust(repo, remote)?;
    let voucher = trust.commits().with_context(|| {
        format!(
            "Cannot verify commit for remote {remote}, which asks for no signature: it has gpg-verify=false, \
             and no sign-verify"
        )
    })?;
    let judged = commit.to_judge()?;
    require_voucher(voucher, &judged)?;
    let gpg = trust.keyring().map(|keyring| gpg_lines("GPG: ", keyring, commit)).transpose()?;
    let bare = trust.bare_key_of(&judged).map_err(anyhow::Error::from_boxed)?.map(|key| key.to_string());
    Ok([gpg, bare].into_iter().flatten().collect::<Vec<_>>().join("\n"))
}

fn gpg_lines(prefix: &str, keyring: &Keyring, commit: &StoredCommit) -> anyhow::Result<String> {
    let verdicts = verdicts(keyring, &commit.bytes, commit.detached_metadata()?.as_ref())?;
    Ok(verdicts.iter().map(|verdict| verdict.describe(prefix, &Local)).collect())
}

fn remote_of(deployment: &Deployment) -> anyhow::Result<Option<RemoteName>> {
    let refspec = deployment.origin.as_ref().and_then(|origin| origin.refspec());
    let refspec: Option<RefSpec> = refspec.map(|refspec| refspec.parse()).transpose()?;
    Ok(refspec.and_then(|refspec| refspec.remote))
}

fn json(repo: &Repo, deployment: &Deployment, role: Role, index: usize) -> JsonDeployment {
    // As above, one that is damaged is no reason to say nothing.
    let commit = load_commit(repo, &deployment.id.commit).ok();
    let text = |key| Some(commit.as_ref()?.metadata.get_str(key)?.to_owned());
    JsonDeployment {
        checksum: deployment.id.commit.to_string(),
        stateroot: deployment.id.stateroot.to_string(),
        refspec: deployment.origin.as_ref().and_then(|origin| origin.refspec()),
        serial: deployment.id.serial,
        index,
        booted: role.booted,
        pending: role.pending,
        rollback: role.rollback,
        finalization_locked: deployment.stage == Stage::Locked,
        soft_reboot_target: deployment.is_soft_reboot_target,
        staged: deployment.is_staged(),
        pinned: deployment.is_pinned(),
        unlocked: deployment.unlocked.to_string(),
        version: text("version"),
        source_title: text("ostree.source-title"),
    }
}
