//! `archive`: what is past, from a shell. It needs the data folder for itself: a gateway that runs shows the same on its page.

use std::{
    fs::File,
    io::{self, BufWriter},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};

use meshlive_gateway::{
    archive::{
        Archive, Rule,
        car::{self, Car, Taken},
        forecast::{Forecast, Growth, forecast},
        read_back,
    },
    config::StreamSettings,
    keys::Keys,
    pinning::{self, Status},
    publish,
    store::Store,
};
use meshlive_protocol::{
    archive::{HOUR, HourEntry, Labelled, Link, day_name, hour_name},
    key::SigningKey,
    name::StreamName,
    time::day_of,
};

use super::{Failure, bar::Bar, place::Place, print};

#[derive(Args)]
pub(super) struct ArchiveCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Show days and hours, with their CIDs and sizes
    Ls(Stream),
    /// Write an hour or a day as a CAR, which any IPFS tool reads
    Export {
        /// 2026-11-22T10 (an hour, UTC) or 2026-11-22 (a day)
        what: String,
        /// The file to make
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        #[command(flatten)]
        stream: Stream,
    },
    /// Take in a CAR of an hour, a day or a whole stream: what is missing or damaged here is whole again; or HLS
    Import {
        /// A CAR as export writes it, or `ipfs dag export`; a directory of HLS, or one playlist (.m3u8) of it
        file: PathBuf,
        /// When HLS was, where it does not say so itself: 2026-11-22T10:05:00 (UTC)
        #[arg(long)]
        at: Option<String>,
        #[command(flatten)]
        stream: Stream,
    },
    /// Read everything back, and name what is missing or damaged
    Verify(Stream),
    /// Show what pinning services keep ([[pinning.services]] of the configuration), and how far each is
    Pins(Stream),
    /// Make a clip: a directory of its own, which has a CID and stays when its hours go
    Clip {
        /// 2026-11-22T10:05:00 (UTC)
        from: String,
        /// As FROM
        to: String,
        #[command(flatten)]
        stream: Stream,
    },
    /// Say what an hour is called: on the page, in the feed and in its MP4. An empty text takes it back
    Title {
        /// 2026-11-22T10 (an hour, UTC)
        hour: String,
        /// At most 200 bytes
        text: String,
        #[command(flatten)]
        stream: Stream,
    },
    /// Say what begins at a time: a chapter on the page, in the feed and in MP4s. An empty text takes it back
    Chapter {
        /// 2026-11-22T10:05:00 (UTC)
        at: String,
        /// At most 200 bytes
        text: String,
        #[command(flatten)]
        stream: Stream,
    },
    /// Take an hour down: a signed entry in the list says that it is no longer offered, and it is deleted here. What others
    /// hold stays with them, until they follow
    Tombstone {
        /// 2026-11-22T10 (an hour, UTC)
        hour: String,
        #[command(flatten)]
        stream: Stream,
    },
}

