//! The first process of a machine that has no initramfs.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::booting::{CMDLINE, place};
use super::{Error, Machine, Result};
use crate::sysroot::prepare_root::take_over;

/// The init of the deployment.
const INIT: &str = "/sbin/init";
/// What is unmounted again; in the new root it is below the physical one.
const PROC: [&str; 2] = ["/proc", "/sysroot/proc"];

impl Machine {
    /// Makes the deployment that the kernel's command line names the root, and becomes its init, with these arguments: this
    /// is for the first process, if the kernel was told to execute this program for init. It returns if that fails, which
    /// stops the machine.
    ///
    /// # Errors
    /// [`Error::Booting`], [`Error::Io`].
    pub fn become_init(&self, args: impl IntoIterator<Item = OsString>) -> Result<Infallible> {
        let has_proc = match fs::metadata(CMDLINE) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(Error::io("Looking at", CMDLINE)(error)),
        };
        if !has_proc {
            let mounted = mount("proc", PROC[0], "proc", MountFlags::SILENT, None);
            mounted.map_err(|errno| Error::io("Mounting", PROC[0])(errno.into()))?;
        }
        let cmdline = fs::read_to_string(CMDLINE).map_err(Error::io("Reading", CMDLINE))?;
        take_over(&place("/")?, &cmdline)?;
        if !has_proc {
            let unmounted = unmount(PROC[1], UnmountFlags::DETACH);
            unmounted.map_err(|errno| Error::io("Unmounting", PROC[1])(errno.into()))?;
        }
        let error = Command::new(INIT).args(args).exec();
        Err(Error::io("Executing", Path::new(INIT))(error))
    }
}
