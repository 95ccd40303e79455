//! Bitswap's messages as bytes (specs.ipfs.tech/bitswap-protocol, "Wire Format" of 1.2.0). Pure; what is read is a stranger's.

use bytes::Bytes;
use cid::{Cid, Version, multihash::Multihash};
use meshlive_protocol::{
    dag::{DAG_PB, SHA2_256},
    protobuf::{self as out, Fields, Malformed, Value, take_varint},
};
use sha2::{Digest, Sha256};

/// "Implementations ... MUST NOT send and MUST reject messages over 4 MiB" (its length not counted).
pub(crate) const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// "Blocks ... SHOULD be at most 2 MiB"; what our store takes as well.
pub(crate) const MAX_BLOCK_BYTES: usize = crate::store::MAX_BLOCK_BYTES;
/// Wants and presences in one message. Four times what a peer may want of us at once; more is no honest message.
pub(crate) const MAX_ENTRIES: usize = 4096;
/// Bytes that an entry or a presence takes at most in what is written: CIDs of this project have 36, of others up to 80.
const ENTRY_BYTES: usize = 100;

/// One message, either way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) wants: Vec<Entry>,
    /// `wants` are all: whatever was wanted before and is not among them is not wanted any more.
    pub(crate) full: bool,
    /// Blocks, by the CIDs that their bytes have: checked while reading.
    pub(crate) blocks: Vec<(Cid, Bytes)>,
    /// Whether the sender has a block.
    pub(crate) presences: Vec<(Cid, bool)>,
}

/// One want, or the end of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) cid: Cid,
    pub(crate) priority: i32,
    pub(crate) cancel: bool,
    /// Only whether it is there is asked.
    pub(crate) have: bool,
    /// Wants to hear at once when it is not there.
    pub(crate) tell_absent: bool,
}

impl Message {
    /// Reads a message. Blocks whose hash is not sha2-256 are passed over: nothing here ever asks for them.
    ///
    /// # Errors
    /// Where it is no message, or has more than [`MAX_ENTRIES`] of anything or blocks over [`MAX_BLOCK_BYTES`].
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let mut message = Self::default();
        for field in Fields(bytes) {
            match field? {
                (1, Value::Bytes(list)) => message.wantlist(list)?,
                (3, Value::Bytes(block)) => {
                    let (prefix, data) = pair(block)?;
                    let Value::Bytes(data) = data.unwrap_or(Value::Bytes(&[])) else {
                        return Err(Malformed);
                    };
                    if data.len() > MAX_BLOCK_BYTES || message.blocks.len() == MAX_ENTRIES {
                        return Err(Malformed);
                    }
                    if let Some(cid) = cid_of(prefix, data)? {
                        message.blocks.push((cid, bytes.slice_ref(data)));
                    }
                }
                (4, Value::Bytes(presence)) => {
                    let (cid, absent) = pair(presence)?;
                    let absent = matches!(absent, Some(Value::Number(1..)));
                    if message.presences.len() == MAX_ENTRIES {
                        return Err(Malformed);
                    }
                    let cid = Cid::try_from(cid).map_err(|_| Malformed)?;
                    message.presences.push((cid, !absent));
                }
                _ => {} // blocks as 1.0.0 sent them (never asked for so), pending bytes, what may come one day
            }
        }
        Ok(message)
    }

    fn wantlist(&mut self, list: &[u8]) -> Result<(), Malformed> {
        for field in Fields(list) {
            match field? {
                (1, Value::Bytes(entry)) if self.wants.len() < MAX_ENTRIES => {
                    self.wants.push(Entry::decode(entry)?);
                }
                (1, _) => return Err(Malformed),
                (2, Value::Number(full)) => self.full = full != 0,
                _ => {}
            }
        }
        Ok(())
    }

    /// The message with its length before it, as it goes onto a libp2p stream.
    pub(crate) fn encode(&self) -> Bytes {
        let blocks: usize = self.blocks.iter().map(|(_, block)| block.len() + 32).sum();
        let entries = ENTRY_BYTES * (self.wants.len() + self.presences.len());
        let mut body = Vec::with_capacity(blocks + entries + 16);
        if !self.wants.is_empty() || self.full {
            let mut list = Vec::new();
            for entry in &self.wants {
                out::bytes(&mut list, 1, &entry.encode());
            }
            if self.full {
                out::number(&mut list, 2, 1);
            }
            out::bytes(&mut body, 1, &list);
        }
        for (cid, data) in &self.blocks {
            let prefix = prefix(cid);
            let mut block = Vec::with_capacity(prefix.len() + 8);
            out::bytes(&mut block, 1, &prefix);
            // The field's head, and then the data itself, copied once.
            out::varint(&mut block, 2 << 3 | 2);
            out::varint(&mut block, data.len() as u64);
            out::varint(&mut body, 3 << 3 | 2);
            out::varint(&mut body, (block.len() + data.len()) as u64);
            body.extend_from_slice(&block);
            body.extend_from_slice(data);
        }
        for (cid, here) in &self.presences {
            let mut presence = Vec::new();
            out::bytes(&mut presence, 1, &cid.to_bytes());
            out::number(&mut presence, 2, u64::from(!here));
            out::bytes(&mut body, 4, &presence);
        }
        debug_assert!(body.len() <= MAX_MESSAGE_BYTES, "senders keep to the limit");
        let mut whole = Vec::with_capacity(body.len() + 4);
        out::varint(&mut whole, body.len() as u64);
        whole.extend_from_slice(&body);
        whole.into()
    }
}

