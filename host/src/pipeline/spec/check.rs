//! What the JSON Schema of a pipeline cannot say: references, which keys suit which step, parameters. Knows no signatures.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde_json::Value;

use super::super::document::{Diagnostic, Document, join, suggest};
use super::super::parameters;
use super::{PipelineSpec, StepKind, step_path};
use crate::name::{Name, Reference, Version};

/// Texts with a grammar of their own, and the one of four keys that each step has. Runs on the value, so that all are found.
pub(super) fn texts(document: &Document, found: &mut Vec<Diagnostic>) {
    let mut check = Texts { document, found };
    check.parse::<Name>("/name", "write lower-case letters, digits, `.`, `_` and `-`");
    check.parse::<Version>("/version", "write three numbers such as `1.0.0`");
    if document.value.get("cache") == Some(&Value::Bool(true)) {
        let message = "answers cannot be cached yet: this part is not built".to_owned();
        check.found.push(document.diagnostic("not-built", "/cache", message, "write `cache: false` or leave it out"));
    }
    let steps = document.value.get("steps").and_then(Value::as_array).map_or(0, Vec::len);
    for index in 0..steps {
        check.step(index);
    }
}

struct Texts<'a> {
    document: &'a Document,
    found: &'a mut Vec<Diagnostic>,
}

impl Texts<'_> {
    fn parse<T: FromStr<Err = crate::name::NameError>>(&mut self, path: &str, hint: &str) {
        let Some(text) = self.document.value.pointer(path).and_then(Value::as_str) else { return };
        if let Err(error) = text.parse::<T>() {
            // The schema has said that it does not match a pattern; this says why.
            self.found.retain(|diagnostic| diagnostic.path != path);
            self.found.push(self.document.diagnostic("wrong-value", path, error.to_string(), hint));
        }
    }

    fn step(&mut self, index: usize) {
        let path = step_path(index);
        self.parse::<Name>(&join(&path, "name"), "write lower-case letters, digits, `.`, `_` and `-`");
        let Some(step) = self.document.value.pointer(&path).and_then(Value::as_object) else { return };
        let kinds: Vec<_> = StepKind::ALL
            .into_iter()
            .filter(|kind| step.get(kind.name()).is_some_and(|value| !value.is_null()))
            .collect();
        let label =
            step.get("name").and_then(Value::as_str).map_or_else(|| index.to_string(), |name| format!("`{name}`"));
        if kinds.len() != 1 {
            let names: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.name())).collect();
            let what = if names.is_empty() {
                "says nothing to run".to_owned()
            } else {
                format!("has {}", names.join(" and "))
            };
            let hint = "write exactly one of `plugin`, `model`, `rules` and `validate`";
            self.found.push(self.document.diagnostic("step-kind", &path, format!("step {label} {what}"), hint));
        }
        let hint = "write `name`, `name@1.4.2`, `name@^1`, `name@sha256:..` or `name@label`";
        for kind in kinds {
            self.parse::<Reference>(&join(&path, kind.name()), hint);
        }
        let models =
            self.document.value.pointer(&format!("{path}/grants/models")).and_then(Value::as_array).map_or(0, Vec::len);
        for model in 0..models {
            self.parse::<Reference>(&format!("{path}/grants/models/{model}"), hint);
        }
    }
}

/// Names that stand twice, and keys that say nothing for this kind of step.
pub(super) fn steps(spec: &PipelineSpec, found: &mut Vec<Diagnostic>) {
    let mut names = BTreeMap::new();
    for (index, step) in spec.steps.iter().enumerate() {
        let path = step_path(index);
        if let Some(first) = names.insert(&step.name, index) {
            let line =
                spec.document.position(&step_path(first)).map_or_else(String::new, |at| format!(" (line {})", at.line));
            let message = format!("two steps are called `{}`{line}", step.name);
            found.push(spec.document.diagnostic(
                "duplicate-step",
                &join(&path, "name"),
                message,
                "give it another name",
            ));
        }
        let kind = step.kind();
        let written = spec.document.value.pointer(&path).and_then(Value::as_object);
        for key in written.into_iter().flat_map(serde_json::Map::keys) {
            if !suits(kind, key) {
                let message = format!("a {} step takes no `{key}`", kind.name());
                found.push(spec.document.diagnostic("unsuited-key", &join(&path, key), message, "remove it"));
            }
        }
        if let Some(when) = &step.when
            && when.parameter.is_some() == when.tensor.is_some()
        {
            let message = "`when` tests one thing".to_owned();
            let hint = "write `{parameter: p, equals: v}` or `{tensor: t, equals: v}`";
            found.push(spec.document.diagnostic("when", &join(&path, "when"), message, hint));
        }
        if kind == StepKind::Model {
            let limits = spec.document.value.pointer(&join(&path, "limits")).and_then(Value::as_object);
            for key in limits.into_iter().flat_map(serde_json::Map::keys).filter(|key| *key != "deadline_ms") {
                let message = format!("a model step takes no limit `{key}`");
                let path = join(&join(&path, "limits"), key);
                found.push(spec.document.diagnostic(
                    "unsuited-key",
                    &path,
                    message,
                    "only `deadline_ms` bounds a model",
                ));
            }
        }
    }
    let mut outputs = BTreeSet::new();
    for (index, output) in spec.outputs.iter().enumerate() {
        if !outputs.insert(output) {
            let message = format!("output `{output}` stands twice");
            found.push(spec.document.diagnostic("duplicate-output", &join("/outputs", index), message, "remove one"));
        }
    }
}

fn suits(kind: StepKind, key: &str) -> bool {
    match key {
        "config" | "isolation" | "grants" => matches!(kind, StepKind::Plugin | StepKind::Validate),
        "outputs" | "defaults" => kind != StepKind::Validate,
        "on_finding" => kind == StepKind::Validate,
        "params" | "facts" => kind == StepKind::Rules,
        _ => true,
    }
}

/// Defaults, bounds and values against the type, and `when` against what is declared.
pub(super) fn parameters(spec: &PipelineSpec, found: &mut Vec<Diagnostic>) {
    for (name, parameter) in &spec.parameters {
        let path = join("/parameters", name);
        if parameters::is_reserved(name) {
            let message = format!("parameter `{name}` has a meaning of its own on the wire");
            found.push(spec.document.diagnostic("reserved-parameter", &path, message, "give it another name"));
        }
        for (key, problem) in parameters::problems(parameter) {
            found.push(spec.document.diagnostic(
                "parameter",
                &join(&path, key),
                format!("parameter `{name}`: {problem}"),
                "values, default and bounds must fit the type",
            ));
        }
    }
    for (index, step) in spec.steps.iter().enumerate() {
        let Some(when) = &step.when else { continue };
        let Some(name) = &when.parameter else { continue };
        let path = join(&step_path(index), "when");
        let Some(parameter) = spec.parameters.get(name) else {
            let hint = suggest(name, spec.parameters.keys().map(String::as_str));
            let message = format!("`when` reads parameter `{name}`, which is not declared");
            found.push(spec.document.diagnostic("unknown-parameter", &join(&path, "parameter"), message, hint));
            continue;
        };
        if let Err(problem) = parameters::admit(parameter, &when.equals.0) {
            let message = format!("parameter `{name}` never equals {}: {problem}", when.equals.0);
            found.push(spec.document.diagnostic(
                "when",
                &join(&path, "equals"),
                message,
                "compare with a value that it can have",
            ));
        }
    }
}
