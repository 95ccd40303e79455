//! One data channel: what came over it, its state, and its end. Shared by a [`Stream`](super::stream::Stream) and by
//! the browser's events; whoever drops the last handle closes it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use wasm_bindgen::{JsCast, prelude::*};
use web_sys::{MessageEvent, RtcDataChannel, RtcDataChannelState, RtcDataChannelType};

use super::{
    frame::{self, Decoder, Flag, MAX_PAYLOAD},
    halves::Halves,
};

/// Most bytes received and not yet read of one stream. There is no back-pressure in data channels: whoever sends more
/// without being asked is reset.
const MAX_RECEIVED: usize = 4 * 1024 * 1024;
/// The same over all streams of a connection.
const MAX_RECEIVED_BY_CONNECTION: usize = 16 * 1024 * 1024;
/// Writing pauses while the browser holds more bytes than this for one stream ...
const HIGH_WATER: u32 = 256 * 1024;
/// ... and goes on below this.
const LOW_WATER: u32 = 128 * 1024;

/// A data channel. Its handlers are set before any of its messages can have been dispatched: it must be made in the
/// task that made or surfaced `raw`.
pub(crate) struct Channel {
    raw: RtcDataChannel,
    state: Rc<RefCell<State>>,
    _handlers: [Closure<dyn FnMut(JsValue)>; 4],
}

struct State {
    halves: Halves,
    decoder: Decoder,
    received: VecDeque<Bytes>,
    received_bytes: usize,
    by_connection: Rc<Cell<usize>>,
    opened: bool,
    closed: bool,
    overrun: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    ender: Option<Waker>,
}

impl Channel {
    /// `by_connection` counts the unread bytes of all its channels.
    pub(crate) fn new(raw: RtcDataChannel, by_connection: Rc<Cell<usize>>) -> Self {
        raw.set_binary_type(RtcDataChannelType::Arraybuffer);
        raw.set_buffered_amount_low_threshold(LOW_WATER);
        let state = Rc::new(RefCell::new(State {
            halves: Halves::default(),
            decoder: Decoder::default(),
            received: VecDeque::new(),
            received_bytes: 0,
            by_connection,
            opened: raw.ready_state() == RtcDataChannelState::Open,
            closed: matches!(
                raw.ready_state(),
                RtcDataChannelState::Closing | RtcDataChannelState::Closed
            ),
            overrun: false,
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
        let mut read = 0;
        while read < to.len()
            && let Some(first) = state.received.front_mut()
        {
            let taken = first.len().min(to.len() - read);
            to[read..read + taken].copy_from_slice(&first[..taken]);
            first.advance(taken);
            if first.is_empty() {
                state.received.pop_front();
            }
            read += taken;
        }
        if read > 0 || to.is_empty() {
            state.count(read);
            return Poll::Ready(Ok(read));
        }
        if state.overrun {
            let why = "more was received than may wait to be read";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::QuotaExceeded, why)));
        }
        if state.halves.read_failed() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if !state.halves.reads() {
            return Poll::Ready(Ok(0));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_open(cx))?;
        let mut state = self.state.borrow_mut();
        if !state.halves.writes() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.raw.buffered_amount() > HIGH_WATER {
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
            state.halves.lost();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(taken))
    }

    /// Says that all is said. Ready once the browser has taken it: [`Channel::abandon`] waits until the other side has it.
    pub(crate) fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        {
            let mut state = self.state.borrow_mut();
            if !state.halves.writes() {
                return Poll::Ready(match state.halves.write_failed() {
                    true => Err(io::ErrorKind::BrokenPipe.into()),
                    false => Ok(()),
                });
            }
            if state.opened && !state.closed {
                let flag = state.halves.finish();
                state.say(&self.raw, flag);
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_open(cx)
    }

    /// Nobody will read or write any more. False: the channel should stay until [`Channel::poll_settled`].
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.state.borrow_mut();
        state.forget();
        let flag = state.halves.abandon();
        if state.closed || !state.opened {
            return true;
        }
        state.say(&self.raw, flag);
        state.halves.settled()
    }

    /// Ready when nothing is on its way any more.
    pub(crate) fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if state.closed || state.halves.settled() {
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
        self.state.borrow_mut().forget();
    }
}

impl State {
    fn message(&mut self, raw: &RtcDataChannel, event: JsValue) {
        let data = event.unchecked_into::<MessageEvent>().data();
        let Some(buffer) = data.dyn_ref::<js_sys::ArrayBuffer>() else {
            return self.give_up(raw); // text: no libp2p speaks here
        };
        let mut message = Bytes::from(js_sys::Uint8Array::new(buffer).to_vec());
        loop {
            match self.decoder.next(&mut message) {
                Ok(None) => return,
                Ok(Some(frame)) => self.frame(raw, frame),
                Err(_) => return self.give_up(raw),
            }
        }
    }

    fn frame(&mut self, raw: &RtcDataChannel, frame: frame::Frame) {
        let bytes = frame.payload.len();
        if bytes > 0 && self.halves.reads() {
            if self.received_bytes + bytes > MAX_RECEIVED
                || self.by_connection.get() + bytes > MAX_RECEIVED_BY_CONNECTION
            {
                self.overrun = true;
                return self.give_up(raw);
            }
            self.received_bytes += bytes;
            self.by_connection.set(self.by_connection.get() + bytes);
            self.received.push_back(frame.payload);
        }
        if let Some(flag) = frame.flag {
            let answer = self.halves.receive(flag);
            self.say(raw, answer);
        }
    }

    /// The other side does not keep to the protocol.
    fn give_up(&mut self, raw: &RtcDataChannel) {
        self.forget();
        self.halves.lost();
        self.say(raw, Some(Flag::Reset));
        raw.close();
    }

    fn say(&mut self, raw: &RtcDataChannel, flag: Option<Flag>) {
        if let Some(flag) = flag
            && raw.send_with_u8_array(&frame::encode_flag(flag)).is_err()
        {
            self.halves.lost();
        }
    }

    fn close(&mut self) {
        self.closed = true;
        self.halves.lost();
    }

    /// What was received is not wanted any more.
    fn forget(&mut self) {
        self.received.clear();
        self.count(self.received_bytes);
    }

    /// So many bytes were read.
    fn count(&mut self, read: usize) {
        self.received_bytes -= read;
        self.by_connection.set(self.by_connection.get() - read);
    }
}
