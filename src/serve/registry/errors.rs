//! Errors as registries tell them: `{"errors": [{"code": …, "message": …}]}`.

use hyper::StatusCode;
use serde_json::json;

use super::JSON;
use crate::serve::answer::Answer;

/// The codes of the specification that come up here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    DigestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    Unknown,
    Unsupported,
}

impl Code {
    const fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::Unknown => "UNKNOWN",
            Self::Unsupported => "UNSUPPORTED",
        }
    }
}

/// An error, and what it means here.
pub(super) fn answer(status: StatusCode, code: Code, message: &str) -> Answer {
    let body = json!({"errors": [{"code": code.as_str(), "message": message}]});
    Answer { content_type: JSON, ..Answer::says(status, body.to_string()) }
}
