//! Nodes with their events. In one shard one event happens after the other; what one node is told by another comes a way
//! later, so that shards whose nodes are apart may each go on by itself for as long as the shortest way between them takes.

use super::*;

/// What happens at a node.
pub(super) enum Event {
    Wake(usize),
    Tick(usize),
    Ask(usize),
    Lie(usize),
    /// A node's dial is at another: at that, from whom.
    Dialled(usize, usize),
    /// And what came of it is back: at the one that dialled, of whom, whether there is a connection.
    Answered(usize, usize, bool),
    Unlink(usize, usize),
    Feed(usize, Bytes),
    Message(usize, usize, Message),
    /// So many bytes are at a node's downlink; when they are through, the other happens.
    Down(usize, usize, Box<Event>),
    Uplink(usize),
    /// A part has left a node for another.
    Sent(usize, usize, Place, usize),
    /// Something happens on the way from one to another, where that is gone packet by packet.
    Path(usize, usize),
    /// A viewer at the uplink's other end: to, from, place, the part, how far it is here, hops so far.
    Slice(usize, usize, Place, Bytes, usize, u8),
    Fetched(usize, Place, Option<Bytes>, Micros, u64, usize),
    /// The gateway's HTTP was asked.
    Asked(Answer),
    /// A viewer does not wait for an answer any more, and closes its connection.
    Closed(usize, u64),
    /// It may answer the next.
    Answer,
    /// Something is at the narrow link; it may let the next through.
    AtTrunk(usize, Flow, Waiting<Event>),
    OverTrunk(usize),
}

impl Event {
    /// Where it happens; the narrow link and HTTP are the gateway's.
    pub(super) fn node(&self) -> usize {
        match self {
            Event::Wake(node)
            | Event::Tick(node)
            | Event::Ask(node)
            | Event::Lie(node)
            | Event::Dialled(node, ..)
            | Event::Answered(node, ..)
            | Event::Unlink(node, ..)
            | Event::Feed(node, ..)
            | Event::Message(node, ..)
            | Event::Down(node, ..)
            | Event::Uplink(node)
            | Event::Sent(node, ..)
            | Event::Path(node, ..)
            | Event::Slice(node, ..)
            | Event::Fetched(node, ..) => *node,
            Event::Asked(..)
            | Event::Closed(..)
            | Event::Answer
            | Event::AtTrunk(..)
            | Event::OverTrunk(..) => 0,
        }
    }
}

/// A few nodes' share of the world.
pub(in crate::sim) struct Shard {
    number: usize,
    pub(super) now: Micros,
    pub(super) nodes: Nodes,
    pub(super) random: Random,
    pub(super) events: Queue<Event>,
    /// What happens at nodes of each other shard, and when.
    pub(super) leaving: Vec<Vec<(Micros, Event)>>,
    /// Of the gateway: the narrow link at its site, ...
    pub(super) trunk: Trunk<Event>,
    /// ... what HTTP was asked for and has not begun to give, when the answer before has left, ...
    pub(super) answers: VecDeque<Answer>,
    pub(super) http_free: Micros,
    /// ... and bytes of announcements that it told.
    pub(super) announced: u64,
    pub(in crate::sim) trace: Option<Trace>,
    /// Fetches over HTTP that began.
    pub(super) count: u64,
}

impl Shard {
    pub(super) fn new((number, of): (usize, usize), seed: u64) -> Self {
        Self {
            number,
            now: 0,
            nodes: Nodes::default(),
            random: Random::new(seed),
            events: Queue::new(),
            leaving: (0..of).map(|_| Vec::new()).collect(),
            trunk: Trunk::default(),
            answers: VecDeque::new(),
            http_free: 0,
            announced: 0,
            trace: None,
            count: 0,
        }
    }

    /// The nodes of this shard act, and see what is common.
    pub(super) fn driver<'a>(&'a mut self, common: &'a Common) -> Driver<'a> {
        Driver {
            shard: self,
            common,
        }
    }
}

/// Nodes by their numbers; those of other shards are not there.
#[derive(Default)]
pub(super) struct Nodes(Vec<Option<Box<Node>>>);

impl Nodes {
    pub(super) fn put(&mut self, number: usize, node: Node) {
        self.0.resize_with(number + 1, || None);
        self.0[number] = Some(Box::new(node));
    }
}

