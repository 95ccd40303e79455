//! The protocol: pure, for native and wasm32.

/// Names of streams.
pub mod name {
    /// A stream's IPNS name.
    #[derive(Debug)]
    pub struct StreamName {}
}
/// The live window.
pub mod manifest {
    /// The live window.
    pub struct Manifest {}
}
