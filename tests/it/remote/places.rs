//! Several servers for one repository: lists of mirrors, metalinks; cookies and passwords for them.

use std::fs;

use ostree_rs::format::Checksum;

use super::{Fixture, Nginx};

/// The same repository behind two servers, of which the first lacks a content object.
fn two_servers(fixture: &Fixture) -> Option<[Nginx; 2]> {
    crate::oracle::run(
        "cp",
        &["-a", fixture.path("srv").to_str().unwrap(), fixture.path("second").to_str().unwrap()],
    );
    let listed = fixture.c(&["ls", "--repo=srv/repo", "-C", "main", "/usr/lib/file9"]);
    let checksum = listed.split_whitespace().nth(4).unwrap();
    let object = format!("srv/repo/objects/{}/{}.filez", &checksum[..2], &checksum[2..]);
    fs::remove_file(fixture.path(&object)).unwrap();
    Some([fixture.serve()?, Nginx::start(&fixture.path("second"))?])
}

#[test]
fn what_one_mirror_lacks_comes_from_the_next() {
    let fixture = Fixture::new();
    let Some([first, second]) = two_servers(&fixture) else { return };
    let list = format!(
        "# mirrors\n\nftp://127.0.0.1/repo\n{}\n{}\n{}\n",
        first.url("nothing"),
        first.url("repo"),
        second.url("repo")
    );
    fs::write(fixture.path("srv/list"), list).unwrap();
    let list = format!("mirrorlist={}", first.url("list"));
    for (url, content) in [(&*list, None), (&*first.url("repo"), Some(&*list)), (&*list, Some(&*list))] {
        fixture.repository("ours", "archive", url);
        let config = fixture.path("ours/config");
        let more = content.map(|list| format!("contenturl={list}\n")).unwrap_or_default();
        fs::write(&config, fs::read_to_string(&config).unwrap() + &more).unwrap();
        second.asked();
        fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
        fixture.fsck("ours");
        let asked = second.asked();
        assert_eq!(asked.iter().filter(|line| line.contains(".filez")).count(), 1, "{asked:?}");
    }
    fs::write(fixture.path("srv/list"), "# none\n").unwrap();
    let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
    assert!(said.contains("No valid mirrors were found in mirrorlist"), "{said}");
}

/// A metalink to a summary of this checksum and size.
fn metalink(hash: &str, size: usize, urls: &[String]) -> String {
    let urls: String = urls.iter().map(|url| format!("<url protocol=\"http\">{url}</url>")).collect();
    format!(
        "<?xml version=\"1.0\"?><metalink version=\"3.0\"><files><file name=\"summary\"><size>{size}</size>\
         <verification><hash type=\"sha256\">{hash}</hash></verification><resources>{urls}</resources></file>\
         </files></metalink>"
    )
}

#[test]
fn a_metalink_leads_to_a_summary_that_it_vouches_for() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    let summary = fs::read(fixture.path("srv/repo/summary")).unwrap();
    fs::write(fixture.path("srv/repo/bad"), "bad").unwrap();
    let link = |hash: &str, size: usize| {
        let urls = ["repo/bad", "repo/nothing", "repo/summary"].map(|path| server.url(path));
        fs::write(fixture.path("srv/link.xml"), metalink(hash, size, &urls)).unwrap();
    };
    let hash = Checksum::of(&summary).to_string();
    fixture.c(&["init", "--repo=ours", "--mode=archive"]);
    let url = format!("metalink={}", server.url("link.xml"));
    fixture.c(&["remote", "--repo=ours", "add", "--no-gpg-verify", "origin", &url]);
    for (hash, size, expected) in [
        (&*hash, summary.len() + 1, "bytes but content is"),
        (&*Checksum::of(b"other").to_string(), summary.len(), "Expected checksum is"),
        ("0123", summary.len(), "Invalid hash digest for sha256"),
    ] {
        link(hash, size);
        let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
        assert!(said.contains(expected), "{said}");
    }
    link(&hash, summary.len());
    server.asked();
    fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
    fixture.fsck("ours");
    let summaries = server.asked().iter().filter(|line| line.contains("/repo/summary ")).count();
    assert_eq!(summaries, 1);
}

