//! Samples to parts.
