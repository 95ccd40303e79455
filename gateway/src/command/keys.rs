//! `keys`: who may publish. A gateway that runs on the same data folder sees each change within a second.

use std::fmt::Write;

use clap::Subcommand;

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
        What::Remove(Change { alias, place }) => {
            open(&place.settings()?)?.remove(alias).map_err(failed)?;
            print(&format!("removed {alias}\n"))
        }
    }
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
