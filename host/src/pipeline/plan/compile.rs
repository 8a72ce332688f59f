//! From a checked file and signatures to a plan: wiring, then datatypes and shapes, then numbers for everything.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::document::{Diagnostic, join};
use super::super::spec::{DefaultSpec, PipelineSpec, StepSpec, ordered, step_path};
use super::super::{parameters, values};
use super::condition::is_comparable;
use super::order::{self, Before};
use super::types::{conflict, default_conflict, loosen, refine};
use super::wiring::{Read, Source, Wiring, wire};
use super::{Condition, Plan, PlanOutput, PlanStep, Signatures, Slot, StepInput, StepOutput};
use crate::tensor::{Signature, Tensor, TensorSpec};

pub(super) fn compile(spec: &PipelineSpec, signatures: &dyn Signatures) -> Result<Plan, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let judge = signatures;
    let signatures: Vec<Option<Signature>> =
        spec.steps.iter().enumerate().map(|(index, step)| signature(spec, index, step, judge, &mut found)).collect();
    let wiring = wire(spec, &signatures, &mut found);
    let sequence = order::sequence(&wiring.before);
    if let Err(cycle) = &sequence {
        found.push(cyclic(spec, cycle));
    }
    let defaults = defaults(spec, &mut found);
    let mut types =
        Types { spec, judge, signatures: &signatures, wiring: &wiring, tensors: BTreeMap::new(), found: &mut found };
    types.declare(&defaults);
    types.check(&defaults);
    let tensors = types.tensors;
    match sequence {
        Ok(sequence) if found.is_empty() => {
            let signatures = signatures.into_iter().map(|signature| signature.expect("none was missing")).collect();
            Ok(Layout { spec, signatures, wiring, tensors, defaults, sequence }.plan())
        }
        _ => Err(ordered(found)),
    }
}

fn signature(
    spec: &PipelineSpec,
    index: usize,
    step: &StepSpec,
    signatures: &dyn Signatures,
    found: &mut Vec<Diagnostic>,
) -> Option<Signature> {
    let path = step_path(index);
    let target = join(&path, step.kind().name());
    match signatures.signature(step) {
        Ok(signature) => Some(signature),
        Err(problems) => {
            for problem in problems {
                let path = if problem.path.is_empty() { target.clone() } else { format!("{path}{}", problem.path) };
                let message = format!("step `{}`: {}", step.name, problem.message);
                found.push(spec.document.diagnostic("step", &path, message, problem.hint));
            }
            None
        }
    }
}

fn cyclic(spec: &PipelineSpec, cycle: &[usize]) -> Diagnostic {
    let name = |&step: &usize| format!("`{}`", spec.steps[step].name);
    let mut names: Vec<_> = cycle.iter().map(name).collect();
    names.extend(cycle.first().map(name));
    let path = step_path(cycle.first().copied().unwrap_or_default());
    let message = format!("steps wait for each other: {}", names.join(" -> "));
    spec.document.diagnostic("cycle", &path, message, "rename an output, or remove an `after`, so that one can start")
}

/// The tensors that stand in for outputs, by the step and the pipeline's name.
type Defaults = BTreeMap<(usize, String), Tensor>;

fn defaults(spec: &PipelineSpec, found: &mut Vec<Diagnostic>) -> Defaults {
    let mut defaults = Defaults::new();
    for (index, step) in spec.steps.iter().enumerate() {
        for (name, default) in &step.defaults {
            match made(default) {
                Ok(tensor) => {
                    defaults.insert((index, name.clone()), tensor);
                }
                Err(problem) => {
                    let path = join(&format!("{}/defaults", step_path(index)), name);
                    let message = format!("default of `{name}`: {problem}");
                    let hint = "`shape` and `data` must fit the datatype";
                    found.push(spec.document.diagnostic("default", &path, message, hint));
                }
            }
        }
    }
    defaults
}

/// A default is kept in memory for as long as the pipeline is loaded, so that it has a bound.
const DEFAULT_ELEMENTS_MAX: usize = 1 << 20;

