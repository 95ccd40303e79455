//! IPNS records of stream names: where the newest directory of a stream's past is, signed with its key, for any IPFS node.
//! Never on the live path.
//!
//! specs.ipfs.tech/ipns/ipns-record, version 2. Written here: the one crate of it (`rust-ipns`) is made for another
//! libp2p than ours, and brings a calendar and two more codecs along. Kubo judges these records in `tests/interop`.

use cid::Cid;

use crate::{
    cbor,
    key::SigningKey,
    manifest::Rejected,
    name::StreamName,
    protobuf::{self, Fields, Value},
    time::{DateTime, parse_date_time},
};

/// "IPNS records are limited to 10 KiB in size."
pub const MAX_BYTES: usize = 10 << 10;
/// A path is never as long.
const MAX_PATH_BYTES: usize = 1024;
/// What stands before the data in what is signed.
const SIGNED: &[u8] = b"ipns-signature:";

/// Fields of the protobuf `IpnsEntry`; all but the signature and the data only repeat what the data says, for old readers.
const VALUE: u64 = 1;
const VALIDITY_TYPE: u64 = 3;
const VALIDITY: u64 = 4;
const SEQUENCE: u64 = 5;
const TTL: u64 = 6;
const PUBLIC_KEY: u64 = 7;
const SIGNATURE: u64 = 8;
const DATA: u64 = 9;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// A path, `/ipfs/…`.
    pub value: String,
    /// Of two records the one with the higher sequence is valid, of two with the same the one that is valid longer.
    pub sequence: u64,
    /// Until then it is valid: µs since the Unix epoch, in whole milliseconds; what is finer is cut off.
    pub valid_until: u64,
    /// How long it may be taken for the newest, nanoseconds.
    pub ttl: u64,
}

/// Why a record is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is none, or not this stream's.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// It is not valid any more.
    #[error("this record was valid until {until} µs, and it is {now} µs")]
    Expired {
        /// Its end.
        until: u64,
        /// Now.
        now: u64,
    },
}

impl Record {
    /// That the stream's newest directory is `root`.
    pub fn of(root: &Cid, sequence: u64, valid_until: u64, ttl: u64) -> Self {
        Self {
            value: format!("/ipfs/{root}"),
            sequence,
            valid_until,
            ttl,
        }
    }

    /// Whether this goes before `other`.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.sequence, self.valid_until) > (other.sequence, other.valid_until)
    }

    /// The record, signed.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let (data, validity) = (self.data(), self.validity());
        let signature = key.sign(&[SIGNED, &data].concat());
        let mut out = Vec::with_capacity(data.len() + 300);
        protobuf::bytes(&mut out, VALUE, self.value.as_bytes());
        protobuf::number(&mut out, VALIDITY_TYPE, 0);
        protobuf::bytes(&mut out, VALIDITY, validity.as_bytes());
        protobuf::number(&mut out, SEQUENCE, self.sequence);
        protobuf::number(&mut out, TTL, self.ttl);
        protobuf::bytes(&mut out, SIGNATURE, &signature);
        protobuf::bytes(&mut out, DATA, &data);
        out
    }

    /// Reads a record of `stream`, as it is at `now` (µs since the Unix epoch).
    ///
    /// # Errors
    /// When it is malformed, of another key, wrongly signed, or not valid any more.
    pub fn open(stream: &StreamName, bytes: &[u8], now: u64) -> Result<Self, Refused> {
        if bytes.len() > MAX_BYTES {
            return Err(Refused::Rejected(Rejected::TooBig {
                what: "record bytes",
                value: bytes.len() as u64,
                max: MAX_BYTES as u64,
            }));
        }
        let record = Self::verify(stream, bytes)?;
        if record.valid_until <= now {
            return Err(Refused::Expired {
                until: record.valid_until,
                now,
            });
        }
        Ok(record)
    }

    fn verify(stream: &StreamName, bytes: &[u8]) -> Result<Self, Rejected> {
        let malformed = |_| Rejected::Malformed("no protobuf");
        let (mut data, mut signature) = (None, None);
        for field in Fields(bytes) {
            match field.map_err(malformed)? {
                (SIGNATURE, Value::Bytes(bytes)) => signature = Some(bytes),
                (DATA, Value::Bytes(bytes)) => data = Some(bytes),
                (PUBLIC_KEY, Value::Bytes(bytes))
                    if !bytes.is_empty() && bytes != stream.key_protobuf() =>
                {
                    return Err(Rejected::AnotherKey);
                }
                _ => {}
            }
        }
        let data = data.ok_or(Rejected::Malformed("a record without data"))?;
        let signature = signature.ok_or(Rejected::Malformed("a record without signature"))?;
        let key = stream.public_key().ok_or(Rejected::AnotherKey)?;
        if !key.verify(&[SIGNED, data].concat(), signature) {
            return Err(Rejected::BadSignature);
        }
        let record = Self::read(data)?;
        // What old readers would believe must be what is signed.
        for field in Fields(bytes) {
            let said = match field.map_err(malformed)? {
                (VALUE, Value::Bytes(value)) => value == record.value.as_bytes(),
                (SEQUENCE, Value::Number(sequence)) => sequence == record.sequence,
                (TTL, Value::Number(ttl)) => ttl == record.ttl,
                (VALIDITY_TYPE, Value::Number(kind)) => kind == 0,
                (VALIDITY, Value::Bytes(text)) => date(text) == Some(record.valid_until),
                _ => true,
            };
            if !said {
                return Err(Rejected::Malformed("its fields are not what is signed"));
            }
        }
        Ok(record)
    }

    /// The signed part: dag-cbor, shorter keys first.
    fn data(&self) -> Vec<u8> {
        let mut out = cbor::Writer::default();
        out.map(5).text("TTL").number(self.ttl);
        out.text("Value").bytes(self.value.as_bytes());
        out.text("Sequence").number(self.sequence);
        out.text("Validity").bytes(self.validity().as_bytes());
        out.text("ValidityType").number(0_u64);
        out.into_bytes()
    }

    fn read(data: &[u8]) -> Result<Self, Rejected> {
        let mut data = cbor::Reader::new(data);
        data.map(5)?;
        let key = |data: &mut cbor::Reader<'_>, name| {
            if data.text("a key", 16)? == name {
                Ok(())
            } else {
                Err(Rejected::Malformed("its data has other fields"))
            }
        };
        key(&mut data, "TTL")?;
        let ttl = data.number("TTL", u64::MAX)?;
        key(&mut data, "Value")?;
        let value = data.bytes("bytes of a path", MAX_PATH_BYTES)?;
        let value = std::str::from_utf8(value).map_err(|_| Rejected::Malformed("no path"))?;
        key(&mut data, "Sequence")?;
        let sequence = data.number("sequence", u64::MAX)?;
        key(&mut data, "Validity")?;
        let validity = data.bytes("bytes of a date", 64)?;
        key(&mut data, "ValidityType")?;
        data.number("validity type", 0_u64)?;
        data.finish()?;
        Ok(Self {
            value: value.to_owned(),
            sequence,
            valid_until: date(validity).ok_or(Rejected::Malformed("no date"))?,
            ttl,
        })
    }

    /// "RFC3339 (ISO 8601) with nanosecond precision"
    fn validity(&self) -> String {
        let date = DateTime(self.valid_until).to_string();
        format!("{}000000Z", date.trim_end_matches('Z'))
    }
}

