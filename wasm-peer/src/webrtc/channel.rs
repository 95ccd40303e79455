//! One data channel: what came over it, its state, and its end. Shared by a [`Stream`](super::stream::Stream) and by
//! the browser's events; whoever drops the last handle closes it.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use wasm_bindgen::{JsCast, prelude::*};
use web_sys::{MessageEvent, RtcDataChannel, RtcDataChannelState, RtcDataChannelType};

use crate::host;

use super::{
    ahead::Ahead,
    frame::{self, Flag, MAX_PAYLOAD},
    inbox::{Broken, Inbox},
};

/// Most bytes received and not yet read over all streams of a connection.
const MAX_RECEIVED_BY_CONNECTION: usize = 16 * 1024 * 1024;

/// A data channel. Its handlers are set before any of its messages can have been dispatched: it must be made in the
/// task that made or surfaced `raw`.
pub(crate) struct Channel {
    raw: RtcDataChannel,
    state: Rc<RefCell<State>>,
    _handlers: [Closure<dyn FnMut(JsValue)>; 4],
}

struct State {
    inbox: Inbox,
    /// How much the browser is given before it has sent it.
    ahead: Ahead,
    by_connection: Rc<Cell<usize>>,
    opened: bool,
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    ender: Option<Waker>,
}

impl Channel {
    /// `by_connection` counts the unread bytes of all its channels.
    pub(crate) fn new(raw: RtcDataChannel, by_connection: Rc<Cell<usize>>) -> Self {
        raw.set_binary_type(RtcDataChannelType::Arraybuffer);
        let state = Rc::new(RefCell::new(State {
            inbox: Inbox::default(),
            ahead: Ahead::default(),
            by_connection,
            opened: raw.ready_state() == RtcDataChannelState::Open,
            closed: matches!(
                raw.ready_state(),
                RtcDataChannelState::Closing | RtcDataChannelState::Closed
            ),
            reader: None,
            writer: None,
            ender: None,
        }));
        let handler = |state: &Rc<RefCell<State>>,
                       act: fn(&mut State, &RtcDataChannel, JsValue)| {
            let (state, raw) = (state.clone(), raw.clone());
            Closure::<dyn FnMut(JsValue)>::new(move |event| {
                // Woken after the borrow has ended.
                let woken = {
                    let mut state = state.borrow_mut();
                    act(&mut state, &raw, event);
                    [state.reader.take(), state.writer.take(), state.ender.take()]
                };
                woken.into_iter().flatten().for_each(Waker::wake);
            })
        };
        let handlers = [
            handler(&state, |state, raw, event| state.message(raw, event)),
            handler(&state, |state, _, _| state.opened = true),
            handler(&state, |state, _, _| state.close()),
            handler(&state, |_, _, _| ()), // room to write: waking is all
        ];
        let [message, open, close, low] = &handlers;
        raw.set_onmessage(Some(message.as_ref().unchecked_ref()));
        raw.set_onopen(Some(open.as_ref().unchecked_ref()));
        raw.set_onclose(Some(close.as_ref().unchecked_ref()));
        raw.set_onbufferedamountlow(Some(low.as_ref().unchecked_ref()));
        Self {
            raw,
            state,
            _handlers: handlers,
        }
    }

    /// The connection is gone: reads and writes end. The browser may not tell after its own `close()`.
    pub(crate) fn connection_closed(&self) {
        let woken = {
            let mut state = self.state.borrow_mut();
            state.close();
            [state.reader.take(), state.writer.take(), state.ender.take()]
        };
        woken.into_iter().flatten().for_each(Waker::wake);
    }

    /// Ready when bytes can be sent.
    pub(crate) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        if state.closed {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.opened {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state.borrow_mut();
        let read = state.counted(|inbox| inbox.read(to));
        if let Some(read) = read {
            return Poll::Ready(read);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_open(cx))?;
        let mut state = self.state.borrow_mut();
        if !state.inbox.halves.writes() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let (waiting, now) = (self.raw.buffered_amount() as usize, host::now());
        if !state.ahead.has_room(waiting, now) {
            // It is told when half of that has left.
            let half = state.ahead.most() / 2;
            self.raw.set_buffered_amount_low_threshold(half as u32); // 256 KiB at most
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = from.len().min(MAX_PAYLOAD);
        if taken > 0
            && self
                .raw
                .send_with_u8_array(&frame::encode_payload(&from[..taken]))
                .is_err()
        {
            state.inbox.halves.lost();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        state.ahead.wrote(taken, now);
        Poll::Ready(Ok(taken))
    }

    /// Says that all is said. Ready once the browser has taken it: [`Channel::abandon`] waits until the other side has it.
    pub(crate) fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        {
            let mut state = self.state.borrow_mut();
            if !state.inbox.halves.writes() {
                return Poll::Ready(match state.inbox.halves.write_failed() {
                    true => Err(io::ErrorKind::BrokenPipe.into()),
                    false => Ok(()),
                });
            }
            if state.opened && !state.closed {
                let flag = state.inbox.halves.finish();
                state.say(&self.raw, flag);
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_open(cx)
    }

    /// Nobody will read or write any more. False: the channel should stay until [`Channel::poll_settled`].
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.state.borrow_mut();
        state.counted(Inbox::forget);
        let flag = state.inbox.halves.abandon();
        if state.closed || !state.opened {
            return true;
        }
        state.say(&self.raw, flag);
        state.inbox.halves.settled()
    }

    /// Ready when nothing is on its way any more.
    pub(crate) fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if state.closed || state.inbox.halves.settled() {
            return Poll::Ready(());
        }
        state.ender = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.raw.set_onmessage(None);
        self.raw.set_onopen(None);
        self.raw.set_onclose(None);
        self.raw.set_onbufferedamountlow(None);
        self.raw.close();
        self.state.borrow_mut().counted(Inbox::forget);
    }
}

impl State {
    fn message(&mut self, raw: &RtcDataChannel, event: JsValue) {
        let data = event.unchecked_into::<MessageEvent>().data();
        let Some(buffer) = data.dyn_ref::<js_sys::ArrayBuffer>() else {
            self.counted(Inbox::give_up); // text: no libp2p speaks here
            return self.reset(raw);
        };
        let message = js_sys::Uint8Array::new(buffer).to_vec().into();
        let room = MAX_RECEIVED_BY_CONNECTION.saturating_sub(self.by_connection.get());
        let mut answers = Vec::new();
        let taken =
            self.counted(|inbox| inbox.message(message, room, |_, flag| answers.push(flag)));
        for flag in answers {
            self.say(raw, Some(flag));
        }
        if let Err(Broken) = taken {
            self.reset(raw);
        }
    }

    /// The other side does not keep to the protocol.
    fn reset(&mut self, raw: &RtcDataChannel) {
        self.say(raw, Some(Flag::Reset));
        raw.close();
    }

    fn say(&mut self, raw: &RtcDataChannel, flag: Option<Flag>) {
        if let Some(flag) = flag
            && raw.send_with_u8_array(&frame::encode_flag(flag)).is_err()
        {
            self.inbox.halves.lost();
        }
    }

    fn close(&mut self) {
        self.closed = true;
        self.inbox.halves.lost();
    }

    /// Lets something happen to what was received, and counts it for the connection.
    fn counted<T>(&mut self, act: impl FnOnce(&mut Inbox) -> T) -> T {
        let before = self.inbox.unread();
        let done = act(&mut self.inbox);
        let others = self.by_connection.get() - before;
        self.by_connection.set(others + self.inbox.unread());
        done
    }
}