fn made(default: &DefaultSpec) -> Result<Tensor, String> {
    let count = crate::tensor::element_count(&default.shape).map_err(|error| error.to_string())?;
    if count > DEFAULT_ELEMENTS_MAX {
        return Err(format!("has {count} elements, at most {DEFAULT_ELEMENTS_MAX}"));
    }
    match &default.data {
        None => Tensor::zeros(default.datatype.0, &default.shape).map_err(|error| error.to_string()),
        Some(data) => values::tensor(default.datatype.0, &default.shape, &data.0).map_err(|error| error.to_string()),
    }
}

/// Checks datatypes, ranks and dimensions along every wire.
struct Types<'a> {
    spec: &'a PipelineSpec,
    judge: &'a dyn Signatures,
    signatures: &'a [Option<Signature>],
    wiring: &'a Wiring,
    /// What is known of each tensor, by the pipeline's name.
    tensors: BTreeMap<String, TensorSpec>,
    found: &'a mut Vec<Diagnostic>,
}

impl Types<'_> {
    fn report(&mut self, code: &'static str, path: &str, message: String, hint: impl Into<String>) {
        self.found.push(self.spec.document.diagnostic(code, path, message, hint));
    }

    /// What each tensor is by who gives it, and for inputs by who surely reads them.
    fn declare(&mut self, defaults: &Defaults) {
        for (name, &source) in &self.wiring.tensors {
            let mut tensor = match source {
                Source::Request => {
                    let input = &self.spec.inputs[name];
                    TensorSpec {
                        name: name.clone(),
                        datatype: input.datatype.map(|datatype| datatype.0),
                        shape: input.shape.clone(),
                        multiple_of: Vec::new(),
                        optional: input.optional,
                    }
                }
                Source::Step(step, output) => {
                    let output = self.output(step, output);
                    TensorSpec { name: name.clone(), ..output.clone() }
                }
            };
            if let Source::Step(step, _) = source
                && let Some(default) = defaults.get(&(step, name.clone()))
            {
                if let Some(conflict) = default_conflict(&tensor, default) {
                    let path = join(&format!("{}/defaults", step_path(step)), name);
                    self.report(
                        "default",
                        &path,
                        format!("default of `{name}` {conflict}"),
                        "make it like the step's own output",
                    );
                }
                loosen(&mut tensor, default);
                tensor.optional = false;
            }
            self.tensors.insert(name.clone(), tensor);
        }
    }

    fn output(&self, step: usize, output: usize) -> &TensorSpec {
        let signature = self.signatures[step].as_ref().expect("only steps with a signature give tensors");
        &signature.outputs[output]
    }

    fn input(&self, read: &Read) -> &TensorSpec {
        let signature = self.signatures[read.step].as_ref().expect("only steps with a signature read tensors");
        &signature.inputs[read.input]
    }

    fn check(&mut self, defaults: &Defaults) {
        let wiring = self.wiring;
        for read in &wiring.reads {
            let asked = self.input(read).clone();
            let given = &self.tensors[&read.tensor];
            let path = read_path(self.spec, read, &asked.name);
            let step = &self.spec.steps[read.step];
            if let Some(conflict) = conflict(given, &asked) {
                let hint = format!("it comes from {}", self.giver(&read.tensor));
                let what = format!("step `{}`, input `{}`: tensor `{}` {conflict}", step.name, asked.name, read.tensor);
                self.report("type", &path, what, hint);
            } else if wiring.tensors[&read.tensor] == Source::Request && step.when.is_none() {
                let declared = self.tensors.get_mut(&read.tensor).expect("every tensor is declared");
                refine(declared, &asked);
            }
            if let Some(&Source::Step(writer, _)) = wiring.tensors.get(&read.tensor)
                && let Some(default) = defaults.get(&(writer, read.tensor.clone()))
                && let Err(error) = asked.check(default)
            {
                let path = join(&format!("{}/defaults", step_path(writer)), &read.tensor);
                let hint = format!("step `{}` reads it", step.name);
                self.report("default", &path, format!("default of `{}`: {error}", read.tensor), hint);
            }
            self.misfits(read, &asked.name);
            if !asked.optional {
                self.presence(&read.tensor, Some(read.step), defaults);
            }
        }
        for (&step, tensor) in &wiring.conditions {
            self.condition(step, tensor);
        }
        for output in &self.spec.outputs {
            self.presence(output, None, defaults);
        }
    }

    /// What the step itself finds wrong with a tensor.
    fn misfits(&mut self, read: &Read, input: &str) {
        let step = &self.spec.steps[read.step];
        for problem in self.judge.misfits(step, input, &self.tensors[&read.tensor]) {
            let path = format!("{}{}", step_path(read.step), problem.path);
            let message = format!("step `{}`: {}", step.name, problem.message);
            let hint = format!("{}; it comes from {}", problem.hint, self.giver(&read.tensor));
            self.report("type", &path, message, hint);
        }
    }

    /// Whether the tensor is surely there when a step, or the client, must have it.
    fn presence(&mut self, tensor: &str, reader: Option<usize>, defaults: &Defaults) {
        let Some(&source) = self.wiring.tensors.get(tensor) else { return };
        let who =
            reader.map_or_else(|| "the client".to_owned(), |step| format!("step `{}`", self.spec.steps[step].name));
        match source {
            Source::Request if self.spec.inputs[tensor].optional => {
                let path = join("/inputs", tensor);
                let message = format!("input `{tensor}` may be left out, but {who} must have it");
                self.report("optional", &path, message, "remove `optional`");
            }
            Source::Request => {}
            Source::Step(writer, _) if defaults.contains_key(&(writer, tensor.to_owned())) => {}
            Source::Step(writer, output) => {
                let step = &self.spec.steps[writer];
                let is_together = reader.is_some_and(|reader| is_same_condition(step, &self.spec.steps[reader]));
                let why = if step.when.is_some() && !is_together {
                    ("when", "may be skipped")
                } else if self.output(writer, output).optional {
                    ("name", "may leave it out")
                } else {
                    return;
                };
                let path = join(&step_path(writer), why.0);
                let datatype = self.tensors[tensor].datatype.map_or("FP32", crate::tensor::Datatype::name);
                let rank = self.tensors[tensor].shape.as_ref().map_or(1, |shape| shape.len().max(1));
                let message = format!("{who} reads `{tensor}`, but step `{}` {}", step.name, why.1);
                let shape = vec!["0"; rank].join(", ");
                let hint = format!(
                    "say what it is then: `defaults: {{{tensor}: {{datatype: {datatype}, shape: [{shape}]}}}}`"
                );
                self.report("no-default", &path, message, hint);
            }
        }
    }

    fn condition(&mut self, step: usize, tensor: &str) {
        let given = &self.tensors[tensor];
        let Some(when) = &self.spec.steps[step].when else { return };
        let path = join(&step_path(step), "when");
        if let Some(datatype) = given.datatype
            && !is_comparable(datatype, &when.equals.0)
        {
            let message = format!("`{tensor}` is {datatype} and never equals {}", when.equals.0);
            self.report("when", &join(&path, "equals"), message, "compare with a value of its datatype");
        } else if let Some(shape) = &given.shape
            && shape.iter().all(|&dimension| dimension >= 0)
            && shape.iter().product::<i64>() != 1
        {
            let message = format!("`{tensor}` has shape {shape:?}: only one element can equal a value");
            self.report("when", &join(&path, "tensor"), message, "test a tensor of one element");
        }
    }

    fn giver(&self, tensor: &str) -> String {
        match self.wiring.tensors[tensor] {
            Source::Request => {
                let at = self.spec.document.position(&join("/inputs", tensor));
                format!("the request{}", at.map_or_else(String::new, |at| format!(" (line {})", at.line)))
            }
            Source::Step(step, output) => {
                let at = self.spec.document.position(&step_path(step));
                let line = at.map_or_else(String::new, |at| format!(" (line {})", at.line));
                format!("output `{}` of step `{}`{line}", self.output(step, output).name, self.spec.steps[step].name)
            }
        }
    }
}

