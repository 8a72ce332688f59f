//! From the tree to a program: names resolved, types checked, constants folded. Knows no value but constants.

use super::eval::{Frame, Reason, Registers};
use super::pattern::Matcher;
use super::program::{Instruction, Op, Pattern, Place, Program, Region, Source};
use super::syntax::{Expr, ExprKind, Literal, Range};
use super::types::Type;
use crate::heap::{Heap, Meter, Texts};
use crate::value::Value;

mod calls;
mod gather;
mod names;
mod operators;

/// What names mean where an expression stands.
pub trait Scope {
    /// The variable of a name; a qualified one (`params.x`) is asked for as a whole first.
    fn variable(&self, name: &str) -> Option<Variable>;
    fn field(&self, template: u32, field: &str) -> Option<FieldInfo>;
}

#[derive(Clone, Debug, PartialEq)]
pub enum Variable {
    Value {
        slot: u16,
        ty: Type,
    },
    /// A fact: no value itself, but its fields are.
    Fact {
        slot: u16,
        template: u32,
    },
    Constant {
        value: Literal,
        ty: Type,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct FieldInfo {
    pub place: u16,
    pub ty: Type,
    /// May be missing: `has(v.f)` and `v.?f` ask; a plain read of a missing one fails.
    pub optional: bool,
}

/// What an expression means that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckError {
    pub message: String,
    pub range: Range,
    pub hint: Option<String>,
}

/// Checks and compiles. Constants are interned in `texts`, to which the program's handles refer.
///
/// # Errors
/// Everything that is wrong with names and types.
pub fn compile(expr: &Expr, scope: &dyn Scope, texts: &mut Texts) -> Result<Program, Vec<CheckError>> {
    run_compiler(expr, scope, texts, false)
}

/// Compiles with every type left to the evaluation, where unknown names fail too. `variables` gives a name's slot.
///
/// # Errors
/// If the expression is too large for the machine.
pub fn compile_dynamic(
    expr: &Expr,
    variables: &dyn Fn(&str) -> Option<u16>,
    texts: &mut Texts,
) -> Result<Program, Vec<CheckError>> {
    run_compiler(expr, &DynamicScope(variables), texts, true)
}

struct DynamicScope<'a>(&'a dyn Fn(&str) -> Option<u16>);

impl Scope for DynamicScope<'_> {
    fn variable(&self, name: &str) -> Option<Variable> {
        (self.0)(name).map(|slot| Variable::Value { slot, ty: Type::Dyn })
    }

    fn field(&self, _: u32, _: &str) -> Option<FieldInfo> {
        None
    }
}

fn run_compiler(expr: &Expr, scope: &dyn Scope, texts: &mut Texts, dynamic: bool) -> Result<Program, Vec<CheckError>> {
    let meter = Meter::new(FOLD_WORK_MAX, || false);
    let mut compiler = Compiler {
        scope,
        dynamic,
        heap: Heap::new(std::mem::take(texts), meter, FOLD_BYTES_MAX),
        registers: Box::new([Value::Null; 256]),
        program: Program {
            code: Vec::new(),
            constants: Vec::new(),
            lists: Vec::new(),
            patterns: Vec::new(),
            regions: Vec::new(),
            ty: Type::Dyn,
            makes: false,
        },
        locals: Vec::new(),
        top: 1,
        landed: 0,
        range: expr.range,
        errors: Vec::new(),
    };
    let typed = compiler.expr(expr, 0);
    compiler.emit(Op::Return, [0, 0, 0], 0);
    compiler.program.ty = typed.ty;
    *texts = compiler.heap.texts;
    if compiler.errors.is_empty() { Ok(compiler.program) } else { Err(compiler.errors) }
}

/// What folding of one expression's constants may cost; what costs more is left to the evaluation.
const FOLD_WORK_MAX: u64 = 20_000;
const FOLD_BYTES_MAX: usize = u32::MAX as usize;
const FOLD_CODE_MAX: usize = 512;

/// What was compiled.
struct Typed {
    ty: Type,
    /// It is the same whenever it runs.
    constant: bool,
    /// If the values it reads have their types, it does not fail.
    safe: bool,
}

impl Typed {
    fn constant(ty: Type) -> Self {
        Self { ty, constant: true, safe: true }
    }

    /// Reads a value.
    fn read(ty: Type) -> Self {
        Self { ty, constant: false, safe: true }
    }

    fn varying(ty: Type) -> Self {
        Self { ty, constant: false, safe: false }
    }

