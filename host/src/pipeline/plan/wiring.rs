//! Which step reads the tensor that which other step writes. Checks names, not datatypes or shapes.

use std::collections::{BTreeMap, BTreeSet};

use super::super::document::{Diagnostic, join, suggest};
use super::super::spec::{PipelineSpec, StepSpec, step_path};
use super::order::Before;
use crate::tensor::{Signature, TensorSpec};

/// Who gives a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Request,
    /// The output of this number of the step of this number.
    Step(usize, usize),
}

/// One input of a step that reads a tensor.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) step: usize,
    /// The input's number in the step's signature.
    pub(super) input: usize,
    pub(super) tensor: String,
}

/// The tensors of a pipeline by name, and who reads them.
pub(super) struct Wiring {
    pub(super) tensors: BTreeMap<String, Source>,
    pub(super) reads: Vec<Read>,
    /// By step: the tensor that its `when` reads.
    pub(super) conditions: BTreeMap<usize, String>,
    pub(super) before: Before,
}

/// Connects the steps. Steps without a signature are left out, and names that they may give are not called unknown.
pub(super) fn wire(spec: &PipelineSpec, signatures: &[Option<Signature>], found: &mut Vec<Diagnostic>) -> Wiring {
    let mut wirer = Wirer {
        spec,
        is_complete: signatures.iter().all(Option::is_some),
        found,
        wiring: Wiring {
            tensors: spec.inputs.keys().map(|name| (name.clone(), Source::Request)).collect(),
            reads: Vec::new(),
            conditions: BTreeMap::new(),
            before: vec![BTreeSet::new(); spec.steps.len()],
        },
    };
    for (step, signature) in signatures.iter().enumerate() {
        if let Some(signature) = signature {
            wirer.outputs(step, &signature.outputs);
        }
    }
    for (step, signature) in signatures.iter().enumerate() {
        if let Some(signature) = signature {
            wirer.inputs(step, &signature.inputs);
        }
        wirer.condition(step);
        wirer.after(step);
    }
    for (index, output) in spec.outputs.iter().enumerate() {
        if !wirer.wiring.tensors.contains_key(output) {
            let path = join("/outputs", index);
            wirer.unknown(&path, format!("no step and no input gives output `{output}`"), output);
        }
    }
    wirer.wiring
}

struct Wirer<'a> {
    spec: &'a PipelineSpec,
    is_complete: bool,
    found: &'a mut Vec<Diagnostic>,
    wiring: Wiring,
}

