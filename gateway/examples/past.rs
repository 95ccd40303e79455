//! Fills a data folder with a past, quickly: real media through the packager and the publisher, at times that are given.
//!
//! `past DATA ALIAS VIDEO.h264 AUDIO.aac START:SECONDS…`: each run is one of a gateway (it begins, publishes from START,
//! seconds since 1970, and is cut off as by a kill). VIDEO is Annex B with access unit delimiters, 25 fps and no B-frames;
//! AUDIO is ADTS, 48 kHz; a run that is longer plays them again and again. A last run a day later closes what is open. Prints JSON: the stream, and of each run the video frames that
//! were announced.

use std::{
    env,
    error::Error,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use meshlive_gateway::{
    clock::Clock,
    ingest::media::{Codec, Event, Format, Kind, RenditionFormat, Sample, Track},
    keys::Keys,
    metrics::Metrics,
    package::{self, Packaged, Packager},
    publish::{self, Streams},
    store::{self, Store},
};

const SECOND: u64 = 1_000_000;
/// Video ticks a frame: 25 fps of 90 kHz.
const FRAME: i64 = 3600;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().collect();
    let [_, data, alias, video, audio, runs @ ..] = &args[..] else {
        return Err("give DATA ALIAS VIDEO.h264 AUDIO.aac START:SECONDS…".into());
    };
    let (format, samples) = media(&std::fs::read(video)?, &std::fs::read(audio)?)?;
    let data = Path::new(data);
    let (mut frames, mut last, mut name) = (Vec::new(), 0, String::new());
    for run in runs {
        let (start, seconds) = run.split_once(':').ok_or("a run is START:SECONDS")?;
        let (start, seconds): (u64, u64) = (start.parse()?, seconds.parse()?);
        last = last.max(start + seconds);
        let streams = open(data, start * SECOND)?;
        let mut publisher = streams.open(alias, None)?;
        name = publisher.stream().text().to_owned();
        let settings = package::Settings::default();
        let mut packager = Packager::new(settings, publisher.numbers());
        let (at, mut announced) = (start * SECOND, 0);
        let begin = [Event::Format(format.clone()), Event::Anchor { at }];
        let wanted = again(&samples)
            .take_while(|sample| micros(sample) < seconds * SECOND)
            .map(Event::Sample);
        for event in begin.into_iter().chain(wanted) {
            let now = match &event {
                Event::Sample(sample) => at + micros(sample),
                _ => at,
            };
            let packaged = packager.handle(event, now);
            for one in &packaged {
                if let Packaged::Parts { parts, .. } = one {
                    announced += samples_of(&parts[0].data);
                }
            }
            publisher.publish(packaged)?;
        }
        frames.push(announced);
    }
    let streams = open(data, (last + 86_400) * SECOND)?;
    let publisher = streams.open(alias, None)?;
    let archive = publisher.stream().archive().ok_or("no archive is kept")?;
    let begun = Instant::now();
    let hours = (last - 1) / 3600;
    while !archive.catalogue().hours().contains_key(&hours) {
        if begun.elapsed() > Duration::from_secs(30) {
            return Err("the last hour does not close".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    println!(
        "{}",
        serde_json::json!({ "stream": name, "frames": frames })
    );
    Ok(())
}

fn open(data: &Path, now: u64) -> Result<Streams, Box<dyn Error>> {
    let store = Store::open(&data.join("store"), store::Settings::default())?;
    Ok(Streams::new(
        publish::Settings::default(),
        package::Settings::default().target_duration(),
        Arc::new(Keys::open(data)?),
        store,
        Arc::new(Clock::at(now)),
        Arc::new(Metrics::new()),
    ))
}

/// Samples of the first track of a part: what its first `trun` counts.
fn samples_of(part: &[u8]) -> u64 {
    let at = part.windows(4).position(|four| four == b"trun");
    let count = at.and_then(|at| part.get(at + 8..at + 12)?.try_into().ok());
    count.map_or(0, |count| u64::from(u32::from_be_bytes(count)))
}

/// The film without end; it is cut where both tracks reach a whole second, and begins anew with a key frame.
fn again(samples: &[Sample]) -> impl Iterator<Item = Sample> {
    let ends = [0, 1].map(|track| {
        let of_track = samples.iter().filter(|sample| sample.track == track);
        let end = of_track.map(|sample| micros(sample) + SECOND / 10).max();
        end.unwrap_or(0) / SECOND
    });
    let seconds = ends[0].min(ends[1]);
    (0..).flat_map(move |turn| {
        let once = (samples.iter()).filter(move |sample| micros(sample) < seconds * SECOND);
        once.map(move |sample| {
            let timescale = if sample.track == 0 { 90_000 } else { 48_000 };
            let by = i64::try_from(turn * seconds).unwrap_or(0) * timescale;
            Sample {
                dts: sample.dts + by,
                pts: sample.pts + by,
                ..sample.clone()
            }
        })
    })
}

fn micros(sample: &Sample) -> u64 {
    let timescale = if sample.track == 0 { 90_000 } else { 48_000 };
    u64::try_from(sample.dts).unwrap_or(0) * SECOND / timescale
}

/// One rendition with both, one with the sound alone.
fn media(h264: &[u8], adts: &[u8]) -> Result<(Format, Vec<Sample>), Box<dyn Error>> {
    let units = units(h264);
    let parameter = |kind| {
        let found = units.iter().find(|unit| unit[0] & 31 == kind);
        found.copied().ok_or("the video has no parameter sets")
    };
    let (sps, pps) = (parameter(7)?, parameter(8)?);
    let mut avcc = vec![1, sps[1], sps[2], sps[3], 0xff, 0xe1];
    for (set, behind) in [(sps, Some(1)), (pps, None)] {
        avcc.extend_from_slice(&u16::try_from(set.len())?.to_be_bytes());
        avcc.extend_from_slice(set);
        avcc.extend(behind);
    }
    let mut samples = Vec::new();
    // Delimiters part the access units.
    for (n, access) in (0..).zip(units.split(|unit| unit[0] & 31 == 9).skip(1)) {
        let mut data = Vec::new();
        for unit in access {
            data.extend_from_slice(&u32::try_from(unit.len())?.to_be_bytes());
            data.extend_from_slice(unit);
        }
        samples.push(Sample {
            track: 0,
            dts: n * FRAME,
            pts: n * FRAME,
            duration: FRAME as u32,
            key: access.iter().any(|unit| unit[0] & 31 == 5),
            data: data.into(),
        });
    }
    let (mut rest, mut dts) = (adts, 0);
    while rest.len() > 7 {
        let length =
            usize::from(rest[3] & 3) << 11 | usize::from(rest[4]) << 3 | usize::from(rest[5]) >> 5;
        let frame = rest.get(7..length).ok_or("the sound is cut short")?;
        samples.push(Sample {
            track: 1,
            dts,
            pts: dts,
            duration: 1024,
            key: true,
            data: Bytes::copy_from_slice(frame),
        });
        dts += 1024;
        rest = &rest[length..];
    }
    samples.sort_by_key(|sample| (micros(sample), sample.track));
    let track = |id, codec, kind, timescale, bit_rate| Track {
        id,
        codec,
        kind,
        timescale,
        bit_rate,
    };
    let picture = Kind::Video {
        width: 320,
        height: 180,
        frame_rate: (25, 1),
    };
    let sound = Kind::Audio {
        sample_rate: 48_000,
        channels: 2,
    };
    let config = Bytes::from_static(&[0x11, 0x90]);
    let rendition = |id: &str, tracks: &[u8]| RenditionFormat {
        id: id.into(),
        tracks: tracks.to_vec(),
    };
    let format = Format {
        tracks: vec![
            track(
                0,
                Codec::H264 { avcc: avcc.into() },
                picture,
                90_000,
                500_000,
            ),
            track(1, Codec::Aac { config }, sound, 48_000, 96_000),
        ],
        renditions: vec![rendition("source", &[0, 1]), rendition("audio", &[1])],
        leader: 0,
    };
    Ok((format, samples))
}

/// The units of a byte stream (Annex B), without their start codes.
fn units(bytes: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<_> = (bytes.windows(3).enumerate())
        .filter(|(_, three)| *three == [0, 0, 1])
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let units = starts.iter().zip(ends).map(|(start, end)| {
        let unit = &bytes[start + 3..end];
        let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
        &unit[..unit.len() - zeros]
    });
    units.filter(|unit| !unit.is_empty()).collect()
}
