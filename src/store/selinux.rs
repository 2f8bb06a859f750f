//! SELinux labels for the files of a tree, as the policy in it says.
//!
//! ```text
//! etc/selinux/config, or else usr/etc/selinux/config    SELINUX=, SELINUXTYPE=NAME
//!   …/selinux/NAME/contexts/files/
//!      file_contexts, .homedirs, .local      REGEX [-- -d -l …] CONTEXT
//!      file_contexts.subs, .subs_dist        PATH PATH: what stands for what
//! ```
//! The last line that fits decides, lines without special characters before all others; `<<none>>` is no
//! label. Source: libselinux label_file.c, selabel_file(5); libostree ostree-sepolicy.c.

use std::sync::{Arc, OnceLock};

use ostree_format::{Checksum, Hasher, ParseError, RootDir, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};
use regex::{Regex, RegexBuilder};

use super::{Error, ObjectRead, Result, read_path};

/// The xattr that holds the label, which ends with NUL.
pub const LABEL_XATTR: &[u8] = b"security.selinux";

const DIRS: [&str; 2] = ["etc/selinux", "usr/etc/selinux"];
const WHAT: &str = "SELinux file contexts";
/// Real ones have less than a megabyte.
const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;

/// Labels for the files of a tree.
#[derive(Debug, Clone)]
pub struct Labeling {
    /// The policy that gives the labels.
    pub policy: Arc<SelinuxPolicy>,
    /// The path by which files in `usr/etc` are labeled.
    pub usr_etc: UsrEtc,
}

/// The path by which files in `usr/etc` are labeled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UsrEtc {
    /// The path `usr/etc`: policies of systems with ostree say that it stands for `etc`.
    #[default]
    AsItIs,
    /// The path `etc`, whatever the policy says; libostree since 2023.7 can do so.
    AsEtc,
}

impl Labeling {
    /// The value of the xattr for the file at `path`, which starts with a slash; none if the policy has none.
    pub fn xattr(&self, path: &str, mode: u32) -> Option<Vec<u8>> {
        let path = match path.strip_prefix("/usr/etc") {
            Some(rest) if self.usr_etc == UsrEtc::AsEtc && (rest.is_empty() || rest.starts_with('/')) => {
                format!("/etc{rest}")
            }
            _ => path.to_owned(),
        };
        self.policy.label(&path, mode).map(|label| [label.as_bytes(), b"\0"].concat())
    }
}

/// An SELinux policy's file contexts: the label of a file by its path and type.
#[derive(Debug)]
pub struct SelinuxPolicy {
    name: String,
    /// The checksum of everything that was read.
    checksum: Checksum,
    /// The lines, those with special characters first.
    specs: Vec<Spec>,
    subs: Substitutions,
    dist_subs: Substitutions,
}

/// A line of a file of contexts.
#[derive(Debug)]
struct Spec {
    regex: String,
    /// What every path that fits starts with.
    prefix: String,
    /// `S_IFMT` bits, if it is for files of one type.
    kind: Option<u32>,
    label: Option<String>,
    /// Most are never needed.
    compiled: OnceLock<Option<Regex>>,
}

#[derive(Debug, Default)]
struct Substitutions(Vec<(String, String)>);

impl SelinuxPolicy {
    /// The policy in the tree of a commit; `None` if the tree has none, or it is disabled.
    ///
    /// # Errors
    /// [`Error::NotFound`] if an object is missing; [`Error::Invalid`] for a malformed file.
    pub fn of_tree(store: &(impl ObjectRead + ?Sized), root: RootDir) -> Result<Option<Self>> {
        Self::load(&mut |path| read_path(store, root, path, MAX_FILE_BYTES))
    }

