use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Act {
    Insert(u8, u16),
    OrInsert(u8, u16),
    Remove(u8),
    Change(u8, u16),
    PopFirst,
    PopLast,
    Retain(u8),
    ChangeAll(u16),
    RemoveWhile(u8),
    Clear,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => any::<(u8, u16)>().prop_map(|(key, value)| Act::Insert(key, value)),
        4 => any::<(u8, u16)>().prop_map(|(key, value)| Act::OrInsert(key, value)),
        4 => any::<u8>().prop_map(Act::Remove),
        4 => any::<(u8, u16)>().prop_map(|(key, value)| Act::Change(key, value)),
        2 => Just(Act::PopFirst),
        2 => Just(Act::PopLast),
        1 => (2..9u8).prop_map(Act::Retain),
        1 => any::<u16>().prop_map(Act::ChangeAll),
        1 => (0..64u8).prop_map(Act::RemoveWhile),
        1 => Just(Act::Clear),
    ]
}

proptest! {
    #[test]
    fn a_map_is_as_a_btree_map(acts in prop::collection::vec(act(), 0..400)) {
        let (mut ours, mut theirs) = (SortedMap::new(), BTreeMap::new());
        for act in acts {
            match act {
                Act::Insert(key, value) => {
                    prop_assert_eq!(ours.insert(key, value), theirs.insert(key, value));
                }
                Act::OrInsert(key, value) => prop_assert_eq!(
                    ours.or_insert_with(key, || value),
                    theirs.entry(key).or_insert(value)
                ),
                Act::Remove(key) => prop_assert_eq!(ours.remove(&key), theirs.remove(&key)),
                Act::Change(key, value) => {
                    prop_assert_eq!(ours.get(&key), theirs.get(&key));
                    prop_assert_eq!(ours.contains_key(&key), theirs.contains_key(&key));
                    let (one, other) = (ours.get_mut(&key), theirs.get_mut(&key));
                    prop_assert_eq!(one.as_deref(), other.as_deref());
                    for known in one.into_iter().chain(other) {
                        *known = value;
                    }
                }
                Act::PopFirst => {
                    prop_assert_eq!(ours.first(), theirs.first_key_value());
                    prop_assert_eq!(ours.pop_first(), theirs.pop_first());
                }
                Act::PopLast => prop_assert_eq!(ours.pop_last(), theirs.pop_last()),
                Act::Retain(by) => {
                    let stays = |key: &u8, value: &mut u16| {
                        *value = value.wrapping_add(1);
                        !key.is_multiple_of(by)
                    };
                    ours.retain(stays);
                    theirs.retain(stays);
                }
                Act::ChangeAll(by) => {
                    for known in ours.values_mut().chain(theirs.values_mut()) {
                        *known ^= by;
                    }
                    for (key, known) in ours.iter_mut().chain(theirs.iter_mut()) {
                        *known ^= u16::from(*key);
                    }
                }
                Act::RemoveWhile(_) => {}
                Act::Clear => (ours, theirs) = Default::default(),
            }
            prop_assert_eq!((ours.len(), ours.is_empty()), (theirs.len(), theirs.is_empty()));
            prop_assert!(ours.iter().eq(theirs.iter()));
            prop_assert!(ours.keys().eq(theirs.keys()) && ours.values().eq(theirs.values()));
        }
        prop_assert!(ours.into_iter().eq(theirs));
    }

    #[test]
    fn a_set_is_as_a_btree_set(acts in prop::collection::vec(act(), 0..400)) {
        let (mut ours, mut theirs) = (SortedSet::new(), BTreeSet::new());
        for act in acts {
            match act {
                Act::Insert(key, _) | Act::OrInsert(key, _) => {
                    prop_assert_eq!(ours.insert(key), theirs.insert(key));
                }
                Act::Remove(key) => prop_assert_eq!(ours.remove(&key), theirs.remove(&key)),
                Act::Change(key, _) => prop_assert_eq!(ours.contains(&key), theirs.contains(&key)),
                Act::PopFirst | Act::PopLast => {
                    prop_assert_eq!(ours.pop_first(), theirs.pop_first());
                }
                Act::Retain(by) => {
                    ours.retain(|key| !key.is_multiple_of(by));
                    theirs.retain(|key| !key.is_multiple_of(by));
                }
                Act::RemoveWhile(below) => {
                    ours.remove_while(|key| *key < below);
                    theirs = theirs.split_off(&below);
                }
                Act::ChangeAll(_) => {}
                Act::Clear => {
                    ours.clear();
                    theirs.clear();
                }
            }
            prop_assert_eq!((ours.len(), ours.is_empty()), (theirs.len(), theirs.is_empty()));
            prop_assert!(ours.iter().eq(theirs.iter()));
        }
        prop_assert!(ours.into_iter().eq(theirs));
    }
}

#[test]
fn what_is_new_is_found_wherever_it_came() {
    let mut map = SortedMap::new();
    for key in [5, 1, 9, 3, 7, 5] {
        map.insert(key, key * 10);
    }
    assert!(map.keys().eq(&[1, 3, 5, 7, 9]));
    assert_eq!(map.get(&7), Some(&70));
    assert_eq!(map.get(&8), None);
    assert_eq!(map.first(), Some((&1, &10)));
    assert_eq!(
        (map.pop_first(), map.pop_last()),
        (Some((1, 10)), Some((9, 90)))
    );
    assert_eq!(*map.or_insert_with(4, || 1), 1);
    assert_eq!(*map.or_insert_with(4, || 2), 1);
    assert!(map.keys().eq(&[3, 4, 5, 7]));
}
