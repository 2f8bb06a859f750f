//! Key files: the syntax of a repository's `config` and of the files in `remotes.d`.
//!
//! ```text
//! # comment
//! [core]
//! mode=bare
//! list=a;b\;c;            values escape \s space, \n, \t, \r, \\ and, in lists, \;
//!
//! [remote "origin"]
//! url=https://example.com/repo
//! ```
//!
//! Reads and writes what GLib's `GKeyFile` does, with comments kept (`G_KEY_FILE_KEEP_COMMENTS`): a group that
//! stands twice is one, of a key that stands twice the last one counts, and white space around `=` goes away.

mod text;

use std::fmt;

use crate::{ParseError, Result};
use text::{Separator, check_group_name, check_key, escape, unescape};

/// A key file, with its comments and blank lines, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyFile {
    /// Comments and blank lines before the first group.
    head: Vec<String>,
    groups: Vec<Group>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    /// A comment or blank line, as it is.
    Comment(String),
    /// A key and its value, with the escapes in it.
    Pair(String, String),
}

impl KeyFile {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If a line is not UTF-8, not a comment, group or pair, or a pair before the first group: with the number
    /// of the line in the text, and the offset of its first byte.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let mut file = Self::default();
        let (mut current, mut offset) = (None, 0);
        for (number, raw) in data.split_inclusive(|b| *b == b'\n').enumerate() {
            let error =
                |why: String| ParseError::invalid(WHAT, offset, format!("line {}: {why}", number + 1));
            let line = raw.strip_suffix(b"\r\n").or(raw.strip_suffix(b"\n")).unwrap_or(raw);
            let line = str::from_utf8(line).map_err(|_| error("not UTF-8".into()))?;
            if line.contains('\0') {
                return Err(error("contains a NUL".into()));
            }
            file.line(line, &mut current).map_err(error)?;
            offset += raw.len();
        }
        Ok(file)
    }

    /// The names of the groups, in order.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| group.name.as_str())
    }

    /// Whether there is a group `name`.
    pub fn has_group(&self, name: &str) -> bool {
        self.group(name).is_some()
    }

    /// The keys of `group` and their values with the escapes in them, in order.
    pub fn entries(&self, group: &str) -> impl Iterator<Item = (&str, &str)> {
        self.group(group).into_iter().flat_map(|group| &group.lines).filter_map(|line| match line {
            Line::Pair(key, value) => Some((key.as_str(), value.as_str())),
            Line::Comment(_) => None,
        })
    }

    /// The value of `key`, with the escapes in it.
    pub fn get_raw(&self, group: &str, key: &str) -> Option<&str> {
        self.entries(group).filter(|(k, _)| *k == key).last().map(|(_, value)| value)
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// If it has an escape that does not exist.
    pub fn get_string(&self, group: &str, key: &str) -> Result<Option<String>> {
        self.value(group, key, |raw| {
            let (text, wrong) = unescape(raw, &mut None);
            wrong.map_or(Ok(text), Err)
        })
    }

    /// The value of `key` as libostree reads the options of remotes: an escape that does not exist stands for itself.
    pub fn get_text(&self, group: &str, key: &str) -> Option<String> {
        self.get_raw(group, key).map(|raw| unescape(raw, &mut None).0)
    }

    /// The items of the list `key`, which a `;` ends each.
    ///
    /// # Errors
    /// If it has an escape that does not exist.
    pub fn get_list(&self, group: &str, key: &str) -> Result<Option<Vec<String>>> {
        self.value(group, key, |raw| {
            let mut items = Some(Vec::new());
            let (last, wrong) = unescape(raw, &mut items);
            wrong.map_or(Ok(()), Err)?;
            let mut items = items.unwrap_or_default();
            if !last.is_empty() {
                items.push(last);
            }
            Ok(items)
        })
    }

    /// The boolean `key`.
    ///
    /// # Errors
    /// If it is none of `true`, `1`, `false` and `0`.
    pub fn get_bool(&self, group: &str, key: &str) -> Result<Option<bool>> {
        self.value(group, key, |raw| match raw.trim_ascii_end() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(format!("'{raw}' is not true or false")),
        })
    }

    /// The integer that the value of `key` begins with, whatever follows: so libostree reads numbers. Those that do not
    /// fit are the nearest that does.
    pub fn get_leading_i64(&self, group: &str, key: &str) -> Option<i64> {
        let raw = self.get_raw(group, key)?.trim_ascii_start();
        let (sign, text) = raw.strip_prefix('-').map_or((1, raw), |text| (-1, text));
        let digits = text.bytes().take_while(u8::is_ascii_digit).map(|digit| i64::from(digit - b'0'));
        let number = digits.map(|digit| sign * digit);
        number.reduce(|number, digit| number.saturating_mul(10).saturating_add(digit))
    }

    /// The integer `key`.
    ///
    /// # Errors
    /// If it is not a decimal number of 64 bits, or negative.
    pub fn get_u64(&self, group: &str, key: &str) -> Result<Option<u64>> {
        self.value(group, key, |raw| raw.trim_ascii().parse().map_err(|_| format!("'{raw}' is not a number")))
    }

    /// Sets `key`, in place where it exists, at the end of its group otherwise. Makes the group.
    ///
    /// # Errors
    /// If the name of the group or of the key cannot be written: empty, or with a `]` or `=` in it, for instance.
    pub fn set_string(&mut self, group: &str, key: &str, value: &str) -> Result<()> {
        self.set_raw(group, key, &escape(value, Separator::Plain))
    }

    /// Sets `key` to a list.
    ///
    /// # Errors
    /// As [`KeyFile::set_string`].
    pub fn set_list<S: AsRef<str>>(
        &mut self,
        group: &str,
        key: &str,
        items: impl IntoIterator<Item = S>,
    ) -> Result<()> {
        let list: String =
            items.into_iter().map(|item| escape(item.as_ref(), Separator::Escaped) + ";").collect();
        self.set_raw(group, key, &list)
    }

    /// Sets `key` to a value that has its escapes already.
    ///
    /// # Errors
    /// As [`KeyFile::set_string`], and if the value has a line break in it.
    pub fn set_raw(&mut self, group: &str, key: &str, value: &str) -> Result<()> {
        check_group_name(group)
            .and_then(|()| check_key(key))
            .map_err(|why| ParseError::invalid(WHAT, 0, why))?;
        if value.contains(['\n', '\0']) {
            return Err(ParseError::invalid(WHAT, 0, format!("{group}.{key}: a line break in the value")));
        }
        let group = self.group_at(group);
        let lines = self.groups.get_mut(group).map(|group| &mut group.lines).into_iter().flatten();
        let old = lines.filter_map(|line| match line {
            Line::Pair(k, value) if k == key => Some(value),
            _ => None,
        });
        match old.last() {
            Some(old) => value.clone_into(old),
            None => self.add(group, key, value),
        }
        Ok(())
    }

    /// Removes `key` and returns its value with the escapes in it.
    pub fn remove(&mut self, group: &str, key: &str) -> Option<String> {
        let removed = self.get_raw(group, key).map(str::to_owned);
        if let Some(group) = self.groups.iter_mut().find(|g| g.name == group) {
            group.lines.retain(|line| !matches!(line, Line::Pair(k, _) if k == key));
        }
        removed
    }

    /// Removes a group with all its lines; whether there was one. The blank lines that set the last group
    /// apart go with it.
    pub fn remove_group(&mut self, name: &str) -> bool {
        let Some(at) = self.groups.iter().position(|group| group.name == name) else { return false };
        self.groups.remove(at);
        if let (true, Some(last)) = (at == self.groups.len(), self.groups.last_mut()) {
            let is_blank = |line: &Line| matches!(line, Line::Comment(text) if text.is_empty());
            let kept = last.lines.iter().rposition(|line| !is_blank(line)).map_or(0, |at| at + 1);
            last.lines.truncate(kept);
        }
        true
    }

    fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The index of the group `name`, which is made if there is none.
    fn group_at(&mut self, name: &str) -> usize {
        self.groups.iter().position(|group| group.name == name).unwrap_or_else(|| {
            self.groups.push(Group { name: name.to_owned(), lines: Vec::new() });
            self.groups.len() - 1
        })
    }

    /// Adds a pair after the last one of the group, before the blank lines that follow it.
    fn add(&mut self, group: usize, key: &str, value: &str) {
        if let Some(Group { lines, .. }) = self.groups.get_mut(group) {
            let last = lines.iter().rposition(|line| matches!(line, Line::Pair(..)));
            lines.insert(last.map_or(0, |at| at + 1), Line::Pair(key.to_owned(), value.to_owned()));
        }
    }

    /// Reads a line into the group `current`.
    fn line(&mut self, line: &str, current: &mut Option<usize>) -> Result<(), String> {
        let content = line.trim_ascii_start();
        if content.is_empty() || content.starts_with('#') {
            match current.and_then(|at| self.groups.get_mut(at)) {
                Some(group) => group.lines.push(Line::Comment(line.to_owned())),
                None => self.head.push(line.to_owned()),
            }
        } else if let Some(name) = content.strip_prefix('[').and_then(|rest| {
            let (name, rest) = rest.split_once(']')?;
            rest.trim_matches([' ', '\t']).is_empty().then_some(name)
        }) {
            check_group_name(name)?;
            *current = Some(self.group_at(name));
        } else if let Some((key, value)) = content.split_once('=').filter(|(key, _)| !key.is_empty()) {
            let Some(group) = *current else { return Err("a key before the first group".into()) };
            let key = key.trim_ascii_end();
            check_key(key)?;
            if let Some(group) = self.groups.get_mut(group) {
                group.lines.push(Line::Pair(key.to_owned(), value.trim_ascii_start().to_owned()));
            }
        } else {
            return Err("not a group, a key with a value, or a comment".into());
        }
        Ok(())
    }

    fn value<T>(
        &self,
        group: &str,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>> {
        let error = |why| ParseError::invalid(WHAT, 0, format!("{group}.{key}: {why}"));
        self.get_raw(group, key).map(read).transpose().map_err(error)
    }
}

impl fmt::Display for KeyFile {
    /// The text of the file. Groups are separated by a blank line at least.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blank = true;
        for line in &self.head {
            writeln!(f, "{line}")?;
            blank = line.is_empty();
        }
        for group in &self.groups {
            if !blank {
                writeln!(f)?;
            }
            writeln!(f, "[{}]", group.name)?;
            blank = false;
            for line in &group.lines {
                match line {
                    Line::Comment(text) => writeln!(f, "{text}")?,
                    Line::Pair(key, value) => writeln!(f, "{key}={value}")?,
                }
                blank = matches!(line, Line::Comment(text) if text.is_empty());
            }
        }
        Ok(())
    }
}

const WHAT: &str = "key file";
