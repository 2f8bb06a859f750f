//! Numbers in tar headers.
//!
//! ```text
//! octal      spaces · digits · NUL or space · anything; all NUL or space = 0
//! base-256   the first bit is set; the rest is a big endian number in two's complement
//! ```

/// A number that cannot be negative.
pub(super) fn unsigned(field: &[u8]) -> Option<u64> {
    u64::try_from(signed(field)?).ok()
}

/// A number; times may be negative.
pub(super) fn signed(field: &[u8]) -> Option<i128> {
    match field {
        [first, rest @ ..] if first & 0x80 != 0 => base256(*first, rest),
        _ => octal(field).map(i128::from),
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let start = field.iter().position(|b| *b != b' ').unwrap_or(field.len());
    let text = &field[start..];
    let end = text.iter().position(|b| matches!(b, 0 | b' ')).unwrap_or(text.len());
    text[..end].iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'7' => n.checked_mul(8)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

fn base256(first: u8, rest: &[u8]) -> Option<i128> {
    // The bit below the marker is the sign: extend it over the marker.
    let first = if first & 0x40 != 0 { i128::from(first.cast_signed()) } else { i128::from(first & 0x3f) };
    let n = rest.iter().try_fold(first, |n, b| n.checked_mul(256)?.checked_add(i128::from(*b)))?;
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&n).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_other_programs_write_them() {
        assert_eq!(unsigned(b"0000644\0"), Some(0o644));
        assert_eq!(unsigned(b"   644 \0"), Some(0o644));
        assert_eq!(unsigned(b"77777777777 "), Some(0o77_777_777_777));
        assert_eq!(unsigned(&[0; 12]), Some(0));
        assert_eq!(unsigned(b"0000648\0"), None);
        assert_eq!(unsigned(b"-1\0"), None);
        assert_eq!(unsigned(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(8_589_934_592));
        assert_eq!(signed(&[0xff; 12]), Some(-1));
        assert_eq!(unsigned(&[0xff; 12]), None);
        assert_eq!(unsigned(b"\x81\0\0\0\0\0\0\0\0\0\0\0"), None);
    }
}
