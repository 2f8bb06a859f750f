//! The architecture, checked: an import may only go down a floor, only `host` and `cli` touch their surroundings, and
//! only `cli` prints.

// Named by its path, so that this file can be compiled alone, too.
#[path = "floors/words.rs"]
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every module below `src` and what it may import. `repo` and the tools over the store traits are
/// siblings: only `serve`, `sysroot`, `host`, `cli`, tests and benches see both.
const FLOORS: &[(&str, &[&str])] = &[
    // F1
    ("base", &["format"]),
    ("sign", &["format", "base"]),
    ("net", &["format", "base"]),
    // F2
    ("store", &["format", "base"]),
    // F3
    ("repo", &["format", "base", "store"]),
    ("tree", &["format", "base", "store"]),
    ("tar", &["format", "base", "store"]),
    ("diff", &["format", "base", "store"]),
    ("delta", &["format", "base", "store"]),
    ("transfer", &["format", "base", "store"]),
    ("composefs", &["format", "base", "store"]),
    // F4
    ("container", &["format", "base", "sign", "net", "store", "tree", "tar", "diff", "delta", "transfer"]),
    ("remote", &["format", "base", "sign", "net", "store", "delta", "transfer"]),
    ("serve", &["format", "base", "sign", "store", "repo", "diff", "container"]),
    ("sysroot", &["format", "base", "sign", "store", "repo", "tree", "composefs"]),
    // F5
    ("host", BELOW_HOST),
    ("cli", BELOW_CLI),
];

/// The library.
const BELOW_HOST: &[&str] = &[
    "format",
    "base",
    "sign",
    "net",
    "store",
    "repo",
    "tree",
    "tar",
    "diff",
    "delta",
    "transfer",
    "composefs",
    "container",
    "remote",
    "serve",
    "sysroot",
];
const BELOW_CLI: &[&str] = &[
    "format",
    "base",
    "sign",
    "net",
    "store",
    "repo",
    "tree",
    "tar",
    "diff",
    "delta",
    "transfer",
    "composefs",
    "container",
    "remote",
    "serve",
    "sysroot",
    "host",
];

/// The wings of `container`, lowest first: each may import from those before it.
const WINGS: &[&str] = &[
    "image", "config", "blob", "place", "trust", "server", "build", "convert", "delta", "store", "pull",
    "diff",
];

/// Calls that look at the surroundings of the program: environment, clock, absolute paths, other programs. Below `host`
/// there are none; `Instant`, the monotonic clock that time-outs are measured with, tells nothing of the surroundings.
const AMBIENT: &[&str] = &[
    // The environment.
    "env::var",
    "env::var_os",
    "env::vars",
    "env::vars_os",
    "env::args",
    "env::args_os",
    "env::current_dir",
    "env::current_exe",
    "env::home_dir",
    "env::temp_dir",
    "tempfile",
    "tempdir",
    "NamedTempFile::new",
    // The clock and its zone.
    "SystemTime::now",
    "Utc::now",
    "Local",
    "Zoned::now",
    "clock_gettime",
    // Paths that do not start at a directory that was handed in.
    "ambient_authority",
    "File::open",
    "File::create",
    "OpenOptions::new().open",
    "fs::read",
    "fs::read_to_string",
    "fs::read_dir",
    "fs::read_link",
    "fs::write",
    "fs::metadata",
    "fs::canonicalize",
    "fs::create_dir",
    "fs::create_dir_all",
    "fs::remove_file",
    "getcwd",
    "chdir",
    "rustix::fs::open",
    "rustix::fs::CWD",
    "CWD",
    "load_native_certs",
    // Other programs.
    "Command::new",
];

/// What is printed, which is for `cli` alone.
const PRINTING: &[&str] =
    &["print!", "println!", "eprint!", "eprintln!", "dbg!", "io::stdout", "io::stderr", "io::stdin"];

