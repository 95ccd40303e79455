//! The one timer of whoever has something due at a moment that changes all the time.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;
use futures_timer::Delay;

use crate::scheduler::Micros;

/// What goes off so much too late is not set anew, microseconds: what a browser's timers tell apart.
const CLOSE: Micros = 1_000;

/// A timer that is set anew only where something is due sooner. A moment that moves on, as most do with each message, leaves
/// it as it is: it goes off once for nothing, and is set for what is due by then. In a browser to set a timer is a call that
/// costs more than to look once too often.
#[derive(Default)]
pub(super) struct Alarm(Option<(Micros, Delay)>);

impl Alarm {
    /// Ready when `at` has come, a millisecond from now at the earliest: who wants to be woken at once, again and again, does
    /// not take the whole thread. Until then the task is woken in time.
    pub(super) fn poll(
        &mut self,
        at: Option<Micros>,
        now: Micros,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(at) = at else {
            return Poll::Pending;
        };
        loop {
            if self.set_for().is_none_or(|set| at + CLOSE < set) {
                let pause = at.saturating_sub(now).max(CLOSE);
                self.0 = Some((at, Delay::new(Duration::from_micros(pause))));
            }
            let (set, delay) = self.0.as_mut().expect("set above");
            if delay.poll_unpin(cx).is_pending() {
                return Poll::Pending;
            }
            let is_due = at <= *set + CLOSE;
            self.0 = None;
            if is_due {
                return Poll::Ready(());
            }
        }
    }

    fn set_for(&self) -> Option<Micros> {
        self.0.as_ref().map(|(set, _)| *set)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures::{executor::block_on, future::poll_fn, task::noop_waker};

    use super::*;

    #[test]
    fn what_is_due_later_leaves_the_timer_and_what_is_due_sooner_sets_it() {
        let (mut alarm, waker) = (Alarm::default(), noop_waker());
        let mut set = |at| {
            let polled = alarm.poll(at, 0, &mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            alarm.set_for()
        };
        assert_eq!(set(None), None);
        assert_eq!(set(Some(9_000_000)), Some(9_000_000));
        assert_eq!(set(Some(9_500_000)), Some(9_000_000), "it moved on");
        assert_eq!(set(None), Some(9_000_000), "nothing is due");
        assert_eq!(set(Some(8_999_500)), Some(9_000_000), "as good as then");
        assert_eq!(set(Some(5_000_000)), Some(5_000_000));
    }

    #[test]
    fn it_goes_off_when_that_is_due_which_was_said_last_and_not_before() {
        let mut alarm = Alarm::default();
        let began = Instant::now();
        let now = || began.elapsed().as_micros() as Micros;
        let wait = |alarm: &mut Alarm, at| block_on(poll_fn(|cx| alarm.poll(Some(at), now(), cx)));
        let waker = noop_waker();
        let early = alarm.poll(Some(10_000), now(), &mut Context::from_waker(&waker));
        assert!(early.is_pending());
        wait(&mut alarm, 60_000);
        assert!(now() >= 59_000, "{} is what was said before", now());
        wait(&mut alarm, 0);
        assert!(now() >= 60_000, "at once is a millisecond later");
    }
}
