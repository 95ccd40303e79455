//! Reads parts back, without the code that wrote them.

/// A `traf` with its samples.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Traf {
    pub(crate) track: u32,
    pub(crate) tfdt: u64,
    /// Duration, is key, composition offset, bytes.
    pub(crate) samples: Vec<(u32, bool, i32, Vec<u8>)>,
}

impl Traf {
    pub(crate) fn end(&self) -> u64 {
        self.tfdt + self.samples.iter().map(|s| u64::from(s.0)).sum::<u64>()
    }
}

/// The boxes at the front of `bytes`: kind and content.
pub(crate) fn boxes(mut bytes: &[u8]) -> Vec<(String, &[u8])> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let size = u32_at(bytes, 0) as usize;
        out.push((
            String::from_utf8(bytes[4..8].to_vec()).unwrap(),
            &bytes[8..size],
        ));
        bytes = &bytes[size..];
    }
    out
}

/// A part: the number in its `mfhd` and its tracks.
pub(crate) fn part(bytes: &[u8]) -> (u32, Vec<Traf>) {
    let top = boxes(bytes);
    let kinds: Vec<_> = top.iter().map(|(kind, _)| &**kind).collect();
    assert_eq!(kinds, ["moof", "mdat"]);
    let mut trafs = Vec::new();
    let mut sequence = 0;
    for (kind, content) in boxes(top[0].1) {
        match &*kind {
            "mfhd" => sequence = u32_at(content, 4),
            "traf" => trafs.push(traf(content, bytes)),
            other => panic!("unexpected {other}"),
        }
    }
    (sequence, trafs)
}

fn traf(content: &[u8], part: &[u8]) -> Traf {
    let mut out = Traf::default();
    let mut default_flags = 0;
    for (kind, content) in boxes(content) {
        let flags = u32_at(content, 0) & 0xff_ffff;
        let version = content[0];
        match &*kind {
            "tfhd" => {
                assert_ne!(flags & 0x2_0000, 0, "default-base-is-moof");
                out.track = u32_at(content, 4);
                if flags & 0x20 != 0 {
                    default_flags = u32_at(content, 8);
                }
            }
            "tfdt" => {
                assert_eq!(version, 1, "64 bits");
                out.tfdt = u64::from(u32_at(content, 4)) << 32 | u64::from(u32_at(content, 8));
            }
            "trun" => {
                assert_eq!(version, 1, "signed offsets");
                let mut at = 12;
                let mut next = || {
                    at += 4;
                    u32_at(content, at - 4)
                };
                let mut data = u32_at(content, 8) as usize;
                for _ in 0..u32_at(content, 4) {
                    let (duration, size) = (next(), next() as usize);
                    let flags_of = if flags & 0x400 != 0 {
                        next()
                    } else {
                        default_flags
                    };
                    let offset = if flags & 0x800 != 0 { next() as i32 } else { 0 };
                    out.samples.push((
                        duration,
                        flags_of & 0x1_0000 == 0,
                        offset,
                        part[data..data + size].to_vec(),
                    ));
                    data += size;
                }
                assert_eq!(at, content.len());
            }
            other => panic!("unexpected {other}"),
        }
    }
    out
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}
