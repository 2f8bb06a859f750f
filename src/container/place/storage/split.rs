//! The records of tar-split: a layer's tar stream without the content of its files.
//!
//! ```text
//! gzip of lines   {"type":2,"payload":BASE64}                                bytes of the stream: padding, headers
//!                 {"type":1,"name":PATH,"size":N,"payload":BASE64 of CRC64}  here stands the content of a file
//!                  or "name_raw":BASE64 for a path that is not UTF-8
//! ```
//! Source: vbatts/tar-split tar/storage/entry.go, tar/asm.

use std::io::{BufRead, BufReader, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cap_std::fs::File;
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

use crate::container::image::{Error, Result, StoredLayerProblem};

/// A line may not be longer: padding comes in pieces of 1 MiB, extended headers are not larger.
const MAX_LINE_BYTES: u64 = 8 * 1024 * 1024;

/// A record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Bytes of the stream.
    Bytes(Vec<u8>),
    /// The place of a file's content.
    File {
        /// The path in the layer, as the stream gives it.
        name: Vec<u8>,
        size: u64,
        /// The CRC-64 of the content, where there is some.
        crc: Option<u64>,
    },
}

/// Reads the records of a layer.
pub(super) struct Split<'a> {
    lines: BufReader<MultiGzDecoder<BufReader<File>>>,
    layer: &'a str,
    line: Vec<u8>,
    record: u64,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: u32,
    #[serde(default)]
    name: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    name_raw: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    size: u64,
    #[serde(default, borrow)]
    payload: Option<std::borrow::Cow<'a, str>>,
}

impl<'a> Split<'a> {
    pub(super) fn new(file: File, layer: &'a str) -> Self {
        let lines = BufReader::new(MultiGzDecoder::new(BufReader::new(file)));
        Self { lines, layer, line: Vec::new(), record: 0 }
    }

    /// The next record; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Record>> {
        self.line.clear();
        self.record += 1;
        let line = &mut self.line;
        let read = self.lines.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', line);
        let n = read.map_err(|error| self.damaged(error))?;
        if n == 0 {
            return Ok(None);
        }
        if n as u64 == MAX_LINE_BYTES {
            return Err(self.damaged("it is too long"));
        }
        let line: Line<'_> = serde_json::from_slice(&self.line).map_err(|error| self.damaged(error))?;
        let bytes = |text: Option<&str>| {
            STANDARD.decode(text.unwrap_or_default()).map_err(|error| self.damaged(error))
        };
        Ok(Some(match line.kind {
            2 => Record::Bytes(bytes(line.payload.as_deref())?),
            1 => {
                let name = match line.name_raw.as_deref() {
                    Some(raw) => bytes(Some(raw))?,
                    None => line.name.unwrap_or_default().as_bytes().to_vec(),
                };
                let crc = bytes(line.payload.as_deref())?.try_into().ok().map(u64::from_be_bytes);
                Record::File { name, size: line.size, crc }
            }
            other => return Err(self.damaged(format!("it is of the unknown type {other}"))),
        }))
    }

    /// The error of the record that was read last.
    pub(super) fn damaged(&self, why: impl ToString) -> Error {
        let why = StoredLayerProblem::Split { record: self.record, why: why.to_string() };
        Error::StoredLayer { layer: self.layer.to_owned(), why }
    }
}
