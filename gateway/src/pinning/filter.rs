//! What a listing asks for: filters and pages, as a query has them. Pure, and made for bytes from strangers.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    time::UNIX_EPOCH,
};

use cid::Cid;
use percent_encoding::percent_decode_str;

use super::object::{Failure, MAX_NAME_CHARS, Pin, Status};

const MAX_CIDS: usize = 10;
const MAX_LIMIT: usize = 1000;

/// A listing's filters; what is not said lets everything through.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter {
    cids: Vec<Cid>,
    name: Option<(Match, String)>,
    statuses: BTreeSet<Status>,
    /// Milliseconds since 1970, exclusive.
    before: Option<u64>,
    after: Option<u64>,
    meta: BTreeMap<String, String>,
    pub(super) limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    Exact,
    Iexact,
    Partial,
    Ipartial,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            cids: Vec::new(),
            name: None,
            statuses: [Status::Pinned].into(),
            before: None,
            after: None,
            meta: BTreeMap::new(),
            limit: 10,
        }
    }
}

impl Filter {
    /// Reads a raw query (without `?`). What it does not know is passed over. Lists are either repeated or parted by commas.
    ///
    /// # Errors
    /// Which parameter is malformed.
    pub(crate) fn read(query: &str) -> Result<Self, Failure> {
        let mut filter = Self::default();
        let (mut matching, mut statuses) = (Match::Exact, BTreeSet::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8();
            let value = value.map_err(|_| Failure::wrong("the query is not UTF-8"))?;
            let wrong = |form: &str| {
                let shown: String = value.chars().take(100).collect();
                Failure::wrong(format!("{key} = {shown:?}: give {form}"))
            };
            match key {
                "cid" => {
                    for text in value.split(',') {
                        let cid = Cid::from_str(text).map_err(|_| wrong("CIDs"))?;
                        filter.cids.push(cid);
                    }
                    if filter.cids.len() > MAX_CIDS {
                        return Err(wrong("at most 10 CIDs"));
                    }
                }
                "name" => {
                    if value.chars().count() > MAX_NAME_CHARS {
                        return Err(wrong("at most 255 characters"));
                    }
                    filter.name = Some((Match::Exact, value.into_owned()));
                }
                "match" => {
                    matching = match &*value {
                        "exact" => Match::Exact,
                        "iexact" => Match::Iexact,
                        "partial" => Match::Partial,
                        "ipartial" => Match::Ipartial,
                        _ => return Err(wrong("exact, iexact, partial or ipartial")),
                    };
                }
                "status" => {
                    for text in value.split(',') {
                        let status = text
                            .parse()
                            .map_err(|()| wrong("queued, pinning, pinned or failed"))?;
                        statuses.insert(status);
                    }
                }
                "before" => {
                    filter.before = Some(
                        time(&value).ok_or_else(|| wrong("a time such as 2026-11-22T10:00:00Z"))?,
                    )
                }
                "after" => {
                    filter.after = Some(
                        time(&value).ok_or_else(|| wrong("a time such as 2026-11-22T10:00:00Z"))?,
                    )
                }
                "limit" => {
                    let limit = value
                        .parse()
                        .ok()
                        .filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    filter.limit = limit.ok_or_else(|| wrong("1 to 1000"))?;
                }
                "meta" => {
                    let meta = serde_json::from_str(&value);
                    filter.meta = meta.map_err(|_| wrong("an object of texts in JSON"))?;
                }
                _ => {}
            }
        }
        if let Some((how, _)) = &mut filter.name {
            *how = matching;
        }
        if !statuses.is_empty() {
            filter.statuses = statuses;
        }
        Ok(filter)
    }

    /// Whether a request is asked for.
    pub(super) fn takes(&self, pin: &Pin, status: Status, created: u64) -> bool {
        let same =
            |cid: &Cid| Cid::from_str(&pin.cid).is_ok_and(|other| other.hash() == cid.hash());
        let named = self.name.as_ref().is_none_or(|(how, name)| match how {
            Match::Exact => pin.name == *name,
            Match::Iexact => pin.name.to_lowercase() == name.to_lowercase(),
            Match::Partial => pin.name.contains(name),
            Match::Ipartial => pin.name.to_lowercase().contains(&name.to_lowercase()),
        });
        named
            && self.statuses.contains(&status)
            && self.before.is_none_or(|before| created < before)
            && self.after.is_none_or(|after| created > after)
            && (self.cids.is_empty() || self.cids.iter().any(same))
            && self
                .meta
                .iter()
                .all(|(key, value)| pin.meta.get(key) == Some(value))
    }
}

/// Milliseconds since 1970 of a time as RFC 3339 writes it.
pub(super) fn time(text: &str) -> Option<u64> {
    if !text.is_ascii() {
        return None;
    }
    // An offset, if it is not Z: a sign, hours and minutes.
    let at = text.len().checked_sub(6);
    let offset = at.and_then(|at| {
        let (sign, rest) = (text.as_bytes()[at], &text[at + 1..]);
        let (hours, minutes) = rest.split_once(':')?;
        let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
        match sign {
            b'+' => Some(-minutes),
            b'-' => Some(minutes),
            _ => None,
        }
        .map(|minutes| (at, minutes))
    });
    let (utc, minutes) = match offset {
        Some((at, minutes)) => (format!("{}Z", &text[..at]), minutes),
        None => (text.to_owned(), 0),
    };
    let time = humantime::parse_rfc3339(&utc.to_uppercase()).ok()?;
    let millis = i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    u64::try_from(millis + minutes * 60_000).ok()
}
