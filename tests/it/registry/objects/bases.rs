//! Commits on the layers of a base that skopeo made zstd:chunked: which bytes of the base are asked of a registry.

use serde_json::{Value, json};

use super::lies::Table;
use super::{Fixture, NEW_BYTES, Pulled};
use crate::oracle::need;
use crate::registry::front::Front;

impl Fixture {
    /// Builds `app:on-BASE`: the tree as it is now, on `app:BASE`.
    fn build_on(&self, base: &str) {
        let owner = ["--owner-uid=0", "--owner-gid=0", "--timestamp=@1700000000"];
        let commit = ["--repo=repo", "commit", "-b", "main", "--parent=none", "--tree=dir=tree"];
        self.home.ok(&[&commit[..], &owner].concat());
        let base_image = format!("--from=docker://{}/app:{base}", self.server.address);
        let to = format!("--push={}/app:on-{base}", self.server.address);
        let build = ["--repo=repo", "container", "build", "--ref=main", "--tls-verify=false", "--json"];
        let built: Value =
            serde_json::from_str(&self.home.ok(&[&build[..], &[&base_image, &to]].concat())).unwrap();
        assert!(built["written_bytes"].as_u64().unwrap() < 40_000, "{built}");
    }

    /// Pulls `app:on-BASE`; the layer of the base comes first.
    fn pull_on(&self, front: &Front, base: &str) -> Pulled {
        let image = format!("ostree-unverified-registry:{}/app:on-{base}", front.address);
        let pull = ["--repo=new", "container", "pull", "--tls-verify=false", "--json", "--ref=got", &image];
        let json = serde_json::from_str(&self.home.ok(&pull)).unwrap();
        self.check();
        Pulled { json, asked: Vec::new() }
    }
}

/// How the layer of the base came, and the bytes of it.
fn base(pulled: &Pulled) -> (&str, &str, u64) {
    let layer = &pulled.json["layers"][0];
    (layer["way"].as_str().unwrap(), layer["why"].as_str().unwrap(), layer["bytes_fetched"].as_u64().unwrap())
}

#[test]
fn only_files_of_the_base_that_are_missing_are_asked_for() {
    if !need("ostree") {
        return;
    }
    let Some(fixture) = Fixture::of_files() else { return };
    let front = Front::start(fixture.server.address, |_| None);
    // The tree is that of the second version: of the first, its new files are no part.
    fixture.build_on("2");
    for mode in ["bare-user", "archive"] {
        fixture.init(mode);
        let whole = fixture.pull_on(&front, "2");
        assert_eq!((base(&whole).0, base(&whole).1), ("whole", "most of it is missing"), "{}", whole.json);

        // With all but what is new here.
        fixture.init(mode);
        let old = ["--repo=new", "commit", "-b", "old", "--owner-uid=0", "--owner-gid=0"];
        let skip = "--skip-list=skip";
        let new: Vec<String> = (0..60).map(|n| format!("/usr/share/doc/new{n}")).collect();
        fixture.home.write("skip", &format!("{}\n/usr/bin/new\n", new.join("\n")));
        fixture.home.ok(&[&old[..], &["--tree=dir=tree", skip]].concat());
        let second = fixture.pull_on(&front, "2");
        let (way, why, bytes) = base(&second);
        assert_eq!((way, why), ("objects", "less is missing than is here"), "{}", second.json);
        let expected = NEW_BYTES - 20_009 - 70_000;
        assert!((expected..expected + 40_000).contains(&bytes), "{mode}: {bytes}");
        let again = fixture.pull_on(&front, "2");
        assert_eq!(base(&again).0, "reused");
    }

    // A table that keeps silent about files, or says that they lie elsewhere: then all of the layer is read.
    let lies: [fn(&mut Table); 2] = [
        |table| table.entries.retain(|row| !row["name"].as_str().unwrap().ends_with("bin/new")),
        |table| {
            let new = table.entries.iter_mut().find(|row| row["name"].as_str().unwrap().ends_with("bin/new"));
            let new = new.unwrap();
            new["offset"] = json!(new["offset"].as_u64().unwrap() + 1);
        },
    ];
    for lie in lies {
        fixture.push_lie("3", &|table: &mut Table, _| lie(table));
        fixture.build_on("3");
        fixture.init("bare-user");
        fixture.home.ok(&["--repo=new", "commit", "-b", "old", "--tree=dir=tree", "--skip-list=skip"]);
        let pulled = fixture.pull_on(&front, "3");
        assert_eq!(
            (base(&pulled).0, base(&pulled).1),
            ("whole", "its table of contents is wrong"),
            "{}",
            pulled.json
        );
    }
}
