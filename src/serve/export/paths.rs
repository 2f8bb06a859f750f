//! The paths that an export consists of, stage by stage: what is named comes before what names it.

use std::collections::BTreeSet;
use std::sync::Arc;

use cap_std::fs::Dir;
use ostree_format::{CommitId, ObjectName, ObjectType, RepoMode};

use crate::base::WithCauses;
use crate::repo::Repo;
use crate::serve::error::{Error, Result};
use crate::serve::page::exported_dirs;
use crate::serve::registry::{self, LATEST, Names};
use crate::serve::site::{Site, blocking};
use crate::serve::summary::Summaries;
use crate::store::{self, ObjectRead, Reachable, Refs, load_commit, local_ref, walk_commit};

/// Where the content of an export comes from.
#[derive(Debug, Clone)]
pub(super) enum Extend {
    /// Another repository: everything is written that is not there.
    FromElsewhere,
    /// The repository of the export itself, which lies in this directory: its objects and refs are there.
    FromItself(Arc<Dir>),
}

impl Extend {
    /// Whether the image `name` is there already, and the one of this commit.
    fn has_image(&self, name: &str, commit: &CommitId) -> bool {
        let Self::FromItself(dir) = self else { return false };
        let manifest = |tag: &str| dir.read(format!("v2/{name}/manifests/{tag}")).ok();
        let of_commit = manifest(&commit.to_string());
        of_commit.is_some() && of_commit == manifest(LATEST)
    }
}

/// A part of the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Objects and static deltas.
    Objects,
    /// Refs, configuration, summary.
    Refs,
    /// Blobs, then manifests by their digests.
    Images,
    /// Tags and lists.
    Tags,
    /// Pages for people.
    Pages,
}

impl Stage {
    pub(super) const ALL: [Self; 5] = [Self::Objects, Self::Refs, Self::Images, Self::Tags, Self::Pages];

    /// What is being done, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Objects => "Writing objects",
            Self::Refs => "Writing refs",
            Self::Images => "Writing images",
            Self::Tags => "Writing tags",
            Self::Pages => "Writing pages",
        }
    }
}

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The path that a client asks for, part by part.
    pub(super) parts: Vec<String>,
    /// Whether the content is the one that the name stands for.
    pub(super) keeps: bool,
    /// Whether it is a page, which other servers look for in a file of its directory.
    pub(super) is_page: bool,
}

impl Wanted {
    fn new(path: &str, keeps: bool) -> Self {
        Self { parts: path.split('/').map(str::to_owned).collect(), keeps, is_page: false }
    }

    fn page(path: &str, keeps: bool) -> Self {
        Self { is_page: true, ..Self::new(path, keeps) }
    }

    /// The path of the file.
    pub(super) fn file(&self) -> String {
        let path = self.parts.join("/");
        match (self.is_page, path.trim_end_matches('/')) {
            (false, _) => path,
            (true, "") => "index.html".to_owned(),
            (true, path) => format!("{path}/index.html"),
        }
    }
}

/// The files of a stage.
pub(super) async fn of(site: &Site, stage: Stage, extend: &Extend) -> Result<Vec<Wanted>> {
    let extend = extend.clone();
    if stage == Stage::Images {
        return images(site, extend).await;
    }
    let (repo, summaries) = (Arc::clone(&site.repo), Arc::clone(&site.summaries));
    let listed = blocking(move || match (stage, &extend) {
        (Stage::Objects, Extend::FromItself(_)) => Ok(Vec::new()),
        (Stage::Objects, Extend::FromElsewhere) => objects(&repo),
        (Stage::Refs, Extend::FromItself(_)) => summary(&repo, &summaries),
        (Stage::Refs, Extend::FromElsewhere) => refs(&repo, &summaries),
        (Stage::Tags, extend) => tags(&repo, extend),
        (Stage::Pages, _) => pages(&repo),
        (Stage::Images, _) => Ok(Vec::new()),
    });
    let bad = |why: String| Error::Export { path: ".".into(), why };
    listed.await.map_err(|answer| bad(answer.reason()))?.map_err(|e| bad(WithCauses(&e).to_string()))
}

