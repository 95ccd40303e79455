//! Runs the swarms of a table, and prints what came of them: `tests/bench/swarm`.

mod curves;
mod table;

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use meshlive_protocol::sim::swarm::{self, Oracle, Outcome};
use table::Row;

/// What came of a row: of its runs in order.
pub(crate) struct Result {
    pub(crate) runs: Vec<(table::Run, Outcome)>,
    pub(crate) oracles: Vec<Oracle>,
    pub(crate) seconds: f64,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("swarm: {why}");
            ExitCode::from(2)
        }
    }
}

fn run() -> std::result::Result<(), String> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut take = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.remove(at);
        (at < arguments.len()).then(|| arguments.remove(at))
    };
    let threads: usize = take("--threads")
        .map_or(Ok(2), |n| n.parse())
        .map_err(|e| {
            format!("--threads: {e}: it wants a number of scenarios that run at a time")
        })?;
    let curves = take("--curves");
    let [file, names @ ..] = &arguments[..] else {
        return Err("which table? swarm FILE.toml [--curves FILE.svg] [--threads N] [ROW…]".into());
    };
    let text = std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
    let rows = table::read(&text).map_err(|e| format!("{file}: {e}"))?;
    for name in names {
        if rows.iter().all(|row| row.name != *name) {
            let known: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
            return Err(format!(
                "no row is called {name}; there are {}",
                known.join(", ")
            ));
        }
    }
    let wanted = |row: &Row| match names {
        [] => !row.large,
        names => names.contains(&row.name),
    };
    let rows: Vec<Row> = rows.into_iter().filter(wanted).collect();
    let results = run_all(&rows, threads.max(1));
    print!("{}", table::show(&rows, &results));
    if let Some(file) = curves {
        let picture = curves::draw(&rows, &results);
        std::fs::write(&file, picture).map_err(|e| format!("{file}: {e}"))?;
    }
    Ok(())
}

/// Each run of each row, some at a time.
fn run_all(rows: &[Row], threads: usize) -> Vec<Result> {
    // Of each row its runs, and the oracle of all of them.
    let jobs = rows.iter().enumerate().flat_map(|(row, of)| {
        let runs = of.runs().into_iter().map(Some);
        runs.chain([None]).map(move |run| (row, run))
    });
    let jobs: Vec<(usize, Option<table::Run>)> = jobs.collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let oracles: Vec<OnceLock<Vec<Oracle>>> = rows.iter().map(|_| OnceLock::new()).collect();
    let shown = Mutex::new(vec![String::new(); threads]);
    std::thread::scope(|scope| {
        for thread in 0..threads.min(jobs.len()) {
            let (next, done, jobs, shown) = (&next, &done, &jobs, &shown);
            let oracles = &oracles;
            scope.spawn(move || {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    let Some((row, run)) = jobs.get(job) else {
                        break;
                    };
                    let of = &rows[*row];
                    let Some(run) = run else {
                        progress(shown, thread, &format!("{} oracle", of.name));
                        let _ = oracles[*row].set(oracle(of));
                        continue;
                    };
                    let scenario = of.scenario(run);
                    let began = Instant::now();
                    let name = format!("{} {}", of.name, run.name());
                    let outcome = swarm::run(&scenario, |second, of| {
                        progress(shown, thread, &format!("{name} {second}/{of} s"));
                    });
                    let seconds = began.elapsed().as_secs_f64();
                    let mut done = done.lock().expect("no thread panics while it holds it");
                    done.push((job, *row, *run, outcome, seconds));
                }
                progress(shown, thread, "");
            });
        }
    });
    eprintln!();
    let mut done = done.into_inner().expect("no thread panicked");
    done.sort_by_key(|done| done.0);
    let results = oracles.into_iter().map(|oracles| Result {
        runs: Vec::new(),
        oracles: oracles.into_inner().expect("each row has that job"),
        seconds: 0.0,
    });
    let mut results: Vec<Result> = results.collect();
    for (_, row, run, outcome, seconds) in done {
        results[row].runs.push((run, outcome));
        results[row].seconds += seconds;
    }
    results
}

/// In the order of the row's runs.
fn oracle(row: &Row) -> Vec<Oracle> {
    let scenarios = row.runs().into_iter().map(|run| row.scenario(&run));
    let scenarios: Vec<_> = scenarios.collect();
    let latencies: Vec<f64> = scenarios.iter().map(|scenario| scenario.latency).collect();
    let first = scenarios.first();
    first.map_or(Vec::new(), |any| swarm::oracle(any, &latencies))
}

/// One line that says how far it is.
fn progress(shown: &Mutex<Vec<String>>, thread: usize, text: &str) {
    let mut shown = shown.lock().expect("no thread panics while it holds it");
    shown[thread] = text.to_string();
    let line = shown.join("   ");
    let mut out = std::io::stderr();
    let _ = if out.is_terminal() {
        write!(out, "\r{line:<110}")
    } else if text.contains("0/") {
        writeln!(out, "{line}")
    } else {
        Ok(())
    };
}
