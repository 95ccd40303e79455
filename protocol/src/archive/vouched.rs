//! What the stream's key says of the playlists of the run that is on air (README §10): its hours are in no list yet. Each
//! playlist bears the proof as its last line, a comment to every player.

use cid::Cid;

use super::{from_text, text};
use crate::{
    cbor::{Reader, Writer},
    dag,
    key::SigningKey,
    manifest::{MAX_ID_BYTES, MAX_NUMBER, Rejected, envelope},
    name::StreamName,
};

/// Payload type.
const TYPE: &[u8] = b"/ml/e";
/// Longest payload, bytes.
pub const MAX_VOUCHED_BYTES: usize = 256;
/// Longest name, bytes: that of a rendition's delta update.
const MAX_NAME_BYTES: usize = MAX_ID_BYTES + "/index.m3u8?_HLS_skip=YES".len();
/// What the proof's line begins with.
const LINE: &str = "#MESHLIVE-SIGNED:";

/// One playlist, as it was when it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// (epoch, sequence) of the newest entry of the stream's list that has a root, at that time; zeros before the first.
    pub list: (u64, u64),
    /// The newest segment that there was, of all renditions.
    pub msn: u64,
    /// What is asked for below `/live/{stream}/earlier/`.
    pub name: String,
    /// Of its bytes, as a raw block, without the line of the proof.
    pub cid: Cid,
}

impl Vouched {
    /// As a signed envelope.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(6).null();
        out.number(self.list.0).number(self.list.1).number(self.msn);
        out.text(&self.name).link(&self.cid);
        envelope::seal(key, TYPE, &out.into_bytes())
    }

    /// Verifies an envelope of `stream` and reads what is inside.
    ///
    /// # Errors
    /// Where the signature, the form or a bound is wrong.
    pub fn open(stream: &StreamName, envelope: &[u8]) -> Result<Self, Rejected> {
        let limit = |payload_type: &[u8]| match payload_type {
            TYPE => Ok(MAX_VOUCHED_BYTES),
            _ => Err(Rejected::UnknownType),
        };
        let (_, payload) = envelope::open(stream, envelope, limit)?;
        let mut from = Reader::new(payload);
        from.tuple(6)?;
        from.null()?;
        let epoch = from.number("epoch", MAX_NUMBER)?;
        let sequence = from.number("sequence", MAX_NUMBER)?;
        let vouched = Self {
            list: (epoch, sequence),
            msn: from.number("msn", MAX_NUMBER)?,
            name: from.text("name bytes", MAX_NAME_BYTES)?.to_owned(),
            cid: from.link()?,
        };
        from.finish()?;
        Ok(vouched)
    }

    /// A playlist with its proof behind it.
    pub fn prove(playlist: &str, envelope: &[u8]) -> String {
        format!("{playlist}{LINE}{}\n", text(envelope))
    }

    /// Verifies a playlist that [`prove`](Self::prove) made: what the stream's key says of it.
    ///
    /// # Errors
    /// Where there is no proof, it is not the stream's, or it is of other bytes or of another name.
    pub fn check(stream: &StreamName, name: &str, playlist: &str) -> Result<Self, Rejected> {
        let at = playlist.rfind(LINE).unwrap_or(playlist.len());
        let (text, proof) = playlist.split_at(at);
        let vouched = Self::open(stream, &Self::proof(proof.trim_end_matches('\n'))?)?;
        if vouched.name != name || !dag::verify(&vouched.cid, text.as_bytes()) {
            return Err(Rejected::Malformed("a proof of another playlist"));
        }
        Ok(vouched)
    }

    /// The envelope in the line of a proof, not verified.
    ///
    /// # Errors
    /// For any other line.
    pub fn proof(line: &str) -> Result<Vec<u8>, Rejected> {
        let proof = line.strip_prefix(LINE);
        from_text(proof.ok_or(Rejected::Malformed("a playlist without a proof"))?)
    }

    /// The line of the proof of a playlist that [`prove`](Self::prove) made, without its end.
    pub fn line(playlist: &str) -> Option<&str> {
        let line = playlist.lines().next_back()?;
        line.starts_with(LINE).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#EXTM3U\n#EXTINF:2.0,\n/ipfs/baf?filename=7.m4s\n";
    const NAME: &str = "source/index.m3u8";

    fn key() -> SigningKey {
        SigningKey::from_secret([7; 32])
    }

    fn vouched() -> Vouched {
        Vouched {
            list: (1_795_338_000, 12),
            msn: 7,
            name: NAME.into(),
            cid: dag::cid_of(TEXT.as_bytes()),
        }
    }

    #[test]
    fn a_playlist_is_proved_by_its_last_line() {
        let proved = Vouched::prove(TEXT, &vouched().sign(&key()));
        assert!(proved.starts_with(TEXT) && proved.lines().count() == 4);
        let name = key().name();
        assert_eq!(Vouched::check(&name, NAME, &proved), Ok(vouched()));
        // Of another stream, of another name, and without the proof.
        let other = SigningKey::from_secret([8; 32]).name();
        assert!(Vouched::check(&other, NAME, &proved).is_err());
        assert!(Vouched::check(&name, "low/index.m3u8", &proved).is_err());
        assert!(Vouched::check(&name, NAME, TEXT).is_err());
    }

    #[test]
    fn no_bit_of_it_can_be_another() {
        let proved = Vouched::prove(TEXT, &vouched().sign(&key()));
        for at in 0..proved.len() - 1 {
            let mut other = proved.clone().into_bytes();
            other[at] ^= 1;
            let Ok(other) = String::from_utf8(other) else {
                continue;
            };
            let checked = Vouched::check(&key().name(), NAME, &other);
            assert!(checked.is_err(), "byte {at}: {checked:?}");
        }
    }

    #[test]
    fn it_is_within_its_bounds_and_no_other_envelope_passes_for_it() {
        let longest = Vouched {
            list: (MAX_NUMBER, MAX_NUMBER),
            msn: MAX_NUMBER,
            name: "x".repeat(MAX_NAME_BYTES),
            ..vouched()
        };
        let name = key().name();
        assert_eq!(
            Vouched::open(&name, &longest.sign(&key())),
            Ok(longest.clone())
        );
        let longer = Vouched {
            name: "x".repeat(MAX_NAME_BYTES + 1),
            ..longest
        };
        assert!(matches!(
            Vouched::open(&name, &longer.sign(&key())),
            Err(Rejected::TooBig { .. })
        ));
        let long = format!("{TEXT}{LINE}u{}", "A".repeat(2000));
        let too_long = Rejected::Malformed("a text that is no envelope");
        assert_eq!(Vouched::check(&name, NAME, &long), Err(too_long));
        let signed = vouched().sign(&key());
        assert!(crate::archive::Entry::open(&name, &signed).is_err());
        assert!(crate::manifest::open(&name, &signed).is_err());
    }
}
