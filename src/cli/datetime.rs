//! Dates as people write them, in the forms of `date -d` that C ostree takes for `--timestamp` and
//! `--keep-younger-than`.
//!
//! ```text
//! @1234567890                          seconds since 1970
//! 2005-10-29 12:43:29 +0000            2005-10-29T12:43:29Z         10/29/2005
//! October 25 1985                      25 Oct 1985 01:21            Fri, 25 Oct 1985 01:21:00 +0200
//! 1 week ago     3 days 2 hours ago    yesterday     last month     now
//! ```
//! A date without a time is its midnight, without a zone it is local; what is only relative counts from now.

use anyhow::{Context, bail};
use chrono::{
    DateTime, Datelike, Days, FixedOffset, Local, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone,
};

/// Seconds since 1970 of the time that `text` says.
pub(crate) fn parse(text: &str, now: DateTime<Local>) -> anyhow::Result<i64> {
    let text = text.trim();
    if let Some(secs) = text.strip_prefix('@') {
        let whole = secs.split(['.', ',']).next().unwrap_or_default();
        return whole.parse().with_context(|| format!("Could not parse '{text}'"));
    }
    let mut parsed = Parsed::default();
    let lower = text.to_ascii_lowercase().replace(',', " ");
    for word in split_date_and_time(&lower).split_whitespace() {
        parsed.word(word).with_context(|| format!("Could not parse '{text}'"))?;
    }
    parsed.finish(now).with_context(|| format!("Could not parse '{text}'"))
}

/// Turns the `t` between the date and the time of ISO 8601 into a space.
fn split_date_and_time(text: &str) -> String {
    let bytes = text.as_bytes();
    let is_separator = |at: usize| {
        bytes[at] == b't'
            && at > 0
            && bytes[at - 1].is_ascii_digit()
            && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
    };
    text.char_indices().map(|(at, c)| if c == 't' && is_separator(at) { ' ' } else { c }).collect()
}

/// What was read so far.
#[derive(Default)]
struct Parsed {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    time: Option<NaiveTime>,
    zone: Option<FixedOffset>,
    /// A number whose unit is still to come.
    number: Option<Number>,
    relative: Relative,
    /// What the last unit added, which `ago` turns round.
    has_relative: bool,
}

struct Number {
    value: i64,
    digits: usize,
    signed: bool,
}

#[derive(Default, Clone, Copy)]
struct Relative {
    months: i64,
    days: i64,
    secs: i64,
}

impl Parsed {
    fn word(&mut self, word: &str) -> anyhow::Result<()> {
        if let Some(number) = self.number.take() {
            if self.unit(word, number.value) {
                return Ok(());
            }
            if matches!(word, "am" | "pm") {
                let hour = u32::try_from(number.value)?;
                return self.hour_of_half_day(hour, word);
            }
            self.plain_number(&number)?;
        }
        if let Some(month) = month(word) {
            self.month = Some(month);
            return Ok(());
        }
        match word {
            "now" | "today" => self.has_relative = true,
            "yesterday" => self.add(Relative { days: -1, ..Relative::default() }),
            "tomorrow" => self.add(Relative { days: 1, ..Relative::default() }),
            "next" => self.number = Some(Number { value: 1, digits: 0, signed: true }),
            "last" => self.number = Some(Number { value: -1, digits: 0, signed: true }),
            "this" => self.number = Some(Number { value: 0, digits: 0, signed: true }),
            "a" | "an" => self.number = Some(Number { value: 1, digits: 0, signed: true }),
            "ago" => {
                let Relative { months, days, secs } = self.relative;
                self.relative = Relative { months: -months, days: -days, secs: -secs };
            }
            "z" | "utc" | "gmt" => self.zone = FixedOffset::east_opt(0),
            "am" | "pm" => {
                let time = self.time.context("no time before it")?;
                self.hour_of_half_day(chrono::Timelike::hour(&time), word)?;
            }
            _ if is_weekday(word) => {}
            _ if word.contains(':') && !word.starts_with(['+', '-']) => self.clock(word)?,
            _ if word.starts_with(['+', '-']) && self.time.is_some() => self.zone = Some(zone(word)?),
            _ => self.number_or_date(word)?,
        }
        Ok(())
    }

