//! YAML or JSON text as values that know their lines. Knows no keys.

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use super::fault::{ConfigError, Fault, Origin};

/// The largest configuration or options file.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;
const DEPTH_MAX: usize = 32;
const NODES_MAX: usize = 50_000;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// Null, a boolean, a number or a string.
    Scalar(Value),
    Sequence(Vec<Node>),
    /// In the order of the file; keys are unique.
    Mapping(Vec<Entry>),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) node: Node,
}

impl Node {
    /// The same without lines.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::Sequence(nodes) => nodes.iter().map(Self::to_json).collect(),
            Content::Mapping(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect()
            }
        }
    }
}

/// Reads a text file of bounded size.
pub(super) fn read_text(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
    }
    String::from_utf8(bytes).map_err(|_| ConfigError::NotText { path: path.to_owned() })
}

/// Parses text whose faults are told as those of `path`.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str, path: &Path) -> Result<T, Fault> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| to_fault(&error, path))
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        // `off` and `yes` are words, as in YAML 1.2.
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_documents: 1,
            max_aliases: 1_000,
            max_total_scalar_bytes: FILE_BYTES_MAX as usize,
        },
    }
}

fn to_fault(error: &serde_saphyr::Error, path: &Path) -> Fault {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let origin = Origin::file(path, position(location.line()), position(location.column()));
    let (message, hint) = match error.without_snippet() {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => {
            let hint = match super::fault::nearest(field, expected.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("known here are {}", expected.join(", ")),
            };
            (format!("unknown key `{}`", field.escape_debug()), Some(hint))
        }
        error => (plain_message(error), None),
    };
    Fault { origin, message, hint }
}

/// The parser's message without its position, which stands in front already.
fn plain_message(error: &serde_saphyr::Error) -> String {
    let rendered = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    match rendered.rsplit_once(" at line ") {
        Some((message, position)) if position.starts_with(|first: char| first.is_ascii_digit()) => message.to_owned(),
        _ => rendered,
    }
}

fn position(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value: content, referenced, .. } = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { line: position(referenced.line()), column: position(referenced.column()), content })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Content, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = sequence.next_element()? {
            nodes.push(node);
        }
        Ok(Content::Sequence(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Content, A::Error> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(Spanned { value: key, referenced, .. }) = mapping.next_key::<Spanned<String>>()? {
            let (line, column) = (position(referenced.line()), position(referenced.column()));
            if entries.iter().any(|entry| entry.key == key) {
                return Err(de::Error::custom(format!("key `{key}` is written twice")));
            }
            entries.push(Entry { key, line, column, node: mapping.next_value()? });
        }
        Ok(Content::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        parse::<Node>(text, Path::new("c.yaml")).unwrap_err()
    }

    #[test]
    fn values_and_keys_know_their_lines() {
        let text = "a: 1\nserver:\n  http: 127.0.0.1:80\n  off: off\n";
        let node: Node = parse(text, Path::new("c.yaml")).unwrap();
        assert_eq!(node.to_json(), serde_json::json!({"a": 1, "server": {"http": "127.0.0.1:80", "off": "off"}}));
        let Content::Mapping(entries) = node.content else { panic!("a mapping") };
        let Content::Mapping(inner) = &entries[1].node.content else { panic!("a mapping") };
        assert_eq!((inner[0].line, inner[0].column), (3, 3));
        assert_eq!((inner[0].node.line, inner[0].node.column), (3, 9));
    }

    #[test]
    fn json_with_tabs_is_yaml_too() {
        let node: Node =
            parse("{\n\t\"a\": [1, null, true],\n\t\"b\": {\"c\": 0.5}\n}\n", Path::new("c.json")).unwrap();
        assert_eq!(node.to_json(), serde_json::json!({"a": [1, null, true], "b": {"c": 0.5}}));
    }

    #[test]
    fn broken_text_is_told_by_line() {
        for text in ["a: 1\na: 2\n", "a: 1\nb: [1, 2\n", "a: 1\n b: 2\n", "a: 1\nb: *c\n", "a: 1\nb: .nan\n"] {
            let fault = fault(text);
            let Origin::File { line, .. } = fault.origin else { panic!("a file") };
            assert!((2..=3).contains(&line), "{text:?}: {fault}");
            assert!(!fault.message.contains("at line"), "{fault}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let aliases = format!("a: &a [x]\nb: [{}]\n", "*a, ".repeat(2_000));
        for text in ["[".repeat(1_000), "- 1\n".repeat(60_000), aliases] {
            assert!(parse::<Node>(&text, Path::new("c.yaml")).is_err());
        }
    }
}