/// What is right all the same: the file, what is called there, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "repo/sys.rs",
        "fs::read_to_string",
        "the kernel's id of this boot, which no configuration changes: it decides whether what was staged has reached \
         the disk, and no caller may forget it",
    ),
    ("repo/sys.rs", "\"/proc/sys/kernel/random/boot_id", "the same"),
    (
        "base/fs.rs",
        "\"/proc/self/fd/",
        "the kernel's name of what was handed in: where a directory lies is read, for messages, a file gets a name, or \
         is opened again for reading",
    ),
    ("base/fs.rs", "CWD", "beside that name, which is absolute"),
    (
        "base/xattr.rs",
        "\"/proc/self/fd",
        "the kernel's name of a directory that was handed in, for lgetxattr",
    ),
    ("store/selinux.rs", "\"/usr/etc", "a path in a tree, looked up in the policy of that tree"),
    ("store/selinux.rs", "\"/etc", "a path in a tree, looked up in the policy of that tree"),
    ("store/selinux.rs", "\"/mnt", "a path in a tree, looked up in the policy of that tree"),
    ("store/selinux.rs", "\"/proc", "a path in a tree, looked up in the policy of that tree"),
    ("net/registry/mod.rs", "\"/v2/", "a path on a server"),
    ("net/registry/mod.rs", "\"/extensions/v2/", "a path on a server"),
    ("serve/page/mod.rs", "\"/style.css", "a path on this server"),
    ("serve/registry/lists.rs", "\"/v2/", "a path on this server"),
    ("sysroot/bootloader/syslinux.rs", "\"/boot", "a path as the boot loader sees it"),
    ("sysroot/bootloader/grub.rs", "\"/boot", "a path as the boot loader sees it"),
    ("tar/layout.rs", "\"/objects/", "a path in a stream"),
    ("sysroot/prepare_root/cmdline.rs", "\"/ostree/root", "a link below the physical root"),
    ("sysroot/prepare_root/units.rs", "\"/usr/lib/systemd/system", "where units link to"),
    ("sysroot/prepare_root/units.rs", "\"/sysroot/", "what a unit mounts"),
    (
        "sysroot/prepare_root/composefs.rs",
        "\"/proc/self/fd/",
        "the kernel's name of a file that was opened and measured: mounted by that, it is no other one",
    ),
    (
        "sysroot/kexec.rs",
        "\"/proc/self/fd/",
        "the kernel's name of a file that was opened, for a crate that opens what it is given a name of",
    ),
    (
        "sysroot/prepare_root/next.rs",
        "\"/proc/self/fd/",
        "the kernel's name of a directory that was handed in, to unmount what is in it",
    ),
];

