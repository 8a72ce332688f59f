//! Checks a document against a JSON Schema and says what is wrong in words for who wrote the document. Makes no schema.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::document::{Diagnostic, Document, join, suggest};

/// A schema that documents can be checked against.
pub struct Checker {
    schema: Value,
    validator: Validator,
}

impl Checker {
    /// # Errors
    /// If `schema` is no JSON Schema.
    pub fn new(schema: Value) -> Result<Self, String> {
        let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string())?;
        Ok(Self { schema, validator })
    }

    /// Everything that is wrong, in the order of the document.
    pub fn check(&self, document: &Document) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for error in self.validator.iter_errors(&document.value) {
            self.explain(document, &error, &mut found);
        }
        found.sort_by_key(|diagnostic: &Diagnostic| diagnostic.position);
        found.dedup();
        found
    }

    fn explain(&self, document: &Document, error: &ValidationError<'_>, found: &mut Vec<Diagnostic>) {
        let path = error.instance_path().as_str();
        let instance = error.instance().as_ref();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.properties(error);
                for key in unexpected {
                    let path = join(path, key);
                    let hint = suggest(key, known.iter().map(String::as_str));
                    let mut diagnostic =
                        document.diagnostic("unknown-key", &path, format!("unknown key `{key}`"), hint);
                    diagnostic.position = document.key_position(&path);
                    found.push(diagnostic);
                }
            }
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                // Of several forms, the one that was meant is the one of the right type, and then of the right keys.
                let is_right_type = |branch: &&Vec<ValidationError<'static>>| {
                    !branch.iter().any(|error| {
                        matches!(error.kind(), ValidationErrorKind::Type { .. })
                            && error.instance_path().as_str() == path
                    })
                };
                let forms: Vec<_> = context.iter().filter(is_right_type).collect();
                match forms[..] {
                    [] => found.push(document.diagnostic(
                        "wrong-type",
                        path,
                        format!("{} does not belong here", describe(instance)),
                        format!("write {}", expected_types(context)),
                    )),
                    [only] => only.iter().for_each(|error| self.explain(document, error, found)),
                    _ => match forms.iter().find(|form| missing_key(form, path).is_none()) {
                        Some(form) => form.iter().for_each(|error| self.explain(document, error, found)),
                        None => {
                            let keys: Vec<&str> = forms.iter().filter_map(|form| missing_key(form, path)).collect();
                            found.push(none_of(document, error, &keys));
                        }
                    },
                }
            }
            _ => found.push(plain(document, error)),
        }
    }

    /// The keys of the schema beside the `additionalProperties` that was broken.
    fn properties(&self, error: &ValidationError<'_>) -> Vec<String> {
        let pointer = error.schema_path().as_str();
        let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.schema
            .pointer(parent)
            .and_then(|schema| schema.get("properties"))
            .and_then(Value::as_object)
            .map(|properties| properties.keys().cloned().collect())
            .unwrap_or_default()
    }
}

