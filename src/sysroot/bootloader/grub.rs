//! GRUB 2: `grub.cfg`.
//!
//! ```text
//! boot/grub2/grub.cfg ─► ../loader/grub.cfg ─► loader.V/grub.cfg     BIOS, and EFI where that file leads there
//! boot/efi/EFI/NAME/grub.cfg                                         EFI otherwise: a copy at NAME/grub.cfg.old
//! ```
//! libostree executes grub2-mkconfig, which makes the file anew of what is in `/etc/grub.d`. Nothing is executed here,
//! unless the user has named a program; the new file is made of the old one:
//!
//! ```text
//! the old file                                                 the new one
//! has a section 15_ostree, as grub2-mkconfig makes it          the same, with the menu in this section made anew
//! has `blscfg`: GRUB reads the boot entries by itself          the same
//! is not there, or was written here                            a menu of the boot entries
//! ```
//! So what grub2-mkconfig knew (other systems, passwords, looks) stays as it was when that was last run.

use cap_std::fs::Dir;
use rustix::fs::FileType;

use super::super::boot_entry::BootEntry;
use super::super::files::{self, Durability, into_dir};
use super::super::{BootVersion, Error, Result, Sysroot};
use super::{Call, read_text, required};
use crate::base::Ctx;

/// Where GRUB of a BIOS has its configuration.
const BIOS: [&str; 2] = ["boot/grub2/grub.cfg", "boot/grub/grub.cfg"];
/// The directories of boot loaders on an EFI partition.
const EFI: &str = "boot/efi/EFI";
/// Written by bootupd, which may have installed a configuration that never changes.
const BOOTUPD: &str = "boot/bootupd-state.json";

const BEGIN: &str = "### BEGIN /etc/grub.d/15_ostree ###\n";
const END: &str = "### END /etc/grub.d/15_ostree ###\n";
/// What comes before a menu of our own.
const OWN_HEAD: &str = "\
# A menu of the boot entries in loader/entries, made anew for each deployment.
set timeout=5
insmod part_gpt
insmod part_msdos
function load_video {
  insmod all_video
}
";

/// How menu entries are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrubMenu {
    /// What tells the entries from those of other disks: `GRUB2_BOOT_DEVICE_ID` of grub2-mkconfig.
    pub device_id: String,
    /// The commands that let GRUB see the disk with the kernels: `GRUB2_PREPARE_ROOT_CACHE` of grub2-mkconfig. Empty: each
    /// entry searches for its kernel.
    pub prepare_root: String,
    /// What comes after `linux` and `initrd` in the names of the commands: `16` or `efi` of old versions of GRUB.
    pub suffix: String,
    /// What comes before the paths in boot entries: `/boot` where that is not a file system of its own.
    pub prefix: String,
}

/// Whether GRUB boots this machine, and if so in which directory of the EFI partition its only configuration lies.
pub(super) fn detect(dir: &Dir) -> Result<Option<Option<String>>> {
    let bootupd = files::read(dir, BOOTUPD)?.unwrap_or_default();
    let bootupd = String::from_utf8_lossy(&bootupd);
    if bootupd.contains("\"static-configs\"") && !bootupd.contains("\"static-configs\":null") {
        return Ok(None);
    }
    for path in BIOS {
        if files::lstat(dir, path)?.is_some() {
            return Ok(Some(None));
        }
    }
    Ok(efi_dir(dir)?.map(Some))
}

/// The directory of the EFI partition that has a configuration, if there is none for the BIOS.
pub(super) fn efi_dir(dir: &Dir) -> Result<Option<String>> {
    for path in BIOS {
        if files::lstat(dir, path)?.is_some() {
            return Ok(None);
        }
    }
    let Some(efi) = files::open_dir_if_there(dir, EFI)? else { return Ok(None) };
    let mut found = Vec::new();
    for entry in into_dir(efi).entries().map_err(|e| Error::io("read", EFI, e))? {
        let name = entry.map_err(|e| Error::io("read", EFI, e))?.file_name().to_string_lossy().into_owned();
        if name != "BOOT" && files::stat(dir, &format!("{EFI}/{name}/grub.cfg"))?.is_some() {
            found.push(name);
        }
    }
    found.sort();
    Ok(found.into_iter().next())
}

