//! A pipeline checked against the signatures of what it names, and laid out for running. Pure: loads nothing, runs nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::document::Diagnostic;
use super::spec::{GrantSpec, Isolation, OnFinding, ParameterSpec, PipelineSpec, StepKind, StepLimits, StepSpec};
use crate::infer::{Parameter, Parameters};
use crate::name::{Name, Reference, Version};
use crate::tensor::{Signature, Tensor, TensorSpec};

mod compile;
mod condition;
mod order;
mod request;
mod types;
mod wiring;

pub use request::RequestError;

/// Tells what the steps of a pipeline take and give.
pub trait Signatures {
    /// The signature under the step's configuration. A validator has no outputs.
    ///
    /// # Errors
    /// What is wrong: it is not registered, or its configuration is refused.
    fn signature(&self, step: &StepSpec) -> Result<Signature, Vec<Problem>>;

    /// Why a tensor like `given` cannot be this input, beyond what the signature says of it.
    fn misfits(&self, _step: &StepSpec, _input: &str, _given: &TensorSpec) -> Vec<Problem> {
        Vec::new()
    }
}

impl<F: Fn(&StepSpec) -> Result<Signature, Vec<Problem>>> Signatures for F {
    fn signature(&self, step: &StepSpec) -> Result<Signature, Vec<Problem>> {
        self(step)
    }
}

/// Why a step has no signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the step: a JSON pointer such as `/config/layout`; empty for what it names.
    pub path: String,
    pub message: String,
    pub hint: String,
}

/// A pipeline that is ready to run. Steps, slots and inputs are numbered; a step never comes before one that it depends on.
#[derive(Clone, Debug)]
pub struct Plan {
    pub name: Name,
    pub version: Version,
    pub description: Option<String>,
    /// `None`: the server's.
    pub timeout: Option<Duration>,
    /// What clients send: input `n` goes into slot `n`.
    pub inputs: Vec<TensorSpec>,
    /// What clients get, in the order of the file.
    pub outputs: Vec<PlanOutput>,
    pub parameters: BTreeMap<String, ParameterSpec>,
    pub steps: Vec<PlanStep>,
    /// One for each tensor of the pipeline.
    pub slots: Vec<Slot>,
    /// The steps that can start at once.
    pub roots: Vec<usize>,
    /// Whether each step depends on the one before it, so that running them in order loses nothing.
    pub is_chain: bool,
}

/// One tensor that clients get.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanOutput {
    pub spec: TensorSpec,
    pub slot: usize,
}

/// Where one tensor of the pipeline is kept while a request runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub name: String,
    /// How many steps read it, conditions included.
    pub readers: usize,
    /// Whether clients may get it, so that it is kept to the end.
    pub is_output: bool,
}

/// One step, ready to run.
#[derive(Clone, Debug)]
pub struct PlanStep {
    pub name: Name,
    pub kind: StepKind,
    pub reference: Reference,
    /// Its place among the steps of the file.
    pub index: usize,
    pub inputs: Vec<StepInput>,
    pub outputs: Vec<StepOutput>,
    /// How many steps must have ended before.
    pub dependencies: usize,
    /// The steps that wait for it.
    pub dependents: Vec<usize>,
    /// The one dependent that is surely ready when this step ends: run it next on the same thread. `None` if more are.
    pub next: Option<usize>,
    pub when: Option<Condition>,
    /// The slots that nobody reads once this step has taken its inputs or was skipped.
    pub releases: Vec<usize>,
    pub config: String,
    pub isolation: Isolation,
    pub limits: StepLimits,
    pub grants: GrantSpec,
    pub on_finding: OnFinding,
}

/// A tensor that a step takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepInput {
    /// The step's own name for it.
    pub name: String,
    pub slot: usize,
    /// Whether the step runs without it, where its slot is empty.
    pub optional: bool,
    /// Whether nobody reads the slot afterwards: the handle may be moved, so that a write needs no copy.
    pub is_last: bool,
}

/// A tensor that a step gives.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutput {
    /// The step's own name for it.
    pub name: String,
    pub slot: usize,
    /// Whether the step may leave it out.
    pub optional: bool,
    /// Whether anybody reads it; a model need not compute what nobody reads.
    pub is_read: bool,
    /// What it is where the step is skipped or leaves it out.
    pub default: Option<Tensor>,
}

/// When a step runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    Parameter {
        name: String,
        equals: Parameter,
    },
    /// A tensor of another number of elements than one equals nothing.
    Tensor {
        slot: usize,
        equals: serde_json::Value,
    },
}

impl Plan {
    /// Checks everything that can be known before a request comes.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file.
    pub fn compile(spec: &PipelineSpec, signatures: &dyn Signatures) -> Result<Self, Vec<Diagnostic>> {
        compile::compile(spec, signatures)
    }

    /// What OIP metadata says of it.
    pub fn signature(&self) -> Signature {
        Signature {
            inputs: self.inputs.clone(),
            outputs: self.outputs.iter().map(|output| output.spec.clone()).collect(),
        }
    }

    /// The slots at the start of a request, with its inputs in them. The request was checked before.
    pub fn fill(&self, inputs: Vec<(String, Tensor)>) -> Vec<Option<Tensor>> {
        let mut slots = vec![None; self.slots.len()];
        for (name, tensor) in inputs {
            if let Some(slot) = self.inputs.iter().position(|input| input.name == name) {
                slots[slot] = Some(tensor);
            }
        }
        slots
    }

    /// Whether a step runs, given the request's parameters (defaults filled in) and what is in the slots.
    pub fn is_wanted(&self, step: &PlanStep, parameters: &Parameters, slots: &[Option<Tensor>]) -> bool {
        step.when.as_ref().is_none_or(|condition| condition.holds(parameters, slots))
    }
}

#[cfg(test)]
mod tests;
