//! `cargo +nightly fuzz run rtmp_session`; the body is `meshlive_gateway::fuzz::rtmp::session`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_gateway::fuzz::rtmp::session(bytes));
