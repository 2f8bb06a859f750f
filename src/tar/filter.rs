//! `REGEX,REPLACEMENT`: a filter that changes the paths of an archive.

use ostree_format::ParseError;
use regex::Regex;

/// Replaces what a regular expression finds in paths.
#[derive(Debug, Clone)]
pub struct PathnameFilter {
    regex: Regex,
    replacement: String,
}

impl PathnameFilter {
    /// Reads `REGEX,REPLACEMENT`, split at the first comma. The replacement may name groups as `\1` or
    /// `\g<name>`, as GLib does.
    ///
    /// # Errors
    /// If there is no comma, or the regular expression is malformed.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        const WHAT: &str = "filter of path names";
        let (regex, replacement) =
            text.split_once(',').ok_or_else(|| ParseError::invalid(WHAT, 0, "Missing ','"))?;
        let regex = Regex::new(regex).map_err(|error| ParseError::invalid(WHAT, 0, error.to_string()))?;
        Ok(Self { regex, replacement: translate_groups(replacement) })
    }

    /// Changes `path`.
    pub fn apply(&self, path: &str) -> String {
        self.regex.replace_all(path, &*self.replacement).into_owned()
    }
}

/// Turns GLib's way of naming groups into that of the `regex` crate.
fn translate_groups(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek().copied()) {
            ('$', _) => out.push_str("$$"),
            ('\\', Some(digit)) if digit.is_ascii_digit() => {
                out.push_str(&format!("${{{digit}}}"));
                rest.next();
            }
            ('\\', Some('g')) => {
                rest.next();
                let name: String =
                    rest.by_ref().skip_while(|c| *c == '<').take_while(|c| *c != '>').collect();
                out.push_str(&format!("${{{name}}}"));
            }
            ('\\', Some(other)) => {
                out.push(other);
                rest.next();
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_as_glib_does() {
        let apply = |filter: &str, path| PathnameFilter::parse(filter).unwrap().apply(path);
        assert_eq!(apply("^,foo/", "usr/bin"), "foo/usr/bin");
        assert_eq!(apply("/bin/,/sbin/", "usr/bin/a"), "usr/sbin/a");
        assert_eq!(apply(r"^(\w+)/(\w+),\2/\g<1>", "a/b/c"), "b/a/c");
        assert_eq!(apply("a,$1", "a"), "$1");
        assert!(PathnameFilter::parse("a").is_err());
    }
}