/// µs since the Unix epoch of a date in UTC with any fraction of a second.
fn date(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis = format!("{fraction:0<3}");
    parse_date_time(&format!("{seconds}.{}Z", &millis[..3]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag;

    const NOW: u64 = 1_800_000_000_000_000;
    const YEAR: u64 = 365 * 86_400 * 1_000_000;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_secret([n; 32])
    }

    fn record() -> Record {
        Record::of(&dag::cid_of(b"root"), 7, NOW + YEAR, 3600 * 1_000_000_000)
    }

    #[test]
    fn what_is_signed_is_read_until_its_end() {
        let (name, bytes) = (key(1).name(), record().sign(&key(1)));
        assert_eq!(Record::open(&name, &bytes, NOW), Ok(record()));
        assert_eq!(Record::open(&name, &bytes, NOW + YEAR - 1), Ok(record()));
        let expired = Record::open(&name, &bytes, NOW + YEAR);
        assert!(matches!(expired, Err(Refused::Expired { .. })));
        assert!(bytes.len() < 400, "{}", bytes.len());
    }

    #[test]
    fn of_two_the_higher_sequence_then_the_later_end_is_newer() {
        let newer = Record {
            sequence: 8,
            valid_until: NOW,
            ..record()
        };
        assert!(newer.is_newer_than(&record()) && !record().is_newer_than(&newer));
        let longer = Record {
            valid_until: NOW + 2 * YEAR,
            ..record()
        };
        assert!(longer.is_newer_than(&record()) && !record().is_newer_than(&record()));
    }

    #[test]
    fn another_key_and_any_flipped_bit_is_refused() {
        let (name, bytes) = (key(1).name(), record().sign(&key(1)));
        let other = Record::open(&key(2).name(), &bytes, NOW);
        assert_eq!(other, Err(Rejected::BadSignature.into()));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut forged = bytes.clone();
                forged[at] ^= 1 << bit;
                let read = Record::open(&name, &forged, NOW);
                // A field that only repeats may turn into one that nobody knows; what is signed stays what it was.
                assert!(
                    read.is_err() || read == Ok(record()),
                    "byte {at}, bit {bit}"
                );
            }
        }
    }

    #[test]
    fn what_old_readers_would_believe_is_what_is_signed() {
        let name = key(1).name();
        let mut bytes = record().sign(&key(1));
        protobuf::number(&mut bytes, SEQUENCE, 8);
        let read = Record::open(&name, &bytes, NOW);
        assert!(
            matches!(read, Err(Refused::Rejected(Rejected::Malformed(_)))),
            "{read:?}"
        );
        let mut long = record().sign(&key(1));
        protobuf::bytes(&mut long, 15, &vec![0; MAX_BYTES]);
        assert!(Record::open(&name, &long, NOW).is_err());
    }

    #[test]
    fn dates_of_any_precision_are_read() {
        let whole = date(b"2027-01-15T08:00:00Z").unwrap();
        assert_eq!(
            date(b"2027-01-15T08:00:00.123456789Z"),
            Some(whole + 123_000)
        );
        assert_eq!(date(b"2027-01-15T08:00:00.5Z"), Some(whole + 500_000));
        for wrong in [
            "",
            "Z",
            "2027-01-15T08:00:00",
            "2027-01-15T08:00:00.1x3Z",
            "2027-01-15T08:00:00.1234567890Z",
        ] {
            assert_eq!(date(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
