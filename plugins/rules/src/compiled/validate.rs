//! Whether a rule set that was read is one that can be run: all that refers to something refers to what is there and is
//! bound by then. What rules mean is not looked at.

use crate::cel::Program;
use crate::model::{
    Action, Body, CellAt, CellSource, Conjunct, ConjunctKind, Operand, Pattern, Position, Rule, RuleSet, Step,
    StepKind, each_emit_program, read_words, value_bit,
};
use crate::schema::{Constant, FIELDS_BESIDE_OPTIONAL_MAX, FieldSchema, FieldType, Origin, Scalar, TemplateSchema};

/// So many fact slots may a body have: they are bits of a word.
const SLOTS_MAX: usize = 64;

pub(super) fn is_sound(rules: &RuleSet) -> bool {
    let templates = &rules.schema.templates;
    templates.len() <= usize::from(u16::MAX)
        && templates.iter().all(is_template)
        && rules.params.iter().all(|param| fits(&param.default, param.ty))
        && are_tables(rules)
        && u32::try_from(rules.rules.len()).is_ok()
        && rules.rules.iter().all(|rule| is_rule(rule, rules))
}

fn is_template(template: &TemplateSchema) -> bool {
    let fields = &template.fields;
    fields.len() <= usize::from(u16::MAX)
        && (fields.len() <= FIELDS_BESIDE_OPTIONAL_MAX || fields.iter().all(|field| !field.optional))
        && template.key.iter().all(|&field| usize::from(field) < fields.len())
        && fields.iter().all(|field| field.default.as_ref().is_none_or(|default| fits(default, field.ty)))
}

fn are_tables(rules: &RuleSet) -> bool {
    let templates = &rules.schema.templates;
    let fits_row = |row: &Vec<Constant>, template: &TemplateSchema| {
        row.len() == template.fields.len()
            && row.iter().zip(&template.fields).all(|(value, field)| !field.optional && fits(value, field.ty))
    };
    rules.table_rows.len() == templates.len()
        && rules.table_rows.iter().zip(templates).all(|(rows, template)| {
            (rows.is_empty() || template.origin == Origin::Table) && rows.iter().all(|row| fits_row(row, template))
        })
}

/// A constant is of a type.
fn fits(constant: &Constant, ty: FieldType) -> bool {
    match (constant, ty.scalar, ty.list) {
        (Constant::List(elements), _, true) => {
            elements.iter().all(|element| fits(element, FieldType { list: false, ..ty }))
        }
        (Constant::Bool(_), Scalar::Bool, false)
        | (Constant::Int(_), Scalar::Int | Scalar::Timestamp | Scalar::Duration, false)
        | (Constant::Double(_), Scalar::Double, false)
        | (Constant::Text(_), Scalar::String | Scalar::Enum, false)
        | (Constant::Bytes(_), Scalar::Bytes, false) => true,
        _ => false,
    }
}

fn is_rule(rule: &Rule, rules: &RuleSet) -> bool {
    let values = usize::from(rule.values).max(rules.params.len());
    let exported = rule.exported as usize;
    let derives = rule.actions.iter().filter(|action| matches!(action, Action::Derive { .. })).count();
    (rule.phase as usize) < rules.phases.len().max(1)
        && !rule.actions.is_empty()
        && derives == if rule.is_derive { rule.actions.len() } else { 0 }
        && (1..=usize::from(u16::MAX)).contains(&rule.bodies.len())
        && rule.reads.len() == exported * read_words(&rules.schema)
        && rule.names.len() == exported + rule.identity.len()
        && rule
            .bodies
            .iter()
            .all(|body| is_alike(body, &rule.bodies[0], exported) && BodyCheck { rules, body, values }.is_sound(rule))
}

/// The exported positions of two bodies match the same.
fn is_alike(body: &Body, first: &Body, exported: usize) -> bool {
    let positions = |body: &Body| body.positions.get(..exported).map(<[Position]>::to_vec);
    if std::ptr::eq(body, first) {
        return exported <= body.positions.len();
    }
    let (Some(own), Some(first)) = (positions(body), positions(first)) else { return false };
    own.iter()
        .zip(&first)
        .all(|(own, first)| (own.template, own.slot, &own.distinct) == (first.template, first.slot, &first.distinct))
}

struct BodyCheck<'a> {
    rules: &'a RuleSet,
    body: &'a Body,
    /// Value slots, those of the parameters included.
    values: usize,
}

/// What is bound where something is evaluated, as bits of slots: facts, and values but for the parameters.
#[derive(Clone, Copy)]
struct Known {
    facts: u64,
    values: u64,
}

impl Known {
    fn with(self, slot: u16) -> Self {
        Self { facts: self.facts | 1 << slot, ..self }
    }

