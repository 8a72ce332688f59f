//! What a rule set means: names resolved to slots, expressions typed and compiled, rules flattened into bodies.
//!
//! Plain data, made once from a file (`model/resolve.rs`) and shared by all runs. Knows no fact.

use std::cmp::Ordering;

use crate::cel::Program;
use crate::file::FoldKind;
use crate::schema::{Constant, FieldType, Schema};
use crate::value::Text;

mod actions;
mod alpha;
mod arrange;
mod constants;
mod cycles;
mod expressions;
mod kinds;
mod reads;
#[expect(clippy::too_many_arguments, reason = "a condition, its place, and what is being put together")]
mod resolve;
mod scope;
mod slots;
mod strata;
#[cfg(test)]
mod tests;

pub use crate::file::{Decisions, Limits, Param, Trace};
pub use alpha::{AlphaGroup, Alphas, Listener, ListenerKind};
pub use expressions::heap_cell;
pub(crate) use expressions::{comparison, hole_end, span_of, split, value_bit};
pub(crate) use reads::words as read_words;
pub use resolve::resolve;
pub use strata::Stratum;

/// A rule set, ready to be planned and run.
#[derive(Debug)]
pub struct RuleSet {
    pub name: String,
    pub version: String,
    /// SHA-256 of the canonical form.
    pub digest: [u8; 32],
    pub schema: Schema,
    pub params: Vec<Param>,
    /// Rows of the tables, by place of the template.
    pub table_rows: Vec<Vec<Vec<Constant>>>,
    pub phases: Vec<String>,
    pub decisions: Decisions,
    pub limits: Limits,
    pub trace: Trace,
    pub rules: Vec<Rule>,
    /// Texts of constants; a run begins with a copy.
    pub texts: crate::heap::Texts,

    // What follows is worked out from the rules (`model/arrange.rs`).
    /// Agenda rules in the order in which they are asked: phase, salience, place in the file.
    pub agenda: Vec<u32>,
    /// Where each phase ends in `agenda`.
    pub phase_ends: Vec<u32>,
    pub strata: Vec<Stratum>,
    pub alphas: Alphas,
    /// For each template: some derive rule writes it.
    pub derived: Vec<bool>,
}

#[derive(Debug)]
pub struct Rule {
    pub id: String,
    /// All its actions are `derive`.
    pub is_derive: bool,
    pub phase: u32,
    pub salience: i64,
    /// Its decisions go when its match goes.
    pub is_logical: bool,
    /// Alternatives; more than one where `any` stands in `when`.
    pub bodies: Vec<Body>,
    /// So many positions, the first ones of every body, are part of an activation.
    pub exported: u32,
    /// Value slots (behind those of the parameters) that are part of an activation, in the order of `when`.
    pub identity: Vec<u16>,
    /// Value slots that the rule uses, those of the parameters included.
    pub values: u16,
    pub actions: Vec<Action>,
    /// For each exported position, the fields that the rule reads, as the bits of equally many words.
    pub reads: Vec<u64>,
    /// Names of the exported positions, then of the identity's values.
    pub names: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Body {
    /// Exported ones first, in the order of `when`; then those that only have to exist.
    pub positions: Vec<Position>,
    /// Fact slots, those of inner patterns too: the template of each.
    pub slots: Vec<u16>,
    pub conjuncts: Vec<Conjunct>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub struct Position {
    pub template: u16,
    /// Its fact slot.
    pub slot: u16,
    /// One match for each distinct value of these fields.
    pub distinct: Option<Vec<u16>>,
    /// Place in the rule's `when`.
    pub when: u16,
    pub variable: String,
    /// Among `RuleSet::alphas`.
    pub alpha: u32,
}

/// A cell of a fact that is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellAt {
    pub slot: u16,
    pub field: u16,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operand {
    Cell(CellAt),
    /// A value slot, as a cell.
    Value(u16),
    Constant(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// With its sides exchanged.
    pub fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }

    /// Whether it is true of two values in this order.
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order == Ordering::Equal,
            Self::NotEqual => order != Ordering::Equal,
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
        }
    }
}

