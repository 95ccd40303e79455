//! The driver's part of the contract: what happens to a node, and what its engine wants done about it.

use super::*;

impl World {
    pub(super) fn publish(&mut self) {
        if !self.up {
            return;
        }
        let published = self.publisher.publish(self.now);
        self.publisher_bytes += published
            .parts
            .iter()
            .map(|(_, b)| b.len() as u64)
            .sum::<u64>();
        for (place, bytes) in published.parts {
            if let Some(trace) = &mut self.trace {
                trace.published(place, self.now);
                // Thousands of parts: HTTP gives none that is older than a window.
                self.parts.retain(|kept, _| kept.msn + 30 > place.msn);
            }
            self.parts.insert(place, bytes.clone());
            self.input(0, Input::Published { place, bytes });
        }
        let envelope = published.envelope;
        if self.scene.feed {
            for node in 1..self.nodes.len() {
                let late = self.way(0, node);
                self.at(self.now + late, Event::Feed(node, envelope.clone()));
            }
        }
        let manifest = self.publisher.manifest.clone();
        let manifest = &manifest;
        self.input(0, Input::Announced { envelope, manifest });
        self.at(self.now + PART, Event::Publish);
    }

    pub(super) fn link(&mut self, one: usize, other: usize) {
        let (a, b) = (self.nodes[one].id, self.nodes[other].id);
        let banned = |node: &Node, id| node.banned.iter().any(|(_, peer, _)| *peer == id);
        let refused = banned(&self.nodes[one], b) || banned(&self.nodes[other], a);
        if !self.nodes[one].alive || !self.nodes[other].alive || refused || self.linked(one, other)
        {
            return self.input(one, Input::Unlinked { peer: b });
        }
        self.nodes[one].links.insert(other);
        self.nodes[other].links.insert(one);
        let kind = |node: usize| {
            if node == 0 {
                Kind::Gateway
            } else {
                Kind::Viewer
            }
        };
        let micros = 2 * self.way(one, other);
        self.input(
            one,
            Input::Linked {
                peer: b,
                kind: kind(other),
            },
        );
        self.input(
            other,
            Input::Linked {
                peer: a,
                kind: kind(one),
            },
        );
        self.input(one, Input::RoundTrip { peer: b, micros });
        self.input(other, Input::RoundTrip { peer: a, micros });
    }

    pub(super) fn unlink(&mut self, one: usize, other: usize) {
        if self.nodes[one].links.remove(&other) {
            self.nodes[one].wire.unlink(other);
            self.nodes[one].associations.remove(&other);
            self.nodes[other].links.remove(&one);
            self.nodes[other].wire.unlink(one);
            self.nodes[other].associations.remove(&one);
            let peer = self.nodes[other].id;
            self.input(one, Input::Unlinked { peer });
            let late = self.way(one, other);
            self.at(self.now + late, Event::Unlink(other, one));
        }
    }

    pub(super) fn tick(&mut self, node: usize) {
        if !self.nodes[node].alive {
            return;
        }
        self.meet(node);
        let this = &mut self.nodes[node];
        if let Some(player) = &mut this.player {
            for input in player.tick(this.engine.manifest(), self.now) {
                self.input(node, input);
            }
        }
    }

    pub(super) fn lie(&mut self, node: usize) {
        let Some(lie) = self.nodes[node].lie.filter(|_| self.nodes[node].alive) else {
            return;
        };
        let newest = self.nodes[node].engine.manifest().and_then(|m| m.latest());
        let (msn, part) = newest.unwrap_or((0, 0));
        let newest = Place {
            msn,
            part,
            rendition: 0,
        };
        let heard = std::mem::take(&mut self.nodes[node].heard);
        let links: Vec<usize> = self.nodes[node]
            .links
            .iter()
            .copied()
            .filter(|n| *n != 0)
            .collect();
        for other in links {
            for message in liar::says(lie, &heard, newest, &mut self.random) {
                self.say(node, other, message);
            }
            if lie == Lie::InventsParts {
                let place = Place {
                    msn: msn + 1000,
                    ..newest
                };
                self.carry(node, other, place, Bytes::from_static(b"nothing"));
            }
        }
        self.nodes[node].heard = heard;
        self.at(self.now + LIES, Event::Lie(node));
    }

    /// One input, and all that comes of it.
    pub(super) fn input(&mut self, node: usize, input: Input<'_>) {
        let _ = self.handle(node, input);
    }

    pub(super) fn handle(
        &mut self,
        node: usize,
        input: Input<'_>,
    ) -> Result<(), crate::manifest::Rejected> {
        if !self.nodes[node].alive {
            return Ok(());
        }
        if let (Some(Lie::Replays), Input::Envelope(envelope)) = (self.nodes[node].lie, &input)
            && self.nodes[node].heard.len() < 50
        {
            self.nodes[node]
                .heard
                .push(Bytes::copy_from_slice(envelope));
        }
        let taken = self.nodes[node].engine.handle(input, self.now);
        while let Some(output) = self.nodes[node].engine.output() {
            self.act(node, output);
        }
        let wake = self.nodes[node].engine.wake_at();
        let this = &mut self.nodes[node];
        if let Some(at) = wake
            && (this.wakes == 0 || at < this.wakes || this.wakes <= self.now)
        {
            assert!(
                at > self.now,
                "an engine that wants to be woken in the past never rests"
            );
            this.wakes = at;
            self.at(at, Event::Wake(node));
        }
        taken
    }

