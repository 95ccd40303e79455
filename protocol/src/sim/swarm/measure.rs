//! What came of a run.

use super::{Scenario, Shock, part_seconds};
use crate::{
    scheduler::{Counters, Micros},
    sim::{
        World,
        trace::{self, WHY},
    },
};

/// What came of a run. Copies are of the stream; shares are 0 to 1.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Left the gateway: as pushes to seeds and answers to wants, and over HTTP.
    pub pushed: f64,
    /// See above.
    pub fetched: f64,
    /// Of those over HTTP: what newcomers took before their first part from a viewer.
    pub start_up: f64,
    /// What a newcomer took so, seconds of media: median.
    pub start_up_median: f64,
    /// From coming to the first part from a viewer, microseconds: 99 %.
    pub first_from_peer: Micros,
    /// From its publication to its being there, microseconds, of all parts of viewers that are settled; of 99 % and
    /// 99.9 % of them. `Micros::MAX`: so many did not come at all.
    pub delay_99: Micros,
    /// See above.
    pub delay_999: Micros,
    /// Of half of them.
    pub delay_50: Micros,
    /// Parts that came twice, of all.
    pub duplicates: f64,
    /// Bytes of messages, of all bytes of media that viewers took.
    pub control: f64,
    /// Announcements that the gateway told, as copies of the stream; from its making to a viewer's hearing of it, microseconds:
    /// median, 99 % and 99.9 %.
    pub announced: f64,
    /// See above.
    pub told: [Micros; 3],
    /// Share of the time of playing in which there was nothing to show.
    pub stalled: f64,
    /// Parts whose bytes were altered and that came to someone; liars that were sent away, of those who lied.
    pub altered: u64,
    /// Honest viewers that were sent away as liars.
    pub wronged: usize,
    /// Copies that crossed the narrow link, both ways together, and what messages on it weigh, as copies.
    pub crossed: f64,
    /// See above.
    pub crossed_said: f64,
    /// Copies that left the gateway over HTTP, by what they were for.
    pub causes: Vec<(&'static str, f64)>,
    /// Copies that left the gateway in each second.
    pub each_second: Vec<f64>,
    /// Bytes given by those taken, of each viewer that was there to the end, least first.
    pub fairness: Vec<f64>,
    /// Hops, share of the parts that came over so many, and their delay: median and 99 %.
    pub by_hops: Vec<(usize, f64, Micros, Micros)>,
    /// Copies in the second whose copies are in the middle, before a shock; seconds from the shock's end until copies were at
    /// most half again as many, three seconds in a row; most duplicates in a second.
    pub steady: f64,
    /// See above.
    pub recovers: Option<f64>,
}

impl Outcome {
    /// All copies that left the gateway.
    pub fn copies(&self) -> f64 {
        self.pushed + self.fetched
    }
}

/// Bytes when it ended: of the stream, pushed, fetched, of the gateway's announcements, of messages, and of parts and messages that crossed.
type Ended = (u64, u64, u64, u64, u64, (u64, u64), [u64; WHY.len()]);

/// What stood on the counters when measuring began.
pub(super) struct Measured {
    stream: u64,
    pushed: u64,
    fetched: u64,
    announced: u64,
    said: u64,
    crossed: (u64, u64),
    began: Micros,
    counters: Vec<Counters>,
    stalls: Vec<(Micros, Micros)>,
    causes: [u64; WHY.len()],
    last: (u64, u64),
    each_second: Vec<f64>,
    ended: Option<Ended>,
}

