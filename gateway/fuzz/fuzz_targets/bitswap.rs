//! `cargo +nightly fuzz run bitswap`; the body is `meshlive_gateway::fuzz::swarm::bitswap`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_gateway::fuzz::swarm::bitswap(bytes));
