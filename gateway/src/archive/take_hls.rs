//! Takes a directory of HLS in that was made elsewhere: FFmpeg reads it, the packager cuts it as if it had been published
//! then, and its hours are closed.

use std::{collections::BTreeMap, io, path::Path};

use cid::Cid;
use meshlive_protocol::{
    archive::{HOUR, Hour, Link, Segment, Strand, day_name, hour_name},
    dag,
    manifest::Rendition,
};

use super::{Archive, OWNER, SHARED, playlist::Playlist, start};
use crate::{
    ingest::{self, offline},
    package::{self, Numbers, Packaged, Packager},
    publish::describe,
    store::Outcome,
};

/// What became of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Hours (counted from 1970) and their directories.
    pub hours: Vec<(u64, Cid)>,
    /// What could not be carried as it was.
    pub notices: Vec<String>,
}

/// Notices that are kept.
const MAX_NOTICES: usize = 20;

impl Archive {
    /// Takes a directory of HLS in, or one playlist of it, at the time that it says, or `at` (µs since 1970); only whole hours
    /// that the list does not have. `told` hears of each block's bytes.
    ///
    /// # Errors
    /// `InvalidData` or `NotFound` where something in it is missing or is of another form, `AlreadyExists` where the list has
    /// one of its hours, and whatever the file system says. Nothing is in the list then.
    pub fn take_hls(
        &self,
        path: &Path,
        at: Option<u64>,
        told: &mut dyn FnMut(u64),
    ) -> io::Result<Imported> {
        let playlist = Playlist::find(path)?;
        let about = |why: &str| {
            let message = format!("{}: {why}", playlist.path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let begin = at.or(playlist.start).ok_or_else(|| {
            about("it does not say when it was (EXT-X-PROGRAM-DATE-TIME): give --at")
        })?;
        let known = self.catalogue();
        for hour in begin / HOUR..=(begin + playlist.duration) / HOUR {
            if known.hours().contains_key(&hour) || self.state().open.contains_key(&hour) {
                let message = format!(
                    "{}T{} is in the archive already: take it in as another stream",
                    day_name(hour / 24),
                    hour_name(hour)
                );
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
            }
        }
        // Numbers of which no live stream is near: the seconds since 1970.
        let numbers = Numbers {
            segment: begin / 1_000_000,
            init: 0,
            discontinuity: true,
        };
        let mut taking = Taking {
            archive: self,
            told,
            renditions: Vec::new(),
            number: 0,
            open: None,
            hours: BTreeMap::new(),
            imported: Imported::default(),
        };
        let mut packager = Packager::new(package::Settings::default(), numbers);
        let options = [("protocol_whitelist", "file".to_owned())];
        let url = playlist.path.to_string_lossy();
        let mut failed = None;
        let read = offline::read(
            &url,
            &options,
            ingest::Settings::default(),
            begin,
            &mut |event, now| {
                for packaged in packager.handle(event, now) {
                    if let Err(error) = taking.take(packaged) {
                        failed = Some(error);
                        return Err(ingest::Error::Stopped);
                    }
                }
                Ok(())
            },
        );
        if let Some(error) = failed {
            return Err(error);
        }
        read.map_err(|error| about(&error.to_string()))?;
        let Taking {
            hours,
            mut imported,
            ..
        } = taking;
        let taken: u64 = hours.values().map(Hour::duration).sum();
        // A key frame that is missing at the beginning or the end costs a little; more is not what was promised.
        if taken + 4_000_000 < playlist.duration {
            return Err(about(&format!(
                "of {:.1} s only {:.1} s can be read: {}",
                playlist.duration as f64 / 1e6,
                taken as f64 / 1e6,
                imported.notices.join("; ")
            )));
        }
        for (hour, contents) in hours {
            let link = self.write(SHARED, hour, contents.directory())?;
            for rendition in &contents.renditions {
                self.store
                    .pin(OWNER, &self.stream, &rendition.id, start(hour))?;
            }
            self.store.pin(OWNER, &self.stream, SHARED, start(hour))?;
            self.enter(hour, link, &contents, &self.catalogue())?;
            imported.hours.push((hour, link.cid));
        }
        Ok(imported)
    }
}

/// What the packager has made so far.
struct Taking<'a> {
    archive: &'a Archive,
    told: &'a mut dyn FnMut(u64),
    renditions: Vec<package::Rendition>,
    /// Of their init segments.
    number: u32,
    open: Option<Open>,
    hours: BTreeMap<u64, Hour>,
    imported: Imported,
}

/// A segment that has not all its parts: of each rendition CID, bytes and µs of every part.
struct Open {
    msn: u64,
    start: u64,
    discontinuity: bool,
    parts: Vec<Vec<(Cid, u64, u64)>>,
}

impl Taking<'_> {
    fn take(&mut self, packaged: Packaged) -> io::Result<()> {
        match packaged {
            Packaged::Renditions { number, renditions } => {
                (self.number, self.renditions) = (number, renditions);
            }
            Packaged::Opened {
                segment,
                start,
                discontinuity,
                ..
            } => {
                let parts = vec![Vec::new(); self.renditions.len()];
                self.open = Some(Open {
                    msn: segment,
                    start,
                    discontinuity,
                    parts,
                });
            }
            Packaged::Parts { parts, .. } => {
                let Some(open) = &mut self.open else {
                    return Ok(());
                };
                let at = open.start;
                for (index, part) in parts.into_iter().enumerate() {
                    let cid = dag::cid_of(&part.data);
                    let place = (part.data.len() as u64, u64::from(part.duration));
                    open.parts[index].push((cid, place.0, place.1));
                    keep(
                        self.archive,
                        &self.renditions[index].id,
                        at,
                        cid,
                        &part.data,
                    )?;
                    (self.told)(place.0);
                }
            }
            Packaged::Closed { .. } => self.close()?,
            Packaged::Notice(notice) => {
                let notices = &mut self.imported.notices;
                if notices.len() < MAX_NOTICES && !notices.contains(&notice) {
                    notices.push(notice);
                }
            }
            Packaged::Title(_) | Packaged::End => {}
        }
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let mut strands = Vec::new();
        let hour = self.hours.entry(open.start / HOUR).or_default();
        for (one, parts) in self.renditions.iter().zip(open.parts) {
            if parts.is_empty() {
                continue;
            }
            let sizes: Vec<_> = parts.iter().map(|(cid, bytes, _)| (*cid, *bytes)).collect();
            let (file, node) = dag::segment_file(&sizes);
            let init = dag::cid_of(&one.init);
            keep(self.archive, &one.id, open.start, init, &one.init)?;
            keep(self.archive, &one.id, open.start, file, &node)?;
            let described: Rendition = describe(one);
            hour.describe(&described);
            strands.push(Strand {
                rendition: one.id.as_str().into(),
                init: Link {
                    cid: init,
                    bytes: one.init.len() as u64,
                },
                file: Link {
                    cid: file,
                    bytes: sizes.iter().map(|(_, bytes)| bytes).sum::<u64>() + node.len() as u64,
                },
                duration: parts.iter().map(|(_, _, micros)| micros).sum(),
            });
        }
        let segment = Segment {
            msn: open.msn,
            start: open.start,
            discontinuity: open.discontinuity,
            init: self.number,
            strands,
        };
        if !segment.strands.is_empty() && !hour.add(segment) {
            let message = "an hour of it has more segments than an hour can have";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(())
    }
}

fn keep(archive: &Archive, rendition: &str, at: u64, cid: Cid, bytes: &[u8]) -> io::Result<()> {
    let hour = start(at / HOUR);
    match archive
        .store
        .append(&archive.stream, rendition, hour, &cid, bytes)?
    {
        Outcome::NotStored => Err(io::Error::new(
            io::ErrorKind::StorageFull,
            "make room on the disk",
        )),
        _ => Ok(()),
    }
}
