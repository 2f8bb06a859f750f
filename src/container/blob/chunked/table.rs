//! Reads the table of contents of a zstd:chunked layer, one row after another.
//!
//! ```text
//! annotations ► where the table lies, and its digest
//! part of the blob ► digest ► zstd ► JSON ► rows      never all of it in memory
//! ```
//! Whoever uses the rows believes nothing that they say: the digest guards against damage alone, since it comes from
//! whoever wrote the table. Source: containers/storage docs/containers-storage-zstd-chunked.md.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::ops::Range;

use oci_spec::image::Descriptor;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::toc::{CHECKSUM, POSITION, TABLE_KIND};
use crate::base::io::Hashing;
use crate::container::blob::MAX_ZSTD_WINDOW_LOG;
use crate::container::image::Digest;

/// The largest table that is read, uncompressed: those of images with a million files.
const MAX_PLAIN_BYTES: u64 = 1 << 30;
/// The largest row of a table.
const MAX_ROW_BYTES: usize = 256 * 1024;
const READ_BYTES: usize = 64 * 1024;

/// Where the table of a layer lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::container) struct TablePlace {
    /// The table's bytes in the blob. Everything that it tells of lies before it.
    pub(in crate::container) bytes: Range<u64>,
    plain_bytes: u64,
    digest: Digest,
}

/// One row of a table.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::container) struct Row {
    /// The type of the entry, or `chunk` for a further piece of the file before.
    #[serde(rename = "type")]
    pub(in crate::container) kind: String,
    pub(in crate::container) name: String,
    #[serde(default)]
    pub(in crate::container) link_name: String,
    #[serde(default)]
    pub(in crate::container) mode: u32,
    #[serde(default)]
    pub(in crate::container) size: u64,
    #[serde(default)]
    pub(in crate::container) uid: u32,
    #[serde(default)]
    pub(in crate::container) gid: u32,
    /// Where the frame of the first piece begins.
    #[serde(default)]
    pub(in crate::container) offset: u64,
    /// Where the frame of the last piece ends.
    #[serde(default)]
    pub(in crate::container) end_offset: u64,
    /// The bytes of the piece, where the file has several.
    #[serde(default)]
    pub(in crate::container) chunk_size: u64,
    /// Where the piece lies in the file.
    #[serde(default)]
    pub(in crate::container) chunk_offset: u64,
    /// What the piece holds, where that is not in a frame: `zeros`.
    #[serde(default)]
    pub(in crate::container) chunk_type: String,
    /// The digest of a file's content.
    #[serde(default)]
    pub(in crate::container) digest: String,
    /// Values in base64.
    #[serde(default)]
    pub(in crate::container) xattrs: BTreeMap<String, String>,
}

impl TablePlace {
    /// What the annotations of a layer say, also under the names that podman gave them until 2022; `None` if it has no
    /// table, or says nonsense.
    pub(in crate::container) fn of(layer: &Descriptor) -> Option<Self> {
        let annotations = layer.annotations().as_ref()?;
        let get =
            |key: &str| annotations.get(key).or_else(|| annotations.get(&key.replacen(".github", "", 1)));
        let digest = get(CHECKSUM)?.parse().ok()?;
        let numbers: Option<Vec<u64>> = get(POSITION)?.split(':').map(|number| number.parse().ok()).collect();
        let [start, length, plain_bytes, TABLE_KIND] = numbers?[..] else { return None };
        let bytes = start..start.checked_add(length)?;
        let fits = length > 0 && bytes.end <= layer.size() && plain_bytes <= MAX_PLAIN_BYTES;
        fits.then_some(Self { bytes, plain_bytes, digest })
    }

    /// Reads the table, which `part` gives, and hands over its rows until `each` wants no more of them; whether
    /// it wanted all.
    ///
    /// # Errors
    /// What `part` says; [`io::ErrorKind::InvalidData`] if it is no table, or not the one that was announced. Rows
    /// were handed over before this is known.
    pub(in crate::container) fn read(
        &self,
        part: impl Read,
        each: &mut dyn FnMut(Row) -> Wants,
    ) -> io::Result<Wants> {
        let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
        let length = self.bytes.end - self.bytes.start;
        let mut hashing = Hashing::new(part.take(length));
        let row_bytes = Cell::new(0);
        let rows = Rows { each: RefCell::new(each), row_bytes: &row_bytes, wants: Cell::new(Wants::More) };
        {
            let mut decoder = zstd::Decoder::new(&mut hashing)?.single_frame();
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
            let plain = BufReader::with_capacity(READ_BYTES, decoder.take(self.plain_bytes));
            let mut json = serde_json::Deserializer::from_reader(Bounded { plain, row_bytes: &row_bytes });
            let parsed = Table(&rows).deserialize(&mut json).and_then(|()| json.end());
            if rows.wants.get() == Wants::NoMore {
                return Ok(Wants::NoMore);
            }
            parsed.map_err(io::Error::from)?;
        }
        io::copy(&mut hashing, &mut io::sink())?;
        let bytes = Hashing::bytes(&hashing);
        match (bytes == length, Digest::new(hashing.finish().1) == self.digest) {
            (true, true) => Ok(Wants::More),
            _ => Err(invalid("the table of contents is not the one that was announced")),
        }
    }
}

/// Whether who reads a table wants further rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::container) enum Wants {
    /// The next row.
    More,
    /// None: what was seen says enough.
    NoMore,
}

/// The table's bytes, as many as a row may have: the parser keeps a whole string of them.
struct Bounded<'a, R> {
    plain: R,
    row_bytes: &'a Cell<usize>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.plain.read(buf)?;
        self.row_bytes.set(self.row_bytes.get() + n);
        match self.row_bytes.get() > MAX_ROW_BYTES {
            true => Err(io::Error::new(io::ErrorKind::InvalidData, "a row of the table has no end")),
            false => Ok(n),
        }
    }
}

/// Where rows go to.
struct Rows<'a> {
    each: RefCell<&'a mut dyn FnMut(Row) -> Wants>,
    row_bytes: &'a Cell<usize>,
    wants: Cell<Wants>,
}

/// The table as a whole: `{"version":1,"entries":[…]}`.
struct Table<'a>(&'a Rows<'a>);

impl<'de> DeserializeSeed<'de> for Table<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Table<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of contents")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "entries" => map.next_value_seed(Entries(self.0))?,
                "version" if map.next_value::<u64>()? != 1 => {
                    return Err(A::Error::custom("its version is not 1"));
                }
                "version" => {}
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// The list of rows.
struct Entries<'a>(&'a Rows<'a>);

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entries")
    }

    /// What podman writes for a layer without entries.
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(row) = seq.next_element()? {
            self.0.row_bytes.set(0);
            if (self.0.each.borrow_mut())(row) == Wants::NoMore {
                self.0.wants.set(Wants::NoMore);
                return Err(A::Error::custom("enough was read"));
            }
        }
        Ok(())
    }
}
