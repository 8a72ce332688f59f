//! Request parameters: what a pipeline declares of them, and whether a value fits. Knows no request.

use serde_json::Value;

use super::spec::{ParameterSpec, ParameterType};
use crate::infer::Parameter;

/// What doors and the executor read themselves, and what clients send to other servers: let through, never declared.
const RESERVED: [&str; 6] = ["trace", "explain", "timeout", "priority", "binary_data_output", "headers"];
const RESERVED_PREFIXES: [&str; 3] = ["sequence_", "triton_", "inferwit_"];

/// Whether this name is the protocol's or ours rather than a pipeline's.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The value of a file as this type has it; an integer is taken for a double, never the other way round.
pub(super) fn from_json(r#type: ParameterType, value: &Value) -> Option<Parameter> {
    match r#type {
        ParameterType::Bool => value.as_bool().map(Parameter::Bool),
        ParameterType::Int => value.as_i64().map(Parameter::Int64),
        ParameterType::Double => value.as_f64().map(Parameter::Double),
        ParameterType::String => value.as_str().map(|text| Parameter::String(text.to_owned())),
    }
}

/// A value of a request as JSON; numbers that JSON lacks go by their names.
pub(super) fn to_json(value: &Parameter) -> Value {
    match value {
        Parameter::Bool(value) => (*value).into(),
        Parameter::Int64(number) => (*number).into(),
        Parameter::Uint64(number) => (*number).into(),
        Parameter::Double(number) => match serde_json::Number::from_f64(*number) {
            Some(number) => number.into(),
            None if number.is_nan() => "NaN".into(),
            None if *number > 0.0 => "Infinity".into(),
            None => "-Infinity".into(),
        },
        Parameter::String(text) => text.as_str().into(),
    }
}

/// The value of a request as this type has it.
fn converted(r#type: ParameterType, value: &Parameter) -> Option<Parameter> {
    match (r#type, value) {
        (ParameterType::Bool, Parameter::Bool(_))
        | (ParameterType::Int, Parameter::Int64(_))
        | (ParameterType::Double, Parameter::Double(_))
        | (ParameterType::String, Parameter::String(_)) => Some(value.clone()),
        (ParameterType::Int, &Parameter::Uint64(number)) => i64::try_from(number).ok().map(Parameter::Int64),
        #[expect(clippy::cast_precision_loss, reason = "a double was asked for")]
        (ParameterType::Double, &Parameter::Int64(number)) => Some(Parameter::Double(number as f64)),
        #[expect(clippy::cast_precision_loss, reason = "a double was asked for")]
        (ParameterType::Double, &Parameter::Uint64(number)) => Some(Parameter::Double(number as f64)),
        _ => None,
    }
}

/// Whether a value of the file may be one of this parameter.
pub(super) fn admit(spec: &ParameterSpec, value: &Value) -> Result<Parameter, String> {
    let parameter = from_json(spec.r#type, value).ok_or_else(|| format!("{value} is no {}", spec.r#type.name()))?;
    within(spec, &parameter)?;
    Ok(parameter)
}

/// Whether a value of a request may be one of this parameter; gives it in the declared type.
pub(super) fn admit_request(spec: &ParameterSpec, value: &Parameter) -> Result<Parameter, String> {
    let parameter = converted(spec.r#type, value).ok_or_else(|| format!("must be {}", spec.r#type.name()))?;
    within(spec, &parameter)?;
    Ok(parameter)
}

fn within(spec: &ParameterSpec, value: &Parameter) -> Result<(), String> {
    #[expect(clippy::cast_precision_loss, reason = "bounds are doubles")]
    let number = match value {
        Parameter::Int64(number) => Some(*number as f64),
        Parameter::Double(number) => Some(*number),
        _ => None,
    };
    if let Some(number) = number {
        // A NaN is within nothing.
        if number.is_nan() {
            return Err("must be a number".to_owned());
        }
        if let Some(min) = spec.min.filter(|&min| number < min) {
            return Err(format!("must be at least {min}"));
        }
        if let Some(max) = spec.max.filter(|&max| number > max) {
            return Err(format!("must be at most {max}"));
        }
    }
    let Some(values) = &spec.values else { return Ok(()) };
    if values.iter().any(|allowed| from_json(spec.r#type, &allowed.0).as_ref() == Some(value)) {
        return Ok(());
    }
    let allowed: Vec<_> = values.iter().map(|allowed| allowed.0.to_string()).collect();
    Err(format!("must be one of {}", allowed.join(", ")))
}

/// What is wrong with a declaration, each with the key that it is about.
pub(super) fn problems(spec: &ParameterSpec) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let name = spec.r#type.name();
    let is_number = matches!(spec.r#type, ParameterType::Int | ParameterType::Double);
    for (key, bound) in [("min", spec.min), ("max", spec.max)] {
        if bound.is_some() && !is_number {
            problems.push((key, format!("a {name} has no `{key}`")));
        }
    }
    if let (Some(min), Some(max)) = (spec.min, spec.max)
        && min > max
    {
        problems.push(("max", format!("{max} is below `min`, {min}")));
    }
    let unlisted = ParameterSpec { values: None, ..spec.clone() };
    for value in spec.values.iter().flatten() {
        if let Err(problem) = admit(&unlisted, &value.0) {
            problems.push(("values", format!("{}: {problem}", value.0)));
        }
    }
    if let Some(default) = &spec.default
        && let Err(problem) = admit(spec, &default.0)
    {
        problems.push(("default", problem));
    }
    problems
}
