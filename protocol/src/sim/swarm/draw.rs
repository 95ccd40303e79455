//! Who comes: the draw that engine and oracle have in common.

use super::Scenario;
use crate::scheduler::random::Random;

/// What chance makes of a viewer.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    pub(super) site: usize,
    /// Bytes per second.
    pub(super) up: f64,
    pub(super) shares: bool,
    pub(super) lies: bool,
}

impl Viewer {
    pub(super) fn draw(scenario: &Scenario, random: &mut Random) -> Self {
        let site = random.below(scenario.sites.max(1));
        let without = random.unit() < scenario.without;
        let free = random.unit() < scenario.free_riders;
        let lies = random.unit() < scenario.liars;
        // Mean of the distribution: exp(mu + sigma² / 2).
        let mu = scenario.mean.ln() - scenario.sigma * scenario.sigma / 2.0;
        let times = (mu + scenario.sigma * normal(random)).exp();
        Self {
            site,
            up: times * scenario.rate as f64 / 8.0,
            shares: !without && !free,
            lies: lies && !without && !free,
        }
    }
}

/// Of the standard normal distribution (Box and Muller 1958).
fn normal(random: &mut Random) -> f64 {
    let (one, other) = (1.0 - random.unit(), random.unit());
    (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos()
}

/// How often what happens `mean` times happens.
pub(super) fn poisson(mean: f64, random: &mut Random) -> usize {
    let least = (-mean).exp();
    let (mut count, mut product) = (0, random.unit());
    while product > least {
        count += 1;
        product *= random.unit();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_are_drawn_as_the_scenario_says() {
        let mut random = Random::new(5);
        let scenario = Scenario::default();
        let all: Vec<Viewer> = (0..20_000)
            .map(|_| Viewer::draw(&scenario, &mut random))
            .collect();
        let ups = all.iter().map(|viewer| viewer.up / scenario.bytes());
        let mean = ups.sum::<f64>() / all.len() as f64;
        assert!((1.95..=2.05).contains(&mean), "{mean}");
        let silent = all.iter().filter(|viewer| !viewer.shares).count();
        assert!((3800..=4200).contains(&silent), "{silent}");
        let times: usize = (0..10_000).map(|_| poisson(0.3, &mut random)).sum();
        assert!((2800..=3200).contains(&times), "{times}");
    }
}
