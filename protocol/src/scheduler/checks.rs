//! The two checks on what others send, as a driver may hand them in: the simulator, in which thousands of engines get
//! the very same bytes, makes each once for each bytes that differ (`sim::checks`). Every other driver has these.

use bytes::Bytes;
use cid::Cid;

use crate::{
    dag,
    manifest::{self, Opened, Rejected},
    name::StreamName,
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Checks {
    /// What is inside an envelope that the stream's key has signed.
    pub(crate) open: fn(&StreamName, &Bytes) -> Result<Opened, Rejected>,
    /// Whether bytes are what a CID names.
    pub(crate) verify: fn(&Cid, &Bytes) -> bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            open: |stream, envelope| manifest::open(stream, envelope),
            verify: |cid, bytes| dag::verify(cid, bytes),
        }
    }
}
