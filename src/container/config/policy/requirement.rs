//! What a policy asks of an image.
//!
//! ```text
//! insecureAcceptAnything
//! reject
//! signedBy         keyType, one of keyPath keyPaths keyData, [signedIdentity]
//! signedBaseLayer  baseLayerIdentity                                                          cannot be checked
//! sigstoreSigned   one of keyPath keyPaths keyData keyDatas fulcio pki, [signedIdentity]       fulcio, pki,
//!                  [one of rekorPublicKeyPath rekorPublicKeyPaths rekorPublicKeyData …Datas]   rekor: neither
//! ```
//! Source: containers-policy.json(5), containers/image signature/policy_config_sigstore.go.

use serde::Deserialize;

use crate::container::config::policy::identity::SignedIdentity;
use crate::container::image::{Base64, Object, given};

/// A requirement that an image must fulfil.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Object<Raw>")]
#[non_exhaustive]
pub enum Requirement {
    /// Any image is accepted.
    InsecureAcceptAnything,
    /// No image fulfils it.
    Reject,
    /// A GPG "simple signing" signature by one of the keys.
    SignedBy {
        /// The keys.
        keys: Keys,
        /// What the signature must name.
        identity: SignedIdentity,
    },
    /// A sigstore (cosign) signature by one of the keys.
    SigstoreSigned {
        /// The keys.
        keys: Keys,
        /// What the signature must name.
        identity: SignedIdentity,
    },
    /// Something that this program cannot check, so that no image fulfils it: what it is.
    Unchecked(String),
}

/// The keys of a requirement: files, or the keys themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keys {
    /// Files with keys.
    pub paths: Vec<String>,
    /// Keys in the policy itself, in the form that such files have.
    pub data: Vec<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", deny_unknown_fields)]
