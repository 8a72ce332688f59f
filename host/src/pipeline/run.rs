//! One request on its way through the steps. In a chain they follow each other on one thread; else free threads may help.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::json;

use super::Pipeline;
use super::crew::Shareable;
use super::error::PipelineError;
use super::plan::{Plan, PlanStep};
use super::spec::{OnFinding, StepKind};
use super::step::{Done, Given, Named};
use crate::infer::{RequestContext, StepOutcome, StepTrace};
use crate::plugin::{Finding, Severity};
use crate::telemetry::sanitized;
use crate::tensor::{Signature, Tensor};

/// The tensors of one request, and what its steps have left so far.
pub(super) struct State {
    pub(super) slots: Vec<Option<Tensor>>,
    /// Findings, each as JSON with its step.
    pub(super) findings: Vec<serde_json::Value>,
    /// What rules steps decided, as JSON text, by the step's number.
    pub(super) decisions: BTreeMap<usize, String>,
    pub(super) traces: Vec<StepTrace>,
    pub(super) error: Option<PipelineError>,
    /// For each step, how many others must end before it.
    waits_for: Vec<usize>,
    ready: Vec<usize>,
    running: usize,
}

impl State {
    pub(super) fn new(plan: &Plan, inputs: Vec<(String, Tensor)>) -> Self {
        Self {
            slots: plan.fill(inputs),
            findings: Vec::new(),
            decisions: BTreeMap::new(),
            traces: Vec::with_capacity(plan.steps.len()),
            error: None,
            waits_for: plan.steps.iter().map(|step| step.dependencies).collect(),
            // The last is taken first, so that steps start in the order of the file.
            ready: plan.roots.iter().rev().copied().collect(),
            running: 0,
        }
    }

    /// Takes the inputs of a step out of the slots; `None` if the step is to be skipped.
    fn take_inputs(&mut self, plan: &Plan, step: &PlanStep, context: &RequestContext) -> Option<Named> {
        let inputs = plan.is_wanted(step, &context.parameters, &self.slots).then(|| {
            let mut inputs = Vec::with_capacity(step.inputs.len());
            for input in &step.inputs {
                let slot = &mut self.slots[input.slot];
                // Moved to its last reader, who may then write in place.
                let tensor = if input.is_last { slot.take() } else { slot.clone() };
                inputs.extend(tensor.map(|tensor| (input.name.clone(), tensor)));
            }
            inputs
        });
        for &slot in &step.releases {
            self.slots[slot] = None;
        }
        inputs
    }

    fn skip(&mut self, step: &PlanStep, begun: Instant) {
        for output in &step.outputs {
            self.slots[output.slot].clone_from(&output.default);
        }
        self.traces.push(StepTrace {
            step: step.name.to_string(),
            kind: step.kind.name(),
            outcome: StepOutcome::Skipped,
            start_ns: nanoseconds(begun, Instant::now()),
            duration_ns: 0,
            queue_ns: 0,
            batch_size: 1,
            isolation: None,
            memory_bytes: None,
            rules: None,
        });
    }

    /// Puts the results of a step where others find them.
    fn settle(&mut self, pipeline: &Pipeline, index: usize, mut done: Done, begun: Instant) {
        let step = &pipeline.plan.steps[index];
        self.traces.push(StepTrace {
            step: step.name.to_string(),
            kind: step.kind.name(),
            outcome: if done.result.is_ok() { StepOutcome::Done } else { StepOutcome::Failed },
            start_ns: nanoseconds(begun, done.start),
            duration_ns: nanoseconds(done.start, done.end),
            queue_ns: done.queue_ns,
            batch_size: 1,
            isolation: pipeline.runners[index].isolation(),
            memory_bytes: done.memory_bytes,
            rules: done.result.as_mut().ok().and_then(|given| given.rules.take()).map(Box::new),
        });
        let settled = done.result.and_then(|given| self.put(pipeline, index, given));
        if let Err(error) = settled {
            // The first one is the cause: it cancels the others.
            self.error.get_or_insert(error);
        }
    }

    fn put(&mut self, pipeline: &Pipeline, index: usize, given: Given) -> Result<(), PipelineError> {
        let step = &pipeline.plan.steps[index];
        check_outputs(step, pipeline.runners[index].signature(), &given.outputs)?;
        for (name, tensor) in given.outputs {
            // What the signature has and the plan has not, nobody reads.
            if let Some(output) = step.outputs.iter().find(|output| output.name == name) {
                self.slots[output.slot] = Some(tensor);
            }
        }
        for output in &step.outputs {
            let slot = &mut self.slots[output.slot];
            if slot.is_none() {
                slot.clone_from(&output.default);
                if slot.is_none() && output.is_read && !output.optional {
                    return Err(output_error(step, format!("no `{}`", output.name)));
                }
            }
        }
        if let Some(decided) = given.decided {
            self.decisions.insert(index, decided);
        }
        self.note_findings(step, &given.findings)
    }

    fn note_findings(&mut self, step: &PlanStep, findings: &[Finding]) -> Result<(), PipelineError> {
        self.findings.extend(findings.iter().map(|finding| as_json(step, finding)));
        let is_blocking = |finding: &&Finding| finding.severity == Severity::Error;
        match findings.iter().find(is_blocking).filter(|_| step.on_finding == OnFinding::Block) {
            Some(first) => Err(PipelineError::Rejected {
                step: step.name.to_string(),
                summary: first.message.clone(),
                findings: serde_json::Value::Array(self.findings.clone()).to_string(),
            }),
            None => Ok(()),
        }
    }

