//! What could be had by someone who knows every uplink and decides for all: each part goes to the fastest first, and
//! nobody who has something that others lack is ever idle. Nobody comes or goes, nothing is said.

use std::collections::VecDeque;

use super::{Scenario, draw::Viewer};
use crate::{
    scheduler::{Micros, random::Random},
    sim::{
        Line,
        hop::Hop,
        network::{Congestion, Sites},
        publisher::{self, PART, share},
        queue::Queue,
        wire::{Wire, micros},
    },
};

/// Parts that are passed on: the first ones do not count.
const PARTS: usize = 120;
const WARM: usize = 30;
/// Parts of which a viewer gives copies at a time; those before are nobody's.
const HELD: usize = 12;
/// What comes so much before it is due need not be fetched, microseconds.
const HTTP: Micros = 300_000;
/// Seconds of media that a newcomer takes from the gateway at the least: what its browser begins with.
const START: f64 = 0.4;

/// Its figures.
#[derive(Clone, Copy, Debug)]
pub struct Oracle {
    /// Microseconds.
    pub delay_99: Micros,
    /// Microseconds.
    pub delay_999: Micros,
    /// With as many seeds as are best: those, what comes too late, and what newcomers begin with.
    pub copies: f64,
    /// Those seeds.
    pub seeds: usize,
}

/// The best for the viewers of a scenario, for each of these times that players play behind the live edge, seconds: as many
/// seeds as make the fewest copies.
pub fn oracle(scenario: &Scenario, latencies: &[f64]) -> Vec<Oracle> {
    let mut best: Vec<Option<Oracle>> = latencies.iter().map(|_| None).collect();
    let limit = (scenario.gateway / 2.0) as usize;
    for seeds in [1, 2, 4, 8, 16, 32] {
        if seeds > limit.max(1) || seeds > scenario.viewers {
            break;
        }
        for policy in [0.0, 0.7, 1.1]
            .into_iter()
            .flat_map(|least| [(least, true), (least, false)])
        {
            let delays = Pass::new(scenario, seeds, policy).run();
            let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize];
            for (latency, best) in latencies.iter().zip(&mut best) {
                let found = Oracle {
                    delay_99: at(0.99),
                    delay_999: at(0.999),
                    copies: copies(scenario, seeds, &delays, *latency),
                    seeds,
                };
                let better = |best: &Oracle| {
                    let (a, b) = (found.copies, best.copies);
                    a + 0.5 < b || (a < b + 0.5 && found.delay_99 < best.delay_99)
                };
                if best.as_ref().is_none_or(better) {
                    *best = Some(found);
                }
            }
        }
    }
    let found = |best: Option<Oracle>| best.expect("one seed can always be fed");
    best.into_iter().map(found).collect()
}

/// Those of the seeds, of what comes too late, and of what newcomers begin with.
fn copies(scenario: &Scenario, seeds: usize, delays: &[Micros], latency: f64) -> f64 {
    let due = (latency * 1e6) as Micros - HTTP;
    let in_time = delays.partition_point(|delay| *delay <= due);
    let late = 1.0 - in_time as f64 / delays.len() as f64;
    let come = scenario.churn / 60.0 * START;
    seeds as f64 + scenario.viewers as f64 * (late + come)
}

enum Event {
    Published(usize),
    Here(usize, usize),
    Free(usize),
}

/// A viewer, and what it could give now.
struct Node {
    viewer: Viewer,
    wire: Wire,
    held: VecDeque<usize>,
    busy: bool,
}

struct Pass<'a> {
    scenario: &'a Scenario,
    sites: Sites,
    random: Random,
    seeds: usize,
    /// Whether of all it has a viewer gives the newest, or the oldest.
    newest: bool,
    /// Fastest first.
    nodes: Vec<Node>,
    /// Of each part, the first that nobody was to give it to yet.
    next: Vec<usize>,
    /// Seeds of the newest parts.
    taken: VecDeque<(usize, Vec<usize>)>,
    events: Queue<Event>,
    delays: Vec<Micros>,
}

impl<'a> Pass<'a> {
    /// Who has an uplink of less than `least` times the stream gives nothing: a copy of theirs takes too long.
    fn new(scenario: &'a Scenario, seeds: usize, (least, newest): (f64, bool)) -> Self {
        let (sites, mut random) = scenario.layout();
        let viewers = (0..scenario.viewers).map(|_| Viewer::draw(scenario, &mut random));
        let mut viewers: Vec<Viewer> = viewers
            .map(|viewer| Viewer {
                shares: viewer.shares && !viewer.lies && viewer.up >= least * scenario.bytes(),
                ..viewer
            })
            .collect();
        viewers.sort_by(|a, b| {
            (b.shares, b.up)
                .partial_cmp(&(a.shares, a.up))
                .expect("numbers")
        });
        let node = |viewer| Node {
            viewer,
            wire: Wire::default(),
            held: VecDeque::new(),
            busy: false,
        };
        Self {
            scenario,
            sites,
            random,
            seeds,
            newest,
            nodes: viewers.into_iter().map(node).collect(),
            next: vec![0; PARTS],
            taken: VecDeque::new(),
            events: Queue::new(),
            delays: Vec::new(),
        }
    }

