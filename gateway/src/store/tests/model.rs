//! Any sequence of operations, beside a model in memory that knows what must be there.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{super::*, *};
use crate::store::key::HOUR;

/// Blocks are told apart by a number below this.
const BLOCKS: u64 = 24;

#[derive(Debug, Clone)]
enum Operation {
    Append {
        block: u64,
        rendition: usize,
        hour: u64,
    },
    NeededSince(u64),
    Pin {
        rendition: usize,
        hour: u64,
    },
    Unpin {
        rendition: usize,
        hour: u64,
    },
    Flush,
    Close,
    Tidy,
    DropOldest,
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    let place = || (0..2usize, 0..6u64);
    prop_oneof![
        8 => (0..BLOCKS, place()).prop_map(|(block, (rendition, hour))| Operation::Append { block, rendition, hour }),
        1 => (0..6u64).prop_map(Operation::NeededSince),
        1 => place().prop_map(|(rendition, hour)| Operation::Pin { rendition, hour }),
        1 => place().prop_map(|(rendition, hour)| Operation::Unpin { rendition, hour }),
        1 => Just(Operation::Flush),
        2 => Just(Operation::Close),
        2 => Just(Operation::Tidy),
        2 => Just(Operation::DropOldest),
        1 => Just(Operation::Reopen),
    ]
}

const RENDITIONS: [&str; 2] = ["360p", "720p"];

/// Packs by hour, rendition and the order in which they were made.
#[derive(Default)]
struct Model {
    packs: BTreeMap<(u64, usize, usize), Pack>,
    made: usize,
    pins: BTreeSet<(u64, usize)>,
    from: Option<u64>,
    newest: Option<u64>,
}

#[derive(Default)]
struct Pack {
    blocks: BTreeSet<u64>,
    closed: bool,
}

impl Model {
    fn append(&mut self, block: u64, rendition: usize, hour: u64) -> Outcome {
        self.newest = self.newest.max(Some(hour));
        self.from.get_or_insert(hour);
        let open = self
            .packs
            .range_mut((hour, rendition, 0)..=(hour, rendition, usize::MAX))
            .next_back();
        if let Some((_, pack)) = open.filter(|(_, pack)| !pack.closed) {
            return if pack.blocks.insert(block) {
                Outcome::Stored
            } else {
                Outcome::Present
            };
        }
        self.made += 1;
        let pack = Pack {
            blocks: BTreeSet::from([block]),
            closed: false,
        };
        self.packs.insert((hour, rendition, self.made), pack);
        Outcome::Stored
    }

    fn drop_oldest(&mut self) -> Option<()> {
        let is_live = |hour: u64| {
            self.from.is_some_and(|from| hour >= from)
                && self.newest.is_none_or(|newest| hour <= newest)
        };
        let oldest = self.packs.keys().find(|(hour, rendition, _)| {
            !is_live(*hour) && !self.pins.contains(&(*hour, *rendition))
        });
        let oldest = *oldest?;
        self.packs.remove(&oldest).map(drop)
    }

    fn has(&self, block: u64) -> bool {
        self.packs.values().any(|pack| pack.blocks.contains(&block))
    }
}

fn run(operations: Vec<Operation>) -> Result<(), TestCaseError> {
    let folder = memory_folder();
    let (mut store, mut model) = (open(folder.path()), Model::default());
    for operation in operations {
        match operation {
            Operation::Append {
                block: n,
                rendition,
                hour,
            } => {
                let outcome = put(
                    &store,
                    RENDITIONS[rendition],
                    hour * HOUR + n,
                    &block(n, 30),
                );
                prop_assert_eq!(outcome, model.append(n, rendition, hour));
            }
            Operation::NeededSince(hour) => {
                store.needed_since(&STREAM, hour * HOUR);
                model.from = Some(hour);
            }
            Operation::Pin { rendition, hour } => {
                store
                    .pin("test", &STREAM, RENDITIONS[rendition], hour * HOUR)
                    .unwrap();
                model.pins.insert((hour, rendition));
            }
            Operation::Unpin { rendition, hour } => {
                store
                    .unpin("test", &STREAM, RENDITIONS[rendition], hour * HOUR)
                    .unwrap();
                model.pins.remove(&(hour, rendition));
            }
            Operation::Flush => store.flush(),
            Operation::Close => {
                store.close_all().unwrap();
                model.packs.values_mut().for_each(|pack| pack.closed = true);
            }
            Operation::Tidy => store.tidy(),
            Operation::DropOldest => {
                prop_assert_eq!(store.inner.drop_oldest(None), model.drop_oldest())
            }
            Operation::Reopen => {
                drop(store);
                store = open(folder.path());
                (model.from, model.newest) = (None, None);
            }
        }
        for n in 0..BLOCKS {
            prop_assert_eq!(has(&store, &block(n, 30)), model.has(n), "block {}", n);
        }
        prop_assert_eq!(store.stats().packs, model.packs.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_store_does_what_the_model_does(operations in prop::collection::vec(operation(), 1..60)) {
        run(operations)?;
    }
}