    /// The policy in some root file system, of which `read` gives files by their path; `None` if it has none, or it
    /// is disabled.
    ///
    /// # Errors
    /// What `read` returns; [`Error::Invalid`] for a malformed file.
    pub fn load(read: &mut dyn FnMut(&str) -> Result<Option<Vec<u8>>>) -> Result<Option<Self>> {
        let mut found = None;
        for dir in DIRS {
            if let Some(config) = read(&format!("{dir}/config"))? {
                found = Some((dir, config));
                break;
            }
        }
        let Some((dir, config)) = found else { return Ok(None) };
        let Some(name) = enabled_policy(&text(&config)) else { return Ok(None) };
        let mut hasher = Hasher::new();
        let mut file = |suffix: &str| -> Result<Option<String>> {
            let path = format!("{dir}/{name}/contexts/files/file_contexts{suffix}");
            let bytes = read(&path)?;
            hasher.update(&bytes.as_ref().map_or(0, Vec::len).to_be_bytes());
            hasher.update(bytes.as_deref().unwrap_or_default());
            Ok(bytes.map(|bytes| text(&bytes)))
        };
        let Some(contexts) = file("")? else { return Ok(None) };
        let more = [file(".homedirs")?, file(".local")?];
        let subs = Substitutions::parse(file(".subs")?.as_deref());
        let dist_subs = Substitutions::parse(file(".subs_dist")?.as_deref());
        let mut policy = Self { name, checksum: hasher.finish(), specs: Vec::new(), subs, dist_subs };
        for contexts in [Some(contexts)].into_iter().chain(more).flatten() {
            policy.add(&contexts).map_err(|source| Error::Invalid { what: policy.name.clone(), source })?;
        }
        // Stable: of either kind the last one counts.
        policy.specs.sort_by_key(|spec| !has_special(&spec.regex));
        Ok(Some(policy))
    }

    /// The name of the policy: `targeted`, `mls` …
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The label of the file at `path`, which starts with a slash, of the type in `mode`.
    pub fn label(&self, path: &str, mode: u32) -> Option<&str> {
        let mut path = match path.trim_end_matches('/') {
            "" => "/".to_owned(),
            // No policy labels it, and nothing could be mounted there; libostree does the same.
            "/proc" => "/mnt".to_owned(),
            path => path.to_owned(),
        };
        for subs in [&self.subs, &self.dist_subs] {
            if let Some(other) = subs.apply(&path) {
                path = other;
            }
        }
        let fits = |spec: &&Spec| spec.fits(&path, mode & S_IFMT);
        self.specs.iter().rev().find(fits)?.label.as_deref()
    }

    fn add(&mut self, text: &str) -> Result<(), ParseError> {
        let mut offset = 0;
        for line in text.split('\n') {
            let words: Vec<_> = line.split_whitespace().collect();
            let error = |why: &str| ParseError::invalid(WHAT, offset, format!("{why}: {line}"));
            let (regex, kind, label) = match words[..] {
                [] => (None, None, ""),
                [first, ..] if first.starts_with('#') => (None, None, ""),
                [regex, label] => (Some(regex), None, label),
                [regex, kind, label] => {
                    (Some(regex), Some(file_type(kind).ok_or_else(|| error("unknown file type"))?), label)
                }
                _ => return Err(error("a line has two or three words")),
            };
            if let Some(regex) = regex {
                // What PCRE has beyond regular expressions; no policy is known that uses it.
                if ["(?=", "(?!", "(?<", "(?>"].iter().any(|part| regex.contains(part)) {
                    return Err(error("look-around is not supported"));
                }
                let label = (label != "<<none>>").then(|| label.to_owned());
                self.specs.push(Spec {
                    regex: regex.to_owned(),
                    prefix: literal_prefix(regex),
                    kind,
                    label,
                    compiled: OnceLock::new(),
                });
            }
            offset += line.len() + 1;
        }
        Ok(())
    }
}

/// Policies that were read from the same bytes give the same labels.
impl PartialEq for SelinuxPolicy {
    fn eq(&self, other: &Self) -> bool {
        self.checksum == other.checksum
    }
}

impl Spec {
    fn fits(&self, path: &str, kind: u32) -> bool {
        if self.kind.is_some_and(|own| own != kind) || !path.starts_with(&self.prefix) {
            return false;
        }
        let compile = || {
            let regex = format!("^(?:{})$", self.regex);
            // The lazy tables of thousands of expressions would be large.
            RegexBuilder::new(&regex).dot_matches_new_line(true).dfa_size_limit(64 * 1024).build().ok()
        };
        self.compiled.get_or_init(compile).as_ref().is_some_and(|regex| regex.is_match(path))
    }
}

impl Substitutions {
    fn parse(text: Option<&str>) -> Self {
        let lines = text.unwrap_or_default().lines();
        let pairs = lines.filter(|line| !line.trim_start().starts_with('#')).filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        });
        Self(pairs.collect())
    }

    fn apply(&self, path: &str) -> Option<String> {
        self.0.iter().find_map(|(from, to)| {
            let rest = path.strip_prefix(from.as_str())?;
            let whole = rest.is_empty() || rest.starts_with('/');
            // "/" for something would double the slash.
            let to = if rest.is_empty() { to } else { to.strip_suffix('/').unwrap_or(to) };
            whole.then(|| format!("{to}{rest}"))
        })
    }
}

