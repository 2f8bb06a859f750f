//! What the repository's config says of the sysroot, in its group `[sysroot]`.
//!
//! ```text
//! bootloader=auto | none | grub2 | syslinux | uboot | zipl | aboot
//! boot-counting-tries=0…5                      0: boot loaders do not count
//! bls-append-except-default=KEY=VALUE;…        in every boot entry but the first
//! bootprefix=true | false                      paths in boot entries begin with /boot
//! ```
//! A repository with another value here is one that libostree does not open.

use ostree_format::ParseError;
use ostree_format::keyfile::KeyFile;

const GROUP: &str = "sysroot";
/// More than that libostree does not let boot loaders count.
const MAX_TRIES: u64 = 5;

/// What is configured for the boot entries of a sysroot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysrootSettings {
    /// Which boot loader there is.
    pub boot_loader: BootLoaderChoice,
    /// How often a new deployment is tried before an older one is booted; 0 if nobody counts.
    pub boot_counting_tries: u64,
    /// Keys and values of every boot entry but the first.
    pub append_except_default: Vec<(String, String)>,
    /// Whether paths in boot entries begin with `/boot`.
    pub has_boot_prefix: bool,
}

/// Which boot loader is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BootLoaderChoice {
    /// The one whose configuration is found.
    #[default]
    Auto,
    /// One that reads boot entries, and needs nothing else.
    None,
    /// GRUB 2.
    Grub2,
    /// syslinux and extlinux.
    Syslinux,
    /// Das U-Boot.
    UBoot,
    /// zipl, of IBM Z.
    Zipl,
    /// Android's boot loader.
    Aboot,
}

impl SysrootSettings {
    /// Reads them from the config of the repository.
    ///
    /// # Errors
    /// A value that its key cannot have.
    pub fn parse(config: &KeyFile) -> Result<Self, ParseError> {
        let boot_loader = config.get_string(GROUP, "bootloader")?;
        let tries = config.get_u64(GROUP, "boot-counting-tries")?.unwrap_or(0);
        if tries > MAX_TRIES {
            return Err(wrong(format!("sysroot.boot-counting-tries: {tries} is more than {MAX_TRIES}")));
        }
        let pairs = config.get_list(GROUP, "bls-append-except-default")?.unwrap_or_default();
        let pair = |text: String| match text.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(wrong(
                "bls-append-except-default key must be of the form \"key1=value1;key2=value2...\"".into(),
            )),
        };
        Ok(Self {
            boot_loader: boot_loader.as_deref().map_or(Ok(BootLoaderChoice::Auto), named)?,
            boot_counting_tries: tries,
            append_except_default: pairs.into_iter().map(pair).collect::<Result<_, _>>()?,
            has_boot_prefix: config.get_bool(GROUP, "bootprefix")? == Some(true),
        })
    }
}

fn named(name: &str) -> Result<BootLoaderChoice, ParseError> {
    Ok(match name {
        "auto" => BootLoaderChoice::Auto,
        "none" => BootLoaderChoice::None,
        "grub2" => BootLoaderChoice::Grub2,
        "syslinux" => BootLoaderChoice::Syslinux,
        "uboot" => BootLoaderChoice::UBoot,
        "zipl" => BootLoaderChoice::Zipl,
        "aboot" => BootLoaderChoice::Aboot,
        other => return Err(wrong(format!("Invalid bootloader configuration: '{other}'"))),
    })
}

fn wrong(why: String) -> ParseError {
    ParseError::invalid("config", 0, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SysrootSettings, ParseError> {
        SysrootSettings::parse(&KeyFile::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn what_is_not_configured_is_as_by_default() {
        let settings = parse("").unwrap();
        assert_eq!((settings.boot_loader, settings.boot_counting_tries), (BootLoaderChoice::Auto, 0));
        assert!(settings.append_except_default.is_empty() && !settings.has_boot_prefix);
    }

    #[test]
    fn what_libostree_refuses_is_refused() {
        for line in
            ["bootloader=lilo", "boot-counting-tries=6", "bls-append-except-default=a", "bootprefix=x"]
        {
            assert!(parse(&format!("[sysroot]\n{line}\n")).is_err(), "{line}");
        }
        let good = "[sysroot]\nbootloader=zipl\nboot-counting-tries=5\nbls-append-except-default=a=b;c=d=e\n";
        let settings = parse(good).unwrap();
        assert_eq!((settings.boot_loader, settings.boot_counting_tries), (BootLoaderChoice::Zipl, 5));
        assert_eq!(settings.append_except_default[1], ("c".to_owned(), "d=e".to_owned()));
    }
}