/// How two cells are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// Equal bits are equal values: texts, truth values.
    Bits,
    Int,
    Double,
}

/// One top-level part of a `where`.
#[derive(Debug)]
pub struct Conjunct {
    /// Fact slots that it reads.
    pub facts: u64,
    /// Value slots that it reads, those of the parameters left out.
    pub values: u64,
    pub kind: ConjunctKind,
    /// The position or the inner slot whose `where` it stands in.
    pub slot: u16,
}

#[derive(Debug)]
pub enum ConjunctKind {
    /// Cannot fail. `is_key`: an equality that an index answers.
    Compare {
        left: Operand,
        comparison: Comparison,
        right: Operand,
        kind: CellKind,
    },
    /// A field equals a value of other slots; an index answers it.
    EqualsProgram {
        cell: CellAt,
        program: Box<Program>,
        ty: FieldType,
    },
    Program(Box<Program>),
}

#[derive(Debug)]
pub struct Step {
    pub kind: StepKind,
    pub facts: u64,
    pub values: u64,
    /// Value slots that it sets.
    pub gives: u64,
    pub when: u16,
}

#[derive(Debug)]
pub enum StepKind {
    If(Program),
    Let { slot: u16, program: Program },
    Not(Pattern),
    Exists(Pattern),
    Forall { pattern: Pattern, satisfies: Program },
    Accumulate { pattern: Pattern, count: Option<u16>, folds: Vec<Fold> },
}

impl StepKind {
    pub(crate) fn pattern_mut(&mut self) -> Option<&mut Pattern> {
        match self {
            Self::If(_) | Self::Let { .. } => None,
            Self::Not(pattern)
            | Self::Exists(pattern)
            | Self::Forall { pattern, .. }
            | Self::Accumulate { pattern, .. } => Some(pattern),
        }
    }

    pub fn pattern(&self) -> Option<&Pattern> {
        match self {
            Self::If(_) | Self::Let { .. } => None,
            Self::Not(pattern)
            | Self::Exists(pattern)
            | Self::Forall { pattern, .. }
            | Self::Accumulate { pattern, .. } => Some(pattern),
        }
    }
}

/// A pattern inside `not`, `exists`, `forall` or `accumulate`.
#[derive(Debug)]
pub struct Pattern {
    pub template: u16,
    /// Its fact slot.
    pub slot: u16,
    pub variable: String,
    /// Equalities that an index answers: the field, and what it equals. Ascending by field.
    pub keys: Vec<(u16, Operand)>,
    /// What remains to be tested on each row.
    pub tests: Vec<Conjunct>,
    pub alpha: u32,
    /// All that it asks for, where that is one inequality: the fact with the least or the most answers for all.
    pub bound: Option<Bound>,
}

/// A cell of a pattern's own fact compared to something known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    pub field: u16,
    /// An inequality, the fact's cell on its left.
    pub comparison: Comparison,
    pub right: Operand,
    pub kind: CellKind,
}

impl Bound {
    /// The fact with the most in the field fulfils it if any does; else the one with the least.
    pub fn asks_for_most(&self) -> bool {
        matches!(self.comparison, Comparison::Greater | Comparison::GreaterOrEqual)
    }

