//! What refers to an image: by the referrers API, page by page, or by a tag.

use ostree_rs::base::Ctx;
use ostree_rs::format::Checksum;
use ostree_rs::net::Error;
use ostree_rs::net::registry::Registry;

use super::front::{Answer, Front};
use super::server::{Login, Server, Speech};
use super::{push_image, registry, user};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn page(next: &str, body: impl Into<Vec<u8>>) -> Answer {
    Answer::new(&format!("200 OK\r\nContent-Type: {INDEX}{next}"), body)
}

fn referrers(registry: &Registry) -> Result<Vec<Vec<u8>>, Error> {
    registry.referrers(&Checksum::of(b"subject"), &Ctx::default())
}

/// A registry that answers every request for itself.
fn answering(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Front {
    let nowhere = "127.0.0.1:9".parse().unwrap();
    Front::start(nowhere, move |asked| {
        if asked.header("authorization").is_none() && !asked.target.starts_with("/open/") {
            return Some(Answer::new("401 No\r\nWWW-Authenticate: Basic realm=\"x\"", ""));
        }
        Some(answer(&asked.target))
    })
}

/// `docker-registry` does not know the referrers API: the index lies under a tag.
#[test]
fn referrers_fall_back_to_a_tag() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let (registry, ctx) = (registry(&server.url(), "a", None), Ctx::default());
    let subject = Checksum::of(&push_image(&registry, "one", b"layer"));
    assert_eq!(registry.referrers(&subject, &ctx).unwrap(), [b""; 0]);
    let bytes = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[]}}"#);
    registry.put_manifest(&format!("sha256-{subject}"), INDEX, bytes.as_bytes(), &ctx).unwrap();
    assert_eq!(registry.referrers(&subject, &ctx).unwrap(), [bytes.into_bytes()]);
}

/// The password goes along to the pages of the registry, not to one that lies elsewhere.
#[test]
fn pages_are_followed() {
    let elsewhere = answering(|_| page("", "{\"page\":3}"));
    let third = format!("\r\nLink: <http://{}/open/third>; rel=\"next\"", elsewhere.address);
    let home = answering(move |target| match target.split_once('?') {
        None => page(&format!("\r\nLink: <{target}?last=1>; rel=\"next\""), "{\"page\":1}"),
        Some((_, last)) => {
            assert_eq!(last, "last=1");
            page(&third, "{\"page\":2}")
        }
    });
    let registry = registry(&format!("http://{}", home.address), "a", user());
    assert_eq!(referrers(&registry).unwrap(), [&b"{\"page\":1}"[..], b"{\"page\":2}", b"{\"page\":3}"]);
    let asked = elsewhere.asked();
    assert!(asked.len() == 1 && asked[0].header("authorization").is_none(), "{asked:?}");
}

#[test]
fn pages_without_end_are_given_up() {
    let small = 1000;
    for (size, most) in [(2, small), (6 * 1024 * 1024, 3)] {
        let home = answering(move |target| {
            let (path, number) = target.split_once('?').unwrap_or((target, "0"));
            let next = number.parse::<usize>().unwrap() + 1;
            page(&format!("\r\nLink: <{path}?{next}>; rel=\"next\""), vec![b' '; size])
        });
        let registry = registry(&format!("http://{}", home.address), "a", user());
        let error = referrers(&registry).unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error}");
        // The first of all was the one without credentials.
        assert_eq!(home.asked().len(), most + 1);
    }
}