    fn add(&mut self, by: Relative) {
        self.has_relative = true;
        self.relative.months += by.months;
        self.relative.days += by.days;
        self.relative.secs += by.secs;
    }

    /// `3 days`, with the number that stood before; a unit alone counts once.
    fn unit(&mut self, word: &str, n: i64) -> bool {
        let none = Relative::default();
        let by = match word.strip_suffix('s').unwrap_or(word) {
            "year" => Relative { months: n.saturating_mul(12), ..none },
            "month" => Relative { months: n, ..none },
            "fortnight" => Relative { days: n.saturating_mul(14), ..none },
            "week" => Relative { days: n.saturating_mul(7), ..none },
            "day" => Relative { days: n, ..none },
            "hour" => Relative { secs: n.saturating_mul(3600), ..none },
            "minute" | "min" => Relative { secs: n.saturating_mul(60), ..none },
            "second" | "sec" => Relative { secs: n, ..none },
            _ => return false,
        };
        self.add(by);
        true
    }

    fn number_or_date(&mut self, word: &str) -> anyhow::Result<()> {
        if self.unit(word, 1) {
            return Ok(());
        }
        let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
        let parts =
            |separator| -> Option<Vec<u32>> { word.split(separator).map(|p| p.parse().ok()).collect() };
        match (parts('-').as_deref(), parts('/').as_deref()) {
            (Some([y, m, d]), _) | (_, Some([m, d, y])) => {
                (self.year, self.month, self.day) = (Some(i32::try_from(*y)?), Some(*m), Some(*d));
                return Ok(());
            }
            _ => {}
        }
        // `3days`
        let split = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
        let (digits, unit) = word.split_at(word.len() - unsigned.len() + split);
        let value = digits.parse().with_context(|| format!("unknown word '{word}'"))?;
        let number = Number { value, digits: split, signed: unsigned.len() != word.len() };
        match unit {
            "" => self.number = Some(number),
            "th" | "st" | "nd" | "rd" => self.plain_number(&number)?,
            _ if self.unit(unit, value) => {}
            _ => bail!("unknown word '{word}'"),
        }
        Ok(())
    }

    /// A number without a unit: the day of a month, a year, a whole date, or a time.
    fn plain_number(&mut self, number: &Number) -> anyhow::Result<()> {
        let n = u32::try_from(number.value).context("a negative number needs a unit")?;
        match number.digits {
            _ if number.signed => bail!("{n} needs a unit"),
            1 | 2 if self.day.is_none() => self.day = Some(n),
            8 => {
                (self.year, self.month, self.day) =
                    (Some((n / 10000) as i32), Some(n / 100 % 100), Some(n % 100))
            }
            4 if self.year.is_none() && self.month.is_some() => self.year = Some(n as i32),
            4 if self.time.is_none() => self.time = NaiveTime::from_hms_opt(n / 100, n % 100, 0),
            _ => bail!("what is {n}?"),
        }
        Ok(())
    }

    fn hour_of_half_day(&mut self, hour: u32, half: &str) -> anyhow::Result<()> {
        if !(1..=12).contains(&hour) {
            bail!("{hour} {half} is no time");
        }
        let time = self.time.unwrap_or(NaiveTime::MIN);
        let hour = hour % 12 + if half == "pm" { 12 } else { 0 };
        self.time = chrono::Timelike::with_hour(&time, hour);
        Ok(())
    }

    /// `12:43`, `12:43:29`, `12:43:29.5`, with a zone right behind: `12:43:29+02:00`, `12:43:29z`.
    fn clock(&mut self, word: &str) -> anyhow::Result<()> {
        let end = word.find(['+', '-', 'z']).unwrap_or(word.len());
        let (clock, rest) = word.split_at(end);
        let mut parts =
            clock.split(':').map(|part| part.split('.').next().unwrap_or_default().parse::<u32>());
        let mut next = || parts.next().transpose();
        let (hour, minute, second) = (next()?.unwrap_or(0), next()?.unwrap_or(0), next()?.unwrap_or(0));
        self.time = Some(NaiveTime::from_hms_opt(hour, minute, second).context("no such time of day")?);
        match rest {
            "" => {}
            "z" => self.zone = FixedOffset::east_opt(0),
            _ => self.zone = Some(zone(rest)?),
        }
        Ok(())
    }

