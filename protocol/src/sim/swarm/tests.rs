//! One swarm of a hundred with fixed seeds: what a change of the engine may not cost. The table of all is
//! `tests/bench/swarm`; bars here are what the engine reaches, with some room.

use super::*;

fn hundred() -> Scenario {
    Scenario {
        arrive: 8.0,
        settle: 8.0,
        measure: 8.0,
        ..Scenario::default()
    }
}

#[test]
fn a_hundred_viewers_take_few_copies_in_time() {
    let scenario = Scenario {
        latency: 3.0,
        ..hundred()
    };
    let outcome = run(&scenario, |_, _| {});
    assert!(outcome.copies() <= 2.5, "{outcome:?}");
    assert!(outcome.delay_50 <= 1_100_000, "{outcome:?}");
    assert!(outcome.delay_99 <= 2_000_000, "{outcome:?}");
    assert!(outcome.duplicates <= 0.02, "{outcome:?}");
    assert!(outcome.stalled <= 0.01, "{outcome:?}");
    assert_eq!(outcome.wronged, 0, "{outcome:?}");
    // A hundred told by the gateway are a quarter of a copy.
    assert!(outcome.announced <= 0.12, "{outcome:?}");
    assert!(outcome.told[0] <= 100_000, "{outcome:?}");
    assert!(outcome.told[1] <= 350_000, "{outcome:?}");
}

/// Over hops that carry little more than the stream, and recover slowly, a swarm drowns where more is given than leaves: half
/// of all came from the gateway, and a quarter of it twice, when pages wrote far ahead.
#[test]
fn sixty_over_hops_as_chromium_has_them_do_not_drown() {
    let scenario = Scenario {
        viewers: 60,
        congestion: Congestion::Chromium,
        latency: 3.0,
        ..hundred()
    };
    let outcome = run(&scenario, |_, _| {});
    assert!(outcome.copies() <= 18.0, "{outcome:?}");
    assert!(outcome.duplicates <= 0.1, "{outcome:?}");
    assert!(outcome.stalled <= 0.01, "{outcome:?}");
}

/// What the gateway tells is less because viewers tell each other: if they do not, it tells each of them.
#[test]
fn sixty_that_do_not_tell_each_other_are_told_by_the_gateway() {
    let announced = |hushes| {
        let scenario = Scenario {
            viewers: 60,
            hushes,
            ..hundred()
        };
        run(&scenario, |_, _| {}).announced
    };
    let (with, without) = (announced(true), announced(false));
    assert!(2.0 * with <= without, "{with} and {without} copies' worth");
}

/// The bars above can be missed: by a swarm that cannot upload, and so takes everything from the gateway.
#[test]
fn thirty_that_do_not_share_take_thirty_copies() {
    let scenario = Scenario {
        viewers: 30,
        without: 1.0,
        ..hundred()
    };
    let outcome = run(&scenario, |_, _| {});
    assert!(outcome.copies() >= 0.9 * 30.0, "{outcome:?}");
    assert_eq!(outcome.pushed, 0.0, "who does not share is no seed");
}

/// Nothing leaves the gateway for three seconds, and then all that was published meanwhile: everyone's player stands still,
/// and would ask HTTP for the same, which has room for a tenth of that.
#[test]
fn a_swarm_recovers_from_a_gateway_that_was_silent() {
    let scenario = Scenario {
        viewers: 60,
        gateway: 6.0,
        arrive: 6.0,
        settle: 8.0,
        measure: 21.0,
        shock: Shock::Silence(3.0),
        ..Scenario::default()
    };
    let outcome = run(&scenario, |_, _| {});
    let recovers = outcome.recovers.expect("copies are as before in the end");
    assert!(recovers <= 9.0, "{outcome:?}");
    assert!(outcome.duplicates <= 0.05, "{outcome:?}");
    assert!(outcome.stalled <= 0.2, "{outcome:?}");
}

/// Two sites of thirty, and a link of three times the stream between them.
fn two_sites() -> Scenario {
    Scenario {
        viewers: 60,
        sites: 2,
        trunk: Some(3.0),
        latency: 3.0,
        arrive: 10.0,
        settle: 10.0,
        measure: 10.0,
        ..Scenario::default()
    }
}

#[test]
fn between_two_sites_each_part_crosses_about_once() {
    let outcome = run(&two_sites(), |_, _| {});
    assert!(outcome.crossed <= 1.1, "{outcome:?}");
    assert!(outcome.stalled <= 0.01, "{outcome:?}");
}

#[test]
fn where_nobody_shares_each_part_crosses_for_each_viewer() {
    let scenario = Scenario {
        without: 1.0,
        trunk: Some(40.0),
        ..two_sites()
    };
    let outcome = run(&scenario, |_, _| {});
    assert!(outcome.crossed >= 10.0, "{outcome:?}");
}
