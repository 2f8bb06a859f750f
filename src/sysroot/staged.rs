//! Staged deployments: checked out now, finished when the machine shuts down.
//!
//! ```text
//! /run/ostree/staged-deployment (a{sv})
//!   target, merge-deployment   a{sv}: name (COMMIT.SERIAL), osname, bootcsum
//!   kargs, overlay-initrds     as
//!   locked                     b
//!   bootconfig-extra           a{ss}
//! ```
//! So a change of `/etc` up to the shutdown is not lost, and a machine that crashes boots what it did before: the
//! file is gone with `/run`. Source: libostree ostree-sysroot-deploy.c.

use std::fs::File;
use std::io::{Read, Write};

use cap_std::fs::Dir;
use ostree_format::variant::{Basic, Dict, Type, Value};
use ostree_format::{Checksum, Hasher};
use rustix::fs::{AtFlags, Mode, OFlags};

use super::deploy::DeployOptions;
use super::files::{self, Durability};
use super::install::STAGED_INITRDS;
use super::load::{STAGED, STAGED_LOCKED, staged_id};
use super::retain::{Position, Retain};
use super::{Cleanup, Deployment, Deployments, Error, Result, Stage, Sysroot};
use crate::base::fs::unused_name;
use crate::base::{Ctx, WithCauses};

/// Beside `boot`: says at the next boot why a staged deployment was not finished.
const FAILURE: &str = "ostree/finalize-failure.stamp";

/// Whether a staged deployment is finished when the machine shuts down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StagedLock {
    /// The deployment is finished then.
    #[default]
    Open,
    /// The deployment waits until somebody unlocks it: see [`Sysroot::lock_staged`].
    Locked,
}

impl Sysroot {
    /// Checks a deployment out that is to be finished when the machine shuts down, in place of one that is staged
    /// already. Somebody has to see to it that [`Sysroot::finalize_staged`] is
    /// called then, which is what the service `ostree-finalize-staged` is for.
    ///
    /// # Errors
    /// [`Error::NotBooted`]; and as [`Sysroot::deploy`].
    pub fn stage(
        &self,
        current: &Deployments,
        options: &DeployOptions<'_>,
        lock: StagedLock,
        ctx: &Ctx,
    ) -> Result<Deployments> {
        let stage = || {
            current.require_booted()?;
            let run = self.run()?;
            self.clear_soft_reboot(current)?;
            let deployment = self.begin_deployment(options, ctx)?;
            self.write_origin_file(&deployment, Durability::Later)?;
            let state = state_of(&deployment, options, lock)?;
            files::mkdir_all(run, "ostree", 0o755)?;
            files::replace(run, STAGED, &state.to_bytes(), Durability::Later)?;
            if let Some(before) = current.staged() {
                self.remove_deployment(&before.id.dir())?;
                files::unlink(run, STAGED_LOCKED)?;
            }
            if lock == StagedLock::Locked {
                self.write_lock_file(run)?;
            }
            self.touch()?;
            let staged = self.load()?;
            self.cleanup(&staged, Cleanup::AllButObjects, ctx)?;
            Ok(staged)
        };
        stage().map_err(Error::within("Staging deployment"))
    }

    /// Lets the staged deployment be finished when the machine shuts down, or not.
    ///
    /// # Errors
    /// [`Error::NoSuchDeployment`] if none is staged; [`Error::Io`].
    pub fn lock_staged(&self, current: &Deployments, lock: StagedLock) -> Result<()> {
        let none = || Error::NoSuchDeployment("No staged deployment".into());
        let mut state = current.staged.clone().ok_or_else(none)?;
        state.insert("locked", lock == StagedLock::Locked);
        let run = self.run()?;
        files::replace(run, STAGED, &state.to_bytes(), Durability::Later)?;
        match lock {
            StagedLock::Locked => self.write_lock_file(run),
            StagedLock::Open => files::unlink(run, STAGED_LOCKED).map(drop),
        }
    }

    /// Finishes the staged deployment, if there is one that is not locked; says whether it did. If that fails, the next
    /// boot will be told why.
    ///
    /// # Errors
    /// [`Error::NoMergeDeployment`]; and as [`Sysroot::deploy`] and [`Sysroot::write_deployments`].
    pub fn finalize_staged(&self, current: Deployments, ctx: &Ctx) -> Result<bool> {
        let boot = self.boot_dir()?;
        let done = self.finalize(current, ctx);
        match &done {
            Ok(_) => files::remove_all(&boot, FAILURE)?,
            Err(error) => {
                let text = WithCauses(error).to_string();
                let kept = files::mkdir_all(&boot, "ostree", 0o755)
                    .and_then(|()| files::replace(&boot, FAILURE, text.as_bytes(), Durability::Synced));
                if let Err(error) = kept {
                    ctx.warn(&format!("the next boot will not be told why: {}", WithCauses(&error)));
                }
            }
        }
        done
    }

