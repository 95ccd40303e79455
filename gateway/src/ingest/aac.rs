//! AAC bytes: AudioSpecificConfig and ADTS headers. Pure; hostile bytes give None.

use bytes::Bytes;

use super::bits::Bits;

/// ISO/IEC 14496-3 table 1.18, in hertz.
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// What an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) says at its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// 2 is AAC-LC, 5 and 29 are HE-AAC.
    pub(crate) object_type: u8,
    /// Hertz, of the core coder.
    pub(crate) rate: u32,
    /// Hertz: HE-AAC says it behind its core's rate, and it is twice that.
    pub(crate) plays_at: u32,
    /// 0 where the configuration says it elsewhere.
    pub(crate) channels: u16,
}

impl Config {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bits = &mut Bits::new(bytes);
        let object_type = match bits.take(5)? {
            31 => 32 + bits.take(6)?,
            plain => plain,
        };
        let rate = rate(bits)?;
        let channels = match bits.take(4)? {
            7 => 8,
            channels @ 0..=6 => channels,
            _ => return None,
        };
        let plays_at = match object_type {
            5 | 29 => self::rate(bits).unwrap_or(2 * rate),
            _ => rate,
        };
        Some(Self {
            object_type: object_type as u8,
            rate,
            plays_at,
            channels: channels as u16,
        })
    }

    /// Whether browsers play it as it is: AAC-LC and HE-AAC.
    pub(crate) fn is_common(&self) -> bool {
        matches!(self.object_type, 2 | 5 | 29)
    }
}

/// A rate by its place in the table, or in full.
fn rate(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.take(4)? {
        15 => bits
            .take(24)
            .filter(|rate| (7_000..=192_000).contains(rate)),
        place => RATES.get(place as usize).copied(),
    }
}

/// The AudioSpecificConfig of AAC-LC; None for a rate that AAC does not have.
pub(crate) fn low_complexity(rate: u32, channels: u16) -> Option<Bytes> {
    let rate = RATES.iter().position(|known| *known == rate)? as u16;
    let config = 2 << 11 | rate << 7 | (channels & 15) << 3;
    Some(Bytes::copy_from_slice(&config.to_be_bytes()))
}

/// An ADTS header (ISO/IEC 13818-7 §6.2): the AudioSpecificConfig it stands for, and the header's length in bytes.
pub(crate) fn adts(frame: &[u8]) -> Option<(Bytes, usize)> {
    let head = frame.get(..7)?;
    if head[0] != 0xff || head[1] & 0xf6 != 0xf0 {
        return None;
    }
    let object_type = u16::from(head[2] >> 6) + 1;
    let rate = u16::from(head[2] >> 2 & 15);
    let channels = u16::from(head[2] & 1) << 2 | u16::from(head[3] >> 6);
    RATES.get(usize::from(rate))?;
    let config = object_type << 11 | rate << 7 | channels << 3;
    let length = if head[1] & 1 == 1 { 7 } else { 9 };
    (frame.len() > length).then(|| (Bytes::copy_from_slice(&config.to_be_bytes()), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stereo_at_48_and_44_khz() {
        let config = Config::parse(&[0x11, 0x90]).unwrap();
        assert_eq!(
            config,
            Config {
                object_type: 2,
                rate: 48_000,
                plays_at: 48_000,
                channels: 2
            }
        );
        let (bytes, header) = adts(&[0xff, 0xf1, 0x50, 0x80, 0x02, 0x1f, 0xfc, 0x21]).unwrap();
        assert_eq!(
            Config::parse(&bytes),
            Some(Config {
                object_type: 2,
                rate: 44_100,
                plays_at: 44_100,
                channels: 2
            })
        );
        assert_eq!(header, 7);
    }

    #[test]
    fn what_is_cut_off_or_nonsense_is_none() {
        assert_eq!(Config::parse(&[0x11]), None);
        assert_eq!(Config::parse(&[0xff, 0xff]), None);
        assert_eq!(adts(&[0xff, 0xf1, 0x50]), None);
        assert_eq!(adts(&[0; 16]), None);
    }
}
