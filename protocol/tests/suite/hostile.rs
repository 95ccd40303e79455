//! Hostile bytes: cut, flipped, claimed, not canonical. All are refused, and nothing of a claimed size is allocated.

use meshlive_protocol::{
    manifest::{self, *},
    name::StreamName,
};

use crate::common::{key, seal, stream};

fn open(envelope: &[u8]) -> Result<Opened, Rejected> {
    manifest::open(&key().name(), envelope)
}

#[test]
fn every_cut_and_every_flipped_bit_of_an_envelope_is_refused() {
    let publisher = stream(14);
    let good = manifest::sign_announcement(&key(), &publisher.announcements[2]);
    assert!(open(&good).is_ok());
    for length in 0..good.len() {
        assert!(open(&good[..length]).is_err(), "cut to {length}");
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(open(&bad).is_err(), "bit {bit} of byte {at}");
        }
    }
    assert!(open(&[good.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn every_cut_of_a_well_signed_payload_is_refused() {
    let publisher = stream(14);
    for (kind, envelope) in [
        (
            ANNOUNCEMENT_TYPE,
            manifest::sign_announcement(&key(), &publisher.announcements[0]),
        ),
        (
            MANIFEST_TYPE,
            manifest::sign_manifest(&key(), &publisher.manifest),
        ),
    ] {
        let payload = crate::common::payload(&envelope);
        assert!(open(&seal(kind, &payload)).is_ok());
        // Signing is slow without optimisation: every 7th length of the long one.
        for length in (0..payload.len()).step_by(1 + payload.len() / 300) {
            assert!(
                open(&seal(kind, &payload[..length])).is_err(),
                "cut to {length}"
            );
        }
        assert!(open(&seal(kind, &[payload.as_slice(), &[0]].concat())).is_err());
    }
}

#[test]
fn payloads_are_bounded_before_the_signature_is_checked() {
    for (kind, max) in [
        (ANNOUNCEMENT_TYPE, MAX_ANNOUNCEMENT_BYTES),
        (MANIFEST_TYPE, MAX_MANIFEST_BYTES),
    ] {
        let refused = open(&seal(kind, &vec![0; max + 1]));
        let (value, max_value) = (max as u64 + 1, max as u64);
        assert_eq!(
            refused,
            Err(Rejected::TooBig {
                what: "payload bytes",
                value,
                max: max_value
            })
        );
        assert!(matches!(
            open(&seal(kind, &vec![0; max])),
            Err(Rejected::Malformed(_))
        ));
    }
    assert_eq!(open(&seal(b"/ml/z", b"x")), Err(Rejected::UnknownType));
    assert_eq!(open(&seal(&[b'x'; 17], b"x")), Err(Rejected::UnknownType));
}

#[test]
fn lengths_that_are_only_claimed_are_refused() {
    // [null, 1, 1, 1, [ 2^64 - 1 news
    let news = [&[0x85, 0xf6, 1, 1, 1, 0x9b][..], &[0xff; 8]].concat();
    let refused = open(&seal(ANNOUNCEMENT_TYPE, &news));
    assert_eq!(
        refused,
        Err(Rejected::TooBig {
            what: "news",
            value: u64::MAX,
            max: MAX_NEWS as u64
        })
    );
    // A manifest with 2^32 - 1 segments.
    let head = [0x8c, 0xf6, 1, 1, 1, 1, 6, 1, 0xf4, 0, 0, 0x80];
    let segments = [&head[..], &[0x9a, 0xff, 0xff, 0xff, 0xff]].concat();
    let max = MAX_SEGMENTS as u64;
    let refused = open(&seal(MANIFEST_TYPE, &segments));
    assert_eq!(
        refused,
        Err(Rejected::TooBig {
            what: "segments",
            value: u64::from(u32::MAX),
            max
        })
    );
    assert!(
        open(&seal(MANIFEST_TYPE, &[&head[..], &[0x80]].concat())).is_ok(),
        "the head itself is good"
    );
}

#[test]
fn one_form_only() {
    let good = [0x85, 0xf6, 1, 1, 1, 0x81, 0x81, 5];
    assert!(open(&seal(ANNOUNCEMENT_TYPE, &good)).is_ok());
    let same_but = |bytes: &[u8]| {
        open(&seal(ANNOUNCEMENT_TYPE, bytes))
            .expect_err("not canonical")
            .to_string()
    };
    assert!(same_but(&[0x85, 0xf6, 0x18, 1, 1, 1, 0x81, 0x81, 5]).contains("shortest form"));
    assert!(same_but(&[0x9f, 0xf6, 1, 1, 1, 0x81, 0x81, 5, 0xff]).contains("without a length"));
    assert!(same_but(&[0x85, 0xf5, 1, 1, 1, 0x81, 0x81, 5]).contains("reserved field"));
    assert!(same_but(&[0x85, 0xf6, 0x21, 1, 1, 0x81, 0x81, 5]).contains("wrong type"));
    assert!(same_but(&[0x85, 0xf6, 1, 1, 1, 0x81, 0x82, 5, 0]).contains("wrong length"));
    assert!(same_but(&[0x85, 0xf6, 1, 1, 1, 0x81, 0x80]).contains("empty news"));
    assert!(same_but(&[0x85, 0xf6, 1, 1, 1, 0x81, 0x81, 7]).contains("kind of news"));
    let beyond = [
        &[0x85, 0xf6, 0x1b][..],
        &(MAX_NUMBER + 1).to_be_bytes(),
        &[1, 1, 0x80],
    ]
    .concat();
    assert!(same_but(&beyond).contains("epoch"));
}

#[test]
fn a_target_duration_of_nothing_is_refused() {
    let manifest = |target| [0x8c, 0xf6, 1, 1, 1, 1, target, 1, 0xf4, 0, 0, 0x80, 0x80];
    let open = |target| open(&seal(MANIFEST_TYPE, &manifest(target)));
    assert!(open(1).is_ok() && open(0x18).is_err());
    assert!(
        open(0)
            .unwrap_err()
            .to_string()
            .contains("target duration 0: it is 0")
    );
}

#[test]
fn names_that_are_none() {
    let good = key().name().to_string();
    assert!(good.parse::<StreamName>().is_ok());
    let upper = good.to_uppercase();
    let long = "k".repeat(10_000);
    let peer_id = "12D3KooWRm8J3iL796zPFi2EtGGtUJn58AG67gcRjmcqZnQiT7PE";
    let zeros = format!("k{}", "0".repeat(61));
    let shorter = &good[..61];
    for bad in [
        "",
        "k",
        &upper,
        &long,
        shorter,
        peer_id,
        &zeros,
        "../../etc/passwd",
        &"ä".repeat(31),
    ] {
        let error = bad.parse::<StreamName>().expect_err(bad).to_string();
        assert!(
            error.contains("is not a stream name") && error.len() < 400,
            "{error}"
        );
    }
    for at in 0..good.len() {
        let mut bad = good.clone().into_bytes();
        bad[at] = b'K';
        assert!(
            String::from_utf8(bad)
                .unwrap()
                .parse::<StreamName>()
                .is_err()
        );
    }
}
