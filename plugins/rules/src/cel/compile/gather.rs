//! Comprehensions and bindings: loops over lists and maps, and variables of their own.

use super::super::program::Op;
use super::super::syntax::{Bind, BindKind, Comprehension, Gather};
use super::super::types::Type;
use super::{Compiler, Local, Typed};
use crate::value::Value;

impl Compiler<'_> {
    pub(super) fn comprehension(&mut self, comprehension: &Comprehension, dest: u8) -> Typed {
        let top = self.top;
        // The collection, the counter behind it, and the variables.
        let range = self.take_many(4);
        let typed = self.expr(&comprehension.range, range);
        let Some((first, second)) = elements(&typed.ty, comprehension.second.is_some()) else {
            self.release(top);
            let outer = std::mem::replace(&mut self.range, comprehension.range.range);
            let typed = self.error(format!("expected a list or a map, found `{}`", typed.ty), None);
            self.range = outer;
            return typed;
        };
        self.emit(Op::Iterate, [range, 0, 0], 0);
        let key = (first.clone(), range.wrapping_add(2));
        self.locals.push(Local { name: comprehension.variable.clone(), register: key.1, ty: first });
        if let Some(name) = &comprehension.second {
            self.locals.push(Local { name: name.clone(), register: range.wrapping_add(3), ty: second });
        }
        let ty = match comprehension.gather {
            Gather::All | Gather::Exists => self.quantify(comprehension, range, dest),
            Gather::ExistsOne => self.count(comprehension, range, dest),
            Gather::List | Gather::Map | Gather::MapEntries => self.collect(comprehension, range, dest, key.0),
        };
        self.locals.truncate(self.locals.len() - 1 - usize::from(comprehension.second.is_some()));
        self.release(top);
        Typed::varying(ty)
    }

    /// The head of a loop: gives its place.
    fn next(&mut self, comprehension: &Comprehension, range: u8) -> usize {
        let op = if comprehension.second.is_some() { Op::NextPair } else { Op::Next };
        self.emit(op, [range, range.wrapping_add(2), range.wrapping_add(3)], 0)
    }

    fn repeat(&mut self, head: usize) {
        self.emit(Op::Repeat, [0; 3], head as u32);
        self.land(head);
    }

    /// `all` and `exists`: one element may decide, whatever becomes of the others.
    fn quantify(&mut self, comprehension: &Comprehension, range: u8, dest: u8) -> Type {
        let is_all = comprehension.gather == Gather::All;
        self.constant(Value::Bool(is_all), dest);
        let head = self.next(comprehension, range);
        let begin = self.here();
        let top = self.top;
        let (register, typed) = self.operand(&comprehension.body);
        self.release(top);
        self.expect_bool(&typed.ty, &comprehension.body);
        let undecided = self.emit_jump(is_all, register);
        let end_of_region = self.here();
        self.constant(Value::Bool(!is_all), dest);
        let decided = self.emit(Op::Jump, [0; 3], 0);
        let is_safe = typed.is_safe_bool();
        if !is_safe {
            self.catch(begin, dest);
            if let Some(region) = self.program.regions.last_mut() {
                region.end = end_of_region;
            }
        }
        self.land(undecided);
        self.repeat(head);
        if !is_safe {
            self.emit(Op::Settle, [dest, 0, 0], 0);
        }
        self.land(decided);
        Type::Bool
    }

    fn count(&mut self, comprehension: &Comprehension, range: u8, dest: u8) -> Type {
        self.constant(Value::Int(0), dest);
        let head = self.next(comprehension, range);
        let top = self.top;
        let (register, typed) = self.operand(&comprehension.body);
        self.release(top);
        self.expect_bool(&typed.ty, &comprehension.body);
        self.emit(Op::Count, [dest, register, 0], 0);
        self.repeat(head);
        self.emit(Op::IsOne, [dest, 0, 0], 0);
        Type::Bool
    }

    /// Lists and maps made of what the body is for each element.
    fn collect(&mut self, comprehension: &Comprehension, range: u8, dest: u8, key: Type) -> Type {
        self.program.makes = true;
        self.emit(Op::Begin, [dest, 0, 0], 0);
        let head = self.next(comprehension, range);
        let top = self.top;
        let skip = comprehension.filter.as_ref().map(|filter| {
            let (register, typed) = self.operand(filter);
            self.release(top);
            self.expect_bool(&typed.ty, filter);
            self.emit_jump(false, register)
        });
        let (register, typed) = self.operand(&comprehension.body);
        self.release(top);
        let (put, ty) = match comprehension.gather {
            Gather::Map => ([Op::Put, Op::CloseMap], Type::Map(Box::new(key), Box::new(typed.ty))),
            Gather::MapEntries => ([Op::PutAll, Op::CloseMap], self.expect_map(typed.ty)),
            _ => ([Op::Push, Op::CloseList], Type::list(typed.ty)),
        };
        let operands = if put[0] == Op::Put { [dest, range.wrapping_add(2), register] } else { [dest, register, 0] };
        self.emit(put[0], operands, 0);
        if let Some(skip) = skip {
            self.land(skip);
        }
        self.repeat(head);
        self.emit(put[1], [dest, 0, 0], 0);
        ty
    }

    fn expect_map(&mut self, ty: Type) -> Type {
        match ty {
            Type::Dyn | Type::Map(..) => ty,
            other => self.error(format!("expected a map of entries, found `{other}`"), None).ty,
        }
    }

    pub(super) fn bind(&mut self, bind: &Bind, dest: u8) -> Typed {
        let top = self.top;
        let register = self.take();
        let typed = self.expr(&bind.value, register);
        if bind.kind == BindKind::Plain {
            let body = self.bound(bind, register, typed.ty, dest);
            self.release(top);
            return Typed::varying(body);
        }
        self.program.makes = true;
        let inner = match typed.ty {
            Type::Optional(inner) => *inner,
            Type::Dyn => Type::Dyn,
            other => {
                self.release(top);
                return self.error(format!("expected an optional, found `{other}`"), None);
            }
        };
        let none = self.emit(Op::JumpIfNone, [register, 0, 0], 0);
        self.emit(Op::Unwrap, [register, register, 0], 0);
        let body = self.bound(bind, register, inner, dest);
        let ty = if bind.kind == BindKind::OptMap {
            self.emit(Op::Some, [dest, dest, 0], 0);
            Type::optional(body)
        } else {
            self.emit(Op::CheckOptional, [dest, 0, 0], 0);
            match body {
                Type::Optional(_) | Type::Dyn => body,
                other => self.error(format!("expected an optional, found `{other}`"), None).ty,
            }
        };
        let end = self.emit(Op::Jump, [0; 3], 0);
        self.land(none);
        self.constant(Value::None, dest);
        self.land(end);
        self.release(top);
        Typed::varying(ty)
    }

    fn bound(&mut self, bind: &Bind, register: u8, ty: Type, dest: u8) -> Type {
        self.locals.push(Local { name: bind.variable.clone(), register, ty });
        let typed = self.expr(&bind.body, dest);
        self.locals.pop();
        typed.ty
    }
}

/// The types of a comprehension's variables.
fn elements(range: &Type, pair: bool) -> Option<(Type, Type)> {
    match range {
        Type::Dyn => Some((Type::Dyn, Type::Dyn)),
        Type::List(element) if pair => Some((Type::Int, (**element).clone())),
        Type::List(element) => Some(((**element).clone(), Type::Dyn)),
        Type::Map(key, value) => Some(((**key).clone(), (**value).clone())),
        _ => None,
    }
}