#[derive(Args)]
struct Stream {
    /// Alias of the stream, or the name of one that is mirrored; needed where there are several
    #[arg(long, value_name = "ALIAS")]
    stream: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Runs `archive …`.
pub(super) fn run(command: &ArchiveCommand) -> Result<(), Failure> {
    match &command.what {
        What::Ls(stream) => list(&stream.open()?),
        What::Export {
            what,
            output,
            stream,
        } => export(&stream.open()?, what, output),
        What::Import { file, at, stream } => {
            let at = at.as_deref().map(time).transpose()?;
            let is_hls = file.is_dir() || file.extension().is_some_and(|end| end == "m3u8");
            let opened = stream.open()?;
            match at {
                _ if is_hls => import_hls(&opened, file, at),
                None => import(&opened, file),
                Some(_) => Err(Failure::Failed(
                    "--at is for HLS: a CAR says when it was".into(),
                )),
            }
        }
        What::Verify(stream) => verify(&stream.open()?),
        What::Pins(stream) => pins(&stream.open()?),
        What::Clip { from, to, stream } => clip(&stream.open()?, from, to),
        What::Title { hour, text, stream } => title(&stream.open()?, hour, text),
        What::Chapter { at, text, stream } => {
            let opened = stream.open()?;
            let chapter = Labelled::Chapter(time(at)?);
            opened.archive.label(chapter, text).map_err(failed)
        }
        What::Tombstone { hour, stream } => take_down(&stream.open()?, hour),
    }
}

/// A stream's archive and the store it is in.
struct Opened {
    archive: Archive,
    store: Store,
    /// How much of it is kept while a gateway runs.
    rule: Rule,
}

enum Whose {
    Own(SigningKey),
    Mirrored(StreamName),
}

impl Stream {
    fn open(&self) -> Result<Opened, Failure> {
        let config = self.place.settings()?;
        let keys = Keys::open(&config.data).and_then(|keys| keys.list());
        let keys = keys.map_err(failed)?;
        let store = Store::open(&config.data.join("store"), config.store).map_err(failed)?;
        let own = keys.into_iter();
        let own = own.map(|entry| (entry.alias, Whose::Own(entry.signing_key)));
        let mirrored = store.streams_with(publish::MIRRORED).into_iter();
        let mirrored = mirrored.map(|name| (name.to_string(), Whose::Mirrored(name)));
        let mut all: Vec<_> = own.chain(mirrored).collect();
        if let Some(asked) = &self.stream {
            all.retain(|(alias, _)| alias == asked);
        }
        let aliases: Vec<_> = all.iter().map(|(alias, _)| alias.clone()).collect();
        let (alias, whose) = match <[_; 1]>::try_from(all) {
            Ok([found]) => found,
            Err(all) if all.is_empty() => {
                let name = self.stream.as_deref().unwrap_or("any stream");
                return Err(Failure::Failed(format!(
                    "data {:?} has no keys of {name} and no mirror of it: `keys list` shows all keys, and a mirror's streams are called by their names (k51…)",
                    config.data
                )));
            }
            Err(_) => {
                return Err(Failure::Failed(format!(
                    "there are several streams: give --stream with one of {}",
                    aliases.join(", ")
                )));
            }
        };
        let own = config.streams.get(&alias).map(StreamSettings::archive_rule);
        let rule = config.archive.rule(&own.unwrap_or_default());
        let archive = match whose {
            Whose::Own(key) => Archive::of(Arc::new(key), store.clone()),
            Whose::Mirrored(name) => Archive::of_mirror(name, store.clone()),
        };
        let archive = archive.map_err(failed)?;
        Ok(Opened {
            archive,
            store,
            rule,
        })
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}

fn list(opened: &Opened) -> Result<(), Failure> {
    let Opened {
        archive,
        store,
        rule,
    } = opened;
    let (catalogue, held) = (archive.catalogue(), archive.held());
    let labels = archive.labels();
    let elsewhere = pinning::remembered(store, archive.stream()).map_err(failed)?;
    let kept_elsewhere = |what: &str| {
        let pinned = elsewhere.iter().filter(|pin| pin.status == Status::Pinned);
        let of = pinned.filter(|pin| pin.what == what);
        of.map(|pin| format!("  pinned at {}", pin.service()))
            .collect::<String>()
    };
    let mut out = String::new();
    for hour in catalogue.tombstones() {
        out += &format!("{}  taken down\n", name(*hour));
    }
    for (day, link) in catalogue.days() {
        let elsewhere = kept_elsewhere(&day_name(*day));
        out += &format!(
            "{}     {:>12}  {}{elsewhere}\n",
            day_name(*day),
            link.bytes,
            link.cid
        );
        for (hour, entry) in catalogue.hours().range(day * 24..day * 24 + 24) {
            let kept = if held.contains(hour) {
                ""
            } else {
                "  not kept here"
            };
            let elsewhere = kept_elsewhere(&name(*hour));
            let Link { bytes, cid } = entry.link;
            let minutes = entry.duration as f64 / 60e6;
            let name = hour_name(*hour);
            let title = labels.titles.get(hour);
            let title = title.map_or(String::new(), |title| format!("  {title}"));
            out += &format!(
                "           T{name}  {bytes:>12}  {cid}  {minutes:.1} min{kept}{elsewhere}{title}\n"
            );
            for (at, chapter) in labels.within(&(hour * HOUR..(hour + 1) * HOUR)) {
                let seconds = at % HOUR / 1_000_000;
                let (minute, second) = (seconds / 60, seconds % 60);
                out += &format!("                {name}:{minute:02}:{second:02}  {chapter}\n");
            }
        }
    }
    if let Some(root) = catalogue.root() {
        out += &format!("/ipns/{} is /ipfs/{}\n", archive.stream(), root.cid);
    }
    out += &outlook(archive, store, rule);
    print(&out)
}

fn pins(Opened { archive, store, .. }: &Opened) -> Result<(), Failure> {
    let mut out = String::new();
    for pin in pinning::remembered(store, archive.stream()).map_err(failed)? {
        let status = pin.status.name();
        out += &format!(
            "{:<13}  {}  {status:<7}  {}\n",
            pin.what,
            pin.cid,
            pin.service()
        );
    }
    print(&out)
}

/// When there will be no room for more, of this stream alone.
fn outlook(archive: &Archive, store: &Store, rule: &Rule) -> String {
    let held = archive.sizes();
    let Forecast { a_day, full_in } = forecast(&[Growth::of(&held, rule)], store.free());
    if a_day == 0 {
        return String::new();
    }
    let pace = format!("{:.1} GB a day", a_day as f64 / 1e9);
    match full_in {
        None => format!("{pace}; what is to be kept fits\n"),
        Some(time) => {
            let days = time.as_secs_f64() / 86_400.0;
            format!("{pace}; the oldest hours go in {days:.1} days, as there is no room for more\n")
        }
    }
}

fn export(opened: &Opened, what: &str, output: &Path) -> Result<(), Failure> {
    let catalogue = opened.archive.catalogue();
    let days = (catalogue.days().iter()).find(|(day, _)| day_name(**day) == what);
    let hours = (catalogue.hours().iter()).find(|(hour, _)| name(**hour) == what);
    let link = days.map(|(_, link)| *link);
    let link = link.or(hours.map(|(_, entry)| entry.link)).ok_or_else(|| {
        Failure::Failed(format!(
            "the archive has no {what:?}: give a day or an hour that `archive ls` shows, such as 2026-11-22T10"
        ))
    })?;
    let unfinished = output.with_extension("unfinished");
    let about = |error: io::Error| Failure::Failed(format!("{}: {error}", output.display()));
    let file = File::create(&unfinished).map_err(about)?;
    let mut bar = Bar::new("export", link.bytes);
    let mut out = BufWriter::new(file);
    let written = car::write(&opened.store, link.cid, what, &mut out, |bytes| {
        bar.add(bytes)
    });
    let written = written
        .and_then(|()| out.get_ref().sync_all())
        .and_then(|()| std::fs::rename(&unfinished, output));
    bar.end();
    if let Err(error) = written {
        let _ = std::fs::remove_file(&unfinished); // what is left of it has a name that says so
        return Err(about(error));
    }
    print(&format!("{what} {} {}\n", link.cid, output.display()))
}

/// `2026-11-22T10`
fn name(hour: u64) -> String {
    format!("{}T{}", day_name(hour / 24), hour_name(hour))
}

/// Microseconds since 1970 of `2026-11-22T10:05:00`, UTC.
fn time(text: &str) -> Result<u64, Failure> {
    let read = || {
        let (date, clock) = text.trim_end_matches('Z').split_once('T')?;
        let numbers = |text: &str, sign: char| -> Option<Vec<u64>> {
            text.split(sign).map(|number| number.parse().ok()).collect()
        };
        let [year, month, day] = numbers(date, '-')?[..] else {
            return None;
        };
        let [hour, minute, second] = numbers(clock, ':')?[..] else {
            return None;
        };
        let fits = hour < 24 && minute < 60 && second < 60;
        let day = day_of(year, month, day).filter(|_| fits)?;
        Some((((day * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000)
    };
    read().ok_or_else(|| {
        Failure::Failed(format!(
            "{text:?} is no time: give one such as 2026-11-22T10:05:00 (UTC)"
        ))
    })
}

fn clip(opened: &Opened, from: &str, to: &str) -> Result<(), Failure> {
    let link = opened.archive.clip(&(time(from)?..time(to)?));
    let Link { cid, bytes } = link.map_err(failed)?;
    print(&format!("{cid} {bytes} bytes\n/ipfs/{cid}/index.m3u8\n"))
}

fn title(opened: &Opened, what: &str, text: &str) -> Result<(), Failure> {
    let (hour, _) = hour(opened, what)?;
    let labelled = opened.archive.label(Labelled::Hour(hour), text);
    labelled.map_err(failed)
}

/// The hour of this name.
fn hour(opened: &Opened, what: &str) -> Result<(u64, HourEntry), Failure> {
    let catalogue = opened.archive.catalogue();
    let mut hours = catalogue.hours().iter();
    let found = hours.find(|(hour, _)| name(**hour) == what);
    let found = found.map(|(hour, entry)| (*hour, *entry));
    found.ok_or_else(|| {
        Failure::Failed(format!(
            "the archive has no hour {what:?}: give one that `archive ls` shows, such as 2026-11-22T10"
        ))
    })
}

fn take_down(opened: &Opened, what: &str) -> Result<(), Failure> {
    let (hour, entry) = hour(opened, what)?;
    opened.archive.take_down(hour).map_err(failed)?;
    let cid = entry.link.cid;
    print(&format!(
        "{what} {cid} is no longer offered, and deleted here\n"
    ))
}

fn import(opened: &Opened, file: &Path) -> Result<(), Failure> {
    let about = |error: io::Error| Failure::Failed(format!("{}: {error}", file.display()));
    let car = Car::open(file).map_err(about)?;
    let hours = car::hours(&car, car.root).map_err(about)?;
    let mut bar = Bar::new("import", hours.iter().map(|link| link.bytes).sum());
    let mut out = String::new();
    for link in hours {
        let (hour, taken) = (opened.archive)
            .take_in(&car, link, |bytes| bar.add(bytes))
            .map_err(about)?;
        let what = match taken {
            Taken::New => "new",
            Taken::Whole => "whole",
        };
        out += &format!("{} {} {what}\n", name(hour), link.cid);
    }
    bar.end();
    print(&out)
}

fn import_hls(opened: &Opened, path: &Path, at: Option<u64>) -> Result<(), Failure> {
    // How much comes of it is not known before.
    let mut bar = Bar::new("import", 0);
    let taken = opened
        .archive
        .take_hls(path, at, &mut |bytes| bar.add(bytes));
    let taken = taken.map_err(|error| Failure::Failed(error.to_string()))?;
    bar.end();
    for notice in &taken.notices {
        eprintln!("{notice}");
    }
    let mut out = String::new();
    for (hour, cid) in &taken.hours {
        out += &format!("{} {cid} new\n", name(*hour));
    }
    print(&out)
}

fn verify(Opened { archive, store, .. }: &Opened) -> Result<(), Failure> {
    let (catalogue, held) = (archive.catalogue(), archive.held());
    let hours = catalogue.hours().iter();
    let hours = hours.filter(|(hour, _)| held.contains(hour));
    let total = hours.map(|(_, entry)| entry.link.bytes).sum();
    let mut bar = Bar::new("verify", total);
    let (mut faults, mut blocks) = (Vec::new(), 0_u64);
    let hours = read_back(archive, store, &mut |_, block| {
        match block {
            Ok(block) => bar.add(block.len() as u64),
            Err(fault) => faults.push(fault),
        }
        blocks += 1;
        Ok(())
    });
    let hours = hours.map_err(failed)?;
    bar.end();
    let mut out = String::new();
    for fault in &faults {
        out += &format!("damaged: {fault}\n");
    }
    out += &format!("{hours} hours, {blocks} blocks, {} damaged\n", faults.len());
    print(&out)?;
    match faults.len() {
        0 => Ok(()),
        count => Err(Failure::Failed(format!(
            "{count} blocks are missing or damaged; `archive import` of a copy makes them whole"
        ))),
    }
}
