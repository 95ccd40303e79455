//! What an operator calls an hour (its title), and what begins at a time (a chapter). They lie beside the list, in records of
//! their own (`titles.log`), since they change and the list does not: `kind: u8 (t or c) ++ time: u64, µs since 1970 ++ text`; an
//! empty text takes one back.

use std::{collections::BTreeMap, io, ops::Range};

use meshlive_protocol::archive::HOUR;

use crate::store::Journal;

/// Longest text.
const MAX_TEXT_BYTES: usize = 200;
/// Titles and chapters of one stream.
const MAX_LABELS: usize = 10_000;

const TITLE: u8 = b't';
const CHAPTER: u8 = b'c';

/// Those of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// By the hour, counted from 1970.
    pub titles: BTreeMap<u64, String>,
    /// By the time, µs since 1970.
    pub chapters: BTreeMap<u64, String>,
}

impl Labels {
    /// Those of earlier runs.
    pub(super) fn read(journal: &mut Journal) -> Self {
        let mut labels = Self::default();
        for record in journal.take_records() {
            if labels.apply(&record).is_none() {
                tracing::warn!("a title of the archive cannot be read");
            }
        }
        labels
    }

    /// The chapters of a time, µs since 1970.
    pub fn within(&self, time: &Range<u64>) -> impl Iterator<Item = (u64, &str)> {
        let chapters = self.chapters.range(time.clone());
        chapters.map(|(at, text)| (*at, text.as_str()))
    }

    fn apply(&mut self, record: &[u8]) -> Option<()> {
        let (kind, rest) = record.split_first()?;
        let (time, text) = rest.split_first_chunk()?;
        let time = u64::from_le_bytes(*time);
        let text = str::from_utf8(text).ok()?;
        let (place, key) = match *kind {
            TITLE => (&mut self.titles, time / HOUR),
            CHAPTER => (&mut self.chapters, time),
            _ => return None,
        };
        if text.is_empty() {
            place.remove(&key);
        } else {
            place.insert(key, text.to_owned());
        }
        Some(())
    }

    /// Sets one, and writes it down.
    pub(super) fn set(
        &mut self,
        journal: &mut Journal,
        is_title: bool,
        time: u64,
        text: &str,
    ) -> io::Result<()> {
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        if text.len() > MAX_TEXT_BYTES || text.contains(char::is_control) {
            return Err(invalid(format!(
                "{text:?} is no title: give at most {MAX_TEXT_BYTES} bytes without control characters"
            )));
        }
        if !text.is_empty() && self.titles.len() + self.chapters.len() >= MAX_LABELS {
            return Err(invalid(format!(
                "there are {MAX_LABELS} titles and chapters: take some back with an empty text"
            )));
        }
        let kind = if is_title { TITLE } else { CHAPTER };
        let record = [&[kind][..], &time.to_le_bytes(), text.as_bytes()].concat();
        journal.append(&record)?;
        journal.sync()?;
        self.apply(&record);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::archive::tests::{Run, TEN};

    use super::*;

    #[test]
    fn titles_and_chapters_stay_and_can_be_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let at = TEN + 300_000_000;
        {
            let run = Run::start(folder.path(), TEN);
            let archive = run.air().archive();
            archive.set_title(TEN / HOUR, "Opening").unwrap();
            archive.set_chapter(at, "Questions").unwrap();
            archive.set_chapter(at + 1, "Nothing").unwrap();
            archive.set_chapter(at + 1, "").unwrap();
            for bad in ["a\nb", &"x".repeat(MAX_TEXT_BYTES + 1)] {
                let error = archive.set_chapter(at, bad).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            }
        }
        let run = Run::start(folder.path(), TEN);
        let labels = run.air().archive().labels();
        assert_eq!(labels.titles.get(&(TEN / HOUR)).unwrap(), "Opening");
        let within = |time: Range<u64>| {
            labels
                .within(&time)
                .map(|(_, text)| text.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(within(TEN..TEN + HOUR), ["Questions"]);
        assert_eq!(within(TEN..at), [""; 0]);
    }

    #[test]
    fn there_are_so_many_at_most_and_garbage_is_passed_over() {
        let mut labels = Labels::default();
        for record in [&b""[..], b"t", b"x12345678a", b"c12345678\xff"] {
            assert_eq!(labels.apply(record), None);
        }
        assert_eq!(labels, Labels::default());
        labels.chapters = (0..MAX_LABELS as u64)
            .map(|at| (at, String::new()))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let run = Run::start(folder.path(), TEN);
        let name = run.air().archive().stream().clone();
        let mut journal = run.store.side_journal(&name, "other.log").unwrap();
        assert!(labels.set(&mut journal, true, TEN, "one more").is_err());
        labels.set(&mut journal, false, 0, "").unwrap();
        assert_eq!(labels.chapters.len(), MAX_LABELS - 1);
    }
}
