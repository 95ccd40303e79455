//! A stream's past: which hours there are, the signed list of them, and still pictures.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::{Arc, Mutex},
};

use axum::{
    extract::{RawQuery, State as FromState},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::{
    archive::{Catalogue, HOUR, Hour, HourEntry, Segment, day_name, hour_name, text},
    dag,
};
use serde::Serialize;

use super::{
    State, api,
    blocks::UNPOISONED,
    body, earlier,
    error::{ApiRefusal, At, Refusal},
    live::Live,
    query, still as stills,
    unixfs::Node,
};
use crate::{
    archive::{Archive, read},
    metrics::Kind,
    store::Store,
};

/// Signed entries in one answer; `from` asks for those behind.
const MOST_ENTRIES: usize = 1000;

/// What `/api/v1/streams/{stream}/archive` says.
#[derive(Serialize)]
struct Past {
    /// `k51…`
    stream: String,
    alias: String,
    title: String,
    /// The newest directory, as `/ipns/{stream}`; null before the first hour has closed.
    root: Option<String>,
    /// Of the last entry of the signed list.
    epoch: u64,
    sequence: u64,
    /// The newest entry that says what the root is, as text (protocol's README §10): the rest of this is the gateway's word.
    signed: Option<String>,
    /// Oldest first.
    days: Vec<Day>,
    /// Where something begins that has a name, oldest first.
    chapters: Vec<Chapter>,
    /// What `/live/{stream}/earlier/index.m3u8` plays; null while nothing is on air.
    open: Option<Stretch>,
}

#[derive(Serialize)]
struct Chapter {
    /// Seconds since 1970.
    at: f64,
    title: String,
}

/// Seconds since 1970.
#[derive(Serialize)]
struct Stretch {
    from: f64,
    to: f64,
}

impl From<(u64, u64)> for Stretch {
    fn from((from, to): (u64, u64)) -> Self {
        Self {
            from: from as f64 / 1e6,
            to: to as f64 / 1e6,
        }
    }
}

#[derive(Serialize)]
struct Day {
    /// `2026-11-22`, UTC.
    day: String,
    cid: String,
    bytes: u64,
    hours: Vec<HourObject>,
}

#[derive(Serialize)]
struct HourObject {
    /// When it begins, `2026-11-22T10:00:00Z`.
    start: String,
    cid: String,
    bytes: u64,
    /// Seconds of media.
    duration: f64,
    /// When it was on air, seconds since 1970.
    stretches: Vec<Stretch>,
    /// Whether this gateway has it.
    held: bool,
    /// What the operator calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

/// `GET /api/v1/streams/{stream}/archive`
pub(super) async fn list(
    FromState(state): FromState<State>,
    name: Result<At<String>, Refusal>,
) -> Result<Response, ApiRefusal> {
    let At(name) = name.map_err(ApiRefusal)?;
    let live = state.live(&name).map_err(ApiRefusal)?;
    let stream = &live.stream;
    let archive = stream.archive();
    let ((catalogue, signed), held, labels) = archive.map_or_else(Default::default, |archive| {
        (archive.signed_catalogue(), archive.held(), archive.labels())
    });
    let open = match archive {
        Some(_) if stream.snapshot().live => earlier::run(&state.store, &live).await,
        _ => Ok(None),
    };
    let open = open.map_err(ApiRefusal)?.and_then(|run| run.time());
    let known = stretches(&state.store, &live, &catalogue, &held).await;
    let stretches = |hour: &u64, entry: &HourEntry| {
        let whole = vec![(hour * HOUR, (hour + 1) * HOUR)];
        let of_hour = known.get(&entry.link.cid).cloned().unwrap_or(whole);
        of_hour.into_iter().map(Stretch::from).collect()
    };
    let days = catalogue.days().iter().map(|(day, link)| {
        let hours = catalogue.hours().range(day * 24..day * 24 + 24);
        Day {
            day: day_name(*day),
            cid: link.cid.to_string(),
            bytes: link.bytes,
            hours: hours
                .map(|(hour, entry)| HourObject {
                    start: format!("{}T{}:00:00Z", day_name(*day), hour_name(*hour)),
                    cid: entry.link.cid.to_string(),
                    bytes: entry.link.bytes,
                    duration: entry.duration as f64 / 1e6,
                    stretches: stretches(hour, entry),
                    held: held.contains(hour),
                    title: labels.titles.get(hour).cloned(),
                })
                .collect(),
        }
    });
    let (epoch, sequence) = catalogue.last();
    let past = Past {
        stream: stream.text().to_owned(),
        alias: stream.alias().to_owned(),
        title: stream.title(),
        root: catalogue.root().map(|link| link.cid.to_string()),
        epoch,
        sequence,
        signed: signed.map(|signed| text(&signed)),
        days: days.collect(),
        chapters: (labels.chapters.iter())
            .map(|(at, title)| Chapter {
                at: *at as f64 / 1e6,
                title: title.clone(),
            })
            .collect(),
        open: open.map(Stretch::from),
    };
    let json = serde_json::to_string(&past).expect("texts and numbers are JSON");
    Ok(api::json(&state, json))
}

/// When the stream was on air in hours that are no whole ones, µs since 1970, by their directories: no more than the list has.
pub(super) type Stretches = Mutex<HashMap<Cid, Vec<(u64, u64)>>>;

/// Of a stream that is on air all the time, all but the first and the last hour are whole.
const WHOLE: u64 = HOUR - 3_000_000;
/// A hole that is shorter does not count.
const HOLE: u64 = 5_000_000;
/// Stretches of an hour; what comes behind is one with the last.
const MOST_STRETCHES: usize = 60;

/// Those of the hours that are held here and are no whole ones: each is read once.
async fn stretches(
    store: &Store,
    live: &Arc<Live>,
    catalogue: &Catalogue,
    held: &BTreeSet<u64>,
) -> HashMap<Cid, Vec<(u64, u64)>> {
    let listed = (catalogue.hours().iter())
        .filter(|(hour, entry)| held.contains(hour) && entry.duration < WHOLE);
    let listed: Vec<Cid> = listed.map(|(_, entry)| entry.link.cid).collect();
    let (store, live) = (store.clone(), live.clone());
    let read = tokio::task::spawn_blocking(move || {
        let mut known = live.stretches.lock().expect(UNPOISONED);
        let mut before = std::mem::take(&mut *known);
        for cid in listed {
            let stretches = before.remove(&cid).or_else(|| {
                let hour = read::hour(&store, cid).ok()?;
                Some(stretches_of(hour.segments()))
            });
            known.extend(stretches.map(|stretches| (cid, stretches)));
        }
        known.clone()
    });
    // Where the reading failed, an hour counts as a whole one.
    read.await.unwrap_or_default()
}

fn stretches_of<'a>(segments: impl Iterator<Item = &'a Segment>) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    for segment in segments {
        let end = segment.start + segment.duration();
        let is_full = found.len() == MOST_STRETCHES;
        match found.last_mut() {
            Some(last) if is_full || segment.start < last.1 + HOLE => last.1 = last.1.max(end),
            _ => found.push((segment.start, end)),
        }
    }
    found
}

