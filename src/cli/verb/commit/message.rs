//! The message of a commit: `--subject`, `--body`, `--body-file`, or an editor.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::format::RefSpec;

/// Options that make the message.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// First line of the message
    #[arg(short, long)]
    subject: Option<String>,
    /// The rest of the message
    #[arg(short = 'm', long)]
    body: Option<String>,
    /// A file with the rest of the message
    #[arg(short = 'F', long, value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// Write the message in an editor
    #[arg(short, long)]
    editor: bool,
}

/// Subject and body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// First line.
    pub(crate) subject: String,
    /// The rest.
    pub(crate) body: String,
}

impl Options {
    /// The message that the options ask for.
    pub(crate) fn message(&self, branch: Option<&RefSpec>) -> anyhow::Result<Message> {
        let subject = self.subject.clone().unwrap_or_default();
        if self.editor {
            return self.edit(branch);
        }
        let body = match (&self.body_file, &self.body) {
            (Some(file), _) => {
                fs::read_to_string(file).with_context(|| format!("openat({})", file.display()))?
            }
            (None, body) => body.clone().unwrap_or_default(),
        };
        Ok(Message { subject, body })
    }

    fn edit(&self, branch: Option<&RefSpec>) -> anyhow::Result<Message> {
        let mut text = String::from(
            "\n# The first line becomes the subject of the commit, the rest its body. Lines that\n\
             # start with '#' are left out. Without any text there will be no commit.\n",
        );
        if let Some(branch) = branch {
            text.push_str(&format!("#\n# Branch: {branch}\n"));
        }
        for part in [&self.subject, &self.body].into_iter().flatten() {
            text.push_str(&format!("{part}\n"));
        }
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(text.as_bytes())?;
        let editor = editor().context("Terminal is dumb, but EDITOR unset")?;
        let status = Command::new("/bin/sh")
            // The editor may be a command with arguments; the file is one argument of it.
            .arg("-c")
            .arg(format!("{editor} \"$1\""))
            .arg("sh")
            .arg(file.path())
            .status()?;
        if !status.success() {
            bail!("There was a problem with the editor '{editor}'");
        }
        parse(&fs::read_to_string(file.path())?)
    }
}

fn editor() -> Option<String> {
    let get = |name| std::env::var(name).ok();
    let dumb = get("TERM").is_none_or(|terminal| terminal == "dumb");
    let visual = || if dumb { None } else { get("VISUAL") };
    get("OSTREE_EDITOR").or_else(visual).or_else(|| get("EDITOR")).or_else(|| (!dumb).then(|| "vi".into()))
}

/// The message in what the editor left.
fn parse(text: &str) -> anyhow::Result<Message> {
    let lines = text.lines().map(str::trim_end).filter(|line| !line.starts_with('#'));
    let mut lines = lines.skip_while(|line| line.is_empty());
    let Some(subject) = lines.next() else { bail!("Aborting commit due to empty commit subject.") };
    let body: Vec<&str> = lines.skip_while(|line| line.is_empty()).collect();
    Ok(Message { subject: subject.to_owned(), body: body.join("\n").trim_end().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_editor_left() {
        let message = parse("# x\n\nSubject \n# y\n\nline 1\n\nline 2\n\n").unwrap();
        assert_eq!(message, Message { subject: "Subject".into(), body: "line 1\n\nline 2".into() });
        assert!(parse("\n# only comments\n").is_err());
    }
}
