//! `inferwit config ..`: what is configured, by whom, and what could be. Starts nothing.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::Output;
use super::session::Session;
use super::{Outcome, Verdict, failure};
use crate::config::{ConfigError, DEFAULT_TEXT, schema};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Checks the configuration as a server would read it: file, variables and flags, and what they say together.
    #[command(after_help = "\
Example:
  inferwit config check inference.yaml

Prints that it is valid; faults go to standard error, or with --json to the data, each with its line. \
Exit code 1 if there is any.")]
    Check(Check),
    /// Prints every key with its value and where that came from.
    #[command(after_help = "\
Example:
  INFERWIT__SERVER__HTTP=127.0.0.1:9000 inferwit config explain

Prints key, value and origin: default, file and line, variable, or flag.")]
    Explain,
    /// Prints the JSON Schema of the configuration file, with the range of each key.
    #[command(after_help = "\
Example:
  inferwit config schema > inference.schema.json

Prints the schema.")]
    Schema,
    /// Prints a configuration file with every key at its default.
    #[command(after_help = "\
Example:
  inferwit config default > inference.yaml

Prints the file, with a remark on each key.")]
    Default,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The file; default: the one that a server would read
    file: Option<PathBuf>,
}

impl ConfigCommand {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        match self {
            Self::Check(check) => return check.run(session, out),
            Self::Explain => explain(session, out)?,
            Self::Schema => out.document(&schema())?,
            Self::Default if out.is_json() => {
                let values: serde_json::Map<_, _> = crate::config::Settings::load(None, &[])?
                    .explain()
                    .into_iter()
                    .map(|key| (key.key, key.value))
                    .collect();
                out.json(&values)?;
            }
            Self::Default => out.text(DEFAULT_TEXT.trim_end())?,
        }
        Ok(Verdict::Good)
    }
}

impl Check {
    fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let file = self.file.or_else(|| session.config_file());
        let shown = file.as_ref().map(|file| file.display().to_string());
        let checked =
            session.settings_of(file.as_deref(), &[]).and_then(|settings| settings.resolve(&session.machine()));
        match checked {
            Ok(_) if out.is_json() => out.json(&json!({"file": shown, "valid": true, "faults": []}))?,
            Ok(_) => match &shown {
                Some(shown) => out.text(format_args!("{shown} is valid"))?,
                None => out.text("there is no configuration file; defaults, variables and flags are valid")?,
            },
            Err(ConfigError::Invalid(faults)) => {
                if out.is_json() {
                    out.json(&json!({"file": shown, "valid": false, "faults": faults}))?;
                } else {
                    let error = ConfigError::Invalid(faults).into();
                    session.tell(&failure::rendered(&error, session.has_error_colour()));
                }
                return Ok(Verdict::Failed);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Verdict::Good)
    }
}

fn explain(session: &Session, out: &mut Output<'_>) -> anyhow::Result<()> {
    let explained = session.settings(&[])?.explain();
    if out.is_json() {
        return out.json(&explained);
    }
    let rows: Vec<[String; 3]> = explained
        .into_iter()
        .map(|explained| {
            let value = explained.value.as_str().map_or_else(|| explained.value.to_string(), str::to_owned);
            [explained.key, value, explained.origin.to_string()]
        })
        .collect();
    out.table(["KEY", "VALUE", "FROM"], &rows)
}