/// `GET /api/v1/streams/{stream}/archive/catalogue?from=N`: signed entries (protocol's README §10) from the one at position
/// N (0) on, oldest first, each behind its length as a varint; at most 1000.
pub(super) async fn catalogue(
    FromState(state): FromState<State>,
    name: Result<At<String>, Refusal>,
    RawQuery(asked): RawQuery,
) -> Result<Response, ApiRefusal> {
    let At(name) = name.map_err(ApiRefusal)?;
    let archive = archive_of(&state, &name).map_err(ApiRefusal)?;
    let from = match query::value(&asked.unwrap_or_default(), "from") {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| ApiRefusal(Refusal::wrong("from is not a number")))?,
    };
    let mut bytes = Vec::new();
    for entry in archive.entries(from, MOST_ENTRIES) {
        dag::varint(&mut bytes, entry.len() as u64);
        bytes.extend_from_slice(&entry);
    }
    let mut answer = Response::new(body::memory(&state.metrics, Kind::Other, bytes.into()));
    let headers = answer.headers_mut();
    let media_type = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(answer)
}

/// `GET /api/v1/streams/{stream}/archive/still.jpg?at=SECONDS`: what was on screen at this time (since the Unix epoch), to
/// the beginning of its segment.
pub(super) async fn still(
    FromState(state): FromState<State>,
    At(name): At<String>,
    RawQuery(asked): RawQuery,
) -> Result<Response, Refusal> {
    let archive = archive_of(&state, &name)?;
    let at: u64 = query::value(&asked.unwrap_or_default(), "at")
        .and_then(|at| at.parse::<u32>().ok())
        .map(|at| u64::from(at) * 1_000_000)
        .ok_or(Refusal::wrong("at is not a time in seconds since 1970"))?;
    let catalogue = archive.catalogue();
    let entry = catalogue.hours().get(&(at / HOUR)).copied();
    let entry = entry.ok_or(Refusal::absent("there is no such hour in this archive"))?;
    let store = state.store.clone();
    let found = tokio::task::spawn_blocking(move || key_frame(&store, entry.link.cid, at));
    let found = found
        .await
        .map_err(|_| Refusal::busy("the reading failed"))?;
    let (init, part) = found
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Refusal::absent("this hour is not kept here any more"),
            _ => Refusal::unreadable(&error),
        })?
        .ok_or(Refusal::absent("this hour has no picture to show"))?;
    let picture = stills::picture(init, part).await?;
    let mut answer = Response::new(body::memory(&state.metrics, Kind::Page, picture));
    *answer.status_mut() = StatusCode::OK;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    let cache = HeaderValue::from_static("public, max-age=86400");
    headers.insert(header::CACHE_CONTROL, cache);
    Ok(answer)
}