impl Entry {
    /// A want for a block, and to hear when it is not there.
    pub(crate) fn want(cid: Cid) -> Self {
        Self {
            cid,
            priority: 1,
            cancel: false,
            have: false,
            tell_absent: true,
        }
    }

    /// The end of a want.
    pub(crate) fn cancel(cid: Cid) -> Self {
        Self {
            cancel: true,
            tell_absent: false,
            ..Self::want(cid)
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut cid = None;
        let (mut priority, mut cancel, mut have, mut tell_absent) = (1, false, false, false);
        for field in Fields(bytes) {
            match field? {
                (1, Value::Bytes(bytes)) => {
                    cid = Some(Cid::try_from(bytes).map_err(|_| Malformed)?)
                }
                // An int32: negative ones come sign-extended to 64 bits.
                (2, Value::Number(number)) => priority = number as i32,
                (3, Value::Number(number)) => cancel = number != 0,
                (4, Value::Number(number)) => have = number != 0,
                (5, Value::Number(number)) => tell_absent = number != 0,
                _ => {}
            }
        }
        Ok(Self {
            cid: cid.ok_or(Malformed)?,
            priority,
            cancel,
            have,
            tell_absent,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut entry = Vec::with_capacity(ENTRY_BYTES);
        out::bytes(&mut entry, 1, &self.cid.to_bytes());
        out::number(&mut entry, 2, self.priority as i64 as u64);
        for (field, set) in [(3, self.cancel), (4, self.have), (5, self.tell_absent)] {
            if set {
                out::number(&mut entry, field, 1);
            }
        }
        entry
    }
}

/// Field 1, bytes, and field 2 of a small message.
fn pair(bytes: &[u8]) -> Result<(&[u8], Option<Value<'_>>), Malformed> {
    let (mut first, mut second) = (None, None);
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => first = Some(bytes),
            (2, value) => second = Some(value),
            _ => {}
        }
    }
    Ok((first.ok_or(Malformed)?, second))
}

/// All of a CID but its digest.
fn prefix(cid: &Cid) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(8);
    let hash = cid.hash();
    for number in [
        u64::from(cid.version()),
        cid.codec(),
        hash.code(),
        u64::from(hash.size()),
    ] {
        out::varint(&mut prefix, number);
    }
    prefix
}

/// The CID that these bytes have, of the form that `prefix` says; `None` for hash functions that are not used here.
fn cid_of(mut prefix: &[u8], data: &[u8]) -> Result<Option<Cid>, Malformed> {
    let prefix = &mut prefix;
    let (version, codec) = (take_varint(prefix)?, take_varint(prefix)?);
    if (take_varint(prefix)?, take_varint(prefix)?) != (SHA2_256, 32) {
        return Ok(None);
    }
    let hash = Multihash::wrap(SHA2_256, &Sha256::digest(data)).map_err(|_| Malformed)?;
    let version = Version::try_from(version).map_err(|_| Malformed)?;
    match version {
        Version::V0 if codec != DAG_PB => Err(Malformed),
        version => Cid::new(version, codec, hash)
            .map(Some)
            .map_err(|_| Malformed),
    }
}

#[cfg(test)]
mod tests {
    use meshlive_protocol::dag;
    use proptest::prelude::*;

