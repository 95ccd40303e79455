//! A small stream that every test can tell: two renditions with video, one of audio, two-second segments of ten parts.

use meshlive_protocol::{
    Cid, dag,
    key::SigningKey,
    manifest::{Announcement, Manifest, News, Rendition, Settings, Tracks},
};

/// 2026-11-22 09:00:00 UTC in microseconds.
pub(crate) const NINE: u64 = 1_795_338_000_000_000;
pub(crate) const EPOCH: u64 = 1_795_338_000;
pub(crate) const PART_MICROS: u32 = 200_000;

pub(crate) fn key() -> SigningKey {
    SigningKey::from_secret([7; 32])
}

pub(crate) fn rendition(id: &str, tracks: Tracks) -> Rendition {
    let video = tracks != Tracks::Audio;
    Rendition {
        id: id.into(),
        tracks,
        codecs: if video {
            "avc1.64001f,mp4a.40.2"
        } else {
            "mp4a.40.2"
        }
        .into(),
        bandwidth: if video { 2_600_000 } else { 130_000 },
        width: if video { 1280 } else { 0 },
        height: if video { 720 } else { 0 },
        frame_rate: if video { 29_970 } else { 0 },
        part_target: PART_MICROS + 2000,
    }
}

/// Stands for the bytes of a part: any numbers give other bytes.
pub(crate) fn block(rendition: u8, msn: u64, part: u32) -> Cid {
    dag::cid_of(format!("part {rendition} {msn} {part}").as_bytes())
}

pub(crate) fn init(rendition: u8, number: u32) -> News {
    let cid = dag::cid_of(format!("init {rendition} {number}").as_bytes());
    News::Init {
        rendition,
        number,
        cid,
        size: 700,
    }
}

pub(crate) fn segment(msn: u64) -> News {
    News::Segment {
        msn,
        start: NINE + (msn - 100) * 2_000_000,
        discontinuity: false,
        init: 0,
    }
}

pub(crate) fn part_of(rendition: u8, msn: u64, part: u32) -> News {
    let cid = block(rendition, msn, part);
    let size = 60_000 + part;
    News::Part {
        rendition,
        msn,
        part,
        cid,
        size,
        duration: PART_MICROS,
        independent: part == 0,
    }
}

pub(crate) fn closed(rendition: u8, msn: u64, parts: u32) -> News {
    let leaves: Vec<_> = (0..parts)
        .map(|part| (block(rendition, msn, part), u64::from(60_000 + part)))
        .collect();
    News::Closed {
        rendition,
        msn,
        cid: dag::segment_file(&leaves).0,
    }
}

/// A publisher that numbers its announcements, and the window they lead to.
pub(crate) struct Publisher {
    pub(crate) manifest: Manifest,
    pub(crate) announcements: Vec<Announcement>,
}

impl Publisher {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut manifest = Manifest::new(settings);
        manifest.begin_epoch(EPOCH, NINE);
        Self {
            manifest,
            announcements: Vec::new(),
        }
    }

    pub(crate) fn next(&self, news: Vec<News>) -> Announcement {
        let sequence = self.manifest.sequence() + 1;
        Announcement {
            epoch: self.manifest.epoch(),
            sequence,
            clock: NINE + sequence * 200_000,
            news,
        }
    }

    #[track_caller]
    pub(crate) fn publish(&mut self, news: Vec<News>) {
        let announcement = self.next(news);
        self.manifest
            .apply(&announcement)
            .expect("a good publisher's news is accepted");
        self.announcements.push(announcement);
    }

    /// Announces the first `count` of `source`, `low` and `audio`, each with its init segment 0.
    pub(crate) fn renditions(&mut self, count: u8) {
        let all = [
            ("source", Tracks::Both),
            ("low", Tracks::Both),
            ("audio", Tracks::Audio),
        ];
        let mut news = Vec::new();
        for (index, (id, tracks)) in (0u8..).zip(&all[..usize::from(count)]) {
            let mut rendition = rendition(id, *tracks);
            if *id == "low" {
                (rendition.bandwidth, rendition.width, rendition.height) = (800_000, 640, 360);
            }
            news.extend([News::Rendition(rendition), init(index, 0)]);
        }
        self.publish(news);
    }

    /// Announces one part after another of all renditions; segments of ten parts, closed with the last.
    pub(crate) fn parts(&mut self, renditions: u8, from: u64, count: u32) {
        for at in 0..count {
            let (msn, part) = (from + u64::from(at / 10), at % 10);
            let mut news = Vec::new();
            if part == 0 {
                news.push(segment(msn));
            }
            news.extend((0..renditions).map(|rendition| part_of(rendition, msn, part)));
            if part == 9 {
                news.extend((0..renditions).map(|rendition| closed(rendition, msn, 10)));
            }
            self.publish(news);
        }
    }
}

/// Three renditions from segment 100 on, `count` parts of each.
pub(crate) fn stream(count: u32) -> Publisher {
    let mut publisher = Publisher::new(Settings::default());
    publisher.renditions(3);
    publisher.parts(3, 100, count);
    publisher
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares with a file in tests/golden. `MESHLIVE_GOLDEN=write` writes it: for a deliberate change of the format.
#[track_caller]
pub(crate) fn golden(name: &str, actual: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var("MESHLIVE_GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::write(&path, actual).expect("tests/golden can be written");
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(actual, expected, "{name} is not what tests/golden holds");
}

/// The payload of an envelope, by libp2p's own reading.
pub(crate) fn payload(envelope: &[u8]) -> Vec<u8> {
    let kinds = [
        meshlive_protocol::manifest::ANNOUNCEMENT_TYPE,
        meshlive_protocol::manifest::MANIFEST_TYPE,
    ];
    let envelope =
        libp2p_core::SignedEnvelope::from_protobuf_encoding(envelope).expect("an envelope");
    let domain = || meshlive_protocol::manifest::DOMAIN.to_owned();
    let read = |kind| {
        envelope
            .payload_and_signing_key(domain(), kind)
            .ok()
            .map(|(payload, _)| payload.to_vec())
    };
    kinds.into_iter().find_map(read).expect("a payload of ours")
}

/// Any payload, well signed by libp2p's own hand.
pub(crate) fn seal(kind: &[u8], payload: &[u8]) -> Vec<u8> {
    let pair =
        libp2p_identity::Keypair::from_protobuf_encoding(&key().to_protobuf()).expect("a key");
    let domain = meshlive_protocol::manifest::DOMAIN.to_owned();
    let envelope = libp2p_core::SignedEnvelope::new(&pair, domain, kind.to_vec(), payload.to_vec());
    envelope
        .expect("Ed25519 signs anything")
        .into_protobuf_encoding()
}
