//! `WWW-Authenticate`: how a server wants to be told who asks.
//!
//! ```text
//! Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull"
//! Basic realm="Registry"
//! ```
//! Source: RFC 9110 section 11.

use http_auth::ChallengeRef;
use http_auth::parser::ChallengeParser;

/// One way to prove who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token from `realm`.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    /// A user and a password.
    Basic,
}

/// The challenges in the values of `WWW-Authenticate`; unknown ones are passed over, and a broken one with
/// what follows it.
pub(super) fn parse(values: &[&str]) -> Vec<Challenge> {
    values
        .iter()
        .flat_map(|value| ChallengeParser::new(value).map_while(Result::ok))
        .filter_map(known)
        .collect()
}

fn known(challenge: ChallengeRef<'_>) -> Option<Challenge> {
    if challenge.scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !challenge.scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let value = |wanted: &str| {
        let mut params = challenge.params.iter();
        params.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_unescaped())
    };
    Some(Challenge::Bearer { realm: value("realm")?, service: value("service"), scope: value("scope") })
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
        assert_eq!(parse(&[bearer, "Basic realm=\"x\"", "Negotiate"]), [expected.clone(), Challenge::Basic]);
        // All in one line, as proxies join them.
        let joined = format!("Negotiate, {bearer} , basic realm=\"a\"");
        assert_eq!(parse(&[&joined]), [expected, Challenge::Basic]);
        let quoted = parse(&[r#"BEARER Realm="http://a/\"b\"", service=c"#]);
        let realm = "http://a/\"b\"".into();
        assert_eq!(quoted, [Challenge::Bearer { realm, service: Some("c".into()), scope: None }]);
        assert_eq!(parse(&["bearer service=x"]), []);
        assert_eq!(parse(&["Bearer realm=\"unfinished", "Basic realm=\"\u{e9}\"", "=", ""]), []);
    }
}
