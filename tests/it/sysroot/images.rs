//! Images in sysroots: deployed, upgraded, changed over to; beside C ostree, which lists what came out.

mod var;

use std::fs;
use std::path::PathBuf;

use super::Place;
use super::deploy::assert_bootable;
use crate::cli::OURS;
use crate::oracle::{need, need_root};
use crate::registry::server::{Login, Server, Speech, USER};

impl Place {
    /// An image of a new version, which lies in `oci` under this tag.
    fn image(&self, version: &str, tag: &str) {
        self.write("tree/usr/bin/tool", version);
        let version = format!("--add-metadata-string=version={version}");
        let commit = ["--repo=build", "commit", "-b", "os", "--tree=dir=tree", "--canonical-permissions"];
        self.c(&[&commit[..], &["--bootable", &version]].concat());
        self.tag(tag);
    }

    /// An image of the newest version under this tag.
    fn tag(&self, tag: &str) {
        self.build_into("oci", tag, &[]);
    }

    /// An image of the newest version in a directory of its own or of others.
    fn build_into(&self, dir: &str, tag: &str, options: &[&str]) {
        let (dir, tag) = (format!("--oci-dir={dir}"), format!("--tag={tag}"));
        let build = ["container", "build", "--repo=build", "--ref=os", &dir, &tag];
        self.ours(&[&build[..], options].concat());
    }

    /// A sysroot without deployments, made by C ostree.
    fn empty_sysroot(&self) {
        fs::create_dir(self.at("root")).unwrap();
        self.c(&["admin", "init-fs", "root"]);
        self.c(&["admin", "os-init", "os", "--sysroot=root"]);
    }

    /// The origin of the deployment that is booted next, and its directory.
    fn newest(&self, sysroot: &str) -> (String, PathBuf) {
        let dir = self.c(&["admin", "--print-current-dir", &format!("--sysroot={sysroot}")]);
        let dir = PathBuf::from(dir.trim_end());
        let origin = format!("{}.origin", dir.display());
        (fs::read_to_string(origin).unwrap(), dir)
    }

    fn deployments(&self, sysroot: &str) -> usize {
        let status = self.c(&["admin", "status", &format!("--sysroot={sysroot}")]);
        status.lines().filter(|line| line.trim_start_matches(['*', ' ']).starts_with("os ")).count()
    }
}

