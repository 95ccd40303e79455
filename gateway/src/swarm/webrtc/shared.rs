//! What a connection's task and libp2p share: its channels, and what each wants of the other.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use str0m::channel::ChannelId;
use tokio::sync::Notify;

use super::{channel::Channel, connection::Stream};

/// Streams that a connection may have, those that nobody holds any more included.
pub(super) const MAX_STREAMS: usize = 128;
/// Of these, streams of the other side that libp2p has not looked at yet.
const MAX_ARRIVED: usize = 32;
/// Most bytes received and not yet read over all streams of a connection.
const MAX_RECEIVED: usize = 16 << 20;
/// The same as long as the other side has not proved who it is.
const MAX_UNPROVED: usize = 64 << 10;

#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the task.
    pub(super) wanted: Notify,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) channels: HashMap<ChannelId, Channel>,
    /// Opened by the other side, not yet looked at.
    arrived: VecDeque<ChannelId>,
    /// Asked for by libp2p, not made yet.
    pub(super) asked: usize,
    /// What became of those: a channel, or none.
    made: VecDeque<Option<ChannelId>>,
    /// It is known who the other side is.
    pub(super) proved: bool,
    /// libp2p is done with the connection.
    pub(super) leaves: bool,
    /// The task has ended.
    over: bool,
    waiting_arrived: Option<Waker>,
    waiting_made: Option<Waker>,
    waiting_over: Option<Waker>,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here is left half done by a panic elsewhere that matters: the task's end resets everything.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream of a channel that exists.
    pub(super) fn stream(self: &Arc<Self>, id: ChannelId) -> Stream {
        Stream::new(self.clone(), id)
    }

    /// The task ends: all that waits fails.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.over = true;
        state.arrived.clear();
        state.channels.values_mut().for_each(Channel::lost);
        state.channels.retain(|_, channel| !channel.is_abandoned());
        let woken = [
            state.waiting_arrived.take(),
            state.waiting_made.take(),
            state.waiting_over.take(),
        ];
        drop(state);
        woken.into_iter().flatten().for_each(Waker::wake);
    }

    pub(super) fn poll_arrived(&self, cx: &mut Context<'_>) -> Poll<io::Result<ChannelId>> {
        let mut state = self.state();
        if let Some(id) = state.arrived.pop_front() {
            return Poll::Ready(Ok(id));
        }
        if state.over {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        state.waiting_arrived = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn poll_made(&self, cx: &mut Context<'_>) -> Poll<io::Result<ChannelId>> {
        let mut state = self.state();
        if let Some(made) = state.made.pop_front() {
            return Poll::Ready(made.ok_or_else(|| io::ErrorKind::ConnectionReset.into()));
        }
        if state.over {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        state.waiting_made = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.over {
            return Poll::Ready(());
        }
        state.waiting_over = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl State {
    /// The other side opened a channel; false when it has too many.
    pub(super) fn arrive(&mut self, id: ChannelId) -> bool {
        if self.channels.len() >= MAX_STREAMS || self.arrived.len() >= MAX_ARRIVED {
            return false;
        }
        self.channels.insert(id, Channel::default());
        self.arrived.push_back(id);
        if let Some(waker) = self.waiting_arrived.take() {
            waker.wake();
        }
        true
    }

    /// What libp2p asked for is open, or could not be had.
    pub(super) fn make(&mut self, id: Option<ChannelId>) {
        if let Some(id) = id {
            self.channels.insert(id, Channel::default());
        }
        self.made.push_back(id);
        if let Some(waker) = self.waiting_made.take() {
            waker.wake();
        }
    }

    /// Whether the task has ended.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// How much may still be received before it is read.
    pub(super) fn room(&self) -> usize {
        let unread: usize = self.channels.values().map(Channel::unread).sum();
        let most = if self.proved {
            MAX_RECEIVED
        } else {
            MAX_UNPROVED
        };
        most.saturating_sub(unread)
    }
}