    pub(super) fn act(&mut self, node: usize, output: Output) {
        match output {
            Output::Send { peer, message } => {
                if let Some(to) = self.linked_node(node, &peer) {
                    self.say(node, to, message);
                }
            }
            Output::SendPart { peer, place, bytes } => {
                assert!(
                    self.was_published(place, &bytes),
                    "only what was verified is given: {place:?}"
                );
                if let Some(to) = self.linked_node(node, &peer) {
                    let lie = self.nodes[node].lie;
                    let bytes = match lie {
                        Some(Lie::AltersParts) => liar::altered(&bytes, &mut self.random),
                        Some(Lie::PromisesAll) => return,
                        _ => bytes,
                    };
                    self.carry(node, to, place, bytes);
                }
            }
            Output::Unsend { peer, place } => {
                if let Some(to) = self.linked_node(node, &peer) {
                    self.nodes[node].wire.unsend(to, place);
                }
            }
            Output::Dial { peer } => {
                let to = *self.numbers.get(&end(&peer)).expect("a known node");
                self.dial(node, to);
            }
            Output::Drop { peer, ban, why } => {
                if ban {
                    self.nodes[node].banned.push((self.now, peer, why));
                }
                if let Some(to) = self.linked_node(node, &peer) {
                    self.unlink(node, to);
                }
            }
            Output::Fetch { place } => self.fetch(node, place),
            Output::Abort { place } => {
                let was = self.nodes[node].fetching.remove(&place);
                assert!(
                    was.is_some(),
                    "only what is being fetched is aborted: {place:?}"
                );
            }
            Output::Ready { place } => {
                let part = self.nodes[node].engine.part(place);
                let part = part.expect("what is ready is there");
                assert!(
                    self.was_published(place, &part),
                    "only what was published is shown: {place:?}"
                );
                self.got(node, place);
                self.shown(node, place, true);
            }
            Output::Gone { place } => self.shown(node, place, false),
            Output::News { .. } => {
                let manifest = self.nodes[node].engine.manifest();
                if let (Some(trace), Some(manifest)) = (&mut self.trace, manifest) {
                    let published = manifest.clock() - START;
                    trace.told(&self.nodes[node].own, published, self.now);
                }
            }
            Output::Narrowed => {}
            Output::Sign => {
                let whole = self.publisher.signed();
                self.at(self.now, Event::Feed(node, whole));
            }
        }
    }

    pub(super) fn shown(&mut self, node: usize, place: Place, there: bool) {
        let this = &mut self.nodes[node];
        let (Some(player), Some(manifest)) = (&mut this.player, this.engine.manifest()) else {
            return;
        };
        // hls.js asks for the next as soon as it has one, in a task of its own.
        if player.got(place, manifest, there) {
            self.at(self.now + 1000, Event::Ask(node));
        }
    }

    pub(super) fn linked_node(&self, node: usize, peer: &PeerId) -> Option<usize> {
        let other = *self.numbers.get(&end(peer))?;
        self.linked(node, other).then_some(other)
    }

    pub(super) fn say(&mut self, from: usize, to: usize, message: Message) {
        let bytes = message.encode();
        let mut message = message;
        if self.scene.network.exact {
            let heard = Message::decode(&bytes, &self.publisher.key().name());
            let heard = heard.expect("what is said can be heard");
            // What another key has signed cannot even be said.
            let forges = self.nodes[from].lie == Some(Lie::ForgesAnnouncements);
            assert!(heard == message || forges, "{message:?}");
            message = heard;
        }
        if let Some(trace) = &mut self.trace {
            trace.said += bytes.len() as u64;
        }
        if from == 0 && matches!(message, Message::Announcement { .. }) {
            self.announced += bytes.len() as u64;
        }
        let (way, congestion) = (self.way(from, to), self.scene.network.congestion);
        if congestion == Congestion::Chromium {
            return self.give(
                from,
                to,
                MESSAGES,
                bytes.len(),
                Event::Message(to, from, message),
            );
        }
        let this = &mut self.nodes[from];
        let leaves = this.wire.says(self.now, bytes.len(), this.line.up);
        let loss = this.line.loss;
        let arrives =
            this.wire
                .message_arrives(to, leaves, way, (loss, congestion), &mut self.random);
        let (flow, times, bytes) = ((from, to, MESSAGES), (leaves, arrives), bytes.len());
        self.sets_out(flow, times, bytes, Event::Message(to, from, message));
    }

    /// Through a node's downlink, if it has a limit.
    pub(super) fn through(&mut self, to: usize, arrives: Micros, bytes: usize, event: Event) {
        if self.nodes[to].line.down.is_finite() {
            self.at(arrives, Event::Down(to, bytes, Box::new(event)));
        } else {
            self.at(arrives, event);
        }
    }

