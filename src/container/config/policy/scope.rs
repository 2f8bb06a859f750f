//! Scopes: for which images a list of requirements is.
//!
//! ```text
//! docker              host/path:tag or host/path@digest, host/path, its parents, host, *.domain
//! oci, oci-archive    /path:tag, /path, its parents
//! dir                 /path, its parents
//! containers-storage  [driver@/root]host/path:tag@id, without the id, its parents, [driver@/root], [/root]
//! any                 "": every other image of the transport
//! ```
//! The names of files are absolute and without links. Source: containers-policy.json(5), containers/image
//! docker/policyconfiguration/naming.go and the transports' PolicyConfigurationNamespaces.

use std::path::{Component, Path};

use crate::container::image::RepositoryName;

/// The scopes of an image, the most specific first; without that for all of a transport.
pub(super) fn of_image(transport: &str, reference: &str) -> Vec<String> {
    match transport {
        "docker" => {
            let (name, suffix) = RepositoryName::split(reference);
            // A digest says more than a tag.
            let suffix = suffix.find('@').map_or(suffix, |at| &suffix[at..]);
            let host = name.split('/').next().unwrap_or_default();
            let own = format!("{name}{suffix}");
            [own].into_iter().chain(and_parents(name)).chain(wildcards(host)).collect()
        }
        "oci" | "oci-archive" => {
            let path = reference.split_once(':').map_or(reference, |(path, _)| path);
            [reference.to_owned()].into_iter().chain(and_parents(path)).collect()
        }
        "dir" => and_parents(reference).collect(),
        "containers-storage" => of_stored(reference),
        _ => Vec::new(),
    }
}

/// Scopes of an image in a store of podman.
fn of_stored(reference: &str) -> Vec<String> {
    let Some((store, image)) = reference.split_once(']').map(|(store, image)| (format!("{store}]"), image))
    else {
        return vec![reference.to_owned()];
    };
    let (name, id) = image.rsplit_once('@').filter(|(_, id)| is_digest(&format!("sha256:{id}"))).unzip();
    let name = name.unwrap_or(image);
    let (repository, suffix) = RepositoryName::split(name);
    let mut images = vec![image];
    images.extend(id.map(|_| name).filter(|name| !name.is_empty()));
    // A name with tag and digest is also the name with the tag.
    let tagged = suffix.find('@').filter(|at| *at > 0).map(|at| &name[..repository.len() + at]);
    images.extend(tagged);
    let images = images.into_iter().map(str::to_owned).chain(and_parents(repository));
    let root = store.split_once('@').map(|(_, root)| format!("[{root}"));
    let mut scopes: Vec<_> = images.map(|image| format!("{store}{image}")).collect();
    scopes.push(store.clone());
    scopes.extend(root);
    scopes
}

fn and_parents(name: &str) -> impl Iterator<Item = String> {
    let names = std::iter::successors(Some(name), |name| Some(name.rsplit_once('/')?.0));
    names.filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The wildcard scopes that a host falls under, the narrowest first; whatever its port.
pub(in crate::container) fn wildcards(host: &str) -> impl Iterator<Item = String> {
    let domain = host.split(':').next().unwrap_or_default();
    domain.match_indices('.').map(|(at, _)| format!("*{}", &domain[at..]))
}

/// Whether images of a transport can have this scope: one that none has is a mistake. Transports that are not
/// known may have any.
pub(super) fn check(transport: &str, scope: &str) -> Result<(), String> {
    let bad = |why: &str| Err(format!("transport {transport:?}: the scope {scope:?} {why}"));
    match transport {
        _ if scope.is_empty() => Ok(()),
        "docker-archive" | "tarball" => bad("fits nothing: there is only \"\""),
        "dir" | "oci" | "oci-archive" | "sif" => match is_clean(scope) {
            true => Ok(()),
            false => bad(
                "is no absolute path without \".\", \"..\" and needless \"/\" (for all of them write \"\")",
            ),
        },
        "atomic" => {
            // host/namespace/stream:tag, or its start.
            let parts: Vec<_> = scope.split('/').collect();
            let colons: Vec<_> = parts.iter().map(|part| part.matches(':').count()).collect();
            match colons[..] {
                [_] | [_, 0] | [_, 0, 0 | 1] => Ok(()),
                _ => bad("is no HOST/NAMESPACE/STREAM:TAG"),
            }
        }
        "docker-daemon" if is_digest(scope) => bad("is a digest, which is not supported"),
        "containers-storage" if !has_store(scope) => {
            bad("does not begin with a store: [DRIVER@/PATH] or [/PATH]")
        }
        _ => Ok(()),
    }
}

fn is_clean(path: &str) -> bool {
    let parts: Vec<_> = Path::new(path).components().skip(1).collect();
    let names = parts.iter().map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    let Some(names) = names.collect::<Option<Vec<_>>>() else { return false };
    !names.is_empty() && format!("/{}", names.join("/")) == path
}

fn is_digest(text: &str) -> bool {
    let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        let length = match algorithm {
            "sha256" => 64,
            "sha384" => 96,
            "sha512" => 128,
            _ => return false,
        };
        hex.len() == length && hex.bytes().all(lower_hex)
    })
}

