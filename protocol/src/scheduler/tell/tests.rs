//! Who tells whom, and what it costs when one does not do what it should.

use std::collections::BTreeMap;

use super::*;
use crate::{
    message::Join,
    scheduler::{
        Input, Kind, Output, Settings,
        rig::{settings, someone},
    },
    sim::{PART, Publisher},
};

const SECOND: Micros = 1_000_000;

/// The gateway of a viewer's rig.
fn gateway() -> PeerId {
    someone(2)
}

fn join(upload: u32) -> Message {
    Message::Join(Join {
        renditions: 1,
        upload,
        gateway: true,
        site: 0,
    })
}

/// How a neighbour tells when it is asked: so much later than the gateway, or otherwise.
#[derive(Clone, Copy)]
enum Tells {
    Late(Micros),
    /// What it heard from the one who asks.
    Circle,
    Nothing,
    Forged,
    /// Each one again and again.
    Again,
}

/// A viewer, or a gateway, and what it says to whom.
struct Rig {
    engine: Scheduler,
    publisher: Publisher,
    now: Micros,
    /// When the newest announcement was made.
    published: Micros,
    /// Who was asked to tell and not to be silent since; the gateway is from the beginning.
    asked: BTreeMap<PeerId, bool>,
    tells: BTreeMap<PeerId, Tells>,
    /// Announcements, by when who tells them.
    due: BTreeMap<(Micros, usize), (PeerId, Bytes, u32)>,
    told: Vec<Bytes>,
    banned: Vec<PeerId>,
    count: usize,
}

impl Rig {
    fn new(role: Role, hushes: bool) -> Self {
        let publisher = Publisher::new(&[400_000]);
        let name = publisher.key().name();
        let engine = Scheduler::new(
            someone(1),
            name,
            role,
            Settings {
                hushes,
                ..settings(8, 200_000)
            },
            7,
        );
        let mut rig = Self {
            engine,
            publisher,
            now: 1,
            published: 1,
            asked: BTreeMap::from([(gateway(), true)]),
            tells: BTreeMap::new(),
            due: BTreeMap::new(),
            told: Vec::new(),
            banned: Vec::new(),
            count: 0,
        };
        let whole = rig.publisher.signed();
        rig.input(Input::Envelope(&whole));
        rig
    }

    /// A viewer with a gateway and these neighbours.
    fn viewer(tells: &[Tells]) -> Self {
        let mut rig = Self::new(Role::Viewer, true);
        rig.link(gateway(), Kind::Gateway, 0);
        for (number, tells) in (3..).zip(tells) {
            rig.link(someone(number), Kind::Viewer, 200_000);
            rig.tells.insert(someone(number), *tells);
        }
        rig
    }

    fn link(&mut self, peer: PeerId, kind: Kind, upload: u32) {
        self.input(Input::Linked { peer, kind });
        if kind == Kind::Viewer {
            self.hear(peer, join(upload));
        }
    }

    fn hear(&mut self, peer: PeerId, message: Message) {
        self.input(Input::Message { peer, message });
    }

    fn input(&mut self, input: Input<'_>) {
        let _ = self.engine.handle(input, self.now);
        while let Some(output) = self.engine.output() {
            match output {
                Output::Send {
                    peer,
                    message: Message::Tell { sequence, .. },
                } => {
                    self.asked.insert(peer, true);
                    let missed: Vec<Bytes> = self.told[sequence as usize..].to_vec();
                    for envelope in missed {
                        self.tell(peer, envelope, 10_000);
                    }
                }
                Output::Send {
                    peer,
                    message: Message::Hush,
                } => {
                    self.asked.insert(peer, false);
                }
                Output::Drop { peer, ban, .. } => {
                    assert!(ban);
                    self.banned.push(peer);
                    self.asked.remove(&peer);
                }
                _ => {}
            }
        }
    }

    /// One who was asked tells an announcement.
    fn tell(&mut self, peer: PeerId, envelope: Bytes, way: Micros) {
        let (late, by, times) = match self.tells.get(&peer) {
            None => (0, 0, 1),
            Some(Tells::Late(late)) => (*late, tail(&someone(99)), 1),
            Some(Tells::Circle) => (20_000, tail(&someone(1)), 1),
            Some(Tells::Nothing) => return,
            Some(Tells::Forged) => (20_000, 5, 1),
            Some(Tells::Again) => (20_000, 5, 3),
        };
        let mut told = envelope.to_vec();
        if let Some(Tells::Forged) = self.tells.get(&peer) {
            told[100] ^= 1;
        }
        for _ in 0..times {
            self.count += 1;
            let at = (self.now + way + late, self.count);
            self.due.insert(at, (peer, told.clone().into(), by));
        }
    }