#[test]
fn images_are_deployed_upgraded_and_changed_over_to() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.empty_sysroot();
    place.image("1", "1");
    place.tag("latest");
    let deploy =
        ["container", "image", "deploy", "--sysroot=root", "--stateroot=os", "--karg=quiet", "--karg=a=b"];
    let (source, target) = ("ostree-unverified-image:oci:oci:1", "ostree-unverified-image:oci:oci:latest");
    let names = ["--imgref", source, "--target-imgref", target, "--write-commitid-to=commit"];
    place.ours(&[&deploy[..], &names].concat());
    let (origin, dir) = place.newest("root");
    assert_eq!(origin, format!("[origin]\ncontainer-image-reference={target}\n"));
    let commit = fs::read_to_string(place.at("commit")).unwrap();
    assert!(dir.ends_with(format!("{commit}.0")), "{commit} {dir:?}");
    assert_eq!(fs::read_to_string(dir.join("usr/bin/tool")).unwrap(), "1");
    assert_bootable(&place.at("root"));
    fs::write(dir.join("etc/file"), "changed\n").unwrap();

    let upgrade = ["container", "image", "upgrade", "--sysroot=root"];
    let check = |options: &[&str]| {
        let out = place.run(OURS, &[&upgrade[..], &["--check"], options].concat());
        (out.status.code(), String::from_utf8(out.stdout).unwrap())
    };
    assert_eq!(check(&[]), (Some(77), "No update available.\n".to_owned()));
    assert_eq!(place.ours(&upgrade), "No update available.\n");
    place.image("2", "latest");
    let (code, text) = check(&[]);
    assert!(code == Some(0) && text.contains("(version 2)") && text.contains("To fetch: "), "{text}");
    let (code, text) = check(&["--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, Some(0));
    assert_eq!((&json["changed"], &json["version"]), (&true.into(), &"2".into()), "{json}");
    assert_eq!(json["from_version"], "1", "{json}");
    assert_eq!(place.deployments("root"), 1);

    place.ours(&[&upgrade[..], &["--pull-only"]].concat());
    assert_eq!(place.deployments("root"), 1);
    place.ours(&upgrade);
    let (origin, dir) = place.newest("root");
    assert_eq!(origin, format!("[origin]\ncontainer-image-reference={target}\n"));
    assert_eq!(fs::read_to_string(dir.join("usr/bin/tool")).unwrap(), "2");
    assert_eq!(fs::read_to_string(dir.join("etc/file")).unwrap(), "changed\n");
    assert_eq!(place.deployments("root"), 2);
    assert_bootable(&place.at("root"));
    let entries = fs::read_dir(place.at("root/boot/loader/entries")).unwrap();
    for entry in entries {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(text.contains("options quiet a=b ostree="), "{text}");
    }

    place.image("3", "other");
    let other = "ostree-unverified-image:oci:oci:other";
    place.ours(&["container", "image", "switch", "--sysroot=root", other]);
    let (origin, dir) = place.newest("root");
    assert_eq!(origin, format!("[origin]\ncontainer-image-reference={other}\n"));
    assert_eq!(fs::read_to_string(dir.join("usr/bin/tool")).unwrap(), "3");
    // The same by the verbs of C ostree, which know images here.
    let admin =
        |words: &[&str]| place.run(OURS, &[&["admin"], words, &["--sysroot=root", "--os=os"]].concat());
    assert_eq!(admin(&["upgrade", "--check"]).status.code(), Some(77));
    place.image("4", "other");
    assert!(admin(&["upgrade", "--pull-only"]).status.success());
    assert!(admin(&["upgrade", "--deploy-only"]).status.success());
    let (origin, dir) = place.newest("root");
    assert_eq!(origin, format!("[origin]\ncontainer-image-reference={other}\n"));
    assert_eq!(fs::read_to_string(dir.join("usr/bin/tool")).unwrap(), "4");
    assert!(admin(&["switch", target]).status.success());
    assert_eq!(place.newest("root").0, format!("[origin]\ncontainer-image-reference={target}\n"));
    // What C ostree leaves of it is whole.
    place.c(&["admin", "cleanup", "--sysroot=root"]);
    place.c(&["fsck", "-q", "--repo=root/ostree/repo"]);
    assert_bootable(&place.at("root"));
}

/// What images ask for in bootc's `kargs.d` comes with them and goes with them; what was changed on the machine stays.
#[test]
fn kernel_arguments_of_images() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.empty_sysroot();
    let dir = "tree/usr/lib/bootc/kargs.d";
    fs::create_dir_all(place.at(dir)).unwrap();
    let this = std::env::consts::ARCH;
    let image = "ostree-unverified-image:oci:oci:1";
    let kargs = |name: &str, text: &str| place.write(&format!("{dir}/{name}"), text);
    let options = || {
        let status = place.c(&["admin", "status", "--sysroot=root"]);
        let entries = fs::read_dir(place.at("root/boot/loader/entries")).unwrap();
        let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        let text = fs::read_to_string(entries.last().unwrap()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("options ")).unwrap();
        assert!(line.contains(" ostree=") || line.starts_with("ostree="), "{status}");
        line.split(' ').filter(|arg| !arg.starts_with("ostree=")).map(str::to_owned).collect::<Vec<_>>()
    };
    kargs("20-b.toml", "kargs = [\"b=1 c\", \"quiet\"]\n");
    kargs("10-a.toml", &format!("kargs = [\"a\"]\nmatch-architectures = [\"none\", \"{this}\"]\n"));
    kargs("30-other.toml", "kargs = [\"other\"]\nmatch-architectures = [\"none\"]\n");
    kargs("README", "not for programs\n");
    place.image("1", "1");
    let deploy = ["container", "image", "deploy", "--sysroot=root", "--stateroot=os", "--imgref", image];
    place.ours(&[&deploy[..], &["--karg=root=LABEL=x", "--karg=quiet"]].concat());
    assert_eq!(options(), ["root=LABEL=x", "quiet", "a", "b=1", "c"]);

    // By C ostree, as an administrator would.
    place.c(&[
        "admin",
        "instutil",
        "set-kargs",
        "--merge",
        "--append=mine",
        "--replace=c=2",
        "--sysroot=root",
    ]);
    let changed = options();
    assert!(changed.contains(&"mine".to_owned()), "{changed:?}");
    kargs("20-b.toml", "kargs = [\"b=2\", \"new\"]\n");
    place.image("2", "1");
    let upgrade = ["container", "image", "upgrade", "--sysroot=root"];
    place.ours(&upgrade);
    let kept = changed.iter().filter(|arg| !matches!(arg.as_str(), "b=1" | "c" | "quiet"));
    assert_eq!(options(), kept.map(String::as_str).chain(["b=2", "new"]).collect::<Vec<_>>());

    let before = options();
    fs::remove_dir_all(place.at(dir)).unwrap();
    place.image("3", "1");
    place.ours(&upgrade);
    assert_eq!(options(), before);
    fs::create_dir(place.at(dir)).unwrap();
    kargs("10-a.toml", "kargs = \"a\"\n");
    place.image("4", "1");
    let out = place.run(OURS, &upgrade);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(!out.status.success() && said.contains("usr/lib/bootc/kargs.d/10-a.toml"), "{said}");
    assert_eq!(options(), before);
}

/// A list of packages as dpkg has it.
fn dpkg_status(packages: &[(&str, &str)]) -> String {
    let paragraph = |(name, version): &(&str, &str)| {
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n")
    };
    packages.iter().map(paragraph).collect()
}

