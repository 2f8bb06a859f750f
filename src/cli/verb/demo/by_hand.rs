//! The commands that `demo` stands for, to copy and paste.

use std::io::{self, Write};
use std::path::{Path, absolute};

use super::{MODE, REF, USER};

/// What the commit of `source` is called.
pub(super) fn subject(source: &Path) -> String {
    format!("{} as it is today", source.display())
}

/// Prints the commands that do the same in an empty directory, and make the same commit.
pub(super) fn print(source: &Path, timestamp: u64, out: &mut impl Write) -> io::Result<()> {
    let (subject, dir) = (quoted(&subject(source)), quoted(&absolute(source)?.display().to_string()));
    writeln!(out, "The same by hand, in an empty directory:")?;
    for command in [
        format!("ostree-rs gpg-new-key --secret=secret.asc --public=public.asc {}", quoted(USER)),
        format!("ostree-rs init --repo=source --mode={MODE}"),
        format!(
            "ostree-rs commit --repo=source -b {REF} -s {subject} --timestamp=@{timestamp} --tree=dir={dir} \\\n    \
             --gpg-sign=demo@example.org --gpg-homedir=secret.asc"
        ),
        format!("ostree-rs container build --repo=source --ref={REF} --oci-dir=image"),
        format!("ostree-rs init --repo=target --mode={MODE}"),
        format!("ostree-rs container pull --repo=target --ref={REF} --gpg-keyring=public.asc oci:image"),
        format!("ostree-rs checkout --repo=target -U -H {REF} checkout"),
        format!("diff -r --no-dereference {dir} checkout"),
    ] {
        writeln!(out, "  {command}")?;
    }
    Ok(())
}

/// A word as a shell reads it.
fn quoted(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+:@%,".contains(&b);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
