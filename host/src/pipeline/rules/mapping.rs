//! `facts` of a step: which tensor fills which field, checked against the rule set's templates. Copies no data.

use std::collections::BTreeMap;

use super::super::document::{join, suggest};
use super::super::plan::Problem;
use super::super::step::Named;
use super::columns;
use super::request;
use crate::plugin::{Column, Field, Kind, Origin, PoolBuilder, RulesSignature, Table, Template};
use crate::tensor::{Datatype, Tensor, TensorSpec};

/// Stands for the number of the row.
const ROW: &str = "$row";

/// Where the values of a field come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nowhere: every row leaves it out.
    Nothing,
    RowNumber,
    Tensor(String),
}

/// One field of a template, and what fills it.
#[derive(Clone, Debug)]
pub(super) struct MappedField {
    pub(super) field: Field,
    pub(super) source: Source,
}

/// One template, and what fills its fields in their order.
#[derive(Clone, Debug)]
pub(super) struct MappedTemplate {
    place: u32,
    name: String,
    is_singleton: bool,
    fields: Vec<MappedField>,
}

/// All that `facts` says.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapping(Vec<MappedTemplate>);

/// Whether there is one fact of this template at most.
pub(super) fn is_singleton(template: &Template) -> bool {
    template.fields.iter().all(|field| !field.key)
}

pub(super) fn map(
    signature: &RulesSignature,
    facts: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<Mapping, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut mapped = Vec::with_capacity(facts.len());
    for (name, fields) in facts {
        let path = join("/facts", name);
        match template_of(signature, name) {
            Ok((place, template)) => mapped.push(map_template((place, template), fields, &path, &mut problems)),
            Err((message, hint)) => problems.push(Problem { path, message, hint }),
        }
    }
    if problems.is_empty() { Ok(Mapping(mapped)) } else { Err(problems) }
}

/// The input template of this name; else what is wrong with the name, and a remedy.
fn template_of<'a>(signature: &'a RulesSignature, name: &str) -> Result<(u32, &'a Template), (String, String)> {
    let inputs = signature.templates.iter().filter(|template| template.origin == Origin::Input);
    let names: Vec<&str> =
        inputs.map(|template| template.name.as_str()).filter(|&name| name != request::NAME).collect();
    let Some((place, template)) = signature.template(name) else {
        return Err((format!("the rule set has no template `{name}`"), suggest(name, names)));
    };
    if template.origin != Origin::Input {
        return Err((format!("`{name}` is no input of the rule set: its rules make it"), suggest("", names)));
    }
    if request::is_request(template) {
        let hint = "remove it; its fields come from the request and from its parameters of the same names";
        return Err((format!("`{name}` is filled by the host"), hint.to_owned()));
    }
    Ok((place, template))
}

fn map_template(
    (place, template): (u32, &Template),
    written: &BTreeMap<String, String>,
    path: &str,
    problems: &mut Vec<Problem>,
) -> MappedTemplate {
    let is_singleton = is_singleton(template);
    let name = &template.name;
    let before = problems.len();
    for field in written.keys().filter(|field| template.fields.iter().all(|known| known.name != **field)) {
        let message = format!("template `{name}` has no field `{field}`");
        let hint = suggest(field, template.fields.iter().map(|field| field.name.as_str()));
        problems.push(Problem { path: join(path, field), message, hint });
    }
    let mut fields = Vec::with_capacity(template.fields.len());
    for field in &template.fields {
        let source = match written.get(&field.name).map(String::as_str) {
            None => Source::Nothing,
            Some(ROW) => Source::RowNumber,
            Some(tensor) => Source::Tensor(tensor.to_owned()),
        };
        if let Some((message, hint)) = source_problem(name, field, &source, is_singleton) {
            let is_written = source != Source::Nothing;
            let path = if is_written { join(path, &field.name) } else { path.to_owned() };
            problems.push(Problem { path, message, hint });
        }
        fields.push(MappedField { field: field.clone(), source });
    }
    let has_tensor = fields.iter().any(|mapped| matches!(mapped.source, Source::Tensor(_)));
    if !has_tensor && problems.len() == before {
        let message = format!("no tensor says how many facts of `{name}` there are");
        problems.push(Problem { path: path.to_owned(), message, hint: "map a tensor to one of its fields".to_owned() });
    }
    MappedTemplate { place, name: name.clone(), is_singleton, fields }
}

fn source_problem(template: &str, field: &Field, source: &Source, is_singleton: bool) -> Option<(String, String)> {
    let name = &field.name;
    match source {
        Source::Nothing if !field.optional => {
            let message = format!("template `{template}` needs field `{name}`, which nothing fills");
            let hint =
                format!("map a tensor to it: `{name}: ..`, or give it a default or `optional: true` in the rule set");
            Some((message, hint))
        }
        Source::RowNumber if is_singleton => {
            Some((format!("`{template}` has one fact at most, so no row numbers"), "map a tensor to it".to_owned()))
        }
        Source::RowNumber if field.kind != Kind::Integer || field.repeated => {
            let message = format!("field `{name}` of `{template}` is {}, `$row` is an int", field.type_name());
            Some((message, "declare it as int, or map a tensor to it".to_owned()))
        }
        _ => None,
    }
}

impl Mapping {
    /// Each tensor that is read, once; its datatype where only one can fill all its fields.
    pub(super) fn inputs(&self) -> Vec<TensorSpec> {
        let mut inputs: Vec<TensorSpec> = Vec::new();
        for (tensor, field) in self.uses() {
            let only = match columns::datatypes(field.kind) {
                [only] => Some(*only),
                _ => None,
            };
            match inputs.iter_mut().find(|input| input.name == tensor) {
                Some(input) if input.datatype != only => input.datatype = None,
                Some(_) => {}
                None => inputs.push(TensorSpec {
                    name: tensor.to_owned(),
                    datatype: only,
                    shape: None,
                    multiple_of: Vec::new(),
                    optional: false,
                }),
            }
        }
        inputs
    }

