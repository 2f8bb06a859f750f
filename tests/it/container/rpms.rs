//! Images of systems that rpm installed: rpm itself tells whose each file is, and which versions there are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use oci_spec::image::Arch;
use ostree_rs::container::image::Image;
use ostree_rs::container::place::OciLayout;
use serde_json::{Value, json};

use super::debian::places;
use super::dir;
use crate::oracle;
use crate::registry::program::Home;

/// Many small packages, whose headers fill a tree of pages, and one with so many files that its header runs over hundreds.
const SPEC: &str = r#"
Name: alpha
Version: VERSION
Release: 2
Epoch: 3
BuildArch: noarch
License: x
Summary: x
AutoReqProv: no
%description
%{lua:
for n = 1, 20 do
  if n ~= WITHOUT then
    local name = "small" .. n
    print("\n%package -n " .. name .. "\nSummary: x\nAutoReqProv: no\nVersion: " .. (n % 2 == 0 and "VERSION" or "7") .. "\n")
    print("%description -n " .. name .. "\n%files -n " .. name .. "\n/usr/share/small/" .. n .. "\n")
  end
end}
%package libs
Summary: x
AutoReqProv: no
%description libs
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/etc %{buildroot}/usr/share/small
for d in $(seq 1 20); do
  echo "small $d" > %{buildroot}/usr/share/small/$d
  mkdir -p %{buildroot}/usr/lib/alpha/a-directory-with-a-longer-name-$d
  for f in $(seq 1 50); do echo $d $f > %{buildroot}/usr/lib/alpha/a-directory-with-a-longer-name-$d/$f; done
done
rm %{buildroot}/usr/share/small/WITHOUT
echo VERSION > %{buildroot}/usr/bin/alpha
ln -s alpha %{buildroot}/usr/bin/link
echo c > %{buildroot}/etc/alpha.conf
%files
/usr/bin/*
%config /etc/alpha.conf
%ghost /etc/alpha.cache
%files libs
/usr/lib/alpha
"#;

/// Builds packages of a version and installs them into `root`.
fn install(home: &Home, version: &str, without: &str, root: &Path) {
    let top = home.path(version);
    home.write("alpha.spec", &SPEC.replace("VERSION", version).replace("WITHOUT", without));
    let (top, spec) = (format!("_topdir {}", top.display()), home.path("alpha.spec"));
    let quick = ["--define", "__os_install_post %nil", "--define", "_binary_payload w1.gzdio"];
    let args = [&quick[..], &["-bb", "--quiet", "--define", &top, spec.to_str().unwrap()]].concat();
    oracle::run("rpmbuild", &args);
    let built = fs::read_dir(home.path(version).join("RPMS/noarch")).unwrap();
    let built: Vec<_> = built.map(|file| file.unwrap().path().to_str().unwrap().to_owned()).collect();
    fs::create_dir(root).unwrap();
    let args = ["--root", root.to_str().unwrap(), "--dbpath", "/var/lib/rpm", "-i", "--nodeps", "--nodigest"];
    oracle::run("rpm", &args.into_iter().chain(built.iter().map(String::as_str)).collect::<Vec<_>>());
}

/// What rpm says of all packages in this format, by lines and words.
fn query(root: &Path, format: &str) -> Vec<Vec<String>> {
    let root = root.to_str().unwrap();
    let out = oracle::run("rpm", &["--root", root, "--dbpath", "/var/lib/rpm", "-qa", "--qf", format]);
    let lines = String::from_utf8(out).unwrap();
    lines.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

/// The paths of files and links that packages brought, with the package.
fn owners(root: &Path) -> BTreeMap<String, String> {
    let lines = query(root, "[%{=NAME} %{FILEFLAGS:fflags} %{FILEMODES:perms} %{FILENAMES}\n]");
    let brought = lines.into_iter().filter(|words| !words[1].contains('g') && !words[2].starts_with('d'));
    brought.map(|words| (words[3].trim_start_matches('/').to_owned(), words[0].clone())).collect()
}

fn versions(root: &Path) -> BTreeMap<String, String> {
    let lines = query(root, "%{NAME} %{EVR}\n");
    lines.into_iter().map(|words| (words[0].clone(), words[1].clone())).collect()
}

/// What `container diff` is to say, by rpm's lists.
fn expected(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Value {
    let only = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| -> Vec<_> {
        let only = a.iter().filter(|(name, _)| !b.contains_key(*name));
        only.map(|(name, version)| json!({ "name": name, "version": version })).collect()
    };
    let both = old.iter().filter_map(|(name, from)| Some((name, from, new.get(name)?)));
    let changed: Vec<_> = both
        .filter(|(_, from, to)| from != to)
        .map(|(name, from, to)| json!({ "name": name, "from": from, "to": to }))
        .collect();
    assert!(changed.len() > 9, "{changed:?}");
    json!({ "added": only(new, old), "removed": only(old, new), "changed": changed })
}

#[test]
fn layers_and_differences_are_as_rpm_says() {
    if !oracle::need("rpmbuild") || !oracle::need_root() {
        return;
    }
    let home = Home::new();
    let roots = ["root1", "root2"].map(|root| home.path(root));
    install(&home, "1.0", "17", &roots[0]);
    install(&home, "1.1~rc", "13", &roots[1]);
    for version in ["1", "2"] {
        let (branch, tree) = (format!("v{version}"), format!("--tree=dir=root{version}"));
        home.ok(&["--repo=repo", "commit", "-b", &branch, &tree]);
        let (name, tag) = (format!("--ref=v{version}"), format!("--tag={version}"));
        let build = ["--repo=repo", "container", "build", "-q", &name, "--oci-dir=images", &tag];
        home.ok(&[&build[..], &["--max-layers=60", "--compression=zstd:chunked"]].concat());
        home.ok(&[&build[..6], &[&format!("{tag}-gzip"), "--compression=gzip"]].concat());
    }
    let source = OciLayout::open(dir(&home.path("images")), Some("1")).unwrap();
    let image = Image::fetch(&source, &Arch::default()).unwrap();
    let places = places(&home.path("images"), "1", &image);
    let mut owners = owners(&roots[0]);
    assert!(owners.len() > 1020, "{}", owners.len());
    owners.insert("var/lib/rpm/rpmdb.sqlite".to_owned(), String::new());
    for (path, owner) in owners {
        assert_eq!(places.get(&path), Some(&owner), "{path}");
    }
    let expected = expected(&versions(&roots[0]), &versions(&roots[1]));
    for how in ["", "-gzip"] {
        let [old, new] = ["1", "2"].map(|version| format!("oci:images:{version}{how}"));
        let told = home.ok(&["container", "diff", "--packages", "--json", &old, &new]);
        assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["packages"], expected, "{how}");
    }
}
