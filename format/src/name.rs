//! Names of directory entries.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use crate::error::{ParseError, Result};

/// The name of a file or directory inside a dirtree: not empty, no `/`, no NUL, not `.` or `..`, UTF-8.
///
/// Compares by its bytes, which is the order inside a dirtree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Box<str>);

impl FileName {
    /// Checks `name`.
    ///
    /// # Errors
    /// [`ParseErrorKind::Invalid`](crate::ParseErrorKind::Invalid) at the first byte that does not belong into a name.
    pub fn new(name: &str) -> Result<Self> {
        check_file_name("file name", 0, name)?;
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks that `name`, which stood at `offset`, is a valid [`FileName`].
pub(crate) fn check_file_name(what: &'static str, offset: usize, name: &str) -> Result<()> {
    let why = match name {
        "" => "Invalid empty filename".to_owned(),
        "." => "Invalid self-referential filename '.'".to_owned(),
        ".." => "Invalid path uplink filename '..'".to_owned(),
        _ => match name.bytes().position(|b| b == b'/' || b == 0) {
            None => return Ok(()),
            Some(at) if name.as_bytes()[at] == 0 => {
                return Err(ParseError::invalid(what, offset + at, "Invalid NUL in filename"));
            }
            Some(at) => {
                return Err(ParseError::invalid(what, offset + at, format!("Invalid / in filename {name}")));
            }
        },
    };
    Err(ParseError::invalid(what, offset, why))
}

impl Deref for FileName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for FileName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for FileName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileName {
    type Err = ParseError;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_name() {
        for good in ["a", "...", ".a", "ä b", "a\nb", "-"] {
            assert!(FileName::new(good).is_ok(), "{good:?}");
        }
        for bad in ["", ".", "..", "a/b", "/", "a\0"] {
            assert!(FileName::new(bad).is_err(), "{bad:?}");
        }
    }
}