impl Wirer<'_> {
    fn report(&mut self, code: &'static str, path: &str, message: String, hint: String) {
        self.found.push(self.spec.document.diagnostic(code, path, message, hint));
    }

    fn unknown(&mut self, path: &str, message: String, name: &str) {
        if self.is_complete {
            let hint = suggest(name, self.wiring.tensors.keys().map(String::as_str));
            self.report("unknown-tensor", path, message, hint);
        }
    }

    /// Keys on the left of `inputs` or `outputs` that the step does not have.
    fn strangers(&mut self, step: usize, key: &str, mapped: &BTreeMap<String, String>, specs: &[TensorSpec]) {
        let what = key.trim_end_matches('s');
        for name in mapped.keys().filter(|name| specs.iter().all(|spec| spec.name != **name)) {
            let path = join(&join(&step_path(step), key), name);
            let message = format!("step `{}` has no {what} `{name}`", self.spec.steps[step].name);
            let mut hint = suggest(name, specs.iter().map(|spec| spec.name.as_str()));
            if mapped.get(name).is_some_and(|right| specs.iter().any(|spec| spec.name == *right)) {
                hint = "left stands the step's own name, right the pipeline's".to_owned();
            }
            self.report("unknown-name", &path, message, hint);
            if let Some(last) = self.found.last_mut() {
                last.position = self.spec.document.key_position(&path);
            }
        }
    }

    fn outputs(&mut self, step: usize, outputs: &[TensorSpec]) {
        let spec = &self.spec.steps[step];
        self.strangers(step, "outputs", &spec.outputs, outputs);
        for (number, output) in outputs.iter().enumerate() {
            let tensor = spec.outputs.get(&output.name).unwrap_or(&output.name);
            let source = Source::Step(step, number);
            let Some(first) = self.wiring.tensors.insert(tensor.clone(), source) else { continue };
            self.wiring.tensors.insert(tensor.clone(), first);
            let first = match first {
                Source::Request => "the request".to_owned(),
                Source::Step(first, _) => format!("step `{}`", self.spec.steps[first].name),
            };
            let path = join(&join(&step_path(step), "outputs"), &output.name);
            let message = format!("tensor `{tensor}` is written twice: by {first} and by step `{}`", spec.name);
            let hint = format!("give it another name here: `outputs: {{\"{}\": other_name}}`", output.name);
            self.report("written-twice", &path, message, hint);
        }
        let own: Vec<&str> =
            outputs.iter().map(|output| spec.outputs.get(&output.name).unwrap_or(&output.name).as_str()).collect();
        for name in spec.defaults.keys().filter(|name| !own.contains(&name.as_str())) {
            let path = join(&join(&step_path(step), "defaults"), name);
            let message = format!("step `{}` does not give `{name}`", spec.name);
            self.report("unknown-tensor", &path, message, suggest(name, own.iter().copied()));
        }
    }

    fn inputs(&mut self, step: usize, inputs: &[TensorSpec]) {
        let spec = &self.spec.steps[step];
        self.strangers(step, "inputs", &spec.inputs, inputs);
        for (number, input) in inputs.iter().enumerate() {
            let mapped = spec.inputs.get(&input.name);
            let tensor = mapped.unwrap_or(&input.name).clone();
            let source = self.wiring.tensors.get(&tensor).copied();
            let is_own = matches!(source, Some(Source::Step(writer, _)) if writer == step);
            let is_left_out = mapped.is_none() && input.optional;
            let path = match mapped {
                Some(_) => join(&join(&step_path(step), "inputs"), &input.name),
                None => facts_path(spec, step, &input.name).unwrap_or_else(|| step_path(step)),
            };
            match source {
                Some(_) if is_own && is_left_out => {}
                Some(source) => {
                    if let Source::Step(writer, _) = source {
                        self.wiring.before[step].insert(writer);
                    }
                    self.wiring.reads.push(Read { step, input: number, tensor });
                }
                None if is_left_out => {}
                None if mapped.is_some() => {
                    let message = format!("step `{}` reads `{tensor}`, which no step and no input gives", spec.name);
                    self.unknown(&path, message, &tensor);
                }
                None => self.missing(&path, step, &input.name),
            }
        }
    }

    fn missing(&mut self, path: &str, step: usize, input: &str) {
        if !self.is_complete {
            return;
        }
        if facts_path(&self.spec.steps[step], step, input).is_some() {
            let name = &self.spec.steps[step].name;
            let message = format!("step `{name}` reads `{input}`, which no step and no input gives");
            return self.unknown(path, message, input);
        }
        let message =
            format!("step `{}` needs input `{input}`, which no step and no input gives", self.spec.steps[step].name);
        let known: Vec<_> = self.wiring.tensors.keys().map(String::as_str).collect();
        let hint =
            format!("say which tensor it is: `inputs: {{\"{input}\": ..}}`; {}", suggest(input, known.iter().copied()));
        self.report("missing-input", path, message, hint);
    }

    fn condition(&mut self, step: usize) {
        let Some(tensor) = self.spec.steps[step].when.as_ref().and_then(|when| when.tensor.clone()) else { return };
        match self.wiring.tensors.get(&tensor) {
            Some(&source) => {
                if let Source::Step(writer, _) = source {
                    self.wiring.before[step].insert(writer);
                }
                self.wiring.conditions.insert(step, tensor);
            }
            None => {
                let path = format!("{}/when/tensor", step_path(step));
                self.unknown(&path, format!("`when` reads `{tensor}`, which no step and no input gives"), &tensor);
            }
        }
    }

    fn after(&mut self, step: usize) {
        for (index, name) in self.spec.steps[step].after.iter().enumerate() {
            let named = self.spec.steps.iter().position(|other| other.name.as_str() == name);
            match named {
                Some(other) => {
                    self.wiring.before[step].insert(other);
                }
                None => {
                    let path = format!("{}/after/{index}", step_path(step));
                    let hint = suggest(name, self.spec.steps.iter().map(|step| step.name.as_str()));
                    self.report("unknown-step", &path, format!("`after` names `{name}`, which is no step"), hint);
                }
            }
        }
    }
}

/// Where `facts` of a step names a tensor.
fn facts_path(spec: &StepSpec, step: usize, tensor: &str) -> Option<String> {
    let mut fields = spec.facts.iter().flat_map(|(template, fields)| fields.iter().map(move |field| (template, field)));
    let (template, (field, _)) = fields.find(|(_, (_, source))| *source == tensor)?;
    Some(join(&join(&join(&step_path(step), "facts"), template), field))
}
