//! Messages and part headers (README §8): what is written is read, at every limit and not beyond it.

use bytes::Bytes;
use libp2p_identity::PeerId;
use meshlive_protocol::{
    key::SigningKey,
    manifest::{
        self, MAX_ANNOUNCEMENT_BYTES, MAX_ENVELOPE_OVERHEAD, MAX_MANIFEST_BYTES, MAX_NUMBER,
        Rejected,
    },
    message::*,
    part::MAX_PART_BYTES,
};

use crate::common::{key, stream};

/// A viewer's peer id, another for each number.
pub(crate) fn peer(number: u8) -> PeerId {
    let key = SigningKey::from_secret([number; 32]).to_protobuf();
    let pair = libp2p_identity::Keypair::from_protobuf_encoding(&key).expect("a key");
    pair.public().to_peer_id()
}

fn decode(bytes: &Bytes) -> Result<Message, Rejected> {
    Message::decode(bytes, &key().name())
}

/// An envelope of so many bytes that begins as every announcement's of the stream does, and is none.
fn envelope(length: usize) -> Bytes {
    let mut envelope = manifest::sign_announcement(&key(), &stream(1).announcements[0]);
    envelope.truncate(45);
    envelope.resize(length, 7);
    envelope.into()
}

fn place(rendition: u8, msn: u64, part: u32) -> Place {
    Place {
        msn,
        part,
        rendition,
    }
}

/// One message of each kind.
pub(crate) fn each() -> impl Iterator<Item = (&'static str, Message)> {
    let two = || vec![place(0, 101, 3), place(2, MAX_NUMBER, 255)];
    let join = Join {
        renditions: 0b101,
        upload: 500_000,
        gateway: true,
        site: 0,
    };
    let known = stream(14).announcements[2].clone();
    let envelope = Bytes::from(manifest::sign_announcement(&key(), &known));
    [
        ("join", Message::Join(join)),
        (
            "announcement",
            Message::Announcement {
                envelope,
                seeds: vec![tail(&peer(1))],
                by: tail(&peer(2)),
            },
        ),
        (
            "manifest",
            Message::Manifest {
                envelope: Bytes::from_static(b"an envelope"),
            },
        ),
        ("want-manifest", Message::WantManifest),
        ("have", Message::Have(two())),
        ("want", Message::Want(two())),
        ("cancel", Message::Cancel(two())),
        ("lack", Message::Lack(Vec::new())),
        ("neighbours", Message::Neighbours(vec![peer(1), peer(2)])),
        ("want-neighbours", Message::WantNeighbours),
        (
            "tell",
            Message::Tell {
                epoch: 1_795_338_000,
                sequence: 15,
            },
        ),
        ("hush", Message::Hush),
    ]
    .into_iter()
}

pub(crate) fn header() -> PartHeader {
    PartHeader {
        place: place(0, 101, 3),
        size: 60_003,
    }
}

pub(crate) fn largest() -> PartHeader {
    PartHeader {
        place: place(15, MAX_NUMBER, 255),
        size: MAX_PART_BYTES as u32,
    }
}

/// The largest of each kind that has a list or an envelope.
fn at_the_limit(more: usize) -> Vec<Message> {
    let places = || vec![place(15, MAX_NUMBER, 255); MAX_PLACES + more];
    let peers = || (0..MAX_NEIGHBOURS + more).map(|n| peer(n as u8)).collect();
    let envelope = |max| envelope(max + MAX_ENVELOPE_OVERHEAD + more);
    vec![
        Message::Announcement {
            envelope: envelope(MAX_ANNOUNCEMENT_BYTES),
            seeds: Vec::new(),
            by: 0,
        },
        Message::Announcement {
            envelope: self::envelope(45),
            seeds: vec![u32::MAX; MAX_NEIGHBOURS + more],
            by: u32::MAX,
        },
        Message::Manifest {
            envelope: envelope(MAX_MANIFEST_BYTES),
        },
        Message::Have(places()),
        Message::Want(places()),
        Message::Cancel(places()),
        Message::Lack(places()),
        Message::Neighbours(peers()),
    ]
}

#[test]
fn what_is_written_is_read() {
    for message in each().map(|(_, message)| message).chain(at_the_limit(0)) {
        let bytes = message.encode();
        assert!(bytes.len() <= Message::limit([bytes[0], bytes[1]]));
        assert_eq!(decode(&bytes), Ok(message));
    }
}

