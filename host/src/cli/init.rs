//! `inferwit init`: a data folder, a registry and a configuration file to begin with.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::output::Output;
use super::session::{CONFIG_FILE, Session};
use super::{Outcome, Verdict};
use crate::config::DEFAULT_TEXT;

/// Makes what a first start needs: the data folder, the registry, and a configuration file with every key.
///
/// What is there already stays as it is, so that it may be run again.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  inferwit init my-service

Prints what was made, what was there, and what to do next.")]
pub(super) struct Init {
    /// Where `inference.yaml` is written if there is none
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Make nothing, and say what would be made
    #[arg(long)]
    dry_run: bool,
}

impl Init {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let file = self.dir.join(CONFIG_FILE);
        let had_file = file.exists();
        let app = session.app()?;
        let config = app.config();
        let (folder, database) = (&config.data_dir, &config.model_registry.path);
        let (had_folder, had_registry) = (folder.is_dir(), database.exists());
        let mut engine = None;
        if !self.dry_run {
            fs::create_dir_all(folder).with_context(|| format!("make folder `{}`", folder.display()))?;
            app.registry()?;
            engine = app.ensure_rules_engine()?.map(|artifact| artifact.label());
            if !had_file {
                write_new(&self.dir, &file)?;
            }
        }
        let made = [
            ("data folder", folder, had_folder),
            ("registry", database, had_registry),
            ("configuration", &file, had_file),
        ];
        if out.is_json() {
            let items: Vec<_> =
                made.iter().map(|(what, path, had)| json!({"what": what, "path": path, "was_there": had})).collect();
            out.json(&json!({"dry_run": self.dry_run, "items": items, "rules_engine": engine}))?;
            return Ok(Verdict::Good);
        }
        let verb = |had| match (had, self.dry_run) {
            (true, _) => "was there",
            (false, true) => "would be made",
            (false, false) => "made",
        };
        let rows = made.map(|(what, path, had)| [what.to_owned(), verb(had).to_owned(), path.display().to_string()]);
        out.rows(&rows)?;
        if let Some(engine) = engine {
            out.text(format_args!("rule engine: plugin {engine}"))?;
        } else if !self.dry_run {
            session.note(
                "this program carries no rule engine, so rule sets cannot be used",
                "register one with `inferwit plugin add rules.wasm`",
            );
        }
        out.text(NEXT)?;
        Ok(Verdict::Good)
    }
}

const NEXT: &str = "
next:
  inferwit doctor                        what this machine has, and what is missing
  inferwit model add model.onnx          register a model
  inferwit deploy model --env dev        make it active
  inferwit serve                         serve what is active";

/// Never over a file that has come to be in the meantime.
fn write_new(dir: &Path, file: &Path) -> anyhow::Result<()> {
    let write = || {
        fs::create_dir_all(dir)?;
        fs::File::create_new(file)?.write_all(DEFAULT_TEXT.as_bytes())
    };
    write().with_context(|| format!("write `{}`", file.display()))
}
