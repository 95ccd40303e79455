use std::collections::{BTreeMap, BTreeSet};

use meshlive_protocol::{
    archive::{Catalogue, Entry, HourEntry, Link, What},
    dag,
};

use crate::pinning::{
    object::Status,
    plan::{Held, Known, Step, name_of, plan},
};

const DAY: u64 = 20_779; // 2026-11-22

/// A list of hours, each at its place, and of those that were taken down.
fn catalogue(hours: &[u64], tombstones: &[u64]) -> Catalogue {
    let mut catalogue = Catalogue::default();
    let link = |text: String| Link {
        cid: dag::cid_of(text.as_bytes()),
        bytes: 1,
    };
    let mut add = |what: What| {
        let (_, sequence) = catalogue.last();
        let root = link(format!("root {sequence}"));
        let entry = Entry {
            epoch: 1,
            sequence: sequence + 1,
            what,
            root: Some(root),
        };
        catalogue.apply(&entry).unwrap();
    };
    for hour in hours {
        let day = link(format!("day {} up to {hour}", hour / 24));
        let entry = HourEntry {
            link: link(format!("hour {hour}")),
            duration: 1,
        };
        add(What::Hour {
            hour: *hour,
            entry,
            day,
        });
    }
    for hour in tombstones {
        let gone = |other: &&u64| *other / 24 == hour / 24 && !tombstones.contains(other);
        let rest = hours.iter().find(gone);
        let day = rest.map(|_| link(format!("day {} without {hour}", hour / 24)));
        add(What::Tombstone { hour: *hour, day });
    }
    catalogue
}

/// Does all that is planned, as a service that pins at once would; what was asked.
fn asked(
    catalogue: &Catalogue,
    held: &BTreeSet<u64>,
    known: &mut Held,
    status: Status,
) -> Vec<String> {
    let steps = plan(catalogue, held, known);
    let said = steps.into_iter().map(|step| match step {
        Step::Pin {
            what,
            cid,
            instead_of,
        } => {
            let requestid = format!("{what} {}", &cid[cid.len() - 4..]);
            let sign = if instead_of.is_some() { "~" } else { "+" };
            known.insert(
                what.clone(),
                Known {
                    cid,
                    requestid,
                    status,
                },
            );
            format!("{sign}{what}")
        }
        Step::Remove { what, .. } => {
            known.remove(&what);
            format!("-{what}")
        }
        Step::Look { what, .. } => {
            known.get_mut(&what).unwrap().status = Status::Pinned;
            format!("?{what}")
        }
    });
    said.collect()
}

#[test]
fn hours_are_pinned_as_they_close_then_their_day_in_their_place() {
    let (mut known, first) = (Held::new(), DAY * 24 + 10);
    let held: BTreeSet<_> = (first..first + 40).collect();
    let two = catalogue(&[first, first + 1], &[]);
    let mut ask =
        |catalogue, held: &BTreeSet<_>, status| asked(catalogue, held, &mut known, status);
    assert_eq!(
        ask(&two, &held, Status::Queued),
        ["+2026-11-22T10", "+2026-11-22T11"]
    );
    assert_eq!(
        ask(&two, &held, Status::Pinned),
        ["?2026-11-22T10", "?2026-11-22T11"]
    );
    assert_eq!(
        ask(&two, &held, Status::Pinned),
        [""; 0],
        "nothing is asked twice"
    );
    let next = catalogue(&[first, first + 1, first + 24], &[]);
    assert_eq!(
        ask(&next, &held, Status::Queued),
        ["+2026-11-22", "+2026-11-23T10"],
        "the day is over"
    );
    assert_eq!(
        ask(&next, &held, Status::Pinned),
        ["?2026-11-22", "?2026-11-23T10"]
    );
    assert_eq!(
        ask(&next, &held, Status::Pinned),
        ["-2026-11-22T10", "-2026-11-22T11"],
        "the day has their blocks"
    );
    // What is let go here stays there.
    assert_eq!(ask(&next, &BTreeSet::new(), Status::Pinned), [""; 0]);
    // What was taken down goes there: the rest of its day is kept if it is here.
    let down = catalogue(&[first, first + 1, first + 24], &[first]);
    assert_eq!(ask(&down, &held, Status::Pinned), ["~2026-11-22"]);
    assert_eq!(ask(&down, &held, Status::Pinned), [""; 0]);
    let nothing = catalogue(&[first, first + 24], &[first]);
    assert_eq!(ask(&nothing, &held, Status::Pinned), ["-2026-11-22"]);
}

#[test]
fn what_is_not_here_is_not_asked_for_and_what_failed_is_asked_again() {
    let (mut known, first) = (Held::new(), DAY * 24);
    let three = catalogue(&[first, first + 1, first + 24], &[]);
    let held = BTreeSet::from([first + 1, first + 24]);
    let asks = asked(&three, &held, &mut known, Status::Failed);
    assert_eq!(
        asks,
        ["+2026-11-22T01", "+2026-11-23T00"],
        "no day that is not whole"
    );
    let asks = asked(&three, &held, &mut known, Status::Pinned);
    assert_eq!(asks, ["~2026-11-22T01", "~2026-11-23T00"]);
    // An hour that was closed anew with more in it.
    known.get_mut(&name_of(first + 1)).unwrap().cid = "older".into();
    assert_eq!(
        asked(&three, &held, &mut known, Status::Pinned),
        ["~2026-11-22T01"]
    );
    // A day of which a part was taken down, and which is not here any more.
    let down = catalogue(&[first, first + 1, first + 24], &[first]);
    let cid = "the whole day".to_owned();
    known.insert(
        "2026-11-22".into(),
        Known {
            cid,
            requestid: "r".into(),
            status: Status::Pinned,
        },
    );
    let asks = asked(&down, &BTreeSet::new(), &mut known, Status::Pinned);
    assert_eq!(asks, ["-2026-11-22"]);
}

#[test]
fn an_empty_map_is_what_nothing_is_asked_of() {
    assert_eq!(
        plan(&Catalogue::default(), &BTreeSet::new(), &BTreeMap::new()),
        []
    );
}
