//! What a tree calls itself: `usr/lib/os-release`, or else `etc/os-release`.

use std::os::fd::AsFd;

use rustix::io::Errno;

use super::{Error, Result, files};

/// The name for people in the tree of a deployment.
pub(super) fn title_in(root: impl AsFd) -> Result<String> {
    let root = root.as_fd();
    let etc = "etc/os-release";
    let bytes = match files::read(root, "usr/lib/os-release")? {
        Some(bytes) => bytes,
        None => files::read(root, etc)?.ok_or_else(|| Error::io("open", etc, Errno::NOENT))?,
    };
    let text = String::from_utf8_lossy(&bytes);
    value(&text, "PRETTY_NAME").or_else(|| value(&text, "ID")).ok_or(Error::NoTitle)
}

/// The value of a variable: the last that can be read.
fn value(text: &str, name: &str) -> Option<String> {
    let mut values = text.lines().filter_map(|line| unquote(line.strip_prefix(name)?.strip_prefix('=')?));
    values.next_back()
}

/// What a word of a shell stands for; `None` if a quote is not closed.
fn unquote(word: &str) -> Option<String> {
    let (mut out, mut quote) = (String::new(), None);
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None) => out.push(chars.next()?),
            ('\\', Some('"')) => match chars.next()? {
                c @ ('"' | '\\' | '`' | '$') => out.push(c),
                c => out.extend(['\\', c]),
            },
            (c, _) => out.push(c),
        }
    }
    quote.is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_words_of_a_shell() {
        let text = "# PRETTY_NAME=no\nID=os\nPRETTY_NAME=\"Example \\\"OS\\\" 1\"\nX='a\"b'\\ c\nBROKEN='x\n";
        assert_eq!(value(text, "PRETTY_NAME").as_deref(), Some("Example \"OS\" 1"));
        assert_eq!(value(text, "ID").as_deref(), Some("os"));
        assert_eq!(value(text, "X").as_deref(), Some("a\"b c"));
        assert_eq!((value(text, "BROKEN"), value(text, "PRETTY")), (None, None));
    }
}