    /// The stream goes on for so long; how long the viewer took to know the newest at most, after the gateway had it.
    fn run(&mut self, micros: Micros) -> Micros {
        let until = self.now + micros;
        let mut worst = 0;
        while self.now < until {
            if self.now >= self.published + PART {
                self.published = self.now;
                let envelope = self.publisher.publish(self.now).envelope;
                self.told.push(envelope.clone());
                let asked: Vec<PeerId> = self.asked.iter().filter(|a| *a.1).map(|a| *a.0).collect();
                for peer in asked {
                    self.tell(peer, envelope.clone(), 10_000);
                }
            }
            while let Some(((at, number), _)) = self.due.first_key_value()
                && *at <= self.now
            {
                let key = (*at, *number);
                let (peer, envelope, by) = self.due.remove(&key).expect("it is the first");
                let seeds = Vec::new();
                let message = Message::Announcement {
                    envelope,
                    seeds,
                    by,
                };
                self.hear(peer, message);
            }
            let newest = self.engine.window.at().map_or(0, |at| at.1);
            if (newest as usize) < self.told.len() {
                worst = worst.max(self.now - self.published);
                let missing = self.told.len() - newest as usize - 1;
                worst = worst.max(missing as Micros * PART + self.now - self.published);
            }
            if self.engine.wake_at().is_some_and(|at| at <= self.now) {
                self.input(Input::Wake);
            }
            self.now += 5_000;
        }
        worst
    }

    fn tellers(&self) -> Vec<PeerId> {
        let asked = self.asked.iter().filter(|(_, asked)| **asked);
        asked.map(|(id, _)| *id).collect()
    }
}

#[test]
fn the_soonest_neighbour_tells_and_the_gateway_is_silent() {
    let mut rig = Rig::viewer(&[
        Tells::Late(90_000),
        Tells::Late(30_000),
        Tells::Late(60_000),
    ]);
    let worst = rig.run(8 * SECOND);
    assert_eq!(rig.tellers(), [someone(4)]);
    assert!(worst <= 45_000, "nothing is lost in between: {worst}");
    let worst = rig.run(60 * SECOND);
    assert_eq!(rig.tellers(), [someone(4)]);
    assert!(worst <= 45_000, "{worst}");
}

/// The gateway stays where nobody is nearly as soon, where what is told comes from this viewer, where nobody tells anything, and
/// where nobody is.
#[test]
fn the_gateway_goes_on_where_no_neighbour_is_as_good() {
    for tells in [
        &[Tells::Late(160_000), Tells::Late(190_000)][..],
        &[Tells::Circle, Tells::Circle],
        &[Tells::Nothing],
        &[],
    ] {
        let mut rig = Rig::viewer(tells);
        let worst = rig.run(30 * SECOND);
        assert!(rig.tellers().contains(&gateway()));
        assert!(worst <= 15_000, "{worst}");
    }
}

#[test]
fn a_mirror_is_told_by_its_gateway_whoever_else_tells() {
    let mut rig = Rig::new(Role::Viewer, false);
    rig.link(gateway(), Kind::Gateway, 0);
    rig.link(someone(3), Kind::Viewer, 200_000);
    rig.tells.insert(someone(3), Tells::Late(1_000));
    rig.run(20 * SECOND);
    assert_eq!(rig.tellers(), [gateway()]);
}

/// Who was chosen and then does not tell costs one announcement, told two part times later, and is not chosen again soon.
#[test]
fn what_a_teller_withholds_is_had_from_the_gateway() {
    let mut rig = Rig::viewer(&[Tells::Late(20_000), Tells::Late(100_000)]);
    rig.run(8 * SECOND);
    assert_eq!(rig.tellers(), [someone(3)]);
    rig.tells.insert(someone(3), Tells::Nothing);
    let worst = rig.run(2 * SECOND);
    // Two parts, and the ways.
    assert!(
        (PART..=2 * PART + SLACK + 50_000).contains(&worst),
        "{worst}"
    );
    assert_eq!(rig.tellers(), [gateway()]);
    let worst = rig.run(20 * SECOND);
    assert_eq!(rig.tellers(), [someone(4)], "the other one");
    assert!(worst <= 145_000, "{worst}");
    assert!(rig.banned.is_empty(), "it may just be slow");
}