/// The commits of all refs, and those before them that are here.
fn commits(repo: &Repo) -> store::Result<BTreeSet<CommitId>> {
    let mut all = BTreeSet::new();
    for id in repo.list_of(None)?.into_values() {
        let mut next = Some(id);
        while let Some(id) = next.take() {
            if repo.contains(&id.into())? && all.insert(id) {
                next = load_commit(repo, &id)?.parent;
            }
        }
    }
    Ok(all)
}

fn objects(repo: &Repo) -> store::Result<Vec<Wanted>> {
    let (mut seen, mut all) = (Reachable::default(), Vec::new());
    for commit in commits(repo)? {
        walk_commit(repo, &commit, &mut seen, &mut |name| {
            // Objects that a partial commit lacks are not there for a client either.
            if repo.contains(&name)? {
                all.push(object(&name));
            }
            Ok(())
        })?;
        let detached = ObjectName::commitmeta(&commit);
        if repo.contains(&detached)? {
            all.push(object(&detached));
        }
    }
    all.extend(repo.delta_files()?.iter().map(|file| Wanted::new(&format!("repo/{}", file.path()), false)));
    Ok(all)
}

fn object(name: &ObjectName) -> Wanted {
    let path = format!("repo/objects/{}", name.loose_path(RepoMode::Archive));
    Wanted::new(&path, name.kind != ObjectType::CommitMeta)
}

fn refs(repo: &Repo, summaries: &Summaries) -> store::Result<Vec<Wanted>> {
    let names = repo.list_of(None)?.into_keys();
    let mut all: Vec<_> =
        names.map(|refspec| Wanted::new(&format!("repo/refs/heads/{}", refspec.name), false)).collect();
    all.push(Wanted::new("repo/config", false));
    all.extend(summary(repo, summaries)?);
    Ok(all)
}

fn summary(repo: &Repo, summaries: &Summaries) -> store::Result<Vec<Wanted>> {
    let mut all = vec![Wanted::new("repo/summary", false)];
    if summaries.are_signed(repo)? {
        all.push(Wanted::new("repo/summary.sig", false));
    }
    Ok(all)
}

/// The newest image of every ref, which is made here, but for those that are there.
async fn images(site: &Site, extend: Extend) -> Result<Vec<Wanted>> {
    let made = registry::newest(site, move |name, commit| !extend.has_image(name, commit)).await;
    let made = made.map_err(|why| Error::Export { path: "v2".into(), why })?;
    let mut all = Vec::new();
    for (name, blobs, manifest) in made {
        all.extend(blobs.iter().map(|blob| Wanted::new(&format!("v2/{name}/blobs/{blob}"), true)));
        all.push(Wanted::new(&format!("v2/{name}/manifests/{manifest}"), true));
    }
    Ok(all)
}

fn tags(repo: &Repo, extend: &Extend) -> store::Result<Vec<Wanted>> {
    let mut all = Vec::new();
    for (name, of) in Names::published(repo)?.into_all() {
        let Some(commit) = repo.resolve_exact(&local_ref(of))? else { continue };
        if !extend.has_image(&name, &commit) {
            let tags = [commit.to_string(), LATEST.to_owned()];
            all.extend(tags.map(|tag| Wanted::new(&format!("v2/{name}/manifests/{tag}"), false)));
        }
        all.push(Wanted::new(&format!("v2/{name}/tags/list"), false));
    }
    all.extend([Wanted::new("v2/_catalog", false), Wanted::page("v2/", false)]);
    Ok(all)
}

fn pages(repo: &Repo) -> store::Result<Vec<Wanted>> {
    let commits = commits(repo)?;
    let mut all = Vec::new();
    for id in &commits {
        // Somebody may have signed it since.
        all.push(Wanted::page(&format!("commit/{id}"), false));
        if let Some(parent) = load_commit(repo, id)?.parent.filter(|parent| commits.contains(parent)) {
            all.push(Wanted::page(&format!("compare/{parent}/{id}"), true));
        }
        for dir in exported_dirs(repo, id)?.unwrap_or_default() {
            let parts = ["tree".to_owned(), id.to_string()].into_iter().chain(dir).collect();
            all.push(Wanted { parts, keeps: true, is_page: true });
        }
    }
    let beside = ["style.css", "nginx.conf", "Caddyfile", "s3-sync.sh"];
    all.extend(beside.map(|path| Wanted::new(path, false)));
    all.push(Wanted::page("", false));
    Ok(all)
}
