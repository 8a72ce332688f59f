//! Our own functions: boxes and numbers. Transcendental ones are `libm`'s, so that every machine computes the same bits.

use super::{Function, Outcome, failed, function, no_overload};
use crate::cel::eval::Reason;
use crate::heap::Heap;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function(&["geo.iou(list<double>; list<double>) double"], |args, heap| {
        overlap(args, heap, |[x, y, w, h]| [x, y, x + w, y + h])
    }),
    function(&["geo.iou_xyxy(list<double>; list<double>) double"], |args, heap| overlap(args, heap, |corners| corners)),
    function(&["num.approx(double; double; double) bool"], |args, _| match *args {
        [Value::Double(a), Value::Double(b), Value::Double(tolerance)] => {
            Ok(Value::Bool((a - b).abs() <= tolerance * 1.0_f64.max(a.abs()).max(b.abs())))
        }
        _ => no_overload(),
    }),
    function(&["num.atan2(double; double) double"], |args, _| match *args {
        [Value::Double(y), Value::Double(x)] => Ok(Value::Double(libm::atan2(y, x))),
        _ => no_overload(),
    }),
];

/// Intersection over union of two boxes; 0 where both are empty.
fn overlap(args: &[Value], heap: &Heap, corners: fn([f64; 4]) -> [f64; 4]) -> Outcome {
    let [Value::List(a), Value::List(b)] = *args else { return no_overload() };
    let (Some(a), Some(b)) = (numbers(heap.list(a)), numbers(heap.list(b))) else { return failed(Reason::BadArgument) };
    let (a, b) = (corners(a), corners(b));
    let area = |[left, top, right, bottom]: [f64; 4]| (right - left).max(0.0) * (bottom - top).max(0.0);
    let shared = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let union = area(a) + area(b) - shared;
    Ok(Value::Double(if union > 0.0 { shared / union } else { 0.0 }))
}

fn numbers(values: &[Value]) -> Option<[f64; 4]> {
    let &[a, b, c, d] = values else { return None };
    let number = |value| match value {
        Value::Double(double) => Some(double),
        Value::Int(int) => Some(int as f64),
        _ => None,
    };
    Some([number(a)?, number(b)?, number(c)?, number(d)?])
}
