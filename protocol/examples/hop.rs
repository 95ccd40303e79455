//! What a hop between two viewers takes in the simulator, in milliseconds, as JSON by the name of what it does about loss:
//! `hop DELAY_MS LOSS PART_BYTES EVERY_MS PARTS`. For `tests/bench/hop.mjs`.

use std::process::ExitCode;

use meshlive_protocol::sim::{hop::Hop, network::Congestion};

const MODELS: [(&str, Congestion); 2] = [
    ("one round trip", Congestion::OneRoundTrip),
    ("chromium", Congestion::Chromium),
];

fn main() -> ExitCode {
    let numbers: Vec<f64> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let [delay, loss, part, every, count] = numbers[..] else {
        eprintln!("hop: which link? hop DELAY_MS LOSS PART_BYTES EVERY_MS PARTS, five numbers");
        return ExitCode::from(2);
    };
    let hop = Hop {
        way: (delay * 1000.0) as u64,
        loss,
        up: 125e6,
        part: part as usize,
        every: (every * 1000.0) as u64,
    };
    let of = |(name, congestion): (&str, Congestion)| {
        let times = hop.times(congestion, count as usize, 1);
        let times: Vec<String> = times
            .iter()
            .map(|micros| format!("{:.1}", *micros as f64 / 1000.0))
            .collect();
        format!("\"{name}\":[{}]", times.join(","))
    };
    println!("{{{}}}", MODELS.map(of).join(","));
    ExitCode::SUCCESS
}
