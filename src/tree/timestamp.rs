//! Instants with their offset, as text (format.md §5.3).

use std::fmt;

/// A calendar time with UTC offset, kept as it was written: year 0–9999, nanoseconds, offset in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timestamp {
    pub(crate) year: u16,
    pub(crate) month: u8,
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
    /// 0–999,999,999.
    pub(crate) nanosecond: u32,
    /// East of Greenwich.
    pub(crate) offset_minutes: i16,
}

/// Why a text is no timestamp; displays the reference's wording, which quotes the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseTimestampError {
    text: String,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    /// What is left of the text, and the element expected there.
    Expected {
        rest: String,
        element: &'static str,
    },
    OutOfRange(&'static str),
    Extra(String),
}

impl fmt::Display for ParseTimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Problem::Expected { rest, element } => write!(
                f,
                "parsing time {:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {rest:?} as {element:?}",
                self.text
            ),
            Problem::OutOfRange(what) => write!(f, "parsing time {:?}: {what} out of range", self.text),
            Problem::Extra(rest) => write!(f, "parsing time {:?}: extra text: {rest:?}", self.text),
        }
    }
}

impl std::error::Error for ParseTimestampError {}

impl Timestamp {
    /// This moment in UTC, whole seconds.
    pub fn now() -> Self {
        let now = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now());
        Self {
            year: now.year().clamp(0, 9999) as u16,
            month: now.month() as u8,
            day: now.day() as u8,
            hour: now.hour() as u8,
            minute: now.minute() as u8,
            second: now.second() as u8,
            nanosecond: 0,
            offset_minutes: 0,
        }
    }

    /// Reads RFC 3339, leniently: one-digit hours and a comma before the fraction are fine (format.md §5.3).
    pub fn parse(text: &str) -> Result<Self, ParseTimestampError> {
        Reader { text, rest: text.as_bytes() }.timestamp()
    }

    /// Whether this day exists.
    pub fn is_day(year: u16, month: u8, day: u8) -> bool {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        (1..=days).contains(&day)
    }

    /// RFC 3339 without the fraction: `lastmodified`, `created_at`, dotenv and INI.
    pub fn whole_seconds(&self) -> String {
        Self { nanosecond: 0, ..*self }.to_string()
    }
}

impl Timestamp {
    /// Whether the offset is less than a day. The reference reads one of 24 hours and can neither write nor decrypt it.
    pub(super) fn has_usual_offset(&self) -> bool {
        self.offset_minutes.unsigned_abs() < 24 * 60
    }
}

