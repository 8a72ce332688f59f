//! The actions of a rule: what they write, whether they may, and what they emit.

use super::expressions::source_of;
use super::resolve::Resolver;
use super::scope::{Bound, Scope, field_type};
use super::{Action, CellSource, Emit};
use crate::cel::Type;
use crate::diagnostic::Span;
use crate::file::{self, ActionKind, FieldValue, Name};
use crate::schema::Origin;

impl<'a> Resolver<'a> {
    pub(super) fn action(&mut self, action: &'a file::Action, scope: &Scope<'a>) -> Option<Action> {
        match &action.kind {
            ActionKind::Derive { template, fields } => {
                let place = self.template(template)?;
                let schema = &self.file.schema.templates[place as usize];
                if !matches!(schema.origin, Origin::Derived | Origin::Output) {
                    let message = format!("`{}` cannot be derived: it is not `derived` or `output`", schema.name);
                    self.compiler.error("write-not-allowed", message, template.span, "derive another template");
                    return None;
                }
                Some(Action::Derive { template: place, cells: self.cells(place, fields, action.span, scope)? })
            }
            ActionKind::Assert { template, fields } => {
                let place = self.template(template)?;
                self.must_be_writable(place, template.span)?;
                Some(Action::Assert { template: place, cells: self.cells(place, fields, action.span, scope)? })
            }
            ActionKind::Modify { variable, fields } => {
                let (slot, template) = self.fact(variable, scope)?;
                self.must_be_writable(template, variable.span)?;
                let mut cells = Vec::with_capacity(fields.len());
                for (name, value) in fields {
                    let field = self.field(template, name)?;
                    let schema = &self.file.schema.templates[template as usize];
                    if schema.key.contains(&field) {
                        let message = format!("`{}` is part of the key of `{}`", name.text, schema.name);
                        let hint = "retract the fact and assert another";
                        self.compiler.error("key-modified", message, name.span, hint);
                        return None;
                    }
                    let source = self.compiler.field_value(value, &schema.fields[field as usize], scope)?;
                    cells.push((field, source));
                }
                Some(Action::Modify { slot, cells })
            }
            ActionKind::Retract { variable } => {
                let (slot, template) = self.fact(variable, scope)?;
                self.must_be_writable(template, variable.span)?;
                Some(Action::Retract { slot })
            }
            ActionKind::Emit(emit) => self.emit(emit, scope).map(|emit| Action::Emit(Box::new(emit))),
            ActionKind::Stop { all } => Some(Action::Stop { all: *all }),
        }
    }

    fn emit(&mut self, emit: &'a file::Emit, scope: &Scope<'a>) -> Option<Emit> {
        let subject = match &emit.subject {
            Some(expression) => {
                let program = self.compiler.compile(expression, scope)?;
                let is_scalar = *program.ty() == Type::Dyn || field_type(program.ty()).is_some_and(|ty| !ty.list);
                if !is_scalar {
                    let message = format!("a subject cannot be {}", program.ty());
                    self.compiler.error("expression-type", message, expression.span, "give a scalar");
                    return None;
                }
                Some(program)
            }
            None => None,
        };
        let message = match &emit.message {
            Some(message) => Some(self.compiler.message(message, scope)?),
            None => None,
        };
        let data = match &emit.data {
            Some(data) => Some(self.compiler.data(data, scope)?),
            None => None,
        };
        Some(Emit {
            decision: self.compiler.texts.intern(emit.decision.text.as_bytes()),
            code: self.compiler.texts.intern(emit.code.text.as_bytes()),
            subject,
            message,
            data,
        })
    }

    fn fact(&mut self, variable: &Name, scope: &Scope<'_>) -> Option<(u16, u16)> {
        match scope.find(&variable.text) {
            Some(Bound::Fact { slot, template, only: None }) => Some((*slot, *template)),
            Some(Bound::Fact { .. }) => {
                let message = format!("`{}` stands for many facts (`distinct`)", variable.text);
                self.compiler.error("not-a-fact", message, variable.span, "match the facts themselves");
                None
            }
            _ => {
                let message = format!("`{}` is no matched fact", variable.text);
                self.compiler.error("not-a-fact", message, variable.span, "name a variable of a `match`");
                None
            }
        }
    }

    fn must_be_writable(&mut self, template: u16, span: Span) -> Option<()> {
        let schema = &self.file.schema.templates[template as usize];
        if schema.origin == Origin::Input || schema.stated {
            return Some(());
        }
        let (message, hint) = match schema.origin {
            Origin::Table => (format!("`{}` is a table and never changes", schema.name), "use a template of `facts`"),
            _ => (format!("`{}` is written by `derive` only", schema.name), "say `stated: true` on the template"),
        };
        self.compiler.error("write-not-allowed", message, span, hint);
        None
    }

    fn cells(
        &mut self,
        template: u16,
        fields: &'a [(Name, FieldValue)],
        span: Span,
        scope: &Scope<'a>,
    ) -> Option<Vec<CellSource>> {
        let schema = &self.file.schema.templates[template as usize];
        let mut given: Vec<Option<CellSource>> = schema.fields.iter().map(|_| None).collect();
        for (name, value) in fields {
            let field = self.field(template, name)? as usize;
            given[field] = Some(self.compiler.field_value(value, &schema.fields[field], scope)?);
        }
        let mut cells = Vec::with_capacity(given.len());
        for (source, field) in given.into_iter().zip(&schema.fields) {
            cells.push(match (source, &field.default) {
                (Some(source), _) => source,
                (None, Some(default)) => source_of(default.clone(), self.compiler.texts),
                (None, None) if field.optional => CellSource::Missing,
                (None, None) => {
                    let message = format!("`{}` needs a value for `{}`", schema.name, field.name);
                    self.compiler.error("missing-field", message, span, "give it, or a default in the template");
                    return None;
                }
            });
        }
        Some(cells)
    }
}
