//! What the store tells those who use it.

/// What became of an appended block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Written; it survives a `kill -9` of the gateway.
    Stored,
    /// It was there before, in the same pack.
    Present,
    /// The disk did not take it. It is served from memory for a while, and gone after a restart.
    NotStored,
}

/// What an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A pack was given up to make room.
    Dropped {
        /// Its stream and file name.
        pack: String,
        /// What it held.
        bytes: u64,
    },
    /// The disk takes nothing and there is nothing to give up, or it is broken; said once until it takes something again.
    NotStoring {
        /// The pack or journal, and what the file system said.
        reason: String,
    },
    /// It takes blocks again.
    Storing,
    /// A stored block does not match its CID, or an index its checksum.
    Damaged {
        /// The pack or index.
        what: String,
    },
}

/// Numbers for the metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of all packs (`meshlive_store_bytes`).
    pub bytes: u64,
    /// Packs, open and closed.
    pub packs: usize,
    /// Packs that take appends.
    pub open_packs: usize,
    /// Bytes that the indexes of closed packs take in memory, about.
    pub index_bytes: usize,
    /// Blocks that the disk did not take, in this run.
    pub not_stored: u64,
    /// Bytes of packs that the second tier has (`meshlive_store_s3_bytes`).
    pub tier_bytes: u64,
    /// Whether the second tier did what it was last asked for, where there is one.
    pub tier_up: Option<bool>,
}
