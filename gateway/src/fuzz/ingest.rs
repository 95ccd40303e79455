//! What ingest itself reads of foreign bytes; the rest is FFmpeg's.

use bytes::Bytes;

use crate::ingest::{
    Spec, aac,
    h264::{self, Sps},
    hevc,
    media::{Codec, Kind, Packet, SourceStream},
    pipeline::{framing::Framing, opus},
    timeline::Timeline,
};

/// H.264 in both framings; the first byte chooses the length prefix.
pub fn h264(bytes: &[u8]) {
    let Some((&head, rest)) = bytes.split_first() else {
        return;
    };
    Sps::parse(rest);
    if let Some(record) = h264::avcc(rest) {
        let (prefix, sps) = h264::avcc_sps(&record).expect("our own record is read");
        assert_eq!(prefix, 4);
        assert!(Sps::parse(sps).is_some());
    }
    h264::avcc_sps(rest);
    let framed = h264::length_prefixed(rest);
    assert!(framed.is_empty() || h264::is_whole(&framed, 4));
    let prefix = usize::from(head % 4) + 1;
    let packet = Bytes::copy_from_slice(rest);
    h264::is_key(&packet, prefix);
    if h264::is_whole(&packet, prefix) {
        assert!(h264::is_whole(&h264::widened(&packet, prefix), 4));
    }
}

/// What goes on as it came beside H.264: HEVC in both framings, AV1, Opus; the first byte chooses.
pub fn original(bytes: &[u8]) {
    let Some((&head, rest)) = bytes.split_first() else {
        return;
    };
    let stream = |codec| SourceStream {
        codec,
        kind: Kind::Video {
            width: 0,
            height: 0,
            frame_rate: (0, 0),
        },
        bit_rate: 0,
    };
    let packet = Bytes::copy_from_slice(rest);
    if let Some(hvcc) = hevc::hvcc(rest) {
        let ours = Framing::beside(&stream(Codec::Hevc { hvcc })).map(|(framing, _)| framing);
        assert_eq!(ours, Some(Framing::Hevc(4)));
    }
    let framed = hevc::length_prefixed(rest);
    assert!(framed.is_empty() || Framing::Hevc(4).is_whole(&framed));
    Framing::beside(&stream(Codec::Hevc {
        hvcc: packet.clone(),
    }));
    for framing in [Framing::Hevc(usize::from(head % 4) + 1), Framing::Av1] {
        framing.is_key(&packet, true);
        if framing.is_whole(&packet) {
            let sample = framing.sample(&packet);
            assert!(!sample.is_empty());
            let again = match framing {
                Framing::Av1 => Framing::Av1,
                _ => Framing::Hevc(4),
            };
            assert!(again.is_whole(&sample));
        }
    }
    assert!(opus::duration(rest).is_none_or(|samples| samples <= 5_760));
}

/// AudioSpecificConfig and ADTS.
pub fn aac(bytes: &[u8]) {
    aac::Config::parse(bytes);
    if let Some((config, header)) = aac::adts(bytes) {
        assert!(header < bytes.len());
        assert!(aac::Config::parse(&config).is_some());
    }
}

/// Packets of 17 bytes each: stream, dts, pts. Places never go back.
pub fn timeline(bytes: &[u8]) {
    let (mut timeline, mut now) = (Timeline::default(), 1_700_000_000_000_000);
    let mut newest = [0; 4];
    for packet in bytes.chunks_exact(17) {
        let stream = usize::from(packet[0] % 4);
        let time =
            |at: usize| i64::from_be_bytes(packet[at..at + 8].try_into().expect("eight bytes"));
        now += u64::from(packet[0]) * 1000;
        if packet[0] == 255 {
            timeline.restart("fuzz");
        }
        let packet = Packet {
            stream,
            dts: time(1),
            pts: time(9),
            duration: time(9),
            key: true,
            data: Bytes::new(),
        };
        if let Some(placed) = timeline.place(&packet, now) {
            assert!(placed.dts >= newest[stream]);
            newest[stream] = placed.dts;
        }
    }
}

/// An input on the command line.
pub fn spec(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(spec) = text.parse::<Spec>()
    {
        assert!(!spec.alias.is_empty());
    }
}
