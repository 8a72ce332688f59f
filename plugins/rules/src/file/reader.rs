//! Reading nodes as what they must be, and keeping what is wrong with them. Knows kinds and names, not the format.

use std::collections::HashMap;

use super::{Expression, Name, Source, nearest};
use crate::diagnostic::{Diagnostic, Span};
use crate::document::{Data, FINDINGS_MAX, Key, Node};

/// Collects findings. What returns nothing has left a finding.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) findings: Vec<Diagnostic>,
    /// The rule that is being read.
    pub(super) rule: Option<String>,
}

/// A mapping whose keys are all known.
#[derive(Clone, Copy)]
pub(super) struct Entries<'a> {
    pub(super) span: Span,
    pub(super) entries: &'a [(Key, Node)],
    /// For messages: "a rule".
    pub(super) what: &'static str,
}

impl<'a> Entries<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
    }
}

impl Reader {
    pub(super) fn report(&mut self, finding: Diagnostic) {
        if !self.is_full() {
            let rule = finding.rule.or_else(|| self.rule.clone());
            self.findings.push(Diagnostic { rule, ..finding });
        }
    }

    /// Nothing more is kept: what only looks for findings may end.
    pub(super) fn is_full(&self) -> bool {
        self.findings.len() >= FINDINGS_MAX
    }

    /// Holds a list or mapping to a number of parts.
    pub(super) fn bounded(&mut self, count: usize, max: usize, (what, span): (&str, Span)) -> Option<()> {
        if count > max {
            self.error("too-many", format!("{what} are {max} at most, not {count}"), span);
            return None;
        }
        Some(())
    }

    pub(super) fn error(&mut self, code: &'static str, message: impl Into<String>, span: Span) {
        self.report(Diagnostic::error(code, message, span));
    }

    pub(super) fn error_hint(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        span: Span,
        hint: impl Into<String>,
    ) {
        self.report(Diagnostic::error(code, message, span).with_hint(hint));
    }

    fn wrong_kind(&mut self, what: &str, expected: &str, node: &Node) {
        self.error("wrong-kind", format!("{what} is {expected}, not {}", node.data.kind()), node.span);
    }

    /// A mapping with any keys.
    pub(super) fn mapping<'a>(&mut self, node: &'a Node, what: &'static str) -> Option<Entries<'a>> {
        match &node.data {
            Data::Mapping(entries) => Some(Entries { span: node.span, entries, what }),
            _ => {
                self.wrong_kind(what, "a mapping", node);
                None
            }
        }
    }

    /// A mapping with known keys; others are reported.
    pub(super) fn entries<'a>(&mut self, node: &'a Node, what: &'static str, known: &[&str]) -> Option<Entries<'a>> {
        let entries = self.mapping(node, what)?;
        self.refuse_unknown(entries, known);
        Some(entries)
    }

    pub(super) fn refuse_unknown(&mut self, entries: Entries<'_>, known: &[&str]) {
        for (key, _) in entries.entries {
            if self.is_full() {
                break;
            }
            if !known.contains(&key.name.as_str()) {
                let message = format!("`{}` is no key of {}", key.name, entries.what);
                self.error_hint("unknown-key", message, key.span, nearest::hint(&key.name, known));
            }
        }
    }

