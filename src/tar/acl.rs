//! Access ACLs as text, as GNU tar and bsdtar write them.
//!
//! ```text
//! user::rw-,user:bob:rwx:1001,group::r--,mask::rwx,other::---        ',' or a newline in between, u g m o for short
//! ```
//! No commit holds such an ACL. But where a file has one, the group's bits in the header block are its mask, and not what
//! the group may: that is here. Source: libarchive archive_acl.c, `acl_special` and `archive_acl_from_text`.

/// The treatment of ACLs, which no entry has after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acls {
    /// The header block alone says what the owner, the group and others may, as with podman and umoci.
    PassOver,
    /// An ACL says it, as with libarchive.
    SetPermissions,
}

/// What an ACL says of the owner, the group and all others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AclPermissions {
    /// The permission bits that it says something of.
    known: u32,
    bits: u32,
}

impl AclPermissions {
    /// Reads the text; `None` if it is none.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut out = Self::default();
        let entries = text.split(|byte| matches!(byte, b',' | b'\n')).map(<[u8]>::trim_ascii);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let fields: Vec<_> = entry.split(|byte| *byte == b':').map(<[u8]>::trim_ascii).collect();
            let (shift, permissions) = match fields[..] {
                [b"user" | b"u", b"", permissions, ..] => (6, permissions),
                [b"group" | b"g", b"", permissions, ..] => (3, permissions),
                [b"other" | b"o", permissions] | [b"other" | b"o", b"", permissions, ..] => (0, permissions),
                // Of others by name, and the mask, a file has no bits.
                [b"user" | b"u" | b"group" | b"g" | b"mask" | b"m", _, ..] => continue,
                _ => return None,
            };
            out.known |= 0o7 << shift;
            out.bits = out.bits & !(0o7 << shift) | bits(permissions)? << shift;
        }
        Some(out)
    }

    /// The permissions of a file whose header block has these.
    pub(super) fn apply(self, permissions: u32) -> u32 {
        permissions & !self.known | self.bits
    }
}

fn bits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |bits, byte| match byte {
        b'r' | b'R' => Some(bits | 4),
        b'w' | b'W' => Some(bits | 2),
        b'x' | b'X' => Some(bits | 1),
        b'-' => Some(bits),
        _ => None,
    })
}
