//! `config`: reads and changes the configuration of a repository.

use std::io::Write;

use anyhow::{Context, bail};

use super::Common;
use crate::cli::terminal::Session;
use crate::store::Error;
use crate::sysroot::SysrootSettings;

/// Arguments of `config`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The group of the key, which is then written without it
    #[arg(long)]
    group: Option<String>,
    /// `get GROUP.KEY`, `set GROUP.KEY VALUE` or `unset GROUP.KEY`
    #[arg(value_name = "OPERATION")]
    operation: Vec<String>,
}

/// Prints, sets or removes one value.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let mut file = args.common.config_file()?;
    let words: Vec<&str> = args.operation.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => bail!("OPERATION must be specified"),
        ["set", _, _, _, ..] | ["get" | "unset", _, _, ..] => bail!("Too many arguments given"),
        ["get", name] => {
            let (group, key) = split(args, name)?;
            let config = file.keys();
            if !config.has_group(group) {
                bail!("Key file does not have group “{group}”");
            }
            let value = config.get_string(group, key)?;
            let value =
                value.with_context(|| format!("Key file does not have key “{key}” in group “{group}”"))?;
            writeln!(session.out, "{value}")?;
        }
        ["set", name, value] => {
            let (group, key) = split(args, name)?;
            file.update(|config| {
                let invalid = |source| Error::Invalid { what: format!("[{group}] {key}"), source };
                let was_known = SysrootSettings::parse(config).is_ok();
                config.set_string(group, key, value).map_err(invalid)?;
                // C ostree does not open a repository with what it does not know here.
                match SysrootSettings::parse(config) {
                    Err(error) if was_known => Err(invalid(error)),
                    _ => Ok(()),
                }
            })?;
        }
        ["unset", name] => {
            let (group, key) = split(args, name)?;
            file.update(|config| {
                config.remove(group, key);
                Ok(())
            })?;
        }
        ["set", _] | ["set"] => bail!("KEY and VALUE must be specified"),
        ["get"] | ["unset"] => bail!("KEY must be specified"),
        [operation, ..] => bail!("Unknown operation {operation}"),
    }
    Ok(())
}

fn split<'a>(args: &'a Args, name: &'a str) -> anyhow::Result<(&'a str, &'a str)> {
    match &args.group {
        Some(group) => Ok((group, name)),
        None => name.split_once('.').context("Key must be of the form \"sectionname.keyname\""),
    }
}
