//! Who publishes which stream: one publisher at a time, and a silent one gives way.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, timeout},
};

/// How long a publisher that is told to go may take to say goodbye: its last words wait for its pipeline.
pub(super) const MAX_FAREWELL: Duration = Duration::from_secs(12);

/// All streams that have had a publisher: as many as there are aliases.
#[derive(Debug)]
pub(super) struct Live {
    started: Instant,
    takeover_after: Duration,
    slots: Mutex<HashMap<String, Slot>>,
}

#[derive(Clone, Debug)]
struct Slot {
    /// Held by the publisher, until its last event has been sent.
    turn: Arc<tokio::sync::Mutex<()>>,
    current: Arc<Current>,
}

#[derive(Debug)]
struct Current {
    peer: SocketAddr,
    /// Milliseconds from [`Live::started`] to the newest audio or video.
    heard: AtomicU64,
    evicted: AtomicBool,
}

/// The right to publish a stream; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Claim {
    started: Instant,
    current: Arc<Current>,
    _turn: OwnedMutexGuard<()>,
}

/// Another publisher has the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy {
    pub(super) peer: SocketAddr,
}

impl Live {
    /// A publisher that has sent no media for `takeover_after` gives way to the next.
    pub(super) fn new(takeover_after: Duration) -> Live {
        Live {
            started: Instant::now(),
            takeover_after,
            slots: Mutex::default(),
        }
    }

    /// From when on it has been there.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Gets the stream `alias` for `peer`, from a silent publisher if need be.
    pub(super) async fn claim(&self, alias: &str, peer: SocketAddr) -> Result<Claim, Busy> {
        let current = Arc::new(Current {
            peer,
            heard: AtomicU64::new(self.started.elapsed().as_millis() as u64),
            evicted: AtomicBool::new(false),
        });
        let last = {
            let mut slots = self.slots();
            let slot = slots.entry(alias.to_owned()).or_insert_with(|| Slot {
                turn: Arc::default(),
                current: current.clone(),
            });
            if let Ok(turn) = slot.turn.clone().try_lock_owned() {
                slot.current = current.clone();
                return Ok(Claim {
                    started: self.started,
                    current,
                    _turn: turn,
                });
            }
            slot.clone()
        };
        let busy = Busy {
            peer: last.current.peer,
        };
        let heard = Duration::from_millis(last.current.heard.load(Ordering::Relaxed));
        if self.started.elapsed().saturating_sub(heard) < self.takeover_after {
            return Err(busy);
        }
        last.current.evicted.store(true, Ordering::Relaxed);
        let turn = timeout(MAX_FAREWELL, last.turn.lock_owned())
            .await
            .map_err(|_| busy)?;
        if let Some(slot) = self.slots().get_mut(alias) {
            slot.current = current.clone();
        }
        let claim = Claim {
            started: self.started,
            current,
            _turn: turn,
        };
        claim.heard();
        Ok(claim)
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<String, Slot>> {
        // Nothing in a critical section can panic half-way.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// Audio or video has come.
    pub(super) fn heard(&self) {
        let now = self.started.elapsed().as_millis() as u64;
        self.current.heard.store(now, Ordering::Relaxed);
    }

    /// Whether another publisher waits for this one to give way.
    pub(super) fn is_evicted(&self) -> bool {
        self.current.evicted.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(2);

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[tokio::test(start_paused = true)]
    async fn one_publisher_at_a_time_and_every_stream_for_itself() {
        let live = Live::new(AFTER);
        let first = live.claim("studio", peer(1)).await.unwrap();
        assert_eq!(
            live.claim("studio", peer(2)).await.unwrap_err(),
            Busy { peer: peer(1) }
        );
        live.claim("stage", peer(2)).await.unwrap();
        drop(first);
        live.claim("studio", peer(2)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_publisher_gives_way_and_says_goodbye_first() {
        let live = Arc::new(Live::new(AFTER));
        let first = live.claim("studio", peer(1)).await.unwrap();
        tokio::time::advance(AFTER - Duration::from_millis(1)).await;
        assert!(live.claim("studio", peer(2)).await.is_err());
        first.heard();
        tokio::time::advance(AFTER).await;
        let second = tokio::spawn({
            let live = live.clone();
            async move { live.claim("studio", peer(2)).await }
        });
        assert!(!first.is_evicted());
        tokio::task::yield_now().await;
        assert!(first.is_evicted());
        assert!(!second.is_finished());
        drop(first);
        let second = second.await.unwrap().unwrap();
        // The old eviction must not hit the new publisher.
        assert!(!second.is_evicted());
        second.heard();
        assert_eq!(
            live.claim("studio", peer(3)).await.unwrap_err(),
            Busy { peer: peer(2) }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_publisher_that_never_leaves_keeps_its_stream() {
        let live = Live::new(AFTER);
        let _first = live.claim("studio", peer(1)).await.unwrap();
        tokio::time::advance(AFTER).await;
        assert_eq!(
            live.claim("studio", peer(2)).await.unwrap_err(),
            Busy { peer: peer(1) }
        );
    }
}
