//! Which fields of its facts a rule reads: a change of others makes no new activation.

use super::{CellSource, ConjunctKind, Operand, Rule, StepKind};
use crate::schema::Schema;

/// Words that hold a bit for each field of any template.
pub(crate) fn words(schema: &Schema) -> usize {
    let widest = schema.templates.iter().map(|template| template.fields.len()).max();
    widest.unwrap_or_default().div_ceil(64).max(1)
}

/// The fields of each exported position that the rule reads, conditions and actions alike: bits of as many words a
/// position as `words` says.
pub(super) fn reads(rule: &Rule, schema: &Schema) -> Vec<u64> {
    let words = words(schema);
    let mut reads = vec![0_u64; rule.exported as usize * words];
    let mut read = |slot: u16, field: u16| {
        if let Some(word) = reads.get_mut(slot as usize * words + field as usize / 64) {
            *word |= 1 << (field % 64);
        }
    };
    for body in &rule.bodies {
        let inner = body.steps.iter().filter_map(|step| step.kind.pattern());
        let tests = inner.clone().flat_map(|pattern| &pattern.tests);
        for conjunct in body.conjuncts.iter().chain(tests) {
            match &conjunct.kind {
                ConjunctKind::Compare { left, right, .. } => {
                    for operand in [left, right] {
                        if let Operand::Cell(cell) = operand {
                            read(cell.slot, cell.field);
                        }
                    }
                }
                ConjunctKind::EqualsProgram { cell, program, .. } => {
                    read(cell.slot, cell.field);
                    program.reads().fields.iter().for_each(|&(slot, field)| read(slot, field));
                }
                ConjunctKind::Program(program) => {
                    program.reads().fields.iter().for_each(|&(slot, field)| read(slot, field))
                }
            }
        }
        for pattern in inner {
            for (_, operand) in &pattern.keys {
                if let Operand::Cell(cell) = operand {
                    read(cell.slot, cell.field);
                }
            }
        }
        for step in &body.steps {
            let programs: Vec<&crate::cel::Program> = match &step.kind {
                StepKind::If(program) | StepKind::Let { program, .. } => vec![program],
                StepKind::Forall { satisfies, .. } => vec![satisfies],
                StepKind::Accumulate { folds, .. } => folds.iter().map(|fold| &fold.of).collect(),
                _ => Vec::new(),
            };
            programs.iter().flat_map(|program| program.reads().fields).for_each(|(slot, field)| read(slot, field));
        }
    }
    super::each_source(&rule.actions, &mut |source| match source {
        CellSource::Cell(cell) => read(cell.slot, cell.field),
        CellSource::Program(program) => program.reads().fields.iter().for_each(|&(slot, field)| read(slot, field)),
        _ => {}
    });
    super::each_emit_program(&rule.actions, &mut |program| {
        program.reads().fields.iter().for_each(|&(slot, field)| read(slot, field));
    });
    reads
}