pub(super) fn write_config(
    sysroot: &Sysroot,
    version: BootVersion,
    efi: Option<&str>,
    ctx: &Ctx,
) -> Result<()> {
    let dir = sysroot.dir();
    let own = format!("boot/loader.{version}/grub.cfg");
    let (new, current) = match efi {
        Some(name) => (format!("{EFI}/{name}/grub.cfg.new"), format!("{EFI}/{name}/grub.cfg")),
        None => (own, "boot/loader/grub.cfg".to_owned()),
    };
    let call = Call::Grub { config: &new, version, efi: efi.is_some() };
    match sysroot.surroundings().programs.as_ref().and_then(|programs| programs.run(&call)) {
        Some(done) => {
            done.map_err(|e| Error::io("write by OSTREE_GRUB2_EXEC", &new, e))?;
            let written = files::open_file(dir, &new)?
                .ok_or_else(|| Error::io("open", &new, rustix::io::Errno::NOENT))?;
            rustix::fs::fdatasync(written).map_err(|e| Error::io("fdatasync", &new, e))?;
        }
        None => {
            let old = read_text(sysroot, &current)?;
            let entries = sysroot.boot_entries(version)?;
            let text = renewed(&old, &entries, &boot_prefix(sysroot)?)?;
            files::replace(dir, &new, text.as_bytes(), Durability::Synced)?;
            if efi.is_none() {
                warn_if_not_read(sysroot, ctx)?;
            }
        }
    }
    match efi {
        Some(name) => {
            // The old one is copied, not moved: at no time there is none.
            let old = files::read(dir, &current)?.unwrap_or_default();
            files::replace(dir, &format!("{current}.old"), &old, Durability::Synced)?;
            files::rename(dir, &new, &current)?;
            // A file system of its own, which nobody else waits for.
            let efi = files::open_dir(dir, &format!("{EFI}/{name}"))?;
            rustix::fs::syncfs(efi).map_err(|e| Error::io("syncfs", EFI, e))
        }
        None => Ok(()),
    }
}

/// The configuration that takes the place of `old`.
fn renewed(old: &str, entries: &[BootEntry], prefix: &str) -> Result<String> {
    if let Some((before, rest)) = old.split_once(BEGIN) {
        let (section, after) = rest.split_once(END).unwrap_or((rest, ""));
        if let Some(menu) = menu_of(section) {
            return Ok(format!("{before}{BEGIN}{}{END}{after}", menu_entries(entries, &menu)?));
        }
    }
    if old.lines().any(|line| line.trim_start().starts_with("blscfg")) {
        return Ok(old.to_owned());
    }
    let menu = GrubMenu { prefix: prefix.to_owned(), ..GrubMenu::default() };
    Ok(format!("{OWN_HEAD}{}", menu_entries(entries, &menu)?))
}

/// The menu entries of a configuration: what `admin instutil grub2-generate` prints.
///
/// # Errors
/// [`Error::Usage`] if an entry names no kernel.
pub fn menu_entries(entries: &[BootEntry], menu: &GrubMenu) -> Result<String> {
    let mut text = String::new();
    let GrubMenu { suffix, prefix, .. } = menu;
    for (place, entry) in entries.iter().enumerate() {
        let kernel = format!("{prefix}{}", required(entry, "linux")?);
        let title = quoted(entry.get("title").unwrap_or("(Untitled)"));
        let id = quoted(&format!("ostree-{place}-{}", menu.device_id));
        let classes = "--class gnu-linux --class gnu --class os --unrestricted";
        let search = format!("search --no-floppy --set=root --file {kernel}");
        let root = if menu.prepare_root.is_empty() { &search } else { &menu.prepare_root };
        text += &format!("menuentry {title} {classes} {id} {{\n");
        text += &format!("load_video\nset gfxpayload=keep\ninsmod gzio\n{root}\n");
        let options = entry.get("options").map(|options| format!(" {options}")).unwrap_or_default();
        text += &format!("linux{suffix} {kernel}{options}\n");
        if let Some(initrd) = entry.get("initrd") {
            let overlays = entry.overlay_initrds().iter().map(String::as_str);
            let all: String =
                [initrd].into_iter().chain(overlays).map(|path| format!(" {prefix}{path}")).collect();
            text += &format!("initrd{suffix}{all}\n");
        }
        if let Some(tree) = entry.get("devicetree") {
            text += &format!("devicetree {prefix}{tree}\n");
        }
        text += "}\n";
    }
    Ok(text)
}

