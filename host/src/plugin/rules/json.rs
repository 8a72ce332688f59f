//! Facts as people and logs write them, JSON values by template and row, made into columns. Reads no file and fills in no default.
//!
//! What a row leaves out stays left out: the rule set knows whether it may, and what stands there instead.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::facts::{Column, Facts, Lists, Table, Values};
use super::signature::{Field, Kind, Origin, RulesSignature, Template};
use super::strings::PoolBuilder;

mod time;

use time::{duration, timestamp};

/// Why JSON values are no facts of a rule set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{reason}")]
pub struct FactsJsonError {
    /// Template, row and field, as far as it is known: ends with a colon and a space where it says anything.
    place: String,
    reason: String,
    hint: Option<String>,
}

impl FactsJsonError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: String::new(), reason: reason.into(), hint: Some(hint.into()).filter(|hint| !hint.is_empty()) }
    }

    fn at(self, place: String) -> Self {
        Self { place: format!("{place}: {}", self.place), ..self }
    }
}

impl Facts {
    /// Facts of `{template: [{field: value, ..}, ..]}`.
    ///
    /// An integer is taken for a double, a text for an integer of 64 bits; bytes are base64, timestamps RFC 3339,
    /// durations like `1h30m`, and the doubles that are no numbers `NaN`, `Infinity` and `-Infinity`.
    ///
    /// # Errors
    /// The first template, row and field that does not fit the signature.
    pub fn from_json(facts: &Value, signature: &RulesSignature) -> Result<Self, FactsJsonError> {
        let Value::Object(templates) = facts else {
            let reason = format!("facts are an object of templates, not {}", described(facts));
            return Err(FactsJsonError::new(reason, "write `{template: [{field: value, ..}, ..]}`"));
        };
        let mut pool = PoolBuilder::new();
        let mut tables = Vec::with_capacity(templates.len());
        for (name, rows) in templates {
            tables.push(table(name, rows, signature, &mut pool)?);
        }
        Ok(Self { tables, pool: pool.finish() })
    }
}

fn table(
    name: &str,
    rows: &Value,
    signature: &RulesSignature,
    pool: &mut PoolBuilder,
) -> Result<Table, FactsJsonError> {
    let inputs = || signature.templates.iter().filter(|template| template.origin == Origin::Input);
    let Some((place, template)) = signature.template(name) else {
        let names = inputs().map(|template| template.name.as_str());
        return Err(FactsJsonError::new(format!("there is no template `{name}`"), known(name, names)));
    };
    if template.origin != Origin::Input {
        let names: Vec<String> = inputs().map(|template| format!("`{}`", template.name)).collect();
        let reason = format!("facts of `{name}` are made by rules and cannot be given");
        return Err(FactsJsonError::new(reason, format!("given can be {}", names.join(", "))));
    }
    let Value::Array(rows) = rows else {
        let reason = format!("its rows are a list, not {}", described(rows));
        return Err(FactsJsonError::new(reason, "write `[{field: value, ..}, ..]`").at(format!("`{name}`")));
    };
    let mut columns: Vec<Column> =
        template.fields.iter().map(|field| Column::new(Values::empty(field.kind, field.repeated))).collect();
    for (number, row) in rows.iter().enumerate() {
        let at = |field: Option<&Field>| match field {
            Some(field) => format!("`{name}` row {}, field `{}`", number + 1, field.name),
            None => format!("`{name}` row {}", number + 1),
        };
        let row = fields_of(row, template).map_err(|error| error.at(at(None)))?;
        for (field, column) in template.fields.iter().zip(&mut columns) {
            push(column, field, row.get(&field.name), pool).map_err(|error| error.at(at(Some(field))))?;
        }
    }
    let rows = u32::try_from(rows.len()).map_err(|_| FactsJsonError::new("there are too many rows", ""))?;
    Ok(Table { template: place, rows, columns })
}

/// The fields of a row, all of which the template has.
fn fields_of<'v>(row: &'v Value, template: &Template) -> Result<&'v Map<String, Value>, FactsJsonError> {
    let Value::Object(row) = row else {
        let reason = format!("a row is an object, not {}", described(row));
        return Err(FactsJsonError::new(reason, "write `{field: value, ..}`"));
    };
    let is_known = |name: &&String| template.fields.iter().any(|field| field.name == **name);
    match row.keys().find(|name| !is_known(name)) {
        Some(unknown) => {
            let names = template.fields.iter().map(|field| field.name.as_str());
            Err(FactsJsonError::new(format!("there is no field `{unknown}`"), known(unknown, names)))
        }
        None => Ok(row),
    }
}

/// Appends the value of one row to its column.
fn push(
    column: &mut Column,
    field: &Field,
    value: Option<&Value>,
    pool: &mut PoolBuilder,
) -> Result<(), FactsJsonError> {
    let row = u32::try_from(column.values.rows()).map_err(|_| FactsJsonError::new("there are too many rows", ""))?;
    // Nothing is as good as left out where it may be left out.
    let Some(value) = value.filter(|value| !(value.is_null() && field.optional)) else {
        column.missing.push(row);
        column.values.push_nothing();
        return Ok(());
    };
    if !field.repeated {
        return column.values.push(field, value, pool);
    }
    let Value::Array(elements) = value else {
        let reason = format!("`list<{}>` is wanted, not {}", field.kind.name(), described(value));
        return Err(FactsJsonError::new(reason, "write `[value, ..]`"));
    };
    if let Some(length) = field.length.filter(|&length| length as usize != elements.len()) {
        return Err(FactsJsonError::new(format!("a list of {length} is wanted, this one has {}", elements.len()), ""));
    }
    for (number, element) in elements.iter().enumerate() {
        column.values.push(field, element, pool).map_err(|error| error.at(format!("element {}", number + 1)))?;
    }
    column.values.end_list()
}

