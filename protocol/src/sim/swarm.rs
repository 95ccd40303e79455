//! Many viewers: drawn, run, measured, and a greedy oracle beside them that knows everyone's uplink.

mod draw;
mod measure;
mod oracle;
#[cfg(test)]
mod tests;

use super::{
    Lie, Line, Player, Scene, World,
    network::{Congestion, Network, Sites},
};
use crate::scheduler::{Micros, random::Random};
use draw::Viewer;
pub use measure::Outcome;
pub use oracle::{Oracle, oracle};

const SECOND: f64 = 1e6;
/// Bytes per second that a viewer's page gives at most, whatever its uplink is (wasm-peer's).
const UPLOAD: u32 = 2_500_000;
/// A browser begins to play with so much, microseconds.
const ENOUGH: u64 = 400_000;
/// So many viewers, and more, are in two shards.
const LARGE: usize = 4000;
/// How often who comes and goes is drawn.
const STEP: Micros = 100_000;

/// What happens once, a third into the time that is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shock {
    /// Nothing.
    None,
    /// This share of all viewers leaves at once.
    Leave(f64),
    /// Nothing leaves the gateway for so many seconds.
    Silence(f64),
    /// The viewer to which the gateway pushed last is gone.
    SeedDies,
}

/// A swarm and what happens to it. Rates are in multiples of the stream's, times in seconds.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The same seed, the same run.
    pub seed: u64,
    /// As many at any time, but for chance.
    pub viewers: usize,
    /// They come within so long, then so long passes, and then it is measured for so long.
    pub arrive: f64,
    /// See above.
    pub settle: f64,
    /// See above.
    pub measure: f64,
    /// Share of the viewers that leaves, and as many that come, in a minute.
    pub churn: f64,
    /// Share of those who leave that vanishes without a word.
    pub vanish: f64,
    /// How far behind the live edge players play.
    pub latency: f64,
    /// Whether the gateway's HTTP gives parts.
    pub http: bool,
    /// Bits per second of the media.
    pub rate: u64,
    /// How large the part with a key frame is, of the mean.
    pub key_part: f64,
    /// The gateway's uplink.
    pub gateway: f64,
    /// Share of the viewers that has no uplink; of the others, mean and sigma of the logarithmic normal distribution.
    pub without: f64,
    /// See above.
    pub mean: f64,
    /// See above.
    pub sigma: f64,
    /// Share of the packets that is lost on each hop.
    pub loss: f64,
    /// What a hop does about it.
    pub congestion: Congestion,
    /// Viewers are at so many sites; the gateway is at the first.
    pub sites: usize,
    /// The one link between the first site and the others.
    pub trunk: Option<f64>,
    /// Share that has an uplink and switched sharing off.
    pub free_riders: f64,
    /// Share that alters the parts it gives.
    pub liars: f64,
    /// Whether viewers tell each other what is new; or else the gateway tells all of them.
    pub hushes: bool,
    /// What else happens.
    pub shock: Shock,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 1,
            viewers: 100,
            arrive: 20.0,
            settle: 20.0,
            measure: 60.0,
            churn: 0.2,
            vanish: 0.5,
            latency: 2.0,
            http: true,
            rate: 2_500_000,
            key_part: 1.0,
            gateway: 100.0,
            without: 0.2,
            mean: 2.0,
            sigma: 0.7,
            loss: 0.01,
            congestion: Congestion::OneRoundTrip,
            sites: 8,
            trunk: None,
            free_riders: 0.0,
            liars: 0.0,
            hushes: true,
            shock: Shock::None,
        }
    }
}

impl Scenario {
    /// Bytes per second of the media.
    fn bytes(&self) -> f64 {
        self.rate as f64 / 8.0
    }

    /// Two threads where the work is worth it.
    fn shards(&self) -> usize {
        let can = self.trunk.is_none() && self.congestion != Congestion::Chromium;
        1 + usize::from(can && self.sites > 1 && self.viewers >= LARGE)
    }

    fn layout(&self) -> (Sites, Random) {
        let mut random = Random::new(self.seed ^ 0x5157_a12b);
        let mut sites = Sites::draw(self.sites.max(1), &mut random);
        sites.trunk = self.trunk.map(|trunk| trunk * self.bytes());
        (sites, random)
    }
}

/// A swarm that runs.
struct Run<'a> {
    scenario: &'a Scenario,
    world: World,
    random: Random,
    alive: Vec<usize>,
    /// Who lies, by number of the node.
    liars: Vec<usize>,
}

