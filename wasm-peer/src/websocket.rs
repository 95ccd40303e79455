//! Dials `/ip4|ip6|dns…/…/tcp/…/ws` and `…/tls/ws` (or `/wss`) with the browser's WebSocket. Bytes, neither encrypted nor
//! multiplexed: that is the next layer's.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::{Pending, poll_fn},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures::{
    AsyncRead, AsyncWrite, FutureExt,
    future::{self, BoxFuture, Either},
};
use futures_timer::Delay;
use libp2p_core::{
    Multiaddr,
    multiaddr::Protocol,
    transport::{DialOpts, ListenerId, Transport, TransportError, TransportEvent},
};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, prelude::*};
use web_sys::{BinaryType, MessageEvent, WebSocket};

/// Most bytes received and not yet read. WebSockets have no back-pressure; the multiplexer above keeps what is under
/// way below this, and a server that does not is left.
const MAX_RECEIVED: usize = 16 * 1024 * 1024;
/// Writing pauses while the browser holds more bytes than this.
const HIGH_WATER: u32 = 1024 * 1024;
/// A WebSocket does not say when its buffer has room: it is asked this often.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Time for the connection to open.
const PATIENCE: Duration = Duration::from_secs(10);

/// The transport. It does not listen: no browser can.
#[derive(Default)]
pub struct Dialler;

impl Transport for Dialler {
    type Output = Socket;
    type Error = io::Error;
    type ListenerUpgrade = Pending<io::Result<Socket>>;
    type Dial = BoxFuture<'static, io::Result<Socket>>;

    fn listen_on(
        &mut self,
        _: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        opts: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        match url(&address) {
            Some(url) if opts.role.is_dialer() => Ok(SendWrapper::new(connect(url)).boxed()),
            _ => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Poll::Pending
    }
}

/// A connection to a server. Dropped, it is closed.
pub struct Socket(SendWrapper<Inner>);

struct Inner {
    raw: WebSocket,
    state: Rc<RefCell<State>>,
    look_again: Delay,
    _handlers: [Closure<dyn FnMut(JsValue)>; 3],
}

#[derive(Default)]
struct State {
    received: VecDeque<Bytes>,
    received_bytes: usize,
    opened: bool,
    closed: Option<&'static str>,
    waiting: [Option<Waker>; 2], // who reads; who waits until it is open
}

async fn connect(url: String) -> io::Result<Socket> {
    let raw =
        WebSocket::new(&url).map_err(|error| io::Error::other(format!("{url}: {error:?}")))?;
    raw.set_binary_type(BinaryType::Arraybuffer);
    let state = Rc::new(RefCell::new(State::default()));
    let handler = |act: fn(&mut State, JsValue)| {
        let state = state.clone();
        Closure::<dyn FnMut(JsValue)>::new(move |event| {
            let waiting = {
                let mut state = state.borrow_mut();
                act(&mut state, event);
                std::mem::take(&mut state.waiting)
            };
            waiting.into_iter().flatten().for_each(Waker::wake);
        })
    };
    let handlers = [
        handler(State::message),
        handler(|state, _| state.opened = true),
        // An error is always followed by a close, which says as much.
        handler(|state, _| state.closed = state.closed.or(Some("the connection was closed"))),
    ];
    let [message, open, close] = &handlers;
    raw.set_onmessage(Some(message.as_ref().unchecked_ref()));
    raw.set_onopen(Some(open.as_ref().unchecked_ref()));
    raw.set_onclose(Some(close.as_ref().unchecked_ref()));
    let socket = Socket(SendWrapper::new(Inner {
        raw,
        state,
        look_again: Delay::new(Duration::ZERO),
        _handlers: handlers,
    }));
    let opened = poll_fn(|cx| {
        let mut state = socket.0.state.borrow_mut();
        if let Some(why) = state.closed {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionRefused, why)));
        }
        if state.opened {
            return Poll::Ready(Ok(()));
        }
        state.waiting[1] = Some(cx.waker().clone());
        Poll::Pending
    });
    match future::select(opened, Delay::new(PATIENCE)).await {
        Either::Left((opened, _)) => opened?,
        Either::Right(_) => return Err(io::ErrorKind::TimedOut.into()),
    }
    Ok(socket)
}

impl State {
    fn message(&mut self, event: JsValue) {
        let data = event.unchecked_into::<MessageEvent>().data();
        let bytes = match data.dyn_ref::<js_sys::ArrayBuffer>() {
            Some(buffer) => Bytes::from(js_sys::Uint8Array::new(buffer).to_vec()),
            None => return self.give_up("the server sent text"),
        };
        if self.received_bytes + bytes.len() > MAX_RECEIVED {
            return self.give_up("the server sent more than may wait to be read");
        }
        if !bytes.is_empty() && self.closed.is_none() {
            self.received_bytes += bytes.len();
            self.received.push_back(bytes);
        }
    }

    fn give_up(&mut self, why: &'static str) {
        self.received.clear();
        self.received_bytes = 0;
        self.closed = Some(why);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.state.borrow_mut();
        if let Some(first) = state.received.front_mut() {
            let taken = first.len().min(to.len());
            first.copy_to_slice(&mut to[..taken]);
            if first.is_empty() {
                state.received.pop_front();
            }
            state.received_bytes -= taken;
            return Poll::Ready(Ok(taken));
        }
        if state.closed.is_some() {
            return Poll::Ready(Ok(0));
        }
        state.waiting[0] = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0;
        if let Some(why) = inner.state.borrow().closed {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, why)));
        }
        while inner.raw.buffered_amount() > HIGH_WATER {
            inner.look_again.reset(LOOK_AGAIN);
            std::task::ready!(inner.look_again.poll_unpin(cx));
        }
        let taken = from.len().min(HIGH_WATER as usize);
        let sent = inner.raw.send_with_u8_array(&from[..taken]);
        sent.map_err(|_| io::Error::from(io::ErrorKind::ConnectionReset))?;
        Poll::Ready(Ok(taken))
    }

    /// What was written is with the browser already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The browser sends what it holds before it closes.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = self.0.raw.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.raw.set_onmessage(None);
        self.raw.set_onopen(None);
        self.raw.set_onclose(None);
        let _ = self.raw.close();
    }
}

/// The URL of `…/tcp/…/ws[/p2p/…]`; `None` for anything else.
fn url(address: &Multiaddr) -> Option<String> {
    let mut parts = address.iter().peekable();
    let host = match parts.next()? {
        Protocol::Ip4(ip) => ip.to_string(),
        Protocol::Ip6(ip) => format!("[{ip}]"),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => name.into_owned(),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else {
        return None;
    };
    let tls = parts.next_if(|part| *part == Protocol::Tls).is_some();
    let (scheme, path) = match parts.next()? {
        Protocol::Ws(path) if tls => ("wss", path),
        Protocol::Ws(path) => ("ws", path),
        Protocol::Wss(path) => ("wss", path),
        _ => return None,
    };
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => Some(format!("{scheme}://{host}:{port}{path}")),
        _ => None,
    }
}
