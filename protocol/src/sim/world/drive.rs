//! The driver's part of the contract: what happens to a node, and what its engine wants done about it.

use super::*;

impl Driver<'_> {
    pub(super) fn tick(&mut self, node: usize) {
        if !self.common.addresses[node].alive {
            return;
        }
        self.meet(node);
        let this = &mut self.shard.nodes[node];
        if let Some(player) = &mut this.player {
            for input in player.tick(this.engine.manifest(), self.shard.now) {
                self.input(node, input);
            }
        }
    }

    pub(super) fn lie(&mut self, node: usize) {
        let Some(lie) = self.shard.nodes[node]
            .lie
            .filter(|_| self.common.addresses[node].alive)
        else {
            return;
        };
        let newest = self.shard.nodes[node]
            .engine
            .manifest()
            .and_then(|m| m.latest());
        let (msn, part) = newest.unwrap_or((0, 0));
        let newest = Place {
            msn,
            part,
            rendition: 0,
        };
        let heard = std::mem::take(&mut self.shard.nodes[node].heard);
        let links: Vec<usize> = self.shard.nodes[node]
            .links
            .iter()
            .copied()
            .filter(|n| *n != 0)
            .collect();
        for other in links {
            for message in liar::says(lie, &heard, newest, &mut self.shard.random) {
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
        self.shard.nodes[node].heard = heard;
        self.at(self.shard.now + LIES, Event::Lie(node));
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
        if !self.common.addresses[node].alive {
            return Ok(());
        }
        if let (Some(Lie::Replays), Input::Envelope(envelope)) =
            (self.shard.nodes[node].lie, &input)
            && self.shard.nodes[node].heard.len() < 50
        {
            self.shard.nodes[node]
                .heard
                .push(Bytes::copy_from_slice(envelope));
        }
        let taken = self.shard.nodes[node].engine.handle(input, self.shard.now);
        while let Some(output) = self.shard.nodes[node].engine.output() {
            self.act(node, output);
        }
        let wake = self.shard.nodes[node].engine.wake_at();
        let this = &mut self.shard.nodes[node];
        if let Some(at) = wake
            && (this.wakes == 0 || at < this.wakes || this.wakes <= self.shard.now)
        {
            assert!(
                at > self.shard.now,
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
                    self.common.was_published(place, &bytes),
                    "only what was verified is given: {place:?}"
                );
                if let Some(to) = self.linked_node(node, &peer) {
                    let lie = self.shard.nodes[node].lie;
                    let bytes = match lie {
                        Some(Lie::AltersParts) => liar::altered(&bytes, &mut self.shard.random),
                        Some(Lie::PromisesAll) => return,
                        _ => bytes,
                    };
                    self.carry(node, to, place, bytes);
                }
            }
            Output::Unsend { peer, place } => {
                if let Some(to) = self.linked_node(node, &peer) {
                    self.shard.nodes[node].wire.unsend(to, place);
                }
            }
            Output::Dial { peer } => {
                let to = self.common.number(&peer).expect("a known node");
                self.dial(node, to);
            }
            Output::Drop { peer, ban, why } => {
                if ban {
                    self.shard.nodes[node]
                        .banned
                        .push((self.shard.now, peer, why));
                }
                if let Some(to) = self.linked_node(node, &peer) {
                    self.close(node, to);
                }
            }
            Output::Fetch { place } => self.fetch(node, place),
            Output::Abort { place } => self.abort(node, place),
            Output::Ready { place } => {
                let part = self.shard.nodes[node].engine.part(place);
                let part = part.expect("what is ready is there");
                assert!(
                    self.common.was_published(place, &part),
                    "only what was published is shown: {place:?}"
                );
                self.got(node, place);
                self.shown(node, place, true);
            }
            Output::Gone { place } => self.shown(node, place, false),
            Output::News { .. } => {
                let manifest = self.shard.nodes[node].engine.manifest();
                let (trace, calendar) = (&mut self.shard.trace, &self.common.calendar);
                if let (Some(trace), Some(calendar), Some(manifest)) = (trace, calendar, manifest) {
                    let published = manifest.clock() - START;
                    let own = &self.shard.nodes[node].own;
                    trace.told(calendar, own, published, self.shard.now);
                }
            }
            Output::Narrowed => {}
            Output::Sign => {
                let whole = self.common.publisher.signed();
                self.at(self.shard.now, Event::Feed(node, whole));
            }
        }
    }

    pub(super) fn shown(&mut self, node: usize, place: Place, there: bool) {
        let this = &mut self.shard.nodes[node];
        let (Some(player), Some(manifest)) = (&mut this.player, this.engine.manifest()) else {
            return;
        };
        // hls.js asks for the next as soon as it has one, in a task of its own.
        if player.got(place, manifest, there) {
            self.at(self.shard.now + 1000, Event::Ask(node));
        }
    }

    pub(super) fn linked_node(&self, node: usize, peer: &PeerId) -> Option<usize> {
        let other = self.common.number(peer)?;
        self.linked(node, other).then_some(other)
    }

    pub(super) fn say(&mut self, from: usize, to: usize, message: Message) {
        let bytes = message.encode();
        let mut message = message;
        if self.common.scene.network.exact {
            let heard = Message::decode(&bytes, &self.common.publisher.key().name());
            let heard = heard.expect("what is said can be heard");
            // What another key has signed cannot even be said.
            let forges = self.shard.nodes[from].lie == Some(Lie::ForgesAnnouncements);
            assert!(heard == message || forges, "{message:?}");
            message = heard;
        }
        if let Some(trace) = &mut self.shard.trace {
            trace.said += bytes.len() as u64;
        }
        if from == 0 && matches!(message, Message::Announcement { .. }) {
            self.shard.announced += bytes.len() as u64;
        }
        let (way, congestion) = (
            self.common.way(from, to),
            self.common.scene.network.congestion,
        );
        if congestion == Congestion::Chromium {
            return self.give(
                from,
                to,
                MESSAGES,
                bytes.len(),
                Event::Message(to, from, message),
            );
        }
        let this = &mut self.shard.nodes[from];
        let leaves = this.wire.says(self.shard.now, bytes.len(), this.line.up);
        let loss = this.line.loss;
        let arrives =
            this.wire
                .message_arrives(to, leaves, way, (loss, congestion), &mut self.shard.random);
        let (flow, times, bytes) = ((from, to, MESSAGES), (leaves, arrives), bytes.len());
        self.sets_out(flow, times, bytes, Event::Message(to, from, message));
    }

    /// Through a node's downlink, if it has a limit.
    pub(super) fn through(&mut self, to: usize, arrives: Micros, bytes: usize, event: Event) {
        if self.common.addresses[to].has_limit {
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
        let sites = self.common.scene.network.sites.as_ref();
        let addresses = &self.common.addresses;
        let (one, other) = (addresses[from].site, addresses[to].site);
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
            left.max(self.shard.now),
            Event::AtTrunk(way, (from, to, class), waiting),
        );
    }

    pub(super) fn at_trunk(&mut self, way: usize, flow: Flow, waiting: Waiting<Event>) {
        if self.shard.trunk.put(way, flow, waiting) {
            self.over_trunk(way);
        }
    }

    pub(super) fn over_trunk(&mut self, way: usize) {
        let sites = self.common.scene.network.sites.as_ref();
        let rate = sites.and_then(|sites| sites.trunk).expect("there is one");
        let nodes = &self.shard.nodes;
        // A connection that was closed sends no more.
        let wanted = |event: &Event| match event {
            Event::Fetched(node, place, _, _, token, _) => {
                let fetching = nodes[*node].fetching.get(place);
                fetching.is_some_and(|(of, _)| of == token)
            }
            _ => true,
        };
        if let Some((free, arrives, event)) =
            self.shard.trunk.next((way, self.shard.now), rate, wanted)
        {
            self.at(free, Event::OverTrunk(way));
            self.at(arrives, *event);
        }
    }

    pub(super) fn carry(&mut self, from: usize, to: usize, place: Place, bytes: Bytes) {
        let wire = &mut self.shard.nodes[from].wire;
        wire.put(to, place, bytes);
        let waiting = wire.flows.get(&to).map_or(0, |flow| flow.waiting);
        assert!(
            waiting <= 3 << 20,
            "an engine floods its driver: {waiting} bytes wait for node {to}"
        );
        if self.common.scene.network.congestion == Congestion::Chromium {
            return self.fill(from, to);
        }
        if !self.shard.nodes[from].wire.busy {
            self.shard.nodes[from].wire.busy = true;
            self.at(self.shard.now, Event::Uplink(from));
        }
    }

    /// The next slice leaves.
    pub(super) fn leave(&mut self, from: usize) {
        let Some(to) = self.shard.nodes[from].wire.next() else {
            self.shard.nodes[from].wire.busy = false;
            return;
        };
        let (way, network) = (self.common.way(from, to), &self.common.scene.network);
        let (most, congestion) = (network.slice, network.congestion);
        let this = &mut self.shard.nodes[from];
        let (place, bytes, until, slice) = this.wire.take(to, most);
        let (free, arrives) = this.wire.slice_arrives(
            to,
            self.shard.now,
            slice,
            &this.line,
            (way, congestion),
            &mut self.shard.random,
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
        if !self.shard.nodes[to].links.contains(&from) {
            return;
        }
        let peer = self.common.addresses[from].id;
        if until == bytes.len() {
            self.shard.nodes[to].own.comes(Some(hops));
            self.input(to, Input::Part { peer, place, bytes });
            self.shard.nodes[to].own.comes(None);
        } else {
            let bytes = until;
            self.input(to, Input::Progress { peer, place, bytes });
        }
    }

    /// A part is ready at a viewer, maybe again.
    fn got(&mut self, node: usize, place: Place) {
        if let (Some(trace), Some(calendar)) = (&mut self.shard.trace, &self.common.calendar) {
            let own = &mut self.shard.nodes[node].own;
            trace.got(calendar, own, place, self.shard.now);
        }
    }
}
