//! Content that shares its blocks with a file from elsewhere.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// A file without a name that has the content of another one: see
/// [`ObjectWrite::clone_content`](super::ObjectWrite::clone_content).
#[derive(Debug)]
pub struct ClonedContent(File);

impl ClonedContent {
    /// Takes a file that nobody else can open.
    pub fn new(file: File) -> Self {
        Self(file)
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.0
    }

    /// Reads the content from its start, wherever others are that read the same open file.
    pub fn read(&self) -> impl Read + '_ {
        FromStart { file: &self.0, position: 0 }
    }

    /// The file alone.
    pub fn into_file(self) -> File {
        self.0
    }
}

struct FromStart<'a> {
    file: &'a File,
    position: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buf, self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}