    fn without(self, slot: u16) -> Self {
        Self { facts: self.facts & !(1 << slot), ..self }
    }
}

impl<'a> BodyCheck<'a> {
    fn is_sound(&self, rule: &Rule) -> bool {
        let (Some(facts), Some(values)) = (self.matched(), self.given()) else { return false };
        // What a pattern binds is there for its own expressions only.
        let needed = |of_facts, values| Known { facts: facts & of_facts, values };
        let mut conjuncts = self.body.conjuncts.iter();
        conjuncts.all(|test| self.is_conjunct(test, needed(test.facts, test.values)))
            && self.body.steps.iter().all(|step| self.is_step(step, needed(step.facts, step.values)))
            && rule.identity.iter().all(|&slot| value_bit(slot, self.params()) & values != 0)
            && rule.actions.iter().all(|action| self.is_action(action, Known { facts, values }))
    }

    /// What is bound when a match is found, if positions and patterns bind slots that there are, each its own. What else
    /// is checked counts on it.
    fn matched(&self) -> Option<u64> {
        let body = self.body;
        let counts = [body.positions.len(), body.conjuncts.len(), body.steps.len()];
        let mut patterns = body.steps.iter().filter_map(|step| step.kind.pattern());
        let mut matched = 0_u64;
        let are_positions = body.slots.len() <= SLOTS_MAX
            && counts.into_iter().all(|count| count < usize::from(u16::MAX))
            && body.slots.iter().all(|&template| self.template(template).is_some())
            && body.positions.iter().all(|position| self.is_position(position, &mut matched));
        let mut bound = matched;
        (are_positions && patterns.all(|pattern| self.is_pattern(pattern, &mut bound))).then_some(matched)
    }

    fn params(&self) -> usize {
        self.rules.params.len()
    }

    /// Values that the steps give: each by one step, and each step after those that give what it needs.
    fn given(&self) -> Option<u64> {
        let steps = &self.body.steps;
        let mut given = 0_u64;
        for step in steps {
            let slots = match &step.kind {
                StepKind::Let { slot, .. } => self.value(*slot)?,
                StepKind::Accumulate { count, folds, .. } => {
                    let slots = count.iter().copied().chain(folds.iter().map(|fold| fold.slot));
                    slots.map(|slot| self.value(slot)).try_fold(0, |mask, bit| Some(mask | bit?))?
                }
                StepKind::If(_) | StepKind::Not(_) | StepKind::Exists(_) | StepKind::Forall { .. } => 0,
            };
            if step.gives != slots || given & slots != 0 || step.values & !given != 0 {
                return None;
            }
            given |= slots;
        }
        Some(given)
    }

    /// The bit of a value slot that is no parameter's.
    fn value(&self, slot: u16) -> Option<u64> {
        let bit = value_bit(slot, self.params());
        (usize::from(slot) < self.values && bit != 0).then_some(bit)
    }

    fn is_value(&self, slot: u16, known: Known) -> bool {
        usize::from(slot) < self.params() || self.value(slot).is_some_and(|bit| bit & known.values != 0)
    }

