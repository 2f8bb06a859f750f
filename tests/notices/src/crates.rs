//! The crates of a program, as `cargo metadata` tells of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

/// How the names of files begin that hold a licence or belong to one.
const NAMES: [&str; 6] = ["license", "licence", "copying", "copyright", "notice", "unlicense"];

/// A crate of somebody else.
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression.
    pub(crate) licence: String,
    pub(crate) authors: Vec<String>,
    /// Where it is developed.
    pub(crate) home: String,
    dir: PathBuf,
}

impl Crate {
    /// The licence texts in its sources, those of other projects that it carries included.
    pub(crate) fn texts(&self) -> anyhow::Result<Vec<String>> {
        let mut files = Vec::new();
        find(&self.dir, &mut files).with_context(|| self.dir.display().to_string())?;
        files.sort();
        let read = |path: &PathBuf| -> anyhow::Result<String> {
            let bytes = fs::read(path).with_context(|| path.display().to_string())?;
            let text = String::from_utf8_lossy(&bytes);
            Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned())
        };
        files.iter().map(read).collect()
    }
}

fn find(dir: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if entry.file_type()?.is_dir() {
            find(&entry.path(), found)?;
        } else if NAMES.iter().any(|start| name.starts_with(start)) && !name.ends_with(".rs") {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// All crates that `program` of this workspace is built from, those of the workspace apart.
pub(crate) fn of(program: &str) -> anyhow::Result<Vec<Crate>> {
    let target = output("rustc", &["--print", "host-tuple"])?;
    let args = ["metadata", "--locked", "--format-version=1", "--all-features", "--filter-platform"];
    let json = output("cargo", &[&args[..], &[target.trim()]].concat())?;
    let metadata: Value = serde_json::from_str(&json)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: BTreeMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|p| (text(&p["id"]), p)).collect();
    let nodes: BTreeMap<String, Value> =
        list(&metadata["resolve"]["nodes"]).into_iter().map(|n| (text(&n["id"]), n)).collect();
    let root =
        packages.iter().find(|(_, p)| p["name"] == program).context("the program is in no workspace here")?;
    let (mut seen, mut open) = (BTreeSet::new(), vec![root.0.clone()]);
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let node = nodes.get(&id).with_context(|| format!("{id}: not resolved"))?;
        let is_built = |dep: &Value| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev");
        open.extend(list(&node["deps"]).iter().filter(|d| is_built(d)).map(|d| text(&d["pkg"])));
    }
    let others = packages.iter().filter(|(id, p)| seen.contains(*id) && !p["source"].is_null());
    others.map(|(_, package)| described(package)).collect()
}

fn described(package: &Value) -> anyhow::Result<Crate> {
    let manifest = PathBuf::from(text(&package["manifest_path"]));
    let (name, licence) = (text(&package["name"]), text(&package["license"]));
    ensure!(!licence.is_empty(), "{name} names no licence");
    Ok(Crate {
        version: text(&package["version"]),
        licence,
        authors: package["authors"].as_array().into_iter().flatten().map(text).collect(),
        home: text(&package["repository"]),
        dir: manifest.parent().with_context(|| format!("{name} lies nowhere"))?.to_owned(),
        name,
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What a program writes to standard output.
pub(crate) fn output(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let out = Command::new(program).args(args).output().with_context(|| program.to_owned())?;
    ensure!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8(out.stdout)?)
}
