//! Pipelines: from the text of a file to an answer. This room loads nothing itself and never reads files or the registry.
//!
//! `spec` is the file, `plan` the file checked against signatures; a `Pipeline` is a plan with everything that its steps run.

pub mod document;
pub mod golden;
pub mod graph;
pub mod plan;
pub mod schema;
pub mod spec;
pub mod values;

mod crew;
mod error;
mod parameters;
mod rules;
mod run;
mod step;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

pub use crew::Crew;
pub use error::PipelineError;
use plan::Plan;
pub use rules::{RecordSettings, Recorder, RulesParts, RulesStep};
use run::{SharedRun, State};
pub use step::{ModelGrant, Runner};

use crate::infer::{InferRequest, InferResponse, Parameter, Parameters, RequestContext, StepOutcome, StepTrace, Trace};

/// A pipeline that serves: immutable, shared by all requests.
pub struct Pipeline {
    plan: Plan,
    /// One for each step of the plan.
    runners: Vec<Runner>,
    crew: Arc<Crew>,
    options: PipelineOptions,
}

/// What a pipeline's answers say and allow beside their tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipelineOptions {
    /// The digest of the bundle; `None` where no bundle was made.
    pub bundle: Option<String>,
    /// Whether clients may ask for a trace.
    pub may_trace: bool,
}

impl Pipeline {
    /// Joins a plan with what its steps run, in the order of the plan's steps.
    pub fn new(plan: Plan, runners: Vec<Runner>, crew: Arc<Crew>, options: PipelineOptions) -> Arc<Self> {
        assert_eq!(plan.steps.len(), runners.len(), "a runner for each step");
        Arc::new(Self { plan, runners, crew, options })
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The longest that a request may take, if the pipeline says so.
    pub fn timeout(&self) -> Option<Duration> {
        self.plan.timeout
    }

    /// Answers a request on the calling thread: checks it, runs the steps, and gathers what the client wants.
    ///
    /// # Errors
    /// `PipelineError` with its cause; the trace shows how far the request came.
    pub fn infer(self: &Arc<Self>, mut request: InferRequest) -> (Result<InferResponse, PipelineError>, Trace) {
        let begun = Instant::now();
        if let Err(error) = self.plan.check_request(&mut request) {
            return (Err(error.into()), Trace::default());
        }
        let (inputs, context) = request.split();
        let context = Arc::new(context);
        let mut state = State::new(&self.plan, inputs);
        if self.plan.is_chain {
            run::in_order(self, &mut state, &context, begun);
        } else {
            state = SharedRun::new(self, state, &context, begun).finish();
        }
        self.answer(state, &context, begun)
    }

    fn answer(
        &self,
        mut state: State,
        context: &RequestContext,
        begun: Instant,
    ) -> (Result<InferResponse, PipelineError>, Trace) {
        let outcome = match state.error.take() {
            Some(error) => Err(error),
            None => self.outputs(&mut state, &context.wanted),
        };
        let total_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let trace = Trace { total_ns, steps: state.traces };
        let response = outcome.map(|outputs| InferResponse {
            model_name: self.plan.name.to_string(),
            model_version: self.plan.version.to_string(),
            id: context.id.clone(),
            parameters: self.parameters((&state.findings, &state.decisions), context, &trace),
            outputs,
        });
        (response, trace)
    }

    fn outputs(
        &self,
        state: &mut State,
        wanted: &[String],
    ) -> Result<Vec<(String, crate::tensor::Tensor)>, PipelineError> {
        let all = self.plan.outputs.iter();
        let chosen: Vec<_> = if wanted.is_empty() {
            all.collect()
        } else {
            let find = |name: &String| self.plan.outputs.iter().find(|output| output.spec.name == *name);
            wanted.iter().filter_map(find).collect()
        };
        let mut outputs = Vec::with_capacity(chosen.len());
        for output in chosen {
            // An optional output that its step left out is left out here too.
            let Some(tensor) = state.slots[output.slot].take() else { continue };
            output.spec.check(&tensor).map_err(PipelineError::Answer)?;
            outputs.push((output.spec.name.clone(), tensor));
        }
        Ok(outputs)
    }

    fn parameters(
        &self,
        (findings, decisions): (&[serde_json::Value], &BTreeMap<usize, String>),
        context: &RequestContext,
        trace: &Trace,
    ) -> Parameters {
        let mut parameters = Parameters::new();
        if let Some(bundle) = &self.options.bundle {
            parameters.insert("inferwit_bundle".to_owned(), Parameter::String(bundle.clone()));
        }
        if !decisions.is_empty() {
            let step =
                |(&index, decided): (&usize, &String)| format!("{}:{decided}", json!(self.plan.steps[index].name));
            let steps: Vec<String> = decisions.iter().map(step).collect();
            parameters.insert("inferwit_decisions".to_owned(), Parameter::String(format!("{{{}}}", steps.join(","))));
        }
        if !findings.is_empty() {
            let text = serde_json::Value::from(findings).to_string();
            parameters.insert("inferwit_findings".to_owned(), Parameter::String(text));
        }
        if self.options.may_trace && context.parameters.get("trace") == Some(&Parameter::Bool(true)) {
            parameters.insert("inferwit_trace".to_owned(), Parameter::String(trace_json(trace)));
        }
        parameters
    }
}

fn trace_json(trace: &Trace) -> String {
    let step = |step: &StepTrace| {
        json!({
            "step": step.step, "kind": step.kind,
            "outcome": match step.outcome {
                StepOutcome::Done => "done",
                StepOutcome::Skipped => "skipped",
                StepOutcome::Failed => "failed",
            },
            "start_ns": step.start_ns, "duration_ns": step.duration_ns, "queue_ns": step.queue_ns,
            "batch_size": step.batch_size, "isolation": step.isolation, "memory_bytes": step.memory_bytes,
        })
    };
    serde_json::Value::from_iter(trace.steps.iter().map(step)).to_string()
}
