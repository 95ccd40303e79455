//! Conditional and range requests (RFC 9110 §13, §14), as pure functions of headers.

use std::ops::Range;

use axum::http::{HeaderMap, header};

/// What a request wants of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: no range, or one that is malformed or of another unit ("MUST ignore", §14.2).
    Whole,
    /// These bytes of it: 206. Of several ranges the first that it has (§15.3.7 lets a server send a part of them).
    Bytes(Range<u64>),
    /// Bytes that it does not have: 416.
    Unsatisfiable,
}

/// Reads a `Range` header for a body of `length` bytes.
pub fn wanted(header: &str, length: u64) -> Wanted {
    parse(header, length).unwrap_or(Wanted::Whole)
}

fn parse(header: &str, length: u64) -> Option<Wanted> {
    let (unit, range) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    // One that is malformed spoils them all.
    let ranges: Option<Vec<_>> = range.split(',').map(|range| one(range, length)).collect();
    let mut there = ranges?
        .into_iter()
        .filter(|range| *range != Wanted::Unsatisfiable);
    Some(there.next().unwrap_or(Wanted::Unsatisfiable))
}

/// `FIRST-LAST`, `FIRST-` or `-LENGTH`.
fn one(range: &str, length: u64) -> Option<Wanted> {
    let (first, last) = range.trim().split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?.min(length);
        return Some(if suffix == 0 {
            Wanted::Unsatisfiable
        } else {
            Wanted::Bytes(length - suffix..length)
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        number(last)?
    };
    if last < first {
        return None;
    }
    if first >= length {
        return Some(Wanted::Unsatisfiable);
    }
    Some(Wanted::Bytes(first..last.saturating_add(1).min(length)))
}

/// Digits alone. More than 64 bits of them are as good as the largest number: such bytes do not exist either.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Whether a client has what `etag` names already: 304.
pub(super) fn is_known(request: &HeaderMap, etag: &str) -> bool {
    let tags = request
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok());
    tags.is_some_and(|tags| none_match_names(tags, etag))
}

/// Whether `If-None-Match` names `etag` (given with its quotes): 304. Compared weakly (RFC 9110 §13.1.2).
pub fn none_match_names(header: &str, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let etag = opaque(etag);
    header
        .split(',')
        .any(|tag| tag.trim() == "*" || opaque(tag) == etag)
}

/// Whether `If-Range` allows the range: only the very same strong tag does (RFC 9110 §13.1.5).
pub fn if_range_allows(header: &str, etag: &str) -> bool {
    !etag.starts_with("W/") && header.trim() == etag
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn single_ranges() {
        assert_eq!(wanted("bytes=0-0", 10), Wanted::Bytes(0..1));
        assert_eq!(wanted("bytes=2-", 10), Wanted::Bytes(2..10));
        assert_eq!(wanted("Bytes=2-99", 10), Wanted::Bytes(2..10));
        assert_eq!(wanted("bytes=-3", 10), Wanted::Bytes(7..10));
        assert_eq!(wanted("bytes=-99", 10), Wanted::Bytes(0..10));
        assert_eq!(
            wanted("bytes=0-99999999999999999999999", 10),
            Wanted::Bytes(0..10)
        );
    }

    #[test]
    fn of_several_the_first() {
        assert_eq!(wanted("bytes=3-4, 0-1", 10), Wanted::Bytes(3..5));
        assert_eq!(wanted("bytes=-2,0-1,5-", 10), Wanted::Bytes(8..10));
        assert_eq!(wanted("bytes=10-,0-1", 10), Wanted::Bytes(0..2));
        assert_eq!(wanted("bytes=10-,11-12", 10), Wanted::Unsatisfiable);
    }

    #[test]
    fn bytes_that_are_not_there() {
        for header in [
            "bytes=10-",
            "bytes=10-11",
            "bytes=-0",
            "bytes=99999999999999999999999-",
        ] {
            assert_eq!(wanted(header, 10), Wanted::Unsatisfiable, "{header}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn whatever_is_no_single_range_gets_the_whole() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=1",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=0-1,x",
            "bytes=0-1,4-3",
            "bytes=0-1,",
            "parts=0-1",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=0x0-1",
            "bytes=0-1;x",
        ] {
            assert_eq!(wanted(header, 10), Wanted::Whole, "{header}");
        }
    }

    #[test]
    fn tags() {
        assert!(none_match_names(r#""a""#, r#""a""#) && none_match_names("*", r#""a""#));
        assert!(
            none_match_names(r#""b", W/"a""#, r#""a""#) && none_match_names(r#""a""#, r#"W/"a""#)
        );
        assert!(!none_match_names(r#""ab""#, r#""a""#) && !none_match_names("a", r#""a""#));
        assert!(if_range_allows(r#""a""#, r#""a""#));
        assert!(
            !if_range_allows(r#"W/"a""#, r#"W/"a""#)
                && !if_range_allows("Sat, 21 Nov 2026", r#""a""#)
        );
    }

    proptest! {
        #[test]
        fn every_range_lies_inside(header in "bytes=[0-9]{0,20}-[0-9]{0,20}(,[0-9]-)?|.{0,60}", length: u64) {
            if let Wanted::Bytes(range) = wanted(&header, length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}