/// Where the file says what an input reads, or else the step.
fn read_path(spec: &PipelineSpec, read: &Read, input: &str) -> String {
    let path = step_path(read.step);
    if spec.steps[read.step].inputs.contains_key(input) { join(&join(&path, "inputs"), input) } else { path }
}

/// Whether both steps run or both are skipped.
fn is_same_condition(one: &StepSpec, other: &StepSpec) -> bool {
    match (&one.when, &other.when) {
        (Some(one), Some(other)) => {
            one.parameter == other.parameter && one.tensor == other.tensor && one.equals == other.equals
        }
        _ => false,
    }
}

/// Numbers steps and tensors.
struct Layout<'a> {
    spec: &'a PipelineSpec,
    signatures: Vec<Signature>,
    wiring: Wiring,
    tensors: BTreeMap<String, TensorSpec>,
    defaults: Defaults,
    /// The file's number of each step, in the order of running.
    sequence: Vec<usize>,
}

impl Layout<'_> {
    fn plan(self) -> Plan {
        let names = self.slot_names();
        let slots: BTreeMap<&str, usize> = names.iter().enumerate().map(|(slot, name)| (name.as_str(), slot)).collect();
        let before = self.before();
        let ancestors = order::ancestors(&before);
        let mut steps: Vec<PlanStep> = (0..self.sequence.len()).map(|step| self.step(step, &slots, &before)).collect();
        let slots: Vec<Slot> = names.iter().map(|name| self.slot(name)).collect();
        release(&mut steps, &slots, &ancestors);
        for (number, step) in steps.iter_mut().enumerate() {
            let is_ended = |other: &usize| *other == number || ancestors[number].contains(other);
            let mut ready = step.dependents.iter().filter(|&&dependent| before[dependent].iter().all(is_ended));
            step.next = ready.next().copied().filter(|_| ready.next().is_none());
        }
        let spec = self.spec;
        let output = |name: &String| PlanOutput {
            spec: self.tensors[name].clone(),
            slot: names.iter().position(|slot| slot == name).expect("outputs were found"),
        };
        Plan {
            name: spec.name.clone(),
            version: spec.version.clone(),
            description: spec.description.clone(),
            timeout: spec.timeout_ms.map(|timeout| Duration::from_millis(timeout.get())),
            inputs: names[..spec.inputs.len()].iter().map(|name| self.tensors[name].clone()).collect(),
            outputs: spec.outputs.iter().map(output).collect(),
            parameters: spec.parameters.clone(),
            roots: (0..steps.len()).filter(|&step| before[step].is_empty()).collect(),
            is_chain: (1..steps.len()).all(|step| before[step].contains(&(step - 1))),
            steps,
            slots,
        }
    }

    /// Inputs first, in the order in which steps read them, then what the steps give.
    fn slot_names(&self) -> Vec<String> {
        let first_read = |name: &String| {
            let reads = self.wiring.reads.iter().filter(|read| read.tensor == *name);
            reads.map(|read| (read.step, read.input)).min().unwrap_or((usize::MAX, 0))
        };
        let mut names: Vec<String> = self.spec.inputs.keys().cloned().collect();
        names.sort_by_key(first_read);
        for &step in &self.sequence {
            names.extend(self.signatures[step].outputs.iter().map(|output| self.tensor(step, output).to_owned()));
        }
        names
    }

    /// The pipeline's name of an output.
    fn tensor<'a>(&'a self, step: usize, output: &'a TensorSpec) -> &'a str {
        self.spec.steps[step].outputs.get(&output.name).unwrap_or(&output.name)
    }

    /// Who waits for whom, in the plan's numbers.
    fn before(&self) -> Before {
        let place =
            |step: usize| self.sequence.iter().position(|&other| other == step).expect("every step has a place");
        self.sequence.iter().map(|&step| self.wiring.before[step].iter().map(|&other| place(other)).collect()).collect()
    }

    fn slot(&self, name: &str) -> Slot {
        let mut readers: Vec<usize> =
            self.wiring.reads.iter().filter(|read| read.tensor == name).map(|read| read.step).collect();
        readers.extend(self.wiring.conditions.iter().filter(|(_, tensor)| *tensor == name).map(|(&step, _)| step));
        readers.sort_unstable();
        readers.dedup();
        Slot {
            name: name.to_owned(),
            readers: readers.len(),
            is_output: self.spec.outputs.iter().any(|output| output == name),
        }
    }

    fn step(&self, number: usize, slots: &BTreeMap<&str, usize>, before: &Before) -> PlanStep {
        let index = self.sequence[number];
        let spec = &self.spec.steps[index];
        let signature = &self.signatures[index];
        let reads = self.wiring.reads.iter().filter(|read| read.step == index);
        let inputs = reads.map(|read| {
            let TensorSpec { name, optional, .. } = &signature.inputs[read.input];
            StepInput { name: name.clone(), slot: slots[read.tensor.as_str()], optional: *optional, is_last: false }
        });
        let outputs = signature.outputs.iter().map(|output| {
            let tensor = self.tensor(index, output);
            let slot = self.slot(tensor);
            StepOutput {
                name: output.name.clone(),
                slot: slots[tensor],
                optional: output.optional,
                is_read: slot.readers > 0 || slot.is_output,
                default: self.defaults.get(&(index, tensor.to_owned())).cloned(),
            }
        });
        let dependents: Vec<usize> = (0..before.len()).filter(|&other| before[other].contains(&number)).collect();
        let (kind, reference) = spec.target();
        PlanStep {
            name: spec.name.clone(),
            kind,
            reference: reference.clone(),
            index,
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            dependencies: before[number].len(),
            dependents,
            next: None,
            when: self.when(index, spec, slots),
            releases: Vec::new(),
            config: spec.config_json(),
            isolation: spec.isolation.unwrap_or_default(),
            limits: spec.limits,
            grants: spec.grants.clone(),
            on_finding: spec.on_finding.unwrap_or_default(),
        }
    }

    fn when(&self, index: usize, spec: &StepSpec, slots: &BTreeMap<&str, usize>) -> Option<Condition> {
        let when = spec.when.as_ref()?;
        if let Some(tensor) = self.wiring.conditions.get(&index) {
            return Some(Condition::Tensor { slot: slots[tensor.as_str()], equals: when.equals.0.clone() });
        }
        let name = when.parameter.clone()?;
        let declared = &self.spec.parameters[&name];
        let equals =
            parameters::from_json(declared.r#type, &when.equals.0).expect("the check of the file has compared types");
        Some(Condition::Parameter { name, equals })
    }
}

/// Finds the step after which nobody reads a slot: the one that all other readers surely precede.
fn release(steps: &mut [PlanStep], slots: &[Slot], ancestors: &Before) {
    for (slot, _) in slots.iter().enumerate().filter(|(_, slot)| !slot.is_output) {
        let tests =
            |step: &PlanStep| matches!(step.when, Some(Condition::Tensor { slot: tested, .. }) if tested == slot);
        let reads = |step: &PlanStep| step.inputs.iter().any(|input| input.slot == slot);
        let readers: Vec<usize> = (0..steps.len()).filter(|&step| reads(&steps[step]) || tests(&steps[step])).collect();
        let Some((&last, others)) = readers.split_last() else { continue };
        if others.iter().all(|other| ancestors[last].contains(other)) {
            let step = &mut steps[last];
            step.releases.push(slot);
            if let Some(input) = step.inputs.iter_mut().rev().find(|input| input.slot == slot) {
                input.is_last = true;
            }
        }
    }
}