enum Raw {
    // With braces: fields that do not belong to them are refused.
    InsecureAcceptAnything {},
    Reject {},
    SignedBy(RawSignedBy),
    #[serde(rename_all = "camelCase")]
    SignedBaseLayer {
        #[expect(dead_code, reason = "it is there, and well formed")]
        base_layer_identity: SignedIdentity,
    },
    SigstoreSigned(Box<RawSigstore>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawSignedBy {
    key_type: KeyType,
    #[serde(default, deserialize_with = "given")]
    key_path: Option<String>,
    #[serde(default, deserialize_with = "given")]
    key_paths: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    key_data: Option<Base64>,
    #[serde(default)]
    signed_identity: SignedIdentity,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
enum KeyType {
    #[serde(rename = "GPGKeys")]
    GpgKeys,
    #[serde(rename = "signedByGPGKeys")]
    SignedByGpgKeys,
    X509Certificates,
    #[serde(rename = "signedByX509CAs")]
    SignedByX509Cas,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawSigstore {
    #[serde(default, deserialize_with = "given")]
    key_path: Option<String>,
    #[serde(default, deserialize_with = "given")]
    key_paths: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    key_data: Option<Base64>,
    #[serde(default, deserialize_with = "given")]
    key_datas: Option<Vec<Base64>>,
    #[serde(default, deserialize_with = "given")]
    fulcio: Option<Object<Fulcio>>,
    #[serde(default, deserialize_with = "given")]
    pki: Option<Object<Pki>>,
    #[serde(default, deserialize_with = "given")]
    rekor_public_key_path: Option<String>,
    #[serde(default, deserialize_with = "given")]
    rekor_public_key_paths: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    rekor_public_key_data: Option<Base64>,
    #[serde(default, deserialize_with = "given")]
    rekor_public_key_datas: Option<Vec<Base64>>,
    #[serde(default)]
    signed_identity: SignedIdentity,
}

/// A certificate that the authority Fulcio gave to a mail address.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fulcio {
    #[serde(default)]
    ca_path: String,
    #[serde(default, deserialize_with = "given")]
    ca_data: Option<Base64>,
    #[serde(default)]
    oidc_issuer: String,
    #[serde(default)]
    subject_email: String,
}

/// A certificate of one's own authority.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Pki {
    #[serde(default)]
    ca_roots_path: String,
    #[serde(default, deserialize_with = "given")]
    ca_roots_data: Option<Base64>,
    #[serde(default)]
    ca_intermediates_path: String,
    #[serde(default, deserialize_with = "given")]
    ca_intermediates_data: Option<Base64>,
    #[serde(default)]
    subject_email: String,
    #[serde(default)]
    subject_hostname: String,
}

impl TryFrom<Object<Raw>> for Requirement {
    type Error = String;

    fn try_from(Object(raw): Object<Raw>) -> Result<Self, String> {
        match raw {
            Raw::InsecureAcceptAnything {} => Ok(Self::InsecureAcceptAnything),
            Raw::Reject {} => Ok(Self::Reject),
            Raw::SignedBy(raw) => raw.requirement(),
            Raw::SignedBaseLayer { .. } => Ok(Self::Unchecked("signedBaseLayer".into())),
            Raw::SigstoreSigned(raw) => raw.requirement(),
        }
    }
}

impl RawSignedBy {
    fn requirement(self) -> Result<Requirement, String> {
        let data = self.key_data.map(|data| vec![data]);
        if count([self.key_path.is_some(), self.key_paths.is_some(), data.is_some()]) != 1
            || self.key_path.as_ref().is_some_and(String::is_empty)
        {
            return Err("signedBy names its keys by exactly one of keyPath, keyPaths, keyData".into());
        }
        if self.key_type != KeyType::GpgKeys {
            return Ok(Requirement::Unchecked(format!("signedBy with the keyType {:?}", self.key_type)));
        }
        let keys = Keys::new(self.key_path, self.key_paths, data);
        Ok(Requirement::SignedBy { keys, identity: self.signed_identity })
    }
}

impl RawSigstore {
    fn requirement(mut self) -> Result<Requirement, String> {
        // What is empty is not there.
        self.key_path.take_if(|path| path.is_empty());
        self.rekor_public_key_path.take_if(|path| path.is_empty());
        let sources = [
            self.key_path.is_some(),
            self.key_paths.is_some(),
            self.key_data.is_some(),
            self.key_datas.is_some(),
            self.fulcio.is_some(),
            self.pki.is_some(),
        ];
        if count(sources) != 1 {
            let names = "keyPath, keyPaths, keyData, keyDatas, fulcio, pki";
            return Err(format!("sigstoreSigned says by exactly one of {names} who signs"));
        }
        let no_keys = is_empty(&self.key_paths) || is_empty(&self.key_datas);
        if no_keys || is_empty(&self.rekor_public_key_paths) || is_empty(&self.rekor_public_key_datas) {
            return Err("sigstoreSigned: a list of keys is empty".into());
        }
        let rekor = self.rekor()?;
        if let Some(Object(fulcio)) = &self.fulcio {
            fulcio.check(rekor)?;
        }
        if let Some(Object(pki)) = &self.pki {
            pki.check(rekor)?;
        }
        let authority = self.fulcio.as_ref().map(|_| "fulcio").or(self.pki.as_ref().map(|_| "pki"));
        let unchecked: Vec<_> = authority.into_iter().chain(rekor).collect();
        if !unchecked.is_empty() {
            return Ok(Requirement::Unchecked(format!("sigstoreSigned with {}", unchecked.join(" and "))));
        }
        let data = self.key_data.map(|data| vec![data]).or(self.key_datas);
        let keys = Keys::new(self.key_path, self.key_paths, data);
        Ok(Requirement::SigstoreSigned { keys, identity: self.signed_identity })
    }

    /// The field that asks for an entry in the log Rekor, of which there is at most one.
    fn rekor(&self) -> Result<Option<&'static str>, String> {
        let fields = [
            ("rekorPublicKeyPath", self.rekor_public_key_path.is_some()),
            ("rekorPublicKeyPaths", self.rekor_public_key_paths.is_some()),
            ("rekorPublicKeyData", self.rekor_public_key_data.is_some()),
            ("rekorPublicKeyDatas", self.rekor_public_key_datas.is_some()),
        ];
        let mut given = fields.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
        match (given.next(), given.next()) {
            (Some(one), Some(another)) => {
                Err(format!("sigstoreSigned: {one} and {another} exclude each other"))
            }
            (found, _) => Ok(found),
        }
    }
}

impl Fulcio {
    fn check(&self, rekor: Option<&str>) -> Result<(), String> {
        if count([!self.ca_path.is_empty(), self.ca_data.is_some()]) != 1 {
            return Err("fulcio names its authority by exactly one of caPath, caData".into());
        }
        if self.oidc_issuer.is_empty() || self.subject_email.is_empty() {
            return Err("fulcio needs oidcIssuer and subjectEmail".into());
        }
        match rekor {
            None => Err("fulcio needs a rekorPublicKeyPath or one of its like".into()),
            Some(_) => Ok(()),
        }
    }
}

impl Pki {
    fn check(&self, rekor: Option<&str>) -> Result<(), String> {
        if count([!self.ca_roots_path.is_empty(), self.ca_roots_data.is_some()]) != 1 {
            return Err("pki names its authority by exactly one of caRootsPath, caRootsData".into());
        }
        if count([!self.ca_intermediates_path.is_empty(), self.ca_intermediates_data.is_some()]) > 1 {
            return Err("pki: caIntermediatesPath and caIntermediatesData exclude each other".into());
        }
        if self.subject_email.is_empty() && self.subject_hostname.is_empty() {
            return Err("pki needs subjectEmail or subjectHostname".into());
        }
        match rekor {
            Some(rekor) => Err(format!("pki and {rekor} exclude each other")),
            None => Ok(()),
        }
    }
}

impl Keys {
    fn new(path: Option<String>, paths: Option<Vec<String>>, data: Option<Vec<Base64>>) -> Self {
        let paths = path.into_iter().chain(paths.into_iter().flatten()).collect();
        Self { paths, data: data.into_iter().flatten().map(|data| data.0).collect() }
    }
}

fn is_empty<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(Vec::is_empty)
}

