//! From what a source yields to what the packager reads: one timeline, passed through or transcoded.

pub(crate) mod ladder;
