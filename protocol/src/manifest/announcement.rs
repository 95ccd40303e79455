//! What is new since the last announcement, and its bytes (README §4).

use cid::Cid;

use super::{MAX_NEWS, MAX_NUMBER, Rejected, Rendition};
use crate::{
    cbor::{Reader, Writer},
    part::MAX_PART_BYTES,
};

/// Everything that is new at one part boundary, for all renditions together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Higher after each start of the gateway.
    pub epoch: u64,
    /// One more than that of the announcement before; 1 is the first of an epoch.
    pub sequence: u64,
    /// The stream's clock when this was made, microseconds since the Unix epoch.
    pub clock: u64,
    /// In the order in which it is to be applied; at most [`MAX_NEWS`].
    pub news: Vec<News>,
}

/// One thing that is new. Renditions are named by their index in [`Manifest::renditions`](super::Manifest::renditions).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A new rendition, behind the others; or what is now true of the rendition with this id.
    Rendition(Rendition),
    /// A rendition's init segment. Numbers go up; a number is the same for all renditions.
    Init {
        /// Index.
        rendition: u8,
        /// As in `init-{number}.mp4`.
        number: u32,
        /// Of its bytes, codec raw.
        cid: Cid,
        /// Bytes.
        size: u32,
    },
    /// A segment begins, in all renditions.
    Segment {
        /// Media sequence number: one more than the last.
        msn: u64,
        /// Program date time of its first frame, microseconds since the Unix epoch.
        start: u64,
        /// Whether it does not join what came before.
        discontinuity: bool,
        /// Number of the init segments it needs, in all renditions.
        init: u32,
    },
    /// A part.
    Part {
        /// Index.
        rendition: u8,
        /// Of its segment.
        msn: u64,
        /// Index in its segment, from 0.
        part: u32,
        /// Of its bytes, codec raw.
        cid: Cid,
        /// Bytes.
        size: u32,
        /// Microseconds.
        duration: u32,
        /// Whether decoding can start from its first frame.
        independent: bool,
    },
    /// A rendition's segment is complete.
    Closed {
        /// Index.
        rendition: u8,
        /// Of the segment.
        msn: u64,
        /// The [segment file](crate::dag::segment_file) over exactly the parts announced.
        cid: Cid,
    },
    /// The stream has ended; a segment with a discontinuity begins it anew.
    End,
    /// A rendition has ended while others go on; [`News::Rendition`] with its id brings it back.
    Withdrawn {
        /// Index.
        rendition: u8,
    },
}

impl Announcement {
    /// The payload: `[reserved, epoch, sequence, clock, [news…]]`.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(5)
            .null()
            .number(self.epoch)
            .number(self.sequence)
            .number(self.clock);
        out.array(self.news.len());
        for news in &self.news {
            news.encode(&mut out);
        }
        out.into_bytes()
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Rejected> {
        let mut from = Reader::new(payload);
        from.tuple(5)?;
        from.null()?;
        let epoch = from.number("epoch", MAX_NUMBER)?;
        let sequence = from.number("sequence", MAX_NUMBER)?;
        let clock = from.number("clock", MAX_NUMBER)?;
        let count = from.array("news", MAX_NEWS)?;
        let news = (0..count)
            .map(|_| News::decode(&mut from))
            .collect::<Result<_, _>>()?;
        from.finish()?;
        Ok(Self {
            epoch,
            sequence,
            clock,
            news,
        })
    }
}

/// The first item of each news.
const RENDITION: u8 = 0;
const INIT: u8 = 1;
const SEGMENT: u8 = 2;
const PART: u8 = 3;
const CLOSED: u8 = 4;
const END: u8 = 5;
const WITHDRAWN: u8 = 6;

impl News {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Rendition(rendition) => {
                out.array(9).number(RENDITION);
                rendition.encode(out);
            }
            Self::Init {
                rendition,
                number,
                cid,
                size,
            } => {
                out.array(5)
                    .number(INIT)
                    .number(*rendition)
                    .number(*number)
                    .link(cid)
                    .number(*size);
            }
            Self::Segment {
                msn,
                start,
                discontinuity,
                init,
            } => {
                out.array(5)
                    .number(SEGMENT)
                    .number(*msn)
                    .number(*start)
                    .boolean(*discontinuity)
                    .number(*init);
            }
            Self::Part {
                rendition,
                msn,
                part,
                cid,
                size,
                duration,
                independent,
            } => {
                out.array(8)
                    .number(PART)
                    .number(*rendition)
                    .number(*msn)
                    .number(*part);
                out.link(cid)
                    .number(*size)
                    .number(*duration)
                    .boolean(*independent);
            }
            Self::Closed {
                rendition,
                msn,
                cid,
            } => {
                out.array(4)
                    .number(CLOSED)
                    .number(*rendition)
                    .number(*msn)
                    .link(cid);
            }
            Self::End => {
                out.array(1).number(END);
            }
            Self::Withdrawn { rendition } => {
                out.array(2).number(WITHDRAWN).number(*rendition);
            }
        }
    }

    fn decode(from: &mut Reader) -> Result<Self, Rejected> {
        let length = from.array("items of a news", 9)?;
        if length == 0 {
            return Err(Rejected::Malformed("an empty news"));
        }
        let kind = from.number("kind of news", WITHDRAWN)?;
        if length != [9, 5, 5, 8, 4, 1, 2][usize::from(kind)] {
            return Err(Rejected::Malformed("a news of the wrong length"));
        }
        Ok(match kind {
            RENDITION => Self::Rendition(Rendition::decode(from)?),
            INIT => Self::Init {
                rendition: from.number("rendition", u8::MAX)?,
                number: from.number("init number", u32::MAX)?,
                cid: from.link()?,
                size: from.number("init bytes", MAX_PART_BYTES as u32)?,
            },
            SEGMENT => Self::Segment {
                msn: from.number("msn", MAX_NUMBER)?,
                start: from.number("start", MAX_NUMBER)?,
                discontinuity: from.boolean()?,
                init: from.number("init number", u32::MAX)?,
            },
            PART => Self::Part {
                rendition: from.number("rendition", u8::MAX)?,
                msn: from.number("msn", MAX_NUMBER)?,
                part: from.number("part", u32::MAX)?,
                cid: from.link()?,
                size: from.number("part bytes", MAX_PART_BYTES as u32)?,
                duration: from.number("part duration", u32::MAX)?,
                independent: from.boolean()?,
            },
            CLOSED => Self::Closed {
                rendition: from.number("rendition", u8::MAX)?,
                msn: from.number("msn", MAX_NUMBER)?,
                cid: from.link()?,
            },
            END => Self::End,
            _ => Self::Withdrawn {
                rendition: from.number("rendition", u8::MAX)?,
            },
        })
    }
}
