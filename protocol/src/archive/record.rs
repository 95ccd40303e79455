//! What a gateway writes down of an hour that is not over: renditions and segments, in the dag-cbor of README §4.
//! A file of one gateway, not for others.

use std::sync::Arc;

use super::{Link, Segment, Strand};
use crate::{
    cbor::{Reader, Writer},
    manifest::{MAX_ID_BYTES, MAX_NUMBER, MAX_RENDITIONS, Rejected, Rendition},
};

const RENDITION: u8 = 0;
const SEGMENT: u8 = 1;

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// What is true from here on of the rendition with this id.
    Rendition(Rendition),
    /// A segment was closed in all renditions.
    Segment(Segment),
}

impl Record {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Rendition(rendition) => {
                out.array(9).number(RENDITION);
                rendition.encode(&mut out);
            }
            Self::Segment(segment) => {
                out.array(6)
                    .number(SEGMENT)
                    .number(segment.msn)
                    .number(segment.start);
                out.boolean(segment.discontinuity).number(segment.init);
                out.array(segment.strands.len());
                for strand in &segment.strands {
                    out.array(6).text(&strand.rendition);
                    out.link(&strand.init.cid).number(strand.init.bytes);
                    out.link(&strand.file.cid).number(strand.file.bytes);
                    out.number(strand.duration);
                }
            }
        }
        out.into_bytes()
    }

    /// Reads what [`Self::encode`] writes.
    ///
    /// # Errors
    /// Where the bytes are anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Rejected> {
        let mut from = Reader::new(bytes);
        let length = from.array("items of a record", 9)?;
        let record = match from.number("kind of record", SEGMENT)? {
            RENDITION if length == 9 => Self::Rendition(Rendition::decode(&mut from)?),
            SEGMENT if length == 6 => Self::Segment(Segment {
                msn: from.number("msn", MAX_NUMBER)?,
                start: from.number("start", MAX_NUMBER)?,
                discontinuity: from.boolean()?,
                init: from.number("init number", u32::MAX)?,
                strands: (0..from.array("strands", MAX_RENDITIONS)?)
                    .map(|_| strand(&mut from))
                    .collect::<Result<_, _>>()?,
            }),
            _ => return Err(Rejected::Malformed("a record of the wrong length")),
        };
        from.finish()?;
        Ok(record)
    }
}

fn strand(from: &mut Reader) -> Result<Strand, Rejected> {
    from.tuple(6)?;
    let rendition: Arc<str> = from.text("rendition id bytes", MAX_ID_BYTES)?.into();
    let mut link = || {
        Ok(Link {
            cid: from.link()?,
            bytes: from.number("bytes", MAX_NUMBER)?,
        })
    };
    let (init, file) = (link()?, link()?);
    Ok(Strand {
        rendition,
        init,
        file,
        duration: from.number("duration", MAX_NUMBER)?,
    })
}
