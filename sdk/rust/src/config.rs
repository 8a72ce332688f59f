//! Configurations: from JSON text to a plugin's own type, with diagnostics that point at what is wrong; and its schema.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Diagnostic, Span};

/// The configuration of a plugin that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Reads a configuration. An empty text is an empty object; keys that `C` does not have are refused.
///
/// # Errors
/// What is wrong, with the JSON pointer of where.
pub fn parse_config<C: DeserializeOwned>(text: &str) -> Result<C, Vec<Diagnostic>> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut unknown = BTreeSet::new();
    let mut track = serde_path_to_error::Track::new();
    let traced = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let parsed: Result<C, _> = serde_ignored::deserialize(traced, |path| {
        unknown.insert(ignored_pointer(&path));
    });
    let config = match parsed {
        Ok(config) => config,
        Err(error) => return Err(vec![diagnose(&error, &track.path())]),
    };
    if let Err(error) = deserializer.end() {
        return Err(vec![diagnose(&error, &serde_path_to_error::Track::new().path())]);
    }
    if unknown.is_empty() {
        return Ok(config);
    }
    Err(unknown.into_iter().map(|pointer| unknown_key(&pointer)).collect())
}

/// The JSON Schema (2020-12) of a configuration. Objects allow no key besides those that they name.
pub fn schema_of<C: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let mut schema = settings.into_generator().into_root_schema_for::<C>().to_value();
    close(&mut schema);
    schema
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let composed = ["allOf", "anyOf", "oneOf", "$ref"].iter().any(|key| object.contains_key(*key));
            if object.contains_key("properties") && !composed {
                object.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(array) => array.iter_mut().for_each(close),
        _ => {}
    }
}

fn unknown_key(pointer: &str) -> Diagnostic {
    let key = pointer.rsplit('/').next().unwrap_or(pointer);
    Diagnostic::error("unknown-key", format!("unknown key `{key}`"))
        .at(pointer)
        .hint("leave it out, or see the plugin's configuration schema for the keys that it has")
}

fn diagnose(error: &serde_json::Error, path: &serde_path_to_error::Path) -> Diagnostic {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let pointer = pointer(path);
    let mut diagnostic = if !error.is_data() {
        Diagnostic::error("invalid-json", message).hint("the configuration is one JSON object")
    } else if message.starts_with("unknown field") {
        Diagnostic::error("unknown-key", message.replacen("unknown field", "unknown key", 1)).at(pointer)
    } else if message.starts_with("missing field") {
        Diagnostic::error("missing-key", message.replacen("missing field", "missing key", 1)).at(pointer)
    } else {
        Diagnostic::error("invalid-value", message)
            .at(pointer)
            .hint("see the plugin's configuration schema for what it takes here")
    };
    let place = |number: usize| u32::try_from(number).ok().filter(|&number| number > 0);
    if let (Some(line), Some(column)) = (place(error.line()), place(error.column())) {
        diagnostic.span = Some(Span { line, column, end_line: line, end_column: column + 1 });
    }
    diagnostic
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segments = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } | Segment::Enum { variant: key } => Some(key.clone()),
        Segment::Unknown => None,
    });
    segments.map(|segment| format!("/{}", escape(&segment))).collect()
}

fn ignored_pointer(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}/{index}", ignored_pointer(parent)),
        Path::Map { parent, key } => format!("{}/{}", ignored_pointer(parent), escape(key)),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            ignored_pointer(parent)
        }
    }
}

fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Config {
        #[serde(default)]
        threshold: f32,
        resize: Option<Resize>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Resize {
        width: u32,
    }

    fn check(text: &str, code: &str, path: Option<&str>) {
        let diagnostics = parse_config::<Config>(text).unwrap_err();
        assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
        assert_eq!(diagnostics[0].code, code, "{diagnostics:?}");
        assert_eq!(diagnostics[0].path.as_deref(), path, "{diagnostics:?}");
    }

    #[test]
    fn a_right_configuration_is_read() {
        let config: Config = parse_config(r#"{"threshold": 0.5, "resize": {"width": 3}}"#).unwrap();
        assert_eq!((config.threshold, config.resize.unwrap().width), (0.5, 3));
        assert!(parse_config::<Config>(" ").unwrap().resize.is_none());
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        check(r#"{"treshold": 0.5}"#, "unknown-key", Some("/treshold"));
        check(r#"{"resize": {"width": 3, "a/b": 1}}"#, "unknown-key", Some("/resize/a~1b"));
        check(r#"{"resize": {"width": "wide"}}"#, "invalid-value", Some("/resize/width"));
        check(r#"{"resize": {}}"#, "missing-key", Some("/resize"));
        check(r#"{"resize": "#, "invalid-json", None);
        check("{} {}", "invalid-json", None);
    }

    #[test]
    fn all_unknown_keys_are_told_at_once() {
        assert_eq!(parse_config::<Config>(r#"{"a": 1, "b": {"c": 2}}"#).unwrap_err().len(), 2);
    }

    #[test]
    fn the_schema_allows_no_other_keys() {
        let schema = schema_of::<Config>();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["$defs"]["Resize"]["additionalProperties"], false);
    }
}
