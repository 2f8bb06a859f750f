//! PLACEHOLDER: replaced as a whole by the variant module (on a rebase conflict take the other side).

/// An `a{sv}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dict(Vec<u8>);

/// Any value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {}

impl Dict {
    /// Reads.
    ///
    /// # Errors
    /// Never.
    pub fn parse(bytes: &[u8]) -> crate::Result<Self> {
        Ok(Self(bytes.to_vec()))
    }
    /// Writes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.clone()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        std::iter::empty()
    }
}
