//! One `RTCPeerConnection`, its channels and its events. Dropped, it is closed, whatever state it is in.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::FutureExt;
use futures_timer::Delay;
use libp2p_core::muxing::{StreamMuxer, StreamMuxerEvent};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, prelude::*};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    RtcConfiguration, RtcDataChannel, RtcDataChannelEvent, RtcDataChannelInit, RtcIceCandidateInit,
    RtcIceServer, RtcPeerConnection, RtcPeerConnectionIceEvent, RtcPeerConnectionState, RtcSdpType,
    RtcSessionDescriptionInit,
};

use super::{Error, channel::Channel, signal::session::MAX_CANDIDATES, stream::Stream};

/// Most streams opened by the other side and not yet taken; more are refused.
const MAX_WAITING: usize = 64;
/// A connection over which nothing comes any more is given up after this time. Browsers wait ten seconds longer.
const SILENCE: Duration = Duration::from_secs(4);
/// The label of the channel that only makes the first offer speak of channels at all.
const INIT: &str = "init";

/// A connection, libp2p's multiplexer of its own channels.
pub struct Connection(SendWrapper<Inner>);

struct Inner {
    raw: RtcPeerConnection,
    shared: Rc<Shared>,
    init: Option<Init>,
    kept: Option<Box<dyn std::any::Any>>,
    sctp: Option<JsValue>,
    silence: Option<Delay>,
    handlers: [Closure<dyn FnMut(JsValue)>; 4],
}

#[derive(Default)]
struct Shared {
    received: Rc<Cell<usize>>,
    channels: RefCell<Vec<Weak<Channel>>>,
    waiting: RefCell<VecDeque<Rc<Channel>>>,
    events: RefCell<VecDeque<Event>>,
    made: Cell<bool>,
    silent: Cell<bool>,
    lost: Cell<bool>,
    acceptor: Cell<Option<Waker>>,
    watcher: Cell<Option<Waker>>,
}

/// The initiator's first channel.
struct Init {
    raw: RtcDataChannel,
    _close: Closure<dyn FnMut()>,
}

/// What a connection that is being made says.
#[derive(Debug)]
pub(crate) enum Event {
    /// A candidate of ours, JSON.
    Candidate(String),
    Connected,
}

impl Connection {
    /// A fresh one; `ice` are URLs of STUN servers.
    pub(crate) fn new(ice: &[String]) -> Result<Self, Error> {
        let configuration = RtcConfiguration::new();
        if !ice.is_empty() {
            let server = RtcIceServer::new();
            let urls: js_sys::Array = ice.iter().map(|url| JsValue::from_str(url)).collect();
            server.set_urls(&urls);
            configuration.set_ice_servers(&js_sys::Array::of1(&server));
        }
        let raw = RtcPeerConnection::new_with_configuration(&configuration)?;
        let shared = Rc::new(Shared::default());
        let handlers = [
            handler(&shared, |shared, event| {
                shared.surfaced(event.unchecked_into::<RtcDataChannelEvent>().channel());
            }),
            handler(&shared, |shared, event| {
                shared.candidate(event.unchecked_into());
            }),
            {
                let raw = raw.clone();
                handler(&shared, move |shared, _| {
                    shared.changed(raw.connection_state())
                })
            },
            handler(&shared, |shared, event| {
                let sctp = event.unchecked_into::<web_sys::Event>().target();
                if sctp.is_some_and(|sctp| get(&sctp, "state") == "closed") {
                    shared.lose();
                }
            }),
        ];
        let [channel, candidate, state, _] = &handlers;
        raw.set_ondatachannel(Some(channel.as_ref().unchecked_ref()));
        raw.set_onicecandidate(Some(candidate.as_ref().unchecked_ref()));
        raw.set_onconnectionstatechange(Some(state.as_ref().unchecked_ref()));
        let inner = Inner {
            raw,
            shared,
            init: None,
            kept: None,
            sctp: None,
            silence: None,
            handlers,
        };
        Ok(Self(SendWrapper::new(inner)))
    }

