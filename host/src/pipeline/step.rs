//! One step: what it runs, and one run of it. Does not know what comes before or after.

use std::sync::Arc;
use std::time::Instant;

use super::error::PipelineError;
use super::plan::PlanStep;
use super::rules::RulesStep;
use crate::backend::{BackendError, Model};
use crate::infer::{Deadline, RequestContext, RuleTrace};
use crate::plugin::{Finding, GrantedModel, GrantedModelError, OpenPlugin};
use crate::tensor::{Signature, Tensor};

/// What a step runs: loaded, opened and warmed.
pub enum Runner {
    Model(Arc<dyn Model>),
    Processor(OpenPlugin),
    Validator(OpenPlugin),
    Rules(Box<RulesStep>),
}

/// Tensors by the step's own names.
pub(super) type Named = Vec<(String, Tensor)>;

/// What one run of a step gave.
pub(super) struct Done {
    pub(super) result: Result<Given, PipelineError>,
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) queue_ns: u64,
    pub(super) memory_bytes: Option<u64>,
}

#[derive(Default)]
pub(super) struct Given {
    pub(super) outputs: Named,
    pub(super) findings: Vec<Finding>,
    /// Of a rules step: `{status, result, report?}` as JSON text.
    pub(super) decided: Option<String>,
    pub(super) rules: Option<RuleTrace>,
}

impl Runner {
    pub fn signature(&self) -> &Signature {
        match self {
            Self::Model(model) => model.signature(),
            Self::Processor(plugin) | Self::Validator(plugin) => plugin.signature(),
            Self::Rules(rules) => rules.signature(),
        }
    }

    /// `warm` or `fresh`, for plugins.
    pub(super) fn isolation(&self) -> Option<&'static str> {
        match self {
            Self::Model(_) => None,
            Self::Processor(plugin) | Self::Validator(plugin) => Some(plugin.isolation().as_str()),
            Self::Rules(rules) => Some(rules.isolation().as_str()),
        }
    }

    /// Runs on the calling thread, until the request's deadline at the latest.
    pub(super) fn run(&self, step: &PlanStep, inputs: Named, context: &Arc<RequestContext>) -> Done {
        let start = Instant::now();
        let (result, queue_ns, memory_bytes) = if context.deadline.is_over(start) {
            (Err(PipelineError::Deadline { step: step.name.to_string() }), 0, None)
        } else {
            match self {
                Self::Model(model) => run_model(&**model, step, &inputs, &context.deadline),
                Self::Processor(plugin) => {
                    let answer = plugin.process(inputs, context);
                    let given = answer.result.map(|outputs| Given { outputs, ..Given::default() });
                    (given.map_err(PipelineError::from), answer.queue_ns, Some(answer.memory_bytes))
                }
                Self::Validator(plugin) => {
                    let answer = plugin.check(inputs, context);
                    let given = answer.result.map(|findings| Given { findings, ..Given::default() });
                    (given.map_err(PipelineError::from), answer.queue_ns, Some(answer.memory_bytes))
                }
                Self::Rules(rules) => rules.run(step, &inputs, context),
            }
        };
        Done { result, start, end: Instant::now(), queue_ns, memory_bytes }
    }
}

fn run_model(
    model: &dyn Model,
    step: &PlanStep,
    inputs: &Named,
    deadline: &Deadline,
) -> (Result<Given, PipelineError>, u64, Option<u64>) {
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let wanted: Vec<&str> =
        step.outputs.iter().filter(|output| output.is_read).map(|output| output.name.as_str()).collect();
    match model.run(&inputs, &wanted, deadline) {
        Ok(run) => (Ok(Given { outputs: run.outputs, ..Given::default() }), run.queue_ns, None),
        Err(error) => {
            let error = PipelineError::Model { step: step.name.to_string(), error, inputs_are_clients: false };
            (Err(error), 0, None)
        }
    }
}

/// A model as plugins that were granted it see it.
pub struct ModelGrant(pub Arc<dyn Model>);

impl GrantedModel for ModelGrant {
    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn run(
        &self,
        inputs: &[(&str, &Tensor)],
        wanted: &[&str],
        deadline: &Deadline,
    ) -> Result<Vec<(String, Tensor)>, GrantedModelError> {
        match self.0.run(inputs, wanted, deadline) {
            Ok(run) => Ok(run.outputs),
            Err(BackendError::InvalidInput { reason, .. }) => Err(GrantedModelError::InvalidInput(reason)),
            Err(BackendError::DeadlineExceeded { .. }) => Err(GrantedModelError::DeadlineExceeded),
            Err(error) => {
                tracing::warn!(%error, "a model failed in a plugin's call");
                Err(GrantedModelError::Backend("the model failed; see the server's log".to_owned()))
            }
        }
    }
}
