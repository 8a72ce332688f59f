//! What a rule set takes and gives: its templates with their fields, and the ids of its rules. No facts.

/// The shape of a rule set's facts. Tables name a template, and outcomes a rule, by its place here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesSignature {
    pub name: String,
    pub version: String,
    pub templates: Vec<Template>,
    /// The ids of the rules.
    pub rules: Vec<String>,
}

impl RulesSignature {
    /// The place of a template and the template, by its name.
    pub fn template(&self, name: &str) -> Option<(u32, &Template)> {
        let place = self.templates.iter().position(|template| template.name == name)?;
        Some((u32::try_from(place).ok()?, &self.templates[place]))
    }
}

/// A kind of fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub name: String,
    pub origin: Origin,
    /// Columns are in this order.
    pub fields: Vec<Field>,
}

/// Where facts of a template come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Input,
    Derived,
    /// Derived, and part of the outcome.
    Output,
}

/// One value, or list of values, of each fact of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub kind: Kind,
    /// A list of `kind`.
    pub repeated: bool,
    pub key: bool,
    /// Facts may leave it out.
    pub optional: bool,
    /// The values of a symbol.
    pub symbols: Vec<String>,
    /// The fixed length of a list.
    pub length: Option<u32>,
}

impl Field {
    /// Its type as rule files write it.
    pub fn type_name(&self) -> String {
        let name = self.kind.name();
        if self.repeated { format!("list<{name}>") } else { name.to_owned() }
    }
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Integer,
    Double,
    /// UTF-8.
    Text,
    /// Bytes.
    Blob,
    /// One of the field's `symbols`.
    Symbol,
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    Timestamp,
    /// Nanoseconds.
    Duration,
}

impl Kind {
    /// As rule files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "bool",
            Self::Integer => "int",
            Self::Double => "double",
            Self::Text => "string",
            Self::Blob => "bytes",
            Self::Symbol => "enum",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
        }
    }
}
