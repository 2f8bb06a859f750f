//! The settings of a remote repository: a group `[remote "NAME"]` of a repository's `config` or of a file in
//! `remotes.d`.
//!
//! ```text
//! [remote "origin"]
//! url=https://example.com/repo
//! gpg-verify=true
//! ```
//!
//! Source: libostree man/ostree.repo-config.xml, ostree-repo-pull-verify.c:44-240.

use std::collections::BTreeMap;

use crate::keyfile::KeyFile;
use crate::{CollectionId, ParseError, RemoteName, Result};

/// The settings of a remote in a key file.
///
/// A key that is missing may stand in the config of the repository's parent: whoever has one adds its keys to the
/// group before reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteConfig {
    /// The name of the remote.
    pub name: RemoteName,
    /// `url`: where metadata is, and content if there is no `contenturl`. `mirrorlist=URL` names a list of mirrors.
    pub url: Option<String>,
    /// `contenturl`: where objects and static deltas are if not at `url`; detached metadata is at `url` all the same.
    pub contenturl: Option<String>,
    /// `metalink`: the address of a metalink of the summary, used in place of `url`.
    pub metalink: Option<String>,
    /// `branches`: the refs that are pulled if none are named.
    pub branches: Vec<String>,
    /// `proxy`: the address of the proxy that requests go through.
    pub proxy: Option<String>,
    /// `gpg-verify`: whether commits need a GPG signature; on by default.
    pub gpg_verify: bool,
    /// `gpg-verify-summary`: whether the summary needs a GPG signature.
    pub gpg_verify_summary: bool,
    /// `gpgkeypath`: files and directories with trusted keys.
    pub gpgkeypath: Vec<String>,
    /// `sign-verify`: whose signatures commits need.
    pub sign_verify: SignVerify,
    /// `sign-verify-summary`: whose signatures the summary needs.
    pub sign_verify_summary: SignVerify,
    /// `verification-TYPE-key`: public keys, by the type of signature.
    pub verification_keys: BTreeMap<String, String>,
    /// `verification-TYPE-file`: files with public keys, by the type of signature.
    pub verification_files: BTreeMap<String, String>,
    /// `tls-permissive`: whether any certificate of the server will do.
    pub tls_permissive: bool,
    /// `tls-client-cert-path`: the file with the certificate that the client shows; it needs the key as well.
    pub tls_client_cert_path: Option<String>,
    /// `tls-client-key-path`: the file with the private key of that certificate.
    pub tls_client_key_path: Option<String>,
    /// `tls-ca-path`: the file with the certificate authorities that are trusted, in place of the system's.
    pub tls_ca_path: Option<String>,
    /// `http2`: whether HTTP/2 may be spoken; `None` if the key is not there.
    pub http2: Option<bool>,
    /// `unconfigured-state`: why the remote cannot be used, to be shown to the user.
    pub unconfigured_state: Option<String>,
    /// `custom-backend`: the remote is not for libostree.
    pub custom_backend: Option<String>,
    /// `collection-id`: the collection that the remote's refs belong to.
    pub collection_id: Option<CollectionId>,
}

/// Signatures, other than GPG's, that are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SignVerify {
    /// Signatures are not verified.
    #[default]
    Off,
    /// A signature of any type for which there are keys is needed.
    Any,
    /// A signature of one of these types is needed; there have to be keys for each of them.
    Types(Vec<String>),
}

impl RemoteConfig {
    /// The name of the group of a remote, `remote "NAME"`.
    pub fn group(name: &RemoteName) -> String {
        format!("remote \"{name}\"")
    }

    /// The names of the remotes in `keyfile`, in order. Groups whose name no remote can have are left out.
    pub fn names(keyfile: &KeyFile) -> impl Iterator<Item = RemoteName> {
        keyfile.groups().filter_map(|group| group.strip_prefix("remote \"")?.strip_suffix('"')?.parse().ok())
    }

