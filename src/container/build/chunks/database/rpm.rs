//! rpm's database: a table of headers, one for each package.
//!
//! ```text
//! rpmdb.sqlite   table Packages: number, header
//! header         entries: u32 · bytes of data: u32 · entries · data
//! entry          tag: u32 · kind: u32, 3 u16, 4 u32, 6 text, 8 texts · offset in the data: u32 · values: u32
//! ```
//! Numbers are big-endian; texts end with a byte of zero. A path is the name of its directory, which ends with a
//! slash, and its own. The formats before rpm 4.16, of Berkeley DB and ndb, are not read. Source: rpm,
//! docs/manual/format_header.md and tags.md, lib/backend/sqlite.cc.

use crate::container::build::chunks::database::sqlite::{self, Value};
use crate::container::build::chunks::database::{PathKind, claim};
use crate::container::build::chunks::owners::Owners;
use crate::container::build::chunks::tree::Tree;
use crate::container::image::Result;
use crate::store::ObjectRead;

pub(super) const PLACES: [&str; 4] = [
    "usr/share/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "var/lib/rpm/rpmdb.sqlite",
    "usr/share/factory/var/lib/rpm/rpmdb.sqlite",
];

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const FILE_STATES: u32 = 1029;
const FILE_MODES: u32 = 1030;
const FILE_FLAGS: u32 = 1037;
const SOURCE_RPM: u32 = 1044;
const DIR_INDEXES: u32 = 1116;
const BASE_NAMES: u32 = 1117;
const DIR_NAMES: u32 = 1118;

/// The state of a file that is there and the package's own.
const NORMAL: u32 = 0;
/// The flag of a file that the package only foresees: others make it, such as a cache.
const GHOST: u32 = 1 << 6;
/// Longer paths are none on Linux, in bytes.
const MAX_PATH_BYTES: usize = 4096;

pub(super) fn read(store: &dyn ObjectRead, tree: &Tree, owners: &mut Owners<'_>) -> Result<()> {
    let Some(file) = PLACES.iter().find_map(|place| tree.locate_file(place)) else { return Ok(()) };
    headers(&tree.read(store, file)?, &mut |header| {
        let Some(name) = header.text(NAME) else { return };
        let package = owners.package(name, header.source().unwrap_or(name));
        header.files(&mut |kind, path| claim(owners, package, kind, path));
    });
    Ok(())
}

/// Hands over the headers in a database.
pub(in crate::container::build::chunks) fn headers(database: &[u8], each: &mut dyn FnMut(&Header<'_>)) {
    sqlite::rows(database, "Packages", &mut |row| {
        if let [_, Value::Bytes(header)] = row
            && let Some(header) = Header::parse(header)
        {
            each(&header);
        }
    });
}

/// What the database has of a package.
pub(in crate::container::build::chunks) struct Header<'a> {
    entries: &'a [[u8; 16]],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (entries, rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let bytes = usize::try_from(u32::from_be_bytes(*entries)).ok()?.checked_mul(16)?;
        let (entries, data) = rest.split_at_checked(bytes)?;
        let data = data.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        Some(Self { entries: entries.as_chunks().0, data })
    }

    /// The kind of a tag's values, how many they are, and the data from the first one on.
    fn values(&self, tag: u32) -> Option<(u32, usize, &'a [u8])> {
        let parts = |entry: &[u8; 16]| {
            let (parts, _) = entry.as_chunks();
            let [tag, kind, offset, count] = parts else { return None };
            Some([tag, kind, offset, count].map(|part| u32::from_be_bytes(*part)))
        };
        let mut entries = self.entries.iter().filter_map(parts);
        let [_, kind, offset, count] = entries.find(|[of, ..]| *of == tag)?;
        Some((kind, usize::try_from(count).ok()?, self.data.get(usize::try_from(offset).ok()?..)?))
    }

    fn texts(&self, tag: u32) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (_, count, data) =
            self.values(tag).filter(|(kind, ..)| matches!(kind, 6 | 8 | 9)).unwrap_or_default();
        data.split(|byte| *byte == 0).take(count)
    }

    fn numbers(&self, tag: u32) -> impl Iterator<Item = u32> + use<'a> {
        let (kind, count, data) = self.values(tag).unwrap_or_default();
        let bytes = match kind {
            1 | 2 => 1,
            3 => 2,
            4 => 4,
            _ => data.len().max(1),
        };
        let number = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
        data.chunks_exact(bytes).take(if bytes <= 4 { count } else { 0 }).map(number)
    }

    /// A text that is UTF-8.
    fn text(&self, tag: u32) -> Option<&'a str> {
        str::from_utf8(self.texts(tag).next()?).ok()
    }

    /// The name of the package, and its version as rpm writes it: `[EPOCH:]VERSION-RELEASE`.
    pub(super) fn name_and_version(&self) -> Option<(&'a str, String)> {
        let (version, release) = (self.text(VERSION)?, self.text(RELEASE)?);
        let epoch = self.numbers(EPOCH).next().map(|epoch| format!("{epoch}:")).unwrap_or_default();
        Some((self.text(NAME)?, format!("{epoch}{version}-{release}")))
    }

    /// The name of the source that the package is built from; the file's is `NAME-VERSION-RELEASE.src.rpm`.
    fn source(&self) -> Option<&'a str> {
        self.text(SOURCE_RPM)?.rsplitn(3, '-').nth(2)
    }

    /// Hands over the paths of what the package brought.
    pub(in crate::container::build::chunks) fn files(&self, each: &mut dyn FnMut(PathKind, &str)) {
        let dirs: Vec<&[u8]> = self.texts(DIR_NAMES).collect();
        let mut states = self.numbers(FILE_STATES).chain(std::iter::repeat(NORMAL));
        let mut flags = self.numbers(FILE_FLAGS).chain(std::iter::repeat(0));
        let mut modes = self.numbers(FILE_MODES).chain(std::iter::repeat(0));
        for (name, dir) in self.texts(BASE_NAMES).zip(self.numbers(DIR_INDEXES)) {
            let (state, flags, mode) = (states.next(), flags.next(), modes.next());
            let is_there = state == Some(NORMAL) && flags.is_some_and(|flags| flags & GHOST == 0);
            let dir = usize::try_from(dir).ok().and_then(|dir| dirs.get(dir));
            let Some(dir) = dir.filter(|dir| is_there && dir.len() + name.len() < MAX_PATH_BYTES) else {
                continue;
            };
            if let Ok(path) = str::from_utf8(&[dir, name].concat())
                && path.starts_with('/')
            {
                let is_dir = mode.is_some_and(|mode| mode & 0o170_000 == 0o040_000);
                each(if is_dir { PathKind::Dir } else { PathKind::File }, path);
            }
        }
    }
}
