//! Which configuration and data folder a command is about.

use std::path::PathBuf;

use clap::Args;

use meshlive_gateway::config::Config;

use super::Failure;

#[derive(Args, Default)]
pub(super) struct Place {
    /// Settings (TOML); `config print` shows all of them
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder with keys, journals and pinned parts
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Place {
    /// The configuration, with the data folder that the flag names.
    pub(super) fn settings(&self) -> Result<Config, Failure> {
        let mut config = match &self.config {
            Some(path) => Config::load(path)?,
            None => Config::default(),
        };
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        config.check()?;
        Ok(config)
    }
}