#[test]
fn a_teller_that_is_gone_is_replaced_at_once() {
    let mut rig = Rig::viewer(&[Tells::Late(20_000)]);
    rig.run(8 * SECOND);
    assert_eq!(rig.tellers(), [someone(3)]);
    rig.asked.remove(&someone(3));
    rig.input(Input::Unlinked { peer: someone(3) });
    assert_eq!(rig.tellers(), [gateway()]);
    assert!(rig.run(2 * SECOND) <= 15_000);
}

#[test]
fn a_teller_that_shares_no_more_is_replaced_at_once() {
    let mut rig = Rig::viewer(&[Tells::Late(20_000)]);
    rig.run(8 * SECOND);
    assert_eq!(rig.tellers(), [someone(3)]);
    rig.hear(someone(3), join(0));
    assert!(rig.tellers().contains(&gateway()));
}

/// A forger is banned by the first it tells, one who tells each again and again by a few; nothing is late for it.
#[test]
fn a_teller_that_lies_is_banned_and_nothing_is_late() {
    for lie in [Tells::Forged, Tells::Again] {
        let mut rig = Rig::viewer(&[lie]);
        let worst = rig.run(8 * SECOND);
        assert_eq!(rig.banned, [someone(3)]);
        assert_eq!(rig.tellers(), [gateway()]);
        assert!(worst <= 15_000, "{worst}");
        // And one that lies only when it alone tells.
        let mut rig = Rig::viewer(&[Tells::Late(20_000)]);
        rig.run(8 * SECOND);
        rig.tells.insert(someone(3), lie);
        let worst = rig.run(5 * SECOND);
        assert_eq!(rig.banned, [someone(3)]);
        assert!(rig.tellers().contains(&gateway()));
        assert!(worst <= 60_000, "{worst}");
    }
}

/// A neighbour has a part of which the teller has not told: it is asked before the silence is too long.
#[test]
fn a_part_of_which_nobody_told_is_asked_about() {
    let mut rig = Rig::viewer(&[Tells::Late(20_000), Tells::Late(100_000)]);
    rig.run(8 * SECOND);
    rig.tells.insert(someone(3), Tells::Nothing);
    let at = rig.told.len() as u64;
    let place = Place {
        msn: at / 10,
        part: (at % 10) as u32,
        rendition: 0,
    };
    assert!(rig.engine.window.is_ahead(place));
    rig.hear(someone(4), Message::Have(vec![place]));
    assert!(!rig.tellers().contains(&someone(4)), "it may be on its way");
    rig.run(GRACE + 10_000);
    assert!(rig.tellers().contains(&someone(4)));
    // However many it says it has, one is asked, once.
    let many = (0..200).map(|part| Place { part, ..place });
    rig.hear(someone(4), Message::Have(many.collect()));
    assert!(rig.engine.tellers().len() <= TELLERS + 1);
}

/// What a viewer or gateway says to one peer, by kind: sequences of announcements.
fn said(rig: &mut Rig, input: Input<'_>) -> Vec<(PeerId, u64)> {
    let _ = rig.engine.handle(input, rig.now);
    let name = rig.publisher.key().name();
    let outputs = std::iter::from_fn(|| rig.engine.output());
    let told = outputs.filter_map(|output| match output {
        Output::Send {
            peer,
            message: Message::Announcement { envelope, .. },
        } => match crate::manifest::open(&name, &envelope) {
            Ok(crate::manifest::Opened::Announcement(told)) => Some((peer, told.sequence)),
            other => panic!("{other:?}"),
        },
        _ => None,
    });
    told.collect()
}

fn publish(rig: &mut Rig) -> Vec<(PeerId, u64)> {
    rig.now += PART;
    let published = rig.publisher.publish(rig.now);
    for (place, bytes) in published.parts {
        let _ = said(rig, Input::Published { place, bytes });
    }
    let (envelope, manifest) = (published.envelope, rig.publisher.manifest.clone());
    let manifest = &manifest;
    said(rig, Input::Announced { envelope, manifest })
}

