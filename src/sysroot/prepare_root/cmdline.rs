//! The words of the kernel's command line that say which deployment is booted.

/// What the kernel's command line says of the deployment to boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The path of the link to the deployment, such as `/ostree/boot.1/debian/4b1f…/0`, below the physical root.
    pub link: String,
    /// Whether the boot loader is Android's, which knows two slots and no boot entries.
    pub is_android: bool,
}

impl Target {
    /// Finds the deployment in a command line; there is none where ostree is not in use.
    ///
    /// # Errors
    /// [`UnknownSlot`] if Android's boot loader names a slot other than `_a` and `_b`.
    pub fn of(cmdline: &str) -> Result<Option<Self>, UnknownSlot> {
        let android = |slot: char| Some(Self { link: format!("/ostree/root.{slot}"), is_android: true });
        match value(cmdline, "androidboot.slot_suffix") {
            Some("_a") => Ok(android('a')),
            Some("_b") => Ok(android('b')),
            Some(other) => Err(UnknownSlot(other.to_owned())),
            // Android without slots.
            None if words(cmdline).any(|word| word.starts_with("androidboot.")) => Ok(android('a')),
            None => {
                Ok(value(cmdline, "ostree").map(|link| Self { link: link.to_owned(), is_android: false }))
            }
        }
    }

    /// The name of the stateroot, if the link is one that deployments get: `/ostree/boot.1/STATEROOT/…`.
    pub fn stateroot(&self) -> Option<&str> {
        let mut parts = self.link.trim_start_matches('/').split('/');
        let (dir, version) = (parts.next()?, parts.next()?);
        let name = parts.next().filter(|name| !matches!(*name, "" | "." | ".."));
        if dir == "ostree" && version.starts_with("boot.") { name } else { None }
    }
}

/// The error of a slot, named by Android's boot loader, that is neither `_a` nor `_b`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("androidboot.slot_suffix invalid: {0}")]
pub struct UnknownSlot(pub String);

/// The value of the first word `key=value`. Quotes mean nothing here, as with libostree.
pub(super) fn value<'a>(cmdline: &'a str, key: &str) -> Option<&'a str> {
    words(cmdline).find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn words(cmdline: &str) -> impl Iterator<Item = &str> {
    cmdline.trim_end_matches('\n').split(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_counts() {
        let target = Target::of("quiet ostree=/ostree/boot.1/os/ab/0 x=y ostree=/other\n");
        let target = target.expect("no slot").expect("a target");
        assert_eq!(target.link, "/ostree/boot.1/os/ab/0");
        assert_eq!(target.stateroot(), Some("os"));
        assert_eq!(Target::of("quiet xostree=/a root=ostree"), Ok(None));
    }

    #[test]
    fn android_has_slots() {
        let link = |line| Target::of(line).map(|target| target.map(|target| target.link));
        assert_eq!(link("androidboot.slot_suffix=_b ostree=/x"), Ok(Some("/ostree/root.b".to_owned())));
        assert_eq!(link("androidboot.serial=1"), Ok(Some("/ostree/root.a".to_owned())));
        assert_eq!(link("androidboot.slot_suffix=_c"), Err(UnknownSlot("_c".to_owned())));
    }

    #[test]
    fn only_a_links_own_form_names_a_stateroot() {
        let stateroot = |link: &str| {
            Target { link: link.to_owned(), is_android: false }.stateroot().map(ToOwned::to_owned)
        };
        assert_eq!(stateroot("/ostree/boot.0.1/os/ab/0"), Some("os".to_owned()));
        for none in ["/ostree/root.a", "/ostree/boot.1/../ab/0", "/boot.1/os/ab/0", ""] {
            assert_eq!(stateroot(none), None, "{none}");
        }
    }
}
