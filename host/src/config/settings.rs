//! The layers of a configuration: defaults, then the file, then the environment, then flags. Reads no environment itself.
//!
//! Each value is laid on what is valid already and checked at once, so that a fault belongs to the value that made it.

use std::collections::BTreeMap;
use std::path::Path;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde::Serialize;
use serde_json::Value;

use super::fault::{ConfigError, Fault, Origin, nearest};
use super::raw::{NOT_BUILT, Raw};
use super::tree::{self, Content, Node};

/// What stands before the name of each variable that overrides a key.
pub const VARIABLE_PREFIX: &str = "INFERWIT__";

/// One key that is overridden from outside the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    key: String,
    value: String,
    origin: Origin,
}

impl Override {
    /// `INFERWIT__SERVER__HTTP` and its value, a YAML scalar or JSON; `None` for a variable of another kind.
    pub fn variable(name: &str, value: &str) -> Option<Self> {
        let key = name.strip_prefix(VARIABLE_PREFIX)?.to_lowercase().replace("__", ".");
        Some(Self { key, value: value.to_owned(), origin: Origin::Variable(name.to_owned()) })
    }

    /// A flag such as `--env`, the key that it stands for, and its value.
    pub fn flag(flag: &str, key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), value: value.to_owned(), origin: Origin::Flag(flag.to_owned()) }
    }
}

/// One key as `config explain` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// `server.limits.body_mib`
    pub key: String,
    pub value: Value,
    pub origin: Origin,
}

/// All keys with their values, each valid by itself, and where they came from.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) raw: Raw,
    values: Value,
    origins: BTreeMap<String, Origin>,
}

impl Settings {
    /// Reads the file, if there is one, and lays the overrides upon it in their order.
    ///
    /// # Errors
    /// The file that cannot be read, or all faults that were found.
    pub fn load(file: Option<&Path>, overrides: &[Override]) -> Result<Self, ConfigError> {
        let text = file.map(|path| tree::read_text(path).map(|text| (text, path))).transpose()?;
        Self::layered(text.as_ref().map(|(text, path)| (text.as_str(), *path)), overrides)
    }

    pub(super) fn layered(file: Option<(&str, &Path)>, overrides: &[Override]) -> Result<Self, ConfigError> {
        let mut layers = Layers::new();
        if let Some((text, path)) = file {
            layers.lay_file(text, path);
        }
        for change in overrides {
            layers.lay_override(change);
        }
        layers.refuse_not_built();
        layers.finish()
    }

    /// Each key in the order of `config/inference.yaml`.
    pub fn explain(&self) -> Vec<Explained> {
        let mut leaves = Vec::new();
        collect_leaves("", &self.values, &mut leaves);
        leaves
            .into_iter()
            .map(|(key, value)| Explained { origin: self.origin(&key), key, value: value.clone() })
            .collect()
    }

    pub(super) fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }
}

/// The JSON Schema of the configuration file.
pub fn schema() -> Value {
    schemars::schema_for!(Raw).to_value()
}

fn defaults() -> Value {
    serde_json::to_value(Raw::default()).expect("the defaults are plain data")
}

fn pointer(key: &str) -> String {
    format!("/{}", key.replace('.', "/"))
}

