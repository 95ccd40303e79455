//! `keys`: who may publish. A gateway that runs on the same data folder sees each change within a second.

use std::{
    fmt::Write as _,
    io::{IsTerminal, Write as _, stdout},
    path::PathBuf,
};

use clap::Subcommand;
use rustix::fs::{FileType, Mode, fchmod, fstat};

use meshlive_gateway::config::Config;
use meshlive_gateway::keys::{self, Entry, Keys};

use super::{Failure, place::Place, print};

#[derive(clap::Args)]
pub(super) struct KeysCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Show the stream name and publish secret of every alias, or of one
    List {
        /// Only this one
        alias: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Make a signing key and a publish secret for a new alias
    New(Change),
    /// Make a new publish secret; the stream's name stays
    Rotate(Change),
    /// Write the signing key to stdout, to be kept elsewhere: `keys export ALIAS > FILE`
    Export(Change),
    /// Make an alias of a signing key that `keys export` wrote: the stream goes on here under its name
    Import {
        /// The operator's short name of the stream: a-z, 0-9, dashes
        alias: String,
        /// What `keys export` wrote
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Delete both: this stream's name can never be published to again
    Remove(Change),
}

#[derive(clap::Args)]
struct Change {
    /// The operator's short name of the stream: a-z, 0-9, dashes
    alias: String,
    #[command(flatten)]
    place: Place,
}

/// Runs `keys …`.
pub(super) fn run(command: &KeysCommand) -> Result<(), Failure> {
    match &command.what {
        What::List { alias, place } => {
            let config = place.settings()?;
            let mut entries = open(&config)?.list().map_err(failed)?;
            if let Some(alias) = alias {
                entries.retain(|entry| entry.alias == *alias);
                if entries.is_empty() {
                    return Err(Failure::Failed(format!(
                        "there is no alias {alias:?}: `keys new {alias}` makes it"
                    )));
                }
            }
            let shown: Vec<_> = entries.iter().map(|entry| show(&config, entry)).collect();
            print(&shown.join("\n"))
        }
        What::New(change) => changed(change, Keys::new_alias),
        What::Rotate(change) => changed(change, Keys::rotate),
        What::Export(Change { alias, place }) => export(&place.settings()?, alias),
        What::Import { alias, file, place } => {
            let config = place.settings()?;
            let entry = open(&config)?.import(alias, file).map_err(failed)?;
            print(&format!(
                "imported {} as {alias}, with a new publish secret\n{}",
                entry.signing_key.name(),
                show(&config, &entry)
            ))
        }
        What::Remove(Change { alias, place }) => {
            open(&place.settings()?)?.remove(alias).map_err(failed)?;
            print(&format!("removed {alias}\n"))
        }
    }
}

/// The key alone, as other IPFS software reads it (`ipfs key import --format=libp2p-protobuf-cleartext`).
fn export(config: &Config, alias: &str) -> Result<(), Failure> {
    let entries = open(config)?.list().map_err(failed)?;
    let entry = entries.iter().find(|entry| entry.alias == alias);
    let entry = entry.ok_or_else(|| failed(keys::Error::Unknown(alias.into())))?;
    let mut out = stdout();
    if out.is_terminal() {
        return Err(Failure::Failed(format!(
            "a signing key is nothing to read: give it a file, `keys export {alias} > FILE`"
        )));
    }
    let written = fstat(&out)
        .and_then(|stat| {
            // The shell made it as it makes all files; where it is something else, its reader answers for it.
            let is_file = FileType::from_raw_mode(stat.st_mode).is_file();
            if is_file {
                fchmod(&out, Mode::RUSR | Mode::WUSR)
            } else {
                Ok(())
            }
        })
        .map_err(std::io::Error::from)
        .and_then(|()| out.write_all(&entry.signing_key.to_protobuf()))
        .and_then(|()| out.flush());
    written.map_err(|error| Failure::Failed(format!("the key could not be written: {error}")))?;
    eprintln!(
        "exported the signing key of {alias}, {}: whoever has this file publishes as this stream; `keys import {alias} FILE` takes it up on another gateway",
        entry.signing_key.name()
    );
    Ok(())
}

fn changed(
    Change { alias, place }: &Change,
    change: impl FnOnce(&Keys, &str) -> Result<Entry, keys::Error>,
) -> Result<(), Failure> {
    let config = place.settings()?;
    let entry = change(&open(&config)?, alias).map_err(failed)?;
    print(&show(&config, &entry))
}

fn open(config: &Config) -> Result<Keys, Failure> {
    Keys::open(&config.data).map_err(failed)
}

fn failed(error: keys::Error) -> Failure {
    Failure::Failed(error.to_string())
}

/// Everything that someone who publishes needs, ready to copy.
fn show(config: &Config, entry: &Entry) -> String {
    let mut out = String::new();
    let mut line = |key: &str, value: &str| {
        writeln!(out, "{key:<15} {value}").expect("strings take all");
    };
    line("alias", &entry.alias);
    line("stream", &entry.signing_key.name().to_string());
    line("publish secret", &entry.publish_secret);
    if let Some(address) = config.listen.rtmp.0 {
        line(
            "rtmp",
            &format!("rtmp://{address}/live/{}", entry.publish_secret),
        );
    }
    out
}