#[test]
fn passwords_and_cookies_reach_the_server() {
    let fixture = Fixture::new();
    let more = "location / { if ($http_authorization != \"Basic dXNlcjpzZWNyZXQ=\") { return 401; } \
                if ($cookie_ticket != \"abc\") { return 403; } }";
    let Some(server) = Nginx::start_with(&fixture.path("srv"), more) else { return };
    fixture.repository("ours", "archive", &server.url("repo"));
    let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
    assert!(said.contains("401"), "{said}");
    let url = format!("http://user:secret@{}/repo", server.address);
    fixture.repository("ours", "archive", &url);
    let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
    assert!(said.contains("403") && !said.contains("secret"), "{said}");
    let cookie = "127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tticket\tabc\n";
    fs::write(fixture.path("ours/origin.cookies.txt"), cookie).unwrap();
    fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
    fixture.fsck("ours");
}

/// A metalink to the summary of the fixture, which is at the last of these addresses.
fn good_metalink(fixture: &Fixture, urls: &[String]) -> String {
    let summary = fs::read(fixture.path("srv/repo/summary")).unwrap();
    metalink(&Checksum::of(&summary).to_string(), summary.len(), urls)
}

/// Cookies and passwords are for the host that the user named: a list of mirrors gets them, the mirrors in it do not, nor
/// do the places that a metalink tells of.
#[test]
fn secrets_do_not_reach_mirrors() {
    let fixture = Fixture::new();
    let refuse =
        "location /repo { if ($http_cookie) { return 403; } if ($http_authorization) { return 403; } }
        location /list { if ($cookie_ticket != \"abc\") { return 403; }
            if ($http_authorization != \"Bearer t\") { return 403; } }";
    let Some(server) = Nginx::start_with(&fixture.path("srv"), refuse) else { return };
    fs::create_dir(fixture.path("srv/list")).unwrap();
    fs::write(fixture.path("srv/list/mirrorlist"), server.url("repo")).unwrap();
    let metalink = good_metalink(&fixture, &[server.url("repo/summary")]);
    fs::write(fixture.path("srv/list/metalink"), metalink).unwrap();
    for way in ["mirrorlist", "metalink"] {
        fixture.repository("ours", "archive", &format!("{way}={}", server.url(&format!("list/{way}"))));
        let cookie = "127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tticket\tabc\n";
        fs::write(fixture.path("ours/origin.cookies.txt"), cookie).unwrap();
        fixture.ours(&["pull", "--repo=ours", "--http-header=Authorization=Bearer t", "origin", "main"]);
        fixture.fsck("ours");
    }
}

/// Nobody is asked for every line that a list has: behind a hundred addresses it ends.
#[test]
fn a_list_of_mirrors_has_an_end() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    for (dead, is_found) in [(99, true), (100, false)] {
        let mut mirrors: Vec<String> = (0..dead).map(|n| server.url(&format!("no{n}"))).collect();
        mirrors.push(server.url("repo"));
        fs::write(fixture.path("srv/mirrorlist"), mirrors.join("\n")).unwrap();
        mirrors.iter_mut().for_each(|url| url.push_str("/summary"));
        fs::write(fixture.path("srv/metalink"), good_metalink(&fixture, &mirrors)).unwrap();
        for way in ["mirrorlist", "metalink"] {
            fixture.repository("ours", "archive", &format!("{way}={}", server.url(way)));
            let out = fixture.start(super::OURS, &["pull", "--repo=ours", "origin", "main"]);
            assert_eq!(out.status.success(), is_found, "{way}: {}", super::text(&out.stderr));
        }
    }
}

/// A directory of this machine has as many URLs as for C ostree.
#[test]
fn urls_of_a_directory() {
    let fixture = Fixture::new();
    std::os::unix::fs::symlink(fixture.path("srv/repo"), fixture.path("my repo")).unwrap();
    let (at, spaced) = (fixture.path("srv/repo"), fixture.path("my%20repo"));
    let (at, spaced) = (at.display(), spaced.display());
    for url in [
        format!("file://{at}"),
        format!("file:{at}"),
        format!("file://localhost{at}/"),
        format!("file://{spaced}"),
    ] {
        for name in ["ours", "theirs"] {
            fixture.repository(name, "archive", &url);
        }
        fixture.c(&["pull", "--repo=theirs", "origin", "main"]);
        fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
        fixture.fsck("ours");
    }
}
