//! What goes when there is no room.

use super::*;

#[test]
fn where_there_is_no_room_the_oldest_hours_go_first_and_only_as_many_as_must() {
    let folder = tempfile::tempdir().unwrap();
    let settings = store::Settings {
        max_bytes: 60_000,
        ..Default::default()
    };
    let run = Run::with(folder.path(), TEN, settings, Keep::Everything);
    let mut air = run.air();
    let archive = air.archive();
    for hour in 0..10 {
        air.segments(TEN + hour * HOUR, TEN + hour * HOUR + 40 * SECOND);
        wait_for(&archive, hour);
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while run.store.stats().bytes > 60_000 {
        assert!(
            Instant::now() < deadline,
            "{:?} {:?}",
            run.store.stats(),
            archive.held()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let held = archive.held();
    assert!((1..9).contains(&held.len()), "{held:?}");
    assert!(held.contains(&(HOUR_TEN + 8)) && !held.contains(&HOUR_TEN));
}

/// The store can give up nothing of it: to let go of it would lose the hour and make no room.
#[test]
fn an_hour_that_the_live_window_needs_stays_whatever_room_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let settings = store::Settings {
        max_bytes: 1,
        ..Default::default()
    };
    let run = Run::with(folder.path(), TEN, settings, Keep::Everything);
    let mut air = run.air();
    let archive = air.archive();
    air.segments(TEN, TEN + 40 * SECOND);
    air.segment(TEN + HOUR);
    wait_for(&archive, 1);
    std::thread::sleep(Duration::from_millis(300)); // room is made right behind
    assert!(archive.held().contains(&HOUR_TEN), "{:?}", archive.held());
    // It goes when the window has gone on.
    air.segments(TEN + HOUR + 2 * SECOND, TEN + HOUR + 400 * SECOND);
    air.segment(TEN + 2 * HOUR);
    wait_for(&archive, 2);
    let deadline = Instant::now() + Duration::from_secs(10);
    while archive.held().contains(&HOUR_TEN) {
        assert!(Instant::now() < deadline, "{:?}", archive.held());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_stream_keeps_as_much_as_it_may_and_days_that_are_named_stay() {
    let folder = tempfile::tempdir().unwrap();
    let hour_bytes = {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::start(folder.path(), TEN);
        let mut air = run.air();
        air.segments(TEN, TEN + 40 * SECOND);
        air.segments(TEN + HOUR, TEN + HOUR + SECOND);
        wait_for(&air.archive(), 1);
        air.archive().sizes()[0].1
    };
    // Room for three hours and a half, beside those of a day that stays.
    let archived = Settings {
        keep: Keep::Everything,
        keep_days: vec!["2026-11-22".to_owned()].try_into().unwrap(),
        max_bytes: hour_bytes * 7 / 2,
        ..Settings::default()
    };
    let run = Run::archiving(folder.path(), TEN, store::Settings::default(), archived);
    let mut air = run.air();
    let archive = air.archive();
    let hours = [12, 13, 14, 15, 16, 17, 18, 19];
    for (count, hour) in hours.into_iter().enumerate() {
        air.segments(TEN + hour * HOUR, TEN + hour * HOUR + 40 * SECOND);
        wait_for(&archive, count as u64);
    }
    let expected: BTreeSet<u64> = [12, 13, 16, 17, 18]
        .into_iter()
        .map(|hour| HOUR_TEN + hour)
        .collect();
    let deadline = Instant::now() + Duration::from_secs(10);
    while archive.held() != expected {
        assert!(Instant::now() < deadline, "{:?}", archive.held());
        std::thread::sleep(Duration::from_millis(20));
    }
    let text = run.metrics.render();
    assert!(text.contains("meshlive_archive_bytes_a_day "), "{text}");
}