#[test]
fn imports_go_down() {
    let mut wrong = Vec::new();
    for (file, source) in sources() {
        let module = module_of(&file);
        let Some((_, allowed)) = FLOORS.iter().find(|(name, _)| *name == module[0]) else {
            assert!(matches!(&*module[0], "lib" | "main"), "{}: not in the table of floors", file.display());
            continue;
        };
        for target in crate_paths(&source, module.len()) {
            let known = target == "format" || FLOORS.iter().any(|(name, _)| *name == target);
            if known && target != module[0] && !allowed.contains(&&*target) {
                wrong.push(format!("{}: {} may not use {target}", file.display(), module[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that go up or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn wings_import_from_lower_wings() {
    let rank = |wing: &str| WINGS.iter().position(|known| *known == wing);
    let mut wrong = Vec::new();
    for (file, source) in sources() {
        let module = module_of(&file);
        let ["container", wing, ..] = module.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
            continue;
        };
        if wing == "fuzz" {
            continue;
        }
        let own = rank(wing).unwrap_or_else(|| panic!("{}: not in the list of wings", file.display()));
        for target in paths_below("crate::container::", &source, module.len() - 1) {
            match rank(&target) {
                Some(other) if other <= own => {}
                _ => wrong.push(format!("{}: {wing} may not use {target}", file.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "imports between wings that go up:\n{}", wrong.join("\n"));
}

/// The definitions in `app` are made of the verbs; what stands above the verbs they do not know.
#[test]
fn verbs_know_nothing_of_the_program_above_them() {
    let mut wrong = Vec::new();
    for (file, source) in sources() {
        let module = module_of(&file);
        if !module.starts_with(&["cli".into(), "verb".into()]) {
            continue;
        }
        for target in paths_below("crate::cli::", &source, module.len() - 1) {
            if ["app", "args", "complete", "usage"].contains(&&*target) {
                wrong.push(format!("{}: a verb may not use {target}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "verbs that know what is made of them:\n{}", wrong.join("\n"));
}

#[test]
fn only_host_and_cli_are_ambient() {
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for (file, source) in sources() {
        let module = module_of(&file);
        let (is_host, is_cli) = (module[0] == "host", matches!(&*module[0], "cli" | "main"));
        for (number, line) in source.lines().enumerate() {
            let ambient = if is_host || is_cli { Vec::new() } else { ambient_in(line) };
            let printing = if is_cli { Vec::new() } else { calls_in(line, PRINTING) };
            for found in ambient.into_iter().chain(printing) {
                let excepted = |(at, what, _): &&(&str, &str, &str)| {
                    file == Path::new(at) && (found == *what || what.len() > 1 && found.starts_with(what))
                };
                match EXCEPTIONS.iter().position(|exception| excepted(&exception)) {
                    Some(at) => drop(used.insert(at)),
                    None => wrong.push(format!("{}:{}: {found}", file.display(), number + 1)),
                }
            }
        }
    }
    let unused = (0..EXCEPTIONS.len()).filter(|at| !used.contains(at)).map(|at| EXCEPTIONS[at].1);
    wrong.extend(unused.map(|what| format!("{what}: an exception that nothing needs")));
    assert!(wrong.is_empty(), "the library touches its surroundings:\n{}", wrong.join("\n"));
}

#[test]
fn ambient_calls_are_found() {
    let found = |line: &str| ambient_in(line).join(" ");
    for (line, expected) in [
        ("let x = std::env::var(\"X\");", "env::var"),
        ("use chrono::Local;", "Local"),
        ("let now = SystemTime::now();", "SystemTime::now"),
        ("fn sign(&self, now: SystemTime) {}", ""),
        ("let text = std::fs::read_to_string(path)?;", "fs::read_to_string"),
        ("let file = dir.open(path)?; LocalTime; self.fs::reader()", ""),
        ("open(\"/etc/x\"); join(\"/\"); path(\"/a b\", \"x/etc\")", "\"/etc/x \"/a"),
        ("Command::new(program)", "Command::new"),
    ] {
        assert_eq!(found(line), expected, "{line}");
    }
}

#[test]
fn paths_are_found() {
    let find = |source: &str, depth| crate_paths(source, depth).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(find("use crate::store::Txn; let x = crate::base::Ctx::default();", 2), "base store");
    assert_eq!(find("use crate::{\n base::{Ctx, x},\n store, tar::A as B};", 2), "base store tar");
    assert_eq!(find("use super::store::X;", 1), "store");
    assert_eq!(find("use super::store::X;", 2), "");
    assert_eq!(find("use super::super::store::X; use super::*;", 2), "store");
    assert_eq!(find("use ostree_format::Checksum;", 1), "format");
}

/// What a line calls of [`AMBIENT`], and the absolute paths that are written in it, each from its quote on.
fn ambient_in(line: &str) -> Vec<&str> {
    let mut found = calls_in(line, AMBIENT);
    for (at, _) in line.match_indices("\"/") {
        let path = &line[at..];
        let end = path.char_indices().skip(2).find(|(_, c)| !is_word(*c) && !matches!(c, '/' | '.' | '-'));
        let end = end.map_or(path.len(), |(end, _)| end);
        if end > 2 {
            found.push(&path[..end]);
        }
    }
    found
}

/// Which of `calls` stand in a line as whole words.
fn calls_in<'l>(line: &'l str, calls: &[&str]) -> Vec<&'l str> {
    let mut found = Vec::new();
    for call in calls {
        for (at, _) in line.match_indices(call) {
            let end = at + call.len();
            if !line[..at].ends_with(is_word) && !line[end..].starts_with(is_word) {
                found.push(&line[at..end]);
            }
        }
    }
    found
}

/// Every source file with its text up to its unit tests and without comments.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut todo = vec![root.clone()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap();
                let lines = code.lines().map(|l| if l.trim_start().starts_with("//") { "" } else { l });
                files.push((path.strip_prefix(&root).unwrap().into(), lines.collect::<Vec<_>>().join("\n")));
            }
        }
    }
    assert!(files.len() > 5);
    files
}

/// `a/b/mod.rs` → a, b; `a/b.rs` → a, b.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// The top-level modules that the code of a module at this depth (1 for `crate::x`) names.
fn crate_paths(source: &str, depth: usize) -> BTreeSet<String> {
    let mut found = paths_below("crate::", source, depth);
    if source.contains("ostree_format::") {
        found.insert("format".into());
    }
    found
}

/// The first names behind `prefix`, which stands for the module so many levels up.
fn paths_below(prefix: &str, source: &str, depth: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let up = "super::".repeat(depth);
    for prefix in [prefix, &up] {
        for (at, _) in source.match_indices(prefix) {
            let inside_longer = source[..at].ends_with("super::") || source[..at].ends_with(is_word);
            if !inside_longer {
                first_segments(&source[at + prefix.len()..], &mut found);
            }
        }
    }
    found
}

/// The first segment behind a prefix, or each of those in `prefix{…}`.
fn first_segments(rest: &str, found: &mut BTreeSet<String>) {
    let word = |text: &str| text.trim_start().chars().take_while(|c| is_word(*c)).collect::<String>();
    let Some(list) = rest.strip_prefix('{') else {
        found.insert(word(rest));
        return;
    };
    let (mut level, mut start) = (0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => level += 1,
            '}' if level > 0 => level -= 1,
            ',' | '}' if level == 0 => {
                found.insert(word(&list[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
