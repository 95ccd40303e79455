//! What `/metrics` tells Prometheus: every counter of the gateway, with its unit and its labels.
//!
//! One `Metrics` is made at start and shared; each room counts what it does itself. The label `stream` is the stream's
//! name (`k51…`), as in the API. Labels only take values that the operator or the code chose, never a remote.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// What a body sent over HTTP was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Parts, segments and init segments: media.
    Part,
    /// Playlists, rendered here.
    Playlist,
    /// Announcements and manifests, signed.
    Announcement,
    /// The page, its scripts and pictures.
    Page,
    /// Everything else: API, metrics, errors.
    Other,
}

impl EncodeLabelValue for Kind {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        let name = match self {
            Kind::Part => "part",
            Kind::Playlist => "playlist",
            Kind::Announcement => "announcement",
            Kind::Page => "page",
            Kind::Other => "other",
        };
        EncodeLabelValue::encode(&name, encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabel {
    stream: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransportLabel {
    transport: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RenditionLabel {
    stream: String,
    rendition: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServiceLabel {
    service: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServiceStatusLabel {
    service: String,
    status: &'static str,
}

/// Every counter of this gateway.
pub struct Metrics {
    registry: Registry,
    sent: [Counter; 5],
    p2p_sent: [Counter; 5],
    bitswap_sent: Counter,
    p2p_connections: Family<TransportLabel, Gauge>,
    p2p_refused: Counter,
    viewers: Family<StreamLabel, Gauge>,
    parts: Family<RenditionLabel, Counter>,
    ingest_lag: Family<StreamLabel, Gauge<f64, AtomicU64>>,
    store_bytes: Gauge,
    store_s3_bytes: Gauge,
    store_s3_up: Gauge,
    store_takes: Gauge,
    store_refused: Counter,
    archive_verified: Counter,
    archive_damaged: Gauge,
    pins_here: Family<StatusLabel, Gauge>,
    pins_elsewhere: Family<ServiceStatusLabel, Gauge>,
    pinning_service: Family<ServiceLabel, Gauge>,
    archive_pace: Gauge,
    archive_full: Gauge,
    tasks: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All counters, at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let sent = Family::<KindLabel, Counter>::default();
        let p2p_sent = Family::<KindLabel, Counter>::default();
        let bitswap_sent = Counter::default();
        let p2p_connections = Family::<TransportLabel, Gauge>::default();
        let p2p_refused = Counter::default();
        let viewers = Family::<StreamLabel, Gauge>::default();
        let parts = Family::<RenditionLabel, Counter>::default();
        let ingest_lag = Family::<StreamLabel, Gauge<f64, AtomicU64>>::default();
        let store_bytes = Gauge::default();
        let store_s3_bytes = Gauge::default();
        let store_s3_up = Gauge::default();
        let store_takes = Gauge::default();
        let store_refused = Counter::default();
        let archive_verified = Counter::default();
        let archive_damaged = Gauge::default();
        let pins_here = Family::<StatusLabel, Gauge>::default();
        let pins_elsewhere = Family::<ServiceStatusLabel, Gauge>::default();
        let pinning_service = Family::<ServiceLabel, Gauge>::default();
        let archive_pace = Gauge::default();
        let archive_full = Gauge::default();
        let tasks = Gauge::default();
        // The registry adds `_total` to counters itself.
        registry.register(
            "meshlive_http_sent_bytes",
            "Bytes of HTTP bodies and WebSocket messages sent",
            sent.clone(),
        );
        registry.register(
            "meshlive_p2p_sent_bytes",
            "Bytes of messages sent to peers, by what they carry",
            p2p_sent.clone(),
        );
        registry.register(
            "meshlive_bitswap_sent_bytes",
            "Of what went to peers: blocks that IPFS nodes and other gateways asked for, and what is said of them",
            bitswap_sent.clone(),
        );
        registry.register(
            "meshlive_p2p_connections",
            "Peers' connections at the moment",
            p2p_connections.clone(),
        );
        registry.register(
            "meshlive_p2p_refused",
            "Connections of peers that were not made: too many, or not understood",
            p2p_refused.clone(),
        );
        registry.register(
            "meshlive_viewers",
            "Viewers of a stream at the moment",
            viewers.clone(),
        );
        registry.register("meshlive_parts_published", "Parts announced", parts.clone());
        registry.register(
            "meshlive_ingest_lag_seconds",
            "How late the newest part was announced after the end of its media",
            ingest_lag.clone(),
        );
        registry.register(
            "meshlive_store_bytes",
            "Bytes in the pin store on disk",
            store_bytes.clone(),
        );
        registry.register(
            "meshlive_store_s3_bytes",
            "Bytes of packs that the second tier has",
            store_s3_bytes.clone(),
        );
        registry.register(
            "meshlive_store_s3_up",
            "1 where the second tier answered last, else 0; the log says why",
            store_s3_up.clone(),
        );
        registry.register(
            "meshlive_store_takes_blocks",
            "1, or 0 while the disk takes nothing and what is live goes on from memory; the log says why",
            store_takes.clone(),
        );
        registry.register(
            "meshlive_store_blocks_not_stored",
            "Blocks that the disk did not take",
            store_refused.clone(),
        );
        registry.register(
            "meshlive_archive_verified_bytes",
            "Bytes of the archive that were read back whole",
            archive_verified.clone(),
        );
        registry.register(
            "meshlive_archive_damaged_blocks",
            "Blocks that the last reading back of the whole archive found damaged or missing; the log names them",
            archive_damaged.clone(),
        );
        registry.register(
            "meshlive_pinning_requests",
            "What others ask this gateway to keep, by how far it is",
            pins_here.clone(),
        );
        registry.register(
            "meshlive_pinning_elsewhere",
            "Hours and days that a pinning service keeps for this gateway, by how far it is",
            pins_elsewhere.clone(),
        );
        registry.register(
            "meshlive_pinning_service_up",
            "1 where a pinning service did what it was asked for last, else 0; the log says why",
            pinning_service.clone(),
        );
        registry.register(
            "meshlive_archive_bytes_a_day",
            "Bytes that the archives of all streams grow by in a day like the last one",
            archive_pace.clone(),
        );
        registry.register(
            "meshlive_archive_full_in_seconds",
            "When there will be no room for that, and the oldest hours go before their time; -1 where what is kept will fit",
            archive_full.clone(),
        );
        registry.register(
            "meshlive_tasks",
            "Tasks of the runtime that have not ended; grows with connections and falls with them",
            tasks.clone(),
        );
        // Looked up once, so that counting a body takes no lock.
        let each = |family: Family<KindLabel, Counter>| {
            [
                Kind::Part,
                Kind::Playlist,
                Kind::Announcement,
                Kind::Page,
                Kind::Other,
            ]
            .map(|kind| family.get_or_create_owned(&KindLabel { kind }))
        };
        Self {
            registry,
            sent: each(sent),
            p2p_sent: each(p2p_sent),
            bitswap_sent,
            p2p_connections,
            p2p_refused,
            viewers,
            parts,
            ingest_lag,
            store_bytes,
            store_s3_bytes,
            store_s3_up,
            store_takes,
            store_refused,
            archive_verified,
            archive_damaged,
            pins_here,
            pins_elsewhere,
            pinning_service,
            archive_pace,
            archive_full,
            tasks,
        }
    }

    /// `bytes` of a body of this kind went out.
    pub fn sent(&self, kind: Kind, bytes: usize) {
        self.sent[kind as usize].inc_by(bytes as u64);
    }

    /// How many bytes of this kind went out since start.
    pub fn sent_bytes(&self, kind: Kind) -> u64 {
        self.sent[kind as usize].get()
    }

    /// `bytes` of a message of this kind went out to a peer.
    pub fn p2p_sent(&self, kind: Kind, bytes: usize) {
        self.p2p_sent[kind as usize].inc_by(bytes as u64);
    }

    /// The same, of a message of bitswap.
    pub fn bitswap_sent(&self, kind: Kind, bytes: usize) {
        self.p2p_sent(kind, bytes);
        self.bitswap_sent.inc_by(bytes as u64);
    }

    /// A peer connected; `transport` is one of ws, webrtc, quic and tcp.
    pub fn p2p_connected(&self, transport: &'static str) {
        let label = TransportLabel { transport };
        self.p2p_connections.get_or_create(&label).inc();
    }

    /// It is gone.
    pub fn p2p_disconnected(&self, transport: &'static str) {
        let label = TransportLabel { transport };
        self.p2p_connections.get_or_create(&label).dec();
    }

    /// A peer's connection was not made.
    pub fn p2p_refused(&self) {
        self.p2p_refused.inc();
    }

    /// How many viewers a stream has.
    pub fn viewers(&self, stream: &str, viewers: usize) {
        self.viewers
            .get_or_create(&StreamLabel {
                stream: stream.into(),
            })
            .set(viewers as i64);
    }

    /// A part was announced.
    pub fn part_published(&self, stream: &str, rendition: &str) {
        self.parts
            .get_or_create(&RenditionLabel {
                stream: stream.into(),
                rendition: rendition.into(),
            })
            .inc();
    }

    /// Seconds from the end of the newest part's media, on the gateway's clock, to its announcement.
    pub fn ingest_lag(&self, stream: &str, seconds: f64) {
        self.ingest_lag
            .get_or_create(&StreamLabel {
                stream: stream.into(),
            })
            .set(seconds);
    }

    /// How many bytes the pin store takes on disk, whether it takes more, and how many blocks it has not taken in all.
    pub fn store(&self, bytes: u64, takes: bool, refused: u64) {
        self.store_bytes.set(bytes as i64);
        self.store_takes.set(takes.into());
        let known = self.store_refused.get();
        self.store_refused.inc_by(refused.saturating_sub(known));
    }

    /// How many bytes the second tier has, and whether it answers.
    pub(crate) fn store_s3(&self, bytes: u64, up: bool) {
        self.store_s3_bytes.set(bytes as i64);
        self.store_s3_up.set(i64::from(up));
    }

    /// So many bytes of the archive were read back whole.
    pub fn archive_verified(&self, bytes: usize) {
        self.archive_verified.inc_by(bytes as u64);
    }

    /// How many blocks a reading back of the whole archive found damaged.
    pub fn archive_damaged(&self, blocks: u64) {
        self.archive_damaged.set(blocks as i64);
    }

    /// How many requests of others are so far.
    pub(crate) fn pins_here(&self, status: &'static str, count: usize) {
        let label = StatusLabel { status };
        self.pins_here.get_or_create(&label).set(count as i64);
    }

    /// How many hours and days a service keeps so far.
    pub(crate) fn pins_elsewhere(&self, service: &str, status: &'static str, count: usize) {
        let service = service.into();
        let label = ServiceStatusLabel { service, status };
        self.pins_elsewhere.get_or_create(&label).set(count as i64);
    }

    /// Whether a service did what it was asked for last.
    pub(crate) fn pinning_service(&self, service: &str, fine: bool) {
        let label = ServiceLabel {
            service: service.into(),
        };
        self.pinning_service
            .get_or_create(&label)
            .set(i64::from(fine));
    }

    /// How many bytes a day of the archive takes, and when there is no room for more.
    pub fn archive_expects(&self, a_day: u64, full_in: Option<Duration>) {
        self.archive_pace.set(a_day as i64);
        let seconds = full_in.map_or(-1, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
        self.archive_full.set(seconds);
    }

    /// How many tasks the runtime has.
    pub fn tasks(&self, tasks: usize) {
        self.tasks.set(tasks as i64);
    }

    /// All of it, in OpenMetrics' text format 1.0.
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_labels_and_values_are_those_of_the_contract() {
        let metrics = Metrics::new();
        metrics.sent(Kind::Part, 150_000);
        metrics.sent(Kind::Announcement, 7);
        metrics.sent(Kind::Announcement, 1);
        metrics.p2p_sent(Kind::Part, 3);
        metrics.bitswap_sent(Kind::Part, 2);
        metrics.p2p_connected("ws");
        metrics.p2p_connected("ws");
        metrics.p2p_disconnected("ws");
        metrics.p2p_refused();
        metrics.viewers("k51x", 3);
        metrics.part_published("k51x", "720p");
        metrics.part_published("k51x", "720p");
        metrics.ingest_lag("k51x", 0.25);
        metrics.store(9, false, 4);
        metrics.store(9, true, 6);
        metrics.store_s3(8, true);
        metrics.pins_here("queued", 2);
        metrics.pins_elsewhere("keeper:8080", "pinned", 3);
        metrics.pinning_service("keeper:8080", false);
        metrics.archive_expects(7, Some(Duration::from_secs(3600)));
        metrics.tasks(4);
        let text = metrics.render();
        for line in [
            r#"meshlive_http_sent_bytes_total{kind="part"} 150000"#,
            r#"meshlive_http_sent_bytes_total{kind="announcement"} 8"#,
            r#"meshlive_http_sent_bytes_total{kind="page"} 0"#,
            r#"meshlive_p2p_sent_bytes_total{kind="part"} 5"#,
            "meshlive_bitswap_sent_bytes_total 2",
            r#"meshlive_p2p_connections{transport="ws"} 1"#,
            "meshlive_p2p_refused_total 1",
            r#"meshlive_viewers{stream="k51x"} 3"#,
            r#"meshlive_parts_published_total{stream="k51x",rendition="720p"} 2"#,
            r#"meshlive_ingest_lag_seconds{stream="k51x"} 0.25"#,
            "meshlive_store_bytes 9",
            "meshlive_store_s3_bytes 8",
            "meshlive_store_s3_up 1",
            r#"meshlive_pinning_requests{status="queued"} 2"#,
            r#"meshlive_pinning_elsewhere{service="keeper:8080",status="pinned"} 3"#,
            r#"meshlive_pinning_service_up{service="keeper:8080"} 0"#,
            "meshlive_store_takes_blocks 1",
            "meshlive_store_blocks_not_stored_total 6",
            "meshlive_archive_bytes_a_day 7",
            "meshlive_archive_full_in_seconds 3600",
            "meshlive_tasks 4",
        ] {
            assert!(
                text.lines().any(|l| l == line),
                "{line} is missing in\n{text}"
            );
        }
        assert_eq!(metrics.sent_bytes(Kind::Announcement), 8);
    }
}