    fn finish(mut self, now: DateTime<Local>) -> anyhow::Result<i64> {
        if let Some(number) = self.number.take() {
            self.plain_number(&number)?;
        }
        let today = match self.zone {
            Some(zone) => now.with_timezone(&zone).naive_local(),
            None => now.naive_local(),
        };
        let date = match (self.year, self.month, self.day) {
            (None, None, None) if self.time.is_none() && !self.has_relative => bail!("no date in it"),
            (None, None, None) => today.date(),
            (year, Some(month), Some(day)) => {
                NaiveDate::from_ymd_opt(year.unwrap_or(today.year()), month, day).context("no such day")?
            }
            _ => bail!("an incomplete date"),
        };
        let absolute = self.year.is_some() || self.month.is_some();
        let time = self.time.unwrap_or(if absolute { NaiveTime::MIN } else { today.time() });
        let moved = self.relative.apply(date).context("out of range")?.and_time(time);
        let secs = match self.zone {
            Some(zone) => zone.from_local_datetime(&moved).earliest().map(|t| t.timestamp()),
            None => Local.from_local_datetime(&moved).earliest().map(|t| t.timestamp()),
        };
        let secs = secs.context("no such local time")?;
        secs.checked_add(self.relative.secs).context("out of range")
    }
}

impl Relative {
    fn apply(self, date: NaiveDate) -> Option<NaiveDate> {
        let months = Months::new(u32::try_from(self.months.unsigned_abs()).ok()?);
        let days = Days::new(self.days.unsigned_abs());
        TimeDelta::try_seconds(self.secs)?;
        let date = match self.months < 0 {
            true => date.checked_sub_months(months)?,
            false => date.checked_add_months(months)?,
        };
        if self.days < 0 { date.checked_sub_days(days) } else { date.checked_add_days(days) }
    }
}

fn month(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.trim_end_matches('.');
    let short = |name: &str| word.len() >= 3 && name.starts_with(word);
    MONTHS.iter().position(|name| short(name)).and_then(|at| u32::try_from(at + 1).ok())
}

fn is_weekday(word: &str) -> bool {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let word = word.trim_end_matches('.');
    word.len() >= 3 && DAYS.iter().any(|name| name.starts_with(word))
}

/// `+0200`, `+02:00`, `+02`
fn zone(word: &str) -> anyhow::Result<FixedOffset> {
    let digits: String = word.chars().filter(char::is_ascii_digit).collect();
    let n: i32 = digits.parse().context("no such time zone")?;
    let minutes = if digits.len() <= 2 { n * 60 } else { n / 100 * 60 + n % 100 };
    let sign = if word.starts_with('-') { -60 } else { 60 };
    FixedOffset::east_opt(sign * minutes).context("no such time zone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_date_reads_them() {
        // `TZ=UTC date +%s -d …`; zones are given, so that the local one does not matter.
        let now = Local::now();
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
            assert_eq!(parse(text, now).unwrap(), secs, "{text}");
        }
        let day = 24 * 3600;
        let ago = |text| now.timestamp() - parse(text, now).unwrap();
        assert_eq!(ago("now"), 0);
        assert!((ago("1 week ago") - 7 * day).abs() <= 3600);
        assert!((ago("yesterday") - day).abs() <= 3600);
        assert_eq!(ago("3 hours ago"), 3 * 3600);
        assert_eq!(ago("2hours"), -2 * 3600);
        let midnight = Local.with_ymd_and_hms(1985, 10, 25, 0, 0, 0).unwrap().timestamp();
        assert_eq!(parse("October 25 1985", now).unwrap(), midnight);
        for bad in ["", "BACON", "1985-13-01", "October", "25:00", "@x"] {
            assert!(parse(bad, now).is_err(), "{bad}");
        }
    }
}