/// Whether it begins with `[DRIVER@/PATH]` or `[/PATH]`, and any IDs behind it are some.
fn has_store(scope: &str) -> bool {
    let Some((store, image)) = scope.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return false;
    };
    let store_ok = match store.split_once('@') {
        Some((driver, path)) => !driver.is_empty() && path.starts_with('/'),
        None => store.starts_with('/'),
    };
    let is_id = |text: &str| is_digest(&format!("sha256:{text}"));
    let image_ok = match image.splitn(3, '@').collect::<Vec<_>>()[..] {
        [_, id] => is_id(id) || is_digest(id),
        [_, digest, id] => is_digest(digest) && is_id(id),
        _ => true,
    };
    store_ok && image_ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_of_a_store() {
        let id = "ab".repeat(32);
        let scopes = of_image("containers-storage", &format!("[vfs@/g]q.io/a/b:1@{id}"));
        let whole = format!("[vfs@/g]q.io/a/b:1@{id}");
        let others = ["q.io/a/b:1", "q.io/a/b", "q.io/a", "q.io", ""].map(|name| format!("[vfs@/g]{name}"));
        assert_eq!(scopes[0], whole);
        assert_eq!(scopes[1..6], others);
        assert_eq!(scopes[6..], ["[/g]"]);
        assert_eq!(of_image("containers-storage", "[vfs@/g]"), ["[vfs@/g]", "[vfs@/g]", "[/g]"]);
    }

    #[test]
    fn scopes_that_fit_nothing() {
        let id = "ab".repeat(32);
        for (transport, scope, good) in [
            ("docker", "anything at all", true),
            ("dir", "", true),
            ("dir", "/a/b", true),
            ("dir", "/", false),
            ("dir", "/a/", false),
            ("dir", "/a//b", false),
            ("dir", "/a/./b", false),
            ("dir", "/a/../b", false),
            ("dir", "a/b", false),
            ("oci", "/a/b:tag", true),
            ("oci", "b:tag", false),
            ("docker-archive", "/a", false),
            ("atomic", "host:5000", true),
            ("atomic", "host:5000/ns/stream:tag", true),
            ("atomic", "host/ns:tag", false),
            ("atomic", "host/ns/stream/more", false),
            ("docker-daemon", &format!("sha256:{id}"), false),
            ("docker-daemon", "docker.io/library/a:1", true),
            ("containers-storage", "docker.io/a", false),
            ("containers-storage", "[overlay@/var/lib]docker.io/a:1", true),
            ("containers-storage", "[overlay@lib]docker.io/a:1", false),
            ("containers-storage", &format!("[/var/lib]a@{id}"), true),
            ("containers-storage", "[/var/lib]a@b", false),
            ("elsewhere", "x", true),
        ] {
            assert_eq!(check(transport, scope).is_ok(), good, "{transport} {scope}");
        }
    }
}
