//! Names and fields: what they stand for.

use super::super::eval::Reason;
use super::super::program::Op;
use super::super::syntax::{Expr, ExprKind};
use super::super::types::Type;
use super::{Compiler, FieldInfo, Typed, Variable};
use crate::value::Value;

/// Names of types as values.
const TYPE_NAMES: [&str; 13] = [
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "optional_type",
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
];

impl Compiler<'_> {
    /// A name alone.
    pub(super) fn name(&mut self, name: &str, dest: u8) -> Typed {
        if let Some(local) = self.locals.iter().rev().find(|local| local.name == name) {
            let (register, ty) = (local.register, local.ty.clone());
            self.emit(Op::Move, [dest, register, 0], 0);
            return Typed::read(ty);
        }
        if let Some(typed) = self.global(name, dest) {
            return typed;
        }
        if self.dynamic {
            return self.fail(Reason::NoSuchVariable, dest);
        }
        self.error(format!("unknown name `{name}`"), None)
    }

    /// A name outside macros, qualified or not.
    fn global(&mut self, name: &str, dest: u8) -> Option<Typed> {
        let name = name.strip_prefix('.').unwrap_or(name);
        Some(match self.scope.variable(name) {
            Some(Variable::Value { slot, ty }) => {
                self.emit(Op::Slot, [dest, 0, 0], u32::from(slot));
                Typed::read(ty)
            }
            Some(Variable::Fact { .. }) => {
                let hint = format!("read one of its fields: `{name}.field`");
                self.error(format!("`{name}` is a fact, not a value"), Some(hint))
            }
            Some(Variable::Constant { value, ty }) => {
                let (value, _) = self.literal_value(&value);
                self.constant(value, dest);
                Typed::constant(ty)
            }
            None if name == "num.pi" => {
                self.constant(Value::Double(std::f64::consts::PI), dest);
                Typed::constant(Type::Double)
            }
            None if TYPE_NAMES.contains(&name) => {
                let text = self.heap.texts.intern(name.as_bytes());
                self.constant(Value::Type(text), dest);
                Typed::constant(Type::Type)
            }
            None => return None,
        })
    }

    /// A name that begins with a variable of a macro is not qualified.
    pub(super) fn is_local(&self, name: &str) -> bool {
        let first = name.split('.').next().unwrap_or(name);
        self.locals.iter().any(|local| local.name == first)
    }

    /// `operand.field` and `has(operand.field)`.
    pub(super) fn select(&mut self, operand: &Expr, field: &str, test: bool, dest: u8) -> Typed {
        if let Some(name) = operand.qualified_name().filter(|name| !self.is_local(name)) {
            if !test && let Some(typed) = self.global(&format!("{name}.{field}"), dest) {
                return typed;
            }
            if let Some((slot, info)) = self.fact_field(&name, field) {
                let Some(info) = info else { return self.no_field(&name, field) };
                return self.field(slot, &info, test, dest);
            }
        }
        let top = self.top;
        let (register, typed) = self.operand(operand);
        self.release(top);
        let result = match self.selected(&typed.ty) {
            Some(ty) => ty,
            None => return self.error(format!("`{}` has no fields", typed.ty), None),
        };
        self.program.makes |= matches!(typed.ty, Type::Optional(_) | Type::Dyn);
        let text = self.heap.texts.intern(field.as_bytes());
        let place = self.constant_place(Value::String(text));
        self.emit(if test { Op::HasSelect } else { Op::Select }, [dest, register, 0], place);
        Typed { ty: if test { Type::Bool } else { result }, constant: typed.constant, safe: false }
    }

    /// The type of a field of a map, or of what an optional holds.
    fn selected(&self, operand: &Type) -> Option<Type> {
        match operand {
            Type::Dyn => Some(Type::Dyn),
            Type::Map(key, value) if Type::String.fits(key) => Some((**value).clone()),
            Type::Optional(inner) => match &**inner {
                Type::Optional(_) => None,
                inner => self.selected(inner).map(Type::optional),
            },
            _ => None,
        }
    }

    /// `operand.?field`.
    pub(super) fn optional_select(&mut self, operand: &Expr, field: &str, dest: u8) -> Typed {
        let name = operand.qualified_name().filter(|name| !self.is_local(name));
        let fact = name.and_then(|name| self.fact_field(&name, field).map(|fact| (name, fact)));
        if let Some((name, (slot, info))) = fact {
            self.program.makes = true;
            let Some(info) = info else { return self.no_field(&name, field) };
            self.emit(Op::OptField, [dest, 0, 0], u32::from(slot) << 16 | u32::from(info.place));
            return Typed::read(Type::optional(info.ty));
        }
        let top = self.top;
        let (register, typed) = self.operand(operand);
        self.release(top);
        self.program.makes = true;
        let result = match self.selected(&typed.ty) {
            Some(optional @ Type::Optional(_)) if matches!(typed.ty, Type::Optional(_)) => optional,
            Some(ty) => Type::optional(ty),
            None => return self.error(format!("`{}` has no fields", typed.ty), None),
        };
        let text = self.heap.texts.intern(field.as_bytes());
        let place = self.constant_place(Value::String(text));
        self.emit(Op::OptSelect, [dest, register, 0], place);
        Typed { ty: result, constant: typed.constant, safe: false }
    }

    /// The slot and field, if the name is a fact; the field is `None` if it has no such one.
    fn fact_field(&self, name: &str, field: &str) -> Option<(u16, Option<FieldInfo>)> {
        match self.scope.variable(name.strip_prefix('.').unwrap_or(name)) {
            Some(Variable::Fact { slot, template }) => Some((slot, self.scope.field(template, field))),
            _ => None,
        }
    }

    fn field(&mut self, slot: u16, info: &FieldInfo, test: bool, dest: u8) -> Typed {
        let field = u32::from(slot) << 16 | u32::from(info.place);
        if !test {
            self.emit(Op::Field, [dest, 0, 0], field);
            return Typed { ty: info.ty.clone(), constant: false, safe: !info.optional };
        }
        if info.optional {
            self.emit(Op::HasField, [dest, 0, 0], field);
            return Typed::read(Type::Bool);
        }
        self.constant(Value::Bool(true), dest);
        Typed::constant(Type::Bool)
    }

    fn no_field(&mut self, fact: &str, field: &str) -> Typed {
        self.error(format!("`{fact}` has no field `{field}`"), None)
    }

    /// The text of a literal.
    pub(super) fn literal_text(expr: &Expr) -> Option<&str> {
        match &expr.kind {
            ExprKind::Literal(super::Literal::String(text)) => Some(text),
            _ => None,
        }
    }
}
