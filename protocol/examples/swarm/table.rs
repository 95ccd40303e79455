//! The table of scenarios, as TOML, and the table of what came of them.

use std::fmt::Write;

use meshlive_protocol::sim::{
    network::Congestion,
    swarm::{Outcome, Scenario, Shock},
};
use serde::Deserialize;

use crate::Result;

/// One scenario; what is not said is the issue's: see [`Scenario`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Runs only when it is named.
    pub(crate) large: bool,
    /// "one round trip" or "chromium".
    congestion: String,
    rate: u64,
    /// Of the uplinks.
    mean: f64,
    sigma: f64,
    /// Of the packets.
    loss: f64,
    /// Which runs: "delay" is without HTTP, a number is a latency with it, seconds.
    runs: Vec<String>,
    viewers: usize,
    seed: u64,
    arrive: f64,
    settle: f64,
    measure: f64,
    churn: f64,
    gateway: f64,
    sites: usize,
    trunk: Option<f64>,
    key_part: f64,
    free_riders: f64,
    liars: f64,
    without: f64,
    leave: f64,
    silence: f64,
    seed_dies: bool,
    hushes: bool,
}

impl Default for Row {
    fn default() -> Self {
        let usual = Scenario::default();
        Self {
            name: String::new(),
            large: false,
            congestion: "one round trip".into(),
            rate: usual.rate,
            mean: usual.mean,
            sigma: usual.sigma,
            loss: usual.loss,
            runs: ["delay", "2.0", "3.0"].map(String::from).to_vec(),
            viewers: usual.viewers,
            seed: usual.seed,
            arrive: usual.arrive,
            settle: usual.settle,
            measure: usual.measure,
            churn: usual.churn,
            gateway: usual.gateway,
            sites: usual.sites,
            trunk: None,
            key_part: usual.key_part,
            free_riders: 0.0,
            liars: 0.0,
            without: usual.without,
            leave: 0.0,
            silence: 0.0,
            seed_dies: false,
            hushes: usual.hushes,
        }
    }
}

/// One run of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Run {
    /// HTTP gives nothing: how long parts take.
    Delay,
    /// Players play so many seconds behind.
    Latency(f64),
}

impl Run {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Delay => "without HTTP".into(),
            Self::Latency(seconds) => format!("{seconds:.1} s"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scenario: Vec<Row>,
}

/// The table, or what is wrong with it.
pub(crate) fn read(text: &str) -> std::result::Result<Vec<Row>, String> {
    let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
    for row in &file.scenario {
        if !["one round trip", "chromium"].contains(&row.congestion.as_str()) {
            return Err(format!(
                "{}: congestion = {:?}: it is \"one round trip\" or \"chromium\"",
                row.name, row.congestion
            ));
        }
        if row.congestion == "chromium" && row.trunk.is_some() {
            return Err(format!(
                "{}: congestion = \"chromium\": a trunk serves whole parts; leave one of them out",
                row.name
            ));
        }
        if let Some(run) = row.runs.iter().find(|run| parse(run).is_none()) {
            return Err(format!(
                "{}: runs = {run:?}: each is \"delay\" or seconds of latency",
                row.name
            ));
        }
    }
    Ok(file.scenario)
}

fn parse(run: &str) -> Option<Run> {
    match run {
        "delay" => Some(Run::Delay),
        seconds => seconds.parse().ok().map(Run::Latency),
    }
}

impl Row {
    pub(crate) fn runs(&self) -> Vec<Run> {
        self.runs.iter().filter_map(|run| parse(run)).collect()
    }

