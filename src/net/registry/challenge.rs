//! `WWW-Authenticate`: how a server wants to be told who asks.
//!
//! ```text
//! Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull"
//! Basic realm="Registry"
//! ```
//! Source: RFC 9110 section 11.

/// One way to prove who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token from `realm`.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    /// A user and a password.
    Basic,
}

/// The challenges in the values of `WWW-Authenticate`; unknown ones are passed over.
pub(super) fn parse(values: &[&str]) -> Vec<Challenge> {
    values.iter().filter_map(|value| parse_one(value)).collect()
}

fn parse_one(value: &str) -> Option<Challenge> {
    let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service, mut scope) = (None, None, None);
    for (key, value) in parameters(rest) {
        match key.to_ascii_lowercase().as_str() {
            "realm" => realm = Some(value),
            "service" => service = Some(value),
            "scope" => scope = Some(value),
            _ => {}
        }
    }
    Some(Challenge::Bearer { realm: realm?, service, scope })
}

/// `key=value` and `key="value with \" and ,"`, separated by commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',', '\t']).to_string();
        let (value, remaining) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_string(), &after[end..])
            }
        };
        out.push((key, value));
        rest = remaining;
    }
    out
}

/// The text up to the closing quote, and what follows.
fn unquote(text: &str) -> (String, &str) {
    let (mut out, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                out.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (out, &text[at + 1..]),
            _ => out.push(c),
        }
    }
    (out, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let bearer = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/debian:pull,push""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.docker.io/token".into(),
            service: Some("registry.docker.io".into()),
            scope: Some("repository:library/debian:pull,push".into()),
        };
        assert_eq!(parse(&[bearer, "Basic realm=\"x\"", "Negotiate"]), [expected, Challenge::Basic]);
        assert_eq!(parse(&["bearer service=x"]), []);
        assert_eq!(parse(&["Bearer realm=\"unfinished"]).len(), 1);
    }
}
