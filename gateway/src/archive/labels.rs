//! What an operator calls an hour (its title), and what begins at a time (a chapter): entries of the signed list, so that mirrors
//! have them, too, and nobody else changes them.

use std::io;

use meshlive_protocol::archive::{Labelled, Labels, MAX_LABELS, MAX_TITLE_BYTES, What};

use super::Archive;

impl Archive {
    /// What hours and times in them are called.
    pub fn labels(&self) -> Labels {
        self.list().catalogue.labels().clone()
    }

    /// Calls an hour, or what begins at a time, so; with an empty text no longer. On the disk when it returns.
    ///
    /// # Errors
    /// `InvalidInput` for a text that is longer than 200 bytes or of more than one line, and where there are too many;
    /// `Unsupported` at a mirror; and whatever the file system says.
    pub fn label(&self, of: Labelled, text: &str) -> io::Result<()> {
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        if text.len() > MAX_TITLE_BYTES || text.contains(char::is_control) {
            return Err(invalid(format!(
                "{text:?} is no title: give at most {MAX_TITLE_BYTES} bytes without control characters"
            )));
        }
        let labels = self.labels();
        if !text.is_empty() && labels.titles.len() + labels.chapters.len() >= MAX_LABELS {
            return Err(invalid(format!(
                "there are {MAX_LABELS} titles and chapters: take some back with an empty text"
            )));
        }
        let text = text.to_owned();
        self.publish(What::Label { of, text }, None)
    }
}

#[cfg(test)]
mod tests {
    use meshlive_protocol::archive::HOUR;

    use crate::archive::tests::{Run, TEN};

    use super::*;

    #[test]
    fn titles_and_chapters_stay_and_can_be_taken_back_and_a_mirror_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = TEN + 300_000_000;
        {
            let run = Run::start(folder.path(), TEN);
            let archive = run.air().archive();
            let label = |of, text: &str| archive.label(of, text);
            label(Labelled::Hour(TEN / HOUR), "Opening").unwrap();
            label(Labelled::Chapter(at), "Questions").unwrap();
            label(Labelled::Chapter(at + 1), "Nothing").unwrap();
            label(Labelled::Chapter(at + 1), "").unwrap();
            for bad in ["a\nb", &"x".repeat(MAX_TITLE_BYTES + 1)] {
                let error = label(Labelled::Chapter(at), bad).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            }
        }
        let run = Run::start(folder.path(), TEN);
        let archive = run.air().archive();
        let labels = archive.labels();
        assert_eq!(labels.titles.get(&(TEN / HOUR)).unwrap(), "Opening");
        assert_eq!(
            labels.within(&(TEN..TEN + HOUR)).collect::<Vec<_>>(),
            [(at, "Questions")]
        );

        let other = tempfile::tempdir().unwrap();
        let there = Run::start(other.path(), TEN);
        let mirror = Archive::of_mirror(archive.stream().clone(), there.store.clone()).unwrap();
        let entries = archive.entries(0, 100);
        assert_eq!(mirror.learn(&entries).unwrap(), 4);
        assert_eq!(mirror.labels(), labels);
        // What is told again, or was signed by another, changes nothing.
        archive
            .label(Labelled::Hour(TEN / HOUR), "Welcome")
            .unwrap();
        assert_eq!(mirror.learn(&archive.entries(4, 100)).unwrap(), 1);
        assert_eq!(mirror.learn(&entries).unwrap(), 0);
        let stranger = there.air().archive();
        stranger.label(Labelled::Hour(TEN / HOUR), "Mine").unwrap();
        assert!(mirror.learn(&stranger.entries(0, 100)).is_err());
        assert_eq!(mirror.labels().titles[&(TEN / HOUR)], "Welcome");
        let error = mirror.label(Labelled::Chapter(at), "x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }
}
