//! Waiting for the next announcement: who asks for what does not exist yet is answered when it does.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use meshlive_protocol::manifest::Manifest;

use tokio::sync::watch;

use super::{State, error::Refusal};
use crate::publish::{Snapshot, Stream};

/// RFC 8216bis §6.2.5.2 lets a server give up after three target durations.
const TARGETS: u32 = 3;
/// Never longer than this, whatever the target duration.
const LONGEST: Duration = Duration::from_secs(20);
/// RFC 8216bis §6.2.5.2: a directive may lie two segments ahead of the newest …
pub(super) const SEGMENTS_AHEAD: u64 = 2;

/// … and "the Advance Part Limit is three divided by the Part Target Duration if the Part Target Duration is less
/// than one second, or three otherwise". `part_target` in microseconds.
pub(super) fn parts_ahead(part_target: u32) -> u32 {
    3_000_000_u32.div_ceil(part_target.clamp(1000, 1_000_000))
}

/// Asks each state of the stream, the one of now first, until `look` breaks with an answer. Refuses with 503 when that
/// takes too long or the gateway shuts down. A waiting request holds no more than a place in the stream's queue.
pub(super) async fn until<T>(
    state: &State,
    stream: &Stream,
    mut look: impl FnMut(&Arc<Snapshot>) -> ControlFlow<T>,
) -> Result<T, Refusal> {
    let mut news = stream.subscribe();
    let first = news.borrow_and_update().clone();
    if let ControlFlow::Break(answer) = look(&first) {
        return Ok(answer);
    }
    let limit = longest(&first.manifest);
    drop(first);
    let mut closing = state.closing.subscribe();
    let wait = async {
        loop {
            if news.changed().await.is_err() {
                return Err(Refusal::absent("this stream is gone"));
            }
            let snapshot = news.borrow_and_update().clone();
            if let ControlFlow::Break(answer) = look(&snapshot) {
                return Ok(answer);
            }
        }
    };
    tokio::select! {
        answer = wait => answer,
        () = tokio::time::sleep(limit) => Err(Refusal::busy("it did not come in time; ask again")),
        () = closes(&mut closing) => Err(Refusal::busy("the gateway is shutting down")),
    }
}

/// Returns when the gateway shuts down.
pub(super) async fn closes(closing: &mut watch::Receiver<bool>) {
    // The sender lives in the shared state, and were it gone, so would be the gateway.
    let _ = closing.wait_for(|closing| *closing).await;
}

fn longest(manifest: &Manifest) -> Duration {
    (Duration::from_secs(manifest.settings().target_duration.into()) * TARGETS).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advance_part_limit_is_that_of_the_specification() {
        assert_eq!(parts_ahead(200_000), 15);
        assert_eq!(parts_ahead(334_000), 9);
        assert_eq!(parts_ahead(1_000_000), 3);
        assert_eq!(parts_ahead(2_000_000), 3);
        assert_eq!(parts_ahead(0), 3000);
    }
}
