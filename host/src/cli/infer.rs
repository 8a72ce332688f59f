//! `inferwit infer`: one request through the same code as a server's, without a socket.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;

use super::failure::Unanswered;
use super::model::key_value;
use super::output::Output;
use super::session::{Kind, Session};
use super::tensors::{Input, parameter, row};
use super::{Outcome, Verdict};
use crate::app::{Generation, Target};
use crate::config::Override;
use crate::infer::{Deadline, InferRequest, InferResponse, Parameter};
use crate::server::{Served, response_json};

/// Answers one request without a server: loads what is named, runs it, prints its outputs.
///
/// A name that is active in the environment means that bundle, as clients of its server get it; else what is registered
/// is run, or the file that is named.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  inferwit infer photo-check --input photo=@astronaut.png --param min_score=0.3

Prints name, datatype, shape and values of each output, with --json the answer as a server would send it. \
Exit code 1 if the request is refused or fails.")]
pub(super) struct Infer {
    /// A registered pipeline, model or plugin, a model's .onnx, or a pipeline's .yaml
    #[arg(value_name = "REF or FILE", value_parser = Target::parse)]
    target: Target,
    /// One input: `name=[[1, 2]]`, `name="text"`, or `name=@file` (one text, raw little-endian values, or .json); may be
    /// given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = Input::parse)]
    input: Vec<Input>,
    /// A parameter of the request, as `min_score=0.3`; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    param: Vec<(String, String)>,
    /// Only this output; may be given again
    #[arg(long, value_name = "NAME")]
    output: Vec<String>,
    /// Write the answer as JSON to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The environment whose active bundle is meant; default: the configuration's
    #[arg(long)]
    env: Option<String>,
}

impl Infer {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let flags: Vec<Override> = self.env.iter().map(|env| Override::flag("--env", "environment", env)).collect();
        let app = session.open(&flags, Kind::Once)?;
        let progress = session.progress("load");
        let assembly = match &self.target {
            Target::Reference(reference) => app.gather_as_served(reference, &app.config().environment)?,
            target => app.gather(target, None)?,
        };
        let generation = app.load(&assembly)?;
        drop(progress);
        let mut request = self.request(&generation)?;
        // The first request is slow, and this one is no measurement: only a hang is stopped.
        request.deadline = Deadline::after(app.config().server.limits.request_timeout);
        let (response, elapsed) = answer(&generation, request)?;
        self.told(&response, elapsed, out)?;
        Ok(Verdict::Good)
    }

    fn request(&self, generation: &Generation) -> anyhow::Result<InferRequest> {
        let signature = &generation.metadata().signature;
        let mut inputs = Vec::with_capacity(self.input.len());
        for input in &self.input {
            inputs.push((input.name.clone(), input.tensor(signature)?));
        }
        let mut request = InferRequest::new(inputs);
        request.parameters = self.param.iter().map(|(name, value)| (name.clone(), parameter(value))).collect();
        request.wanted.clone_from(&self.output);
        Ok(request)
    }

    fn told(&self, response: &InferResponse, elapsed: Duration, out: &mut Output<'_>) -> anyhow::Result<()> {
        let json = match self.out.is_some() || out.is_json() {
            true => Some(response_json(response).map_err(Unanswered)?),
            false => None,
        };
        if let Some((path, json)) = self.out.as_ref().zip(json.as_ref()) {
            fs::write(path, json).with_context(|| format!("write `{}`", path.display()))?;
        }
        if let Some(json) = json.filter(|_| out.is_json()) {
            return out.text(String::from_utf8_lossy(&json));
        }
        let rows: Vec<[String; 4]> = response.outputs.iter().map(|(name, tensor)| row(name, tensor)).collect();
        out.table(["OUTPUT", "DATATYPE", "SHAPE", "VALUES"], &rows)?;
        out.text("")?;
        let mut pairs = vec![
            ("answered by", format!("{}@{}", response.model_name, response.model_version)),
            ("in", format!("{:.1} ms", elapsed.as_secs_f64() * 1e3)),
        ];
        pairs.extend(response.parameters.iter().map(|(name, value)| (name.as_str(), text(value))));
        out.pairs(&pairs)
    }
}

fn answer(generation: &Generation, request: InferRequest) -> anyhow::Result<(InferResponse, Duration)> {
    request.check(&generation.metadata().signature).map_err(Unanswered)?;
    let begun = Instant::now();
    let (outcome, _trace) = generation.infer(request);
    Ok((outcome.map_err(Unanswered)?, begun.elapsed()))
}

fn text(value: &Parameter) -> String {
    match value {
        Parameter::Bool(value) => value.to_string(),
        Parameter::Int64(value) => value.to_string(),
        Parameter::Uint64(value) => value.to_string(),
        Parameter::Double(value) => value.to_string(),
        Parameter::String(value) => value.clone(),
    }
}
