//! What a run gave as tensors: decisions, the report, facts of output templates. Decides nothing.

use serde_json::Value;

use super::super::plan::Problem;
use super::REPORT;
use crate::plugin::{Column, Facts, Kind, Origin, Outcome, Pool, RuleDecision, RulesSignature, Values};
use crate::tensor::{Datatype, Tensor, TensorError, TensorSpec};

type Part = fn(&RuleDecision) -> &str;

/// The outputs that every rules step has, and what of a decision each holds.
const DECISIONS: [(&str, Part); 3] = [
    ("decision", |decision| &decision.decision),
    ("code", |decision| &decision.code),
    ("subject", |decision| decision.subject.as_deref().unwrap_or_default()),
];

/// One field of an output template as a tensor.
struct OutputField {
    template: u32,
    field: usize,
    spec: TensorSpec,
    /// Of a list.
    length: Option<u64>,
}

/// The tensors that a rules step gives.
#[derive(Default)]
pub(super) struct Outputs(Vec<OutputField>);

impl Outputs {
    /// # Errors
    /// Fields whose tensors would have no shape, or holes.
    pub(super) fn new(signature: &RulesSignature, parsed: &Value) -> Result<Self, Vec<Problem>> {
        let mut fields = Vec::new();
        let mut problems = Vec::new();
        let templates = signature.templates.iter().enumerate();
        for (place, template) in templates.filter(|(_, template)| template.origin == Origin::Output) {
            for (index, field) in template.fields.iter().enumerate() {
                let name = format!("{}.{}", template.name, field.name);
                let has_default = !parsed["facts"][&template.name]["fields"][&field.name]["default"].is_null();
                if field.optional && !has_default {
                    let message = format!("output `{name}` of the rule set is optional, and a tensor has no holes");
                    let hint = "give the field a default in the rule set".to_owned();
                    problems.push(Problem { path: String::new(), message, hint });
                }
                if field.repeated && field.length.is_none() {
                    let message = format!(
                        "output `{name}` of the rule set is {}, whose length a tensor must know",
                        field.type_name()
                    );
                    let hint = "give the field a `len` in the rule set".to_owned();
                    problems.push(Problem { path: String::new(), message, hint });
                }
                let shape: Vec<i64> = [-1].into_iter().chain(field.length.map(i64::from)).collect();
                fields.push(OutputField {
                    template: u32::try_from(place).unwrap_or(u32::MAX),
                    field: index,
                    spec: TensorSpec::new(name, datatype(field.kind), &shape),
                    length: field.length.map(u64::from),
                });
            }
        }
        if problems.is_empty() { Ok(Self(fields)) } else { Err(problems) }
    }

    pub(super) fn specs(&self) -> Vec<TensorSpec> {
        let decisions = DECISIONS.iter().map(|(name, _)| TensorSpec::new(*name, Datatype::Bytes, &[-1]));
        let report = TensorSpec::new(REPORT, Datatype::Bytes, &[1]);
        decisions.chain([report]).chain(self.0.iter().map(|output| output.spec.clone())).collect()
    }

    /// The tensors that somebody reads.
    ///
    /// # Errors
    /// What the engine gave otherwise than the rule set says.
    pub(super) fn tensors(
        &self,
        outcome: &Outcome,
        is_read: impl Fn(&str) -> bool,
    ) -> Result<Vec<(String, Tensor)>, String> {
        let mut tensors = Vec::new();
        let rows = [outcome.decisions.len() as u64];
        for (name, part) in DECISIONS.iter().filter(|(name, _)| is_read(name)) {
            let elements: Vec<&str> = outcome.decisions.iter().map(part).collect();
            tensors.push(((*name).to_owned(), Tensor::from_elements(&rows, &elements).map_err(told)?));
        }
        if let Some(report) = outcome.report.as_ref().filter(|_| is_read(REPORT)) {
            tensors.push((REPORT.to_owned(), Tensor::from_elements(&[1], &[report]).map_err(told)?));
        }
        for output in self.0.iter().filter(|output| is_read(&output.spec.name)) {
            let tensor =
                output.tensor(&outcome.derived).map_err(|problem| format!("`{}` {problem}", output.spec.name))?;
            tensors.push((output.spec.name.clone(), tensor));
        }
        Ok(tensors)
    }
}

fn told(error: TensorError) -> String {
    error.to_string()
}

impl OutputField {
    fn tensor(&self, derived: &Facts) -> Result<Tensor, String> {
        let table = derived.tables.iter().find(|table| table.template == self.template);
        let Some(table) = table.filter(|table| table.rows > 0) else {
            let shape: Vec<u64> = [0].into_iter().chain(self.length).collect();
            let datatype = self.spec.datatype.unwrap_or(Datatype::Bytes);
            return Tensor::zeros(datatype, &shape).map_err(told);
        };
        let column = &table.columns[self.field];
        if !column.missing.is_empty() {
            return Err("with holes".to_owned());
        }
        let shape: Vec<u64> = [u64::from(table.rows)].into_iter().chain(self.length).collect();
        tensor(column, &shape, &derived.pool).map_err(told)
    }
}

fn datatype(kind: Kind) -> Datatype {
    match kind {
        Kind::Boolean => Datatype::Bool,
        Kind::Integer | Kind::Timestamp | Kind::Duration => Datatype::Int64,
        Kind::Double => Datatype::Fp64,
        Kind::Text | Kind::Blob | Kind::Symbol => Datatype::Bytes,
    }
}

fn tensor(column: &Column, shape: &[u64], pool: &Pool) -> Result<Tensor, TensorError> {
    match &column.values {
        Values::Booleans(values) => Tensor::from_bytes(Datatype::Bool, shape, values),
        Values::BooleanLists(lists) => Tensor::from_bytes(Datatype::Bool, shape, &lists.elements),
        Values::Integers(values) => Tensor::from_slice(shape, values),
        Values::IntegerLists(lists) => Tensor::from_slice(shape, &lists.elements),
        Values::Doubles(values) => Tensor::from_slice(shape, values),
        Values::DoubleLists(lists) => Tensor::from_slice(shape, &lists.elements),
        Values::Pooled(places) => texts(places, shape, pool),
        Values::PooledLists(lists) => texts(&lists.elements, shape, pool),
    }
}

fn texts(places: &[u32], shape: &[u64], pool: &Pool) -> Result<Tensor, TensorError> {
    let elements: Vec<&[u8]> = places.iter().map(|&place| pool.get(place).unwrap_or_default()).collect();
    Tensor::from_elements(shape, &elements)
}