    /// A truth value for sure.
    fn is_safe_bool(&self) -> bool {
        self.safe && self.ty == Type::Bool
    }
}

/// A variable of a macro.
struct Local {
    name: String,
    register: u8,
    ty: Type,
}

struct Compiler<'a> {
    scope: &'a dyn Scope,
    dynamic: bool,
    /// The texts, and room to fold constants.
    heap: Heap,
    registers: Box<Registers>,
    program: Program,
    locals: Vec<Local>,
    /// The first free register.
    top: usize,
    /// Where the last jump lands so far.
    landed: usize,
    /// Of the expression at hand.
    range: Range,
    errors: Vec<CheckError>,
}

impl Compiler<'_> {
    /// Compiles an expression whose value goes to register `dest`.
    fn expr(&mut self, expr: &Expr, dest: u8) -> Typed {
        let outer = std::mem::replace(&mut self.range, expr.range);
        let begin = self.program.code.len();
        let mut typed = match &expr.kind {
            ExprKind::Literal(literal) => self.literal(literal, dest),
            ExprKind::Ident(name) => self.name(name, dest),
            ExprKind::Select { operand, field, test } => self.select(operand, field, *test, dest),
            ExprKind::Call { target, function, args } => self.call(target.as_deref(), function, args, dest),
            ExprKind::List(elements) => self.list(elements, dest),
            ExprKind::Map(entries) => self.map(entries, dest),
            ExprKind::Comprehension(comprehension) => self.comprehension(comprehension, dest),
            ExprKind::Bind(bind) => self.bind(bind, dest),
        };
        let is_folded =
            matches!(self.program.code[begin..], [made] if matches!(made.op, Op::Const | Op::ListConstants));
        if typed.constant && !is_folded {
            typed.constant = self.fold(begin, dest);
        }
        typed.safe |= typed.constant;
        if self.dynamic {
            typed.ty = Type::Dyn;
        }
        self.range = outer;
        typed
    }

    fn literal(&mut self, literal: &Literal, dest: u8) -> Typed {
        let (value, ty) = self.literal_value(literal);
        self.constant(value, dest);
        Typed::constant(ty)
    }

    fn literal_value(&mut self, literal: &Literal) -> (Value, Type) {
        match literal {
            Literal::Null => (Value::Null, Type::Null),
            Literal::Bool(value) => (Value::Bool(*value), Type::Bool),
            Literal::Int(value) => (Value::Int(*value), Type::Int),
            Literal::Uint(value) => (Value::Uint(*value), Type::Uint),
            Literal::Double(value) => (Value::Double(*value), Type::Double),
            Literal::String(text) => (Value::String(self.heap.texts.intern(text.as_bytes())), Type::String),
            Literal::Bytes(bytes) => (Value::Bytes(self.heap.texts.intern(bytes)), Type::Bytes),
        }
    }

    fn constant(&mut self, value: Value, dest: u8) {
        let place = self.constant_place(value);
        self.emit(Op::Const, [dest, 0, 0], place);
    }

    fn constant_place(&mut self, value: Value) -> u32 {
        self.program.constants.push(value);
        self.program.constants.len() as u32 - 1
    }

    fn emit(&mut self, op: Op, [a, b, c]: [u8; 3], d: u32) -> usize {
        let (x, y) = (Source::register(0), Source::register(0));
        let (begin, end) = (self.range.begin as u16, self.range.end as u16);
        self.program.code.push(Instruction { op, a, b, c, d, x, y, begin, end });
        self.program.code.len() - 1
    }

    /// An operator with two operands.
    fn emit_binary(&mut self, op: Op, [dest, kind]: [u8; 2], [x, y]: [Source; 2]) {
        let place = self.emit(op, [dest, kind, 0], 0);
        let instruction = &mut self.program.code[place];
        instruction.x = x;
        instruction.y = y;
    }

    /// Jumps if `register` is `wanted`; where a comparison has just made it, as a part of that.
    fn emit_jump(&mut self, wanted: bool, register: u8) -> usize {
        let end = self.program.code.len();
        let may_join = self.landed < end;
        match self.program.code.last_mut() {
            Some(last) if may_join && last.op.is_comparison() && last.a == register && last.d == 0 => {
                last.c = u8::from(wanted);
                // Until it lands, so that no other jump is joined to it.
                last.d = u32::MAX;
                end - 1
            }
            _ => self.emit(if wanted { Op::JumpIfTrue } else { Op::JumpIfFalse }, [register, 0, 0], 0),
        }
    }

    /// The place of the next instruction.
    fn here(&self) -> u32 {
        self.program.code.len() as u32
    }

    /// Lets the jump at `place` go to the next instruction.
    fn land(&mut self, place: usize) {
        self.landed = self.program.code.len();
        self.program.code[place].d = self.landed as u32;
    }

    /// Lets failures of the code from `begin` on go to `register`, and on to the next instruction.
    fn catch(&mut self, begin: u32, register: u8) {
        let here = self.here();
        self.landed = here as usize;
        self.program.regions.push(Region { begin, end: here, target: here, register });
    }

    /// Takes a free register until `release`.
    fn take(&mut self) -> u8 {
        self.take_many(1)
    }

    fn take_many(&mut self, count: usize) -> u8 {
        let first = self.top;
        self.top += count;
        if self.top > 256 {
            if self.errors.last().is_none_or(|error| error.message != TOO_LARGE) {
                self.error(TOO_LARGE, None);
            }
            self.top = first;
            return 0;
        }
        first as u8
    }

    fn release(&mut self, top: usize) {
        self.top = top;
    }

    fn error(&mut self, message: impl Into<String>, hint: Option<String>) -> Typed {
        self.errors.push(CheckError { message: message.into(), range: self.range, hint });
        Typed::varying(Type::Dyn)
    }

    /// Compiles code that fails when it runs; only in dynamic mode.
    fn fail(&mut self, reason: Reason, dest: u8) -> Typed {
        self.emit(Op::Fail, [dest, 0, 0], reason as u32);
        Typed::varying(Type::Dyn)
    }

    /// An operand of an operator with two: what need not go to a register is used where it is.
    fn source(&mut self, expr: &Expr) -> (Source, Typed) {
        let begin = self.program.code.len();
        let (register, typed) = self.operand(expr);
        let place = match self.program.code[begin..] {
            [made] if self.landed <= begin => match made.op {
                Op::Const => Place::Constant(made.d),
                Op::Slot => Place::Slot(made.d as u16),
                Op::Field => Place::Field((made.d >> 16) as u16, made.d as u16),
                _ => Place::Register(register),
            },
            _ => Place::Register(register),
        };
        match Source::new(place) {
            Some(source) => {
                if !matches!(place, Place::Register(_)) {
                    self.program.code.truncate(begin);
                }
                (source, typed)
            }
            None => (Source::register(register), typed),
        }
    }

    /// An operand: a local variable is used where it is, all else is compiled to a free register.
    fn operand(&mut self, expr: &Expr) -> (u8, Typed) {
        if let ExprKind::Ident(name) = &expr.kind
            && let Some(local) = self.locals.iter().rev().find(|local| local.name == *name)
        {
            return (local.register, Typed::read(local.ty.clone()));
        }
        let register = self.take();
        let typed = self.expr(expr, register);
        (register, typed)
    }

    /// Replaces the code from `begin` on, which is the same whenever it runs, by its value, if that is no list or map.
    fn fold(&mut self, begin: usize, dest: u8) -> bool {
        let end = self.program.code.len();
        if end - begin > FOLD_CODE_MAX || !self.errors.is_empty() {
            return false;
        }
        let mark = self.heap.mark();
        self.heap.pending.clear();
        let value = self.program.run(&NoFrame, &mut self.heap, &mut self.registers, begin..end);
        self.heap.release(mark);
        let Ok(()) = value else { return false };
        let value = self.registers[usize::from(dest)];
        if !matches!(value, Value::List(_) | Value::Map(_) | Value::Some(_)) {
            self.program.code.truncate(begin);
            self.program.regions.retain(|region| (region.begin as usize) < begin);
            self.landed = self.landed.min(begin);
            self.constant(value, dest);
        }
        true
    }
}

const TOO_LARGE: &str = "the expression needs more than 256 registers";

/// Constants read nothing.
struct NoFrame;

impl Frame for NoFrame {
    fn value(&self, _: u16) -> Value {
        Value::Null
    }

    fn field(&self, _: u16, _: u16) -> Option<Value> {
        None
    }
}

impl Compiler<'_> {
    /// Takes a regular expression that is a constant; without a matcher, it fails when it runs.
    fn pattern(&mut self, text: &str, matcher: Option<Matcher>) -> u32 {
        let patterns = &mut self.program.patterns;
        let place = patterns.iter().position(|pattern| pattern.text == text).unwrap_or_else(|| {
            patterns.push(Pattern::made(text.to_owned(), matcher));
            patterns.len() - 1
        });
        place as u32
    }
}

#[cfg(test)]
mod tests;
