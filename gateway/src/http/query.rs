//! What stands in URLs below `/live`: the delivery directives of RFC 8216bis §6.2.5, and the names of media files.
//! Pure, and made for bytes from strangers: whatever does not fit exactly is refused, nothing is guessed.

/// The delivery directives of a playlist request (RFC 8216bis §6.2.5).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reload {
    /// `_HLS_msn`: answer only when the playlist contains this segment.
    pub msn: Option<u64>,
    /// `_HLS_part`: answer already when it contains this part of that segment. Never without `msn`.
    pub part: Option<u32>,
    /// `_HLS_skip`: a playlist delta update is welcome.
    pub skip: bool,
}

/// Reads the directives from a raw query (without `?`). Parameters that are not directives are ignored; a directive
/// that is malformed, given twice or incomplete is refused with a sentence that says so.
pub fn reload(query: &str) -> Result<Reload, &'static str> {
    let mut reload = Reload::default();
    let mut skip = false;
    for (key, value) in pairs(query) {
        match key {
            "_HLS_msn" => {
                let msn = number(value).ok_or("_HLS_msn is not a number of at most 64 bits")?;
                once(&mut reload.msn, msn)?;
            }
            "_HLS_part" => {
                let part = number(value).and_then(|part| u32::try_from(part).ok());
                once(
                    &mut reload.part,
                    part.ok_or("_HLS_part is not a number of at most 32 bits")?,
                )?;
            }
            "_HLS_skip" => {
                if std::mem::replace(&mut skip, true) {
                    return Err(TWICE);
                }
                // `v2` also leaves out date ranges, of which there are none.
                reload.skip = match value {
                    "YES" | "v2" => true,
                    _ => return Err("_HLS_skip is neither YES nor v2"),
                };
            }
            _ => {}
        }
    }
    // "A Client MUST NOT specify the _HLS_part directive without also specifying the _HLS_msn directive."
    if reload.part.is_some() && reload.msn.is_none() {
        return Err("_HLS_part needs _HLS_msn");
    }
    Ok(reload)
}

/// Whether `key=1` stands in a raw query.
pub fn flag(query: &str, key: &str) -> bool {
    value(query, key) == Some("1")
}

/// The first value of `key` in a raw query, as it stands there.
pub fn value<'a>(query: &'a str, key: &str) -> Option<&'a str> {
    pairs(query)
        .find(|(found, _)| *found == key)
        .map(|(_, value)| value)
}

/// A media file of a rendition, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// `init-{number}.mp4`
    Init(u32),
    /// `{msn}.m4s`
    Segment(u64),
    /// `{msn}.{part}.m4s`
    Part(u64, u32),
}

/// Reads the last path segment of a media URL. Each file has one name: `007.m4s` is none.
pub fn file(name: &str) -> Option<File> {
    if let Some(number) = name
        .strip_prefix("init-")
        .and_then(|rest| rest.strip_suffix(".mp4"))
    {
        return u32::try_from(canonical(number)?).ok().map(File::Init);
    }
    let numbers = name.strip_suffix(".m4s")?;
    match numbers.split_once('.') {
        None => canonical(numbers).map(File::Segment),
        Some((msn, part)) => Some(File::Part(
            canonical(msn)?,
            u32::try_from(canonical(part)?).ok()?,
        )),
    }
}

const TWICE: &str = "a delivery directive is given twice";

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), &'static str> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(TWICE),
    }
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// A decimal-integer (RFC 8216bis §4.2): digits alone, no sign.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A number as we write it: no zeros in front.
fn canonical(text: &str) -> Option<u64> {
    number(text).filter(|_| text == "0" || !text.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn directives_are_read_in_any_order_and_strangers_are_ignored() {
        let all = Reload {
            msn: Some(7),
            part: Some(3),
            skip: true,
        };
        assert_eq!(reload("_HLS_msn=7&_HLS_part=3&_HLS_skip=YES"), Ok(all));
        assert_eq!(
            reload("cmcd=x&_HLS_skip=v2&&_HLS_part=3&audio&_HLS_msn=7&="),
            Ok(all)
        );
        assert_eq!(reload(""), Ok(Reload::default()));
        assert_eq!(
            reload("_HLS_msn=18446744073709551615").unwrap().msn,
            Some(u64::MAX)
        );
    }

    #[test]
    fn wrong_directives_are_refused() {
        for query in [
            "_HLS_part=1",
            "_HLS_msn=",
            "_HLS_msn",
            "_HLS_msn=-1",
            "_HLS_msn=+1",
            "_HLS_msn=1.0",
            "_HLS_msn=0x1",
            "_HLS_msn= 1",
            "_HLS_msn=%31",
            "_HLS_msn=١",
            "_HLS_msn=18446744073709551616",
            "_HLS_msn=1&_HLS_part=4294967296",
            "_HLS_msn=1&_HLS_msn=1",
            "_HLS_msn=1&_HLS_part=1&_HLS_part=2",
            "_HLS_skip=NO",
            "_HLS_skip=YES&_HLS_skip=YES",
        ] {
            assert!(reload(query).is_err(), "{query}");
        }
    }

    #[test]
    fn flags_and_values() {
        assert!(flag("x=2&audio=1", "audio"));
        assert!(!flag("audio=0", "audio") && !flag("audio", "audio") && !flag("xaudio=1", "audio"));
        assert_eq!(value("a=1&format=raw&format=car", "format"), Some("raw"));
    }

    #[test]
    fn files_have_one_name_each() {
        assert_eq!(file("12.3.m4s"), Some(File::Part(12, 3)));
        assert_eq!(file("0.0.m4s"), Some(File::Part(0, 0)));
        assert_eq!(file("12.m4s"), Some(File::Segment(12)));
        assert_eq!(file("init-0.mp4"), Some(File::Init(0)));
        for name in [
            "",
            ".m4s",
            "..m4s",
            "1..m4s",
            ".1.m4s",
            "1.2.3.m4s",
            "01.m4s",
            "1.00.m4s",
            "-1.m4s",
            "+1.m4s",
            "1.m4S",
            "1.mp4",
            "init-.mp4",
            "init-01.mp4",
            "init-1.m4s",
            "init-4294967296.mp4",
            "1.4294967296.m4s",
            "１.m4s",
            "18446744073709551616.m4s",
            "1.2.m4s\0",
            "../1.m4s",
        ] {
            assert_eq!(file(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,200}") {
            let _ = (reload(&text), file(&text), flag(&text, "audio"));
        }

        #[test]
        fn what_we_write_we_read(msn: u64, part: u32) {
            prop_assert_eq!(file(&format!("{msn}.{part}.m4s")), Some(File::Part(msn, part)));
            let read = reload(&format!("_HLS_msn={msn}&_HLS_part={part}"));
            prop_assert_eq!(read, Ok(Reload { msn: Some(msn), part: Some(part), skip: false }));
        }
    }
}
