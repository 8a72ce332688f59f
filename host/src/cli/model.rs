//! `inferwit model ..`: models in the registry.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Outcome;
use super::artifact::{Archive, List, Show, added, would_add};
use super::output::Output;
use super::session::{Change, Session};
use crate::app::NewModelFile;
use crate::name::{Kind, Name, Version};

#[derive(Debug, Subcommand)]
pub(super) enum ModelCommand {
    /// Registers an ONNX model after loading it once, which shows that it loads and what it takes and gives.
    ///
    /// Name and version are those of the flags, else of the options file, else the file's name and 1.0.0. A version never
    /// changes: the same file again is no error, another file is.
    #[command(after_help = "\
Example:
  inferwit model add centerface.onnx --options config/models/centerface.model.yaml

Prints what was registered, with size and digest.")]
    Add(Add),
    /// Lists the models, all versions that are not archived.
    #[command(after_help = "\
Example:
  inferwit model list centerface --all

Prints name, version, format, size, digest and time, a line each.")]
    List(List),
    /// Shows one model: its file, signature, options and metadata.
    #[command(after_help = "\
Example:
  inferwit model show centerface@^1

Prints what the registry knows of it.")]
    Show(Show),
    /// Takes a version out of what names and ranges mean; what is deployed stays so.
    #[command(after_help = "\
Example:
  inferwit model archive centerface@1.0.0

Prints what was archived.")]
    Archive(Archive),
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The model, as .onnx; its external data lies beside it
    file: PathBuf,
    /// Its options; default: `NAME.model.yaml` beside it, if there is one
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// What it is called; default: as its options say, else as the file is called
    #[arg(long)]
    name: Option<Name>,
    /// Its version; default: as its options say, else 1.0.0
    #[arg(long)]
    version: Option<Version>,
    /// Something to be kept with it, such as `trained_on=2026-01`; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    meta: Vec<(String, String)>,
    #[command(flatten)]
    change: Change,
}

/// `key=value`
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("it takes KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl ModelCommand {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        match self {
            Self::Add(add) => add.run(session, out),
            Self::List(list) => list.run(Kind::Model, session, out),
            Self::Show(show) => show.run(Kind::Model, session, out),
            Self::Archive(archive) => archive.run(Kind::Model, session, out),
        }
    }
}

impl Add {
    fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let Self { file, options, name, version, meta, change } = self;
        let metadata = meta.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
        let new = NewModelFile { file, options, name, version, metadata };
        let app = session.app()?;
        let progress = session.progress(format!("load {}", new.file.display()));
        if change.dry_run {
            let report = app.inspect_model(&new)?;
            drop(progress);
            return would_add(Kind::Model, &format!("{}@{}", report.name, report.version), &report, out);
        }
        let outcome = app.add_model(&new)?;
        drop(progress);
        change.log(session, "add", &outcome.artifact().label());
        added(&outcome, out)
    }
}
