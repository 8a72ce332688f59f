//! What each instruction does. Knows one step, not how failures travel.

use super::{Failure, Fault, Frame, Reason, Registers, some};
use crate::cel::functions;
use crate::cel::operators::{self, Arithmetic, Relation};
use crate::cel::program::{Instruction, Op, Place, Program, Source};
use crate::heap::Heap;
use crate::value::{Text, Value};

const NO_OVERLOAD: Fault = Fault::Failed(Reason::NoSuchOverload);

/// An instruction and where it stands.
pub(super) struct Step<'a> {
    pub(super) program: &'a Program,
    pub(super) instruction: &'a Instruction,
    pub(super) place: usize,
}

/// `true` and `false` as they are, other values as faults.
#[inline]
fn truth(value: &Value) -> Result<bool, Fault> {
    match value {
        Value::Bool(value) => Ok(*value),
        _ => Err(NO_OVERLOAD),
    }
}

/// What a value of a known type holds.
trait Content: Copy {
    fn of(value: &Value) -> Option<Self>;
}

impl Content for i64 {
    #[inline(always)]
    fn of(value: &Value) -> Option<Self> {
        if let Value::Int(int) = value { Some(*int) } else { None }
    }
}

impl Content for f64 {
    #[inline(always)]
    fn of(value: &Value) -> Option<Self> {
        if let Value::Double(double) = value { Some(*double) } else { None }
    }
}

impl Content for Text {
    #[inline(always)]
    fn of(value: &Value) -> Option<Self> {
        if let Value::String(text) = value { Some(*text) } else { None }
    }
}

/// What a step works on.
pub(super) struct Context<'a, F> {
    pub(super) frame: &'a F,
    pub(super) heap: &'a mut Heap,
    pub(super) registers: &'a mut Registers,
}

