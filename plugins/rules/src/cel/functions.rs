//! The functions: their signatures, for the compiler, and the way from a name to what runs. Operators are elsewhere.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::eval::{Fault, Reason};
use super::types::{Bindings, Type};
use crate::heap::Heap;
use crate::value::Value;

mod format;
mod geometry;
mod math;
mod optionals;
mod strings;
mod time;
mod values;

pub(super) use time::{add_times, civil, seconds_of_day, subtract_times};

type Outcome = Result<Value, Fault>;
type Body = fn(&[Value], &mut Heap) -> Outcome;

/// A function of the table below: its library, then its place there.
pub(super) type FunctionId = u16;

struct Function {
    /// `receiver.name(parameters) result`; what stands before the dot is a receiver if it is a type.
    signatures: &'static [&'static str],
    body: Body,
}

const fn function(signatures: &'static [&'static str], body: Body) -> Function {
    Function { signatures, body }
}

static LIBRARIES: &[&[Function]] = &[
    values::FUNCTIONS,
    time::FUNCTIONS,
    optionals::FUNCTIONS,
    strings::FUNCTIONS,
    math::FUNCTIONS,
    geometry::FUNCTIONS,
];

#[derive(Debug)]
pub(super) struct Overload {
    pub(super) function: FunctionId,
    pub(super) params: Vec<Type>,
    result: Type,
    variadic: bool,
}

/// Functions by name; those with a receiver have a dot before it.
struct Table {
    overloads: HashMap<String, Vec<Overload>>,
    /// The numbers of arguments that a function takes as bits; the last one is for more, too.
    counts: HashMap<FunctionId, u32>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table { overloads: HashMap::new(), counts: HashMap::new() };
        for (library, functions) in (0..).zip(LIBRARIES) {
            for (place, function) in (0..).zip(*functions) {
                table.add(library << 8 | place, function);
            }
        }
        table
    })
}

impl Table {
    fn add(&mut self, id: FunctionId, function: &Function) {
        for (name, overload) in function.signatures.iter().filter_map(|text| read_signature(text, id)) {
            let counts = (0..32).filter(|&count| overload.takes(count)).fold(0, |bits, count| bits | 1 << count);
            *self.counts.entry(id).or_default() |= counts;
            self.overloads.entry(name).or_default().push(overload);
        }
    }
}

fn read_signature(text: &str, function: FunctionId) -> Option<(String, Overload)> {
    let (head, rest) = text.split_once('(')?;
    let (params, result) = rest.split_once(") ")?;
    let mut types = Vec::new();
    let mut name = head.to_owned();
    if let Some((receiver, method)) = head.rsplit_once('.')
        && let Some(receiver) = Type::read(receiver)
    {
        types.push(receiver);
        name = format!(".{method}");
    }
    let (params, variadic) = params.strip_suffix("...").map_or((params, false), |params| (params, true));
    for param in params.split("; ").filter(|param| !param.is_empty()) {
        types.push(Type::read(param)?);
    }
    Some((name, Overload { function, params: types, result: Type::read(result)?, variadic }))
}

/// The overloads of a name; `.name` for calls on a receiver.
pub(super) fn overloads(name: &str) -> Option<&'static [Overload]> {
    table().overloads.get(name).map(Vec::as_slice)
}

impl Overload {
    /// Takes so many arguments.
    pub(super) fn takes(&self, count: usize) -> bool {
        if self.variadic { count >= self.params.len() } else { count == self.params.len() }
    }

    /// The type of the result, if the arguments fit.
    pub(super) fn result(&self, args: &[Type]) -> Option<Type> {
        if !self.takes(args.len()) {
            return None;
        }
        let mut bindings = Bindings::default();
        for (place, arg) in args.iter().enumerate() {
            let param = self.params.get(place).or(self.params.last())?;
            if !param.accepts(arg, &mut bindings) {
                return None;
            }
        }
        Some(self.result.bound(&bindings))
    }
}

/// Runs a function.
pub(super) fn call(function: FunctionId, args: &[Value], heap: &mut Heap) -> Outcome {
    let library = LIBRARIES.get(usize::from(function >> 8));
    match library.and_then(|functions| functions.get(usize::from(function & 0xff))) {
        Some(function) => (function.body)(args, heap),
        None => Err(Fault::Failed(Reason::NoSuchFunction)),
    }
}

/// There is such a function, and it takes so many arguments.
pub(super) fn takes(function: u32, count: u8) -> bool {
    let counts = FunctionId::try_from(function).ok().and_then(|function| table().counts.get(&function));
    counts.is_some_and(|counts| counts >> count.min(31) & 1 != 0)
}

/// No overload for these arguments.
fn no_overload() -> Outcome {
    Err(Fault::Failed(Reason::NoSuchOverload))
}

fn failed(reason: Reason) -> Outcome {
    Err(Fault::Failed(reason))
}

#[cfg(test)]
mod tests;
