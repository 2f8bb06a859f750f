//! Names and values as a key file has them.

/// Whether a `;` in a value is an ordinary character.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Separator {
    Plain,
    Escaped,
}

pub(super) fn check_group_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(|c: char| matches!(c, '[' | ']') || c.is_ascii_control()) {
        return Err(format!("invalid group name '{name}'"));
    }
    Ok(())
}

/// A key may end with a locale in brackets; apart from that it is free of them, and of spaces at the ends.
pub(super) fn check_key(key: &str) -> Result<(), String> {
    let invalid = || format!("invalid key name '{key}'");
    let (name, locale) = match key.split_once('[') {
        Some((name, rest)) => (name, rest.strip_suffix(']').ok_or_else(invalid)?),
        None => (key, ""),
    };
    let locale_char = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    let ends_in_space = name.starts_with(' ') || name.ends_with(' ');
    if name.is_empty()
        || name.contains(['=', ']', '\n', '\0'])
        || ends_in_space
        || !locale.chars().all(locale_char)
    {
        return Err(invalid());
    }
    Ok(())
}

/// The text that `raw` stands for, and what is wrong with its first escape that does not exist: each of these stands for
/// itself, a backslash at the end for nothing. Where `items` is given, `;` ends an item, which goes there; what follows the
/// last one is returned.
pub(super) fn unescape(raw: &str, items: &mut Option<Vec<String>>) -> (String, Option<String>) {
    let (mut out, mut wrong) = (String::new(), None);
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match (c, &mut *items) {
            ('\\', items) => match chars.next() {
                Some('s') => out.push(' '),
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('\\') => out.push('\\'),
                Some(';') if items.is_some() => out.push(';'),
                Some(other) => {
                    out.extend(['\\', other]);
                    wrong.get_or_insert_with(|| format!("invalid escape '\\{other}'"));
                }
                None => drop(wrong.get_or_insert_with(|| "a backslash at the end of the line".into())),
            },
            (';', Some(items)) => items.push(std::mem::take(&mut out)),
            (c, _) => out.push(c),
        }
    }
    (out, wrong)
}

/// Spaces and tabs are escaped only where reading would drop them, at the start.
pub(super) fn escape(text: &str, separator: Separator) -> String {
    let mut out = String::new();
    let mut leading = true;
    for c in text.chars() {
        match c {
            ' ' if leading => out.push_str("\\s"),
            '\t' if leading => out.push_str("\\t"),
            ' ' | '\t' => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\\' => out.push_str("\\\\"),
            ';' if separator == Separator::Escaped => out.push_str("\\;"),
            c => out.push(c),
        }
        leading =
            leading && matches!(c, ' ' | '\t' | '\n' | '\r') || c == ';' && separator == Separator::Escaped;
    }
    out
}