fn joined(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn collect_leaves<'a>(prefix: &str, value: &'a Value, leaves: &mut Vec<(String, &'a Value)>) {
    let Value::Object(members) = value else {
        leaves.push((prefix.to_owned(), value));
        return;
    };
    for (key, member) in members {
        collect_leaves(&joined(prefix, key), member, leaves);
    }
}

struct Layers {
    defaults: Value,
    values: Value,
    origins: BTreeMap<String, Origin>,
    faults: Vec<Fault>,
    validator: Validator,
}

impl Layers {
    fn new() -> Self {
        let validator = jsonschema::validator_for(&schema()).expect("the schema of the configuration is valid");
        let defaults = defaults();
        Self { values: defaults.clone(), defaults, origins: BTreeMap::new(), faults: Vec::new(), validator }
    }

    fn lay_file(&mut self, text: &str, path: &Path) {
        match tree::parse::<Node>(text, path) {
            Ok(node) => self.lay("", &node, &|line, column| Origin::file(path, line, column)),
            Err(fault) => self.faults.push(fault),
        }
    }

    fn lay_override(&mut self, change: &Override) {
        let Override { key, value, origin } = change;
        match self.defaults.pointer(&pointer(key)) {
            None => {
                let hint = self.hint_for_unknown(key, origin);
                self.fault(origin, format!("unknown key `{}`", key.escape_debug()), Some(hint));
            }
            Some(Value::Object(_)) => match tree::parse::<Node>(value, Path::new(key)) {
                Ok(node) => self.lay(key, &node, &|_, _| origin.clone()),
                Err(fault) => self.fault(origin, format!("`{key}`: {}", fault.message), None),
            },
            Some(_) => self.lay_text(key, value, origin),
        }
    }

    /// Takes the text as YAML or JSON; where that does not fit, and text does, as text (`[::1]:8000`).
    fn lay_text(&mut self, key: &str, text: &str, origin: &Origin) {
        let parsed = tree::parse::<Node>(text, Path::new(key)).map(|node| node.to_json());
        let plain = Value::String(text.to_owned());
        let refused = match parsed {
            Ok(value) => match self.checked(key, value) {
                Ok(values) => return self.accept(key, values, origin),
                Err(refused) => refused,
            },
            Err(fault) => (format!("`{key}`: {}", fault.message), None),
        };
        match self.checked(key, plain) {
            Ok(values) => self.accept(key, values, origin),
            Err(_) => self.fault(origin, refused.0, refused.1),
        }
    }

    fn lay(&mut self, prefix: &str, node: &Node, origin_at: &dyn Fn(u32, u32) -> Origin) {
        let entries = match &node.content {
            Content::Mapping(entries) => entries,
            // A section whose keys are all left out or commented out.
            Content::Scalar(Value::Null) => return,
            Content::Scalar(_) | Content::Sequence(_) => {
                let place = if prefix.is_empty() { "the configuration" } else { prefix };
                let message = format!("`{place}` must be a mapping of keys to values");
                return self.fault(&origin_at(node.line, node.column), message, None);
            }
        };
        for entry in entries {
            let key = joined(prefix, &entry.key);
            // A dot in a key of the file would reach into another section.
            let known = if entry.key.contains(['.', '/', '~']) { None } else { self.defaults.pointer(&pointer(&key)) };
            match known {
                None => {
                    let origin = origin_at(entry.line, entry.column);
                    let hint = self.hint_for_unknown(&key, &origin);
                    self.fault(&origin, format!("unknown key `{}`", key.escape_debug()), Some(hint));
                }
                Some(Value::Object(_)) => self.lay(&key, &entry.node, origin_at),
                Some(_) => {
                    let origin = origin_at(entry.node.line, entry.node.column);
                    match self.checked(&key, entry.node.to_json()) {
                        Ok(values) => self.accept(&key, values, &origin),
                        Err((message, hint)) => self.fault(&origin, message, hint),
                    }
                }
            }
        }
    }

    /// All values with this one among them, if it is valid; else the message and a hint.
    fn checked(&self, key: &str, value: Value) -> Result<Value, (String, Option<String>)> {
        let mut values = self.values.clone();
        *values.pointer_mut(&pointer(key)).expect("the key is one of the defaults") = value;
        let read = serde_json::from_value::<Raw>(values.clone());
        if let Some(error) = self.validator.iter_errors(&values).next() {
            return Err(schema_message(key, &error, read.err()));
        }
        match read {
            Ok(_) => Ok(values),
            Err(error) => Err((format!("`{key}`: {error}"), None)),
        }
    }

    fn accept(&mut self, key: &str, values: Value, origin: &Origin) {
        self.values = values;
        self.origins.insert(key.to_owned(), origin.clone());
    }

    fn fault(&mut self, origin: &Origin, message: String, hint: Option<String>) {
        self.faults.push(Fault { origin: origin.clone(), message, hint });
    }

    /// Names the nearest valid key: a neighbour, else one of another section, else all neighbours.
    fn hint_for_unknown(&self, key: &str, origin: &Origin) -> String {
        let mut leaves = Vec::new();
        collect_leaves("", &self.defaults, &mut leaves);
        let (section, last) = key.rsplit_once('.').unwrap_or(("", key));
        let neighbours: Vec<&str> =
            match self.defaults.pointer(&if section.is_empty() { String::new() } else { pointer(section) }) {
                Some(Value::Object(members)) => members.keys().map(String::as_str).collect(),
                _ => Vec::new(),
            };
        let elsewhere = |wanted: &str| {
            let lasts = leaves.iter().map(|(key, _)| key.rsplit('.').next().unwrap_or(key));
            let near = nearest(wanted, lasts)?;
            leaves.iter().map(|(key, _)| key).find(|key| key.rsplit('.').next() == Some(near)).cloned()
        };
        let found = match nearest(last, neighbours.iter().copied()) {
            Some(near) => Some(joined(section, near)),
            None => elsewhere(last),
        };
        match found {
            Some(key) if matches!(origin, Origin::Variable(_)) => {
                format!("did you mean {VARIABLE_PREFIX}{}?", key.to_uppercase().replace('.', "__"))
            }
            Some(key) => format!("did you mean `{key}`?"),
            None if neighbours.is_empty() => "`inferwit config default` prints every key".to_owned(),
            None => format!("known here are {}", neighbours.join(", ")),
        }
    }

    fn refuse_not_built(&mut self) {
        let mut faults = Vec::new();
        let mut leaves = Vec::new();
        collect_leaves("", &self.defaults, &mut leaves);
        for (key, default) in leaves {
            let later = NOT_BUILT
                .iter()
                .any(|part| key.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')));
            if later && self.values.pointer(&pointer(&key)) != Some(default) {
                let origin = self.origins.get(&key).cloned().unwrap_or(Origin::Default);
                let hint = Some(format!("leave it out, or at its default `{default}`"));
                faults.push(Fault { origin, message: format!("`{key}` is not built yet in this version"), hint });
            }
        }
        self.faults.append(&mut faults);
    }

    fn finish(self) -> Result<Settings, ConfigError> {
        if !self.faults.is_empty() {
            return Err(ConfigError::Invalid(self.faults));
        }
        let raw = serde_json::from_value(self.values.clone()).expect("each layer was checked when it was laid");
        Ok(Settings { raw, values: self.values, origins: self.origins })
    }
}

/// What the schema found, in words of a configuration file; what the type itself says of the value goes before a pattern.
fn schema_message(
    key: &str,
    error: &jsonschema::ValidationError<'_>,
    read: Option<serde_json::Error>,
) -> (String, Option<String>) {
    let got = &**error.instance();
    match error.kind() {
        ValidationErrorKind::Minimum { limit } => (format!("`{key}` is {got}, must be at least {limit}"), None),
        ValidationErrorKind::Maximum { limit } => (format!("`{key}` is {got}, must be at most {limit}"), None),
        ValidationErrorKind::Enum { options } => {
            let words: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let hint = got.as_str().and_then(|got| nearest(got, words.iter().copied()));
            let message = format!("`{key}` is {got}, must be one of {}", words.join(", "));
            (message, hint.map(|near| format!("did you mean `{near}`?")))
        }
        _ => match read {
            Some(read) => (format!("`{key}`: {read}"), None),
            None => (format!("`{key}`: {error}"), None),
        },
    }
}

#[cfg(test)]
mod tests;