    pub(crate) fn scenario(&self, run: &Run) -> Scenario {
        let shock = if self.leave > 0.0 {
            Shock::Leave(self.leave)
        } else if self.silence > 0.0 {
            Shock::Silence(self.silence)
        } else if self.seed_dies {
            Shock::SeedDies
        } else {
            Shock::None
        };
        Scenario {
            seed: self.seed,
            viewers: self.viewers,
            arrive: self.arrive,
            settle: self.settle,
            measure: self.measure,
            churn: self.churn,
            latency: match run {
                Run::Delay => 3.0,
                Run::Latency(seconds) => *seconds,
            },
            http: *run != Run::Delay,
            gateway: self.gateway,
            without: self.without,
            congestion: match self.congestion.as_str() {
                "chromium" => Congestion::Chromium,
                _ => Congestion::OneRoundTrip,
            },
            rate: self.rate,
            mean: self.mean,
            sigma: self.sigma,
            loss: self.loss,
            sites: self.sites,
            trunk: self.trunk,
            key_part: self.key_part,
            free_riders: self.free_riders,
            liars: self.liars,
            hushes: self.hushes,
            shock,
            ..Scenario::default()
        }
    }
}

fn milliseconds(micros: u64) -> String {
    match micros {
        u64::MAX => "never".into(),
        micros => format!("{} ms", micros / 1000),
    }
}

/// A line for each run.
pub(crate) fn show(rows: &[Row], results: &[Result]) -> String {
    let mut text = String::from(
        "| scenario | run | copies: all (oracle) | seeds + wants | HTTP | start-up | its median, s of media | delay 50 / 99 / 99.9 % | oracle 99 / 99.9 % | first from a peer, 99 % | twice | control | stalled |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (row, result) in rows.iter().zip(results) {
        for ((run, outcome), oracle) in result.runs.iter().zip(&result.oracles) {
            let Outcome {
                pushed,
                fetched,
                start_up,
                start_up_median,
                ..
            } = outcome;
            let copies = match run {
                Run::Delay => format!("{:.2}", outcome.copies()),
                Run::Latency(_) => format!(
                    "{:.2} ({:.2}, {} seeds)",
                    outcome.copies(),
                    oracle.copies,
                    oracle.seeds
                ),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {copies} | {pushed:.2} | {fetched:.2} | {start_up:.2} | {start_up_median:.2} | {} / {} / {} | {} / {} | {} | {:.2} % | {:.2} % | {:.2} % |",
                row.name,
                run.name(),
                milliseconds(outcome.delay_50),
                milliseconds(outcome.delay_99),
                milliseconds(outcome.delay_999),
                milliseconds(oracle.delay_99),
                milliseconds(oracle.delay_999),
                milliseconds(outcome.first_from_peer),
                outcome.duplicates * 100.0,
                outcome.control * 100.0,
                outcome.stalled * 100.0,
            );
            if *run != Run::Delay {
                let causes = outcome.causes.iter().filter(|(_, copies)| *copies >= 0.005);
                let causes: Vec<String> = causes
                    .map(|(name, copies)| format!("{name} {copies:.2}"))
                    .collect();
                let _ = writeln!(text, "HTTP: {}", causes.join(", "));
            }
            if std::env::var_os("SWARM_HOPS").is_some() {
                let seconds = &outcome.each_second;
                eprintln!("{} {}: copies {seconds:.1?}", row.name, run.name());
                for (hops, share, half, most) in &outcome.by_hops {
                    eprintln!(
                        "{} {}: {hops} hops: {:.1} %, {} / {}",
                        row.name,
                        run.name(),
                        share * 100.0,
                        milliseconds(*half),
                        milliseconds(*most)
                    );
                }
            }
            let _ = writeln!(
                text,
                "announcements of the gateway: {:.3} copies' worth; told after {} / {} / {}",
                outcome.announced,
                milliseconds(outcome.told[0]),
                milliseconds(outcome.told[1]),
                milliseconds(outcome.told[2]),
            );
            if row.trunk.is_some() {
                let _ = writeln!(
                    text,
                    "each part crossed {:.3} times; messages that crossed: {:.2} copies' worth",
                    outcome.crossed, outcome.crossed_said
                );
            }
            if row.liars > 0.0 {
                let _ = writeln!(
                    text,
                    "altered parts that came: {}, all refused; honest viewers sent away: {}",
                    outcome.altered, outcome.wronged
                );
            }
            if row.leave > 0.0 || row.silence > 0.0 || row.seed_dies {
                let _ = writeln!(
                    text,
                    "steady copies {:.2}, again after {}",
                    outcome.steady,
                    outcome
                        .recovers
                        .map_or("never".into(), |seconds| format!("{seconds} s"))
                );
            }
        }
        eprintln!("{}: {:.0} s", row.name, result.seconds);
    }
    text
}
