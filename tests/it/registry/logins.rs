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
        let ours = home.fails(&["container", "info", "--tls-verify=false", &image]);
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["inspect", "--tls-verify=false", &image]).env_clear().env("HOME", home.path(""));
        let skopeo = skopeo.env("PATH", std::env::var("PATH").unwrap());
        let theirs = String::from_utf8(skopeo.output().unwrap().stderr).unwrap();
        // There is no image: whoever is let in is told so.
        let got_in = [ours.contains("404 Not Found"), theirs.contains("manifest unknown")];
        assert_eq!(got_in, [*gets_in; 2], "{file} {text}: {ours}{theirs}");
    }
}
