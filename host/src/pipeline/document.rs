//! Text in YAML or JSON as a JSON value that knows where each part stands, and what is wrong with it. Knows no file format.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::{DuplicateKeyPolicy, Location, MergeKeyPolicy, Options, Spanned};

/// The longest text that is read.
pub const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// How deep lists and mappings may nest. Reading one level takes kilobytes of stack.
const DEPTH_MAX: usize = 32;

/// A line and a column of a text; both begin at 1, columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

/// What is wrong with something that a person wrote, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Short, stable, kebab-case: `unknown-key`.
    pub code: &'static str,
    pub message: String,
    pub hint: String,
    /// As it was given to the parser; empty where there was no file.
    pub file: Arc<str>,
    /// `None` where the value was made or came out of the registry, and never had lines.
    pub position: Option<Position>,
    /// Where in the value: a JSON pointer (RFC 6901).
    pub path: String,
}

/// `photo.yaml:12:5: message`. The hint stands apart, as everywhere on the command line.
impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_ref(), self.position) {
            ("", None) => {}
            (file, None) => write!(formatter, "{file}: ")?,
            ("", Some(Position { line, column })) => write!(formatter, "{line}:{column}: ")?,
            (file, Some(Position { line, column })) => write!(formatter, "{file}:{line}:{column}: ")?,
        }
        match self.position {
            None if !self.path.is_empty() => write!(formatter, "{} (at {})", self.message, self.path),
            _ => formatter.write_str(&self.message),
        }
    }
}

impl std::error::Error for Diagnostic {}

/// A value and where each part of it stands.
#[derive(Clone, Debug, Default)]
pub struct Document {
    pub file: Arc<str>,
    pub value: Value,
    /// By JSON pointer.
    places: BTreeMap<String, Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    key: Option<Position>,
    value: Position,
    is_scalar: bool,
}

impl Document {
    /// Reads YAML 1.2 or JSON. `file` is only for messages.
    ///
    /// # Errors
    /// What the text breaks first: its syntax, a key that stands twice, a limit.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let file: Arc<str> = file.into();
        let refuse = |message, hint: &str, position| {
            let file = Arc::clone(&file);
            vec![Diagnostic { code: "syntax", message, hint: hint.to_owned(), file, position, path: String::new() }]
        };
        if text.len() > DOCUMENT_BYTES_MAX {
            let message = format!("the file has {} bytes, at most {DOCUMENT_BYTES_MAX} are read", text.len());
            return Err(refuse(message, "keep data in files beside it and name them", None));
        }
        let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
            let message = error.without_snippet().to_string();
            // The place is a field of the diagnostic, and advice to callers of the parser is not for who wrote the file.
            let cut = |message: &str, mark: &str| message.split(mark).next().unwrap_or_default().to_owned();
            let message = [", set ", "; use ", " at line ", " by the configured policy", " by configured policy"]
                .into_iter()
                .fold(message, |message, mark| cut(&message, mark));
            refuse(
                message,
                "quote text that holds `:`, `#`, `{` or `[`, and indent with spaces",
                error.location().and_then(position),
            )
        })?;
        let mut places = BTreeMap::new();
        let value = flatten(root, None, &mut String::new(), &mut places);
        Ok(Self { file, value, places })
    }

    /// A value that never had lines.
    pub fn from_value(value: Value) -> Self {
        Self { file: "".into(), value, places: BTreeMap::new() }
    }

    /// Where the part at this JSON pointer stands, or else the nearest part around it: the key of a list or mapping,
    /// the text itself of anything else.
    pub fn position(&self, path: &str) -> Option<Position> {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return Some(if place.is_scalar { place.value } else { place.key.unwrap_or(place.value) });
            }
            path = &path[..path.rfind('/')?];
        }
    }

    /// Where the key of this entry stands.
    pub fn key_position(&self, path: &str) -> Option<Position> {
        self.places.get(path).and_then(|place| place.key).or_else(|| self.position(path))
    }

    /// Says that something is wrong with the part at `path`.
    pub fn diagnostic(&self, code: &'static str, path: &str, message: String, hint: impl Into<String>) -> Diagnostic {
        let position = self.position(path);
        Diagnostic { code, message, hint: hint.into(), file: Arc::clone(&self.file), position, path: path.to_owned() }
    }
}

