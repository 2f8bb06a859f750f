//! A directory of a commit, and its files.

use ostree_format::{CommitId, DirEntry, DirTree, FileKind, FileName, RootDir};

use super::html::{Html, Url};
use super::{Page, bytes, frame, table};
use crate::repo::Repo;
use crate::serve::site::Extent;
use crate::store::{Error, ObjectRead, Result, TreeEntry, load_commit, load_dirmeta, load_dirtree, paths};

/// Entries of a directory that are shown, at most.
const MAX_SHOWN: usize = 5000;
/// Directories of a commit for which an export has pages; of a commit with more it has none.
const MAX_EXPORTED: usize = 20_000;
/// Names for which an export has files of its own in every directory.
const TAKEN: [&str; 2] = ["index.html", "index.html~"];

/// What stands at a path.
enum At {
    Dir(RootDir),
    File(ostree_format::FileId),
    Nothing,
}

pub(super) fn page(repo: &Repo, id: &CommitId, path: &[String], extent: Extent) -> Result<Page> {
    let dir = match find(repo, id, path)? {
        At::Dir(dir) => dir,
        At::File(_) | At::Nothing => return Ok(Page::Missing("this commit has no such directory".into())),
    };
    let tree = load_dirtree(repo, &dir.tree)?;
    let id = id.to_string();
    let path: Vec<&str> = path.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    let mut rows = Html::default();
    let mut left = MAX_SHOWN;
    for (name, entry) in tree.dirs.iter().take(left) {
        let has_page = extent != Extent::Files || !TAKEN.contains(&name.as_str());
        dir_row(repo, &mut rows, has_page.then(|| url("tree", &id, &path, name)), name, entry)?;
        left -= 1;
    }
    for (name, file) in tree.files.iter().take(left) {
        let url = (extent != Extent::Files).then(|| url("file", &id, &path, name));
        file_row(repo, &mut rows, url, name, file)?;
    }
    let title = path.last().map_or_else(|| "Files".to_owned(), |name| (*name).to_owned());
    Ok(Page::Html(frame(&title, &way(&id, &path), |html| {
        table(html, &["Name", "Size", "Mode", "Owner"], |html| html.append(rows));
        hidden(html, &tree);
    })))
}