    /// Makes the steps ready that waited for this one alone.
    fn release_dependents(&mut self, step: &PlanStep) {
        for &dependent in step.dependents.iter().rev() {
            self.waits_for[dependent] -= 1;
            if self.waits_for[dependent] == 0 {
                self.ready.push(dependent);
            }
        }
    }
}

/// So many bytes of a name that a plugin made up are shown.
const NAME_SHOWN_MAX: usize = 100;

/// Whether each output is in the signature, fits it, and is there once. Backends see to that themselves.
fn check_outputs(step: &PlanStep, signature: &Signature, outputs: &Named) -> Result<(), PipelineError> {
    if step.kind == StepKind::Model {
        return Ok(());
    }
    for (position, (name, tensor)) in outputs.iter().enumerate() {
        if outputs[..position].iter().any(|(other, _)| other == name) {
            return Err(output_error(step, format!("`{}` twice", sanitized(name, NAME_SHOWN_MAX))));
        }
        match signature.outputs.iter().find(|spec| spec.name == *name) {
            None => {
                return Err(output_error(
                    step,
                    format!("`{}`, which is not in its signature", sanitized(name, NAME_SHOWN_MAX)),
                ));
            }
            Some(spec) => spec.check(tensor).map_err(|error| output_error(step, error.to_string()))?,
        }
    }
    Ok(())
}

fn as_json(step: &PlanStep, finding: &Finding) -> serde_json::Value {
    let data = finding.data.as_ref().map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data)));
    json!({
        "step": step.name, "severity": finding.severity, "code": finding.code, "message": finding.message,
        "subject": finding.subject, "data": data,
    })
}

fn output_error(step: &PlanStep, problem: String) -> PipelineError {
    PipelineError::Output { step: step.name.to_string(), plugin: step.reference.to_string(), problem }
}

fn nanoseconds(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(u64::MAX)
}

/// Runs the steps in order on this thread.
pub(super) fn in_order(pipeline: &Pipeline, state: &mut State, context: &Arc<RequestContext>, begun: Instant) {
    for (index, step) in pipeline.plan.steps.iter().enumerate() {
        match state.take_inputs(&pipeline.plan, step, context) {
            Some(inputs) => {
                let done = run_step(pipeline, index, inputs, context);
                state.settle(pipeline, index, done, begun);
            }
            None => state.skip(step, begun),
        }
        if state.error.is_some() {
            return;
        }
    }
}

/// A step's own panic must not take the request's thread along, nor leave others waiting for it.
fn run_step(pipeline: &Pipeline, index: usize, inputs: Named, context: &Arc<RequestContext>) -> Done {
    let step = &pipeline.plan.steps[index];
    let start = Instant::now();
    // After a panic nothing of the step is used again: its inputs are gone, its instance was dropped.
    let run = AssertUnwindSafe(|| pipeline.runners[index].run(step, inputs, context));
    let mut done = catch_unwind(run).unwrap_or_else(|_| Done {
        result: Err(PipelineError::Panic { step: step.name.to_string() }),
        start,
        end: Instant::now(),
        queue_ns: 0,
        memory_bytes: None,
    });
    if let Err(PipelineError::Model { inputs_are_clients, .. }) = &mut done.result {
        // The first slots are the request's inputs.
        *inputs_are_clients = step.inputs.iter().all(|input| input.slot < pipeline.plan.inputs.len());
    }
    done
}

/// A request whose steps may run side by side. Its own thread can do all of them; whoever helps only makes it faster.
pub(super) struct SharedRun {
    pipeline: Arc<Pipeline>,
    context: Arc<RequestContext>,
    begun: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

impl SharedRun {
    pub(super) fn new(
        pipeline: &Arc<Pipeline>,
        state: State,
        context: &Arc<RequestContext>,
        begun: Instant,
    ) -> Arc<Self> {
        Arc::new(Self {
            pipeline: Arc::clone(pipeline),
            context: Arc::clone(context),
            begun,
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// Runs until every step has ended, and gives what they left.
    pub(super) fn finish(self: &Arc<Self>) -> State {
        let mut state = self.lock();
        loop {
            state = self.take_work(state);
            if state.running == 0 && (state.ready.is_empty() || state.error.is_some()) {
                break;
            }
            // A step that runs elsewhere ends by its own deadline at the latest, and then tells.
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let empty = State {
            slots: Vec::new(),
            findings: Vec::new(),
            decisions: BTreeMap::new(),
            traces: Vec::new(),
            error: None,
            waits_for: Vec::new(),
            ready: Vec::new(),
            running: 0,
        };
        std::mem::replace(&mut *state, empty)
    }

    /// Runs ready steps until there are none.
    fn take_work<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        while state.error.is_none()
            && let Some(index) = state.ready.pop()
        {
            let step = &self.pipeline.plan.steps[index];
            match state.take_inputs(&self.pipeline.plan, step, &self.context) {
                Some(inputs) => {
                    state.running += 1;
                    let others = state.ready.len();
                    drop(state);
                    self.pipeline.crew.call(self, others);
                    let done = run_step(&self.pipeline, index, inputs, &self.context);
                    state = self.lock();
                    state.running -= 1;
                    state.settle(&self.pipeline, index, done, self.begun);
                }
                None => state.skip(step, self.begun),
            }
            if state.error.is_some() {
                self.context.deadline.cancel();
            } else {
                state.release_dependents(step);
            }
            self.changed.notify_all();
        }
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the crew holds: the run itself, as long as it is called.
impl Shareable for SharedRun {
    fn help(self: Arc<Self>) {
        drop(self.take_work(self.lock()));
    }
}

#[cfg(test)]
mod tests;
