//! A compiled expression: instructions over 256 registers, and what they refer to. Knows how it is stored, not how it runs.

use std::sync::OnceLock;

use super::bytes::{Reader, put_bytes, put_range, put_type, put_u16, put_u32, put_value};
use super::functions;
use super::pattern::Matcher;
use super::syntax::Range;
use super::types::Type;
use crate::heap::Texts;
use crate::value::Value;

/// One step. What its parts are, `Op` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) op: Op,
    pub(super) a: u8,
    pub(super) b: u8,
    pub(super) c: u8,
    pub(super) d: u32,
    /// Operands of operators with two.
    pub(super) x: Source,
    pub(super) y: Source,
    /// Where in the text it stems from.
    pub(super) begin: u16,
    pub(super) end: u16,
}

/// Bytes of a stored instruction.
const INSTRUCTION_BYTES: usize = 20;

/// Where an operand is: two bits of kind, then the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source(u32);

/// A `Source` taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Register(u8),
    Constant(u32),
    Slot(u16),
    Field(u16, u16),
}

impl Source {
    /// `None` if a slot or constant has too high a number for it.
    pub(super) fn new(place: Place) -> Option<Self> {
        const LIMIT: u32 = 1 << 30;
        let (kind, place) = match place {
            Place::Register(register) => (0, u32::from(register)),
            Place::Constant(constant) => (1, constant),
            Place::Slot(slot) => (2, u32::from(slot)),
            Place::Field(slot, field) => (3, u32::from(slot) << 16 | u32::from(field)),
        };
        (place < LIMIT).then_some(Self(kind << 30 | place))
    }

    pub(super) const fn register(register: u8) -> Self {
        Self(register as u32)
    }

    #[inline]
    pub(super) fn place(self) -> Place {
        let place = self.0 & ((1 << 30) - 1);
        match self.0 >> 30 {
            0 => Place::Register(place as u8),
            1 => Place::Constant(place),
            2 => Place::Slot(place as u16),
            _ => Place::Field((place >> 16) as u16, place as u16),
        }
    }
}

macro_rules! ops {
    ($($(#[$doc:meta])* $op:ident $operand:ident,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Op { $($(#[$doc])* $op,)* }

        impl Op {
            const ALL: &'static [(Self, Operand)] = &[$((Self::$op, Operand::$operand),)*];
        }
    };
}

/// What `d` of an instruction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operand {
    Nothing,
    /// A place in the code behind this one.
    Forward,
    /// A place in the code behind this one, or 0 for none.
    MaybeForward,
    /// A place in the code before this one.
    Back,
    Constant,
    /// A constant that is a text.
    Name,
    /// A range of constants.
    Constants,
    Function,
    Pattern,
    Slot,
    Field,
    Reason,
}

ops! {
    /// a = constant d
    Const Constant,
    /// a = b
    Move Nothing,
    /// a = slot d of the frame
    Slot Slot,
    /// a = field (d: slot, field) of the frame
    Field Field,
    /// a = whether the field is there
    HasField Field,
    /// a = the field as an optional
    OptField Field,
    /// go to d
    Jump Forward,
    /// go back to d
    Repeat Back,
    /// go to d if a is false; else a must be true
    JumpIfFalse Forward,
    /// go to d if a is true; else a must be false
    JumpIfTrue Forward,
    /// a = false if b is, and go to d; else b must be true, and a stays: true or a failure
    And Forward,
    /// a = true if b is, and go to d; else b must be false, and a stays: false or a failure
    Or Forward,
    /// a failure in a fails
    Settle Nothing,
    /// a = !b
    Not Nothing,
    /// a = -b
    Negate Nothing,
    /// a = whether x and y compare as the `Relation` b says; go to d, if it is not 0, where a is false (c is 0) or true
    /// (c is 1)
    Compare MaybeForward,
    /// The same for what should be two ints.
    CompareInt MaybeForward,
    /// The same for what should be two doubles.
    CompareDouble MaybeForward,
    /// The same for what should be two texts, which are equal or not.
    CompareText MaybeForward,
    /// a = x, y calculated as the `Arithmetic` b says
    Calculate Nothing,
    /// The same for what should be two ints.
    CalculateInt Nothing,
    /// The same for what should be two doubles.
    CalculateDouble Nothing,
    /// a = x in y
    In Nothing,
    /// a = x in constants d
    InConstants Constants,
    /// a = x[y]
    Index Nothing,
    /// a = x[?y]
    OptIndex Nothing,
    /// a = b.d
    Select Name,
    /// a = b.?d
    OptSelect Name,
    /// a = has(b.d)
    HasSelect Name,
    /// a = a list of constants d
    ListConstants Constants,
    /// a = an empty pending list
    Begin Nothing,
    /// pending list a takes b
    Push Nothing,
    /// pending list a takes what optional b holds
    PushOptional Nothing,
    /// pending map a takes key b and value c
    Put Nothing,
    /// pending map a takes key b and what optional c holds
    PutOptional Nothing,
    /// pending map a takes the entries of map b
    PutAll Nothing,
    /// a = the pending list a
    CloseList Nothing,
    /// a = the pending map a
    CloseMap Nothing,
    /// list or map a is iterated over; a+1 is the counter
    Iterate Nothing,
    /// b = the next element or key of a; go to d when there is none
    Next Forward,
    /// b and c = the next index and element, or key and value, of a; go to d when there is none
    NextPair Forward,
    /// a = a + 1 if b
    Count Nothing,
    /// a = whether a is 1
    IsOne Nothing,
    /// go to d if optional a is none
    JumpIfNone Forward,
    /// a = what optional b holds
    Unwrap Nothing,
    /// a = an optional of b
    Some Nothing,
    /// a must be an optional
    CheckOptional Nothing,
    /// a = function d of the c registers from b on
    Call Function,
    /// a = whether text b matches pattern d
    Matches Pattern,
    Fail Reason,
    Return Nothing,
}

impl Op {
    /// Has a truth value, and may jump by it.
    pub(super) fn is_comparison(self) -> bool {
        matches!(Self::ALL[self as usize].1, Operand::MaybeForward)
    }
}

/// Code whose failures are caught: they go to `register`, and evaluation goes on at `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) begin: u32,
    pub(super) end: u32,
    pub(super) target: u32,
    pub(super) register: u8,
}

