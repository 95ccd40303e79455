//! The progress bar of long work.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// How far it is, on a terminal.
pub(super) struct Bar {
    what: &'static str,
    total: u64,
    done: u64,
    shown: Option<Instant>,
    terminal: bool,
}

impl Bar {
    /// `total` in bytes.
    pub(super) fn new(what: &'static str, total: u64) -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            what,
            total,
            done: 0,
            shown: None,
            terminal,
        }
    }

    /// So many bytes more.
    pub(super) fn add(&mut self, bytes: u64) {
        self.done += bytes;
        let fresh = |shown: Instant| shown.elapsed() < Duration::from_millis(100);
        if self.terminal && !self.shown.is_some_and(fresh) {
            self.shown = Some(Instant::now());
            let _ = write!(io::stderr(), "\r{}", self.line()); // a bar that cannot be shown is no failure
        }
    }

    fn line(&self) -> String {
        let share = (self.done as f64 / self.total.max(1) as f64).min(1.0);
        let filled = (share * 30.0) as usize;
        let (done, rest) = ("#".repeat(filled), "-".repeat(30 - filled));
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        format!(
            "{} [{done}{rest}] {:3.0} %  {:.1} of {:.1} MB",
            self.what,
            share * 100.0,
            megabytes(self.done),
            megabytes(self.total)
        )
    }

    /// Leaves it as it is.
    pub(super) fn end(&self) {
        if self.terminal && self.shown.is_some() {
            let _ = writeln!(io::stderr(), "\r{}", self.line());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_and_never_overflows() {
        let mut bar = Bar::new("verify", 2_000_000);
        assert!(
            bar.line()
                .starts_with("verify [------------------------------]   0 %")
        );
        bar.done = 1_000_000;
        assert!(
            bar.line()
                .contains("[###############---------------]  50 %  1.0 of 2.0 MB")
        );
        bar.done = 9_000_000;
        assert!(
            bar.line()
                .contains("[##############################] 100 %")
        );
        assert!(Bar::new("ls", 0).line().contains("  0 %"));
    }
}