    fn template(&self, template: u16) -> Option<&'a TemplateSchema> {
        self.rules.schema.templates.get(usize::from(template))
    }

    fn field(&self, at: CellAt) -> Option<&'a FieldSchema> {
        let template = *self.body.slots.get(usize::from(at.slot))?;
        self.template(template)?.fields.get(usize::from(at.field))
    }

    /// The slot is of this template and of no other position or pattern.
    fn is_slot(&self, slot: u16, template: u16, bound: &mut u64) -> bool {
        let is_own = self.body.slots.get(usize::from(slot)) == Some(&template) && *bound >> slot & 1 == 0;
        if is_own {
            *bound |= 1 << slot;
        }
        is_own
    }

    fn is_position(&self, position: &Position, bound: &mut u64) -> bool {
        let Position { template, slot, distinct, when, .. } = position;
        let is_field = |field: &u16| self.field(CellAt { slot: *slot, field: *field }).is_some();
        self.is_slot(*slot, *template, bound) && *when < u16::MAX && distinct.iter().flatten().all(is_field)
    }

    fn is_pattern(&self, pattern: &Pattern, bound: &mut u64) -> bool {
        let Pattern { template, slot, keys, .. } = pattern;
        self.is_slot(*slot, *template, bound)
            && keys.windows(2).all(|pair| pair[0].0 < pair[1].0)
            && keys.iter().all(|&(field, _)| self.field(CellAt { slot: *slot, field }).is_some())
    }

    /// It reads only what is known.
    fn reads_within(&self, program: &Program, known: Known) -> bool {
        let reads = program.reads();
        reads.slots.iter().all(|&slot| self.is_value(slot, known))
            && reads.fields.iter().all(|&(slot, field)| self.is_cell(CellAt { slot, field }, known))
    }

    fn is_cell(&self, cell: CellAt, known: Known) -> bool {
        self.field(cell).is_some() && known.facts >> cell.slot & 1 != 0
    }

    fn is_operand(&self, operand: &Operand, known: Known) -> bool {
        match operand {
            Operand::Cell(cell) => self.is_cell(*cell, known),
            Operand::Value(slot) => self.is_value(*slot, known),
            Operand::Constant(_) => true,
        }
    }

    fn is_conjunct(&self, conjunct: &Conjunct, known: Known) -> bool {
        match &conjunct.kind {
            ConjunctKind::Compare { left, right, .. } => self.is_operand(left, known) && self.is_operand(right, known),
            // The program is evaluated to find the cell's row.
            ConjunctKind::EqualsProgram { cell, program, .. } => {
                self.is_cell(*cell, known) && self.reads_within(program, known.without(cell.slot))
            }
            ConjunctKind::Program(program) => self.reads_within(program, known),
        }
    }

    fn is_step(&self, step: &Step, known: Known) -> bool {
        let is_outer = |pattern: &Pattern| {
            let (outer, inner) = (known.without(pattern.slot), known.with(pattern.slot));
            pattern.keys.iter().all(|(_, operand)| self.is_operand(operand, outer))
                && pattern.tests.iter().all(|test| self.is_conjunct(test, inner))
        };
        step.when < u16::MAX
            && step.kind.pattern().is_none_or(is_outer)
            && match &step.kind {
                StepKind::If(program) | StepKind::Let { program, .. } => self.reads_within(program, known),
                StepKind::Not(_) | StepKind::Exists(_) => true,
                StepKind::Forall { pattern, satisfies } => self.reads_within(satisfies, known.with(pattern.slot)),
                StepKind::Accumulate { pattern, folds, .. } => {
                    folds.iter().all(|fold| self.reads_within(&fold.of, known.with(pattern.slot)))
                }
            }
    }

    fn is_action(&self, action: &Action, matched: Known) -> bool {
        let is_matched = |slot: u16| usize::from(slot) < self.body.slots.len() && matched.facts >> slot & 1 != 0;
        let mut programs_read_matches = true;
        each_emit_program(std::slice::from_ref(action), &mut |program| {
            programs_read_matches &= self.reads_within(program, matched);
        });
        let are_cells = |template: u16, cells: &[CellSource]| {
            let fields = self.template(template).map(|template| template.fields.as_slice()).unwrap_or_default();
            cells.len() == fields.len()
                && cells.iter().zip(fields).all(|(source, field)| self.is_source(source, field, matched))
        };
        let may = |template: u16, allows: fn(&TemplateSchema) -> bool| self.template(template).is_some_and(allows);
        programs_read_matches
            && match action {
                Action::Derive { template, cells } => may(*template, is_derivable) && are_cells(*template, cells),
                Action::Assert { template, cells } => may(*template, is_writable) && are_cells(*template, cells),
                Action::Modify { slot, cells } => {
                    is_matched(*slot)
                        && may(self.body.slots[usize::from(*slot)], is_writable)
                        && cells.iter().all(|(field, source)| {
                            let known = self.field(CellAt { slot: *slot, field: *field });
                            known.is_some_and(|known| self.is_source(source, known, matched))
                        })
                }
                Action::Retract { slot } => is_matched(*slot) && may(self.body.slots[usize::from(*slot)], is_writable),
                Action::Emit(_) | Action::Stop { .. } => true,
            }
    }

    /// Gives a cell of the field's type, or one that is checked when it is made.
    fn is_source(&self, source: &CellSource, field: &FieldSchema, matched: Known) -> bool {
        let is_text = matches!(field.ty.scalar, Scalar::String | Scalar::Enum | Scalar::Bytes);
        match source {
            CellSource::Cell(cell) => {
                self.is_cell(*cell, matched) && self.field(*cell).is_some_and(|from| from.ty == field.ty)
            }
            CellSource::Constant(cell) => !field.ty.list && (!is_text || *cell < self.rules.texts.len() as u64),
            CellSource::Default(constant) => fits(constant, field.ty),
            CellSource::Missing => field.optional,
            CellSource::Program(program) => self.reads_within(program, matched),
        }
    }
}

fn is_derivable(template: &TemplateSchema) -> bool {
    matches!(template.origin, Origin::Derived | Origin::Output)
}

fn is_writable(template: &TemplateSchema) -> bool {
    template.origin == Origin::Input || template.stated
}
