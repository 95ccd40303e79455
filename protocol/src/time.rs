//! Durations and points in time as playlists and file names write them.

use std::fmt;

/// Microseconds, shown as seconds with six decimals.
pub struct Seconds(pub u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Microseconds since the Unix epoch, shown as ISO 8601 in UTC with milliseconds.
pub struct DateTime(pub u64);

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (second, millisecond) = (self.0 / 1_000_000, self.0 / 1000 % 1000);
        let (year, month, day) = civil_date(second / 86_400);
        let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z"
        )
    }
}

/// Year, month and day in the Gregorian calendar of a day counted from 1970-01-01.
pub fn civil_date(mut day: u64) -> (u64, u64, u64) {
    let leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    // Years and months are walked, in eras of 400 years that are all 146,097 days long.
    let mut year = 1970 + day / 146_097 * 400;
    day %= 146_097;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if day < length {
            break;
        }
        day -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}

/// The day, counted from 1970-01-01, of a year (1970 to 9999), month and day in the Gregorian calendar; `None` for what is
/// none. The 31st of a shorter month is the day that it would be.
pub fn day_of(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Counted from 1 March of year 0, so that a leap day is the last of its year.
    let month_of_march_year = (month + 9) % 12;
    let year = year - u64::from(month <= 2);
    let day_of_year = (153 * month_of_march_year + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year;
    days.checked_sub(719_468)
}

/// Reads back what [`DateTime`] writes: microseconds since the Unix epoch, whole milliseconds.
pub(crate) fn parse_date_time(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let marks = [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (19, b'.'),
        (23, b'Z'),
    ];
    if bytes.len() != 24 || !text.is_ascii() || marks.iter().any(|&(at, mark)| bytes[at] != mark) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        let digits = &text[range];
        let all = digits.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| digits.parse::<u64>().ok()).flatten()
    };
    let day = day_of(number(0..4)?, number(5..7)?, number(8..10)?)?;
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = ((day * 24 + hour) * 60 + minute) * 60 + second;
    Some((seconds * 1000 + number(20..23)?) * 1000)
}