/// The directories of a commit for which an export has pages, as parts of their paths: those of the newest commits of
/// refs, unless there are very many or they are not all here.
pub(in crate::serve) fn exported_dirs(repo: &Repo, id: &CommitId) -> Result<Option<Vec<Vec<String>>>> {
    if !repo.list_of(None)?.values().any(|newest| newest == id) {
        return Ok(None);
    }
    let mut dirs = Vec::new();
    for entry in paths(repo, load_commit(repo, id)?.root) {
        let path = match entry {
            Ok((path, TreeEntry::Dir(_))) => path,
            Ok((_, TreeEntry::File(_))) => continue,
            Err(Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        if dirs.len() == MAX_EXPORTED {
            return Ok(None);
        }
        let parts = path.split('/').filter(|part| !part.is_empty());
        if !parts.clone().any(|part| TAKEN.contains(&part)) {
            dirs.push(parts.map(str::to_owned).collect());
        }
    }
    Ok(Some(dirs))
}

/// The content of a file, whose name the browser takes from the path.
pub(super) fn file(repo: &Repo, id: &CommitId, path: &[String]) -> Result<Page> {
    let missing = || Ok(Page::Missing("this commit has no such file".into()));
    let At::File(file) = find(repo, id, path)? else { return missing() };
    match repo.stat_file(&file)? {
        Some((header, len)) if header.kind == FileKind::Regular => Ok(Page::File { id: file, len }),
        Some(_) => Ok(Page::Missing("this is a symbolic link".into())),
        None => missing(),
    }
}

/// Finds what stands at a path, part by part; links are not followed.
fn find(repo: &Repo, id: &CommitId, path: &[String]) -> Result<At> {
    let mut dir = load_commit(repo, id)?.root;
    let mut parts = path.iter().filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let Ok(name) = FileName::new(part) else { return Ok(At::Nothing) };
        let tree = load_dirtree(repo, &dir.tree)?;
        match (tree.dirs.get(&name), tree.files.get(&name)) {
            (Some(entry), _) => dir = RootDir { tree: entry.tree, meta: entry.meta },
            (None, Some(file)) if parts.peek().is_none() => return Ok(At::File(*file)),
            (None, _) => return Ok(At::Nothing),
        }
    }
    Ok(At::Dir(dir))
}

fn url(kind: &'static str, id: &str, path: &[&str], name: &FileName) -> Url {
    Url::of([kind, id].into_iter().chain(path.iter().copied()).chain([name.as_str()]))
}

/// The directories above, each with its page.
fn way(id: &str, path: &[&str]) -> Vec<(Url, String)> {
    let mut way =
        vec![(Url::of(["commit", id]), id[..12].to_owned()), (Url::of(["tree", id]), "files".to_owned())];
    for (at, name) in path.iter().enumerate() {
        let above = ["tree", id].into_iter().chain(path[..=at].iter().copied());
        way.push((Url::of(above), (*name).to_owned()));
    }
    way
}

fn dir_row(repo: &Repo, html: &mut Html, url: Option<Url>, name: &FileName, entry: &DirEntry) -> Result<()> {
    let meta = load_dirmeta(repo, &entry.meta)?;
    html.tag("tr", &[], |html| {
        html.tag("td", &[("class", "name")], |html| {
            linked(html, url.as_ref(), &format!("{}/", name.as_str()))
        });
        html.word("td", "");
        cells(html, 'd', meta.mode, meta.uid, meta.gid);
    });
    Ok(())
}

fn file_row(
    repo: &Repo,
    html: &mut Html,
    url: Option<Url>,
    name: &FileName,
    id: &ostree_format::FileId,
) -> Result<()> {
    let stat = repo.stat_file(id)?;
    html.tag("tr", &[], |html| {
        let Some((header, len)) = stat else {
            html.tag("td", &[("class", "name")], |html| html.text(name.as_str()));
            html.tag("td", &[("colspan", "3"), ("class", "faint")], |html| {
                html.text("not in this repository")
            });
            return;
        };
        match &header.kind {
            FileKind::Regular => {
                html.tag("td", &[("class", "name")], |html| linked(html, url.as_ref(), name.as_str()));
                html.tag("td", &[("class", "fixed")], |html| html.text(&bytes(len)));
                cells(html, '-', header.permissions, header.uid, header.gid);
            }
            FileKind::Symlink(target) => {
                let text = format!("{} → {target}", name.as_str());
                html.tag("td", &[("class", "name")], |html| html.text(&text));
                html.word("td", "");
                cells(html, 'l', 0o777, header.uid, header.gid);
            }
        }
    });
    Ok(())
}

/// A name, which leads to its page if there is one.
fn linked(html: &mut Html, url: Option<&Url>, name: &str) {
    match url {
        Some(url) => html.link(url, name),
        None => html.text(name),
    }
}

fn cells(html: &mut Html, kind: char, mode: u32, uid: u32, gid: u32) {
    html.tag("td", &[("class", "fixed")], |html| html.word("code", &permissions(kind, mode)));
    html.tag("td", &[("class", "fixed")], |html| html.text(&format!("{uid}:{gid}")));
}

/// `drwxr-xr-x`, as ls writes it.
fn permissions(kind: char, mode: u32) -> String {
    let mut out = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        out.push(if bits & 4 != 0 { 'r' } else { '-' });
        out.push(if bits & 2 != 0 { 'w' } else { '-' });
        out.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    out
}

fn hidden(html: &mut Html, tree: &DirTree) {
    let all = tree.dirs.len() + tree.files.len();
    match all {
        0 => html.word("p", "This directory is empty."),
        all if all > MAX_SHOWN => html.word("p", &format!("… and {} more.", all - MAX_SHOWN)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::permissions;

    #[test]
    fn modes_are_written_as_ls_does() {
        for (kind, mode, expected) in [
            ('d', 0o40755, "drwxr-xr-x"),
            ('-', 0o104711, "-rws--x--x"),
            ('-', 0o2644, "-rw-r-Sr--"),
            ('d', 0o1777, "drwxrwxrwt"),
            ('d', 0o1776, "drwxrwxrwT"),
            ('-', 0, "----------"),
        ] {
            assert_eq!(permissions(kind, mode), expected);
        }
    }
}
