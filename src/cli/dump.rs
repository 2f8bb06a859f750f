//! Objects as text, laid out as C ostree prints them, and as JSON.

use std::io::Write;

use anyhow::{Context, bail};
use chrono::DateTime;
use serde::Serialize;

use crate::format::variant::{Annotate, Dict, Type, Value};
use crate::format::{Commit, CommitId, ObjectName, ObjectType, Xattrs};

/// How an object is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text for people.
    Text,
    /// GVariant text, with numbers turned from big endian.
    Raw,
    /// GVariant text with numbers as they are stored, then text for people.
    Unswapped,
}

impl Form {
    /// From `--raw` and `--no-byteswap`.
    pub(crate) fn from_flags(raw: bool, no_byteswap: bool) -> Self {
        match (raw, no_byteswap) {
            (_, true) => Self::Unswapped,
            (true, false) => Self::Raw,
            (false, false) => Self::Text,
        }
    }
}

/// Prints a metadata object.
pub(crate) fn object(out: &mut dyn Write, name: &ObjectName, bytes: &[u8], form: Form) -> anyhow::Result<()> {
    writeln!(out, "{} {}", name.kind, name.checksum)?;
    let value = || Value::from_bytes(&object_type(name.kind)?, bytes).with_context(|| name.to_string());
    match form {
        Form::Text => {}
        Form::Raw => return variant(out, &value()?),
        Form::Unswapped => writeln!(out, "{}", value()?.print(Annotate::Types))?,
    }
    if name.kind == ObjectType::Commit {
        commit(out, &Commit::parse(bytes).with_context(|| name.to_string())?)?;
    }
    Ok(())
}

fn object_type(kind: ObjectType) -> anyhow::Result<Type> {
    Ok(match kind {
        ObjectType::Commit => "(a{sv}aya(say)sstayay)",
        ObjectType::DirTree => "(a(say)a(sayay))",
        ObjectType::DirMeta => "(uuua(ayay))",
        _ => bail!("{kind} objects have no GVariant form"),
    }
    .parse()?)
}

/// Prints a value as GVariant text; numbers are taken to be stored big endian.
pub(crate) fn variant(out: &mut dyn Write, value: &Value) -> anyhow::Result<()> {
    writeln!(out, "{}", value.byteswap().print(Annotate::Types))?;
    Ok(())
}

fn commit(out: &mut dyn Write, commit: &Commit) -> anyhow::Result<()> {
    if let Some(parent) = &commit.parent {
        writeln!(out, "Parent:  {parent}")?;
    }
    writeln!(out, "ContentChecksum:  {}", commit.root.content_checksum())?;
    writeln!(out, "Date:  {}", utc(commit.timestamp)?)?;
    if let Some(Value::Str(version)) = commit.metadata.get("version") {
        writeln!(out, "Version: {version}")?;
    }
    if commit.subject.is_empty() {
        writeln!(out, "(no subject)")?;
    } else {
        writeln!(out)?;
        indented(out, &commit.subject)?;
    }
    if !commit.body.is_empty() {
        writeln!(out)?;
        indented(out, &commit.body)?;
    }
    writeln!(out)?;
    Ok(())
}

fn indented(out: &mut dyn Write, text: &str) -> anyhow::Result<()> {
    for line in text.split_terminator('\n') {
        writeln!(out, "    {line}")?;
    }
    Ok(())
}

fn utc(timestamp: u64) -> anyhow::Result<String> {
    // The C program writes a time before 1970 as what it is in 64 bits.
    let time = DateTime::from_timestamp(timestamp.cast_signed(), 0);
    let time = time.with_context(|| format!("Invalid timestamp: {timestamp}"))?;
    Ok(time.format("%Y-%m-%d %H:%M:%S +0000").to_string())
}

/// Extended attributes as the value that holds them, `a(ayay)`.
pub(crate) fn xattrs(xattrs: &Xattrs) -> anyhow::Result<Value> {
    Ok(Value::from_bytes(&"a(ayay)".parse()?, &xattrs.to_bytes())?)
}

/// A commit, for programs.
#[derive(Serialize)]
pub(crate) struct CommitJson {
    commit: String,
    parent: Option<String>,
    content_checksum: String,
    timestamp: u64,
    subject: String,
    body: String,
    root_dirtree: String,
    root_dirmeta: String,
    metadata: std::collections::BTreeMap<String, String>,
}

impl CommitJson {
    /// From a commit; metadata values are GVariant text.
    pub(crate) fn new(id: &CommitId, commit: &Commit) -> Self {
        Self {
            commit: id.to_string(),
            parent: commit.parent.map(|id| id.to_string()),
            content_checksum: commit.root.content_checksum().to_string(),
            timestamp: commit.timestamp,
            subject: commit.subject.clone(),
            body: commit.body.clone(),
            root_dirtree: commit.root.tree.to_string(),
            root_dirmeta: commit.root.meta.to_string(),
            metadata: text_values(&commit.metadata),
        }
    }
}

fn text_values(dict: &Dict) -> std::collections::BTreeMap<String, String> {
    dict.iter().map(|(key, value)| (key.to_owned(), value.print(Annotate::Types))).collect()
}
