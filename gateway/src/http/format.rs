//! What a request to `/ipfs` wants back: the content, a raw block or a CAR (Trustless Gateway specification; IPIP-402,
//! IPIP-412). Pure.

use std::ops::Range;

use super::query;

/// The form of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    /// Files as files, directories as pages.
    Content,
    /// `application/vnd.ipld.raw`
    Raw,
    /// `application/vnd.ipld.car`
    Car(Scope),
}

/// Which blocks a CAR holds below what the path names (`dag-scope`, `entity-bytes`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// That block alone.
    Block,
    /// A file with all its blocks, or those with these of its bytes; of a directory its own block.
    Entity(Option<Bytes>),
    /// Everything.
    All,
}

/// `entity-bytes=from:to`, both inclusive; negative ones count from the end, `None` is `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes {
    from: i64,
    to: Option<i64>,
}

impl Bytes {
    /// The range in a file of `length` bytes; empty if it lies outside.
    pub(super) fn of(self, length: u64) -> Range<u64> {
        let place = |at: i64| match at {
            0.. => at as u64,
            _ => length.saturating_sub(at.unsigned_abs()),
        };
        let end = self.to.map_or(length, |to| match to {
            // One from the end is the last byte.
            ..0 => (length + 1).saturating_sub(to.unsigned_abs()),
            _ => place(to).saturating_add(1),
        });
        let start = place(self.from).min(length);
        start..end.clamp(start, length)
    }
}

