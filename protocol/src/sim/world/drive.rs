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
            self.parts.insert(place, bytes.clone());
            self.input(0, Input::Published { place, bytes });
        }
        let envelope = published.envelope;
        if self.scene.feed {
            for node in 1..self.nodes.len() {
                let late = self.nodes[node].line.delay + self.scene.gateway.delay;
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
        let micros = 2 * (self.nodes[one].line.delay + self.nodes[other].line.delay);
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
            self.nodes[other].links.remove(&one);
            self.nodes[other].wire.unlink(one);
            let peer = self.nodes[other].id;
            self.input(one, Input::Unlinked { peer });
            let late = self.nodes[one].line.delay;
            self.at(self.now + late, Event::Unlink(other, one));
        }
    }

    pub(super) fn tick(&mut self, node: usize) {
        if !self.nodes[node].alive {
            return;
        }
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
                assert_eq!(
                    Some(&bytes),
                    self.parts.get(&place),
                    "only what was verified is given"
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
                let to = self
                    .nodes
                    .iter()
                    .position(|n| n.id == peer)
                    .expect("a known node");
                let at = self.now
                    + if self.nodes[to].alive {
                        DIALLED
                    } else {
                        10_000_000
                    };
                self.at(at, Event::Link(node, to));
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
                assert!(part.is_some(), "what is ready is there: {place:?}");
                assert_eq!(
                    part.as_ref(),
                    self.parts.get(&place),
                    "only what was published is shown"
                );
                self.shown(node, place, true);
            }
            Output::Gone { place } => self.shown(node, place, false),
            Output::News { .. } => {}
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
        let links = &self.nodes[node].links;
        links
            .iter()
            .copied()
            .find(|other| self.nodes[*other].id == *peer)
    }

    pub(super) fn say(&mut self, from: usize, to: usize, message: Message) {
        let bytes = message.encode();
        assert_eq!(
            Message::decode(&bytes).as_ref(),
            Ok(&message),
            "what is said can be heard"
        );
        let (line, other) = (self.nodes[from].line, self.nodes[to].line);
        let leaves = self.now + micros(bytes.len(), line.up) + other.delay;
        let arrives = self.nodes[from]
            .wire
            .arrival(&line, to, true, leaves, &mut self.random);
        let event = Box::new(Event::Message(to, from, message));
        self.at(arrives, Event::Down(to, bytes.len(), event));
    }

    pub(super) fn carry(&mut self, from: usize, to: usize, place: Place, bytes: Bytes) {
        let queue = self.nodes[from].wire.queues.entry(to).or_default();
        queue.push_back(Leaving {
            place,
            bytes,
            left: 0,
        });
        let waiting: usize = queue
            .iter()
            .map(|leaving| leaving.bytes.len() - leaving.left)
            .sum();
        assert!(
            waiting <= 3 << 20,
            "an engine floods its driver: {waiting} bytes wait for node {to}"
        );
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
        let line = self.nodes[from].line;
        let queue = self.nodes[from]
            .wire
            .queues
            .get_mut(&to)
            .expect("it has a part");
        let leaving = queue.front_mut().expect("it has a part");
        let slice = SLICE.min(leaving.bytes.len() - leaving.left);
        leaving.left += slice;
        let (place, bytes, until) = (leaving.place, leaving.bytes.clone(), leaving.left);
        let all = until == bytes.len();
        if all {
            queue.pop_front();
        }
        let left = self.now + micros(slice, line.up).max(1);
        let other = self.nodes[to].line;
        let arrives = left + other.delay;
        let arrives = self.nodes[from]
            .wire
            .arrival(&line, to, false, arrives, &mut self.random);
        let event = Box::new(Event::Slice(to, from, place, bytes.clone(), until));
        self.at(arrives, Event::Down(to, slice, event));
        self.at(left, Event::Uplink(from));
        if all {
            self.nodes[from].given += bytes.len() as u64;
            let peer = self.nodes[to].id;
            let bytes = bytes.len();
            self.input(from, Input::Sent { peer, place, bytes });
        }
    }

    pub(super) fn arrive(
        &mut self,
        to: usize,
        from: usize,
        place: Place,
        bytes: Bytes,
        until: usize,
    ) {
        if !self.nodes[to].links.contains(&from) {
            return;
        }
        let peer = self.nodes[from].id;
        if until == bytes.len() {
            self.input(to, Input::Part { peer, place, bytes });
        } else {
            let bytes = until;
            self.input(to, Input::Progress { peer, place, bytes });
        }
    }

    pub(super) fn fetch(&mut self, node: usize, place: Place) {
        self.count += 1;
        let token = self.count;
        let before = self.nodes[node].fetching.insert(place, token);
        assert!(
            before.is_none(),
            "a part is fetched once at a time: {place:?}"
        );
        assert!(
            self.nodes[node].engine.part(place).is_none(),
            "what is there is not fetched: {place:?}"
        );
        self.nodes[node].fetches += 1;
        let line = self.nodes[node].line;
        let part = self.parts.get(&place).filter(|_| self.up).cloned();
        let asked = self.now + line.delay + self.scene.gateway.delay;
        let Some(bytes) = part else {
            let took = 2 * line.delay;
            return self.at(
                self.now + took,
                Event::Fetched(node, place, None, self.now, token),
            );
        };
        self.nodes[0].fetched += bytes.len() as u64;
        let leaves = asked + micros(bytes.len(), self.scene.gateway.up);
        let arrives = leaves + line.delay + self.scene.gateway.delay;
        let size = bytes.len();
        let event = Event::Fetched(node, place, Some(bytes), self.now, token);
        self.at(arrives, Event::Down(node, size, Box::new(event)));
    }

    /// Program date time of now.
    pub fn clock(&self) -> u64 {
        START + self.now
    }
}