/// Runs a scenario; `progress` is told after each virtual second how many of how many have passed.
pub fn run(scenario: &Scenario, mut progress: impl FnMut(u64, u64)) -> Outcome {
    let (sites, random) = scenario.layout();
    let mut world = World::new(Scene {
        seed: scenario.seed,
        rates: vec![scenario.rate],
        key_part: scenario.key_part,
        feed: false,
        gateway: Line {
            up: scenario.gateway * scenario.bytes(),
            down: f64::INFINITY,
            delay: 0,
            loss: scenario.loss,
        },
        network: Network {
            congestion: scenario.congestion,
            slice: 32 * 1024,
            sites: Some(sites),
            http: scenario.http,
            exact: false,
        },
        neighbours: 8,
        cache: 8 << 20,
        hushes: scenario.hushes,
        shards: scenario.shards(),
    });
    world.trace();
    let mut run = Run {
        scenario,
        world,
        random,
        alive: Vec::new(),
        liars: Vec::new(),
    };
    let steps = |seconds: f64| (seconds * SECOND / STEP as f64) as u64;
    let all = steps(5.0 + scenario.arrive + scenario.settle + scenario.measure + 3.0);
    let begins = steps(5.0 + scenario.arrive + scenario.settle);
    let ends = begins + steps(scenario.measure);
    let mut measured = None;
    for step in 0..all {
        if step >= steps(5.0) {
            run.arrive((step - steps(5.0)) as f64 * STEP as f64 / SECOND / scenario.arrive);
            run.churn();
        }
        if step == begins {
            measured = Some(measure::Measured::begin(&mut run.world, scenario));
        }
        if step == begins + (ends - begins) / 3 {
            run.shock();
        }
        run.world.run(STEP);
        if step % 10 == 9 {
            progress(step / 10 + 1, all / 10);
            if let Some(measured) = measured.as_mut().filter(|_| step < ends) {
                measured.second(&run.world);
            }
        }
        if step + 1 == ends
            && let Some(measured) = &mut measured
        {
            measured.end(&run.world);
        }
    }
    let measured = measured.expect("it began before it ended");
    measured.outcome(&run.world, scenario, &run.liars)
}

impl Run<'_> {
    /// As many come as are due when this share of the time to come has passed.
    fn arrive(&mut self, share: f64) {
        let due = (self.scenario.viewers as f64 * share.min(1.0)) as usize;
        while self.world.count() <= due && share <= 1.0 {
            self.join();
        }
    }

    fn join(&mut self) {
        let viewer = Viewer::draw(self.scenario, &mut self.random);
        let line = Line {
            up: viewer.up.max(1000.0),
            down: f64::INFINITY,
            delay: 0,
            loss: self.scenario.loss,
        };
        let player = Player::new(0, (self.scenario.latency * SECOND) as u64).with_enough(ENOUGH);
        let upload = if viewer.shares { UPLOAD } else { 0 };
        let node = self.world.join_at(viewer.site, upload, line, player);
        if viewer.lies {
            self.liars.push(node);
            self.world.lies(node, Lie::AltersParts);
        }
        self.alive.push(node);
    }

    fn churn(&mut self) {
        let mean = self.alive.len() as f64 * self.scenario.churn * STEP as f64 / 60e6;
        for _ in 0..draw::poisson(mean, &mut self.random) {
            self.goes();
        }
        for _ in 0..draw::poisson(mean, &mut self.random) {
            self.join();
        }
    }

    fn goes(&mut self) {
        if self.alive.is_empty() {
            return;
        }
        let at = self.random.below(self.alive.len());
        let node = self.alive.swap_remove(at);
        if self.random.unit() < self.scenario.vanish {
            self.world.crash(node);
        } else {
            self.world.leave_for_good(node);
        }
    }

    fn shock(&mut self) {
        match self.scenario.shock {
            Shock::None => {}
            Shock::Leave(share) => {
                for _ in 0..(self.alive.len() as f64 * share) as usize {
                    self.goes();
                }
            }
            Shock::Silence(seconds) => self.world.silence((seconds * SECOND) as Micros),
            Shock::SeedDies => {
                if let Some(seed) = self.world.newest_seed()
                    && let Some(at) = self.alive.iter().position(|node| *node == seed)
                {
                    self.alive.swap_remove(at);
                    self.world.crash(seed);
                }
            }
        }
    }
}

/// Seconds of media in a part.
pub(super) fn part_seconds() -> f64 {
    super::publisher::PART as f64 / SECOND
}
