//! Cookies that requests to a remote carry: the file `REMOTE.cookies.txt` of a repository, in Netscape's form.
//!
//! ```text
//! domain  TRUE|FALSE  path  TRUE|FALSE  seconds  name  value
//!         subdomains,       only https, expiry: in seconds since 1970
//!         too
//! ```
//! Fields have blanks between them; a line that has others is none. Source: libostree ot-remote-cookie-util.c.

use std::fmt;

/// A cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    /// The host that it is sent to; with a dot in front, hosts below it, too.
    pub domain: String,
    /// The path that the paths of requests start with.
    pub path: String,
    /// Whether it is sent over TLS only, as the file says it: `TRUE` or `FALSE`.
    pub secure: String,
    /// The time at which it ends, in seconds since 1970; 0 for never.
    pub expires_secs: u64,
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

impl Cookie {
    /// Reads one line; `None` if it is no cookie.
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let mut next = || fields.next().map(str::to_owned);
        let (domain, _subdomains, path, secure) = (next()?, next()?, next()?, next()?);
        let expires_secs = next()?.parse().ok()?;
        Some(Self { domain, path, secure, expires_secs, name: next()?, value: next()? })
    }

    /// Reads a file.
    pub fn parse_all(text: &str) -> Vec<Self> {
        text.lines().filter_map(Self::parse).collect()
    }

    /// Whether the cookie is sent with a request, at the time `now_secs`.
    pub fn applies(&self, host: &str, path: &str, is_tls: bool, now_secs: u64) -> bool {
        let host = host.to_ascii_lowercase();
        let domain = self.domain.to_ascii_lowercase();
        let is_host = match domain.strip_prefix('.') {
            Some(above) => host == above || host.ends_with(&domain),
            None => host == domain,
        };
        let is_path = path
            .strip_prefix(&self.path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'));
        let is_alive = self.expires_secs == 0 || self.expires_secs > now_secs;
        is_host && is_path && is_alive && (is_tls || !self.secure.eq_ignore_ascii_case("TRUE"))
    }
}

/// The line, without its end.
impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, path, secure, expires_secs, name, value } = self;
        let subdomains = if domain.starts_with('.') { "TRUE" } else { "FALSE" };
        write!(f, "{domain}\t{subdomains}\t{path}\t{secure}\t{expires_secs}\t{name}\t{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_programs_are_read_and_comments_are_not() {
        let text = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t2525\tfoo\tbar\n\nx y\n";
        let cookies = Cookie::parse_all(text);
        assert_eq!(cookies.len(), 1);
        assert_eq!(cookies[0].to_string(), "127.0.0.1\tFALSE\t/\tFALSE\t2525\tfoo\tbar");
    }

    #[test]
    fn cookies_go_where_they_are_meant_to_go() {
        let of = |line: &str| Cookie::parse(line).unwrap_or_else(|| unreachable!());
        let host = of("example.org FALSE / FALSE 0 a b");
        assert!(host.applies("Example.org", "/repo/config", false, 5));
        assert!(!host.applies("www.example.org", "/repo", false, 5));
        let below = of(".example.org TRUE /repo TRUE 10 a b");
        assert!(below.applies("www.example.org", "/repo/config", true, 5));
        assert!(below.applies("example.org", "/repo", true, 5));
        assert!(!below.applies("wwwexample.org", "/repo", true, 5));
        assert!(!below.applies("example.org", "/repository", true, 5));
        assert!(!below.applies("example.org", "/repo", false, 5));
        assert!(!below.applies("example.org", "/repo", true, 10));
    }
}