    /// The value of a key that must be there.
    pub(super) fn required<'a>(&mut self, entries: Entries<'a>, key: &str) -> Option<&'a Node> {
        let found = entries.get(key);
        if found.is_none() {
            // The whole of a long part would hide where it is: its beginning is enough.
            let Span { line, column, .. } = entries.span;
            let span = Span { line, column, end_line: line, end_column: column + 1 };
            self.error("missing-key", format!("{} lacks `{key}`", entries.what), span);
        }
        found
    }

    pub(super) fn list<'a>(&mut self, node: &'a Node, what: &str) -> Option<&'a [Node]> {
        match &node.data {
            Data::Sequence(items) => Some(items),
            _ => {
                self.wrong_kind(what, "a list", node);
                None
            }
        }
    }

    /// A list that holds something.
    pub(super) fn filled_list<'a>(&mut self, node: &'a Node, what: &str) -> Option<&'a [Node]> {
        let items = self.list(node, what)?;
        if items.is_empty() {
            self.error("empty-list", format!("{what} is empty"), node.span);
            return None;
        }
        Some(items)
    }

    pub(super) fn bool(&mut self, node: &Node, what: &str) -> Option<bool> {
        match node.data {
            Data::Bool(value) => Some(value),
            _ => {
                self.wrong_kind(what, "true or false", node);
                None
            }
        }
    }

    /// An integer within bounds.
    pub(super) fn int(&mut self, node: &Node, what: &str, min: i64, max: i64) -> Option<i64> {
        match node.data {
            Data::Int(value) if (min..=max).contains(&value) => Some(value),
            Data::Int(_) | Data::BigInt(_) => {
                self.error("value-range", format!("{what} is an integer from {min} to {max}"), node.span);
                None
            }
            _ => {
                self.wrong_kind(what, "an integer", node);
                None
            }
        }
    }

    pub(super) fn text<'a>(&mut self, node: &'a Node, what: &str) -> Option<&'a str> {
        match &node.data {
            Data::String(text) => Some(text),
            data => {
                let message = format!("{what} is a text, not {}", data.kind());
                let finding = Diagnostic::error("wrong-kind", message, node.span);
                let scalar = !matches!(data, Data::Sequence(_) | Data::Mapping(_) | Data::Null);
                self.report(if scalar { finding.with_hint("put it in quotes") } else { finding });
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, node: &Node, what: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, what)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("{what} is not `{text}`");
        self.error_hint("unknown-word", message, node.span, nearest::hint(text, &names));
        None
    }

    /// A plain name, such as a decision: any text on one line without space around it.
    pub(super) fn plain_name(&mut self, node: &Node, what: &str) -> Option<Name> {
        const BYTES_MAX: usize = 256;
        let text = self.text(node, what)?;
        let plain = !text.is_empty() && text.trim() == text && !text.contains(char::is_control);
        if !plain || text.len() > BYTES_MAX {
            let hint = format!("1 to {BYTES_MAX} bytes on one line, without space around it");
            self.error_hint("bad-name", format!("{what} is no name"), node.span, hint);
            return None;
        }
        Some(Name { text: text.to_owned(), span: node.span })
    }

    /// A name that CEL can say.
    pub(super) fn identifier(&mut self, node: &Node, what: &str) -> Option<Name> {
        let text = self.text(node, what)?;
        self.check_identifier(text, node.span, what)
    }

    pub(super) fn key_identifier(&mut self, key: &Key, what: &str) -> Option<Name> {
        self.check_identifier(&key.name, key.span, what)
    }

    fn check_identifier(&mut self, text: &str, span: Span, what: &str) -> Option<Name> {
        if RESERVED.contains(&text) {
            let hint = format!("`{text}_` would do");
            self.error_hint("reserved-word", format!("{what} is not `{text}`, a word of CEL"), span, hint);
            return None;
        }
        if !is_identifier(text) {
            let hint = "letters, digits and `_`, not beginning with a digit, 128 at most";
            self.error_hint("bad-name", format!("{what} is not `{}`", short(text)), span, hint);
            return None;
        }
        Some(Name { text: text.to_owned(), span })
    }

    /// An expression, or a literal.
    pub(super) fn expression(&mut self, node: &Node, what: &str) -> Option<Expression> {
        let source = match &node.data {
            Data::String(text) if text.trim().is_empty() => {
                self.error("empty-expression", format!("{what} is empty"), node.span);
                return None;
            }
            Data::String(text) => Source::Cel(text.clone()),
            Data::Bool(value) => Source::Bool(*value),
            Data::Int(value) => Source::Int(*value),
            Data::Float(value) => Source::Double(*value),
            // The canonical form has no place for it, which is reported there.
            Data::BigInt(_) => Source::Int(0),
            _ => {
                self.wrong_kind(what, "an expression", node);
                return None;
            }
        };
        Some(Expression { source, span: node.span, column_of_text: node.text_column })
    }

    /// Reports names that came before.
    pub(super) fn refuse_repeated<'a>(&mut self, names: impl IntoIterator<Item = &'a Name>, what: &str) {
        let mut seen = HashMap::new();
        for name in names {
            if let Some(line) = seen.insert(name.text.as_str(), name.span.line) {
                let hint = format!("the first is in line {line}");
                self.error_hint("duplicate-name", format!("{what} `{}` is here twice", name.text), name.span, hint);
            }
        }
    }

    /// Reads each part, going on after one that is wrong.
    pub(super) fn each<'a, T>(
        &mut self,
        items: &'a [Node],
        mut read: impl FnMut(&mut Self, &'a Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let read: Vec<_> = items.iter().map(|item| read(self, item)).collect();
        read.into_iter().collect()
    }
}

/// What CEL keeps for itself.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// A name that CEL can say, reserved words aside.
pub fn is_identifier(text: &str) -> bool {
    const BYTES_MAX: usize = 128;
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.len() <= BYTES_MAX
        && text.bytes().next().is_some_and(is_letter)
        && text.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

/// Text of the file, cut and escaped so that a message stays readable.
pub(super) fn short(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let shown: String = text.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(CHARS_MAX).is_some() { shown + ".." } else { shown }
}
