//! The bytes of messages (README §8): canonical dag-cbor arrays, told apart by their first item.

use bytes::Bytes;
use libp2p_identity::PeerId;

use super::{
    Join, MAX_ANNOUNCEMENT_ENVELOPE, MAX_CONTROL_FRAME_BYTES, MAX_MANIFEST_ENVELOPE,
    MAX_MESSAGE_BYTES, MAX_NEIGHBOURS, MAX_PEER_BYTES, MAX_PLACES, Message, Place,
};
use crate::{
    cbor::{Reader, Writer},
    manifest::{MAX_NUMBER, MAX_PARTS_PER_SEGMENT, MAX_RENDITIONS, Rejected},
};

/// The first item of each message.
const JOIN: u8 = 0;
const ANNOUNCEMENT: u8 = 1;
const MANIFEST: u8 = 2;
const WANT_MANIFEST: u8 = 3;
const HAVE: u8 = 4;
const WANT: u8 = 5;
const CANCEL: u8 = 6;
const LACK: u8 = 7;
const NEIGHBOURS: u8 = 8;
const WANT_NEIGHBOURS: u8 = 9;

/// Items of each, by its kind.
const ITEMS: [usize; 10] = [5, 3, 2, 1, 2, 2, 2, 2, 2, 1];

impl Message {
    /// How long a message may be whose first bytes are `head`; 0 if no message begins like this. A reader that
    /// asks before it takes in the rest is never made to hold more.
    pub fn limit(head: [u8; 2]) -> usize {
        let [items, kind] = head;
        match ITEMS.get(usize::from(kind)) {
            Some(length) if usize::from(items) == 0x80 | length => match kind {
                ANNOUNCEMENT => MAX_ANNOUNCEMENT_ENVELOPE + MAX_MESSAGE_BYTES,
                MANIFEST => MAX_CONTROL_FRAME_BYTES,
                _ => MAX_MESSAGE_BYTES,
            },
            _ => 0,
        }
    }

    /// The bytes, without the length before them. It is the caller's to keep lists and envelopes within their
    /// bounds: what breaks one, [`Self::decode`] refuses at the other end.
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        let kind = self.kind();
        out.array(ITEMS[usize::from(kind)]).number(kind);
        match self {
            Self::Join(join) => {
                out.number(join.renditions)
                    .number(join.upload)
                    .boolean(join.gateway)
                    .number(join.site);
            }
            Self::Announcement { envelope, seeds } => {
                out.bytes(envelope);
                write_peers(&mut out, seeds);
            }
            Self::Manifest { envelope } => {
                out.bytes(envelope);
            }
            Self::Have(places) | Self::Want(places) | Self::Cancel(places) | Self::Lack(places) => {
                out.array(places.len());
                for place in places {
                    out.array(3)
                        .number(place.rendition)
                        .number(place.msn)
                        .number(place.part);
                }
            }
            Self::Neighbours(peers) => write_peers(&mut out, peers),
            Self::WantManifest | Self::WantNeighbours => {}
        }
        out.into_bytes().into()
    }

    /// Reads what a peer sent. Envelopes are slices of `bytes`, nothing is copied of them, and nothing of them is
    /// believed or looked at here.
    pub fn decode(bytes: &Bytes) -> Result<Self, Rejected> {
        let head = bytes
            .first_chunk()
            .ok_or(Rejected::Malformed("cut short"))?;
        let max = Self::limit(*head);
        if max == 0 {
            return Err(Rejected::Malformed("a message of no kind that is known"));
        }
        if bytes.len() > max {
            return Err(Rejected::TooBig {
                what: "message bytes",
                value: bytes.len() as u64,
                max: max as u64,
            });
        }
        let mut from = Reader::new(&bytes[2..]);
        let message = match head[1] {
            JOIN => Self::Join(Join {
                renditions: from.number("renditions", u16::MAX)?,
                upload: from.number("upload", u32::MAX)?,
                gateway: from.boolean()?,
                site: from.number("site", u32::MAX)?,
            }),
            ANNOUNCEMENT => {
                let envelope = from.bytes("envelope bytes", MAX_ANNOUNCEMENT_ENVELOPE)?;
                Self::Announcement {
                    envelope: bytes.slice_ref(envelope),
                    seeds: read_peers(&mut from)?,
                }
            }
            MANIFEST => {
                let envelope = from.bytes("envelope bytes", MAX_MANIFEST_ENVELOPE)?;
                Self::Manifest {
                    envelope: bytes.slice_ref(envelope),
                }
            }
            WANT_MANIFEST => Self::WantManifest,
            HAVE => Self::Have(read_places(&mut from)?),
            WANT => Self::Want(read_places(&mut from)?),
            CANCEL => Self::Cancel(read_places(&mut from)?),
            LACK => Self::Lack(read_places(&mut from)?),
            NEIGHBOURS => Self::Neighbours(read_peers(&mut from)?),
            _ => Self::WantNeighbours,
        };
        from.finish()?;
        Ok(message)
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Join(_) => JOIN,
            Self::Announcement { .. } => ANNOUNCEMENT,
            Self::Manifest { .. } => MANIFEST,
            Self::WantManifest => WANT_MANIFEST,
            Self::Have(_) => HAVE,
            Self::Want(_) => WANT,
            Self::Cancel(_) => CANCEL,
            Self::Lack(_) => LACK,
            Self::Neighbours(_) => NEIGHBOURS,
            Self::WantNeighbours => WANT_NEIGHBOURS,
        }
    }
}

fn write_peers(out: &mut Writer, peers: &[PeerId]) {
    out.array(peers.len());
    for peer in peers {
        out.bytes(&peer.to_bytes());
    }
}

fn read_peers(from: &mut Reader) -> Result<Vec<PeerId>, Rejected> {
    (0..from.array("peers", MAX_NEIGHBOURS)?)
        .map(|_| {
            let id = from.bytes("peer id bytes", MAX_PEER_BYTES)?;
            PeerId::from_bytes(id)
                .ok()
                .filter(|peer| peer.to_bytes() == id)
                .ok_or(Rejected::Malformed("a peer id that is none"))
        })
        .collect()
}

fn read_places(from: &mut Reader) -> Result<Vec<Place>, Rejected> {
    (0..from.array("places", MAX_PLACES)?)
        .map(|_| {
            from.tuple(3)?;
            Ok(Place {
                rendition: from.number("rendition", MAX_RENDITIONS as u8 - 1)?,
                msn: from.number("msn", MAX_NUMBER)?,
                part: from.number("part", MAX_PARTS_PER_SEGMENT as u32 - 1)?,
            })
        })
        .collect()
}