    /// Opens the initiator's first channel, which is closed as soon as it is open. Nobody waits for that: while it has its
    /// number, others get the next ones.
    pub(crate) fn open_init(&mut self) {
        let raw = self.0.raw.create_data_channel(INIT);
        let close = {
            let raw = raw.clone();
            Closure::<dyn FnMut()>::new(move || raw.close())
        };
        raw.set_onopen(Some(close.as_ref().unchecked_ref()));
        self.0.init = Some(Init { raw, _close: close });
    }

    /// The channel both sides know of beforehand, number 0.
    pub(crate) fn open_negotiated(&self) -> Stream {
        let options = RtcDataChannelInit::new();
        options.set_negotiated(true);
        options.set_id(0);
        self.stream(&options)
    }

    fn stream(&self, options: &RtcDataChannelInit) -> Stream {
        let raw = self
            .0
            .raw
            .create_data_channel_with_data_channel_dict("", options);
        Stream::new(self.0.shared.adopt(raw))
    }

    /// A description to offer, SDP.
    pub(crate) async fn offer(&self) -> Result<String, Error> {
        description(self.0.raw.create_offer()).await
    }

    /// A description to answer the other side's with, SDP.
    pub(crate) async fn answer(&self) -> Result<String, Error> {
        description(self.0.raw.create_answer()).await
    }

    pub(crate) async fn set_local(&self, kind: RtcSdpType, sdp: &str) -> Result<(), Error> {
        let description = RtcSessionDescriptionInit::new(kind);
        description.set_sdp(sdp);
        JsFuture::from(self.0.raw.set_local_description(&description)).await?;
        Ok(())
    }

    pub(crate) async fn set_remote(&self, kind: RtcSdpType, sdp: &str) -> Result<(), Error> {
        let description = RtcSessionDescriptionInit::new(kind);
        description.set_sdp(sdp);
        JsFuture::from(self.0.raw.set_remote_description(&description)).await?;
        Ok(())
    }

    /// SDP of this side as it is, if any.
    pub(crate) fn local(&self) -> Option<String> {
        Some(self.0.raw.local_description()?.sdp())
    }

    /// Takes in a candidate of the other side, JSON.
    pub(crate) async fn add_candidate(&self, json: &str) -> Result<(), Error> {
        let candidate = js_sys::JSON::parse(json)?;
        if !candidate.is_object() {
            return Ok(());
        }
        let candidate: RtcIceCandidateInit = candidate.unchecked_into();
        JsFuture::from(
            self.0
                .raw
                .add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&candidate)),
        )
        .await?;
        Ok(())
    }

    /// The connection stands: no more events are told.
    pub(crate) fn made(&mut self) {
        self.0.shared.made.set(true);
        self.0.shared.events.borrow_mut().clear();
        // Says at once when the other side closes the connection; the connection itself does so after seconds.
        let sctp = get(&self.0.raw, "sctp");
        if sctp.is_object() {
            watch(&sctp, self.0.handlers[3].as_ref());
            self.0.sctp = Some(sctp);
        }
    }

    /// Keeps a channel's user until the connection ends.
    pub(crate) fn keep(&mut self, user: impl std::any::Any) {
        self.0.kept = Some(Box::new(user));
    }

    /// The next thing that happened; an error when the connection is lost.
    pub(crate) fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Result<Event, Error>> {
        let shared = &self.0.shared;
        if let Some(event) = shared.events.borrow_mut().pop_front() {
            return Poll::Ready(Ok(event));
        }
        self.poll_lost(cx).map(Err)
    }

    fn poll_lost(&self, cx: &mut Context<'_>) -> Poll<Error> {
        let shared = &self.0.shared;
        if shared.lost.get() {
            return Poll::Ready(Error::Lost);
        }
        shared.watcher.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = Error;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let shared = &self.0.shared;
        if let Some(channel) = shared.waiting.borrow_mut().pop_front() {
            return Poll::Ready(Ok(Stream::new(channel)));
        }
        if shared.lost.get() {
            return Poll::Ready(Err(Error::Lost));
        }
        shared.acceptor.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    fn poll_outbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        if self.0.shared.lost.get() {
            return Poll::Ready(Err(Error::Lost));
        }
        Poll::Ready(Ok(self.stream(&RtcDataChannelInit::new())))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.close();
        Poll::Ready(Ok(()))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Error>> {
        if !self.0.shared.silent.get() {
            self.0.silence = None;
        } else if self
            .0
            .silence
            .get_or_insert_with(|| Delay::new(SILENCE))
            .poll_unpin(cx)
            .is_ready()
        {
            return Poll::Ready(Err(Error::Lost));
        }
        self.poll_lost(cx).map(Err)
    }
}

