use super::*;

const WAY: Micros = 40_000;
const MESSAGE: usize = 16 * 1024;

/// When each of so many messages that are given at once is whole, by an uplink that takes no time.
fn whole(loss: f64, messages: usize, seed: u64) -> Vec<Micros> {
    let mut random = Random::new(seed);
    let mut sctp = Sctp::new(WAY, loss);
    for _ in 0..messages {
        sctp.give(0, MESSAGE, 0, &mut random, &mut |_| 0);
    }
    let (mut times, mut widest) = (Vec::new(), sctp.window);
    while let Some(now) = sctp.next_at() {
        assert!(now < 600_000_000, "it never ends: {sctp:?}");
        sctp.pass(now, &mut random, &mut |_| now);
        // What comes at once may double a window, and then halve it.
        assert!(sctp.outstanding <= 2 * widest + MTU);
        widest = widest.max(sctp.window);
        times.extend(std::iter::repeat_n(now, sctp.take_whole(0)));
    }
    assert_eq!((sctp.waiting, sctp.outstanding, sctp.lost), (0, 0, 0));
    assert!(sctp.packets.is_empty(), "all of it was acknowledged");
    times
}

/// Two browsers take 207 ms for 62,500 bytes over 40 ms each way without loss, when their window is no longer new:
/// sixteen packets, then four for each acknowledgement, then the rest.
#[test]
fn a_part_takes_five_ways_by_bursts_and_not_one() {
    let mut random = Random::new(1);
    let mut sctp = Sctp::new(WAY, 0.0);
    let mut last = 0;
    for part in 0..5 {
        let began = part * 1_000_000;
        for bytes in [MESSAGE, MESSAGE, MESSAGE, 62_500 - 3 * MESSAGE] {
            sctp.give(0, bytes, began, &mut random, &mut |_| began);
        }
        while let Some(now) = sctp.next_at() {
            sctp.pass(now, &mut random, &mut |_| now);
            if sctp.take_whole(0) > 0 {
                last = now - began;
            }
        }
    }
    assert_eq!(last, 5 * WAY);
}

#[test]
fn all_comes_in_order_whatever_is_lost() {
    for loss in [0.0, 0.01, 0.1] {
        for seed in 0..20 {
            let times = whole(loss, 8, seed);
            assert_eq!(times.len(), 8, "loss {loss}");
            assert!(times.is_sorted());
        }
    }
    let mean = |loss| (0..50).map(|seed| whole(loss, 8, seed)[7]).sum::<Micros>() / 50;
    assert!(mean(0.0) < mean(0.01) && mean(0.01) < mean(0.1));
}

/// The only packet of a message has nothing behind it that tells of its loss.
#[test]
fn what_nothing_tells_of_waits_for_the_time_out() {
    let mut random = Random::new(1);
    let mut sctp = Sctp::new(WAY, 1.0);
    sctp.give(1, 100, 0, &mut random, &mut |_| 0);
    sctp.loss = 0.0;
    let mut at = 0;
    while let Some(now) = sctp.next_at() {
        sctp.pass(now, &mut random, &mut |_| now);
        if sctp.take_whole(1) > 0 {
            at = now;
        }
    }
    assert_eq!(at, TIMEOUT.0 + WAY);
}

#[test]
fn nobody_at_the_other_end_is_told_nothing_and_all_waits() {
    let mut random = Random::new(1);
    let mut sctp = Sctp::new(WAY, 0.0);
    sctp.cut();
    for _ in 0..10 {
        sctp.give(0, MESSAGE, 0, &mut random, &mut |_| 0);
    }
    for _ in 0..5 {
        let now = sctp.next_at().expect("a time-out");
        sctp.pass(now, &mut random, &mut |_| now);
    }
    assert_eq!(sctp.take_whole(0), 0);
    assert!(sctp.waiting > 9 * MESSAGE && sctp.window == MTU);
}
