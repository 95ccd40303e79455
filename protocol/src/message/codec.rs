//! The bytes of messages (README §8): canonical dag-cbor arrays, told apart by their first item.

use bytes::Bytes;
use libp2p_identity::PeerId;

use super::{
    HEAD_BYTES, Join, MAX_ANNOUNCEMENT_ENVELOPE, MAX_CONTROL_FRAME_BYTES, MAX_MANIFEST_ENVELOPE,
    MAX_MESSAGE_BYTES, MAX_NEIGHBOURS, MAX_PEER_BYTES, MAX_PLACES, Message, Place,
};
use crate::{
    cbor::{Reader, Writer},
    manifest::{
        ANNOUNCEMENT_TYPE, MAX_NUMBER, MAX_PARTS_PER_SEGMENT, MAX_RENDITIONS, Rejected, envelope,
    },
    name::StreamName,
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
const TELL: u8 = 10;
const HUSH: u8 = 11;

/// Items of each, by its kind.
const ITEMS: [usize; 12] = [5, 4, 2, 1, 2, 2, 2, 2, 2, 1, 3, 1];

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
    /// bounds: what breaks one, [`Self::decode`] refuses at the other end. Of an announcement's envelope what all
    /// of the stream begin with is left out.
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
            Self::Announcement {
                envelope,
                seeds,
                by,
            } => {
                out.bytes(envelope.get(HEAD_BYTES..).unwrap_or_default());
                out.array(seeds.len());
                for seed in seeds {
                    out.number(*seed);
                }
                out.number(*by);
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
            Self::Tell { epoch, sequence } => {
                out.number(*epoch).number(*sequence);
            }
            Self::WantManifest | Self::WantNeighbours | Self::Hush => {}
        }
        out.into_bytes().into()
    }

    /// Reads what a peer sent about `stream`. A manifest is a slice of `bytes`; an announcement's envelope is put together
    /// again. Nothing of them is believed or looked at here.
    pub fn decode(bytes: &Bytes, stream: &StreamName) -> Result<Self, Rejected> {
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
                let rest = from.bytes("envelope bytes", MAX_ANNOUNCEMENT_ENVELOPE - HEAD_BYTES)?;
                let mut envelope = envelope::head(stream, ANNOUNCEMENT_TYPE);
                envelope.extend_from_slice(rest);
                let seeds = 0..from.array("seeds", MAX_NEIGHBOURS)?;
                let seeds = seeds.map(|_| from.number("seed", u32::MAX));
                Self::Announcement {
                    envelope: envelope.into(),
                    seeds: seeds.collect::<Result<_, _>>()?,
                    by: from.number("viewer", u32::MAX)?,
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
            TELL => Self::Tell {
                epoch: from.number("epoch", MAX_NUMBER)?,
                sequence: from.number("sequence", MAX_NUMBER)?,
            },
            HUSH => Self::Hush,
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
            Self::Tell { .. } => TELL,
            Self::Hush => HUSH,
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
