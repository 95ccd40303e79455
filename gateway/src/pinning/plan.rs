//! What is to be asked of a service that keeps a stream's past. Pure: the list of hours, what is held here and what the
//! service has go in, steps come out.
//!
//! Each hour is pinned when it has closed. When its day is over and all of it is here, the day is pinned, and when that is so
//! the pins of its hours go: the day has the same blocks. What is let go here stays there; what was taken down goes there,
//! too.

use std::collections::{BTreeMap, BTreeSet};

use meshlive_protocol::archive::{Catalogue, day_name, hour_name};

use super::object::Status;

/// What a service was asked to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) cid: String,
    pub(super) requestid: String,
    pub(super) status: Status,
}

/// By the name of the hour or day.
pub(super) type Held = BTreeMap<String, Known>;

/// One request of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Keep this, in the place of another if there is one.
    Pin {
        what: String,
        cid: String,
        instead_of: Option<String>,
    },
    /// Keep it no longer.
    Remove { what: String, requestid: String },
    /// How far is it?
    Look { what: String, requestid: String },
}

/// `2026-11-22T10`
pub(super) fn name_of(hour: u64) -> String {
    format!("{}T{}", day_name(hour / 24), hour_name(hour))
}

/// What is to be asked, oldest first.
pub(super) fn plan(catalogue: &Catalogue, held: &BTreeSet<u64>, known: &Held) -> Vec<Step> {
    let hours = catalogue.hours();
    let newest_day = hours.keys().next_back().map(|hour| hour / 24);
    let (mut steps, mut done) = (Vec::new(), BTreeSet::new());
    for (day, link) in catalogue.days() {
        let (what, cid) = (day_name(*day), link.cid.to_string());
        let of_day = *day * 24..*day * 24 + 24;
        let whole = hours
            .range(of_day.clone())
            .all(|(hour, _)| held.contains(hour));
        let before = known.get(&what);
        let is_pinned = |one: &Known| one.cid == cid && one.status == Status::Pinned;
        let covered = before.is_some_and(is_pinned);
        for (hour, entry) in hours.range(of_day.clone()) {
            let (what, cid) = (name_of(*hour), entry.link.cid.to_string());
            match known.get(&what) {
                Some(one) if covered => steps.push(remove(&what, one)),
                None if covered || (before.is_some() && whole) => {}
                before => steps.extend(step(&what, &cid, held.contains(hour), before)),
            }
            done.insert(what);
        }
        let is_over = newest_day > Some(*day);
        let taken_down = catalogue
            .tombstones()
            .iter()
            .any(|hour| of_day.contains(hour));
        match before {
            // What was taken down is in the old one, and the new one cannot be had from here.
            Some(one) if one.cid != cid && !whole && taken_down => steps.push(remove(&what, one)),
            None if !is_over => {}
            before => steps.extend(step(&what, &cid, whole, before)),
        }
        done.insert(what);
    }
    // Nothing is left of these.
    let gone = known.iter().filter(|(what, _)| !done.contains(*what));
    steps.extend(gone.map(|(what, one)| remove(what, one)));
    steps
}

/// What is to be done for one that is wanted, which is here or not.
fn step(what: &str, cid: &str, here: bool, before: Option<&Known>) -> Option<Step> {
    let what = what.to_owned();
    let pin = |instead_of| {
        let (what, cid) = (what.clone(), cid.to_owned());
        here.then_some(Step::Pin {
            what,
            cid,
            instead_of,
        })
    };
    match before {
        None => pin(None),
        Some(one) if one.cid != cid || one.status == Status::Failed => {
            pin(Some(one.requestid.clone()))
        }
        Some(one) if one.status == Status::Pinned => None,
        Some(one) => Some(Step::Look {
            what,
            requestid: one.requestid.clone(),
        }),
    }
}

fn remove(what: &str, one: &Known) -> Step {
    Step::Remove {
        what: what.to_owned(),
        requestid: one.requestid.clone(),
    }
}