    /// What left a node and arrives then, as far as no narrow link lies between: over that, if one does.
    pub(super) fn sets_out(
        &mut self,
        (from, to, class): Flow,
        (left, arrives): (Micros, Micros),
        bytes: usize,
        event: Event,
    ) {
        let sites = self.scene.network.sites.as_ref();
        let (one, other) = (self.nodes[from].site, self.nodes[to].site);
        if !sites.is_some_and(|sites| sites.crosses(one, other)) {
            return self.through(to, arrives, bytes, event);
        }
        let waiting = Waiting {
            bytes,
            way: arrives.saturating_sub(left),
            event: Box::new(event),
        };
        let way = usize::from(one == 0);
        self.at(
            left.max(self.now),
            Event::AtTrunk(way, (from, to, class), waiting),
        );
    }

    pub(super) fn at_trunk(&mut self, way: usize, flow: Flow, waiting: Waiting<Event>) {
        if self.trunk.put(way, flow, waiting) {
            self.over_trunk(way);
        }
    }

    pub(super) fn over_trunk(&mut self, way: usize) {
        let sites = self.scene.network.sites.as_ref();
        let rate = sites.and_then(|sites| sites.trunk).expect("there is one");
        let nodes = &self.nodes;
        // A connection that was closed sends no more.
        let wanted = |event: &Event| match event {
            Event::Fetched(node, place, _, _, token, _) => {
                nodes[*node].fetching.get(place) == Some(token)
            }
            _ => true,
        };
        if let Some((free, arrives, event)) = self.trunk.next((way, self.now), rate, wanted) {
            self.at(free, Event::OverTrunk(way));
            self.at(arrives, *event);
        }
    }

    /// From one node to another, microseconds.
    pub(super) fn way(&self, one: usize, other: usize) -> Micros {
        let (one, other) = (&self.nodes[one], &self.nodes[other]);
        match &self.scene.network.sites {
            Some(sites) => sites.round_trip(one.site, other.site) / 2,
            None => one.line.delay + other.line.delay,
        }
    }

    pub(super) fn carry(&mut self, from: usize, to: usize, place: Place, bytes: Bytes) {
        let wire = &mut self.nodes[from].wire;
        wire.put(to, place, bytes);
        let waiting = wire.flows.get(&to).map_or(0, |flow| flow.waiting);
        assert!(
            waiting <= 3 << 20,
            "an engine floods its driver: {waiting} bytes wait for node {to}"
        );
        if self.scene.network.congestion == Congestion::Chromium {
            return self.fill(from, to);
        }
        if !self.nodes[from].wire.busy {
            self.nodes[from].wire.busy = true;
            self.at(self.now, Event::Uplink(from));
        }
    }

    /// The next slice leaves.
    pub(super) fn leave(&mut self, from: usize) {
        let Some(to) = self.nodes[from].wire.next() else {
            self.nodes[from].wire.busy = false;
            return;
        };
        let (way, network) = (self.way(from, to), &self.scene.network);
        let (most, congestion) = (network.slice, network.congestion);
        let this = &mut self.nodes[from];
        let (place, bytes, until, slice) = this.wire.take(to, most);
        let (free, arrives) = this.wire.slice_arrives(
            to,
            self.now,
            slice,
            &this.line,
            (way, congestion),
            &mut self.random,
        );
        let hops = this.own.hops(place);
        let all = until == bytes.len();
        let size = bytes.len();
        let event = Event::Slice(to, from, place, bytes, until, hops);
        self.sets_out((from, to, PARTS), (free, arrives), slice, event);
        self.at(free, Event::Uplink(from));
        if all {
            self.at(free, Event::Sent(from, to, place, size));
        }
    }

    pub(super) fn arrive(
        &mut self,
        to: usize,
        from: usize,
        place: Place,
        bytes: Bytes,
        until: usize,
        hops: u8,
    ) {
        if !self.nodes[to].links.contains(&from) {
            return;
        }
        let peer = self.nodes[from].id;
        if until == bytes.len() {
            self.nodes[to].own.comes(Some(hops));
            self.input(to, Input::Part { peer, place, bytes });
            self.nodes[to].own.comes(None);
        } else {
            let bytes = until;
            self.input(to, Input::Progress { peer, place, bytes });
        }
    }

    /// A part is ready at a viewer, maybe again.
    fn got(&mut self, node: usize, place: Place) {
        if let Some(trace) = &mut self.trace {
            trace.got(&mut self.nodes[node].own, place, self.now);
        }
    }

    /// Program date time of now.
    pub fn clock(&self) -> u64 {
        START + self.now
    }

    /// Whether these are a part's bytes; most are the same memory. Who is minutes behind has parts that are not kept here.
    fn was_published(&self, place: Place, bytes: &Bytes) -> bool {
        match self.parts.get(&place) {
            Some(kept) => {
                (kept.as_ptr() == bytes.as_ptr() && kept.len() == bytes.len()) || kept == bytes
            }
            None => self.publisher.has_published(place) && self.publisher.bytes_of(place) == bytes,
        }
    }
}
