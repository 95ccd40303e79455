//! The doors, asked without a server where no socket is needed. Streams are real ones: what [`Air`] publishes is stored,
//! signed and told as if a packager had made it.

mod archive;
mod bad;
mod connections;
mod files;
mod foreign;
mod ipfs;
mod live;
mod page;
mod reload;
mod sockets;
mod waiters;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::{Settings, State, blocks::Blocks, router};
use crate::{
    clock::Clock,
    keys::Keys,
    metrics::Metrics,
    package::{Packaged, Part, Rendition},
    publish::{self, Publisher, Streams},
    store::Store,
};

/// The clock of a bench when it is made, µs since the Unix epoch: before the time from which new streams count their
/// segments, so that they begin with 0.
const START: u64 = 1_700_000_000_000_000;
/// Parts of a segment on air, of 200 ms each.
const PARTS: u32 = 5;

/// A gateway's doors over a store in a folder of its own.
struct Bench {
    store: Store,
    streams: Arc<Streams>,
    metrics: Arc<Metrics>,
    state: State,
    router: Router,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(
            &folder.path().join("store"),
            crate::store::Settings::default(),
        )
        .unwrap();
        let keys = Arc::new(Keys::open(folder.path()).unwrap());
        let (metrics, clock) = (Arc::new(Metrics::new()), Arc::new(Clock::at(START)));
        let published = publish::Settings {
            window: Duration::from_secs(20),
            ..Default::default()
        };
        let streams = Streams::new(
            published,
            2,
            keys,
            store.clone(),
            clock.clone(),
            metrics.clone(),
        );
        let streams = Arc::new(streams);
        let state = State::new(
            streams.clone(),
            store.clone(),
            Blocks::new(store.clone(), settings.memory_bytes),
            clock,
            metrics.clone(),
            settings,
            None,
        );
        Self {
            store,
            streams,
            metrics,
            router: router(state.clone()),
            state,
            _folder: folder,
        }
    }

    async fn ask(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self
            .router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let (head, body) = answer.into_parts();
        (
            head.status,
            head.headers,
            body.collect().await.unwrap().to_bytes().to_vec(),
        )
    }

    async fn get(&self, uri: &str) -> (u16, String) {
        let (status, _, body) = self.ask("GET", uri, &[]).await;
        (status.as_u16(), String::from_utf8_lossy(&body).into_owned())
    }
}

/// A stream on air, part by part: renditions `v` and `a` (audio only).
struct Air {
    publisher: Publisher,
    segment: u64,
    part: u32,
}

impl Air {
    /// Opens the stream and begins with its renditions; nothing is on air before the first [`part`](Self::part).
    fn open(bench: &Bench, alias: &str) -> Self {
        let publisher = bench.streams.open(alias, None).unwrap();
        let segment = publisher.numbers().segment;
        Self {
            publisher,
            segment,
            part: 0,
        }
    }

    /// As [`open`](Self::open), with `segments` complete segments.
    fn with_segments(bench: &Bench, alias: &str, segments: u32) -> Self {
        let mut air = Self::open(bench, alias);
        for _ in 0..segments * PARTS {
            air.part();
        }
        air
    }

    /// The next part; behind the last of a segment that is closed. Returns (segment, part).
    fn part(&mut self) -> (u64, u32) {
        let (segment, part) = (self.segment, self.part);
        let mut packaged = Vec::new();
        if segment == 0 && part == 0 {
            let renditions = vec![rendition("v", false), rendition("a", true)];
            packaged.push(Packaged::Renditions {
                number: 0,
                renditions,
            });
        }
        if part == 0 {
            let start = START + segment * 1_000_000;
            packaged.push(Packaged::Opened {
                segment,
                start,
                discontinuity: false,
                init: 0,
            });
        }
        let parts = ["v", "a"].map(|id| Part {
            data: media(id, segment, part),
            duration: 200_000,
            independent: part == 0,
        });
        packaged.push(Packaged::Parts {
            segment,
            part,
            parts: parts.into(),
        });
        // As a packager does it, the last part and the segment's end come together.
        let last = part + 1 == PARTS;
        if last {
            packaged.push(Packaged::Closed { segment });
        }
        self.publisher.publish(packaged).unwrap();
        (self.segment, self.part) = if last {
            (segment + 1, 0)
        } else {
            (segment, part + 1)
        };
        (segment, part)
    }

    /// Closes the open segment with the parts it has.
    fn close(&mut self) {
        self.publisher
            .publish(vec![Packaged::Closed {
                segment: self.segment,
            }])
            .unwrap();
        (self.segment, self.part) = (self.segment + 1, 0);
    }

    fn end(&mut self) {
        self.publisher.publish(vec![Packaged::End]).unwrap();
    }
}

/// The bytes of a part, each its own.
fn media(id: &str, segment: u64, part: u32) -> Bytes {
    let mut bytes = format!("....moof {id} {segment} {part} ").into_bytes();
    bytes.resize(1000, b'.');
    bytes.into()
}

fn rendition(id: &str, audio_only: bool) -> Rendition {
    Rendition {
        id: id.to_owned(),
        codecs: if audio_only {
            "mp4a.40.2"
        } else {
            "avc1.64001f,mp4a.40.2"
        }
        .to_owned(),
        bandwidth: if audio_only { 128_000 } else { 2_500_000 },
        width: if audio_only { 0 } else { 1280 },
        height: if audio_only { 0 } else { 720 },
        frame_rate: if audio_only { (0, 1) } else { (30, 1) },
        part_target: 200_000,
        init: Bytes::from(format!("....ftyp {id}")),
    }
}
