//! `cargo +nightly fuzz run part-header`; the body is `meshlive_protocol::fuzz::part_header`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| meshlive_protocol::fuzz::part_header(bytes));