/// `base` and one more part, escaped as RFC 6901 asks.
pub fn join(base: &str, part: impl fmt::Display) -> String {
    format!("{base}/{}", part.to_string().replace('~', "~0").replace('/', "~1"))
}

/// The candidate that was probably meant.
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|candidate| {
        let is_part = text.len() > 2 && (candidate.starts_with(text) || text.starts_with(candidate));
        (if is_part { 0.8 } else { 0.0_f64 }.max(strsim::normalized_damerau_levenshtein(text, candidate)), candidate)
    });
    let (score, candidate) = scored.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (score >= 0.5).then_some(candidate)
}

/// ``did you mean `boxes`?``, or else what there is.
pub fn suggest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(candidate) = nearest(text, candidates.clone()) {
        return format!("did you mean `{candidate}`?");
    }
    let mut known: Vec<_> = candidates.into_iter().map(|candidate| format!("`{candidate}`")).collect();
    if known.is_empty() {
        return "there is none".to_owned();
    }
    known.sort_unstable();
    let rest = known.len().saturating_sub(KNOWN_SHOWN_MAX);
    known.truncate(KNOWN_SHOWN_MAX);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("known are {}{more}", known.join(", "))
}

const KNOWN_SHOWN_MAX: usize = 16;

/// Duplicate keys and merges hide what a file says, so they are refused; `yes` and `0755` are text, as in YAML 1.2.
fn options() -> Options {
    serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000, max_replay_stack_depth: 4 },
    }
}

fn position(location: Location) -> Option<Position> {
    (location != Location::UNKNOWN).then(|| Position { line: location.line(), column: location.column() })
}

enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Mapping(Vec<(Spanned<String>, Spanned<Node>)>),
}