pub(super) fn archive_of(state: &State, name: &str) -> Result<Arc<Archive>, Refusal> {
    let live = state.live(name)?;
    let archive = live.stream.archive().cloned();
    archive.ok_or(Refusal::absent("no archive is kept of this stream"))
}

/// An init segment and the part that begins the segment on screen at a time, of the smallest rendition with H.264.
fn key_frame(store: &Store, hour: Cid, at: u64) -> io::Result<Option<(Bytes, Bytes)>> {
    let hour = read::hour(store, hour)?;
    let Some(segment) = on_screen(&hour, at) else {
        return Ok(None);
    };
    let mut usable: Vec<_> = (hour.renditions.iter())
        .filter(|rendition| rendition.codecs.contains("avc1."))
        .collect();
    usable.sort_by_key(|rendition| rendition.bandwidth);
    let strand = usable.iter().find_map(|rendition| {
        let mut strands = segment.strands.iter();
        strands.find(|strand| *strand.rendition == *rendition.id)
    });
    let Some(strand) = strand else {
        return Ok(None);
    };
    let file = Node::parse(&read::block(store, strand.file.cid)?);
    let first = file.ok().and_then(|file| file.children().first().copied());
    let Some(first) = first else { return Ok(None) };
    let init = read::block(store, strand.init.cid)?;
    Ok(Some((init, read::block(store, first)?)))
}

/// The last segment that began by then, else the first.
fn on_screen(hour: &Hour, at: u64) -> Option<&Segment> {
    let mut segments = hour.segments();
    let begun = hour.segments().rev().find(|segment| segment.start <= at);
    begun.or_else(|| segments.next())
}

#[cfg(test)]
mod tests {
    use meshlive_protocol::{
        archive::{Link, Strand},
        dag,
    };

    use super::*;

    fn segment(start: u64, duration: u64) -> Segment {
        let link = Link {
            cid: dag::cid_of(b""),
            bytes: 1,
        };
        let strand = Strand {
            rendition: "v".into(),
            init: link,
            file: link,
            duration,
        };
        Segment {
            msn: 0,
            start,
            discontinuity: false,
            init: 0,
            strands: vec![strand],
        }
    }

    #[test]
    fn holes_part_an_hour_and_there_are_so_many_at_most() {
        let of = |starts: &[u64]| {
            let all: Vec<_> = starts.iter().map(|at| segment(*at, 2_000_000)).collect();
            stretches_of(all.iter())
        };
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[0, 2_000_000, 6_999_999]), [(0, 8_999_999)]);
        assert_eq!(
            of(&[0, 7_000_000]),
            [(0, 2_000_000), (7_000_000, 9_000_000)]
        );
        let scattered: Vec<_> = (0..100).map(|at| at * 10_000_000).collect();
        let found = of(&scattered);
        assert_eq!(found.len(), MOST_STRETCHES);
        assert_eq!(found.last(), Some(&(590_000_000, 992_000_000)));
    }
}