impl Step<'_> {
    fn source<F: Frame>(&self, source: Source, context: &Context<'_, F>) -> Result<Value, Fault> {
        Ok(match source.place() {
            Place::Register(register) => context.registers[usize::from(register)],
            Place::Constant(constant) => self.program.constants[constant as usize],
            Place::Slot(slot) => context.frame.value(slot),
            Place::Field(slot, field) => match context.frame.field(slot, field) {
                Some(value) => value,
                None => return Err(Fault::Failed(Reason::NoSuchField)),
            },
        })
    }

    fn sources<F: Frame>(&self, context: &Context<'_, F>) -> Result<(Value, Value), Fault> {
        let i = self.instruction;
        Ok((self.source(i.x, context)?, self.source(i.y, context)?))
    }

    /// The operand as it should be: copying what it holds, and not the value, is what makes this fast.
    #[inline(always)]
    fn content<T: Content, F: Frame>(&self, source: Source, context: &Context<'_, F>) -> Option<T> {
        match source.place() {
            Place::Register(register) => T::of(&context.registers[usize::from(register)]),
            Place::Constant(constant) => T::of(&self.program.constants[constant as usize]),
            Place::Slot(slot) => T::of(&context.frame.value(slot)),
            Place::Field(slot, field) => context.frame.field(slot, field).as_ref().and_then(T::of),
        }
    }

    #[inline(always)]
    fn contents<T: Content, F: Frame>(&self, context: &Context<'_, F>) -> Option<(T, T)> {
        let i = self.instruction;
        Some((self.content(i.x, context)?, self.content(i.y, context)?))
    }

    fn relation(&self) -> Relation {
        Relation(self.instruction.b)
    }

    /// Keeps the result of a comparison, and jumps as it says.
    #[inline(always)]
    fn branch(&self, registers: &mut Registers, result: bool) -> Result<usize, Fault> {
        let i = self.instruction;
        registers[usize::from(i.a)] = Value::Bool(result);
        let jumps = i.d != 0 && result == (i.c != 0);
        Ok(if jumps { i.d as usize } else { self.place + 1 })
    }

    /// A comparison of any values.
    #[inline(never)]
    fn compare<F: Frame>(&self, context: &mut Context<'_, F>) -> Result<usize, Fault> {
        let (x, y) = self.sources(context)?;
        let result = operators::relate(self.relation(), x, y, context.heap)?;
        self.branch(context.registers, result)
    }

    /// Arithmetic of any values.
    #[inline(never)]
    fn calculate<F: Frame>(&self, context: &mut Context<'_, F>) -> Result<usize, Fault> {
        let (x, y) = self.sources(context)?;
        let value = operators::arithmetic(Arithmetic::at(self.instruction.b), x, y, context.heap)?;
        context.registers[usize::from(self.instruction.a)] = value;
        Ok(self.place + 1)
    }

    /// Takes the step; gives the place of the next one.
    #[inline(always)]
    pub(super) fn take<F: Frame>(&self, context: &mut Context<'_, F>) -> Result<usize, Fault> {
        let i = self.instruction;
        let (a, d) = (usize::from(i.a), i.d as usize);
        let next = self.place + 1;
        match i.op {
            Op::CompareInt => match self.contents::<i64, F>(context) {
                Some((x, y)) => self.branch(context.registers, self.relation().holds(Some(x.cmp(&y)))),
                None => self.compare(context),
            },
            Op::CompareDouble => match self.contents::<f64, F>(context) {
                Some((x, y)) => self.branch(context.registers, self.relation().holds(x.partial_cmp(&y))),
                None => self.compare(context),
            },
            Op::CompareText => match self.contents::<Text, F>(context) {
                Some((x, y)) => self.branch(context.registers, self.relation().holds_if_equal(x == y)),
                None => self.compare(context),
            },
            Op::Compare => self.compare(context),
            Op::CalculateDouble => match self.contents::<f64, F>(context) {
                Some((x, y)) => {
                    let double = Arithmetic::at(i.b).doubles(x, y).ok_or(NO_OVERLOAD)?;
                    context.registers[a] = Value::Double(double);
                    Ok(next)
                }
                None => self.calculate(context),
            },
            Op::CalculateInt => match self.contents::<i64, F>(context) {
                Some((x, y)) => {
                    let int = operators::int_arithmetic(Arithmetic::at(i.b), x, y)?;
                    context.registers[a] = Value::Int(int);
                    Ok(next)
                }
                None => self.calculate(context),
            },
            Op::Calculate => self.calculate(context),
            Op::Jump => Ok(d),
            Op::JumpIfFalse => Ok(if truth(&context.registers[a])? { next } else { d }),
            Op::JumpIfTrue => Ok(if truth(&context.registers[a])? { d } else { next }),
            Op::Next => self.next_element(context.heap, context.registers),
            Op::Repeat => {
                context.heap.meter.spend(1 + (self.place.saturating_sub(d) as u64) / 8)?;
                Ok(d)
            }
            Op::Return => Ok(usize::MAX),
            Op::Const => {
                context.registers[a] = self.program.constants[d];
                Ok(next)
            }
            Op::Field => match context.frame.field((i.d >> 16) as u16, i.d as u16) {
                Some(value) => {
                    context.registers[a] = value;
                    Ok(next)
                }
                None => Err(Fault::Failed(Reason::NoSuchField)),
            },
            Op::Call => {
                let first = usize::from(i.b);
                let args = &context.registers[first..first + usize::from(i.c)];
                context.registers[a] = functions::call(i.d as u16, args, context.heap)?;
                Ok(next)
            }
            Op::InConstants => self.is_among(context),
            _ => self.take_simple(context),
        }
    }

    /// Membership among constants.
    #[inline(never)]
    fn is_among<F: Frame>(&self, context: &mut Context<'_, F>) -> Result<usize, Fault> {
        let i = self.instruction;
        let list = self.constants(i.d as usize);
        context.heap.meter.spend(list.len() as u64 / 8)?;
        let found = match self.source(i.x, context)? {
            Value::String(wanted) => list.iter().any(|value| Text::of(value) == Some(wanted)),
            wanted => list.iter().any(|&value| operators::equal(wanted, value, context.heap)),
        };
        context.registers[usize::from(i.a)] = Value::Bool(found);
        Ok(self.place + 1)
    }

    /// The steps that only move values.
    #[inline(never)]
    fn take_simple<F: Frame>(&self, context: &mut Context<'_, F>) -> Result<usize, Fault> {
        let i = self.instruction;
        let (a, b, d) = (usize::from(i.a), usize::from(i.b), i.d as usize);
        context.registers[a] = match i.op {
            Op::Move => context.registers[b],
            Op::Slot => context.frame.value(i.d as u16),
            Op::HasField => Value::Bool(context.frame.field((i.d >> 16) as u16, i.d as u16).is_some()),
            Op::Not => Value::Bool(!truth(&context.registers[b])?),
            Op::NextPair => {
                let next = if self.next_pair(context.heap, context.registers)? { self.place + 1 } else { d };
                return Ok(next);
            }
            _ => return self.take_rare(context),
        };
        Ok(self.place + 1)
    }

    /// The steps that are costly in themselves.
    #[inline(never)]
    fn take_rare<F: Frame>(&self, context: &mut Context<'_, F>) -> Result<usize, Fault> {
        let i = self.instruction;
        let (a, b, d) = (usize::from(i.a), usize::from(i.b), i.d as usize);
        let program = self.program;
        let (x, y) = self.sources(context)?;
        let Context { frame, heap, registers } = context;
        let name = |d: usize| program.constants[d];
        registers[a] = match i.op {
            Op::OptField => match frame.field((i.d >> 16) as u16, i.d as u16) {
                Some(value) => some(value, heap)?,
                None => Value::None,
            },
            Op::Negate => operators::negate(registers[b])?,
            Op::In => operators::contains(x, y, heap)?,
            Op::Index => operators::index(x, y, heap)?,
            Op::OptIndex => operators::optional_index(x, y, heap)?,
            Op::Select => operators::select(registers[b], name(d), heap)?,
            Op::OptSelect => operators::optional_select(registers[b], name(d), heap)?,
            Op::HasSelect => operators::has(registers[b], name(d), heap)?,
            Op::ListConstants => Value::List(heap.make_list(self.constants(d))?),
            Op::Matches => operators::matches(registers[b], program.patterns[d].matcher(), heap)?,
            Op::Some => some(registers[b], heap)?,
            Op::Unwrap => match registers[b] {
                Value::Some(place) => heap.some(place),
                _ => return Err(Fault::Failed(Reason::NoValue)),
            },
            Op::Fail => return Err(Fault::Failed(Reason::at(i.d))),
            _ => return self.take_gathering(heap, registers),
        };
        Ok(self.place + 1)
    }

    fn constants(&self, list: usize) -> &[Value] {
        let (begin, end) = self.program.lists[list];
        &self.program.constants[begin as usize..end as usize]
    }

    /// The steps of comprehensions and literals.
    fn take_gathering(&self, heap: &mut Heap, registers: &mut Registers) -> Result<usize, Fault> {
        let i = self.instruction;
        let (a, b, c) = (usize::from(i.a), usize::from(i.b), usize::from(i.c));
        registers[a] = match i.op {
            Op::And | Op::Or => {
                let decides = i.op == Op::Or;
                if truth(&registers[b])? == decides {
                    registers[a] = Value::Bool(decides);
                    return Ok(i.d as usize);
                }
                registers[a]
            }
            Op::JumpIfNone => match registers[a] {
                Value::None => return Ok(i.d as usize),
                Value::Some(_) => registers[a],
                _ => return Err(NO_OVERLOAD),
            },
            Op::CheckOptional => match registers[a] {
                optional @ (Value::None | Value::Some(_)) => optional,
                _ => return Err(NO_OVERLOAD),
            },
            Op::Settle => match registers[a] {
                value @ Value::Bool(_) => value,
                failure => return Err(again(failure)),
            },
            Op::Begin => pending(heap.pending.len(), 0),
            Op::Push => push(registers[a], &[registers[b]], heap)?,
            Op::PushOptional => match registers[b] {
                Value::Some(place) => push(registers[a], &[heap.some(place)], heap)?,
                Value::None => registers[a],
                _ => return Err(NO_OVERLOAD),
            },
            Op::Put => push(registers[a], &[registers[b], registers[c]], heap)?,
            Op::PutOptional => match registers[c] {
                Value::Some(place) => push(registers[a], &[registers[b], heap.some(place)], heap)?,
                Value::None => registers[a],
                _ => return Err(NO_OVERLOAD),
            },
            Op::PutAll => {
                let Value::Map(map) = registers[b] else { return Err(NO_OVERLOAD) };
                let mut list = registers[a];
                for place in 0..heap.map(map).len() {
                    let value = heap.map(map)[place];
                    list = push(list, &[value], heap)?;
                }
                list
            }
            Op::CloseList => {
                let begin = settle_pending(registers[a], heap);
                Value::List(heap.close_pending(begin)?)
            }
            Op::CloseMap => {
                let begin = settle_pending(registers[a], heap);
                operators::close_map(begin, heap)?
            }
            Op::Iterate => {
                if !matches!(registers[a], Value::List(_) | Value::Map(_)) {
                    return Err(NO_OVERLOAD);
                }
                registers[(a + 1) & 0xff] = Value::Int(0);
                registers[a]
            }
            Op::Count => match (registers[a], truth(&registers[b])?) {
                (Value::Int(count), true) => Value::Int(count.wrapping_add(1)),
                (count, _) => count,
            },
            Op::IsOne => Value::Bool(matches!(registers[a], Value::Int(1))),
            _ => return Err(NO_OVERLOAD),
        };
        Ok(self.place + 1)
    }

    /// The next element or key of an iteration goes to its register; without one, the loop ends.
    #[inline]
    fn next_element(&self, heap: &Heap, registers: &mut Registers) -> Result<usize, Fault> {
        let i = self.instruction;
        let (a, b) = (usize::from(i.a), usize::from(i.b));
        let counter = (a + 1) & 0xff;
        let Value::Int(count) = registers[counter] else { return Err(NO_OVERLOAD) };
        let (values, place) = match &registers[a] {
            Value::List(list) => (heap.list(*list), count as usize),
            Value::Map(map) => (heap.map(*map), (count as usize).saturating_mul(2)),
            _ => return Err(NO_OVERLOAD),
        };
        let Some(value) = values.get(place) else { return Ok(i.d as usize) };
        registers[counter] = Value::Int(count.wrapping_add(1));
        registers[b] = *value;
        Ok(self.place + 1)
    }

    /// The next index and element, or key and value; `false` at the end.
    fn next_pair(&self, heap: &Heap, registers: &mut Registers) -> Result<bool, Fault> {
        let i = self.instruction;
        let (a, b, c) = (usize::from(i.a), usize::from(i.b), usize::from(i.c));
        let counter = (a + 1) & 0xff;
        let Value::Int(count) = registers[counter] else { return Err(NO_OVERLOAD) };
        let place = count as usize;
        let pair = match registers[a] {
            Value::List(list) => heap.list(list).get(place).map(|&value| [Value::Int(count), value]),
            Value::Map(map) => heap.map(map).as_chunks().0.get(place).copied(),
            _ => return Err(NO_OVERLOAD),
        };
        let Some([first, second]) = pair else { return Ok(false) };
        registers[counter] = Value::Int(count.wrapping_add(1));
        registers[b] = first;
        registers[c] = second;
        Ok(true)
    }
}

fn again(value: Value) -> Fault {
    Fault::Again(Failure::unpacked(value))
}

/// Where a pending list begins, and how long it is, as a value of a register.
fn pending(begin: usize, len: usize) -> Value {
    Value::Int(((begin as i64) << 32) | len as i64)
}

/// Drops what an inner list that failed has left behind; gives where the list begins.
fn settle_pending(register: Value, heap: &mut Heap) -> usize {
    let Value::Int(packed) = register else { return heap.pending.len() };
    let (begin, len) = ((packed >> 32) as usize, packed as u32 as usize);
    heap.pending.truncate(begin + len);
    begin.min(heap.pending.len())
}

fn push(register: Value, values: &[Value], heap: &mut Heap) -> Result<Value, Fault> {
    let begin = settle_pending(register, heap);
    for &value in values {
        heap.push_pending(value)?;
    }
    Ok(pending(begin, heap.pending.len() - begin))
}
