//! A source's thread: how it is started, told to stop, and how it hands over its events.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::{Notify, mpsc};

use super::{Error, media::Event};

/// How long a full queue is left alone before it is tried again.
const RETRY: Duration = Duration::from_millis(2);

/// Tells a source's threads to end; shared by all of them.
#[derive(Debug, Default)]
pub(super) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
    notify: Notify,
}

impl Stop {
    pub(super) fn set(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
        self.notify.notify_one();
    }

    pub(super) fn is_set(&self) -> bool {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until `moment`; true as soon as it was told to stop.
    pub(super) fn wait_until(&self, moment: Instant) -> bool {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopped {
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            stopped = self
                .changed
                .wait_timeout(stopped, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// Resolves once it was told to stop; for one waiter.
    pub(super) async fn stopped(&self) {
        while !self.is_set() {
            self.notify.notified().await;
        }
    }
}

/// A running source. Dropping it tells the source to stop; [`Handle::stop`] waits until it has.
#[derive(Debug)]
pub struct Handle {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Stops the source and waits for its thread (a blocking wait, at most a few frames long).
    pub fn stop(mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already reported by the panic hook.
            let _ = thread.join();
        }
    }

    /// Whether the source has ended, by itself or because it was stopped.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.set();
    }
}

/// Where a source's events go: bounded, and it never waits for longer than until [`Stop`].
pub(super) struct Output {
    sender: mpsc::Sender<Event>,
    pub(super) stop: Arc<Stop>,
}

impl Output {
    /// Hands over one event, waiting while the queue is full.
    pub(super) fn send(&self, event: Event) -> Result<(), Error> {
        send(&self.sender, event, &self.stop)
    }
}

/// Hands over one item to a bounded queue, waiting while it is full and until `stop` says otherwise.
pub(super) fn send<T>(sender: &mpsc::Sender<T>, mut item: T, stop: &Stop) -> Result<(), Error> {
    loop {
        match sender.try_send(item) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Error::Stopped),
            Err(mpsc::error::TrySendError::Full(back)) => {
                item = back;
                if stop.wait_until(Instant::now() + RETRY) {
                    return Err(Error::Stopped);
                }
            }
        }
    }
}

/// Runs `work` on a thread called `name` and tells `out` how it ended.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn spawn(
    name: &str,
    out: mpsc::Sender<Event>,
    work: impl FnOnce(&Output) -> Result<(), Error> + Send + 'static,
) -> io::Result<Handle> {
    let stop = Arc::new(Stop::default());
    let output = Output {
        sender: out,
        stop: stop.clone(),
    };
    let thread = std::thread::Builder::new()
        .name(name.into())
        .spawn(move || {
            let ended = match work(&output) {
                Ok(()) => output.send(Event::End),
                Err(Error::Stopped) => Ok(()),
                Err(Error::Refused(message)) => {
                    tracing::error!("{message}");
                    output
                        .send(Event::Notice { message })
                        .and_then(|()| output.send(Event::End))
                }
            };
            if ended.is_err() {
                tracing::debug!("nobody waits for the end of this source any more");
            }
        })?;
    Ok(Handle {
        stop,
        thread: Some(thread),
    })
}
