//! The part of dag-cbor that announcements, manifests and messages use: unsigned numbers, byte strings, texts,
//! arrays, maps, booleans, null and links (README §4, §8). Reading accepts the canonical form only, and tells every length before anything of
//! that length is allocated; the general serde codec can do neither.

use cid::Cid;

use crate::{dag, manifest::Rejected};

/// Multibase "identity", which stands before the CID's bytes in a link (dag-cbor, "Links").
const IDENTITY_PREFIX: u8 = 0;
/// A CIDv1 of raw or dag-pb with sha2-256: version, codec, function, length, digest.
const CID_BYTES: usize = 36;
/// CBOR tag 42, one byte string of 37 bytes, the prefix.
const LINK_HEADER: [u8; 5] = [0xd8, 42, 0x58, 1 + CID_BYTES as u8, IDENTITY_PREFIX];

const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;

/// Writes items one behind another.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn number(&mut self, value: impl Into<u64>) -> &mut Self {
        self.head(UNSIGNED, value.into())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.head(BYTES, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.head(TEXT, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// Begins an array; its `length` items follow.
    pub(crate) fn array(&mut self, length: usize) -> &mut Self {
        self.head(ARRAY, length as u64)
    }

    /// Begins a map; its `length` pairs follow, shorter keys first.
    pub(crate) fn map(&mut self, length: usize) -> &mut Self {
        self.head(MAP, length as u64)
    }

    pub(crate) fn boolean(&mut self, value: bool) -> &mut Self {
        self.0.push(if value { TRUE } else { FALSE });
        self
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        self.0.push(NULL);
        self
    }

    /// A CID of a part, an init segment or a segment file.
    pub(crate) fn link(&mut self, cid: &Cid) -> &mut Self {
        self.0.extend_from_slice(&LINK_HEADER);
        self.0.extend_from_slice(&cid.to_bytes());
        self
    }

    /// Major type and argument in the shortest form (RFC 8949 §4.2.1).
    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        let major = major << 5;
        match value {
            0..24 => self.0.push(major | value as u8),
            24..0x100 => self.0.extend_from_slice(&[major | 24, value as u8]),
            0x100..0x1_0000 => {
                self.0.push(major | 25);
                self.0.extend_from_slice(&(value as u16).to_be_bytes());
            }
            0x1_0000..0x1_0000_0000 => {
                self.0.push(major | 26);
                self.0.extend_from_slice(&(value as u32).to_be_bytes());
            }
            _ => {
                self.0.push(major | 27);
                self.0.extend_from_slice(&value.to_be_bytes());
            }
        }
        self
    }
}

/// Reads items one behind another from bytes that are not trusted.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Ends reading: nothing may be left.
    pub(crate) fn finish(self) -> Result<(), Rejected> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Rejected::Malformed("bytes behind its end"))
        }
    }

    /// A number of at most `max`; `what` names it in the error.
    pub(crate) fn number<N>(&mut self, what: &'static str, max: N) -> Result<N, Rejected>
    where
        N: Copy + TryFrom<u64> + Into<u64>,
    {
        let value = self.head(UNSIGNED)?;
        match N::try_from(value) {
            Ok(small) if value <= max.into() => Ok(small),
            _ => Err(Rejected::TooBig {
                what,
                value,
                max: max.into(),
            }),
        }
    }

    /// A byte string of at most `max` bytes.
    pub(crate) fn bytes(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], Rejected> {
        let length = self.length(BYTES, what, max)?;
        self.take(length)
    }

    /// A text of at most `max` bytes.
    pub(crate) fn text(&mut self, what: &'static str, max: usize) -> Result<&'a str, Rejected> {
        let length = self.length(TEXT, what, max)?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| Rejected::Malformed("a text that is not UTF-8"))
    }

    /// The length of an array of at most `max` items; they follow.
    pub(crate) fn array(&mut self, what: &'static str, max: usize) -> Result<usize, Rejected> {
        self.length(ARRAY, what, max)
    }

    /// An array of exactly `length` items; they follow.
    pub(crate) fn tuple(&mut self, length: usize) -> Result<(), Rejected> {
        if self.head(ARRAY)? == length as u64 {
            Ok(())
        } else {
            Err(Rejected::Malformed("an array of the wrong length"))
        }
    }

    /// A map of exactly `length` pairs; they follow.
    pub(crate) fn map(&mut self, length: usize) -> Result<(), Rejected> {
        if self.head(MAP)? == length as u64 {
            Ok(())
        } else {
            Err(Rejected::Malformed("a map of the wrong length"))
        }
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, Rejected> {
        match self.take(1)?[0] {
            FALSE => Ok(false),
            TRUE => Ok(true),
            _ => Err(Rejected::Malformed("no boolean where one belongs")),
        }
    }

    pub(crate) fn null(&mut self) -> Result<(), Rejected> {
        match self.take(1)?[0] {
            NULL => Ok(()),
            _ => Err(Rejected::Malformed("a reserved field that is not null")),
        }
    }

    /// A CIDv1 with sha2-256.
    pub(crate) fn link(&mut self) -> Result<Cid, Rejected> {
        if self.take(LINK_HEADER.len())? != LINK_HEADER {
            return Err(Rejected::Malformed("no link where one belongs"));
        }
        let cid = Cid::try_from(self.take(CID_BYTES)?)
            .map_err(|_| Rejected::Malformed("a link without a CID"))?;
        // With 36 bytes in all, version 1 and this function leave exactly 32 for the digest.
        if cid.version() != cid::Version::V1
            || cid.hash().code() != dag::SHA2_256
            || cid.encoded_len() != CID_BYTES
        {
            return Err(Rejected::Malformed("a link that is no CIDv1 with sha2-256"));
        }
        Ok(cid)
    }

    fn length(&mut self, major: u8, what: &'static str, max: usize) -> Result<usize, Rejected> {
        let value = self.head(major)?;
        if value <= max as u64 {
            Ok(value as usize)
        } else {
            Err(Rejected::TooBig {
                what,
                value,
                max: max as u64,
            })
        }
    }

    fn head(&mut self, major: u8) -> Result<u64, Rejected> {
        let first = self.take(1)?[0];
        if first >> 5 != major {
            return Err(Rejected::Malformed("an item of the wrong type"));
        }
        let (bytes, smallest) = match first & 0x1f {
            small @ 0..24 => return Ok(u64::from(small)),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(Rejected::Malformed("an item without a length")),
        };
        let value = self
            .take(bytes)?
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        if value < smallest {
            Err(Rejected::Malformed(
                "a number that is not in its shortest form",
            ))
        } else {
            Ok(value)
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Rejected> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(Rejected::Malformed("cut short"))?;
        self.0 = rest;
        Ok(taken)
    }
}
