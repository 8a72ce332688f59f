//! Calls of functions: which overload, and the few that are compiled by themselves.

use super::super::eval::Reason;
use super::super::functions::{self, Overload};
use super::super::pattern::Matcher;
use super::super::program::Op;
use super::super::syntax::Expr;
use super::super::types::Type;
use super::{Compiler, Typed};

impl Compiler<'_> {
    pub(super) fn call(&mut self, target: Option<&Expr>, function: &str, args: &[Expr], dest: u8) -> Typed {
        let Some(target) = target else {
            if let Some(typed) = self.operator(function, args, dest) {
                return typed;
            }
            let name = function.strip_prefix('.').unwrap_or(function);
            if name == "matches"
                && let [text, pattern] = args
            {
                return self.matches(text, pattern, dest);
            }
            return self.function(name, &args.iter().collect::<Vec<_>>(), dest);
        };
        if let Some(namespace) = target.qualified_name().filter(|name| !self.is_local(name)) {
            let name = format!("{}.{function}", namespace.trim_start_matches('.'));
            if functions::overloads(&name).is_some() {
                return self.function(&name, &args.iter().collect::<Vec<_>>(), dest);
            }
        }
        match (function, args) {
            ("matches", [pattern]) => self.matches(target, pattern, dest),
            ("or" | "orValue", [other]) => self.or(target, other, function == "orValue", dest),
            _ => {
                let args: Vec<_> = std::iter::once(target).chain(args).collect();
                self.function(&format!(".{function}"), &args, dest)
            }
        }
    }

    /// A function of the table.
    fn function(&mut self, name: &str, args: &[&Expr], dest: u8) -> Typed {
        let top = self.top;
        let first = self.take_many(args.len());
        let mut types = Vec::with_capacity(args.len());
        let mut constant = true;
        for (place, arg) in args.iter().enumerate() {
            let typed = self.expr(arg, first.wrapping_add(place as u8));
            constant &= typed.constant;
            types.push(typed.ty);
        }
        self.release(top);
        let overloads = functions::overloads(name).unwrap_or_default();
        let mut found = overloads.iter().filter_map(|overload| Some((overload, overload.result(&types)?)));
        let Some((overload, ty)) = found.next() else { return self.no_function(name, overloads, &types, dest) };
        // Several fit where the type of an argument is unknown: what they have in common counts.
        let ty = match types.iter().any(Type::has_dyn) {
            true => found.fold(ty, |ty, (_, other)| if ty == other { ty } else { Type::Dyn }),
            false => ty,
        };
        self.program.makes |= matches!(ty, Type::List(_) | Type::Map(..) | Type::Optional(_) | Type::Dyn);
        let function = u32::from(overload.function);
        self.emit(Op::Call, [dest, first, args.len() as u8], function);
        Typed { ty, constant, safe: false }
    }

    fn no_function(&mut self, name: &str, overloads: &[Overload], types: &[Type], dest: u8) -> Typed {
        if self.dynamic {
            let reason = if overloads.is_empty() { Reason::NoSuchFunction } else { Reason::NoSuchOverload };
            return self.fail(reason, dest);
        }
        let shown = name.trim_start_matches('.');
        if overloads.is_empty() {
            return self.error(format!("unknown function `{shown}`"), None);
        }
        let list = |types: &[Type]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let signatures: Vec<_> =
            overloads.iter().map(|overload| format!("`{shown}({})`", list(&overload.params))).collect();
        let message = format!("`{shown}` does not take ({})", list(types));
        self.error(message, Some(format!("there is {}", signatures.join(", "))))
    }

    /// `text.matches(pattern)`, where a constant pattern is compiled once.
    fn matches(&mut self, text: &Expr, pattern: &Expr, dest: u8) -> Typed {
        let Some(constant) = Self::literal_text(pattern) else {
            return self.function(".matches", &[text, pattern], dest);
        };
        let top = self.top;
        let (register, typed) = self.operand(text);
        self.release(top);
        if !typed.ty.fits(&Type::String) {
            return self.error(format!("`matches` does not take `{}`", typed.ty), None);
        }
        let matcher = match Matcher::new(constant) {
            Ok(matcher) => Some(matcher),
            Err(_) if self.dynamic => None,
            Err(message) => {
                let outer = std::mem::replace(&mut self.range, pattern.range);
                let typed = self.error(format!("not a regular expression: {message}"), None);
                self.range = outer;
                return typed;
            }
        };
        let place = self.pattern(constant, matcher);
        self.emit(Op::Matches, [dest, register, 0], place);
        Typed { ty: Type::Bool, constant: typed.constant, safe: false }
    }

    /// `optional.or(optional)` and `optional.orValue(value)`: the other one is evaluated only if needed.
    fn or(&mut self, target: &Expr, other: &Expr, value: bool, dest: u8) -> Typed {
        self.program.makes = true;
        let first = self.expr(target, dest);
        let inner = match &first.ty {
            Type::Optional(inner) => (**inner).clone(),
            Type::Dyn => Type::Dyn,
            found => return self.error(format!("expected an optional, found `{found}`"), None),
        };
        let none = self.emit(Op::JumpIfNone, [dest, 0, 0], 0);
        if value {
            self.emit(Op::Unwrap, [dest, dest, 0], 0);
        }
        let end = self.emit(Op::Jump, [dest, 0, 0], 0);
        self.land(none);
        let second = self.expr(other, dest);
        if !value {
            self.emit(Op::CheckOptional, [dest, 0, 0], 0);
        }
        self.land(end);
        let wanted = if value { inner } else { Type::optional(inner) };
        if !second.ty.is_comparable(&wanted) {
            return self.error(format!("expected `{wanted}`, found `{}`", second.ty), None);
        }
        Typed { ty: wanted.join(second.ty), constant: first.constant && second.constant, safe: false }
    }
}
