//! Queries: `template(field=value, ...)` and `decision(code=..., subject=...)`. Reads them, looks for nothing.

use super::ExplainError;
use crate::diagnostic::Diagnostic;
use crate::document::{self, Data, Node};
use crate::file::nearest;
use crate::rows::{Row, read_value};
use crate::schema::{FieldSchema, Scalar, Schema};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Query {
    Fact(FactQuery),
    Decision(DecisionQuery),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct FactQuery {
    pub(super) template: u16,
    /// The fields that it names.
    pub(super) row: Row,
    /// The number behind `#`.
    pub(super) version: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DecisionQuery {
    pub(super) decision: Option<String>,
    pub(super) code: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) message: Option<String>,
}

const SYNTAX: &str = "write template(field=value, ...) or decision(code=..., subject=...)";

/// A value as it is written.
struct Written {
    text: String,
    is_quoted: bool,
}

pub(super) fn parse(text: &str, schema: &Schema) -> Result<Query, ExplainError> {
    let (name, entries, version) = split(text)?;
    if name == "decision" {
        return decision(entries).map(Query::Decision);
    }
    let Some(place) = schema.template(&name) else {
        let mut names: Vec<&str> = schema.templates.iter().map(|template| template.name.as_str()).collect();
        names.push("decision");
        return Err(ExplainError::new(format!("there is no template `{name}`"), nearest::hint(&name, &names)));
    };
    let template = &schema.templates[place];
    let mut row: Row = vec![None; template.fields.len()];
    for (field, written) in entries {
        let Some(at) = template.field(&field) else {
            let names: Vec<&str> = template.fields.iter().map(|field| field.name.as_str()).collect();
            let message = format!("`{name}` has no field `{field}`");
            return Err(ExplainError::new(message, nearest::hint(&field, &names)));
        };
        row[at] = Some(value(&written, &template.fields[at]).map_err(|finding| {
            let hint = finding.hint.unwrap_or_else(|| SYNTAX.to_owned());
            ExplainError::new(finding.message, hint)
        })?);
    }
    Ok(Query::Fact(FactQuery { template: place as u16, row, version }))
}

fn decision(entries: Vec<(String, Written)>) -> Result<DecisionQuery, ExplainError> {
    let mut query = DecisionQuery::default();
    for (field, Written { text, .. }) in entries {
        let place = match field.as_str() {
            "decision" => &mut query.decision,
            "code" => &mut query.code,
            "subject" => &mut query.subject,
            "message" => &mut query.message,
            _ => {
                let hint = nearest::hint(&field, &["decision", "code", "subject", "message"]);
                return Err(ExplainError::new(format!("a decision has no `{field}` to ask for"), hint));
            }
        };
        *place = Some(text);
    }
    Ok(query)
}

fn value(written: &Written, field: &FieldSchema) -> Result<crate::schema::Constant, Box<Diagnostic>> {
    let is_text =
        matches!(field.ty.scalar, Scalar::String | Scalar::Enum | Scalar::Bytes | Scalar::Timestamp | Scalar::Duration);
    let text = Node { data: Data::String(written.text.clone()), span: Default::default(), text_column: None };
    let node = match written.is_quoted || (is_text && !field.ty.list) {
        true => text,
        false => document::parse(written.text.as_bytes()).unwrap_or(text),
    };
    read_value(&node, field)
}

type Parts = (String, Vec<(String, Written)>, Option<u32>);

/// The name, the fields and the version.
fn split(text: &str) -> Result<Parts, ExplainError> {
    let broken = |reason: &str| ExplainError::new(format!("`{text}` is no query: {reason}"), SYNTAX);
    let text_of = text.trim();
    let Some((name, rest)) = text_of.split_once('(') else {
        // A bare name asks for any.
        let is_name = crate::file::is_identifier(text_of);
        return if is_name { Ok((text_of.to_owned(), Vec::new(), None)) } else { Err(broken("there is no `(`")) };
    };
    let mut cursor = Cursor { rest };
    let mut entries = Vec::new();
    cursor.skip_blanks();
    while !cursor.takes(')') {
        let Some((field, rest)) = cursor.rest.split_once('=') else { return Err(broken("a field has no `=`")) };
        cursor.rest = rest;
        cursor.skip_blanks();
        let value = cursor.value().ok_or_else(|| broken("a value does not end"))?;
        entries.push((field.trim().to_owned(), value));
        cursor.skip_blanks();
        if !cursor.takes(',') && !cursor.rest.starts_with(')') {
            return Err(broken("`,` or `)` is missing"));
        }
        cursor.skip_blanks();
    }
    let version = match cursor.rest.trim() {
        "" => None,
        rest => match rest.strip_prefix('#').and_then(|number| number.parse().ok()) {
            Some(number) => Some(number),
            None => return Err(broken("something stands behind `)`")),
        },
    };
    Ok((name.trim().to_owned(), entries, version))
}

struct Cursor<'t> {
    rest: &'t str,
}

impl Cursor<'_> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, letter: char) -> bool {
        let rest = self.rest.strip_prefix(letter);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Option<Written> {
        for wrapper in ["timestamp(", "duration("] {
            if let Some(inner) = self.rest.strip_prefix(wrapper) {
                self.rest = inner.trim_start();
                let value = self.value()?;
                self.skip_blanks();
                return self.takes(')').then_some(value);
            }
        }
        match self.rest.chars().next()? {
            quote @ ('\'' | '"') => self.quoted(quote),
            _ => self.plain(),
        }
    }

    fn quoted(&mut self, quote: char) -> Option<Written> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => text.push(match letters.next()?.1 {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                }),
                letter if letter == quote => {
                    self.rest = &self.rest[at + quote.len_utf8()..];
                    return Some(Written { text, is_quoted: true });
                }
                letter => text.push(letter),
            }
        }
        None
    }

    /// Up to the comma or bracket that ends it.
    fn plain(&mut self) -> Option<Written> {
        let mut depth = 0_usize;
        let end = self.rest.char_indices().find(|&(_, letter)| {
            let ends = depth == 0 && matches!(letter, ',' | ')');
            match letter {
                '[' | '(' => depth += 1,
                ']' | ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            ends
        });
        let (text, rest) = self.rest.split_at(end?.0);
        self.rest = rest;
        Some(Written { text: text.trim().to_owned(), is_quoted: false })
    }
}