impl Measured {
    pub(super) fn begin(world: &mut World, scenario: &Scenario) -> Self {
        let counters = world.nodes().map(|node| node.engine.counters());
        let counters: Vec<Counters> = counters.collect();
        let stalls = world.nodes().map(|node| {
            let player = node.player.as_ref();
            player.map_or((0, 0), |player| (player.stalled, player.played))
        });
        let stalls = stalls.collect();
        let parts = (scenario.measure / part_seconds()) as u64;
        let now = world.now;
        let (given, fetched) = (world.node(0).given, world.node(0).fetched);
        let stream = world.publisher_bytes;
        let crossed = world.crossed();
        let trace = world.traced();
        let calendar = world.common.calendar.as_mut();
        let calendar = calendar.expect("a swarm is traced");
        calendar.from = calendar.at.len() as u64;
        calendar.to = calendar.from + parts;
        Self {
            stream,
            pushed: given,
            fetched,
            announced: world.announced(),
            said: trace.said,
            crossed,
            began: now,
            causes: trace.fetched,
            counters,
            stalls,
            last: (stream, given + fetched),
            each_second: Vec::new(),
            ended: None,
        }
    }

    /// A second has passed.
    pub(super) fn second(&mut self, world: &World) {
        let now = (
            world.publisher_bytes,
            world.node(0).given + world.node(0).fetched,
        );
        let stream = (now.0 - self.last.0).max(1) as f64;
        self.each_second.push((now.1 - self.last.1) as f64 / stream);
        self.last = now;
    }

    /// It ends; what was published by now may still be on its way.
    pub(super) fn end(&mut self, world: &World) {
        let (gateway, trace) = (world.node(0), world.traced());
        self.ended = Some((
            world.publisher_bytes,
            gateway.given,
            gateway.fetched,
            world.announced(),
            trace.said,
            world.crossed(),
            trace.fetched,
        ));
    }

