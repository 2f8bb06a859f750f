//! Dates as people write them, in the forms of `date -d` that C ostree takes for `--timestamp` and
//! `--keep-younger-than`.
//!
//! ```text
//! @1234567890                          seconds since 1970
//! 2005-10-29 12:43:29 +0000            2005-10-29T12:43:29Z         10/29/2005
//! October 25 1985                      25 Oct 1985 01:21            Fri, 25 Oct 1985 01:21:00 +0200
//! 1 week ago     3 days 2 hours ago    yesterday     last month     now
//! ```
//! A date without a time is its midnight, without a zone it is local, and nothing at all is the last midnight; what is
//! only relative counts from now. As for `date`, `ago` turns only the unit before it round: three days and two hours ago
//! is `3 days ago 2 hours ago`.

use anyhow::Context;

/// What nothing at all stands for.
const MIDNIGHT: &str = "00:00";

/// Seconds since 1970 of the time that `text` says.
pub(crate) fn parse(text: &str) -> anyhow::Result<i64> {
    let meant = if text.trim().is_empty() { MIDNIGHT } else { text };
    let time = parse_datetime::parse_datetime(meant).ok();
    Ok(time.with_context(|| format!("Could not parse '{text}'"))?.unix_epoch_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_date_reads_them() {
        // `TZ=UTC date +%s -d …`; zones are given, so that the local one does not matter.
        for (text, secs) in [
            ("@1234567890", 1_234_567_890),
            ("2005-10-29 12:43:29 +0000", 1_130_589_809),
            ("2005-10-29T12:43:29Z", 1_130_589_809),
            ("2005-10-29T14:43:29+02:00", 1_130_589_809),
            ("Fri, 25 Oct 1985 01:21:00 -0700", 499_076_460),
            ("October 25 1985 08:21 UTC", 499_076_460),
            ("25 oct 1985 8:21 am utc", 499_076_460),
            ("2015-10-21 00:00 UTC 1 week ago", 1_444_780_800),
            ("20151021 00:00 UTC", 1_445_385_600),
        ] {
            assert_eq!(parse(text).unwrap(), secs, "{text}");
        }
        for bad in ["BACON", "1985-13-01", "October", "25:00", "@x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
