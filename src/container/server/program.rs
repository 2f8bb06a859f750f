//! The program that an image serves itself with: a file that runs on the image's machines and needs no other file.
//!
//! ```text
//! 0   7f 45 4c 46  class  byte order           18   machine
//!     program headers: one of type 3 names the loader that the file needs
//! ```
//! Source: the ELF specification; numbers of machines from the kernel's `elf-em.h`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::container::image::{Error, PlatformName, Result};

/// Bytes of a program that are looked at; its headers are at its start.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The type of a program header that names a loader.
const PT_INTERP: u32 = 3;

/// What Go calls machines, their number in a program, and whether it has 64 bits and begins with the low byte.
const MACHINES: [(&str, Elf); 15] = [
    ("386", Elf::new(3, false, true)),
    ("amd64", Elf::new(62, true, true)),
    ("arm", Elf::new(40, false, true)),
    ("arm64", Elf::new(183, true, true)),
    ("loong64", Elf::new(258, true, true)),
    ("mips", Elf::new(8, false, false)),
    ("mips64", Elf::new(8, true, false)),
    ("mips64le", Elf::new(8, true, true)),
    ("mipsle", Elf::new(8, false, true)),
    ("ppc", Elf::new(20, false, false)),
    ("ppc64", Elf::new(21, true, false)),
    ("ppc64le", Elf::new(21, true, true)),
    ("riscv64", Elf::new(243, true, true)),
    ("s390x", Elf::new(22, true, false)),
    ("sparc64", Elf::new(43, true, false)),
];

/// A program, open for reading.
#[derive(Debug, Clone)]
pub struct ServerProgram {
    file: Arc<File>,
    len: u64,
    elf: Option<Program>,
}

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Program {
    elf: Elf,
    needs_loader: bool,
}

/// The machines of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Elf {
    machine: u16,
    has_64_bits: bool,
    is_little: bool,
}

impl Elf {
    const fn new(machine: u16, has_64_bits: bool, is_little: bool) -> Self {
        Self { machine, has_64_bits, is_little }
    }
}

impl ServerProgram {
    /// A program; the file may be open anywhere, and must not change any more.
    ///
    /// # Errors
    /// What the system says when it is read.
    pub fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let mut head = vec![0; MAX_HEAD_BYTES];
        let mut at = 0;
        while at < head.len() {
            match file.read_at(&mut head[at..], at as u64)? {
                0 => break,
                n => at += n,
            }
        }
        head.truncate(at);
        Ok(Self { file: Arc::new(file), len, elf: parse(&head) })
    }

    /// Whether it runs in every image for `platform`, whatever else is in that.
    ///
    /// # Errors
    /// [`Error::Program`] if it does not.
    pub fn check(&self, platform: &PlatformName) -> Result<()> {
        let refused = |what: String| Err(Error::Program { what, wanted: platform.to_string() });
        let Some(program) = self.elf else { return refused("the file is no program of Linux".into()) };
        let known = |name: &str| MACHINES.iter().find(|(known, _)| *known == name).map(|(_, elf)| *elf);
        match known(&platform.architecture) {
            Some(wanted) if wanted != program.elf => {
                let named = MACHINES.iter().find(|(_, elf)| *elf == program.elf).map(|(name, _)| *name);
                refused(format!("the program is for {}", named.unwrap_or("other machines")))
            }
            _ if program.needs_loader => {
                refused("the program needs a loader and libraries of the machine that it runs on".into())
            }
            _ => Ok(()),
        }
    }

    /// The size of the file in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The content of the file, from its start.
    pub(super) fn read(&self) -> impl io::Read + '_ {
        Reading { file: &self.file, at: 0 }
    }
}

/// A file that several readers read, each at its own place.
struct Reading<'f> {
    file: &'f File,
    at: u64,
}

impl io::Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Reads the headers of a program; `None` for a file that is none.
fn parse(head: &[u8]) -> Option<Program> {
    let [0x7f, b'E', b'L', b'F', class @ 1..=2, order @ 1..=2, ..] = *head else { return None };
    let (has_64_bits, is_little) = (class == 2, order == 1);
    let number = |at: usize, len: usize| -> Option<u64> {
        let bytes = head.get(at..at.checked_add(len)?)?.iter();
        let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if is_little { bytes.rev().fold(0, join) } else { bytes.fold(0, join) })
    };
    let machine = u16::try_from(number(18, 2)?).ok()?;
    let (offset, entry_bytes, count) = match has_64_bits {
        true => (number(32, 8)?, number(54, 2)?, number(56, 2)?),
        false => (number(28, 4)?, number(42, 2)?, number(44, 2)?),
    };
    let kind = |entry: u64| {
        let at = offset.checked_add(entry.checked_mul(entry_bytes)?)?;
        number(usize::try_from(at).ok()?, 4)
    };
    let needs_loader = (0..count).any(|entry| kind(entry) == Some(PT_INTERP.into()));
    Some(Program { elf: Elf { machine, has_64_bits, is_little }, needs_loader })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The headers of a program with one program header of this kind.
    fn program(machine: u8, has_64_bits: bool, is_little: bool, kind: u8) -> Vec<u8> {
        let mut head = vec![0; 120];
        head[..6].copy_from_slice(&[
            0x7f,
            b'E',
            b'L',
            b'F',
            1 + u8::from(has_64_bits),
            2 - u8::from(is_little),
        ]);
        let mut put =
            |at: usize, len: usize, value: u8| head[if is_little { at } else { at + len - 1 }] = value;
        put(18, 2, machine);
        let [offset, size, count] =
            if has_64_bits { [(32, 8), (54, 2), (56, 2)] } else { [(28, 4), (42, 2), (44, 2)] };
        put(offset.0, offset.1, 64);
        put(size.0, size.1, 56);
        put(count.0, count.1, 1);
        put(64, 4, kind);
        head
    }

    #[test]
    fn programs_and_their_machines() {
        for (machine, has_64_bits, is_little, expected) in [
            (62, true, true, "amd64"),
            (183, true, true, "arm64"),
            (22, true, false, "s390x"),
            (40, false, true, "arm"),
        ] {
            for kind in [1, 3] {
                let parsed = parse(&program(machine, has_64_bits, is_little, kind)).unwrap();
                let named = MACHINES.iter().find(|(_, elf)| *elf == parsed.elf).unwrap().0;
                assert_eq!((named, parsed.needs_loader), (expected, kind == 3));
            }
        }
        for bad in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &program(62, true, true, 1)[..50]] {
            assert_eq!(parse(bad), None);
        }
    }
}