#[test]
fn an_update_is_told_where_the_older_image_is_gone() {
    if !need("ostree") || !need_root() {
        return;
    }
    for compression in ["--compression=gzip", "--compression=zstd:chunked"] {
        let place = Place::new();
        place.empty_sysroot();
        fs::create_dir_all(place.at("tree/usr/lib/sysimage/dpkg")).unwrap();
        let noise: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        fs::write(place.at("tree/usr/lib/large"), noise).unwrap();
        let version = |version: &str, packages: &[(&str, &str)]| {
            place.write("tree/usr/lib/sysimage/dpkg/status", &dpkg_status(packages));
            place.image(version, "unused");
            let _ = fs::remove_dir_all(place.at("image"));
            place.build_into("image", "latest", &[compression]);
        };
        version("1", &[("gone", "1"), ("libc6", "2.36-9"), ("same", "7")]);
        let image = "ostree-unverified-image:oci:image:latest";
        place.ours(&["container", "image", "deploy", "--sysroot=root", "--stateroot=os", "--imgref", image]);
        version("2", &[("libc6", "2.36-10"), ("new", "3"), ("same", "7")]);
        let check = || {
            let out =
                place.run(OURS, &["admin", "upgrade", "--check", "--json", "--sysroot=root", "--os=os"]);
            let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
            (out.status.code(), json, String::from_utf8(out.stderr).unwrap())
        };
        let (code, json, said) = check();
        assert_eq!((code, &*said), (Some(0), ""), "{json}");
        let expected = serde_json::json!({
            "added": [{"name": "new", "version": "3"}],
            "removed": [{"name": "gone", "version": "1"}],
            "changed": [{"name": "libc6", "from": "2.36-9", "to": "2.36-10"}],
        });
        assert_eq!(json["packages"], expected, "{compression} {json}");
        assert_eq!((&json["from_version"], &json["version"]), (&"1".into(), &"2".into()));
        // The objects alone are told where they can be fetched alone: the large file is here.
        let objects = json["object_bytes"].as_u64();
        assert_eq!(objects.is_some_and(|bytes| bytes < 100_000), compression.ends_with("chunked"), "{json}");
        // What was pulled and is not deployed is still new.
        let upgrade = ["admin", "upgrade", "--sysroot=root", "--os=os"];
        place.ours(&[&upgrade[..], &["--pull-only"]].concat());
        let (code, json, _) = check();
        assert_eq!((code, &json["packages"], &json["layers_to_fetch"]), (Some(0), &expected, &0.into()));
        place.ours(&upgrade);
        assert_eq!(check().0, Some(77));
    }
}

#[test]
fn upgrades_take_the_credentials_that_are_given() {
    let speech = Speech::Plain;
    if !need("ostree") || !need_root() {
        return;
    }
    let Some(server) = Server::start(&Login::Basic, &speech) else { return };
    let place = Place::new();
    place.empty_sysroot();
    let creds = format!("--creds={}:{}", USER.0, USER.1);
    let push = |name: &str, version: &str| {
        place.image(version, "x");
        let to = format!("{}/{name}:stable", server.address);
        let docker = format!("docker://{to}");
        place.ours(&["container", "copy", "-q", "--tls-verify=false", &creds, "oci:oci:x", &docker]);
        format!("ostree-unverified-registry:{to}")
    };
    let image = push("os", "1");
    let deploy = ["container", "image", "deploy", "--sysroot=root", "--stateroot=os", "--imgref", &image];
    place.ours(&[&deploy[..], &["--tls-verify=false", &creds]].concat());
    push("os", "2");
    fn admin<'a>(words: &[&'a str]) -> Vec<&'a str> {
        [&["admin"], words, &["--sysroot=root", "--os=os"]].concat()
    }
    let said = place.fails(&admin(&["upgrade", "--tls-verify=false", "--auth-anonymous"]));
    assert!(said.contains("401") || said.contains("authentication"), "{said}");
    place.ours(&admin(&["upgrade", "--tls-verify=false", &creds]));
    assert_eq!(fs::read_to_string(place.newest("root").1.join("usr/bin/tool")).unwrap(), "2");
    let other = push("other", "3");
    let auth = base64(&format!("{}:{}", USER.0, USER.1));
    let file = format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, server.address);
    place.write("auth.json", &file);
    place.ours(&admin(&["switch", "--tls-verify=false", "--authfile=auth.json", &other]));
    let (origin, dir) = place.newest("root");
    assert_eq!(origin, format!("[origin]\ncontainer-image-reference={other}\n"));
    assert_eq!(fs::read_to_string(dir.join("usr/bin/tool")).unwrap(), "3");
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn what_does_not_boot_is_not_deployed() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    fs::create_dir(place.at("root")).unwrap();
    place.c(&["admin", "init-fs", "root"]);
    place.c(&["admin", "os-init", "default", "--sysroot=root"]);
    place.ours(&["container", "build", "--repo=build", "--ref=os", "--oci-dir=oci", "--tag=x"]);
    let deploy = ["container", "image", "deploy", "--sysroot=root", "--image=oci:x", "--transport=oci"];
    let out = place.run(OURS, &deploy);
    let text = String::from_utf8(out.stderr).unwrap();
    assert!(!out.status.success() && text.contains("does not have ostree.bootable label"), "{text}");
    let repo = ["--repo=root/ostree/repo", "refs"];
    assert_eq!(place.c(&repo), "", "nothing was pulled");
}