/// RFC 3339 with as much of a fraction as is needed; offset 0 is `Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second, .. } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if self.nanosecond != 0 {
            let digits = format!("{:09}", self.nanosecond);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        match self.offset_minutes {
            0 => f.write_str("Z"),
            offset => {
                let sign = if offset < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", offset.unsigned_abs() / 60, offset.unsigned_abs() % 60)
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a [u8],
}

impl Reader<'_> {
    fn timestamp(mut self) -> Result<Timestamp, ParseTimestampError> {
        let year = self.digits(4, 4, "2006")?;
        self.literal(b'-', "-")?;
        let month = self.digits(2, 2, "01")?;
        self.range(month, 1..=12, "month")?;
        self.literal(b'-', "-")?;
        let day = self.digits(2, 2, "02")?;
        self.literal(b'T', "T")?;
        let hour = self.digits(1, 2, "15")?;
        self.range(hour, 0..=23, "hour")?;
        self.literal(b':', ":")?;
        let minute = self.digits(2, 2, "04")?;
        self.range(minute, 0..=59, "minute")?;
        self.literal(b':', ":")?;
        let second = self.digits(2, 2, "05")?;
        self.range(second, 0..=59, "second")?;
        let nanosecond = self.fraction();
        let offset_minutes = self.offset()?;
        if !self.rest.is_empty() {
            return Err(self.error(Problem::Extra(String::from_utf8_lossy(self.rest).into_owned())));
        }
        if !Timestamp::is_day(year as u16, month as u8, day as u8) {
            return Err(self.error(Problem::OutOfRange("day")));
        }
        Ok(Timestamp {
            year: year as u16,
            month: month as u8,
            day: day as u8,
            hour: hour as u8,
            minute: minute as u8,
            second: second as u8,
            nanosecond,
            offset_minutes,
        })
    }

    fn error(&self, problem: Problem) -> ParseTimestampError {
        ParseTimestampError { text: self.text.to_owned(), problem }
    }

    fn expected(&self, element: &'static str) -> ParseTimestampError {
        let rest = String::from_utf8_lossy(self.rest).into_owned();
        self.error(Problem::Expected { rest, element })
    }

    fn range(
        &self,
        value: u32,
        range: std::ops::RangeInclusive<u32>,
        what: &'static str,
    ) -> Result<(), ParseTimestampError> {
        if range.contains(&value) { Ok(()) } else { Err(self.error(Problem::OutOfRange(what))) }
    }

    fn literal(&mut self, byte: u8, element: &'static str) -> Result<(), ParseTimestampError> {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(self.expected(element)),
        }
    }

    fn digits(
        &mut self,
        least: usize,
        most: usize,
        element: &'static str,
    ) -> Result<u32, ParseTimestampError> {
        let count = self.rest.iter().take(most).take_while(|b| b.is_ascii_digit()).count();
        if count < least {
            return Err(self.expected(element));
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')))
    }

    /// Nanoseconds of `.ddd` or `,ddd`; further digits are cut off.
    fn fraction(&mut self) -> u32 {
        let Some((b'.' | b',', rest)) = self.rest.split_first() else { return 0 };
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return 0;
        }
        self.rest = &rest[count..];
        nanoseconds(&rest[..count])
    }

    fn offset(&mut self) -> Result<i16, ParseTimestampError> {
        if let Some((b'Z', rest)) = self.rest.split_first() {
            self.rest = rest;
            return Ok(0);
        }
        let error = self.expected("Z07:00");
        let &[sign @ (b'+' | b'-'), h1, h2, b':', m1, m2, ..] = self.rest else { return Err(error) };
        if ![h1, h2, m1, m2].iter().all(u8::is_ascii_digit) {
            return Err(error);
        }
        let number = |a: u8, b: u8| i16::from(a - b'0') * 10 + i16::from(b - b'0');
        let (hours, minutes) = (number(h1, h2), number(m1, m2));
        if hours > 24 {
            return Err(self.error(Problem::OutOfRange("time zone offset hour")));
        }
        if minutes > 59 {
            return Err(self.error(Problem::OutOfRange("time zone offset minute")));
        }
        self.rest = &self.rest[6..];
        let offset = hours * 60 + minutes;
        Ok(if sign == b'-' { -offset } else { offset })
    }
}

/// The first nine digits of a fraction as nanoseconds.
pub(crate) fn nanoseconds(digits: &[u8]) -> u32 {
    (0..9).fold(0, |n, i| n * 10 + u32::from(digits.get(i).map_or(0, |d| d - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_was_read() {
        for text in ["2020-01-02T03:04:05Z", "2020-01-02T03:04:05.6789+01:00", "0000-02-29T23:59:59.1-23:30"]
        {
            assert_eq!(Timestamp::parse(text).map(|t| t.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn lenient_spellings_are_brought_to_the_usual_one() {
        for (text, usual) in [
            ("2020-01-02T3:04:05Z", "2020-01-02T03:04:05Z"),
            ("2020-01-02T03:04:05,1234567899Z", "2020-01-02T03:04:05.123456789Z"),
            ("2020-01-02T03:04:05+00:00", "2020-01-02T03:04:05Z"),
        ] {
            assert_eq!(Timestamp::parse(text).map(|t| t.to_string()).as_deref(), Ok(usual));
        }
        assert_eq!(
            Timestamp::parse("2020-01-02T03:04:05.5Z").map(|t| t.whole_seconds()).as_deref(),
            Ok("2020-01-02T03:04:05Z")
        );
    }

    #[test]
    fn errors_say_where_reading_stopped() {
        let message = |text| Timestamp::parse(text).expect_err(text).to_string();
        assert_eq!(
            message(""),
            r#"parsing time "" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006""#
        );
        assert_eq!(
            message("2020-01-02 03:04:05Z"),
            r#"parsing time "2020-01-02 03:04:05Z" as "2006-01-02T15:04:05Z07:00": cannot parse " 03:04:05Z" as "T""#
        );
        assert_eq!(
            message("2020-02-30T00:00:00Z"),
            r#"parsing time "2020-02-30T00:00:00Z": day out of range"#
        );
        assert_eq!(
            message("2020-02-01T00:00:00Zx"),
            r#"parsing time "2020-02-01T00:00:00Zx": extra text: "x""#
        );
    }
}