/// A regular expression, made when first needed.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) text: String,
    matcher: OnceLock<Option<Matcher>>,
}

impl Pattern {
    pub(super) fn new(text: String) -> Self {
        Self { text, matcher: OnceLock::new() }
    }

    pub(super) fn made(text: String, matcher: Option<Matcher>) -> Self {
        Self { text, matcher: OnceLock::from(matcher) }
    }

    pub(super) fn matcher(&self) -> Option<&Matcher> {
        self.matcher.get_or_init(|| Matcher::new(&self.text).ok()).as_ref()
    }
}

/// What of the frame an expression reads, each once, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    pub slots: Vec<u16>,
    /// Slot and field.
    pub fields: Vec<(u16, u16)>,
}

/// A compiled expression. Text handles in it belong to the `Texts` it was compiled with.
#[derive(Clone, Debug)]
pub struct Program {
    pub(super) code: Vec<Instruction>,
    pub(super) constants: Vec<Value>,
    /// Ranges of `constants`.
    pub(super) lists: Vec<(u32, u32)>,
    pub(super) patterns: Vec<Pattern>,
    /// Innermost first.
    pub(super) regions: Vec<Region>,
    pub(super) ty: Type,
    /// Makes lists, maps or optionals.
    pub(super) makes: bool,
}

/// A stored program that is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError;

impl Program {
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// The value, if it is the same for every frame and is no list or map.
    pub fn constant(&self) -> Option<Value> {
        match self.code.as_slice() {
            [Instruction { op: Op::Const, d, .. }, Instruction { op: Op::Return, .. }] => {
                self.constants.get(*d as usize).copied()
            }
            _ => None,
        }
    }

    pub fn reads(&self) -> Reads {
        let mut reads = Reads::default();
        for instruction in &self.code {
            let place = match instruction.op {
                Op::Slot => Place::Slot(instruction.d as u16),
                Op::Field | Op::HasField | Op::OptField => {
                    Place::Field((instruction.d >> 16) as u16, instruction.d as u16)
                }
                _ => Place::Register(0),
            };
            for place in [place, instruction.x.place(), instruction.y.place()] {
                match place {
                    Place::Slot(slot) => reads.slots.push(slot),
                    Place::Field(slot, field) => reads.fields.push((slot, field)),
                    Place::Register(_) | Place::Constant(_) => {}
                }
            }
        }
        reads.slots.sort_unstable();
        reads.slots.dedup();
        reads.fields.sort_unstable();
        reads.fields.dedup();
        reads
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_type(&self.ty, out);
        out.push(u8::from(self.makes));
        put_u32(self.code.len(), out);
        for instruction in &self.code {
            out.extend([instruction.op as u8, instruction.a, instruction.b, instruction.c]);
            let numbers = [instruction.d, instruction.x.0, instruction.y.0];
            out.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
            out.extend(instruction.begin.to_le_bytes());
            out.extend(instruction.end.to_le_bytes());
        }
        put_u32(self.constants.len(), out);
        self.constants.iter().for_each(|constant| put_value(*constant, out));
        put_u32(self.lists.len(), out);
        for (begin, end) in &self.lists {
            put_range(Range { begin: *begin, end: *end }, out);
        }
        put_u16(self.patterns.len(), out);
        self.patterns.iter().for_each(|pattern| put_bytes(pattern.text.as_bytes(), out));
        put_u16(self.regions.len(), out);
        for region in &self.regions {
            put_range(Range { begin: region.begin, end: region.end }, out);
            out.extend(region.target.to_le_bytes());
            out.push(region.register);
        }
    }

