//! The command line: what it takes, and what each command does. Exit status 0 is well, 1 failed, 2 asked for nonsense.

mod archive;
mod bar;
mod doctor;
mod keys;
mod place;
mod serve;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use meshlive_gateway::config::{self, Nonsense};

#[derive(Parser)]
#[command(
    name = "meshlive-gateway",
    version,
    about = "Live video for community mesh networks: takes video in, signs and pins it, and serves the page that plays it.\n\nWithout a command it serves the test card on http://127.0.0.1:8080."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Take streams in and serve viewers, until SIGTERM or SIGINT
    Serve(Box<serve::Flags>),
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Hours and days that are past: list, copy out, take in, check
    Archive(archive::ArchiveCommand),
    /// Who may publish: the name and the publish secret of each stream
    Keys(keys::KeysCommand),
    /// What works on this machine and what does not, each with its remedy
    Doctor(place::Place),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print every setting at its default, with its comment (TOML)
    Print,
}

/// Why a command ended badly. Its message is one line.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Config(#[from] config::Error),
    #[error("{0}")]
    Failed(String),
}

impl From<Nonsense> for Failure {
    fn from(nonsense: Nonsense) -> Self {
        Self::Config(nonsense.into())
    }
}

/// Runs the command line `args`, the first of which is the program's name.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => {
            let _ = error.print(); // the reader of --help went away
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("meshlive-gateway: {}", one_line(&error.to_string()));
            return ExitCode::from(2);
        }
    };
    let done = match cli.command {
        None => serve::run(&serve::Flags::default()),
        Some(Command::Serve(flags)) => serve::run(&flags),
        Some(Command::Archive(command)) => archive::run(&command),
        Some(Command::Keys(command)) => keys::run(&command),
        Some(Command::Doctor(place)) => doctor::run(&place),
        Some(Command::Config(ConfigCommand::Print)) => print(&config::print::defaults()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("meshlive-gateway: {failure}");
            ExitCode::from(if matches!(failure, Failure::Config(_)) {
                2
            } else {
                1
            })
        }
    }
}

/// To stdout; a reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::{ErrorKind, Write};
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// What clap says over several lines, in one, with the remedy.
fn one_line(message: &str) -> String {
    let said = message
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"));
    let said: Vec<_> = said.filter(|line| !line.is_empty()).collect();
    format!(
        "{}; see `meshlive-gateway --help`",
        said.join(" ").trim_start_matches("error: ")
    )
}
