//! The templates of a rule set as every part sees them: fields, types, keys. Tables are templates whose facts never change.

use crate::diagnostic::Span;

/// So many fields may a template with optional ones have: a bit of one word says that a field is left out.
pub const FIELDS_BESIDE_OPTIONAL_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    Bool,
    Int,
    Double,
    String,
    Bytes,
    /// A text of `FieldSchema::values`.
    Enum,
    /// Nanoseconds since 1970-01-01T00:00:00Z, as i64.
    Timestamp,
    /// Nanoseconds, as i64.
    Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldType {
    pub scalar: Scalar,
    /// A list of `scalar`.
    pub list: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Input,
    Derived,
    Output,
    Table,
}

/// A value as it stands in a file or in JSON, checked against a field's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    Bool(bool),
    /// Also timestamps and durations, in nanoseconds.
    Int(i64),
    Double(f64),
    /// Also enum values.
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Constant>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct FieldSchema {
    pub name: String,
    pub span: Span,
    pub ty: FieldType,
    pub min: Option<Constant>,
    pub max: Option<Constant>,
    /// The values of an enum.
    pub values: Vec<String>,
    /// The fixed length of a list.
    pub len: Option<u32>,
    /// NaN may stand in a double (or in a list of doubles).
    pub nan: bool,
    pub default: Option<Constant>,
    pub optional: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TemplateSchema {
    pub name: String,
    pub span: Span,
    pub origin: Origin,
    /// Agenda rules may write it although it is derived or output.
    pub stated: bool,
    pub fields: Vec<FieldSchema>,
    /// Places of the key fields, in the order of `key`; all fields where the file names none; empty for a singleton.
    pub key: Vec<u16>,
    /// The file names the key (`key: []` too).
    pub keyed: bool,
}

impl TemplateSchema {
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Written by `derive` rules only.
    pub fn is_logical(&self) -> bool {
        matches!(self.origin, Origin::Derived | Origin::Output) && !self.stated
    }
}

/// Templates of `facts` as declared, then `tables` as declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    pub templates: Vec<TemplateSchema>,
}

impl Schema {
    pub fn template(&self, name: &str) -> Option<usize> {
        self.templates.iter().position(|template| template.name == name)
    }
}

impl FieldType {
    /// For messages: what a value of this type is, with its article.
    pub fn described(self) -> &'static str {
        match (self.scalar, self.list) {
            (Scalar::Bool, false) => "a bool",
            (Scalar::Int, false) => "an int",
            (Scalar::Double, false) => "a double",
            (Scalar::String, false) => "a string",
            (Scalar::Bytes, false) => "bytes",
            (Scalar::Enum, false) => "an enum",
            (Scalar::Timestamp, false) => "a timestamp",
            (Scalar::Duration, false) => "a duration",
            (Scalar::Bool, true) => "a list<bool>",
            (Scalar::Int, true) => "a list<int>",
            (Scalar::Double, true) => "a list<double>",
            (Scalar::String, true) => "a list<string>",
            (Scalar::Bytes, true) => "a list<bytes>",
            (Scalar::Enum, true) => "a list<enum>",
            (Scalar::Timestamp, true) => "a list<timestamp>",
            (Scalar::Duration, true) => "a list<duration>",
        }
    }
}
