//! What stands in the store's files: packs and records.

use cid::{Cid, multihash::Multihash};
use meshlive_protocol::dag::SHA2_256;

use crate::store::{
    frame::{self, Parsed},
    record,
};

/// The frames of a pack: whatever parses is written again as it was.
pub fn pack(mut bytes: &[u8]) {
    while let Parsed::Frame(frame) = frame::parse(bytes) {
        let (whole, rest) = bytes.split_at(frame.length);
        let codec = whole[whole.len() - frame.block.len() - 35];
        let hash = Multihash::wrap(SHA2_256, &frame.digest).expect("32 bytes fit");
        let cid = Cid::new_v1(codec.into(), hash);
        assert_eq!(frame::digest_of(&cid), Some(frame.digest));
        assert_eq!(frame::encode(&cid, frame.block).as_deref(), Some(whole));
        let _ = frame.is_whole();
        bytes = rest;
    }
}

/// The records of a journal: whatever is good is written again as it was.
pub fn journal(bytes: &[u8]) {
    let (records, good) = record::scan(bytes);
    let again: Vec<u8> = records.into_iter().flat_map(record::encode).collect();
    assert_eq!(again, bytes[..good]);
}