    /// That of `pattern`, if there is one.
    fn of(pattern: &Pattern) -> Option<Self> {
        let ([], [Conjunct { kind, .. }]) = (pattern.keys.as_slice(), pattern.tests.as_slice()) else { return None };
        let ConjunctKind::Compare { left, comparison, right, kind } = *kind else { return None };
        let own = |operand: Operand| match operand {
            Operand::Cell(cell) if cell.slot == pattern.slot => Some(cell.field),
            _ => None,
        };
        let turned = match comparison {
            Comparison::Equal | Comparison::NotEqual => return None,
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        };
        match (own(left), own(right)) {
            (Some(field), None) => Some(Self { field, comparison, right, kind }),
            (None, Some(field)) => Some(Self { field, comparison: turned, right: left, kind }),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub struct Fold {
    pub kind: FoldKind,
    pub of: Program,
    pub ty: FieldType,
    pub slot: u16,
}

/// Where the value of a field comes from.
#[derive(Debug)]
pub enum CellSource {
    /// A copy of a cell of the same type, which needs no check.
    Cell(CellAt),
    Constant(u64),
    /// A default that is a list, or another that is not a cell yet.
    Default(Constant),
    Missing,
    Program(Box<Program>),
}

#[derive(Debug)]
pub enum Action {
    Derive { template: u16, cells: Vec<CellSource> },
    Assert { template: u16, cells: Vec<CellSource> },
    Modify { slot: u16, cells: Vec<(u16, CellSource)> },
    Retract { slot: u16 },
    Emit(Box<Emit>),
    Stop { all: bool },
}

#[derive(Debug)]
pub struct Emit {
    pub decision: Text,
    pub code: Text,
    pub subject: Option<Program>,
    pub message: Option<Vec<Piece>>,
    pub data: Option<Data>,
}

/// A piece of a message.
#[derive(Debug)]
pub enum Piece {
    Text(String),
    Hole(Program),
}

#[derive(Debug)]
pub enum Data {
    Null,
    Value(Program),
    List(Vec<Data>),
    Map(Vec<(String, Data)>),
}

/// Calls `each` for every source of a cell in actions.
pub(crate) fn each_source<'a>(actions: &'a [Action], each: &mut impl FnMut(&'a CellSource)) {
    for action in actions {
        match action {
            Action::Derive { cells, .. } | Action::Assert { cells, .. } => cells.iter().for_each(&mut *each),
            Action::Modify { cells, .. } => cells.iter().for_each(|(_, source)| each(source)),
            Action::Retract { .. } | Action::Emit(_) | Action::Stop { .. } => {}
        }
    }
}

/// Calls `each` for every program in what actions emit.
pub(crate) fn each_emit_program<'a>(actions: &'a [Action], each: &mut impl FnMut(&'a Program)) {
    for action in actions {
        let Action::Emit(emit) = action else { continue };
        emit.subject.iter().for_each(&mut *each);
        for piece in emit.message.iter().flatten() {
            if let Piece::Hole(program) = piece {
                each(program);
            }
        }
        if let Some(data) = &emit.data {
            each_data_program(data, each);
        }
    }
}

fn each_data_program<'a>(data: &'a Data, each: &mut impl FnMut(&'a Program)) {
    match data {
        Data::Null => {}
        Data::Value(program) => each(program),
        Data::List(items) => items.iter().for_each(|item| each_data_program(item, each)),
        Data::Map(entries) => entries.iter().for_each(|(_, item)| each_data_program(item, each)),
    }
}

/// What the recursive stratum of a derive rule derives; none where the rule is not in one.
pub(crate) fn strata_heads(rules: &RuleSet, rule: usize) -> Option<&[u16]> {
    let mut strata = rules.strata.iter().filter(|stratum| stratum.is_recursive);
    strata.find(|stratum| stratum.rules.contains(&(rule as u32))).map(|stratum| stratum.heads.as_slice())
}

impl RuleSet {
    /// Facts of the template are stamped: its rows lie in the order of their stamps.
    pub fn is_stamped(&self, template: u16) -> bool {
        !self.derived[template as usize]
            && self.schema.templates[template as usize].origin != crate::schema::Origin::Table
    }

    /// Rules both derive and state facts of the template.
    pub fn is_mixed(&self, template: usize) -> bool {
        self.derived[template] && self.schema.templates[template].stated
    }
}
