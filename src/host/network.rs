//! What is configured for every connection of the machine: certificate authorities and proxies.

use std::net::Ipv6Addr;

use super::{Environment, Machine};
use crate::net::{Authorities, HttpOptions, Limits, ProxyRule, TlsOptions};

/// Hosts to which podman, skopeo and whatever else is written in Go never go through a proxy.
const LOCAL: &str = "localhost,127.0.0.0/8,::1";

impl Machine {
    /// The certificate authorities that the machine trusts; Mozilla's where it has none.
    pub(super) fn authorities(&self) -> &Authorities {
        self.authorities.get_or_init(|| match rustls_native_certs::load_native_certs().certs {
            none if none.is_empty() => Authorities::Mozilla,
            certificates => Authorities::These(certificates.into()),
        })
    }

    /// The HTTP options for servers that nothing is configured for.
    pub(super) fn base_http(&self, limits: Limits) -> HttpOptions {
        let (proxies, no_proxy) = proxies(&self.env, "");
        let tls = TlsOptions { authorities: self.authorities().clone(), ..TlsOptions::default() };
        HttpOptions { tls, proxies, no_proxy, limits, ..HttpOptions::default() }
    }

    /// The HTTP options for remotes of ostree. For curl, which C ostree asks with, this machine is a host like others.
    pub(super) fn http_to_remotes(&self, limits: Limits) -> HttpOptions {
        let no_proxy = either(&self.env, "NO_PROXY").map(|given| excepted(&given, ""));
        HttpOptions { no_proxy, ..self.base_http(limits) }
    }

    /// The HTTP options for servers that nobody has configured: they are near, so there are no proxies.
    pub(super) fn http_to_strangers(&self, limits: Limits) -> HttpOptions {
        let proxies = Vec::new();
        HttpOptions { proxies, ..self.base_http(limits) }
    }
}

/// The proxies that the environment sets for a client of `host`, and where it does without.
pub(super) fn proxies(env: &Environment, host: &str) -> (Vec<ProxyRule>, Option<String>) {
    let rules = [
        either(env, "HTTPS_PROXY").map(ProxyRule::Https),
        either(env, "HTTP_PROXY").map(ProxyRule::Http),
        either(env, "ALL_PROXY").map(ProxyRule::All),
    ];
    let except = either(env, "NO_PROXY")
        .map_or_else(|| LOCAL.to_owned(), |given| format!("{},{LOCAL}", excepted(&given, host)));
    (rules.into_iter().flatten().collect(), Some(except))
}

/// A variable, in small letters or in capital ones; the first of these wins, as it does elsewhere.
fn either(env: &Environment, name: &str) -> Option<String> {
    env.text(&name.to_lowercase()).or_else(|| env.text(name)).map(str::to_owned)
}

/// The entries of `NO_PROXY` in the forms that the HTTP client knows, which are those without a port: an entry
/// with one counts if it is the port of `host`, the server that is asked.
fn excepted(entries: &str, host: &str) -> String {
    let port = |text: &str| text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let ours = port(host);
    let entry = |entry: &str| -> Option<String> {
        let entry = entry.trim();
        let is_ipv6 = entry.parse::<Ipv6Addr>().is_ok();
        let name = match (port(entry), entry.rsplit_once(':')) {
            (Some(port), Some((name, _))) if !is_ipv6 => {
                let wanted = ours.map_or([443, 80].contains(&port), |ours| ours == port);
                wanted.then_some(name)?
            }
            _ => entry,
        };
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        // "*.example.com" is ".example.com" elsewhere.
        Some(name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name).to_owned())
    };
    entries.split(',').filter_map(entry).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy() {
        for (entries, host, expected) in [
            ("a.test, .b.test,10.0.0.0/8,*", "a.test", "a.test,.b.test,10.0.0.0/8,*"),
            ("*.a.test,*a.test", "a.test", ".a.test,*a.test"),
            ("a.test:5000,b.test:443", "a.test:5000", "a.test"),
            ("a.test:5000,b.test:443,c.test:80", "b.test", "b.test,c.test"),
            ("::1,[::2],[::3]:5000,fe80::/10,[::4]:1", "[::3]:5000", "::1,::2,::3,fe80::/10"),
        ] {
            assert_eq!(excepted(entries, host), expected, "{entries}");
        }
    }
}