impl Inner {
    fn close(&self) {
        self.raw.set_ondatachannel(None);
        self.raw.set_onicecandidate(None);
        self.raw.set_onconnectionstatechange(None);
        if let Some(sctp) = &self.sctp {
            watch(sctp, &JsValue::NULL);
        }
        if let Some(init) = &self.init {
            init.raw.set_onopen(None);
        }
        self.raw.close();
        self.shared.lose();
        self.shared.waiting.borrow_mut().clear();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Handlers are set here, in the task that surfaced the channel: nothing that was sent at once is missed.
    fn surfaced(&self, raw: RtcDataChannel) {
        if raw.label() == INIT || self.waiting.borrow().len() >= MAX_WAITING {
            return raw.close();
        }
        let channel = self.adopt(raw);
        self.waiting.borrow_mut().push_back(channel);
        wake(&self.acceptor);
    }

    fn adopt(&self, raw: RtcDataChannel) -> Rc<Channel> {
        let channel = Rc::new(Channel::new(raw, self.received.clone()));
        let mut channels = self.channels.borrow_mut();
        channels.retain(|channel| channel.strong_count() > 0);
        channels.push(Rc::downgrade(&channel));
        channel
    }

    fn candidate(&self, event: RtcPeerConnectionIceEvent) {
        let Some(candidate) = event.candidate() else {
            return; // the last was told
        };
        let json = js_sys::JSON::stringify(&candidate.to_json())
            .ok()
            .and_then(|text| text.as_string());
        if let Some(json) = json
            && self.events.borrow().len() < 2 * MAX_CANDIDATES
        {
            self.tell(Event::Candidate(json));
        }
    }

    fn changed(&self, state: RtcPeerConnectionState) {
        // "disconnected" may heal.
        self.silent
            .set(state == RtcPeerConnectionState::Disconnected);
        match state {
            RtcPeerConnectionState::Connected => self.tell(Event::Connected),
            RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed => self.lose(),
            _ => {}
        }
        wake(&self.watcher);
    }

    fn tell(&self, event: Event) {
        if self.made.get() {
            return;
        }
        self.events.borrow_mut().push_back(event);
        wake(&self.watcher);
    }

    fn lose(&self) {
        self.lost.set(true);
        for channel in self.channels.take() {
            if let Some(channel) = channel.upgrade() {
                channel.connection_closed();
            }
        }
        wake(&self.watcher);
        wake(&self.acceptor);
    }
}

fn handler(
    shared: &Rc<Shared>,
    act: impl Fn(&Shared, JsValue) + 'static,
) -> Closure<dyn FnMut(JsValue)> {
    let shared = shared.clone();
    Closure::new(move |event| act(&shared, event))
}

async fn description(promise: js_sys::Promise) -> Result<String, Error> {
    let description = JsFuture::from(promise).await?;
    let sdp = js_sys::Reflect::get(&description, &"sdp".into())?;
    sdp.as_string().ok_or(Error::Lost)
}

fn wake(waker: &Cell<Option<Waker>>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// A property that `web-sys` has no type for; `undefined` where the browser has none.
fn get(of: &JsValue, name: &str) -> JsValue {
    js_sys::Reflect::get(of, &name.into()).unwrap_or_default()
}

fn watch(sctp: &JsValue, handler: &JsValue) {
    let _ = js_sys::Reflect::set(sctp, &"onstatechange".into(), handler);
}
