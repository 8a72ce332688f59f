//! Runs a program. Operators and functions are elsewhere; here is the order in which they come, and how failures travel.

use std::fmt;

use super::program::{Instruction, Op, Program};
use super::syntax::Range;
use crate::heap::{Heap, Stop};
use crate::value::{List, Value};

mod steps;

use self::steps::{Context, Step};

/// Where an expression's variables have their values.
pub trait Frame {
    fn value(&self, slot: u16) -> Value;
    /// A field of the fact in a slot; `None` if it is optional and missing.
    fn field(&self, slot: u16, field: u16) -> Option<Value>;
}

/// Why an evaluation gives no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalError {
    /// The expression has no value.
    Failed(Failure),
    /// A limit, or the host's time.
    Stopped(Stop),
}

/// What failed, and in which instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: Reason,
    place: u32,
}

macro_rules! reasons {
    ($($reason:ident $message:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $($reason,)* }

        impl Reason {
            const ALL: &'static [Self] = &[$(Self::$reason,)*];

            pub fn message(self) -> &'static str {
                match self { $(Self::$reason => $message,)* }
            }
        }
    };
}

reasons! {
    NoSuchOverload "no such overload",
    NoSuchFunction "no such function",
    NoSuchVariable "no such variable",
    NoSuchField "no such field",
    NoSuchKey "no such key",
    BadKey "a value that cannot be a key",
    DuplicateKey "the same key twice",
    OutOfRange "index out of range",
    DivisionByZero "division by zero",
    Overflow "overflow",
    BadConversion "a value that cannot be converted",
    BadTime "a time that is out of range or not RFC 3339",
    BadDuration "a duration that is out of range or not one",
    BadTimeZone "no such time zone",
    BadPattern "not a regular expression, or one too large",
    TooLong "a text too long for the regular expression",
    BadFormat "a format that does not fit its arguments",
    BadArgument "an argument out of its range",
    NotUnicode "bytes that are not UTF-8",
    NoValue "an optional without a value",
}

impl Reason {
    pub(super) fn at(place: u32) -> Self {
        Self::ALL.get(place as usize).copied().unwrap_or(Self::NoSuchOverload)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.reason.fmt(f),
            Self::Stopped(Stop::Work) => f.write_str("the limit of work is reached"),
            Self::Stopped(Stop::Bytes) => f.write_str("the limit of memory is reached"),
            Self::Stopped(Stop::Time) => f.write_str("the time is up"),
        }
    }
}

impl std::error::Error for EvalError {}

impl EvalError {
    /// A failure outside of an expression's own code.
    pub fn failed(reason: Reason) -> Self {
        Self::Failed(Failure { reason, place: 0 })
    }

    pub fn message(self) -> &'static str {
        match self {
            Self::Failed(failure) => failure.reason.message(),
            Self::Stopped(_) => "a limit is reached",
        }
    }
}

impl From<Stop> for EvalError {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl Failure {
    /// As a value of a register.
    fn packed(self) -> Value {
        Value::Int(i64::from(self.place) << 8 | self.reason as i64)
    }

    fn unpacked(value: Value) -> Self {
        let Value::Int(packed) = value else { return Self { reason: Reason::NoSuchOverload, place: 0 } };
        Self { reason: Reason::at(packed as u32 & 0xff), place: (packed >> 8) as u32 }
    }
}

/// How a step ends if not well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Failed(Reason),
    Stopped(Stop),
    /// A failure that was kept and comes up again.
    Again(Failure),
}

impl From<Stop> for Fault {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

/// An optional that holds `value`.
pub(super) fn some(value: Value, heap: &mut Heap) -> Result<Value, Fault> {
    let List(place) = heap.make_list(&[value])?;
    Ok(Value::Some(place))
}

pub(super) type Registers = [Value; 256];

impl Program {
    /// The value for a frame. What is made lies in the heap until it is released.
    ///
    /// # Errors
    /// If the expression has no value there, or a limit is reached.
    pub fn eval<F: Frame>(&self, frame: &F, heap: &mut Heap) -> Result<Value, EvalError> {
        if let [Instruction { op: Op::Field, a: 0, d, .. }, Instruction { op: Op::Return, .. }] = &self.code[..]
            && let Some(value) = frame.field((d >> 16) as u16, *d as u16)
        {
            heap.meter.spend(1)?;
            return Ok(value);
        }
        let mut registers = match heap.workspace.registers.take() {
            Some(registers) => registers,
            None => Box::new([Value::Null; 256]),
        };
        let result = self.run_all(frame, heap, &mut registers);
        let value = registers[0];
        heap.workspace.registers = Some(registers);
        result.map(|()| value)
    }

    /// As `eval`, for conditions; what was made on the way is released.
    ///
    /// # Errors
    /// If the expression has no value there, or none that is a truth value, or a limit is reached.
    pub fn eval_bool<F: Frame>(&self, frame: &F, heap: &mut Heap) -> Result<bool, EvalError> {
        let mut registers = match heap.workspace.registers.take() {
            Some(registers) => registers,
            None => Box::new([Value::Null; 256]),
        };
        let mark = heap.mark();
        let result = self.run_all(frame, heap, &mut registers);
        if self.makes {
            heap.release(mark);
        }
        let value = match &registers[0] {
            Value::Bool(value) => Ok(*value),
            _ => Err(EvalError::Failed(Failure { reason: Reason::NoSuchOverload, place: 0 })),
        };
        heap.workspace.registers = Some(registers);
        result.and(value)
    }

    fn run_all<F: Frame>(&self, frame: &F, heap: &mut Heap, registers: &mut Registers) -> Result<(), EvalError> {
        heap.pending.clear();
        self.run(frame, heap, registers, 0..self.code.len())
    }

    /// Where in the text a failure stems from.
    pub fn range_of(&self, failure: Failure) -> Range {
        let instruction = self.code.get(failure.place as usize);
        instruction.map_or_else(Range::default, |instruction| Range {
            begin: u32::from(instruction.begin),
            end: u32::from(instruction.end),
        })
    }

    /// Runs a part of the code, up to its end or to `Return`.
    pub(super) fn run<F: Frame>(
        &self,
        frame: &F,
        heap: &mut Heap,
        registers: &mut Registers,
        part: std::ops::Range<usize>,
    ) -> Result<(), EvalError> {
        heap.meter.spend(1 + part.len() as u64 / 8).map_err(EvalError::Stopped)?;
        let mut context = Context { frame, heap, registers };
        let code = &self.code[..part.end];
        let mut place = part.start;
        // `Return` goes to a place where there is no code.
        while let Some(instruction) = code.get(place) {
            let step = Step { program: self, instruction, place };
            place = match step.take(&mut context) {
                Ok(next) => next,
                Err(fault) => self.catch(fault, place, context.registers)?,
            };
        }
        Ok(())
    }

    /// Where a failure is caught, with what failed kept there.
    #[cold]
    fn catch(&self, fault: Fault, place: usize, registers: &mut Registers) -> Result<usize, EvalError> {
        let failure = match fault {
            Fault::Stopped(stop) => return Err(EvalError::Stopped(stop)),
            Fault::Failed(reason) => Failure { reason, place: place as u32 },
            Fault::Again(failure) => failure,
        };
        let covers = |begin: u32, end: u32| (begin as usize..end as usize).contains(&place);
        match self.regions.iter().find(|region| covers(region.begin, region.end)) {
            Some(region) => {
                registers[usize::from(region.register)] = failure.packed();
                Ok(region.target as usize)
            }
            None => Err(EvalError::Failed(failure)),
        }
    }
}

#[cfg(test)]
mod tests;