    /// The settings of the remote `name` in `keyfile`, if it has a group for it.
    ///
    /// # Errors
    /// If a value is not what its key may have; the error names the key.
    pub fn get(keyfile: &KeyFile, name: &RemoteName) -> Result<Option<Self>> {
        let group = &*Self::group(name);
        if !keyfile.has_group(group) {
            return Ok(None);
        }
        let text = |key| keyfile.get_text(group, key);
        let flag = |key, default| Ok(keyfile.get_bool(group, key)?.unwrap_or(default));
        Ok(Some(Self {
            name: name.clone(),
            url: text("url"),
            contenturl: text("contenturl"),
            metalink: text("metalink"),
            branches: list(keyfile, group, "branches")?,
            proxy: text("proxy"),
            gpg_verify: flag("gpg-verify", true)?,
            gpg_verify_summary: flag("gpg-verify-summary", false)?,
            gpgkeypath: path_list(keyfile, group, "gpgkeypath")?,
            sign_verify: sign_verify(keyfile, group, "sign-verify")?,
            sign_verify_summary: sign_verify(keyfile, group, "sign-verify-summary")?,
            verification_keys: verification(keyfile, group, "-key"),
            verification_files: verification(keyfile, group, "-file"),
            tls_permissive: flag("tls-permissive", false)?,
            tls_client_cert_path: text("tls-client-cert-path"),
            tls_client_key_path: text("tls-client-key-path"),
            tls_ca_path: text("tls-ca-path"),
            http2: keyfile.get_bool(group, "http2")?,
            unconfigured_state: text("unconfigured-state"),
            custom_backend: text("custom-backend"),
            collection_id: collection_id(keyfile, group)?,
        }))
    }
}

fn collection_id(keyfile: &KeyFile, group: &str) -> Result<Option<CollectionId>> {
    let text = keyfile.get_text(group, "collection-id").filter(|id| !id.is_empty());
    let parsed: Result<_> = text.map(|id| id.parse()).transpose();
    parsed.map_err(|e| ParseError::invalid("remote config", 0, format!("{group}.collection-id: {}", e.kind)))
}

fn list(keyfile: &KeyFile, group: &str, key: &str) -> Result<Vec<String>> {
    Ok(keyfile.get_list(group, key)?.unwrap_or_default())
}

/// A list whose items either `;` or `,` separates.
fn path_list(keyfile: &KeyFile, group: &str, key: &str) -> Result<Vec<String>> {
    let raw = keyfile.get_raw(group, key).unwrap_or_default();
    match (raw.contains(','), raw.contains(';')) {
        (false, _) => list(keyfile, group, key),
        // One at the end separates nothing; one in front stands behind a path that is empty, and is an error later.
        (true, false) => Ok(raw.strip_suffix(',').unwrap_or(raw).split(',').map(str::to_owned).collect()),
        (true, true) => {
            let why = format!("{group}.{key}: key value list contains more than one separator");
            Err(ParseError::invalid("remote config", 0, why))
        }
    }
}

fn sign_verify(keyfile: &KeyFile, group: &str, key: &str) -> Result<SignVerify> {
    Ok(match keyfile.get_raw(group, key) {
        None | Some("" | "false" | "0") => SignVerify::Off,
        Some("true" | "1") => SignVerify::Any,
        Some(_) => SignVerify::Types(list(keyfile, group, key)?),
    })
}

/// The values of the keys `verification-TYPE` + `suffix`.
fn verification(keyfile: &KeyFile, group: &str, suffix: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (key, _) in keyfile.entries(group) {
        let kind = key.strip_prefix("verification-").and_then(|rest| rest.strip_suffix(suffix));
        if let Some(kind) = kind.filter(|kind| !kind.is_empty()) {
            found.extend(keyfile.get_text(group, key).map(|value| (kind.to_owned(), value)));
        }
    }
    found
}