    fn finalize(&self, mut current: Deployments, ctx: &Ctx) -> Result<bool> {
        let (Some(mut staged), Some(state)) = (current.staged().cloned(), current.staged.clone()) else {
            return Ok(false);
        };
        let run = self.run()?;
        if staged.stage == Stage::Locked || files::stat(run, STAGED_LOCKED)?.is_some() {
            tracing::info!("not finalizing: the deployment is locked");
            return Ok(false);
        }
        let merge = merge_of(&state, &current)?;
        // From here on a half-merged /etc must not be taken for a deployment that can be finished.
        files::unlink(run, STAGED)?;
        self.finish_deployment(&mut staged, merge.as_ref(), ctx)
            .map_err(Error::within("Finalizing deployment"))?;
        current.remove_staged();
        (staged.stage, staged.is_new) = (Stage::Finished, true);
        let keep = (Retain::default(), Position::First);
        let written =
            self.add_deployment(current, staged, merge.as_ref().map(|merge| &merge.id), keep, ctx)?;
        self.cleanup(&written, Cleanup::AllButObjects, ctx)?;
        Ok(true)
    }

    /// Why the staged deployment could not be finished before this boot, if so; it is told once.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn take_finalize_failure(&self) -> Result<Option<String>> {
        let boot = self.boot_dir()?;
        let why = files::read(&boot, FAILURE)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        if why.is_some() {
            files::unlink(&boot, FAILURE)?;
        }
        Ok(why)
    }

    /// Keeps an initial RAM disk until a deployment takes it; gives its checksum.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no `/run`; [`Error::Io`].
    pub fn stage_initrd(&self, content: &mut dyn Read) -> Result<Checksum> {
        let run = self.run()?;
        files::mkdir_all(run, STAGED_INITRDS, 0o755)?;
        let dir = files::open_dir(run, STAGED_INITRDS)?;
        let failed = |e: std::io::Error| Error::at(&dir, "write", ".", e);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let make = |name: &str| Ok(rustix::fs::openat(&dir, name, flags, Mode::RUSR | Mode::WUSR)?);
        let (name, fd) = unused_name(".tmp-", make).map_err(failed)?;
        let mut file = File::from(fd);
        let mut copy = || -> std::io::Result<Checksum> {
            let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 128 * 1024]);
            loop {
                match content.read(&mut buffer)? {
                    0 => break,
                    n => {
                        hasher.update(&buffer[..n]);
                        file.write_all(&buffer[..n])?;
                    }
                }
            }
            let checksum = hasher.finish();
            rustix::fs::renameat(&dir, &*name, &dir, checksum.hex().as_str())?;
            Ok(checksum)
        };
        copy().map_err(|error| {
            let _ = rustix::fs::unlinkat(&dir, &*name, AtFlags::empty());
            failed(error)
        })
    }

    /// The directory `/run`.
    pub(super) fn run(&self) -> Result<&Dir> {
        self.surroundings.run.as_ref().ok_or_else(|| Error::Usage("there is no directory /run".into()))
    }

    /// Older versions look for this file, not into the state.
    fn write_lock_file(&self, run: &Dir) -> Result<()> {
        files::mkdir_all(run, "ostree", 0o755)?;
        files::replace(run, STAGED_LOCKED, b"", Durability::Later)
    }
}

impl Deployments {
    /// Takes the staged deployment out of the list.
    pub(super) fn remove_staged(&mut self) {
        let before = self.list.len();
        self.list.retain(|deployment| !deployment.is_staged());
        self.booted = self.booted.map(|at| at - (before - self.list.len()));
        self.staged = None;
    }
}

fn state_of(deployment: &Deployment, options: &DeployOptions<'_>, lock: StagedLock) -> Result<Dict> {
    let mut state = Dict::new();
    state.push("target", named(deployment).to_value());
    if lock == StagedLock::Locked {
        state.push("locked", true);
    }
    if let Some(merge) = options.merge {
        state.push("merge-deployment", named(merge).to_value());
    }
    if let Some(args) = &options.kernel_args {
        state.push("kargs", Value::strv(args.words()));
    }
    if !options.overlay_initrds.is_empty() {
        state.push("overlay-initrds", Value::strv(options.overlay_initrds.iter().map(ToString::to_string)));
    }
    // What other programs have added to the boot entry is handed on.
    let extra = options.merge.into_iter().flat_map(|merge| merge.entry.extra());
    let extra = extra.map(|(key, value)| Value::entry(key.into(), value.into()));
    let extra = extra.collect::<Result<Vec<_>, _>>().map_err(Error::invalid("boot entry"))?;
    if !extra.is_empty() {
        let entry = Type::entry(Basic::Str, Type::STR);
        state.push("bootconfig-extra", Value::array(entry, extra).map_err(Error::invalid("boot entry"))?);
    }
    Ok(state)
}

fn named(deployment: &Deployment) -> Dict {
    let mut dict = Dict::new();
    dict.push("name", deployment.id.name());
    dict.push("osname", deployment.id.stateroot.to_string());
    dict.push("bootcsum", deployment.boot_checksum.to_string());
    dict
}

/// The deployment whose configuration the staged one takes over.
pub(super) fn merge_of(state: &Dict, current: &Deployments) -> Result<Option<Deployment>> {
    let wrong = || Error::invalid(STAGED);
    let Some(named) = state.get_dict("merge-deployment").map_err(wrong())? else { return Ok(None) };
    let (id, _) = staged_id(&named).map_err(wrong())?;
    let missing = || Error::NoMergeDeployment { commit: id.commit, serial: id.serial };
    current.find(&id).cloned().ok_or_else(missing).map(Some)
}
