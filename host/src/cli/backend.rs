//! `inferwit backend ..`: what runs models on this machine.

use clap::Subcommand;
use serde_json::json;

use super::output::Output;
use super::session::Session;
use super::{Outcome, Verdict};
use crate::backend::Backend as _;
use crate::telemetry::chain;

/// What the configuration knows but this version does not have.
const NOT_BUILT: [&str; 3] = ["openvino", "tract", "tensorrt"];

#[derive(Debug, Subcommand)]
pub(super) enum BackendCommand {
    /// Lists the backends: which can be used here, on what they run, and why others cannot.
    #[command(after_help = "\
Example:
  inferwit backend list

Prints name, whether it can be used, and what it is or why not, a line each.")]
    List,
}

impl BackendCommand {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let Self::List = self;
        let app = session.app()?;
        let mut backends = Vec::new();
        match app.onnxruntime() {
            Ok(runtime) => backends.push(("onnxruntime", "available", runtime.describe(), None)),
            Err(error) => backends.push(("onnxruntime", "not available", chain(&error), error.hint())),
        }
        let reason = || "not built yet in this version".to_owned();
        backends.extend(NOT_BUILT.map(|name| (name, "not available", reason(), None)));
        if out.is_json() {
            let rows: Vec<_> = backends
                .iter()
                .map(|(name, state, detail, hint)| {
                    json!({"name": name, "available": *state == "available", "detail": detail, "hint": hint})
                })
                .collect();
            out.json(&rows)?;
            return Ok(Verdict::Good);
        }
        let rows: Vec<[String; 3]> =
            backends.into_iter().map(|(name, state, detail, _)| [name.to_owned(), state.to_owned(), detail]).collect();
        out.table(["BACKEND", "STATE", "DETAIL"], &rows)?;
        Ok(Verdict::Good)
    }
}