    pub(super) fn outcome(self, world: &World, scenario: &Scenario, liars: &[usize]) -> Outcome {
        let trace = world.traced();
        let calendar = world.common.calendar.as_ref();
        let calendar = calendar.expect("a swarm is traced");
        let (stream, given, fetched, announced, said, crossed, causes) =
            self.ended.expect("it has ended");
        let stream = (stream - self.stream) as f64;
        let mut outcome = Outcome {
            pushed: (given - self.pushed) as f64 / stream,
            fetched: (fetched - self.fetched) as f64 / stream,
            announced: (announced - self.announced) as f64 / stream,
            crossed: (crossed.0 - self.crossed.0) as f64 / stream,
            crossed_said: (crossed.1 - self.crossed.1) as f64 / stream,
            each_second: self.each_second,
            ..Outcome::default()
        };
        for (why, name) in WHY.into_iter().enumerate() {
            let bytes = causes[why] - self.causes[why];
            outcome.causes.push((name, bytes as f64 / stream));
        }
        let rate = scenario.bytes();
        let mut start_ups = Vec::new();
        let mut firsts = Vec::new();
        let (mut taken, mut parts, mut twice) = (0, 0, 0);
        let (mut missing, mut stalled, mut played) = (0, 0, 0);
        for (node, viewer) in world.nodes().enumerate().skip(1) {
            let own = &viewer.own;
            if own.joined >= self.began && own.first.is_some() {
                start_ups.push(own.start_up as f64 / rate);
                outcome.start_up += own.start_up as f64 / stream;
            }
            if own.joined >= self.began || scenario.churn == 0.0 {
                let end = own.left.map_or(world.now, |(at, _)| at);
                match own.first_from_peer {
                    Some(at) => firsts.push(at - own.joined),
                    None if end > own.joined + 5_000_000 => firsts.push(Micros::MAX),
                    None => {}
                }
            }
            let now = own.left.map_or(viewer.engine.counters(), |left| left.1);
            let then = self.counters.get(node).copied().unwrap_or_default();
            if own.left.is_some_and(|(at, _)| at < self.began) {
                continue;
            }
            let bytes = |of: Counters| of.bytes_from_peers + of.bytes_from_gateway;
            let took = bytes(now) - bytes(then);
            taken += took;
            parts += now.parts_from_peers + now.parts_from_gateway
                - then.parts_from_peers
                - then.parts_from_gateway;
            twice += now.parts_duplicate - then.parts_duplicate;
            outcome.altered += now.parts_rejected - then.parts_rejected;
            let banned = &viewer.banned;
            let is_liar = |id| liars.iter().any(|liar| world.id(*liar) == id);
            outcome.wronged += banned.iter().filter(|ban| !is_liar(ban.1)).count();
            if let Some(player) = &viewer.player {
                let before = self.stalls.get(node).copied().unwrap_or_default();
                stalled += player.stalled - before.0;
                played += player.played - before.1;
            }
            if own.left.is_none() && !liars.contains(&node) {
                missing += calendar.expected(own).saturating_sub(own.counted);
                if then.parts_from_peers > 0 {
                    let gave = now.bytes_uploaded - then.bytes_uploaded;
                    outcome.fairness.push(gave as f64 / took.max(1) as f64);
                }
            }
        }
        outcome.fairness.sort_by(f64::total_cmp);
        outcome.duplicates = twice as f64 / parts.max(1) as f64;
        outcome.control = (said - self.said) as f64 / taken.max(1) as f64;
        outcome.stalled = stalled as f64 / (stalled + played).max(1) as f64;
        start_ups.sort_by(f64::total_cmp);
        outcome.start_up_median = start_ups.get(start_ups.len() / 2).copied().unwrap_or(0.0);
        firsts.sort_unstable();
        let at = (firsts.len().saturating_sub(1) as f64 * 0.99).ceil() as usize;
        outcome.first_from_peer = firsts.get(at).copied().unwrap_or(0);
        let mut all = vec![0u32; trace::LONGEST + 1];
        for delays in &trace.delays {
            for (sum, more) in all.iter_mut().zip(delays) {
                *sum += more;
            }
        }
        let total = sum(&all) + missing;
        outcome.delay_50 = quantile(&all, total, 0.5);
        outcome.delay_99 = quantile(&all, total, 0.99);
        outcome.delay_999 = quantile(&all, total, 0.999);
        let told = sum(&trace.told);
        outcome.told = [0.5, 0.99, 0.999].map(|share| quantile(&trace.told, told, share));
        for (hops, delays) in trace.delays.iter().enumerate() {
            let count = sum(delays);
            if count > 0 {
                let share = count as f64 / total as f64;
                let (half, most) = (quantile(delays, count, 0.5), quantile(delays, count, 0.99));
                outcome.by_hops.push((hops, share, half, most));
            }
        }
        outcome.look_at_shock(scenario);
        outcome
    }
}

impl Outcome {
    /// How long the copies took to be as before what happened a third into the time; nothing leaves a silent gateway, and
    /// that is not calm.
    fn look_at_shock(&mut self, scenario: &Scenario) {
        let at = self.each_second.len() / 3;
        let mut before = self.each_second[..at].to_vec();
        before.sort_by(f64::total_cmp);
        self.steady = before.get(at / 2).copied().unwrap_or(0.0);
        let least = self.steady * 1.5 + 0.5;
        let silent = match scenario.shock {
            Shock::Silence(seconds) => seconds.ceil() as usize,
            _ => 0,
        };
        let after = &self.each_second[(at + silent).min(self.each_second.len())..];
        let calm = after.windows(3).position(|w| w.iter().all(|c| *c <= least));
        self.recovers = calm.map(|seconds| seconds as f64);
    }
}

fn sum(delays: &[u32]) -> u64 {
    delays.iter().map(|count| u64::from(*count)).sum()
}

/// Microseconds within which this share of `total` came.
fn quantile(delays: &[u32], total: u64, share: f64) -> Micros {
    let wanted = (total as f64 * share).ceil() as u64;
    let mut seen = 0;
    for (milliseconds, count) in delays.iter().enumerate() {
        seen += u64::from(*count);
        if seen >= wanted && seen > 0 {
            return milliseconds as Micros * 1000;
        }
    }
    Micros::MAX
}
