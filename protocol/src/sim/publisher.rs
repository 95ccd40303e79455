//! A stream that is really signed: renditions of two-second segments in parts of 200 ms.

use bytes::Bytes;

use crate::{
    dag,
    key::SigningKey,
    manifest::{self, Announcement, Manifest, News, Rendition, Settings, Tracks},
    message::Place,
    scheduler::{Micros, random::Random},
};

/// Length of a part.
pub(crate) const PART: Micros = 200_000;
/// Parts of a segment.
pub(super) const PARTS: u32 = 10;
/// How large the part with a key frame is, of the mean.
pub(super) const KEY_PART: f64 = 2.5;
/// Program date time at virtual time 0.
pub(crate) const START: u64 = 1_795_338_000_000_000;

#[derive(Debug)]
pub(crate) struct Publisher {
    key: SigningKey,
    pub(crate) manifest: Manifest,
    /// Bits per second of each rendition.
    rates: Vec<u64>,
    /// How large the first part of a segment is, of the mean.
    key_part: f64,
    /// Of the part that comes next.
    msn: u64,
    part: u32,
    discontinuity: bool,
    /// Bytes of all renditions so far.
    pub(crate) bytes: Vec<u64>,
}

/// What is new at one part boundary.
pub(crate) struct Published {
    pub(crate) parts: Vec<(Place, Bytes)>,
    pub(crate) envelope: Bytes,
}

impl Publisher {
    pub(crate) fn new(rates: &[u64]) -> Self {
        let mut manifest = Manifest::new(Settings {
            window: 30_000_000,
            ..Settings::default()
        });
        manifest.begin_epoch(1, START);
        Self {
            key: SigningKey::from_secret([7; 32]),
            manifest,
            rates: rates.to_vec(),
            key_part: KEY_PART,
            msn: 0,
            part: 0,
            discontinuity: false,
            bytes: vec![0; rates.len()],
        }
    }

    /// Parts that begin with a key frame are so large, of the mean.
    pub(crate) fn with_key_part(mut self, key_part: f64) -> Self {
        self.key_part = key_part;
        self
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The whole window, signed.
    pub(crate) fn signed(&self) -> Bytes {
        manifest::sign_manifest(&self.key, &self.manifest).into()
    }

    /// As a gateway that was killed begins again: a new epoch, what was open is closed, the clock has gone on.
    pub(crate) fn restart(&mut self, now: Micros) {
        let epoch = self.manifest.epoch() + 1;
        self.manifest.begin_epoch(epoch, START + now);
        if self.part > 0 {
            let news = self.closed();
            self.announce(news, now);
            self.msn += 1;
            self.part = 0;
        }
        self.discontinuity = true;
    }

    /// The next part of each rendition; its last frame was taken now.
    pub(crate) fn publish(&mut self, now: Micros) -> Published {
        let mut news = Vec::new();
        if self.manifest.renditions().is_empty() {
            for (index, rate) in self.rates.iter().enumerate() {
                news.push(News::Rendition(rendition(index, *rate)));
                news.push(News::Init {
                    rendition: index as u8,
                    number: 0,
                    cid: dag::cid_of(b"init"),
                    size: 4,
                });
            }
        }
        if self.part == 0 {
            news.push(News::Segment {
                msn: self.msn,
                start: START + now - PART,
                discontinuity: std::mem::take(&mut self.discontinuity),
                init: 0,
            });
        }
        let mut parts = Vec::new();
        for (index, rate) in self.rates.iter().enumerate() {
            let place = Place {
                msn: self.msn,
                part: self.part,
                rendition: index as u8,
            };
            let bytes = bytes_of(place, *rate, self.key_part);
            self.bytes[index] += bytes.len() as u64;
            news.push(News::Part {
                rendition: place.rendition,
                msn: place.msn,
                part: place.part,
                cid: dag::cid_of(&bytes),
                size: bytes.len() as u32,
                duration: PART as u32,
                independent: place.part == 0,
            });
            parts.push((place, bytes));
        }
        self.part += 1;
        let mut next = self.manifest.clone();
        let mut envelope = self.sign(&mut next, news.clone(), now);
        if self.part == PARTS {
            std::mem::swap(&mut self.manifest, &mut next);
            news.extend(self.closed());
            std::mem::swap(&mut self.manifest, &mut next);
            next = self.manifest.clone();
            envelope = self.sign(&mut next, news, now);
            self.msn += 1;
            self.part = 0;
        }
        self.manifest = next;
        Published { parts, envelope }
    }

    /// Whether there is, or was, a part at this place.
    pub(super) fn has_published(&self, place: Place) -> bool {
        let is_part = usize::from(place.rendition) < self.rates.len() && place.part < PARTS;
        is_part && (place.msn, place.part) < (self.msn, self.part)
    }

    /// What is, or was, at a place.
    pub(super) fn bytes_of(&self, place: Place) -> Bytes {
        bytes_of(
            place,
            self.rates[usize::from(place.rendition)],
            self.key_part,
        )
    }

    /// The newest segment is complete.
    fn closed(&self) -> Vec<News> {
        let Some(segment) = self.manifest.segments().next_back() else {
            return Vec::new();
        };
        let closed = |rendition: usize| {
            let parts = segment.parts(rendition).iter();
            let leaves: Vec<_> = parts.map(|part| (part.cid, part.size.into())).collect();
            News::Closed {
                rendition: rendition as u8,
                msn: segment.msn,
                cid: dag::segment_file(&leaves).0,
            }
        };
        (0..self.rates.len()).map(closed).collect()
    }

    fn announce(&mut self, news: Vec<News>, now: Micros) {
        let mut next = self.manifest.clone();
        self.sign(&mut next, news, now);
        self.manifest = next;
    }

    fn sign(&self, manifest: &mut Manifest, news: Vec<News>, now: Micros) -> Bytes {
        let announcement = Announcement {
            epoch: manifest.epoch(),
            sequence: manifest.sequence() + 1,
            clock: START + now,
            news,
        };
        manifest
            .apply(&announcement)
            .expect("this publisher keeps to the rules");
        manifest::sign_announcement(&self.key, &announcement).into()
    }
}

/// A rendition of no more bits per second than this is sound alone.
const SOUND: u64 = 64_000;

fn rendition(index: usize, rate: u64) -> Rendition {
    let (tracks, codecs, [width, height, frame_rate]) = match rate <= SOUND {
        true => (Tracks::Audio, "mp4a.40.2", [0; 3]),
        false => (Tracks::Both, "avc1.64001f,mp4a.40.2", [320, 180, 25_000]),
    };
    Rendition {
        id: format!("r{index}"),
        tracks,
        codecs: codecs.into(),
        bandwidth: rate as u32,
        width,
        height,
        frame_rate,
        part_target: PART as u32 + 2000,
    }
}

/// Its key frame makes a segment's first part larger, and the others smaller, so that segments have their rate.
fn bytes_of(place: Place, rate: u64, key_part: f64) -> Bytes {
    let mean = rate as f64 / 8.0 * PART as f64 / 1e6;
    let share = share(place.part, key_part);
    let size = ((mean * share) as usize).max(16);
    let seed = place.msn << 16 | u64::from(place.part) << 8 | u64::from(place.rendition);
    let mut random = Random::new(seed);
    let words = (0..size.div_ceil(8)).flat_map(|_| random.next().to_le_bytes());
    words.take(size).collect()
}

/// Size of a part, of the mean.
pub(super) fn share(part: u32, key_part: f64) -> f64 {
    if part == 0 {
        key_part
    } else {
        (f64::from(PARTS) - key_part) / f64::from(PARTS - 1)
    }
}
