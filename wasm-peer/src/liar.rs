//! A viewer's peer that lies, for tests (feature `liar`, never in the shipped page). What it does, and nothing else that
//! differs from the real one, is in `meshlive_protocol::behaviour`.

use meshlive_protocol::behaviour::Lie;
use wasm_bindgen::prelude::*;

use crate::peer::Peer;

#[wasm_bindgen]
impl Peer {
    /// From now on it lies like this: some of "altered unknown forged foreign replayed", or "" for the truth. Throws a
    /// string if a word is none of them.
    pub fn lie(&self, lies: &str) -> Result<(), String> {
        let lies: Vec<Lie> = lies
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        self.run().lie(&lies);
        Ok(())
    }
}
