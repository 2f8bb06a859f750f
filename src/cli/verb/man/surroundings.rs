//! Exit codes, environment and files: what a verb has to do with them is told by the options that it has.

use clap::Command;

/// A line of a page.
pub(super) struct Entry {
    /// What is looked at.
    pub(super) name: &'static str,
    /// What it means.
    pub(super) what: &'static str,
    /// The pages that it stands in, besides that of the program.
    pub(super) concerns: Concerns,
}

/// The verbs that something concerns.
#[derive(Debug, Clone, Copy)]
pub(super) enum Concerns {
    /// All verbs.
    All,
    /// The verbs with an option of this name.
    With(&'static str),
    /// The verb of this name.
    Verb(&'static str),
    /// None in particular.
    Program,
}

use Concerns::{All, Program, Verb, With};

impl Concerns {
    /// Whether the page about `command` has it.
    pub(super) fn includes(self, command: &Command) -> bool {
        let is_program = command.get_name() == super::PROGRAM;
        is_program
            || match self {
                All => true,
                With(option) => command.get_arguments().any(|arg| arg.get_long() == Some(option)),
                Verb(verb) => command.get_name() == verb,
                Program => false,
            }
    }
}

const fn entry(name: &'static str, what: &'static str, concerns: Concerns) -> Entry {
    Entry { name, what, concerns }
}

/// What the program ends with.
pub(super) const EXIT_CODES: &[Entry] = &[
    entry("0", "Done; or nobody read the output any more.", All),
    entry("1", "It could not be done, or the arguments cannot be understood; standard error says why.", All),
    entry("77", "With --check: there is nothing new.", Verb("upgrade")),
    entry("130, 143", "Stopped by Ctrl-C or by SIGTERM, with nothing half done that could be seen.", All),
];

/// Variables of the environment.
pub(super) const VARIABLES: &[Entry] = &[
    entry(
        "OSTREE_REPO",
        "The repository, where --repo is not given and the current directory is none.",
        With("repo"),
    ),
    entry(
        "OSTREE_GRUB2_EXEC, OSTREE_RS_ZIPL, OSTREE_RS_ABOOT_DEPLOY",
        "Programs that are executed for the boot loader: one that writes grub.cfg, such as grub2-mkconfig; zipl; \
         aboot-deploy. Where none is named nothing is executed.",
        With("sysroot"),
    ),
    entry(
        "GRUB2_BOOT_DEVICE_ID, GRUB2_PREPARE_ROOT_CACHE, _OSTREE_GRUB2_BOOTVERSION",
        "What grub2-mkconfig tells `admin instutil grub2-generate`.",
        Verb("grub2-generate"),
    ),
    entry("OSTREE_SYSROOT", "The sysroot, where --sysroot is not given.", With("sysroot")),
    entry(
        "OSTREE_SYSROOT_OPTS, OSTREE_SYSROOT_DEBUG",
        "Deviations from how deployments are written, as libostree knows them: skip-sync, no-early-prune, \
         bootloader-naming-1; mutable-deployments, no-xattrs, no-dtb.",
        With("sysroot"),
    ),
    entry(
        "SOURCE_DATE_EPOCH",
        "When a commit was made, in seconds since 1970, for builds that can be repeated.",
        Verb("commit"),
    ),
    entry(
        "OSTREE_EDITOR, VISUAL, EDITOR",
        "The editor for --editor, the first of these that is set; vi if none is. VISUAL counts where TERM is not dumb.",
        With("editor"),
    ),
    entry("OSTREE_RS_SSH", "The ssh to use, with options for it, instead of ssh; as --ssh.", Verb("push")),
    entry(
        "OSTREE_SKIP_CACHE",
        "If it is set, repositories keep no summaries for the next time; --cache-dir counts as ever.",
        With("cache-dir"),
    ),
    entry(
        "OSTREE_EXP_WRITE_BARE_SPLIT_XATTRS",
        "If it is set, files are written into repositories of mode bare-split-xattrs, too, which others only read.",
        Verb("commit"),
    ),
    entry("GNUPGHOME", "The GnuPG directory with secret keys, instead of ~/.gnupg.", With("gpg-homedir")),
    entry(
        "OSTREE_GPG_HOME",
        "The directory with the keyrings of the system, instead of /usr/share/ostree/trusted.gpg.d.",
        With("gpg-keyring"),
    ),
    entry(
        "OSTREE_DUMMY_SIGN_ENABLED",
        "1 lets signatures of type dummy, which protect nothing, be made and count: for tests.",
        With("sign-type"),
    ),
    entry(
        "OSTREE_REPO_TEST_ERROR",
        "pre-commit makes `commit` fail once everything is staged: for tests of what follows a crash.",
        Program,
    ),
    entry(
        "container",
        "If it is set, as podman does in its containers, `container commit` may clean the root file system it runs in.",
        Program,
    ),
    entry(
        "REGISTRY_AUTH_FILE",
        "The file with credentials for registries, where --authfile is not given.",
        With("authfile"),
    ),
    entry("DOCKER_CONFIG", "The directory of docker's config.json, instead of ~/.docker.", With("authfile")),
    entry(
        "CONTAINERS_REGISTRIES_CONF",
        "The file that is read instead of registries.conf.",
        With("authfile"),
    ),
    entry(
        "CONTAINERS_STORAGE_CONF, STORAGE_DRIVER",
        "The file that is read instead of storage.conf, and the driver of podman's store, for containers-storage:.",
        With("authfile"),
    ),
    entry("CONTAINERS_POLICY_JSON", "The file that is read instead of policy.json.", With("authfile")),
    entry(
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY",
        "The proxy between here and registries, and who is reached without one; in lower case too.",
        With("authfile"),
    ),
    entry(
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "Certificate authorities, instead of those of the system.",
        With("authfile"),
    ),
    entry(
        "XDG_RUNTIME_DIR, XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_CACHE_HOME, HOME",
        "Where files of the user are.",
        With("authfile"),
    ),
    entry("TMPDIR", "Where archives of images are put together, and where demo works.", With("authfile")),
    entry(
        "RUST_LOG",
        "What is told on standard error of requests, places, credentials found and what is reused: off, error, warn, \
         info, debug, or such for a part of the program, as in ostree_rs::net=debug. With --verbose it is debug.",
        Program,
    ),
    entry("OSTREE_BOOTID", "The id of this boot of the machine, where it cannot be read.", Program),
    entry(
        "PATH",
        "Where credential helpers and ssh are; and ostree-VERB, under the name of ostree.",
        Program,
    ),
];

/// Files that are read.
pub(super) const FILES: &[Entry] = &[
    entry(
        "/sysroot/ostree/repo",
        "The repository of the running system, where no other one is meant.",
        With("repo"),
    ),
    entry("/etc/ostree/remotes.d/*.conf", "Remotes of the repository of the running system.", Verb("remote")),
    entry("/usr/share/ostree/trusted.gpg.d", "Keyrings of the system.", With("gpg-keyring")),
    entry("~/.gnupg", "Secret keys.", With("gpg-homedir")),
    entry(
        "$XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json, ~/.docker/config.json",
        "Credentials for registries, as podman and docker keep them, and the names of their helpers.",
        With("authfile"),
    ),
    entry(
        "/run/ostree/auth.json, /etc/ostree/auth.json",
        "Credentials for registries, for root.",
        With("authfile"),
    ),
    entry(
        "~/.config/containers/registries.conf, /etc/containers/registries.conf, registries.conf.d",
        "Mirrors, other places, blocked and short names of registries.",
        With("authfile"),
    ),
    entry(
        "~/.config/containers/policy.json, /etc/containers/policy.json",
        "Whose signatures images need.",
        With("authfile"),
    ),
    entry(
        "/etc/containers/registries.d, ~/.config/containers/registries.d",
        "Where the signatures of images are.",
        With("authfile"),
    ),
    entry(
        "/etc/containers/certs.d, /etc/docker/certs.d, ~/.config/containers/certs.d",
        "Certificates and keys for single registries.",
        With("authfile"),
    ),
];
