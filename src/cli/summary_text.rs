//! A summary as text, laid out as C ostree prints it, or a part of it.

use std::io::Write;

use anyhow::Context;
use chrono::{DateTime, Local};

use super::dump;
use super::terminal::size;
use crate::format::variant::{Annotate, Type, Value};
use crate::format::{CollectionId, RepoMode, Summary, SummaryRef};

/// Options for a part of a summary.
#[derive(clap::Args)]
pub(crate) struct Part {
    /// Show the summary as GVariant text
    #[arg(long)]
    raw: bool,
    /// List the keys of the metadata
    #[arg(long)]
    list_metadata_keys: bool,
    /// Print one value of the metadata
    #[arg(long, value_name = "KEY")]
    print_metadata_key: Option<String>,
}

impl Part {
    /// Whether a part is asked for.
    pub(crate) fn is_given(&self) -> bool {
        self.raw || self.list_metadata_keys || self.print_metadata_key.is_some()
    }

    /// Prints what is asked for: all of it with `whole`, or if nothing is. Says whether that was all, to which signatures
    /// belong.
    pub(crate) fn print(
        &self,
        out: &mut dyn Write,
        bytes: &[u8],
        summary: &Summary,
        whole: bool,
    ) -> anyhow::Result<bool> {
        match &self.print_metadata_key {
            _ if self.raw => {
                let ty: Type = "(a(s(taya{sv}))a{sv})".parse()?;
                dump::variant(out, &Value::from_bytes(&ty, bytes)?)?;
            }
            _ if whole || !self.is_given() => {
                print(out, summary)?;
                return Ok(true);
            }
            Some(key) if !self.list_metadata_keys => {
                let value = summary.metadata.get(key);
                dump::variant(out, value.with_context(|| format!("No such metadata key '{key}'"))?)?;
            }
            _ => {
                let mut keys: Vec<_> = summary.metadata.iter().map(|(key, _)| key).collect();
                keys.sort_unstable();
                keys.iter().try_for_each(|key| writeln!(out, "{key}"))?;
            }
        }
        Ok(false)
    }
}

/// Prints refs, then metadata.
fn print(out: &mut dyn Write, summary: &Summary) -> anyhow::Result<()> {
    let main = summary.collection_id()?;
    for entry in &summary.refs {
        print_ref(out, main.as_ref(), entry)?;
    }
    for (id, refs) in summary.collections()? {
        for entry in &refs {
            print_ref(out, Some(&id), entry)?;
        }
    }
    for (key, value) in summary.metadata.iter() {
        print_metadata(out, key, value)?;
    }
    Ok(())
}

fn print_ref(out: &mut dyn Write, id: Option<&CollectionId>, entry: &SummaryRef) -> anyhow::Result<()> {
    match id {
        None => writeln!(out, "* {}", entry.name)?,
        Some(id) => writeln!(out, "* ({id}, {})", entry.name)?,
    }
    writeln!(out, "    Latest Commit ({}):\n      {}", size(entry.commit_bytes), entry.commit)?;
    for (key, value) in entry.metadata.iter() {
        match (key, value) {
            ("ostree.commit.timestamp", Value::U64(secs)) => {
                writeln!(out, "    Timestamp ({key}): {}", local_time(u64::from_be(*secs)))?;
            }
            ("ostree.commit.version", Value::Str(version)) => {
                writeln!(out, "    Version ({key}): {version}")?;
            }
            _ => writeln!(out, "    {key}: {}", value.print(Annotate::Nothing))?,
        }
    }
    writeln!(out)?;
    Ok(())
}

fn print_metadata(out: &mut dyn Write, key: &str, value: &Value) -> anyhow::Result<()> {
    let text = || value.print(Annotate::Nothing);
    let time = |secs: &u64| local_time(u64::from_be(*secs));
    let (label, shown) = match (key, value) {
        ("ostree.static-deltas", _) => ("Static Deltas", text()),
        ("ostree.summary.last-modified", Value::U64(secs)) => ("Last-Modified", time(secs)),
        ("ostree.summary.expires", Value::U64(secs)) => ("Expires", time(secs)),
        ("ostree.summary.collection-id", Value::Str(id)) => ("Collection ID", id.clone()),
        ("ostree.summary.collection-map", _) => ("Collection Map", "(printed above)".to_owned()),
        ("ostree.summary.mode", Value::Str(mode)) => match mode.parse::<RepoMode>() {
            Ok(_) => ("Repository Mode", mode.clone()),
            Err(_) => ("Repository Mode", format!("Invalid (‘{mode}’)")),
        },
        ("ostree.summary.tombstone-commits", Value::Bool(yes)) => {
            ("Has Tombstone Commits", if *yes { "Yes" } else { "No" }.to_owned())
        }
        _ => return Ok(writeln!(out, "{key}: {}", text())?),
    };
    Ok(writeln!(out, "{label} ({key}): {shown}")?)
}

/// `2024-01-02T03:04:05+00`, with as much of the zone as it needs.
fn local_time(secs: u64) -> String {
    let time = DateTime::from_timestamp(secs.cast_signed(), 0);
    time.map_or_else(
        || "invalid".to_owned(),
        |time| time.with_timezone(&Local).format("%FT%T%:::z").to_string(),
    )
}
