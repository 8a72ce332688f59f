//! Rules as bytes. What follows from a rule's parts is not stored.

use super::wire::{Malformed, Read, Reader, Wire, wire_enum, wire_struct};
use crate::cel::Program;
use crate::file::FoldKind;
use crate::model::{
    Action, Body, CellAt, CellKind, CellSource, Comparison, Conjunct, ConjunctKind, Data, Emit, Fold, Operand, Pattern,
    Piece, Position, Rule, Step, StepKind,
};

impl Wire for Program {
    fn write(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }

    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        reader.program()
    }
}

wire_struct!(Rule {
    id,
    is_derive,
    phase,
    salience,
    is_logical,
    bodies,
    exported,
    identity,
    values,
    actions,
    reads,
    names
});
wire_struct!(Body { positions, slots, conjuncts, steps });
wire_struct!(Position { template, slot, distinct, when, variable } alpha: 0);
wire_struct!(CellAt { slot, field });
wire_struct!(Conjunct { facts, values, kind, slot });
wire_struct!(Step { kind, facts, values, gives, when });
wire_struct!(Pattern { template, slot, variable, keys, tests } alpha: 0, bound: None);
wire_struct!(Fold { kind, of, ty, slot });
wire_struct!(Emit { decision, code, subject, message, data });

wire_enum!(Operand { 0 Cell(cell), 1 Value(slot), 2 Constant(cell) });
wire_enum!(Comparison { 0 Equal, 1 NotEqual, 2 Less, 3 LessOrEqual, 4 Greater, 5 GreaterOrEqual });
wire_enum!(CellKind { 0 Bits, 1 Int, 2 Double });
wire_enum!(FoldKind { 0 Sum, 1 Min, 2 Max, 3 Avg, 4 Collect });
wire_enum!(ConjunctKind {
    0 Compare { left, comparison, right, kind },
    1 EqualsProgram { cell, program, ty },
    2 Program(program),
});
wire_enum!(StepKind {
    0 If(program),
    1 Let { slot, program },
    2 Not(pattern),
    3 Exists(pattern),
    4 Forall { pattern, satisfies },
    5 Accumulate { pattern, count, folds },
});
wire_enum!(CellSource { 0 Cell(cell), 1 Constant(cell), 2 Default(constant), 3 Missing, 4 Program(program) });
wire_enum!(Action {
    0 Derive { template, cells },
    1 Assert { template, cells },
    2 Modify { slot, cells },
    3 Retract { slot },
    4 Emit(emit),
    5 Stop { all },
});
wire_enum!(Piece { 0 Text(text), 1 Hole(program) });

impl Wire for Data {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0),
            Self::Value(program) => {
                out.push(1);
                program.write(out);
            }
            Self::List(items) => {
                out.push(2);
                items.write(out);
            }
            Self::Map(entries) => {
                out.push(3);
                entries.write(out);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        Ok(match reader.byte()? {
            0 => Self::Null,
            1 => Self::Value(Wire::read(reader)?),
            2 => Self::List(reader.nested(Vec::read)?),
            3 => Self::Map(reader.nested(Vec::read)?),
            _ => return Err(Malformed),
        })
    }
}
