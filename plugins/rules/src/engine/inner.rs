//! The facts that a closed condition looks at, and what `accumulate` makes of them.

use super::search::{Bindings, Maker, holds};
use crate::cel::{EvalError, Reason, compare};
use crate::exact::ExactSum;
use crate::file::FoldKind;
use crate::heap::{Heap, Stop};
use crate::model::{Bound, Fold, Pattern};
use crate::schema::Scalar;
use crate::store::{NONE, NS_PER_S, hash_start, hash_word};
use crate::value::Value;

/// A walk over the facts that a pattern matches.
pub(super) struct Walk<'p> {
    pattern: &'p Pattern,
    index: u16,
    keys: Vec<u64>,
    hash: u64,
    next: u32,
    before: u32,
}

impl Maker<'_> {
    pub(super) fn inner<'p>(&self, pattern: &'p Pattern, index: u16, bindings: &Bindings) -> Walk<'p> {
        let mut keys = Vec::with_capacity(pattern.keys.len());
        let mut hash = hash_start();
        for &(_, operand) in &pattern.keys {
            let cell = self.operand_cell(operand, bindings);
            hash = hash_word(hash, cell);
            keys.push(cell);
        }
        let next = self.world.tables[pattern.template as usize].index_at(index as usize).first(hash);
        Walk { pattern, index, keys, hash, next, before: NONE }
    }

    pub(super) fn next_inner(&mut self, walk: &mut Walk<'_>, bindings: &mut Bindings) -> Result<Option<u32>, Stop> {
        let table = &self.world.tables[walk.pattern.template as usize];
        let chain = table.index_at(walk.index as usize);
        while walk.next != NONE {
            let row = walk.next;
            walk.next = chain.next(row);
            if !table.is_alive(row) {
                self.heap.meter.pass()?;
                chain.unlink(walk.hash, walk.before, row);
                continue;
            }
            walk.before = row;
            let has_keys =
                walk.pattern.keys.iter().zip(&walk.keys).all(|(&(field, _), &cell)| table.cell(row, field) == cell);
            if !has_keys {
                self.heap.meter.pass()?;
                continue;
            }
            self.heap.meter.spend(1)?;
            bindings.rows[walk.pattern.slot as usize] = row;
            if walk.pattern.tests.is_empty() || self.conjuncts(walk.pattern.tests.iter(), bindings)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Whether a pattern matches some fact.
    pub(super) fn has_inner(&mut self, pattern: &Pattern, index: u16, bindings: &mut Bindings) -> Result<bool, Stop> {
        if let Some(bound) = &pattern.bound {
            return self.is_within(pattern, bound, bindings);
        }
        let mut walk = self.inner(pattern, index, bindings);
        Ok(self.next_inner(&mut walk, bindings)?.is_some())
    }

    /// Whether some fact lies on the right side of a bound: the furthest one does if any does.
    fn is_within(&mut self, pattern: &Pattern, bound: &Bound, bindings: &Bindings) -> Result<bool, Stop> {
        let table = &self.world.tables[pattern.template as usize];
        let ty = self.world.types[pattern.template as usize][bound.field as usize];
        let (row, looked_at) = table.extreme(bound.field, ty, bound.asks_for_most());
        self.heap.meter.spend(1 + u64::from(looked_at))?;
        let right = self.operand_cell(bound.right, bindings);
        Ok(row != NONE && holds(table.cell(row, bound.field), bound.comparison, right, bound.kind))
    }
}

/// What `accumulate` has gathered so far.
pub(super) struct Accumulation {
    pub(super) count: i64,
    folds: Vec<Gathered>,
}

enum Gathered {
    Int(i128),
    Double(Box<ExactSum>),
    Extreme(Option<Value>),
    All(Vec<Value>),
}

impl Accumulation {
    pub(super) fn new(folds: &[Fold]) -> Self {
        let gathered = folds.iter().map(|fold| match (fold.kind, fold.ty.scalar) {
            (FoldKind::Sum | FoldKind::Avg, Scalar::Double) => Gathered::Double(Box::default()),
            (FoldKind::Sum | FoldKind::Avg, _) => Gathered::Int(0),
            (FoldKind::Min | FoldKind::Max, _) => Gathered::Extreme(None),
            (FoldKind::Collect, _) => Gathered::All(Vec::new()),
        });
        Self { count: 0, folds: gathered.collect() }
    }

    pub(super) fn add(&mut self, place: usize, fold: &Fold, value: Value, heap: &Heap) -> Result<(), EvalError> {
        match (&mut self.folds[place], value) {
            (Gathered::Int(sum), Value::Int(value)) => *sum += i128::from(value),
            (Gathered::Int(sum), Value::Duration { seconds, nanos }) => {
                *sum += i128::from(seconds) * i128::from(NS_PER_S) + i128::from(nanos);
            }
            (Gathered::Double(sum), Value::Double(value)) => sum.add(value),
            (Gathered::Extreme(extreme), value) => {
                let wanted =
                    if fold.kind == FoldKind::Min { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater };
                let is_better = match extreme {
                    None => true,
                    Some(known) => {
                        // A NaN is passed over, whatever comes first.
                        is_nan(*known) || compare(value, *known, heap) == Some(wanted)
                    }
                };
                if is_better && !(is_nan(value) && extreme.is_some()) {
                    *extreme = Some(value);
                }
            }
            (Gathered::All(all), value) => all.push(value),
            _ => return Err(EvalError::failed(Reason::NoSuchOverload)),
        }
        Ok(())
    }

    /// Binds the results; `false` if something was asked for that nothing can give.
    pub(super) fn finish(
        self,
        count: Option<u16>,
        folds: &[Fold],
        bindings: &mut Bindings,
        heap: &mut Heap,
    ) -> Result<bool, EvalError> {
        if let Some(slot) = count {
            bindings.values[slot as usize] = Value::Int(self.count);
        }
        for (gathered, fold) in self.folds.into_iter().zip(folds) {
            let value = match gathered {
                Gathered::Int(_) | Gathered::Double(_) if fold.kind == FoldKind::Avg && self.count == 0 => {
                    return Ok(false);
                }
                Gathered::Int(sum) if fold.kind == FoldKind::Avg => Value::Double(sum as f64 / self.count as f64),
                Gathered::Double(sum) if fold.kind == FoldKind::Avg => Value::Double(sum.value() / self.count as f64),
                Gathered::Int(sum) => int_sum(sum, fold.ty.scalar)?,
                Gathered::Double(sum) => Value::Double(sum.value()),
                Gathered::Extreme(None) => return Ok(false),
                Gathered::Extreme(Some(value)) => value,
                Gathered::All(values) => Value::List(heap.new_list(&values)),
            };
            bindings.values[fold.slot as usize] = value;
        }
        Ok(true)
    }
}

fn is_nan(value: Value) -> bool {
    matches!(value, Value::Double(value) if value.is_nan())
}

fn int_sum(sum: i128, scalar: Scalar) -> Result<Value, EvalError> {
    let narrow = i64::try_from(sum);
    match scalar {
        Scalar::Duration => {
            let (seconds, nanos) = (sum / i128::from(NS_PER_S), sum % i128::from(NS_PER_S));
            let seconds = i64::try_from(seconds).map_err(|_| EvalError::failed(Reason::Overflow))?;
            Ok(Value::Duration { seconds, nanos: nanos as i32 })
        }
        _ => narrow.map(Value::Int).map_err(|_| EvalError::failed(Reason::Overflow)),
    }
}