impl Values {
    /// Appends a value, or an element of the list that is being made.
    fn push(&mut self, field: &Field, value: &Value, pool: &mut PoolBuilder) -> Result<(), FactsJsonError> {
        match self {
            Self::Booleans(values) | Self::BooleanLists(Lists { elements: values, .. }) => {
                let value = value.as_bool().ok_or_else(|| wrong(field, value, "write true or false"))?;
                values.push(u8::from(value));
            }
            Self::Integers(values) | Self::IntegerLists(Lists { elements: values, .. }) => {
                values.push(integer(field, value)?);
            }
            Self::Doubles(values) | Self::DoubleLists(Lists { elements: values, .. }) => {
                values.push(double(field, value)?);
            }
            Self::Pooled(values) | Self::PooledLists(Lists { elements: values, .. }) => {
                let place = match field.kind {
                    Kind::Blob => pool.intern(&blob(field, value)?),
                    Kind::Symbol => pool.intern(symbol(field, value)?.as_bytes()),
                    _ => pool.intern(value.as_str().ok_or_else(|| wrong(field, value, "put it in quotes"))?.as_bytes()),
                };
                values.push(place.ok_or_else(too_many_texts)?);
            }
        }
        Ok(())
    }

    /// Ends the list of a row.
    fn end_list(&mut self) -> Result<(), FactsJsonError> {
        fn end<T>(lists: &mut Lists<T>) -> Result<(), FactsJsonError> {
            let end = u32::try_from(lists.elements.len());
            lists.ends.push(end.map_err(|_| FactsJsonError::new("its lists hold too many elements", ""))?);
            Ok(())
        }
        match self {
            Self::BooleanLists(lists) => end(lists),
            Self::IntegerLists(lists) => end(lists),
            Self::DoubleLists(lists) => end(lists),
            Self::PooledLists(lists) => end(lists),
            Self::Booleans(_) | Self::Integers(_) | Self::Doubles(_) | Self::Pooled(_) => Ok(()),
        }
    }
}

fn integer(field: &Field, value: &Value) -> Result<i64, FactsJsonError> {
    let text = |hint| value.as_str().ok_or_else(|| wrong(field, value, hint));
    match field.kind {
        Kind::Timestamp => {
            let hint = "write RFC 3339, such as 2026-01-31T12:00:00Z";
            timestamp(text(hint)?).ok_or_else(|| wrong(field, value, hint))
        }
        Kind::Duration => {
            let hint = "write a duration such as 1h30m or 2.5s";
            duration(text(hint)?).ok_or_else(|| wrong(field, value, hint))
        }
        _ => match value {
            Value::Number(number) => {
                number.as_i64().ok_or_else(|| wrong(field, value, "write it without a fraction and within 64 bits"))
            }
            Value::String(text) if is_integer(text) => {
                text.parse().map_err(|_| wrong(field, value, "64 bits do not hold it"))
            }
            _ => Err(wrong(field, value, "")),
        },
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

fn double(field: &Field, value: &Value) -> Result<f64, FactsJsonError> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    };
    let hint = "what is no number is one of the texts NaN, Infinity and -Infinity";
    number.ok_or_else(|| wrong(field, value, if value.is_string() { hint } else { "" }))
}

fn blob(field: &Field, value: &Value) -> Result<Vec<u8>, FactsJsonError> {
    let hint = "bytes are base64 with padding, such as aGk=";
    let bytes = value.as_str().and_then(|text| BASE64.decode(text).ok());
    bytes.ok_or_else(|| wrong(field, value, hint))
}

fn symbol<'v>(field: &Field, value: &'v Value) -> Result<&'v str, FactsJsonError> {
    let text = value.as_str().ok_or_else(|| wrong(field, value, "put it in quotes"))?;
    if field.symbols.iter().any(|symbol| symbol == text) {
        return Ok(text);
    }
    let hint = known(text, field.symbols.iter().map(String::as_str));
    Err(FactsJsonError::new(format!("`{}` is none of its values", shown(text)), hint))
}

fn too_many_texts() -> FactsJsonError {
    FactsJsonError::new("all texts together are larger than 4 GiB", "")
}

fn wrong(field: &Field, value: &Value, hint: &str) -> FactsJsonError {
    FactsJsonError::new(format!("`{}` is wanted, not {}", field.kind.name(), described(value)), hint)
}

/// What a value is, and which, where that is short.
fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text `{}`", shown(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn shown(text: &str) -> String {
    const CHARACTERS_MAX: usize = 40;
    text.chars().take(CHARACTERS_MAX).flat_map(char::escape_debug).collect()
}

/// The name that was probably meant, or all that there are.
fn known<'n>(name: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    const LIKENESS_MIN: f64 = 0.8;
    let likely = names.clone().map(|known| (strsim::jaro_winkler(name, known), known));
    let nearest =
        likely.filter(|(likeness, _)| *likeness >= LIKENESS_MIN).max_by(|one, other| one.0.total_cmp(&other.0));
    match nearest {
        Some((_, nearest)) => format!("did you mean `{nearest}`?"),
        None => format!("there are {}", names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests;
