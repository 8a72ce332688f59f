//! Functions on optionals. What evaluates an argument only if needed (`or`, `orValue`) is compiled, not here.

use super::{Function, Outcome, failed, function, no_overload};
use crate::cel::eval::{Reason, some};
use crate::heap::Heap;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function(&["optional.of(A) optional<A>"], |args, heap| some(args[0], heap)),
    function(&["optional.none() optional<dyn>"], |_, _| Ok(Value::None)),
    function(&["optional.ofNonZeroValue(A) optional<A>"], of_non_zero),
    function(&["optional<A>.hasValue() bool"], |args, _| match args[0] {
        Value::Some(_) => Ok(Value::Bool(true)),
        Value::None => Ok(Value::Bool(false)),
        _ => no_overload(),
    }),
    function(&["optional<A>.value() A"], |args, heap| match args[0] {
        Value::Some(place) => Ok(heap.some(place)),
        Value::None => failed(Reason::NoValue),
        _ => no_overload(),
    }),
    function(&["optional.unwrap(list<optional<A>>) list<A>", "list<optional<A>>.unwrapOpt() list<A>"], unwrap),
    function(&["list<A>.first() optional<A>"], |args, heap| match args[0] {
        Value::List(list) => optional(heap.list(list).first().copied(), heap),
        _ => no_overload(),
    }),
    function(&["list<A>.last() optional<A>"], |args, heap| match args[0] {
        Value::List(list) => optional(heap.list(list).last().copied(), heap),
        _ => no_overload(),
    }),
];

fn of_non_zero(args: &[Value], heap: &mut Heap) -> Outcome {
    let is_zero = match args[0] {
        Value::Null | Value::None => true,
        Value::Bool(bool) => !bool,
        Value::Int(int) => int == 0,
        Value::Uint(uint) => uint == 0,
        Value::Double(double) => double == 0.0,
        Value::String(text) | Value::Bytes(text) => heap.texts.get(text).is_empty(),
        Value::List(list) => heap.list(list).is_empty(),
        Value::Map(map) => heap.map(map).is_empty(),
        Value::Timestamp { seconds, nanos } => seconds == 0 && nanos == 0,
        Value::Duration { seconds, nanos } => seconds == 0 && nanos == 0,
        Value::Some(_) | Value::Type(_) => false,
    };
    if is_zero { Ok(Value::None) } else { some(args[0], heap) }
}

fn optional(value: Option<Value>, heap: &mut Heap) -> Outcome {
    value.map_or(Ok(Value::None), |value| some(value, heap))
}

fn unwrap(args: &[Value], heap: &mut Heap) -> Outcome {
    let Value::List(list) = args[0] else { return no_overload() };
    let begin = heap.pending.len();
    for place in 0..heap.list(list).len() {
        match heap.list(list)[place] {
            Value::Some(place) => heap.push_pending(heap.some(place))?,
            Value::None => {}
            _ => return no_overload(),
        }
    }
    Ok(Value::List(heap.close_pending(begin)?))
}