/// The name of the policy that `config` turns on.
fn enabled_policy(config: &str) -> Option<String> {
    let value = |key: &str| {
        let mut values = config.lines().filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
        values.next_back().map(str::trim)
    };
    if value("SELINUX").is_some_and(|mode| mode.eq_ignore_ascii_case("disabled")) {
        return None;
    }
    value("SELINUXTYPE").filter(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn file_type(text: &str) -> Option<u32> {
    Some(match text {
        "--" => S_IFREG,
        "-d" => S_IFDIR,
        "-l" => S_IFLNK,
        "-c" => 0o020_000,
        "-b" => 0o060_000,
        "-s" => 0o140_000,
        "-p" => 0o010_000,
        _ => return None,
    })
}

const SPECIAL: [char; 10] = ['.', '^', '$', '?', '*', '+', '|', '[', '(', '{'];

/// Whether a regular expression is more than a path.
fn has_special(regex: &str) -> bool {
    let mut chars = regex.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            c if SPECIAL.contains(&c) => return true,
            _ => {}
        }
    }
    false
}

/// What every path starts with that a regular expression fits.
fn literal_prefix(regex: &str) -> String {
    let mut prefix = String::new();
    // Where there are alternatives, none of them is needed.
    if regex.contains('|') {
        return prefix;
    }
    let mut chars = regex.chars().peekable();
    while let Some(c) = chars.next() {
        let literal = match c {
            '\\' => match chars.next() {
                Some(escaped) if !escaped.is_ascii_alphanumeric() => escaped,
                _ => break,
            },
            c if SPECIAL.contains(&c) => break,
            c => c,
        };
        if matches!(chars.peek(), Some('?' | '*' | '{')) {
            break;
        }
        prefix.push(literal);
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(contexts: &str, subs: &str) -> SelinuxPolicy {
        let read = |path: &str| -> Result<Option<Vec<u8>>> {
            Ok(match path {
                "usr/etc/selinux/config" => Some(b"# x\nSELINUX=enforcing\nSELINUXTYPE=targeted\n".to_vec()),
                "usr/etc/selinux/targeted/contexts/files/file_contexts" => Some(contexts.into()),
                "usr/etc/selinux/targeted/contexts/files/file_contexts.subs_dist" => Some(subs.into()),
                _ => None,
            })
        };
        let mut read = read;
        SelinuxPolicy::load(&mut read).unwrap().unwrap()
    }

    #[test]
    fn last_line_decides() {
        let policy = policy(
            "# comment\n/.*\tdefault\n/usr(/.*)?\tusr\n/usr/bin/exact\texact\n/usr/bin/.*\t--\tbin\n\
             /usr/lib(64)?/x\\.so\tlib\n/run/.*\t<<none>>\n/a|/b\tor\n",
            "/usr/etc /etc\n/sysroot /\n",
        );
        for (path, mode, label) in [
            ("/", S_IFDIR, Some("default")),
            ("/usr", S_IFDIR, Some("usr")),
            ("/usr/", S_IFDIR, Some("usr")),
            ("/usr/bin/a", S_IFREG, Some("bin")),
            ("/usr/bin/a", S_IFLNK, Some("usr")),
            ("/usr/bin/exact", S_IFREG, Some("exact")),
            ("/usr/lib/x.so", S_IFREG, Some("lib")),
            ("/usr/lib64/x.so", S_IFREG, Some("lib")),
            ("/usr/lib64/x_so", S_IFREG, Some("usr")),
            ("/usr/etc/x", S_IFREG, Some("default")),
            ("/sysroot/usr/bin/a", S_IFREG, Some("bin")),
            ("/run/x", S_IFREG, None),
            ("/b", S_IFREG, Some("or")),
        ] {
            assert_eq!(policy.label(path, mode), label, "{path}");
        }
        assert_eq!(policy.name(), "targeted");
    }

    #[test]
    fn disabled_or_absent() {
        assert_eq!(enabled_policy("SELINUX=disabled\nSELINUXTYPE=x\n"), None);
        assert_eq!(enabled_policy("SELINUX=permissive\n"), None);
        assert_eq!(enabled_policy("SELINUXTYPE=x\nSELINUXTYPE= y \n").as_deref(), Some("y"));
        assert!(SelinuxPolicy::load(&mut |_| Ok(None)).unwrap().is_none());
    }
}