    use super::*;

    fn all() -> Message {
        let (file, node) = dag::segment_file(&[(dag::cid_of(b"part"), 4)]);
        Message {
            wants: vec![
                Entry {
                    priority: -7,
                    have: true,
                    ..Entry::want(file)
                },
                Entry::cancel(dag::cid_of(b"x")),
            ],
            full: true,
            blocks: vec![
                (file, node.into()),
                (dag::cid_of(b"part"), Bytes::from_static(b"part")),
                (dag::cid_of(b""), Bytes::new()),
            ],
            presences: vec![(file, true), (dag::cid_of(b"y"), false)],
        }
    }

    /// Without the length before it.
    fn body(message: &Message) -> Bytes {
        let whole = message.encode();
        let mut rest = &whole[..];
        let length = take_varint(&mut rest).unwrap() as usize;
        assert_eq!(length, rest.len());
        whole.slice_ref(rest)
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Message::decode(&body(&all())), Ok(all()));
        assert_eq!(Message::decode(&Bytes::new()), Ok(Message::default()));
    }

    /// A want for the 4 bytes "test", as boxo's bitswap (Kubo 0.22) writes it.
    #[test]
    fn a_want_of_another_implementation_is_read() {
        let cid = dag::cid_of(b"test");
        let mut bytes = b"\x0a\x30\x0a\x2c\x0a\x24".to_vec();
        bytes.extend(cid.to_bytes());
        bytes.extend(b"\x10\x01\x20\x01\x28\x01\x10\x00");
        let read = Message::decode(&bytes.into()).unwrap();
        let want = Entry {
            have: true,
            ..Entry::want(cid)
        };
        assert_eq!(read.wants, [want]);
        assert!(!read.full);
    }

    #[test]
    fn a_block_has_the_name_of_its_bytes_whatever_its_sender_says() {
        let wrong = Message {
            blocks: vec![(dag::cid_of(b"right"), Bytes::from_static(b"wrong"))],
            ..Message::default()
        };
        let read = Message::decode(&body(&wrong)).unwrap();
        assert_eq!(read.blocks[0].0, dag::cid_of(b"wrong"));
    }

    #[test]
    fn names_of_version_0_stay_of_version_0() {
        let (file, node) = dag::segment_file(&[(dag::cid_of(b"part"), 4)]);
        let old = Cid::new_v0(*file.hash()).unwrap();
        let message = Message {
            wants: vec![Entry::want(old)],
            blocks: vec![(old, node.into())],
            ..Message::default()
        };
        assert_eq!(Message::decode(&body(&message)), Ok(message));
    }

    #[test]
    fn more_of_anything_than_the_limit_is_no_message() {
        let at_limit = Message {
            wants: vec![Entry::want(dag::cid_of(b"x")); MAX_ENTRIES],
            presences: vec![(dag::cid_of(b"x"), true); MAX_ENTRIES],
            ..Message::default()
        };
        assert_eq!(Message::decode(&body(&at_limit)).as_ref(), Ok(&at_limit));
        let mut more = at_limit.clone();
        more.wants.push(Entry::want(dag::cid_of(b"x")));
        assert_eq!(Message::decode(&body(&more)), Err(Malformed));
        let mut more = at_limit;
        more.presences.push((dag::cid_of(b"x"), true));
        assert_eq!(Message::decode(&body(&more)), Err(Malformed));
        // Two million entries of two bytes each, which say nothing.
        let empty: Vec<u8> = [0x0a, 0x00].repeat(2000);
        let mut bytes = Vec::new();
        out::bytes(&mut bytes, 1, &empty);
        assert_eq!(Message::decode(&bytes.into()), Err(Malformed));
        let block = |size| Message {
            blocks: vec![(dag::cid_of(b""), vec![0; size].into())],
            ..Message::default()
        };
        assert!(Message::decode(&body(&block(MAX_BLOCK_BYTES))).is_ok());
        assert_eq!(
            Message::decode(&body(&block(MAX_BLOCK_BYTES + 1))),
            Err(Malformed)
        );
    }

    proptest! {
        #[test]
        fn random_bytes_break_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::decode(&bytes.into());
        }

        #[test]
        fn flipped_bits_break_nothing(at in any::<proptest::sample::Index>(), bit in 0..8_u32) {
            let mut bytes = body(&all()).to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let _ = Message::decode(&bytes.into());
        }
    }
}
