//! The loop: one task drives the swarm, and with it the engine; it wakes when something comes in or is due.
//!
//! The swarm is there from the beginning, without any connection: the engine decides from the first part on, and
//! nothing is lost when [`Run::connect`] brings the network.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task,
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId,
    identity::Keypair,
    ping,
    swarm::{Swarm, SwarmEvent},
};
use meshlive_protocol::{
    behaviour::{Behaviour, Event},
    manifest::Rejected,
    name::StreamName,
    scheduler::{Input, Micros, Output, Role, Scheduler, Settings},
};
use wasm_bindgen::prelude::*;
use web_sys::{MessageChannel, MessagePort};

use crate::{
    host::{Call, Host, now},
    place::{format_key, rendition_id},
    swarm::{self, Browser, BrowserEvent},
};

type Viewer = Browser<Behaviour>;

/// What a viewer's peer may take of the page's memory and of the connection, until the page says otherwise.
const SETTINGS: Settings = Settings {
    // Two minutes at 2 Mbit/s: what others may still want of the live window, and seeks back.
    cache_bytes: 32 << 20,
    neighbours: 8,
    upload: 2_500_000,
    reserve: 300_000,
    hushes: true,
};
/// Viewers that may wait to be dialled: as many as an engine seeks.
const MAX_HELD: usize = SETTINGS.neighbours;
/// After this long the page gets its turn, microseconds: a frame on a slow phone lasts 16 ms.
const TURN: Micros = 4_000;

/// Runs until [`Run::close`].
pub struct Run {
    stream: StreamName,
    /// None once closed. Never borrowed while the page's code runs.
    swarm: RefCell<Option<Swarm<Viewer>>>,
    /// Whether there is a network: without one nobody is dialled.
    joined: Cell<bool>,
    /// Viewers to be dialled when the page is ready for that; `None`: it is.
    held: RefCell<Option<Vec<PeerId>>>,
    waker: RefCell<Option<task::Waker>>,
    turns: Turns,
}

impl Run {
    /// Begins at once; the host is called from then on.
    pub fn start(stream: StreamName, host: Host) -> Rc<Self> {
        let key = Keypair::generate_ed25519();
        let me = key.public().to_peer_id();
        let scheduler = Scheduler::new(me, stream.clone(), Role::Viewer, SETTINGS, seed(me));
        let mut engine = Behaviour::new(now);
        engine.open(stream.clone(), scheduler, true);
        let run = Rc::new_cyclic(|weak: &std::rc::Weak<Self>| {
            let weak = weak.clone();
            Self {
                stream,
                swarm: RefCell::new(Some(swarm::build(&key, engine))),
                joined: Cell::new(false),
                held: RefCell::new(Some(Vec::new())),
                waker: RefCell::default(),
                turns: Turns::new(move || wake(&weak)),
            }
        });
        let this = Rc::clone(&run);
        wasm_bindgen_futures::spawn_local(poll_fn(move |context| this.turn(&host, context)));
        run
    }

    /// Ends every connection and the loop; the host is not called any more.
    pub fn close(&self) {
        let swarm = self.swarm.borrow_mut().take();
        drop(swarm);
        self.wake();
    }

    /// Lets the engine know; what follows from it is done in the loop's next turn.
    pub fn input(&self, input: Input<'_>) -> Result<(), Rejected> {
        let done = match &mut *self.swarm.borrow_mut() {
            Some(swarm) => swarm.behaviour_mut().engine.input(&self.stream, input),
            None => Ok(()),
        };
        self.wake();
        done
    }

    /// For tests: the peer lies from now on.
    #[cfg(feature = "liar")]
    pub fn lie(&self, lies: &[meshlive_protocol::behaviour::Lie]) {
        if let Some(swarm) = &mut *self.swarm.borrow_mut() {
            swarm.behaviour_mut().engine.lie(lies);
        }
    }

    /// Asks the engine; `None` once closed.
    pub fn ask<T>(&self, ask: impl FnOnce(&Scheduler) -> T) -> Option<T> {
        let swarm = self.swarm.borrow();
        let engine = &swarm.as_ref()?.behaviour().engine;
        engine.scheduler(&self.stream).map(ask)
    }

    /// Brings the network, or what has changed of it.
    pub fn connect(&self, gateway: PeerId, addresses: &[Multiaddr], stun: &[String]) {
        if let Some(swarm) = &mut *self.swarm.borrow_mut() {
            self.joined.set(true);
            swarm.behaviour_mut().engine.gateway(gateway);
            swarm::reach(swarm, addresses, stun);
        }
        self.wake();
    }

    /// The page is ready for connections to other viewers.
    pub fn meet(&self) {
        let held = self.held.take();
        if let Some(swarm) = &mut *self.swarm.borrow_mut() {
            for peer in held.into_iter().flatten() {
                self.dial(swarm, peer);
            }
        }
        self.wake();
    }

