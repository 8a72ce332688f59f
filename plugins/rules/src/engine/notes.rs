//! What a run has to say beside its result: expressions in `where` that had no value.

use crate::cel::EvalError;
use crate::model::Body;

/// So many different ones are kept; the rest is counted with the last.
const NOTES_MAX: usize = 256;

/// An expression that had no value, and how often it was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub rule: u32,
    /// Place in `when`.
    pub condition: u16,
    pub error: &'static str,
    pub count: u64,
}

#[derive(Debug, Default)]
pub struct Notes {
    pub all: Vec<Note>,
}

impl Notes {
    pub(super) fn where_erred(&mut self, rule: u32, body: &Body, slot: u16, error: EvalError) {
        let condition = body
            .positions
            .iter()
            .find(|position| position.slot == slot)
            .map(|position| position.when)
            .or_else(|| {
                let of_slot =
                    |step: &&crate::model::Step| step.kind.pattern().is_some_and(|pattern| pattern.slot == slot);
                body.steps.iter().find(of_slot).map(|step| step.when)
            })
            .unwrap_or_default();
        let error = error.message();
        let is_same = |note: &Note| note.rule == rule && note.condition == condition && note.error == error;
        let last = self.all.len().saturating_sub(1);
        match self.all.iter().position(is_same) {
            Some(known) => self.all[known].count += 1,
            None if self.all.len() < NOTES_MAX => self.all.push(Note { rule, condition, error, count: 1 }),
            None => self.all[last].count += 1,
        }
    }
}