/// How the first menu entry of a section was written; `None` if there is none.
fn menu_of(section: &str) -> Option<GrubMenu> {
    let entry = section.split_once("menuentry ")?.1;
    let (head, body) = entry.split_once('\n')?;
    let id = head.trim_end_matches([' ', '{']).rsplit(' ').next()?.trim_matches('\'');
    let body = body.split_once("insmod gzio\n")?.1;
    let kernel_at = body.find("linux")?;
    let kernel_line = body[kernel_at..].lines().next()?;
    let command = kernel_line.split(' ').next()?;
    Some(GrubMenu {
        device_id: id.strip_prefix("ostree-0-")?.to_owned(),
        prepare_root: body[..kernel_at].trim_end_matches('\n').to_owned(),
        suffix: command.strip_prefix("linux")?.to_owned(),
        // Boot entries had the paths that stand there.
        prefix: String::new(),
    })
}

/// What comes before the paths in boot entries: they begin at `/boot`, which may not be a file system of its own.
fn boot_prefix(sysroot: &Sysroot) -> Result<String> {
    let keys = sysroot.repo().config().keyfile();
    let has_prefix = keys.get_bool("sysroot", "bootprefix").map_err(Error::invalid("config"))?;
    let boot = files::stat(sysroot.dir(), "boot")?.map(|stat| stat.st_dev);
    let root = files::stat(sysroot.dir(), "ostree/repo")?.map(|stat| stat.st_dev);
    Ok(if has_prefix != Some(true) && boot == root { "/boot".to_owned() } else { String::new() })
}

/// A file of its own in GRUB's directory is what GRUB reads, and nothing of this sysroot reaches it.
fn warn_if_not_read(sysroot: &Sysroot, ctx: &Ctx) -> Result<()> {
    for path in BIOS {
        let Some(stat) = files::lstat(sysroot.dir(), path)? else { continue };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        let text = read_text(sysroot, path)?;
        if !["blscfg", "configfile", "loader/grub.cfg"].iter().any(|known| text.contains(known)) {
            ctx.warn(&format!(
                "GRUB reads {path}, which knows nothing of deployments: run grub-mkconfig, or make it a link to \
                 ../loader/grub.cfg"
            ));
        }
        return Ok(());
    }
    Ok(())
}

/// Quoted for GRUB and for shells.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<BootEntry> {
        let first = "title It's 2\nlinux /ostree/b/vmlinuz\ninitrd /ostree/b/i\ninitrd /ostree/o\noptions rw ostree=/x";
        [first, "title Old\nlinux /ostree/a/vmlinuz\ndevicetree /ostree/a/d"].map(BootEntry::parse).into()
    }

    const MKCONFIG: &str = "set superusers=root\n### BEGIN /etc/grub.d/15_ostree ###\nmenuentry 'Old' --class os 'ostree-0-ab-cd' {\nload_video\nset gfxpayload=keep\ninsmod gzio\ninsmod ext2\nset root='hd0,gpt2'\nlinux16 /ostree/a/vmlinuz\n}\n### END /etc/grub.d/15_ostree ###\nmenuentry 'Other system' {\nchainloader +1\n}\n";

    #[test]
    fn the_section_of_deployments_is_made_anew_and_the_rest_stays() {
        let new = renewed(MKCONFIG, &entries(), "/boot").unwrap();
        let head = "set superusers=root\n### BEGIN /etc/grub.d/15_ostree ###\nmenuentry 'It'\\''s 2' --class gnu-linux --class gnu --class os --unrestricted 'ostree-0-ab-cd' {\n";
        let body = "load_video\nset gfxpayload=keep\ninsmod gzio\ninsmod ext2\nset root='hd0,gpt2'\nlinux16 /ostree/b/vmlinuz rw ostree=/x\ninitrd16 /ostree/b/i /ostree/o\n}\n";
        assert!(new.starts_with(&format!("{head}{body}")), "{new}");
        assert!(new.contains("linux16 /ostree/a/vmlinuz\ndevicetree /ostree/a/d\n}\n### END"), "{new}");
        assert!(new.ends_with("menuentry 'Other system' {\nchainloader +1\n}\n"), "{new}");
        assert_eq!(renewed(&new, &entries(), "").unwrap(), new);
    }

    #[test]
    fn a_configuration_that_reads_boot_entries_stays() {
        let old = "set timeout=1\ninsmod blscfg\nblscfg\n";
        assert_eq!(renewed(old, &entries(), "").unwrap(), old);
    }

    #[test]
    fn a_menu_of_our_own_searches_for_the_kernels() {
        let new = renewed("", &entries(), "/boot").unwrap();
        let searched = "search --no-floppy --set=root --file /boot/ostree/b/vmlinuz\nlinux /boot/ostree/b/vmlinuz rw ostree=/x\ninitrd /boot/ostree/b/i /boot/ostree/o\n";
        assert!(new.contains(searched), "{new}");
        assert_eq!(renewed(&new, &entries(), "/boot").unwrap(), new);
    }
}