impl Index<usize> for Nodes {
    type Output = Node;

    fn index(&self, number: usize) -> &Node {
        let node = self.0[number].as_ref();
        node.expect("what happens at a node happens in its shard")
    }
}

impl IndexMut<usize> for Nodes {
    fn index_mut(&mut self, number: usize) -> &mut Node {
        let node = self.0[number].as_mut();
        node.expect("what happens at a node happens in its shard")
    }
}

/// A shard whose nodes act.
pub(super) struct Driver<'a> {
    pub(super) shard: &'a mut Shard,
    pub(super) common: &'a Common,
}

impl Driver<'_> {
    /// Lets happen what is due by then.
    pub(super) fn pass_until(&mut self, end: Micros) {
        while let Some((at, event)) = self.shard.events.pop(end) {
            self.shard.now = at;
            self.happen(event);
        }
        self.shard.now = end;
    }

    pub(super) fn at(&mut self, at: Micros, event: Event) {
        let there = self.common.addresses[event.node()].shard;
        if there == self.shard.number {
            self.shard.events.push(at, event);
        } else {
            self.shard.leaving[there].push((at, event));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(node) => {
                if self.shard.nodes[node].wakes <= self.shard.now {
                    self.shard.nodes[node].wakes = 0;
                    self.shard.nodes[node].woken += 1;
                    self.input(node, Input::Wake);
                }
            }
            Event::Tick(node) => {
                self.tick(node);
                let player = self.shard.nodes[node].player.as_ref();
                let begun = player.is_some_and(Player::has_begun);
                if self.common.addresses[node].alive {
                    let next = if begun { TOLD } else { TICK };
                    self.at(self.shard.now + next, Event::Tick(node));
                }
            }
            Event::Ask(node) => self.tick(node),
            Event::Lie(node) => self.lie(node),
            Event::Dialled(node, from) => self.dialled(node, from),
            Event::Answered(node, to, takes) => self.answered(node, to, takes),
            Event::Unlink(node, gone) => self.unlink(node, gone),
            Event::Feed(node, envelope) => {
                let taken = self.handle(node, Input::Envelope(&envelope));
                assert!(
                    matches!(taken, Ok(()) | Err(crate::manifest::Rejected::Gap { .. })),
                    "the page's own socket is honest: {taken:?}"
                );
            }
            Event::Message(to, from, message) => {
                if self.shard.nodes[to].links.contains(&from) {
                    let peer = self.common.addresses[from].id;
                    self.input(to, Input::Message { peer, message });
                }
            }
            Event::Down(node, bytes, event) => {
                let line = self.shard.nodes[node].line;
                let at = self.shard.nodes[node]
                    .wire
                    .taken_in(&line, self.shard.now, bytes);
                self.at(at, *event);
            }
            Event::Uplink(node) => self.leave(node),
            Event::Path(from, to) => self.pass(from, to),
            Event::Sent(node, to, place, bytes) => {
                self.shard.nodes[node].given += bytes as u64;
                if self.shard.nodes[node].links.contains(&to) {
                    let peer = self.common.addresses[to].id;
                    self.input(node, Input::Sent { peer, place, bytes });
                }
            }
            Event::Slice(to, from, place, bytes, until, hops) => {
                self.arrive(to, from, place, bytes, until, hops)
            }
            Event::Asked(answer) => self.asked(answer),
            Event::Closed(node, token) => self.closed(node, token),
            Event::Answer => self.answer(),
            Event::AtTrunk(way, flow, waiting) => self.at_trunk(way, flow, waiting),
            Event::OverTrunk(way) => self.over_trunk(way),
            Event::Fetched(node, place, bytes, since, token, connection) => {
                if bytes.is_some() {
                    self.shard.nodes[node]
                        .connections
                        .ends(connection, self.shard.now);
                }
                let fetching = self.shard.nodes[node].fetching.get(&place);
                if fetching.is_some_and(|(of, _)| *of == token) {
                    self.shard.nodes[node].fetching.remove(&place);
                    let took = self.shard.now - since;
                    self.input(node, Input::Fetched { place, bytes, took });
                }
            }
        }
    }
}
