#![cfg(target_arch = "wasm32")]
//! The browser's peer: all that JavaScript sees.
