//! Taking an hour down: a signed entry says that it is no longer offered, and what is held of it here goes,
//! also in clips. What others
//! hold stays with them; mirrors may follow.

use std::io;

use meshlive_protocol::archive::{self, Day, What};

use super::{Archive, OWNER, clip::CLIP, file_name, start};

/// The directories that a tombstone leaves behind lie in a pack of this name, in the hour that it is of.
const LEFT_BEHIND: &str = "tombstone.archive";

impl Archive {
    /// Takes down a closed hour (counted from 1970). When it returns, the list says so, on the disk.
    ///
    /// # Errors
    /// `NotFound` where the list has no such hour, and whatever the file system says.
    pub fn take_down(&self, hour: u64) -> io::Result<()> {
        let catalogue = self.catalogue();
        if !catalogue.hours().contains_key(&hour) {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the list has no such hour: `archive ls` shows those that it has",
            ));
        }
        let mut day = Day::default();
        let (mut others, of_day) = (0, hour / 24 * 24..hour / 24 * 24 + 24);
        for (one, entry) in catalogue
            .hours()
            .range(of_day)
            .filter(|(one, _)| **one != hour)
        {
            self.add(&mut day, *one, entry.link);
            others += 1;
        }
        let mut days = catalogue.days().clone();
        let day = match others {
            0 => None,
            _ => Some(self.write(LEFT_BEHIND, hour, day.directory())?),
        };
        match day {
            Some(day) => days.insert(hour / 24, day),
            None => days.remove(&(hour / 24)),
        };
        let root = self.write(LEFT_BEHIND, hour, archive::root(days))?;
        self.store.flush();
        self.publish(What::Tombstone { hour, day }, Some(root))?;
        // What came late for it, and would close it anew.
        if self.state().open.remove(&hour).is_some() {
            self.store
                .remove_side_journal(&self.stream, &file_name(hour))?;
        }
        self.release(hour);
        self.store.unpin(CLIP, &self.stream, CLIP, start(hour))?;
        self.store
            .pin(OWNER, &self.stream, LEFT_BEHIND, start(hour))?;
        self.store.give_up_hour(&self.stream, start(hour))
    }
}