    /// As soon as the page is ready for it. The engine has few dials under way, and gives them up by itself.
    fn dial(&self, swarm: &mut Swarm<Viewer>, peer: PeerId) {
        match &mut *self.held.borrow_mut() {
            Some(held) if held.len() < MAX_HELD => held.push(peer),
            Some(_) => {}
            None if self.joined.get() => swarm::dial_viewer(swarm, peer),
            None => {}
        }
    }

    /// Ends every connection; the engine goes on over HTTP.
    pub fn disconnect(&self) {
        if let Some(swarm) = &mut *self.swarm.borrow_mut() {
            self.joined.set(false);
            swarm::reach(swarm, &[], &[]);
            let peers: Vec<PeerId> = swarm.connected_peers().copied().collect();
            for peer in peers {
                // Refused only for those who are gone.
                let _ = swarm.disconnect_peer_id(peer);
            }
        }
        self.wake();
    }

    fn wake(&self) {
        let waker = self.waker.borrow().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Does all that is to be done, or as much as fits in a turn. Ends when closed, by the host's calls as well.
    fn turn(&self, host: &Host, context: &mut task::Context<'_>) -> task::Poll<()> {
        self.waker.replace(Some(context.waker().clone()));
        let began = now();
        loop {
            let call = match &mut *self.swarm.borrow_mut() {
                None => return task::Poll::Ready(()),
                Some(swarm) => match self.step(swarm, context) {
                    task::Poll::Ready(call) => call,
                    task::Poll::Pending => break,
                },
            };
            if let Some(call) = call {
                call.make(host);
            }
            if now() - began > TURN {
                self.turns.next();
                return task::Poll::Pending;
            }
        }
        task::Poll::Pending
    }

    /// One event of the swarm, and what the page is to do about it.
    fn step(
        &self,
        swarm: &mut Swarm<Viewer>,
        context: &mut task::Context<'_>,
    ) -> task::Poll<Option<Call>> {
        let event = task::ready!(swarm.poll_next_unpin(context));
        let SwarmEvent::Behaviour(event) = event.expect("a swarm never ends") else {
            return task::Poll::Ready(None);
        };
        task::Poll::Ready(match event {
            BrowserEvent::Engine(Event::Output { output, .. }) => self.output(swarm, output),
            BrowserEvent::Ping(ping::Event {
                peer,
                result: Ok(took),
                ..
            }) => {
                let micros = u64::try_from(took.as_micros()).unwrap_or(Micros::MAX);
                swarm.behaviour_mut().engine.round_trip(peer, micros);
                None
            }
            _ => None,
        })
    }

    fn output(&self, swarm: &mut Swarm<Viewer>, output: Output) -> Option<Call> {
        match output {
            Output::Dial { peer } => {
                self.dial(swarm, peer);
                None
            }
            Output::Fetch { place } => {
                let engine = &swarm.behaviour().engine;
                let manifest = engine.scheduler(&self.stream)?.manifest();
                let rendition = rendition_id(manifest, place.rendition)?.to_owned();
                Some(Call::Fetch {
                    key: format_key(place),
                    rendition,
                    msn: place.msn,
                    part: place.part,
                })
            }
            Output::Abort { place } => Some(Call::Abort(format_key(place))),
            Output::Ready { place } => Some(Call::Ready(format_key(place))),
            Output::Gone { place } => Some(Call::Gone(format_key(place))),
            Output::News { anew } => Some(Call::News { anew }),
            Output::Narrowed => Some(Call::Narrowed),
            // Done by the behaviour itself, or the gateway's.
            Output::Sign
            | Output::Send { .. }
            | Output::SendPart { .. }
            | Output::Unsend { .. }
            | Output::Drop { .. } => None,
        }
    }
}

fn wake(run: &std::rc::Weak<Run>) {
    if let Some(run) = run.upgrade() {
        run.wake();
    }
}

/// Differs from peer to peer as their names do.
fn seed(me: PeerId) -> u64 {
    let bytes = me.to_bytes();
    let tail = bytes.last_chunk().expect("a peer id has 34 bytes or more");
    u64::from_le_bytes(*tail)
}

/// A task of its own for what remains to be done. Not a timer: hidden tabs throttle these.
struct Turns {
    callback: Closure<dyn FnMut()>,
    /// Made when it is first needed: most viewers never need it.
    ports: RefCell<Option<(MessagePort, MessagePort)>>,
}

impl Turns {
    fn new(callback: impl FnMut() + 'static) -> Self {
        Self {
            callback: Closure::new(callback),
            ports: RefCell::default(),
        }
    }

    fn next(&self) {
        let mut ports = self.ports.borrow_mut();
        let (from, _) = ports.get_or_insert_with(|| {
            let channel = MessageChannel::new().expect("every browser has message channels");
            let to = channel.port2();
            to.set_onmessage(Some(self.callback.as_ref().unchecked_ref()));
            (channel.port1(), to)
        });
        from.post_message(&JsValue::NULL)
            .expect("null can be sent to whomever");
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        if let Some((_, to)) = &*self.ports.borrow() {
            to.set_onmessage(None);
            to.close();
        }
    }
}
