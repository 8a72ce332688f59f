//! Operators, list and map literals: their types, and the instructions that types allow.

use super::super::operators::{Arithmetic, Relation};
use super::super::program::Op;
use super::super::syntax::{Expr, ExprKind};
use super::super::types::Type;
use super::{Compiler, Typed};
use crate::value::Value;

fn relation(function: &str) -> Option<Relation> {
    Some(match function {
        "_==_" => Relation::EQUAL,
        "_!=_" => Relation::NOT_EQUAL,
        "_<_" => Relation::LESS,
        "_<=_" => Relation::LESS_EQUAL,
        "_>_" => Relation::GREATER,
        "_>=_" => Relation::GREATER_EQUAL,
        _ => return None,
    })
}

fn arithmetic(function: &str) -> Option<Arithmetic> {
    Some(match function {
        "_+_" => Arithmetic::Add,
        "_-_" => Arithmetic::Subtract,
        "_*_" => Arithmetic::Multiply,
        "_/_" => Arithmetic::Divide,
        "_%_" => Arithmetic::Remainder,
        _ => return None,
    })
}

impl Compiler<'_> {
    /// An operator that is no macro; `None` if the function is not one.
    pub(super) fn operator(&mut self, function: &str, args: &[Expr], dest: u8) -> Option<Typed> {
        let typed = match (function, args) {
            ("_&&_" | "_||_", [left, right]) => self.logical(function, &[left, right], dest),
            ("_?_:_", [condition, yes, no]) => self.conditional(condition, yes, no, dest),
            ("!_" | "-_", [operand]) => self.sign(function, operand, dest),
            ("_?._", [operand, field]) => self.optional_select(operand, Self::literal_text(field)?, dest),
            ("@in", [needle, collection]) => self.contains(needle, collection, dest),
            (_, [left, right]) => self.binary(function, left, right, dest)?,
            _ => return None,
        };
        Some(typed)
    }

    fn binary(&mut self, function: &str, left: &Expr, right: &Expr, dest: u8) -> Option<Typed> {
        let relation = relation(function);
        let arithmetic = arithmetic(function);
        let indexes = matches!(function, "_[_]" | "_[?_]");
        if relation.is_none() && arithmetic.is_none() && !indexes {
            return None;
        }
        let top = self.top;
        let (x, left) = self.source(left);
        let (y, right) = self.source(right);
        self.release(top);
        let constant = left.constant && right.constant;
        let (op, kind, ty) = match (relation, arithmetic) {
            (Some(relation), _) => {
                let op = compare_op(relation, &left.ty, &right.ty);
                (op, relation.0, compared(relation, &left.ty, &right.ty))
            }
            (_, Some(arithmetic)) => {
                let op = calculate_op(&left.ty, &right.ty);
                (op, arithmetic as u8, calculated(arithmetic, &left.ty, &right.ty))
            }
            _ => {
                let optional = function == "_[?_]";
                self.program.makes |= optional || matches!(left.ty, Type::Optional(_) | Type::Dyn);
                (if optional { Op::OptIndex } else { Op::Index }, 0, indexed(optional, &left.ty, &right.ty))
            }
        };
        let Some(ty) = ty else { return Some(self.mismatch(function, &left.ty, &right.ty)) };
        self.program.makes |= matches!(ty, Type::List(_) | Type::Dyn);
        self.emit_binary(op, [dest, kind], [x, y]);
        let cannot_fail = match relation {
            Some(relation) => relation.is_equality() || !(left.ty.has_dyn() || right.ty.has_dyn()),
            None => op == Op::CalculateDouble && arithmetic != Some(Arithmetic::Remainder),
        };
        Some(Typed { ty, constant, safe: cannot_fail && left.safe && right.safe })
    }

    fn mismatch(&mut self, function: &str, left: &Type, right: &Type) -> Typed {
        let sign = function.trim_matches(['_', '@']);
        let hint = match (left, right) {
            (Type::Int, Type::Double) | (Type::Double, Type::Int) => {
                Some("write the number with a point (`1.0`), or convert it: `double(n)`".to_owned())
            }
            _ if left.is_number() && right.is_number() => Some("convert one side: `int(n)`, `double(n)`".to_owned()),
            _ => None,
        };
        self.error(format!("`{sign}` is not defined for `{left}` and `{right}`"), hint)
    }

    /// A chain of `&&` or `||`: any term may decide, whatever becomes of the others.
    fn logical(&mut self, function: &str, args: &[&Expr; 2], dest: u8) -> Typed {
        let mut terms = Vec::new();
        args.iter().for_each(|arg| flatten_chain(function, arg, &mut terms));
        let decides = function == "_||_";
        let join = if decides { Op::Or } else { Op::And };
        let mut whole = Typed::constant(Type::Bool);
        let mut decided = Vec::new();
        let top = self.top;
        for (place, term) in terms.iter().enumerate() {
            let begin = self.here();
            // While nothing can have failed, terms follow each other; then `dest` may be a failure that waits.
            let register = if whole.safe { dest } else { self.take() };
            let typed = self.expr(term, register);
            self.release(top);
            self.expect_bool(&typed.ty, term);
            let was_safe = whole.safe;
            whole.safe &= typed.is_safe_bool();
            whole.constant &= typed.constant;
            let is_last = place + 1 == terms.len();
            if was_safe && is_last && typed.ty == Type::Bool {
                whole.safe = typed.safe;
                return self.end_chain(decided, whole);
            }
            decided.push(match was_safe {
                true => self.emit_jump(decides, dest),
                false => self.emit(join, [dest, register, 0], 0),
            });
            if !whole.safe {
                self.catch(begin, dest);
            }
        }
        self.emit(Op::Settle, [dest, 0, 0], 0);
        self.end_chain(decided, whole)
    }

    fn end_chain(&mut self, decided: Vec<usize>, whole: Typed) -> Typed {
        decided.into_iter().for_each(|jump| self.land(jump));
        whole
    }

    pub(super) fn expect_bool(&mut self, ty: &Type, expr: &Expr) {
        if !ty.fits(&Type::Bool) {
            let outer = std::mem::replace(&mut self.range, expr.range);
            self.error(format!("expected `bool`, found `{ty}`"), None);
            self.range = outer;
        }
    }

    fn conditional(&mut self, condition: &Expr, yes: &Expr, no: &Expr, dest: u8) -> Typed {
        let tested = self.expr(condition, dest);
        self.expect_bool(&tested.ty, condition);
        let otherwise = self.emit_jump(false, dest);
        let first = self.expr(yes, dest);
        let end = self.emit(Op::Jump, [dest, 0, 0], 0);
        self.land(otherwise);
        let second = self.expr(no, dest);
        self.land(end);
        if !first.ty.is_comparable(&second.ty) {
            let message = format!("the branches of `?:` have different types: `{}` and `{}`", first.ty, second.ty);
            return self.error(message, Some("`dyn(..)` around one allows any type".to_owned()));
        }
        let constant = tested.constant && first.constant && second.constant;
        let safe = tested.is_safe_bool() && first.safe && second.safe;
        Typed { ty: first.ty.join(second.ty), constant, safe }
    }

    fn sign(&mut self, function: &str, operand: &Expr, dest: u8) -> Typed {
        let top = self.top;
        let (register, typed) = self.operand(operand);
        self.release(top);
        let (op, fits) = match function {
            "!_" => (Op::Not, typed.ty.fits(&Type::Bool)),
            _ => (Op::Negate, matches!(typed.ty, Type::Int | Type::Double | Type::Dyn)),
        };
        if !fits {
            let sign = function.trim_matches('_');
            return self.error(format!("`{sign}` is not defined for `{}`", typed.ty), None);
        }
        self.emit(op, [dest, register, 0], 0);
        let safe = typed.is_safe_bool() || (typed.safe && typed.ty == Type::Double);
        Typed { ty: if op == Op::Not { Type::Bool } else { typed.ty }, constant: typed.constant, safe }
    }

    fn contains(&mut self, needle: &Expr, collection: &Expr, dest: u8) -> Typed {
        let top = self.top;
        let (x, first) = self.source(needle);
        let begin = self.program.code.len();
        let (y, second) = self.source(collection);
        self.release(top);
        let fits = match &second.ty {
            Type::List(element) => first.ty.is_comparable(element),
            Type::Map(key, _) => first.ty.is_comparable(key),
            other => *other == Type::Dyn,
        };
        if !fits {
            return self.mismatch("_in_", &first.ty, &second.ty);
        }
        match self.program.code[begin..] {
            [made] if made.op == Op::ListConstants => {
                self.program.code.truncate(begin);
                let place = self.emit(Op::InConstants, [dest, 0, 0], made.d);
                self.program.code[place].x = x;
            }
            _ => self.emit_binary(Op::In, [dest, 0], [x, y]),
        }
        let safe = first.safe && second.safe && matches!(second.ty, Type::List(_));
        Typed { ty: Type::Bool, constant: first.constant && second.constant, safe }
    }

    pub(super) fn list(&mut self, elements: &[(Expr, bool)], dest: u8) -> Typed {
        self.program.makes = true;
        let begin = self.program.code.len();
        let firsts = (self.program.constants.len(), self.program.lists.len());
        let top = self.top;
        self.emit(Op::Begin, [dest, 0, 0], 0);
        let mut element_ty: Option<Type> = None;
        let (mut constant, mut safe) = (true, true);
        for (element, optional) in elements {
            let (register, mut typed) = self.operand(element);
            constant &= typed.constant;
            safe &= typed.safe && !*optional;
            if *optional {
                typed.ty = self.expect_optional(typed.ty);
            }
            self.emit(if *optional { Op::PushOptional } else { Op::Push }, [dest, register, 0], 0);
            self.release(top);
            element_ty = Some(element_ty.map_or(typed.ty.clone(), |ty| ty.join(typed.ty)));
        }
        let ty = Type::list(element_ty.unwrap_or(Type::Dyn));
        self.emit(Op::CloseList, [dest, 0, 0], 0);
        let pairs = &self.program.code[begin + 1..self.program.code.len() - 1];
        let is_flat = pairs.len() == 2 * elements.len()
            && pairs.as_chunks().0.iter().all(|[a, b]| a.op == Op::Const && b.op == Op::Push);
        if is_flat {
            self.flatten(begin, firsts, dest);
        }
        Typed { ty, constant, safe }
    }

    /// Replaces code that makes a list of constants by one instruction. What was made for that code, from the first constant
    /// and the first list on, goes with it.
    fn flatten(&mut self, begin: usize, (first_constant, first_list): (usize, usize), dest: u8) {
        let values: Vec<Value> = self.program.code[begin..]
            .iter()
            .filter(|instruction| instruction.op == Op::Const)
            .map(|instruction| self.program.constants[instruction.d as usize])
            .collect();
        self.program.code.truncate(begin);
        self.program.constants.truncate(first_constant);
        self.program.constants.extend(values);
        self.program.lists.truncate(first_list);
        self.program.lists.push((first_constant as u32, self.program.constants.len() as u32));
        self.emit(Op::ListConstants, [dest, 0, 0], self.program.lists.len() as u32 - 1);
    }

    fn expect_optional(&mut self, ty: Type) -> Type {
        match ty {
            Type::Optional(inner) => *inner,
            Type::Dyn => Type::Dyn,
            other => self.error(format!("expected an optional behind `?`, found `{other}`"), None).ty,
        }
    }

    pub(super) fn map(&mut self, entries: &[(Expr, Expr, bool)], dest: u8) -> Typed {
        self.program.makes = true;
        let top = self.top;
        self.emit(Op::Begin, [dest, 0, 0], 0);
        let mut types: Option<(Type, Type)> = None;
        let mut constant = true;
        for (key, value, optional) in entries {
            let (key_register, key_typed) = self.operand(key);
            let (register, mut typed) = self.operand(value);
            constant &= key_typed.constant && typed.constant;
            if *optional {
                typed.ty = self.expect_optional(typed.ty);
            }
            if !key_typed.ty.is_key() {
                self.error(format!("`{}` cannot be the key of a map", key_typed.ty), None);
            }
            self.emit(if *optional { Op::PutOptional } else { Op::Put }, [dest, key_register, register], 0);
            self.release(top);
            types = Some(match types {
                Some((key, value)) => (key.join(key_typed.ty), value.join(typed.ty)),
                None => (key_typed.ty, typed.ty),
            });
        }
        let (key, value) = types.unwrap_or((Type::Dyn, Type::Dyn));
        self.emit(Op::CloseMap, [dest, 0, 0], 0);
        Typed { ty: Type::Map(Box::new(key), Box::new(value)), constant, safe: false }
    }
}

