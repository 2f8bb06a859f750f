//! GLib itself, asked through `tests/glib.py`.

use std::io::Write;
use std::process::{Command, Stdio};

/// The fields of GLib's answers to `requests`, or `None` where GLib's Python bindings are missing: the test is
/// skipped then, with a line that says so; in CI they must not be missing.
pub(crate) fn ask(requests: &[Vec<String>]) -> Option<Vec<Vec<String>>> {
    let python = "/usr/bin/python3";
    let found = Command::new(python).args(["-c", "from gi.repository import GLib"]).output();
    if !found.is_ok_and(|out| out.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "python3-gi is not installed");
        eprintln!("skipped: python3-gi is not installed");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/glib.py");
    let mut child = Command::new(python)
        .arg(script)
        .env("PYTHONUTF8", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input: String = requests.iter().map(|fields| join(fields) + "\n").collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "glib.py failed");
    let answers: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(split).collect();
    assert_eq!(answers.len(), requests.len());
    Some(answers)
}

/// Fields as a line.
pub(crate) fn join(fields: &[String]) -> String {
    let escape = |field: &String| {
        field.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
    };
    fields.iter().map(escape).collect::<Vec<_>>().join("\t")
}

/// The fields of a line.
pub(crate) fn split(line: &str) -> Vec<String> {
    line.split('\t').map(unescape).collect()
}

fn unescape(field: &str) -> String {
    let mut out = String::new();
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                other => other.unwrap_or('\\'),
            },
            c => c,
        });
    }
    out
}
