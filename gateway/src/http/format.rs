//! What a request to `/ipfs` wants back: the content, a raw block or a CAR (Trustless Gateway specification; IPIP-402,
//! IPIP-412). Pure.

use std::{fmt, ops::Range};

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
    /// Whether they all lie behind a file of `length` bytes: "a Gateway SHOULD return an HTTP 400".
    pub(super) fn are_outside(self, length: u64) -> bool {
        length > 0 && u64::try_from(self.from).is_ok_and(|from| from >= length)
    }

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

impl fmt::Display for Scope {
    /// As an `ETag` tells it from others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block => f.write_str("block"),
            Self::All => f.write_str("all"),
            Self::Entity(None) => f.write_str("entity"),
            Self::Entity(Some(Bytes { from, to: None })) => write!(f, "entity.{from}:*"),
            Self::Entity(Some(Bytes { from, to: Some(to) })) => write!(f, "entity.{from}:{to}"),
        }
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
        // What else is asked of a CAR may stand in the header all the same (IPIP-523).
        Some("car") => {
            let cars = media_types(accept).filter(|(media_type, _)| media_type == CAR);
            let asked: Vec<_> = cars.map(|(_, parameters)| parameters).collect();
            return match asked[..] {
                [] => car(query, ""),
                _ => first_of(asked.into_iter().map(|parameters| car(query, parameters))),
            };
        }
        Some(_) => return Err(UNKNOWN),
        None => {}
    }
    let mut refused = None;
    for (media_type, parameters) in media_types(accept) {
        match media_type.as_str() {
            RAW => return Ok(Format::Raw),
            CAR => match car(query, parameters) {
                // A list of preferences: the next may do.
                Err(why @ NotAcceptable(_)) => refused = refused.or(Some(why)),
                answer => return answer,
            },
            other if other.starts_with("application/vnd.ip") => refused = refused.or(Some(UNKNOWN)),
            "" => {}
            // Whoever takes anything else as well gets the content.
            _ => return Ok(Format::Content),
        }
    }
    refused.map_or(Ok(Format::Content), Err)
}

const RAW: &str = "application/vnd.ipld.raw";
const CAR: &str = "application/vnd.ipld.car";

/// Media types of an `Accept` header, in lower case, each with its parameters.
fn media_types(accept: &str) -> impl Iterator<Item = (String, &str)> {
    accept.split(',').map(|item| {
        let (media_type, parameters) = item.split_once(';').unwrap_or((item, ""));
        (media_type.trim().to_ascii_lowercase(), parameters)
    })
}

/// The first answer that is none of "not acceptable", else the first.
fn first_of(mut answers: impl Iterator<Item = Result<Format, Refused>>) -> Result<Format, Refused> {
    let first = answers.next().unwrap_or(Err(UNKNOWN));
    if !matches!(first, Err(NotAcceptable(_))) {
        return first;
    }
    answers
        .find(|answer| !matches!(answer, Err(NotAcceptable(_))))
        .unwrap_or(first)
}

/// A CAR as asked for: `car-…` in the query go before the parameters of the header. Duplicates are sent whatever `dups`
/// says, which the answer's media type tells.
fn car(query: &str, parameters: &str) -> Result<Format, Refused> {
    let version = query::value(query, "car-version");
    let order = query::value(query, "car-order");
    for parameter in parameters.split(';').map(str::trim) {
        match parameter.split_once('=') {
            Some(("version", asked)) if version.is_none() && asked != "1" => return Err(UNKNOWN),
            Some(("order", asked)) if order.is_none() && !matches!(asked, "dfs" | "unk") => {
                return Err(NotAcceptable("blocks of a CAR are in the order dfs here"));
            }
            _ => {}
        }
    }
    if version.is_some_and(|version| version != "1") {
        return Err(Malformed("car-version is not 1"));
    }
    if order.is_some_and(|order| !matches!(order, "dfs" | "unk")) {
        return Err(Malformed("car-order is neither dfs nor unk"));
    }
    if query::value(query, "car-dups").is_some_and(|dups| !matches!(dups, "y" | "n")) {
        return Err(Malformed("car-dups is neither y nor n"));
    }
    let bytes = query::value(query, "entity-bytes")
        .map(entity_bytes)
        .transpose()?;
    Ok(Format::Car(match query::value(query, "dag-scope") {
        Some("block") => Scope::Block,
        Some("entity") => Scope::Entity(bytes),
        // "It implies dag-scope=entity".
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
    fn the_header_says_more_of_a_car_and_the_query_goes_before_it() {
        let all = Ok(Format::Car(Scope::All));
        let bfs = "application/vnd.ipld.car;order=bfs";
        for (query, accept) in [
            ("format=car", "application/vnd.ipld.car; order=unk; dups=n"),
            ("format=car&car-order=dfs", bfs),
            ("car-order=unk&car-version=1&car-dups=y", bfs),
            (
                "format=car",
                "application/vnd.ipld.car;order=bfs, application/vnd.ipld.car",
            ),
            (
                "",
                "application/vnd.ipld.car;order=bfs, application/vnd.ipld.car;order=dfs;q=0.5",
            ),
            ("format=car", "application/vnd.ipld.raw;order=bfs"),
        ] {
            assert_eq!(wanted(query, accept), all, "{query} {accept}");
        }
        let preferred = "application/vnd.ipld.car;order=bfs, application/vnd.ipld.raw";
        assert_eq!(wanted("", preferred), Ok(Format::Raw));
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
            ("format=car", "application/vnd.ipld.car;order=bfs"),
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
            "car-dups=maybe",
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
        let outside = |from, length| Bytes { from, to: None }.are_outside(length);
        assert!(outside(100, 100) && !outside(99, 100) && !outside(-200, 100));
        assert!(!outside(0, 0), "all of nothing");
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
