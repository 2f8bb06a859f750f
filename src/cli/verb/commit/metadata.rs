//! The metadata that the arguments of `commit` give, in their order: strings first, then other values.

use anyhow::{Context, bail};

use crate::format::RefSpec;
use crate::format::variant::{Dict, Value};

/// Options that make the metadata.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Do not note the refs that the commit is for
    #[arg(long)]
    pub(crate) no_bindings: bool,
    /// Note that the commit is for this ref too
    #[arg(long = "bind-ref", value_name = "BRANCH")]
    pub(crate) bind_refs: Vec<RefSpec>,
    /// Add a string to the metadata
    #[arg(long, value_name = "KEY=VALUE")]
    add_metadata_string: Vec<String>,
    /// Add any value to the metadata, written as GVariant text
    #[arg(long, value_name = "KEY=VALUE")]
    add_metadata: Vec<String>,
    /// Take this key of the parent's metadata over
    #[arg(long, value_name = "KEY")]
    pub(crate) keep_metadata: Vec<String>,
    /// Add a string to the detached metadata
    #[arg(long, value_name = "KEY=VALUE")]
    add_detached_metadata_string: Vec<String>,
    /// Note that the commit has a kernel, and which
    #[arg(long)]
    pub(crate) bootable: bool,
}

impl Options {
    /// What the arguments give.
    pub(crate) fn metadata(&self) -> anyhow::Result<Dict> {
        let mut dict = strings(&self.add_metadata_string)?;
        push_values(&mut dict, &self.add_metadata)?;
        Ok(dict)
    }

    /// The detached metadata, if there is any.
    pub(crate) fn detached(&self) -> anyhow::Result<Option<Dict>> {
        let dict = strings(&self.add_detached_metadata_string)?;
        Ok((!dict.is_empty()).then_some(dict))
    }
}

/// Adds values given as `KEY=VALUE`, the value being GVariant text.
pub(crate) fn push_values(dict: &mut Dict, given: &[String]) -> anyhow::Result<()> {
    for given in given {
        let (key, value) = key_value(given)?;
        dict.push(key, Value::parse(value).with_context(|| format!("Parsing {given}"))?);
    }
    Ok(())
}

fn strings(given: &[String]) -> anyhow::Result<Dict> {
    let mut dict = Dict::new();
    for given in given {
        let (key, value) = key_value(given)?;
        dict.push(key, value);
    }
    Ok(dict)
}

fn key_value(given: &str) -> anyhow::Result<(&str, &str)> {
    let pair =
        given.split_once('=').with_context(|| format!("Missing '=' in KEY=VALUE metadata '{given}'"))?;
    if pair.0.is_empty() {
        bail!("Empty metadata key in '{given}'");
    }
    Ok(pair)
}