    fn uses(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.0.iter().flat_map(|template| &template.fields).filter_map(|mapped| match &mapped.source {
            Source::Tensor(tensor) => Some((tensor.as_str(), &mapped.field)),
            Source::Nothing | Source::RowNumber => None,
        })
    }

    pub(super) fn misfits(&self, input: &str, given: &TensorSpec) -> Vec<Problem> {
        let mut problems = Vec::new();
        for template in &self.0 {
            for MappedField { field, source } in &template.fields {
                if *source != Source::Tensor(input.to_owned()) {
                    continue;
                }
                if let Err((problem, hint)) =
                    misfit(field, template.is_singleton, given.datatype, given.shape.as_deref())
                {
                    let path = join(&join("/facts", &template.name), &field.name);
                    let message =
                        format!("tensor `{}` {problem} as field `{}` of `{}`", given.name, field.name, template.name);
                    problems.push(Problem { path, message, hint });
                }
            }
        }
        problems
    }

    /// The facts that the tensors are.
    ///
    /// # Errors
    /// What of a tensor does not fit: an element, or the number of rows.
    pub(super) fn tables(&self, inputs: &Named, pool: &mut PoolBuilder) -> Result<Vec<Table>, String> {
        self.0.iter().map(|template| template.table(inputs, pool)).collect()
    }
}

impl MappedTemplate {
    fn table(&self, inputs: &Named, pool: &mut PoolBuilder) -> Result<Table, String> {
        let rows = self.rows(inputs)?;
        let mut columns = Vec::with_capacity(self.fields.len());
        for MappedField { field, source } in &self.fields {
            columns.push(match source {
                Source::Nothing => Column::nothing(field, rows),
                Source::RowNumber => columns::row_numbers(rows),
                Source::Tensor(name) => {
                    columns::column(field, tensor(inputs, name)?, rows, pool).map_err(|problem| {
                        format!("tensor `{name}` {problem} as field `{}` of `{}`", field.name, self.name)
                    })?
                }
            });
        }
        Ok(Table { template: self.place, rows, columns })
    }

    /// How many facts there are; every tensor must say the same.
    fn rows(&self, inputs: &Named) -> Result<u32, String> {
        let mut first: Option<(&str, u64)> = None;
        for MappedField { field, source } in &self.fields {
            let Source::Tensor(name) = source else { continue };
            let tensor = tensor(inputs, name)?;
            let shape: Vec<i64> = tensor.shape().iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
            misfit(field, self.is_singleton, Some(tensor.datatype()), Some(&shape)).map_err(|(problem, _)| {
                format!("tensor `{name}` {problem} as field `{}` of `{}`", field.name, self.name)
            })?;
            let rows = if self.is_singleton { 1 } else { tensor.shape()[0] };
            match first {
                None => first = Some((name, rows)),
                Some((_, other)) if other == rows => {}
                Some((other_name, other)) => {
                    let template = &self.name;
                    return Err(format!(
                        "tensor `{other_name}` has {other} rows, tensor `{name}` has {rows}: both fill `{template}`"
                    ));
                }
            }
        }
        let rows = first.map_or(0, |(_, rows)| rows);
        u32::try_from(rows).map_err(|_| format!("{rows} facts of `{}` are too many", self.name))
    }
}

fn tensor<'a>(inputs: &'a Named, name: &str) -> Result<&'a Tensor, String> {
    let found = inputs.iter().find(|(other, _)| other == name);
    found.map(|(_, tensor)| tensor).ok_or_else(|| format!("tensor `{name}` is missing"))
}

/// Why a tensor of this datatype and shape, as far as they are known, cannot fill a field; with a remedy.
fn misfit(
    field: &Field,
    is_singleton: bool,
    datatype: Option<Datatype>,
    shape: Option<&[i64]>,
) -> Result<(), (String, String)> {
    let accepted = columns::datatypes(field.kind);
    if let Some(datatype) = datatype.filter(|datatype| !accepted.contains(datatype)) {
        let names: Vec<&str> = accepted.iter().map(|datatype| datatype.name()).collect();
        let problem = format!("is {datatype}, which cannot serve");
        return Err((problem, format!("the field is {}, which takes {}", field.type_name(), names.join(", "))));
    }
    let Some(shape) = shape else { return Ok(()) };
    let (fits, wanted) = match (is_singleton, field.repeated) {
        (true, false) => (shape.iter().all(may_be_one), "one element"),
        (true, true) => (matches!(shape, [_]) || matches!(shape, [first, _] if may_be_one(first)), "[n] or [1, n]"),
        (false, false) => {
            (matches!(shape, [_]) || matches!(shape, [_, last] if may_be_one(last)), "[n], one element a fact")
        }
        (false, true) => (matches!(shape, [_, _]), "[n, m], one row a fact"),
    };
    if !fits {
        return Err((format!("has shape {shape:?}, which cannot serve"), format!("it must have {wanted}")));
    }
    let length = shape.last().copied().filter(|&length| length >= 0 && field.repeated);
    match (length, field.length) {
        (Some(length), Some(wanted)) if length != i64::from(wanted) => Err((
            format!("has shape {shape:?}, which cannot serve"),
            format!("each list of the field has {wanted} elements"),
        )),
        _ => Ok(()),
    }
}

/// Whether a dimension, as far as it is known, is one.
fn may_be_one(size: &i64) -> bool {
    *size == 1 || *size < 0
}
