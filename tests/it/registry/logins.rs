//! Files of credentials, read by us and by skopeo: whether one gets in with them.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::program::Home;
use super::server::{Login, Server, Speech, USER};
use crate::oracle;

/// Files below the home directory. `HOST` is the registry, `GOOD` what lets in, `BAD` what does not.
const FILES: &[(&str, &str, bool)] = &[
    (".docker/config.json", r#"{"auths": {"HOST": {"auth": "GOOD"}}}"#, true),
    (".docker/config.json", r#"{"auths": {"https://HOST/v1/": {"auth": "GOOD"}}}"#, true),
    (".docker/config.json", r#"{"auths": {"HOST": {"auth": "BAD"}}}"#, false),
    (
        ".docker/config.json",
        r#"{"auths": {"HOST": {"auth": "GOOD", "username": "x", "password": "y"}}}"#,
        true,
    ),
    (".docker/config.json", r#"{"HOST": {"auth": "GOOD"}}"#, false),
    // Go minds no case.
    (".docker/config.json", r#"{"Auths": {"HOST": {"AUTH": "GOOD"}}}"#, true),
    (".docker/config.json", r#"{"Auths": {"HOST": {"AUTH": "BAD"}}}"#, false),
    (".docker/config.json", r#"{"auths": {"HOST": {"auth": 5}}}"#, false),
    (".dockercfg", r#"{"HOST": {"Auth": "GOOD"}}"#, true),
    // A registry that asks for a password gets it, whatever else there is.
    (".docker/config.json", r#"{"auths": {"HOST": {"auth": "GOOD", "identitytoken": "t"}}}"#, true),
    (".docker/config.json", r#"{"auths": {"HOST": ["GOOD", null, null, null]}}"#, false),
    (".docker/config.json", r#"[{"HOST": {"auth": "GOOD"}}, null, null]"#, false),
    (".dockercfg", r#"{"HOST": {"auth": "GOOD", "email": "me@example.org"}}"#, true),
    (".dockercfg", r#"{"http://HOST/v1/": {"auth": "GOOD"}, "x.y": null}"#, true),
    (".dockercfg", r#"{"HOST/v1/": {"auth": "GOOD"}}"#, true),
    (".dockercfg", r#"{"auths": {"HOST": {"auth": "GOOD"}}}"#, false),
    (".dockercfg", r#"{"HOST": {"auth": "BAD"}}"#, false),
    (".dockercfg", "none", false),
];

#[test]
fn files_of_credentials_say_the_same_to_both() {
    let Some(server) = Server::start(&Login::Basic, &Speech::Plain) else { return };
    if !oracle::need("skopeo") {
        return;
    }
    let good = STANDARD.encode(format!("{}:{}", USER.0, USER.1));
    for (file, text, gets_in) in FILES {
        let home = Home::new();
        let text = text.replace("HOST", &server.address.to_string());
        home.write(file, &text.replace("GOOD", &good).replace("BAD", &STANDARD.encode("x:y")));
        let image = format!("docker://{}/org/app:1", server.address);
        let (ours, theirs) = said(&home, &image);
        assert!(!ours.contains("struct"), "{ours}");
        // There is no image: whoever is let in is told so.
        let got_in = [ours.contains("404 Not Found"), theirs.contains("manifest unknown")];
        assert_eq!(got_in, [*gets_in; 2], "{file} {text}: {ours}{theirs}");
    }
}

/// What we and skopeo say of an image that is not there.
fn said(home: &Home, image: &str) -> (String, String) {
    let ours = home.fails(&["container", "info", "--tls-verify=false", image]);
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["inspect", "--tls-verify=false", image]).env_clear().env("HOME", home.path(""));
    let skopeo = skopeo.env("PATH", std::env::var("PATH").unwrap());
    (ours, String::from_utf8(skopeo.output().unwrap().stderr).unwrap())
}

/// The program of a desktop that is gone keeps nobody from what anybody may have; one for the registry itself does.
#[test]
fn programs_that_are_not_there() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    if !oracle::need("skopeo") {
        return;
    }
    let (home, image) = (Home::new(), format!("docker://{}/org/app:1", server.address));
    home.write(".docker/config.json", r#"{"credsStore": "gone"}"#);
    let (ours, theirs) = said(&home, &image);
    assert!(ours.contains("404 Not Found") && theirs.contains("manifest unknown"), "{ours}{theirs}");
    assert!(ours.contains("config.json: credsStore: docker-credential-gone"), "{ours}");
    let text = format!(r#"{{"credHelpers": {{"{}": "gone"}}}}"#, server.address);
    home.write(".docker/config.json", &text);
    let (ours, theirs) = said(&home, &image);
    assert!(theirs.contains("docker-credential-gone"), "{theirs}");
    assert!(ours.contains("config.json: credHelpers: docker-credential-gone for 127.0.0.1"), "{ours}");
    assert!(ours.contains("there is no such program; install it"), "{ours}");
}