fn flatten(
    node: Spanned<Node>,
    key: Option<Position>,
    path: &mut String,
    places: &mut BTreeMap<String, Place>,
) -> Value {
    let place = position(node.referenced).unwrap_or(Position { line: 1, column: 1 });
    let is_scalar = matches!(node.value, Node::Scalar(_));
    places.insert(path.clone(), Place { key, value: place, is_scalar });
    let mut inside = |part: &dyn fmt::Display, key, node| {
        let length = path.len();
        *path = join(path, part);
        let value = flatten(node, key, path, places);
        path.truncate(length);
        value
    };
    match node.value {
        Node::Scalar(value) => value,
        Node::List(items) => items.into_iter().enumerate().map(|(index, item)| inside(&index, None, item)).collect(),
        Node::Mapping(entries) => {
            let mut map = Map::with_capacity(entries.len());
            for (key, value) in entries {
                let value = inside(&key.value, position(key.referenced), value);
                map.insert(key.value, value);
            }
            Value::Object(map)
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    /// Finite: the parser refuses others, for which JSON has no word.
    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut mapping = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            mapping.push(entry);
        }
        Ok(Node::Mapping(mapping))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str, path: &str) -> Option<(u64, u64)> {
        Document::parse("a.yaml", text).unwrap().position(path).map(|position| (position.line, position.column))
    }

    #[test]
    fn every_part_knows_where_it_stands() {
        let text = "a: 1\nlist:\n  - name: x\n    deep: {b/c: [1, two]}\n  - 3\n";
        assert_eq!(at(text, "/a"), Some((1, 4)));
        assert_eq!(at(text, "/list"), Some((2, 1)));
        assert_eq!(at(text, "/list/0"), Some((3, 5)));
        assert_eq!(at(text, "/list/0/name"), Some((3, 11)));
        assert_eq!(at(text, "/list/0/deep"), Some((4, 5)));
        assert_eq!(at(text, "/list/0/deep/b~1c/1"), Some((4, 21)));
        assert_eq!(at(text, "/list/0/absent/part"), Some((3, 5)));
        let document = Document::parse("a.yaml", text).unwrap();
        assert_eq!(document.key_position("/list/0/name"), Some(Position { line: 3, column: 5 }));
        assert_eq!(document.value, json!({"a": 1, "list": [{"name": "x", "deep": {"b/c": [1, "two"]}}, 3]}));
    }

    #[test]
    fn json_is_read_too_and_knows_its_lines() {
        let text = "{\n  \"a\": {\"537\": -1.5, \"s\": \"x\\ny\"},\n  \"n\": null\n}";
        let document = Document::parse("a.json", text).unwrap();
        assert_eq!(document.value, json!({"a": {"537": -1.5, "s": "x\ny"}, "n": null}));
        assert_eq!(at(text, "/n"), Some((3, 8)));
    }

    #[test]
    fn scalars_are_those_of_yaml_1_2() {
        let value = |text: &str| Document::parse("", text).unwrap().value["v"].clone();
        assert_eq!(value("v: yes"), json!("yes"));
        assert_eq!(value("v: \"537\""), json!("537"));
        assert_eq!(value("v: 0755"), json!("0755"));
        assert_eq!(value("v: 1.0.0"), json!("1.0.0"));
        assert_eq!(value("v: NaN"), json!("NaN"));
        assert_eq!(value("v: 18446744073709551615"), json!(u64::MAX));
        assert_eq!(value("v:"), Value::Null);
    }

    #[test]
    fn syntax_errors_and_double_keys_say_where() {
        let check = |text: &str| Document::parse("a.yaml", text).unwrap_err()[0].to_string();
        let texts =
            ["a: 1\nb: 2\na: 3", "a: [1, 2\nb: 3", "a: *x", "a: 1\n---\nb: 1", "a: .nan", "a: {<<: {b: 1}}", "a: \"x"];
        insta::assert_snapshot!(texts.map(check).join("\n"), @r#"
        a.yaml:3:1: duplicate mapping key: a
        a.yaml:2:2: illegal placement of ':' indicator
        a.yaml:1:4: alias references unknown anchor
        a.yaml:3:1: multiple YAML documents detected
        a.yaml:1:4: non-finite float `.nan` rejected
        a.yaml:1:5: YAML merge keys are not allowed
        a.yaml:1:4: unclosed quote
        "#);
        assert!(check(&"x".repeat(DOCUMENT_BYTES_MAX + 1)).contains("at most"));
    }

    #[test]
    fn deep_nesting_and_many_aliases_are_refused() {
        let deep = |depth: usize| format!("a: {}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Document::parse("", &deep(30)).is_ok());
        assert!(Document::parse("", &deep(100_000)).is_err());
        assert!(Document::parse("", &"- ".repeat(100_000)).is_err());
        let mut bomb = "a0: &a0 [1]\n".to_owned();
        for level in 1..40 {
            bomb.push_str(&format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1));
        }
        assert!(Document::parse("", &bomb).is_err());
        let chain: String = (1..2000).map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1)).collect();
        assert!(Document::parse("", &format!("a0: &a0 1\n{chain}")).is_err());
    }

    #[test]
    fn the_nearest_name_is_suggested_or_all_are_named() {
        assert_eq!(suggest("boxs", ["scores", "boxes"]), "did you mean `boxes`?");
        assert_eq!(suggest("timeout", ["timeout_ms", "cache"]), "did you mean `timeout_ms`?");
        assert_eq!(suggest("zzz", ["b", "a"]), "known are `a`, `b`");
        assert_eq!(suggest("zzz", []), "there is none");
    }
}