fn asks(rig: &mut Rig, peer: PeerId, sequence: u64) -> Vec<u64> {
    let epoch = rig.publisher.manifest.epoch();
    let message = Message::Tell { epoch, sequence };
    let told = said(rig, Input::Message { peer, message });
    assert!(told.iter().all(|(to, _)| *to == peer));
    told.into_iter().map(|(_, sequence)| sequence).collect()
}

#[test]
fn a_gateway_tells_roots_seeds_and_whoever_did_not_ask_for_silence() {
    let mut rig = Rig::new(Role::Gateway, false);
    let viewers: Vec<PeerId> = (10..20).map(someone).collect();
    for viewer in &viewers {
        rig.link(*viewer, Kind::Viewer, 200_000);
    }
    let told = publish(&mut rig);
    assert_eq!(told.len(), viewers.len(), "newcomers are told");
    for viewer in &viewers[1..] {
        rig.hear(*viewer, Message::Hush);
    }
    for _ in 0..10 {
        let told = publish(&mut rig);
        // One that is not silent, and two roots and a seed that may be the same.
        assert!((2..=4).contains(&told.len()), "{told:?}");
        assert!(told.iter().any(|(peer, _)| *peer == viewers[0]));
    }
    let newest = rig.publisher.manifest.sequence();
    let mut others = viewers.iter().filter(|viewer| {
        let peer = rig.engine.peers.get(viewer);
        peer.is_some_and(|peer| {
            !peer.has_told((0, 0)) || !peer.is_root && peer.told_to.1 + 3 < newest
        })
    });
    let lost = *others.next().expect("most were silent for a while");
    let known = rig.engine.peers.get(&lost).map_or(0, |peer| peer.told_to.1);
    let missed: Vec<u64> = (known + 1..=newest).collect();
    assert_eq!(asks(&mut rig, lost, known), missed, "in order, at once");
    assert_eq!(asks(&mut rig, lost, known), [], "and once");
    assert!(publish(&mut rig).iter().any(|(peer, _)| *peer == lost));
}

#[test]
fn as_many_are_told_again_as_are_kept_and_asking_is_bounded() {
    let mut rig = Rig::new(Role::Gateway, false);
    // Who shares nothing is no seed and no root.
    let silent = someone(12);
    rig.link(silent, Kind::Viewer, 0);
    rig.hear(silent, Message::Hush);
    for _ in 0..60 {
        publish(&mut rig);
    }
    let newest = rig.publisher.manifest.sequence();
    let most = MOST_AGAIN as u64;
    // Who missed more asks for a manifest instead.
    for known in [0, newest - most - 1, newest, newest + 5] {
        assert_eq!(asks(&mut rig, silent, known), [], "{known}");
    }
    rig.hear(silent, Message::Hush);
    let missed: Vec<u64> = (newest - most + 1..=newest).collect();
    assert_eq!(asks(&mut rig, silent, newest - most), missed);
    let epoch = rig.publisher.manifest.epoch();
    assert!(rig.engine.window.behind((epoch - 1, newest)).is_empty());
    // However often it asks, it is answered as often as all that costs something.
    for _ in 0..1_000 {
        asks(&mut rig, silent, 0);
    }
    rig.hear(silent, Message::Hush);
    publish(&mut rig);
    let mut asked = 0;
    for _ in 0..100 {
        asked += asks(&mut rig, silent, newest).len();
    }
    assert!(asked <= 1, "told again {asked} times");
}

#[test]
fn a_viewer_tells_so_many_and_only_while_it_shares() {
    let mut rig = Rig::viewer(&[Tells::Nothing; 12]);
    rig.run(SECOND);
    let known = rig.told.len() as u64;
    for number in 3..15 {
        asks(&mut rig, someone(number), known);
    }
    let next = |rig: &mut Rig| {
        let envelope = rig.publisher.publish(rig.now).envelope;
        rig.told.push(envelope.clone());
        let seeds = Vec::new();
        let message = Message::Announcement {
            envelope,
            seeds,
            by: 0,
        };
        let peer = gateway();
        said(rig, Input::Message { peer, message }).len()
    };
    assert_eq!(next(&mut rig), MAX_TOLD);
    rig.hear(someone(3), Message::Hush);
    assert_eq!(next(&mut rig), MAX_TOLD - 1);
    let bytes_per_second = 0;
    rig.input(Input::Upload { bytes_per_second });
    assert_eq!(next(&mut rig), 0);
}