/// The key that a form asks for and the value does not have.
fn missing_key<'a>(form: &'a [ValidationError<'static>], path: &str) -> Option<&'a str> {
    form.iter().find_map(|error| match error.kind() {
        ValidationErrorKind::Required { property } if error.instance_path().as_str() == path => property.as_str(),
        _ => None,
    })
}

/// A mapping that has none of the keys that tell its forms apart.
fn none_of(document: &Document, error: &ValidationError<'_>, keys: &[&str]) -> Diagnostic {
    let path = error.instance_path().as_str();
    let written = error.instance().as_object().and_then(|members| members.keys().next());
    let Some(key) = written else {
        let hint = suggest("", keys.iter().copied());
        return document.diagnostic("missing-key", path, format!("`{}` is empty", label(path)), hint);
    };
    let path = join(path, key);
    let hint = suggest(key, keys.iter().copied());
    let mut diagnostic = document.diagnostic("unknown-key", &path, format!("unknown key `{key}`"), hint);
    diagnostic.position = document.key_position(&path);
    diagnostic
}

/// What is wrong with one value by itself.
fn plain(document: &Document, error: &ValidationError<'_>) -> Diagnostic {
    let path = error.instance_path().as_str();
    let instance = error.instance().as_ref();
    let key = label(path);
    let (code, message, hint) = match error.kind() {
        ValidationErrorKind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            let place = if path.is_empty() { "the file".to_owned() } else { format!("`{key}`") };
            ("missing-key", format!("{place} has no `{property}`"), format!("add `{property}:`"))
        }
        ValidationErrorKind::Type { kind } => {
            let message = format!("`{key}` is {}, must be {}", describe(instance), type_names(kind));
            let is_text = type_names(kind) == "text" && !instance.is_array() && !instance.is_object();
            let hint =
                if is_text { format!("quote it: \"{instance}\"") } else { format!("write {}", type_names(kind)) };
            ("wrong-type", message, hint)
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<_> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let text = instance.as_str().unwrap_or_default();
            ("wrong-value", format!("`{key}` is {}", describe(instance)), suggest(text, options.iter().copied()))
        }
        ValidationErrorKind::Constant { expected_value } => {
            ("wrong-value", format!("`{key}` is {}", describe(instance)), format!("write `{expected_value}`"))
        }
        ValidationErrorKind::Minimum { limit } => {
            ("out-of-range", format!("`{key}` is {instance}"), format!("must be at least {limit}"))
        }
        ValidationErrorKind::Maximum { limit } => {
            ("out-of-range", format!("`{key}` is {instance}"), format!("must be at most {limit}"))
        }
        ValidationErrorKind::MinItems { limit } | ValidationErrorKind::MinProperties { limit } => {
            ("too-few", format!("`{key}` has too few entries"), format!("must be at least {limit}"))
        }
        ValidationErrorKind::MaxItems { limit } | ValidationErrorKind::MaxProperties { limit } => {
            ("too-many", format!("`{key}` has too many entries"), format!("must be at most {limit}"))
        }
        ValidationErrorKind::Pattern { pattern } => {
            ("wrong-value", format!("`{key}` is {}", describe(instance)), format!("must match {pattern}"))
        }
        _ => ("wrong-value", error.to_string(), "see the JSON Schema of this kind of file".to_owned()),
    };
    document.diagnostic(code, path, message, hint)
}

/// How a part is called in a message: `steps[1]` or `shape`.
fn label(path: &str) -> String {
    let (parent, key) = path.rsplit_once('/').unwrap_or_default();
    if !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit()) && !parent.is_empty() {
        return format!("{}[{key}]", label(parent));
    }
    key.replace("~1", "/").replace("~0", "~")
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "empty".to_owned(),
        Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
        Value::String(text) => {
            format!("`{}`", text.chars().take(80).flat_map(char::escape_default).collect::<String>())
        }
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

fn type_names(kind: &TypeKind) -> String {
    let words = |name: &str| match name {
        "object" => "a mapping".to_owned(),
        "array" => "a list".to_owned(),
        "string" => "text".to_owned(),
        "boolean" => "true or false".to_owned(),
        "integer" => "a whole number".to_owned(),
        "number" => "a number".to_owned(),
        other => other.to_owned(),
    };
    match kind {
        TypeKind::Single(one) => words(one.as_str()),
        TypeKind::Multiple(several) => {
            let names: Vec<_> =
                several.iter().map(|one| one.as_str()).filter(|&name| name != "null").map(words).collect();
            names.join(" or ")
        }
    }
}

fn expected_types(context: &[Vec<ValidationError<'static>>]) -> String {
    let mut names: Vec<String> = Vec::new();
    for error in context.iter().flatten() {
        if let ValidationErrorKind::Type { kind } = error.kind() {
            let name = type_names(kind);
            if !name.is_empty() && !names.contains(&name) && name != "null" {
                names.push(name);
            }
        }
    }
    names.join(" or ")
}