fn compare_op(relation: Relation, left: &Type, right: &Type) -> Op {
    match (left, right) {
        (Type::Int, Type::Int) => Op::CompareInt,
        (Type::Double, Type::Double) => Op::CompareDouble,
        _ if left.is_text() && right.is_text() && relation.is_equality() => Op::CompareText,
        _ => Op::Compare,
    }
}

fn compared(relation: Relation, left: &Type, right: &Type) -> Option<Type> {
    let fits = if relation.is_equality() {
        left.is_comparable(right)
    } else {
        left.is_ordered() && right.is_ordered() && left.fits(right)
    };
    fits.then_some(Type::Bool)
}

fn calculate_op(left: &Type, right: &Type) -> Op {
    match (left, right) {
        (Type::Int, Type::Int) => Op::CalculateInt,
        (Type::Double, Type::Double) => Op::CalculateDouble,
        _ => Op::Calculate,
    }
}

fn calculated(arithmetic: Arithmetic, left: &Type, right: &Type) -> Option<Type> {
    use Type::{Bytes, Double, Duration, Dyn, Int, String, Timestamp, Uint};
    let is = |a: &Type, b: &Type| left.fits(a) && right.fits(b);
    let same: &[Type] = match arithmetic {
        Arithmetic::Add => &[Int, Uint, Double, String, Bytes, Duration],
        Arithmetic::Subtract => &[Int, Uint, Double, Duration],
        Arithmetic::Remainder => &[Int, Uint],
        _ => &[Int, Uint, Double],
    };
    let mut results: Vec<Type> = same.iter().filter(|ty| is(ty, ty)).cloned().collect();
    match arithmetic {
        Arithmetic::Add => {
            if is(&Timestamp, &Duration) || is(&Duration, &Timestamp) {
                results.push(Timestamp);
            }
            match (left, right) {
                (Type::List(_), Type::List(_)) if left.is_comparable(right) => {
                    results.push(left.clone().join(right.clone()))
                }
                (Type::List(_), Dyn) | (Dyn, Type::List(_) | Dyn) => results.push(Dyn),
                _ => {}
            }
        }
        Arithmetic::Subtract => {
            if is(&Timestamp, &Duration) {
                results.push(Timestamp);
            }
            if is(&Timestamp, &Timestamp) {
                results.push(Duration);
            }
        }
        _ => {}
    }
    results.into_iter().reduce(|a, b| if a == b { a } else { Dyn })
}

fn indexed(optional: bool, collection: &Type, index: &Type) -> Option<Type> {
    let value = match collection {
        Type::Dyn => Type::Dyn,
        Type::List(element) if index.fits(&Type::Int) => (**element).clone(),
        Type::Map(key, value) if index.fits(key) => (**value).clone(),
        Type::Optional(inner) if !matches!(**inner, Type::Optional(_)) => {
            return indexed(false, inner, index).map(Type::optional);
        }
        _ => return None,
    };
    Some(if optional { Type::optional(value) } else { value })
}

/// The terms of a chain of one operator.
fn flatten_chain<'a>(function: &str, expr: &'a Expr, terms: &mut Vec<&'a Expr>) {
    match &expr.kind {
        ExprKind::Call { target: None, function: inner, args } if inner == function && args.len() == 2 => {
            args.iter().for_each(|arg| flatten_chain(function, arg, terms));
        }
        _ => terms.push(expr),
    }
}