fn count<const N: usize>(given: [bool; N]) -> usize {
    given.into_iter().filter(|given| *given).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Requirement, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn what_is_refused() {
        for bad in [
            r#"{"type": "magic"}"#,
            r#"{"type": null}"#,
            r#"{"type": "reject", "x": 1}"#,
            r#"{"type": "insecureAcceptAnything", "keyPath": "/k"}"#,
            r#"{"type": "signedBy", "keyType": "GPGKeys"}"#,
            r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": ""}"#,
            r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": null}"#,
            r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k", "keyData": "aaaa"}"#,
            r#"{"type": "signedBy", "keyType": "GPGKeys", "keyData": "a"}"#,
            r#"{"type": "signedBy", "keyType": "gpgkeys", "keyPath": "/k"}"#,
            r#"{"type": "signedBy", "keyPath": "/k"}"#,
            r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k", "signedIdentity": null}"#,
            r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k", "signedIdentity": {"type": "x"}}"#,
            r#"{"type": "sigstoreSigned", "fulcio": {}}"#,
            r#"{"type": "sigstoreSigned", "keyPaths": []}"#,
            r#"{"type": "sigstoreSigned", "keyPath": "/k", "keyData": "aaaa"}"#,
            r#"{"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyPath": "/r", "rekorPublicKeyData": ""}"#,
            r#"{"type": "sigstoreSigned", "fulcio": {"caPath": "/c", "oidcIssuer": "o", "subjectEmail": "e"}}"#,
            r#"{"type": "sigstoreSigned", "pki": {"caRootsPath": "/c"}}"#,
            r#"{"type": "signedBaseLayer"}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_checked_says_so() {
        for (json, what) in [
            (
                r#"{"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyPath": "/r"}"#,
                "rekorPublicKeyPath",
            ),
            (
                r#"{"type": "sigstoreSigned", "rekorPublicKeyData": "aaaa",
                    "fulcio": {"caPath": "/c", "oidcIssuer": "o", "subjectEmail": "e"}}"#,
                "fulcio and rekorPublicKeyData",
            ),
            (r#"{"type": "sigstoreSigned", "pki": {"caRootsPath": "/c", "subjectEmail": "e"}}"#, "pki"),
            (r#"{"type": "signedBy", "keyType": "X509Certificates", "keyPath": "/k"}"#, "X509Certificates"),
            (
                r#"{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}"#,
                "signedBaseLayer",
            ),
        ] {
            let Ok(Requirement::Unchecked(asked)) = read(json) else { panic!("{json}") };
            assert!(asked.contains(what), "{asked}");
        }
        let plain = r#"{"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyPath": ""}"#;
        assert!(matches!(read(plain), Ok(Requirement::SigstoreSigned { .. })));
    }
}