    /// All delays, shortest first.
    fn run(mut self) -> Vec<Micros> {
        for part in 0..PARTS {
            self.events
                .push(part as Micros * PART, Event::Published(part));
        }
        while let Some((now, event)) = self.events.pop(PARTS as Micros * PART + 30_000_000) {
            match event {
                Event::Published(part) => self.seed(part, now),
                Event::Here(node, part) => {
                    if part >= WARM {
                        self.delays.push(now - part as Micros * PART);
                    }
                    let node_ = &mut self.nodes[node];
                    if node_.held.len() == HELD {
                        node_.held.pop_front();
                    }
                    node_.held.push_back(part);
                    if !node_.busy {
                        self.give(node, now);
                    }
                }
                Event::Free(node) => self.give(node, now),
            }
        }
        let all = (PARTS - WARM) * self.nodes.len();
        self.delays.resize(all.max(1), Micros::MAX); // nobody gave the others
        self.delays.sort_unstable();
        self.delays
    }

    /// By turns of the fastest, so that each has given the last part before it gets another.
    fn seed(&mut self, part: usize, now: Micros) {
        let idle = |node: &usize| !self.nodes[*node].busy && self.nodes[*node].viewer.shares;
        let fast = self.nodes.len().min(4 * self.seeds + 16);
        let mut seeds: Vec<usize> = (0..fast).filter(idle).take(self.seeds).collect();
        let others = (0..self.nodes.len()).filter(|node| !seeds.contains(node));
        let missing = self.seeds.saturating_sub(seeds.len());
        let others: Vec<usize> = others.take(missing).collect();
        seeds.extend(others);
        let gateway = self.scenario.gateway * self.scenario.bytes();
        for (turn, to) in seeds.iter().enumerate() {
            let line = line(self.scenario, gateway);
            let way = self.sites.round_trip(0, self.nodes[*to].viewer.site) / 2;
            let starts = now + micros(size(self.scenario, part), gateway) * turn as Micros;
            let at = self
                .send(&mut Wire::default(), *to, part, starts, &line, way)
                .1;
            self.events.push(at, Event::Here(*to, part));
        }
        self.seeded(part, seeds);
    }

    /// Seeds are not to be given it again.
    fn seeded(&mut self, part: usize, seeds: Vec<usize>) {
        self.taken.push_back((part, seeds));
        if self.taken.len() > 4 * HELD {
            self.taken.pop_front();
        }
    }

    /// Gives one copy, if there is one to give.
    fn give(&mut self, from: usize, now: Micros) {
        self.nodes[from].busy = false;
        if !self.nodes[from].viewer.shares {
            return;
        }
        loop {
            let held = &mut self.nodes[from].held;
            let part = if self.newest {
                held.back()
            } else {
                held.front()
            };
            let Some(part) = part.copied() else {
                return;
            };
            let Some(to) = self.next_for(part) else {
                self.nodes[from].held.retain(|held| *held != part);
                continue;
            };
            let (a, b) = (self.nodes[from].viewer.site, self.nodes[to].viewer.site);
            let way = self.sites.round_trip(a, b) / 2;
            let line = line(self.scenario, self.nodes[from].viewer.up);
            let mut wire = std::mem::take(&mut self.nodes[from].wire);
            wire.forget_idle(now);
            let (left, at) = self.send(&mut wire, to, part, now, &line, way);
            self.nodes[from].wire = wire;
            self.nodes[from].busy = true;
            self.events.push(at, Event::Here(to, part));
            self.events.push(left, Event::Free(from));
            return;
        }
    }

    /// The fastest that nobody gives this part yet.
    fn next_for(&mut self, part: usize) -> Option<usize> {
        let seeds = self.taken.iter().find(|(of, _)| *of == part);
        let seeds = seeds.map_or(&[][..], |(_, seeds)| seeds);
        let next = &mut self.next[part];
        while seeds.contains(next) {
            *next += 1;
        }
        (*next < self.nodes.len()).then(|| {
            *next += 1;
            *next - 1
        })
    }

    fn send(
        &mut self,
        wire: &mut Wire,
        to: usize,
        part: usize,
        starts: Micros,
        line: &Line,
        way: Micros,
    ) -> (Micros, Micros) {
        let size = size(self.scenario, part);
        let congestion = self.scenario.congestion;
        if congestion == Congestion::Chromium {
            // It sends one part to whomever: a window of an earlier part is seldom at hand.
            let began = wire.leaves(starts, 0, line.up);
            let hop = Hop {
                way,
                loss: line.loss,
                up: line.up,
                part: size,
                every: 0,
            };
            let took = hop.times(congestion, 1, self.random.next())[0];
            return (wire.leaves(starts, size, line.up), began + took);
        }
        let way = (way, congestion);
        wire.slice_arrives(to, starts, size, line, way, &mut self.random)
    }
}

/// Bytes of a part: as the publisher makes them.
fn size(scenario: &Scenario, part: usize) -> usize {
    let mean = scenario.bytes() * PART as f64 / 1e6;
    (mean * share(part as u32 % publisher::PARTS, scenario.key_part)) as usize
}

fn line(scenario: &Scenario, up: f64) -> Line {
    Line {
        up,
        down: f64::INFINITY,
        delay: 0,
        loss: scenario.loss,
    }
}
