//! Which names an expression of a rule may use, and what they are.

use std::collections::HashSet;

use crate::cel::syntax::Literal;
use crate::cel::{self, FieldInfo, Type, Variable};
use crate::schema::{FieldType, Scalar, Schema};

use super::Param;

/// Names of a whole rule set.
pub(super) struct Globals<'a> {
    pub(super) schema: &'a Schema,
    pub(super) params: &'a [Param],
    pub(super) symbols: HashSet<&'a str>,
}

impl<'a> Globals<'a> {
    pub(super) fn new(schema: &'a Schema, params: &'a [Param]) -> Self {
        let fields = schema.templates.iter().flat_map(|template| &template.fields);
        let mut symbols: HashSet<&str> = fields.flat_map(|field| &field.values).map(String::as_str).collect();
        for param in params.iter().filter(|param| param.ty.scalar == Scalar::Enum) {
            symbols.extend(param.values.iter().filter_map(|value| match value {
                crate::schema::Constant::Text(text) => Some(text.as_str()),
                _ => None,
            }));
        }
        Self { schema, params, symbols }
    }
}

/// What a name of a rule is bound to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bound {
    Fact {
        slot: u16,
        template: u16,
        /// Only these fields may be read (`distinct`).
        only: Option<Vec<u16>>,
    },
    Value {
        slot: u16,
        ty: Type,
    },
}

/// Names in force at one place of a rule.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    pub(super) globals: &'a Globals<'a>,
    pub(super) names: Vec<(String, Bound)>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(globals: &'a Globals<'a>) -> Self {
        Self { globals, names: Vec::new() }
    }

    pub(super) fn find(&self, name: &str) -> Option<&Bound> {
        self.names.iter().rev().find(|(known, _)| known == name).map(|(_, bound)| bound)
    }

    pub(super) fn bind(&mut self, name: &str, bound: Bound) {
        self.names.push((name.to_owned(), bound));
    }

    pub(super) fn with(&self, name: &str, bound: Bound) -> Self {
        let mut scope = self.clone();
        scope.bind(name, bound);
        scope
    }
}

impl cel::Scope for Scope<'_> {
    fn variable(&self, name: &str) -> Option<Variable> {
        if let Some(bound) = self.find(name) {
            return Some(match bound {
                Bound::Fact { slot, template, .. } => {
                    Variable::Fact { slot: *slot, template: fact_template(self, *slot, *template) }
                }
                Bound::Value { slot, ty } => Variable::Value { slot: *slot, ty: ty.clone() },
            });
        }
        if let Some(param) = name.strip_prefix("params.") {
            let slot = self.globals.params.iter().position(|known| known.name == param)?;
            return Some(Variable::Value { slot: slot as u16, ty: type_of(self.globals.params[slot].ty) });
        }
        self.globals
            .symbols
            .contains(name)
            .then(|| Variable::Constant { value: Literal::String(name.to_owned()), ty: Type::Enum })
    }

    fn field(&self, template: u32, field: &str) -> Option<FieldInfo> {
        let (template, restricted) = unpack_template(template);
        let schema = &self.globals.schema.templates[template];
        let place = schema.field(field)?;
        if let Some(slot) = restricted {
            let only = self.names.iter().rev().find_map(|(_, bound)| match bound {
                Bound::Fact { slot: known, only: Some(only), .. } if *known == slot => Some(only),
                _ => None,
            });
            if only.is_some_and(|only| !only.contains(&(place as u16))) {
                return None;
            }
        }
        let field = &schema.fields[place];
        Some(FieldInfo {
            place: place as u16,
            ty: type_of(field.ty),
            optional: field.optional && field.default.is_none(),
        })
    }
}

/// Carries the slot beside the template where only some fields of the fact may be read.
fn fact_template(scope: &Scope<'_>, slot: u16, template: u16) -> u32 {
    let is_restricted = scope
        .names
        .iter()
        .any(|(_, bound)| matches!(bound, Bound::Fact { slot: known, only: Some(_), .. } if *known == slot));
    if is_restricted { (u32::from(slot) + 1) << 16 | u32::from(template) } else { u32::from(template) }
}

fn unpack_template(packed: u32) -> (usize, Option<u16>) {
    ((packed & 0xffff) as usize, ((packed >> 16) as u16).checked_sub(1))
}

/// The CEL type of a field or a parameter.
pub(super) fn type_of(ty: FieldType) -> Type {
    let scalar = match ty.scalar {
        Scalar::Bool => Type::Bool,
        Scalar::Int => Type::Int,
        Scalar::Double => Type::Double,
        Scalar::String => Type::String,
        Scalar::Bytes => Type::Bytes,
        Scalar::Enum => Type::Enum,
        Scalar::Timestamp => Type::Timestamp,
        Scalar::Duration => Type::Duration,
    };
    if ty.list { Type::List(Box::new(scalar)) } else { scalar }
}

/// The field type that a CEL type fits, for values that are kept as cells.
pub(super) fn field_type(ty: &Type) -> Option<FieldType> {
    let scalar = |ty: &Type| {
        Some(match ty {
            Type::Bool => Scalar::Bool,
            Type::Int => Scalar::Int,
            Type::Double => Scalar::Double,
            Type::String => Scalar::String,
            Type::Enum => Scalar::Enum,
            Type::Bytes => Scalar::Bytes,
            Type::Timestamp => Scalar::Timestamp,
            Type::Duration => Scalar::Duration,
            _ => return None,
        })
    };
    match ty {
        Type::List(element) => Some(FieldType { scalar: scalar(element)?, list: true }),
        other => Some(FieldType { scalar: scalar(other)?, list: false }),
    }
}
