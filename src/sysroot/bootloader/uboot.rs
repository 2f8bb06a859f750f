//! Das U-Boot: variables that its scripts import.
//!
//! ```text
//! kernel_image=/boot/ostree/…   ramdisk_image=…   fdt_file= or fdtdir=…   bootargs=…      of the first entry
//! (usr/lib/ostree-boot/uEnv.txt of the first deployment, as it is)
//! kernel_image2=…               …                                                        of the second entry
//! ```

use super::super::boot_entry::BootEntry;
use super::super::files::{self, Durability};
use super::super::{BootVersion, Error, Result, Sysroot};
use super::{read_text, required};

/// The file whose presence says that U-Boot boots this machine.
pub(super) const CONFIG: &str = "boot/loader/uEnv.txt";

/// The keys of an entry that hold paths, and the variables for them.
const PATHS: [(&str, &str); 4] = [
    ("kernel_image", "linux"),
    ("ramdisk_image", "initrd"),
    ("fdt_file", "devicetree"),
    ("fdtdir", "fdtdir"),
];

pub(super) fn write_config(sysroot: &Sysroot, version: BootVersion) -> Result<()> {
    if files::stat(sysroot.dir(), CONFIG)?.is_none() {
        return Err(Error::io("open", CONFIG, rustix::io::Errno::NOENT));
    }
    let mut text = String::new();
    for (place, entry) in sysroot.boot_entries(version)?.iter().enumerate() {
        let number = if place == 0 { String::new() } else { (place + 1).to_string() };
        required(entry, "linux")?;
        for (variable, key) in PATHS {
            if let Some(path) = entry.get(key) {
                text += &format!("{variable}{number}=/boot{path}\n");
            }
        }
        if let Some(options) = entry.get("options") {
            text += &format!("bootargs{number}={options}\n");
            if place == 0 {
                text += &of_deployment(sysroot, entry)?;
            }
        }
    }
    files::replace(
        sysroot.dir(),
        &format!("boot/loader.{version}/uEnv.txt"),
        text.as_bytes(),
        Durability::Synced,
    )
}

/// The variables that the tree of the first deployment brings along.
fn of_deployment(sysroot: &Sysroot, entry: &BootEntry) -> Result<String> {
    let kargs = entry.kernel_args();
    let missing = "No ostree= kernel argument found in boot loader configuration file";
    let link = kargs.last_value("ostree").ok_or_else(|| Error::Usage(missing.into()))?;
    let path = format!("{}/usr/lib/ostree-boot/uEnv.txt", link.trim_start_matches('/'));
    if files::stat(sysroot.dir(), &path)?.is_none() {
        return Ok(String::new());
    }
    Ok(read_text(sysroot, &path)? + "\n")
}
