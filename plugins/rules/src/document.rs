//! YAML (1.2 core schema) and JSON as one tree that remembers where everything stood. Knows no rule set.

use std::cmp::Ordering;

use crate::diagnostic::{Diagnostic, Span};

mod build;
mod fast;
mod scalar;
#[cfg(test)]
mod tests;

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub data: Data,
    pub span: Span,
    /// The column of the first character of a text whose characters stand in the file one by one on one line.
    /// None for other nodes, for texts with escapes and for texts over several lines.
    pub text_column: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer that 64 bits do not hold, as written.
    BigInt(String),
    Float(f64),
    String(String),
    Sequence(Vec<Node>),
    /// In the order of the file; keys are texts.
    Mapping(Vec<(Key, Node)>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub name: String,
    pub span: Span,
}

/// A larger source is refused.
pub const SOURCE_BYTES_MAX: usize = 16 << 20;

/// A source that nests deeper is refused.
pub const DEPTH_MAX: usize = 64;

/// So many findings are enough for one reading.
pub const FINDINGS_MAX: usize = 100;

/// Reads one document.
///
/// # Errors
/// What is wrong with it, in the order of the file.
pub fn parse(source: &[u8]) -> Result<Node, Vec<Diagnostic>> {
    let text = text_of(source).map_err(|finding| vec![*finding])?;
    match fast::read(text) {
        Some(root) => Ok(root),
        None => build::build(text),
    }
}

/// The source as text, without a byte-order mark.
fn text_of(source: &[u8]) -> Result<&str, Box<Diagnostic>> {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("the file has {} bytes, more than {SOURCE_BYTES_MAX}", source.len());
        return Err(Diagnostic::error("too-large", message, place_of("", 0)).into());
    }
    let text = std::str::from_utf8(source).map_err(|error| {
        let valid = std::str::from_utf8(&source[..error.valid_up_to()]).unwrap_or_default();
        let finding = Diagnostic::error("not-utf8", "the file is not UTF-8 text", place_of(valid, valid.len()));
        Box::new(finding.with_hint("save it as UTF-8"))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_control = |byte: u8| (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) || byte == 0x7f;
    match text.bytes().position(is_control) {
        None => Ok(text),
        Some(at) => {
            let message = format!("the file holds the control character U+{:04X}", text.as_bytes()[at]);
            Err(Diagnostic::error("control-character", message, place_of(text, at))
                .with_hint("write it as an escape in a double-quoted text, such as \"\\u0007\"")
                .into())
        }
    }
}

/// The place of the character at a byte offset.
fn place_of(text: &str, offset: usize) -> Span {
    let before = &text[..offset];
    let line = before.bytes().filter(|&byte| byte == b'\n').count() as u32 + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u32 + 1;
    Span { line, column, end_line: line, end_column: column + 1 }
}

impl Data {
    /// For messages: what this is, with its article.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::BigInt(_) => "an integer",
            Self::Float(_) => "a number",
            Self::String(_) => "a text",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }
}

impl Node {
    /// The value of a key of a mapping.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Data::Mapping(entries) = &self.data else { return None };
        entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
    }

    /// The JSON pointer (RFC 6901) of the innermost part that holds the place where `span` begins.
    pub fn pointer_to(&self, span: Span) -> String {
        let mut pointer = String::new();
        let mut node = self;
        while let Some((step, inner)) = node.step_to(span) {
            pointer.push('/');
            pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
            match inner {
                Some(inner) => node = inner,
                None => break,
            }
        }
        pointer
    }

    /// The part of this one that holds a place: its name, and itself where the place is not in its key.
    fn step_to(&self, span: Span) -> Option<(String, Option<&Self>)> {
        match &self.data {
            Data::Sequence(items) => {
                let at = items.iter().position(|item| item.span.holds(span))?;
                Some((at.to_string(), Some(&items[at])))
            }
            Data::Mapping(entries) => entries.iter().find_map(|(key, value)| {
                let inner = value.span.holds(span).then_some(value);
                (inner.is_some() || key.span.holds(span)).then(|| (key.name.clone(), inner))
            }),
            _ => None,
        }
    }
}

impl Span {
    /// The place where `other` begins lies in this one. A part that is all of this one is within it, not the same.
    fn holds(self, other: Self) -> bool {
        let at = (other.line, other.column);
        let begins = (self.line, self.column).cmp(&at);
        let same_begin_but_wider =
            begins == Ordering::Equal && (other.end_line, other.end_column) > (self.end_line, self.end_column);
        begins != Ordering::Greater && at < (self.end_line, self.end_column) && !same_begin_but_wider
    }
}