/// Why there is no such form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// 400
    Malformed(&'static str),
    /// 406
    NotAcceptable(&'static str),
}

use Refused::{Malformed, NotAcceptable};

const UNKNOWN: Refused =
    NotAcceptable("this gateway gives the content itself, raw blocks and CARs (version 1) only");

/// The form that the query or, without `format` in it, the `Accept` header asks for.
pub(super) fn wanted(query: &str, accept: &str) -> Result<Format, Refused> {
    match query::value(query, "format") {
        Some("raw") => return Ok(Format::Raw),
        Some("car") => return car(query, ""),
        Some(_) => return Err(UNKNOWN),
        None => {}
    }
    let mut ipld = None;
    for item in accept.split(',').map(str::trim) {
        let (media_type, parameters) = item.split_once(';').unwrap_or((item, ""));
        match media_type.trim().to_ascii_lowercase().as_str() {
            "application/vnd.ipld.raw" => return Ok(Format::Raw),
            "application/vnd.ipld.car" => return car(query, parameters),
            other if other.starts_with("application/vnd.ip") => ipld = Some(UNKNOWN),
            // Whoever takes anything else as well gets the content.
            "" => {}
            _ => return Ok(Format::Content),
        }
    }
    ipld.map_or(Ok(Format::Content), Err)
}

fn car(query: &str, parameters: &str) -> Result<Format, Refused> {
    for parameter in parameters.split(';').map(str::trim) {
        match parameter.split_once('=') {
            Some(("version", version)) if version != "1" => return Err(UNKNOWN),
            Some(("order", order)) if !matches!(order, "dfs" | "unk") => {
                return Err(NotAcceptable("blocks of a CAR are in the order dfs here"));
            }
            _ => {}
        }
    }
    if query::value(query, "car-version").is_some_and(|version| version != "1") {
        return Err(Malformed("car-version is not 1"));
    }
    if query::value(query, "car-order").is_some_and(|order| !matches!(order, "dfs" | "unk")) {
        return Err(Malformed("car-order is neither dfs nor unk"));
    }
    let bytes = query::value(query, "entity-bytes")
        .map(entity_bytes)
        .transpose()?;
    Ok(Format::Car(match query::value(query, "dag-scope") {
        Some("block") => Scope::Block,
        Some("entity") => Scope::Entity(bytes),
        // "entity-bytes … implies dag-scope=entity"
        None if bytes.is_some() => Scope::Entity(bytes),
        Some("all") | None => Scope::All,
        Some(_) => return Err(Malformed("dag-scope is none of block, entity and all")),
    }))
}

fn entity_bytes(text: &str) -> Result<Bytes, Refused> {
    let malformed = Malformed("entity-bytes is not FROM:TO with whole numbers, TO may be *");
    let (from, to) = text.split_once(':').ok_or(malformed)?;
    let from: i64 = from.parse().map_err(|_| malformed)?;
    let to = match to {
        "*" => None,
        _ => Some(to.parse::<i64>().map_err(|_| malformed)?),
    };
    // With the same sign it can be told without the file that there is nothing between them.
    if to.is_some_and(|to| to < from && (to < 0) == (from < 0)) {
        return Err(malformed);
    }
    Ok(Bytes { from, to })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAR: &str = "application/vnd.ipld.car";

    #[test]
    fn the_query_goes_before_the_header() {
        assert_eq!(wanted("", ""), Ok(Format::Content));
        assert_eq!(wanted("", "text/html,*/*;q=0.8"), Ok(Format::Content));
        assert_eq!(wanted("", "application/vnd.ipld.raw"), Ok(Format::Raw));
        assert_eq!(wanted("", "application/vnd.ipld.raw, */*"), Ok(Format::Raw));
        assert_eq!(wanted("format=raw", CAR), Ok(Format::Raw));
        assert_eq!(
            wanted("format=car", "application/vnd.ipld.raw"),
            Ok(Format::Car(Scope::All))
        );
        assert_eq!(
            wanted("", "application/vnd.ipld.car; version=1; order=dfs; dups=y"),
            Ok(Format::Car(Scope::All))
        );
        assert_eq!(
            wanted("", "application/vnd.ipld.dag-json, text/html"),
            Ok(Format::Content)
        );
    }

    #[test]
    fn forms_that_do_not_exist_here_are_not_acceptable() {
        for (query, accept) in [
            ("format=tar", ""),
            ("format=", ""),
            ("format=ipns-record", ""),
            ("", "application/vnd.ipld.dag-json"),
            ("", "application/vnd.ipfs.ipns-record"),
            ("", "application/vnd.ipld.car;version=2"),
            ("", "application/vnd.ipld.car;order=bfs"),
        ] {
            assert!(
                matches!(wanted(query, accept), Err(NotAcceptable(_))),
                "{query} {accept}"
            );
        }
    }

    #[test]
    fn scopes() {
        let entity = |from, to| Ok(Format::Car(Scope::Entity(Some(Bytes { from, to }))));
        assert_eq!(
            wanted("format=car&dag-scope=block", ""),
            Ok(Format::Car(Scope::Block))
        );
        assert_eq!(
            wanted("dag-scope=entity", CAR),
            Ok(Format::Car(Scope::Entity(None)))
        );
        assert_eq!(wanted("entity-bytes=0:99", CAR), entity(0, Some(99)));
        assert_eq!(
            wanted("dag-scope=entity&entity-bytes=-5:*", CAR),
            entity(-5, None)
        );
        for query in [
            "dag-scope=x",
            "dag-scope=",
            "car-version=2",
            "car-order=x",
            "entity-bytes=",
            "entity-bytes=5",
            "entity-bytes=5:4",
            "entity-bytes=-4:-5",
            "entity-bytes=a:b",
            "entity-bytes=0:99999999999999999999",
            "entity-bytes=*:1",
        ] {
            assert!(matches!(wanted(query, CAR), Err(Malformed(_))), "{query}");
        }
    }

    #[test]
    fn entity_bytes_are_inclusive_and_may_count_from_the_end() {
        let of = |from, to| Bytes { from, to }.of(100);
        assert_eq!(of(0, Some(9)), 0..10);
        assert_eq!(of(90, None), 90..100);
        assert_eq!(of(-10, None), 90..100);
        assert_eq!(of(-10, Some(-1)), 90..100);
        assert_eq!(of(0, Some(-91)), 0..10);
        assert_eq!(of(50, Some(500)), 50..100);
        assert!(of(200, Some(300)).is_empty() && of(-1, Some(5)).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_panics(query in ".{0,100}", accept in ".{0,100}") {
            let _ = wanted(&query, &accept);
        }

        #[test]
        fn every_range_lies_inside(from: i64, to in proptest::option::of(any::<i64>()), length in 0..u64::MAX / 2) {
            let range = Bytes { from, to }.of(length);
            prop_assert!(range.start <= range.end && range.end <= length);
        }
    }
}