    /// Reads what `encode` wrote. `texts` are those that the program was compiled with.
    ///
    /// # Errors
    /// If the bytes are no program, or one that refers to what is not there.
    pub fn decode(bytes: &mut &[u8], texts: &Texts) -> Result<Self, DecodeError> {
        let mut reader = Reader { rest: bytes, texts: texts.len() };
        let ty = reader.ty(0)?;
        let makes = reader.u8()? != 0;
        let count = reader.count(INSTRUCTION_BYTES)?;
        let code = (0..count).map(|_| read_instruction(&mut reader)).collect::<Result<_, _>>()?;
        let constants = (0..reader.count(1)?).map(|_| reader.value()).collect::<Result<_, _>>()?;
        let lists = (0..reader.count(8)?).map(|_| reader.range().map(|range| (range.begin, range.end)));
        let lists = lists.collect::<Result<_, _>>()?;
        let patterns = (0..reader.u16()?).map(|_| reader.text().map(Pattern::new)).collect::<Result<_, _>>()?;
        let mut regions = Vec::new();
        for _ in 0..reader.u16()? {
            let range = reader.range()?;
            let (target, register) = (reader.u32()?, reader.u8()?);
            regions.push(Region { begin: range.begin, end: range.end, target, register });
        }
        *bytes = reader.rest;
        let program = Self { code, constants, lists, patterns, regions, ty, makes };
        if program.is_whole() { Ok(program) } else { Err(DecodeError) }
    }

    /// Every reference is to something that is there, and only `Repeat`, which pays, goes back.
    fn is_whole(&self) -> bool {
        let constants = self.constants.len() as u32;
        let ends = matches!(self.code.last(), Some(last) if matches!(last.op, Op::Return | Op::Fail));
        let lists = self.lists.iter().all(|(begin, end)| begin <= end && *end <= constants);
        let regions = self.regions.iter().all(|region| {
            region.begin < region.end && region.end <= region.target && (region.target as usize) < self.code.len()
        });
        let mut code = self.code.iter().enumerate();
        ends && lists && regions && code.all(|(place, instruction)| self.is_sound(place as u32, instruction))
    }

    fn is_sound(&self, place: u32, instruction: &Instruction) -> bool {
        let d = instruction.d as usize;
        let sources = [instruction.x, instruction.y].into_iter().all(|source| match source.place() {
            Place::Constant(constant) => (constant as usize) < self.constants.len(),
            _ => true,
        });
        let lands = instruction.d > place && d < self.code.len();
        let operand = match Op::ALL[instruction.op as usize].1 {
            Operand::Nothing | Operand::Slot | Operand::Field | Operand::Reason => true,
            Operand::Forward => lands,
            Operand::MaybeForward => d == 0 || lands,
            Operand::Back => instruction.d < place,
            Operand::Constant => d < self.constants.len(),
            Operand::Name => matches!(self.constants.get(d), Some(Value::String(_))),
            Operand::Constants => d < self.lists.len(),
            Operand::Function => {
                functions::takes(instruction.d, instruction.c)
                    && usize::from(instruction.b) + usize::from(instruction.c) <= 256
            }
            Operand::Pattern => d < self.patterns.len(),
        };
        sources && operand
    }
}

fn read_instruction(reader: &mut Reader<'_>) -> Result<Instruction, DecodeError> {
    let bytes: [u8; INSTRUCTION_BYTES] = reader.take()?;
    let (op, _) = Op::ALL.get(usize::from(bytes[0])).ok_or(DecodeError)?;
    let number =
        |place: usize| u32::from_le_bytes([bytes[place], bytes[place + 1], bytes[place + 2], bytes[place + 3]]);
    let short = |place: usize| u16::from_le_bytes([bytes[place], bytes[place + 1]]);
    Ok(Instruction {
        op: *op,
        a: bytes[1],
        b: bytes[2],
        c: bytes[3],
        d: number(4),
        x: Source(number(8)),
        y: Source(number(12)),
        begin: short(16),
        end: short(18),
    })
}

#[cfg(test)]
mod tests;
