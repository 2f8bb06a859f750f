//! Key files, as GLib reads and writes them.

use ostree_format::keyfile::KeyFile;
use proptest::prelude::*;

use crate::glib;
use crate::variant_text::sample;

const CONFIG: &str = "# made by hand\n\n[core]\nrepo_version=1\nmode=bare\n# why\nfsync=false\n\n[remote \"a b\"]\nurl=file:///x\n";

fn parse(text: &str) -> KeyFile {
    KeyFile::parse(text.as_bytes()).unwrap()
}

#[test]
fn rewriting_keeps_comments_and_order() {
    let mut file = parse(CONFIG);
    assert_eq!(file.to_string(), CONFIG);
    file.set_string("core", "mode", "archive-z2").unwrap();
    file.set_string("core", "new", " x").unwrap();
    file.set_string("remote \"b\"", "url", "y").unwrap();
    assert_eq!(file.remove("core", "repo_version"), Some("1".into()));
    assert!(file.remove_group("remote \"a b\"") && !file.remove_group("none"));
    let expected =
        "# made by hand\n\n[core]\nmode=archive-z2\n# why\nfsync=false\nnew=\\sx\n\n[remote \"b\"]\nurl=y\n";
    assert_eq!(file.to_string(), expected);
}

#[test]
fn typed_values() {
    let mut file = parse("[g]\nb=true \nc=0\nn= -5\nu=7\ns=\\sa\\tb\\\\;c\nl=a;;b\\;c;d\ne=\nx=\\q\n");
    assert_eq!((file.get_bool("g", "b"), file.get_bool("g", "c")), (Ok(Some(true)), Ok(Some(false))));
    assert_eq!((file.get_leading_i64("g", "n"), file.get_u64("g", "u")), (Some(-5), Ok(Some(7))));
    assert!(file.get_u64("g", "n").is_err() && file.get_bool("g", "u").is_err());
    assert_eq!(file.get_string("g", "s"), Ok(Some(" a\tb\\;c".into())));
    assert_eq!(file.get_list("g", "l"), Ok(Some(vec!["a".into(), "".into(), "b;c".into(), "d".into()])));
    assert_eq!(file.get_list("g", "e"), Ok(Some(vec![])));
    assert!(file.get_string("g", "x").is_err());
    assert_eq!(file.get_text("g", "x").as_deref(), Some("\\q"));
    assert_eq!((file.get_string("g", "none"), file.get_raw("none", "b")), (Ok(None), None));
    file.set_list("g", "l", ["a;b", " c"]).unwrap();
    assert_eq!(file.get_raw("g", "l"), Some("a\\;b;\\sc;"));
    assert!(file.set_string("g", "a=b", "").is_err() && file.set_string("[", "a", "").is_err());
}

/// What is wrong, and in which line.
#[test]
fn errors_name_the_line() {
    for (text, offset, line) in [
        ("a=b\n", 0, 1),
        ("[g]\nnonsense\n", 4, 2),
        ("[g]\n\n=b\n", 5, 3),
        ("[g\n", 0, 1),
        ("[]\n", 0, 1),
        ("[g]\na[=b\n", 4, 2),
    ] {
        let error = KeyFile::parse(text.as_bytes()).unwrap_err();
        assert_eq!((error.what, error.offset), ("key file", offset), "{text:?}");
        assert!(error.to_string().contains(&format!("line {line}: ")), "{error}");
    }
    assert!(KeyFile::parse(b"[g]\na=\xff\n").is_err());
    assert!(KeyFile::parse(b"[g]\na=\0\n").is_err());
}

/// Random files, and every way of writing a line: read and rewritten as GLib does.
#[test]
fn random_files_with_glib() {
    let line = prop_oneof![
        4 => "[ab][ ]?=[ ]?[a;\\\\ ]{0,3}",
        2 => "\\[[gh]\\][ ]?",
        2 => "|#x| # y|  ",
        1 => "[\\[\\]a=# \t\r]{0,4}",
    ];
    let body = prop::collection::vec((line, prop_oneof![4 => Just("\n"), 1 => Just("\r\n")]), 0..7);
    let file = (prop_oneof![Just(""), Just("#\n"), Just("\n")], body, any::<bool>()).prop_map(
        |(head, lines, end)| {
            let body: String = lines.into_iter().flat_map(|(line, end)| [line, end.to_owned()]).collect();
            let text = format!("{head}[g]\n{body}");
            if end { text } else { text.trim_end_matches('\n').to_owned() }
        },
    );
    let files = sample(file, 2000);
    let requests: Vec<_> = files.iter().map(|text| vec!["keyfile".to_owned(), text.clone()]).collect();
    for (text, glib) in files.iter().zip(glib::ask(&requests).into_iter().flatten()) {
        let ours = match KeyFile::parse(text.as_bytes()) {
            Ok(file) => vec!["ok".to_owned(), file.to_string()],
            Err(_) => vec!["error".to_owned()],
        };
        assert_eq!(ours, glib, "{text:?}");
    }
}