#[test]
fn one_more_than_the_limit_is_refused() {
    for message in at_the_limit(1) {
        let refused = decode(&message.encode());
        assert!(
            matches!(refused, Err(Rejected::TooBig { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn an_envelope_is_not_copied() {
    let envelope = Bytes::from(vec![7; 1000]);
    let bytes = Message::Manifest { envelope }.encode();
    let Ok(Message::Manifest { envelope }) = decode(&bytes) else {
        panic!("a manifest");
    };
    assert!(bytes.as_ptr_range().contains(&envelope.as_ptr()));
}

#[test]
fn every_cut_of_a_message_is_refused_and_so_is_a_byte_more() {
    for (name, message) in each() {
        let bytes = message.encode();
        for length in 0..bytes.len() {
            let cut = decode(&bytes.slice(..length));
            assert!(cut.is_err(), "{name} cut to {length}: {cut:?}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(decode(&longer.into()).is_err(), "{name}");
    }
}

#[test]
fn what_is_claimed_is_not_allocated() {
    for claim in [
        &[0x82, 4, 0x9a, 0xff, 0xff, 0xff, 0xff, 0x83][..],
        &[
            0x82, 8, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ],
        &[0x82, 2, 0x5a, 0xff, 0xff, 0xff, 0xff],
    ] {
        let refused = decode(&Bytes::copy_from_slice(claim));
        assert!(
            matches!(refused, Err(Rejected::TooBig { .. })),
            "{refused:?}"
        );
    }
}

/// A reader asks for the limit with two bytes in hand.
#[test]
fn the_limit_of_a_message_is_told_by_its_first_bytes() {
    assert_eq!(Message::limit([0x82, 4]), MAX_MESSAGE_BYTES);
    assert_eq!(Message::limit([0x82, 2]), MAX_CONTROL_FRAME_BYTES);
    for unknown in [
        [0x82, 10],
        [0x81, 12],
        [0x83, 4],
        [0x82, 0x18],
        [0xa2, 4],
        [0, 0],
    ] {
        assert_eq!(Message::limit(unknown), 0, "{unknown:?}");
        let refused = decode(&Bytes::copy_from_slice(&unknown));
        assert!(refused.is_err());
    }
    let long = [&[0x82, 4][..], &vec![0; MAX_MESSAGE_BYTES - 1]].concat();
    let what = "message bytes";
    let (value, max) = (MAX_MESSAGE_BYTES as u64 + 1, MAX_MESSAGE_BYTES as u64);
    assert_eq!(
        decode(&long.into()),
        Err(Rejected::TooBig { what, value, max })
    );
}

#[test]
fn places_and_peers_are_checked_one_by_one() {
    for wrong in [
        place(16, 1, 0),
        place(0, MAX_NUMBER + 1, 0),
        place(0, 1, 256),
    ] {
        let refused = decode(&Message::Have(vec![wrong]).encode());
        assert!(
            matches!(refused, Err(Rejected::TooBig { .. })),
            "{wrong:?}: {refused:?}"
        );
    }
    let mut good = Message::Neighbours(vec![peer(1)]).encode().to_vec();
    assert!(decode(&good.clone().into()).is_ok());
    good[6] ^= 1; // the multihash's length
    let refused = decode(&good.into());
    assert_eq!(refused, Err(Rejected::Malformed("a peer id that is none")));
}

#[test]
fn a_part_header_is_read_up_to_its_limits() {
    for good in [header(), largest()] {
        assert_eq!(PartHeader::decode(&good.encode()), Ok(good));
    }
    let broken = |change: fn(&mut PartHeader)| {
        let mut header = largest();
        change(&mut header);
        PartHeader::decode(&header.encode())
    };
    for refused in [
        broken(|header| header.place.rendition = 16),
        broken(|header| header.place.part = 256),
        broken(|header| header.place.msn += 1),
        broken(|header| header.size += 1),
    ] {
        assert!(
            matches!(refused, Err(Rejected::TooBig { .. })),
            "{refused:?}"
        );
    }
    let malformed = |refused| matches!(refused, Err(Rejected::Malformed(_)));
    assert!(malformed(broken(|header| header.size = 0)));
    let mut reserved = header().encode();
    reserved[1] = 1;
    assert!(malformed(PartHeader::decode(&reserved)));
}
