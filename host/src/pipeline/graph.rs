//! A plan drawn as text: a Mermaid flowchart, or Graphviz. Only for people.

use std::fmt::Write as _;

use super::plan::{Plan, PlanStep};
use crate::tensor::TensorSpec;

const INFALLIBLE: &str = "writing to a string does not fail";

/// Who gives the tensor of each slot, and who takes it: as edges with the tensor's name.
fn edges(plan: &Plan) -> Vec<(String, String, String)> {
    let giver = |slot: usize| {
        let step = plan.steps.iter().position(|step| step.outputs.iter().any(|output| output.slot == slot));
        step.map_or_else(|| format!("in{slot}"), |step| format!("s{step}"))
    };
    let mut edges = Vec::new();
    for (number, step) in plan.steps.iter().enumerate() {
        for input in &step.inputs {
            edges.push((giver(input.slot), format!("s{number}"), plan.slots[input.slot].name.clone()));
        }
    }
    for (number, output) in plan.outputs.iter().enumerate() {
        edges.push((giver(output.slot), format!("out{number}"), plan.slots[output.slot].name.clone()));
    }
    edges
}

/// A Mermaid flowchart, as Markdown renderers draw it.
pub fn mermaid(plan: &Plan) -> String {
    let escape = |text: &str| text.replace('"', "#quot;");
    let mut text = "flowchart LR\n".to_owned();
    for (number, input) in plan.inputs.iter().enumerate() {
        writeln!(text, "  in{number}([\"{}\"])", escape(&label(input))).expect(INFALLIBLE);
    }
    for (number, step) in plan.steps.iter().enumerate() {
        let (open, close) = if step.when.is_some() { ("{{", "}}") } else { ("[", "]") };
        writeln!(text, "  s{number}{open}\"{}\"{close}", escape(&step_label(step, "<br/>"))).expect(INFALLIBLE);
    }
    for (number, output) in plan.outputs.iter().enumerate() {
        writeln!(text, "  out{number}([\"{}\"])", escape(&label(&output.spec))).expect(INFALLIBLE);
    }
    for (from, to, tensor) in edges(plan) {
        writeln!(text, "  {from} -->|\"{}\"| {to}", escape(&tensor)).expect(INFALLIBLE);
    }
    text
}

/// A directed graph for Graphviz.
pub fn dot(plan: &Plan) -> String {
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = format!("digraph \"{}\" {{\n  rankdir=LR;\n", escape(plan.name.as_str()));
    for (number, input) in plan.inputs.iter().enumerate() {
        writeln!(text, "  in{number} [shape=oval, label=\"{}\"];", escape(&label(input))).expect(INFALLIBLE);
    }
    for (number, step) in plan.steps.iter().enumerate() {
        let shape = if step.when.is_some() { "hexagon" } else { "box" };
        let label = escape(&step_label(step, "\n")).replace('\n', "\\n");
        writeln!(text, "  s{number} [shape={shape}, label=\"{label}\"];").expect(INFALLIBLE);
    }
    for (number, output) in plan.outputs.iter().enumerate() {
        writeln!(text, "  out{number} [shape=oval, label=\"{}\"];", escape(&label(&output.spec))).expect(INFALLIBLE);
    }
    for (from, to, tensor) in edges(plan) {
        writeln!(text, "  {from} -> {to} [label=\"{}\"];", escape(&tensor)).expect(INFALLIBLE);
    }
    text + "}\n"
}

fn step_label(step: &PlanStep, line_break: &str) -> String {
    format!("{}{line_break}{} {}", step.name, step.kind.name(), step.reference)
}

fn label(spec: &TensorSpec) -> String {
    let datatype = spec.datatype.map_or("any", crate::tensor::Datatype::name);
    let shape = spec.shape.as_ref().map_or_else(String::new, |shape| format!(" {shape:?}"));
    format!("{}: {datatype}{shape}", spec.name)
}
