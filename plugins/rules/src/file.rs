//! A rule set as its file says it: names unresolved, expressions unparsed, every part with its place. Checks shape, not meaning.

use crate::diagnostic::Span;
use crate::document::Node;
use crate::schema::{Constant, FieldType, Schema};

mod action;
mod condition;
mod expect;
mod facts;
mod field;
pub mod nearest;
mod read;
mod reader;
mod rule;
mod settings;
#[cfg(test)]
mod tests;

pub use read::{canonical_form, parse};
pub use reader::is_identifier;

/// A word of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

/// An expression, or a number or truth value that stands for itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    pub source: Source,
    /// Of the YAML scalar.
    pub span: Span,
    /// The scalar is plain and on one line, so that a byte offset in the text is a column in the file: `span.column + n`.
    /// Quoted scalars without escapes count from behind the quote.
    pub column_of_text: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Cel(String),
    Bool(bool),
    Int(i64),
    Double(f64),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    pub template: Name,
    pub variable: Name,
    pub filter: Option<Expression>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldKind {
    Sum,
    Min,
    Max,
    Avg,
    Collect,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    pub kind: FoldKind,
    pub of: Expression,
    pub name: Name,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub kind: ConditionKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ConditionKind {
    Match { pattern: Pattern, distinct: Option<Vec<Name>> },
    Not(Pattern),
    Exists(Pattern),
    Forall { pattern: Pattern, satisfies: Expression },
    Accumulate { pattern: Pattern, count: Option<Name>, folds: Vec<Fold> },
    Any(Vec<Vec<Condition>>),
    If(Expression),
    Let(Vec<(Name, Expression)>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    pub kind: ActionKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ActionKind {
    Derive {
        template: Name,
        fields: Vec<(Name, FieldValue)>,
    },
    Assert {
        template: Name,
        fields: Vec<(Name, FieldValue)>,
    },
    Modify {
        variable: Name,
        fields: Vec<(Name, FieldValue)>,
    },
    Retract {
        variable: Name,
    },
    Emit(Emit),
    /// `true`: all; else the phase.
    Stop {
        all: bool,
    },
}

/// The value of a field in an action: one expression, or a YAML list of them.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    One(Expression),
    List(Vec<Expression>, Span),
}

/// The `data` of a decision: JSON whose leaves are expressions. Keys are sorted, since their order means nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum DataValue {
    Null,
    One(Expression),
    List(Vec<DataValue>),
    Map(Vec<(String, DataValue)>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Emit {
    pub decision: Name,
    pub code: Name,
    pub subject: Option<Expression>,
    /// Text with `{expression}` holes, as written.
    pub message: Option<Name>,
    /// Where the text of the message begins, as in `Expression::column_of_text`.
    pub message_column: Option<u32>,
    pub data: Option<DataValue>,
    pub sticky: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub id: Name,
    pub phase: Option<Name>,
    pub salience: i64,
    pub when: Vec<Condition>,
    pub then: Vec<Action>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Combine {
    #[default]
    All,
    First,
    MostSevere,
    Unique,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decisions {
    pub combine: Combine,
    /// Most severe first.
    pub order: Vec<String>,
    /// Decision and code.
    pub default: Option<(String, String)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    pub name: String,
    pub ty: FieldType,
    pub default: Constant,
    pub min: Option<Constant>,
    pub max: Option<Constant>,
    /// The values of an enum, or those allowed.
    pub values: Vec<Constant>,
    /// Clients may set it for a request.
    pub request: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    pub work_max: u64,
    pub firings_max: u64,
    pub firings_per_rule_max: u64,
    pub facts_max: u64,
    pub depth_max: u64,
    /// None: the memory cap less 8 MiB.
    pub bytes_max: Option<u64>,
    /// Decision and code of `on_limit: decide`.
    pub decide: Option<(String, String)>,
    /// The keys of the limits that the file sets.
    pub set: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TraceLevel {
    #[default]
    Off,
    Decisions,
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    pub level: TraceLevel,
    /// Events kept; the oldest go first.
    pub capacity: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RuleFile {
    pub name: Name,
    pub version: Name,
    pub description: Option<String>,
    pub schema: Schema,
    pub params: Vec<Param>,
    /// Rows of each table, in the order of the tables among `schema.templates`; row spans beside them.
    pub tables: Vec<Vec<(Vec<Constant>, Span)>>,
    pub phases: Vec<Name>,
    pub decisions: Decisions,
    pub limits: Limits,
    pub trace: Trace,
    pub rules: Vec<Rule>,
    pub tests: Vec<Test>,
    /// SHA-256 of the canonical form.
    pub digest: [u8; 32],
}

/// A test of the file; its rows are read against the schema when it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    pub name: Name,
    /// Mapping of template to rows.
    pub given: Option<Node>,
    pub params: Option<Node>,
    pub steps: Vec<Step>,
    pub expect: Expect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    Assert,
    Retract,
    Modify,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub parts: Vec<(StepKind, Node)>,
}

/// What a test expects, still as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect {
    pub facts: Option<Node>,
    pub absent: Option<Node>,
    pub exactly: Option<Node>,
    pub decision: Option<Node>,
    pub decisions: Option<Node>,
    pub fired: Option<Node>,
    pub why: Option<Node>,
}
