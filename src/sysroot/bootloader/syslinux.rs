//! syslinux: a file with one `LABEL` for each boot entry. What others wrote into it is kept.

use super::super::files::{self, Durability};
use super::super::{BootVersion, Error, Result, Sysroot};
use super::{read_text, required};

/// The configuration, which leads to `boot/loader/syslinux.cfg`.
pub(super) const CONFIG: &str = "boot/syslinux/syslinux.cfg";

pub(super) fn write_config(sysroot: &Sysroot, version: BootVersion) -> Result<()> {
    if files::stat(sysroot.dir(), CONFIG)?.is_none() {
        return Err(Error::io("open", CONFIG, rustix::io::Errno::NOENT));
    }
    let old = read_text(sysroot, CONFIG)?;
    let Kept { mut lines, names_default } = keep(&old)?;
    // With `bootprefix` the paths in entries begin with it already.
    let keys = sysroot.repo().config().keyfile();
    let has_prefix = keys.get_bool("sysroot", "bootprefix").map_err(Error::invalid("config"))?;
    let prefix = if has_prefix == Some(true) { "" } else { "/boot" };
    for (place, entry) in sysroot.boot_entries(version)?.iter().enumerate() {
        let title = entry.get("title").unwrap_or("(Untitled)");
        if place == 0 && !names_default {
            lines.push(format!("DEFAULT {title}"));
        }
        lines.push(format!("LABEL {title}"));
        lines.push(format!("\tKERNEL {prefix}{}", required(entry, "linux")?));
        for (word, key) in [("INITRD", "initrd"), ("DEVICETREE", "devicetree")] {
            lines.extend(entry.get(key).map(|path| format!("\t{word} {prefix}{path}")));
        }
        lines.extend(entry.get("options").map(|options| format!("\tAPPEND {options}")));
    }
    let text = joined(&lines);
    let path = format!("boot/loader.{version}/syslinux.cfg");
    files::replace(sysroot.dir(), &path, text.as_bytes(), Durability::Synced)
}

/// What stays of a configuration.
#[derive(Default)]
struct Kept {
    lines: Vec<String>,
    /// Whether somebody has chosen another default than a deployment.
    names_default: bool,
}

/// Takes the labels of deployments out of a configuration, and the default if it is one of them.
fn keep(old: &str) -> Result<Kept> {
    let mut kept = Kept::default();
    let mut lines = old.split('\n').peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("LABEL ") {
            let mut label = vec![line];
            while let Some(line) = lines.next_if(|line| line.starts_with('\t')) {
                label.push(line);
            }
            if !is_deployment(&label)? {
                kept.lines.extend(label.into_iter().map(str::to_owned));
            }
            continue;
        }
        // Titles of deployments are made here; the second form is that of old versions.
        let is_default = line.starts_with("DEFAULT ");
        if is_default && (line.contains("(ostree") || line.starts_with("DEFAULT ostree:")) {
            continue;
        }
        kept.names_default |= is_default;
        kept.lines.push(line.to_owned());
    }
    Ok(kept)
}

/// Whether a label boots a kernel of a deployment; before 2020.4 libostree wrote no `/boot`.
fn is_deployment(label: &[&str]) -> Result<bool> {
    let kernel = label.iter().rev().find_map(|line| line.strip_prefix("\tKERNEL "));
    let kernel = kernel.ok_or_else(|| Error::Usage("No KERNEL argument found after LABEL".into()))?;
    let path = kernel.strip_prefix('/').unwrap_or(kernel);
    Ok(kernel.starts_with('/') && (path.starts_with("ostree/") || path.starts_with("boot/ostree/")))
}

/// The lines as a text, in which one line at most is empty, and not the first: each new one would add another.
fn joined(lines: &[String]) -> String {
    let (mut text, mut had_empty) = (String::new(), false);
    for (place, line) in lines.iter().enumerate() {
        if line.is_empty() && (had_empty || place == 0) {
            continue;
        }
        had_empty |= line.is_empty();
        text += line;
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_deployments_go_and_others_stay() {
        let old = "PROMPT 0\nDEFAULT Old (ostree:0)\n\nLABEL Old (ostree:0)\n\tKERNEL /boot/ostree/a/vmlinuz\n\tAPPEND x\nLABEL memtest\n\tKERNEL /memtest\n\nLABEL older\n\tKERNEL /ostree/b/vmlinuz\n";
        let kept = keep(old).unwrap();
        assert!(!kept.names_default);
        assert_eq!(joined(&kept.lines), "PROMPT 0\n\nLABEL memtest\n\tKERNEL /memtest\n");
    }

    #[test]
    fn a_default_that_is_no_deployment_stays() {
        let kept = keep("DEFAULT memtest\nLABEL memtest\n\tKERNEL /memtest").unwrap();
        assert!(kept.names_default);
        assert_eq!(joined(&kept.lines), "DEFAULT memtest\nLABEL memtest\n\tKERNEL /memtest\n");
        assert!(keep("LABEL x\n\tAPPEND y\n").is_err());
    }
}
