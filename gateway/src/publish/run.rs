//! The thread of one stream: ingest's events through the packager to the publisher.
//!
//! It hashes, signs and writes, so it is a thread and no task: the runtime that answers viewers never waits for it.

use std::{thread, time::Duration};

use tokio::{sync::mpsc, time};

use super::Publisher;
use crate::{
    ingest::media::Event,
    package::{self, Packaged, Packager},
};

/// A stream without a part for so long is not live.
const SILENCE: Duration = Duration::from_secs(3);

impl Publisher {
    /// Packages and publishes what comes, on a thread of its own, until all senders are gone; then the open segment
    /// is closed and everything is on the disk.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(
        mut self,
        settings: package::Settings,
        events: mpsc::Receiver<Event>,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let name = format!("publish {}", self.stream().alias());
        thread::Builder::new()
            .name(name)
            .spawn(move || runtime.block_on(self.run(settings, events)))
    }

    async fn run(&mut self, settings: package::Settings, mut events: mpsc::Receiver<Event>) {
        let mut packager = Packager::new(settings.clone(), self.numbers());
        // The newest of each: what a packager must know to begin.
        let (mut format, mut anchor) = (None, None);
        let mut silent_at = time::Instant::now() + SILENCE;
        loop {
            // What waits already needs no timer.
            let event = match events.try_recv() {
                Ok(event) => Some(event),
                Err(_) => tokio::select! {
                    event = events.recv() => event,
                    () = time::sleep_until(silent_at), if self.is_live() => {
                        self.silence();
                        continue;
                    }
                },
            };
            let Some(event) = event else { break };
            match &event {
                Event::Format(_) => format = Some(event.clone()),
                Event::Anchor { .. } => anchor = Some(event.clone()),
                _ => {}
            }
            let packaged = packager.handle(event, self.now());
            if packaged
                .iter()
                .any(|one| matches!(one, Packaged::Parts { .. }))
            {
                silent_at = time::Instant::now() + SILENCE;
            }
            if self.publish(packaged).is_err() {
                // Nothing was announced, so the packager's numbers are ahead of ours.
                packager = Packager::new(settings.clone(), self.numbers());
                for event in format.iter().chain(&anchor) {
                    packager.handle(event.clone(), self.now());
                }
            }
        }
        let reason = "the gateway ends".to_owned();
        let last = packager.handle(Event::Discontinuity { reason }, self.now());
        // A rule that is broken here has been told, and there is nothing left to begin anew.
        let _ = self.publish(last);
        self.finish();
    }
}
