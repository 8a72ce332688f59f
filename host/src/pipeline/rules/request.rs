//! The template `request`: what the host itself knows of a request, and its parameters. Reads no tensor.

use std::collections::BTreeMap;

use super::super::plan::Problem;
use super::super::spec::{ParameterSpec, ParameterType};
use super::mapping::is_singleton;
use crate::infer::{Parameter, RequestContext};
use crate::plugin::{Column, Field, Kind, Origin, PoolBuilder, RulesSignature, Table, Template, Values};

pub(super) const NAME: &str = "request";

/// Whether this template is the one that the host fills.
pub(super) fn is_request(template: &Template) -> bool {
    template.name == NAME && template.origin == Origin::Input && is_singleton(template)
}

enum Source {
    Id,
    Now,
    Model,
    /// The request parameter of the field's name, where there is one.
    Parameter,
}

/// How the one fact of `request` is filled.
pub(super) struct RequestMap {
    place: u32,
    fields: Vec<(Field, Source)>,
}

impl RequestMap {
    /// `None` if the rule set does not ask for it.
    ///
    /// # Errors
    /// Fields that the host cannot fill.
    pub(super) fn new(
        signature: &RulesSignature,
        declared: &BTreeMap<String, ParameterSpec>,
    ) -> Result<Option<Self>, Vec<Problem>> {
        let Some((place, template)) = signature.template(NAME).filter(|(_, template)| is_request(template)) else {
            return Ok(None);
        };
        let mut problems = Vec::new();
        let mut fields = Vec::with_capacity(template.fields.len());
        for field in &template.fields {
            let source = source(field);
            if let Some((message, hint)) = problem(field, &source, declared.get(&field.name)) {
                problems.push(Problem { path: String::new(), message, hint });
            }
            fields.push((field.clone(), source));
        }
        if problems.is_empty() { Ok(Some(Self { place, fields })) } else { Err(problems) }
    }

    /// # Errors
    /// Text that is too long.
    pub(super) fn table(
        &self,
        pipeline: &str,
        context: &RequestContext,
        now_ns: i64,
        pool: &mut PoolBuilder,
    ) -> Result<Table, String> {
        let mut columns = Vec::with_capacity(self.fields.len());
        for (field, source) in &self.fields {
            let mut text = |text: &str| {
                pool.intern(text.as_bytes()).map(|place| Values::Pooled(vec![place])).ok_or("the request is too large")
            };
            let values = match source {
                Source::Id => Some(match &context.id {
                    Some(id) => text(id)?,
                    None => text(&context.request_id.to_string())?,
                }),
                Source::Model => Some(text(pipeline)?),
                Source::Now => Some(Values::Integers(vec![now_ns])),
                Source::Parameter => match context.parameters.get(&field.name) {
                    Some(parameter) => value(field, parameter, text)?,
                    None => None,
                },
            };
            columns.push(values.map_or_else(|| Column::nothing(field, 1), Column::new));
        }
        Ok(Table { template: self.place, rows: 1, columns })
    }
}

fn source(field: &Field) -> Source {
    match field.name.as_str() {
        "id" => Source::Id,
        "now" => Source::Now,
        "model" => Source::Model,
        _ => Source::Parameter,
    }
}

fn problem(field: &Field, source: &Source, declared: Option<&ParameterSpec>) -> Option<(String, String)> {
    let name = &field.name;
    let (wanted, wanted_name) = match source {
        Source::Id | Source::Model => (Kind::Text, "string"),
        Source::Now => (Kind::Timestamp, "timestamp"),
        Source::Parameter => return parameter_problem(field, declared),
    };
    (field.kind != wanted || field.repeated).then(|| {
        let message =
            format!("field `{name}` of `{NAME}` is {}, the host fills it with a {wanted_name}", field.type_name());
        (message, format!("declare it as {wanted_name} in the rule set"))
    })
}

fn parameter_problem(field: &Field, declared: Option<&ParameterSpec>) -> Option<(String, String)> {
    let name = &field.name;
    if !field.optional {
        let message = format!("field `{name}` of `{NAME}` comes from a request parameter, which may be left out");
        return Some((message, "give it a default or `optional: true` in the rule set".to_owned()));
    }
    let declared = declared?.r#type;
    let is_fitting = !field.repeated
        && match declared {
            ParameterType::Bool => field.kind == Kind::Boolean,
            ParameterType::Int => matches!(field.kind, Kind::Integer | Kind::Double),
            ParameterType::Double => field.kind == Kind::Double,
            ParameterType::String => matches!(field.kind, Kind::Text | Kind::Symbol),
        };
    (!is_fitting).then(|| {
        let message =
            format!("field `{name}` of `{NAME}` is {}, parameter `{name}` is {}", field.type_name(), declared.name());
        (message, "declare both alike, or give one of them another name".to_owned())
    })
}

/// The value of a parameter as the field has it; `None` where they do not fit, which the check has excluded.
fn value(
    field: &Field,
    parameter: &Parameter,
    text: impl FnOnce(&str) -> Result<Values, &'static str>,
) -> Result<Option<Values>, String> {
    Ok(match (field.kind, parameter) {
        (Kind::Boolean, Parameter::Bool(value)) => Some(Values::Booleans(vec![u8::from(*value)])),
        (Kind::Integer, Parameter::Int64(value)) => Some(Values::Integers(vec![*value])),
        (Kind::Double, Parameter::Double(value)) => Some(Values::Doubles(vec![*value])),
        #[expect(clippy::cast_precision_loss, reason = "a double was asked for")]
        (Kind::Double, Parameter::Int64(value)) => Some(Values::Doubles(vec![*value as f64])),
        (Kind::Text | Kind::Symbol, Parameter::String(value)) => Some(text(value)?),
        _ => None,
    })
}
