//! Closing an hour: from what was written down to blocks, pins, and a signed entry.
//!
//! A crash anywhere in here leaves the hour open, and the next round does all of it again, to the same bytes.

use std::{
    io,
    time::{Duration, Instant},
};

use meshlive_protocol::archive::{
    self, Catalogue, Day, Entry, HOUR, Hour, HourEntry, Link, Made, What,
};

use super::{Archive, OWNER, OpenHour, SHARED, file_name, read, start};

/// An hour whose stream has stopped is closed so long after its end, microseconds: what was on its way is then here.
const PATIENCE: u64 = 10_000_000;
/// An hour that could not be closed is tried again after so long.
const PAUSE: Duration = Duration::from_secs(30);

impl Archive {
    /// Closes every hour that another has followed, or whose end the clock has passed. Pins what is new in the others.
    pub(super) fn close_what_is_over(&self, now: u64) {
        let hours: Vec<u64> = {
            let state = self.state();
            let is_over = |hour: u64| match state.current {
                Some(current) if current != hour => true,
                _ => (hour + 1) * HOUR + PATIENCE <= now,
            };
            state
                .open
                .keys()
                .copied()
                .filter(|hour| is_over(*hour))
                .collect()
        };
        let failed = self.state().failed;
        if failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
            return;
        }
        self.pin_open();
        if self.key.is_none() {
            return; // A mirror closes them when its origin has said how.
        }
        for hour in hours {
            let begun = Instant::now();
            match self.close(hour) {
                Ok(link) => {
                    let milliseconds = begun.elapsed().as_millis() as u64;
                    tracing::info!(stream = %self.stream, hour, cid = %link.cid, milliseconds, "an hour is in the archive");
                }
                Err(error) => {
                    self.state().failed = Some(Instant::now());
                    tracing::error!(stream = %self.stream, hour, %error, "an hour cannot be closed; it is tried again");
                }
            }
        }
    }

    /// Pins the packs of hours that are not over, so that they outlast the store's own patience.
    fn pin_open(&self) {
        let mut wanted = Vec::new();
        for (hour, open) in &mut self.state().open {
            for rendition in &open.hour.renditions {
                if open.pinned.insert(rendition.id.clone()) {
                    wanted.push((*hour, rendition.id.clone()));
                }
            }
        }
        for (hour, rendition) in wanted {
            if let Err(error) = self.store.pin(OWNER, &self.stream, &rendition, start(hour)) {
                let mut state = self.state();
                state.failed = Some(Instant::now());
                if let Some(open) = state.open.get_mut(&hour) {
                    open.pinned.remove(&rendition);
                }
                drop(state);
                tracing::error!(stream = %self.stream, hour, rendition, %error, "an hour cannot be pinned");
            }
        }
    }

    /// Closes one hour.
    fn close(&self, hour: u64) -> io::Result<Link> {
        let (mut contents, known, catalogue) = {
            let open = self.state().open.get(&hour).map(|open| open.hour.clone());
            let catalogue = self.catalogue();
            let known = catalogue.hours().get(&hour).copied();
            (open.unwrap_or_default(), known, catalogue)
        };
        if let Some(known) = known {
            // More came for an hour that had closed. What it had comes first.
            let mut before = read::hour(&self.store, known.link.cid)?;
            before.merge(contents);
            contents = before;
        }
        let made = contents.directory();
        let link = made.link;
        if known.is_some_and(|known| known.link == link) || contents.segments().len() == 0 {
            self.forget(hour, &contents)?;
            return Ok(link);
        }
        self.write(SHARED, hour, made)?;
        for rendition in &contents.renditions {
            self.store
                .pin(OWNER, &self.stream, &rendition.id, start(hour))?;
        }
        self.store.pin(OWNER, &self.stream, SHARED, start(hour))?;
        self.enter(hour, link, &contents, &catalogue)?;
        self.forget(hour, &contents)?;
        Ok(link)
    }

    /// Enters an hour whose blocks are here into its day, the stream's root and the list.
    pub(super) fn enter(
        &self,
        hour: u64,
        link: Link,
        contents: &Hour,
        catalogue: &Catalogue,
    ) -> io::Result<()> {
        let entry = HourEntry {
            link,
            duration: contents.duration(),
        };
        let mut day = Day::default();
        let of_day = hour / 24 * 24..hour / 24 * 24 + 24;
        for one in of_day {
            if one == hour {
                day.add(one, link, contents);
            } else if let Some(other) = catalogue.hours().get(&one) {
                self.add(&mut day, one, other.link);
            }
        }
        let day = self.write(SHARED, hour, day.directory())?;
        let mut days = catalogue.days().clone();
        days.insert(hour / 24, day);
        let root = self.write(SHARED, hour, archive::root(days))?;
        // All blocks are on the disk before anything says so.
        self.store.flush();
        self.publish(What::Hour { hour, entry, day }, Some(root))
    }

    /// Adds a closed hour to its day; one that was let go, or is damaged, is linked and not played.
    pub(super) fn add(&self, day: &mut Day, hour: u64, link: Link) {
        let contents = read::hour(&self.store, link.cid).unwrap_or_else(|error| {
            tracing::warn!(stream = %self.stream, hour, %error, "an hour is missing in its day's playlist");
            Hour::default()
        });
        day.add(hour, link, &contents);
    }

    /// Stores what was made; what is of no rendition in the pack `shared`.
    pub(super) fn write(&self, shared: &str, hour: u64, made: Made) -> io::Result<Link> {
        for block in &made.blocks {
            let place = block.rendition.as_deref().unwrap_or(shared);
            let outcome =
                self.store
                    .append(&self.stream, place, start(hour), &block.cid, &block.bytes)?;
            if outcome == crate::store::Outcome::NotStored {
                return Err(io::Error::new(
                    io::ErrorKind::StorageFull,
                    format!(
                        "block {} of the archive cannot be written: make room on the disk",
                        block.cid
                    ),
                ));
            }
        }
        Ok(made.link)
    }

    /// Signs the next entry of the list; on the disk when it returns.
    pub(super) fn publish(&self, what: What, root: Option<Link>) -> io::Result<()> {
        let mut list = self.list();
        let (epoch, sequence) = list.catalogue.last();
        // A list that was lost goes on behind all that it can have had.
        let epoch = if epoch == 0 {
            start(what.hour()) / 1_000_000
        } else {
            epoch
        };
        let entry = Entry {
            epoch,
            sequence: sequence + 1,
            what,
            root,
        };
        list.catalogue.follows(&entry).map_err(io::Error::other)?;
        let key = self.key.as_ref().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::Unsupported,
                "only the origin of a stream signs the list of its hours",
            )
        })?;
        let signed = entry.sign(key);
        list.journal.append(&signed)?;
        list.journal.sync()?;
        list.take(&entry, signed.into()).map_err(io::Error::other)
    }

    /// The hour is in the list: what was written down of it is not needed any more.
    fn forget(&self, hour: u64, closed: &Hour) -> io::Result<()> {
        let mut state = self.state();
        // A segment that came meanwhile keeps it open.
        let is_in = |open: &OpenHour| {
            let mut segments = open.hour.segments();
            segments.all(|segment| closed.segment(segment.msn).is_some())
        };
        if state.open.get(&hour).is_some_and(is_in) {
            state.open.remove(&hour);
            self.store
                .remove_side_journal(&self.stream, &file_name(hour))?;
        }
        Ok(())
    }
}
