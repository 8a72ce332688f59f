//! From the events of the YAML parser to the tree, refusing what a rule set may not have: anchors, tags, repeated keys.

use std::borrow::Cow;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StructureStyle, options};

use super::{DEPTH_MAX, Data, FINDINGS_MAX, Key, Node, scalar};
use crate::diagnostic::{Diagnostic, Span};

pub(super) fn build(text: &str) -> Result<Node, Vec<Diagnostic>> {
    let options = options! {
        emit_comments: false,
        emit_anchor_events: true,
        emit_unresolved_aliases: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder { text, open: Vec::new(), root: None, findings: Vec::new() };
    for event in Parser::new_from_str_with_options(text, options) {
        let goes_on = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                builder.findings.push(syntax_error(&error));
                false
            }
        };
        if !goes_on || builder.findings.len() >= FINDINGS_MAX {
            break;
        }
    }
    builder.finish()
}

/// A list or mapping whose end is still to come.
struct Open {
    parts: Parts,
    span: Span,
    /// In brackets, which tell where it ends.
    flow: bool,
}

enum Parts {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<(Key, Node)>, key: Option<Key> },
}

struct Builder<'a> {
    text: &'a str,
    open: Vec<Open>,
    root: Option<Node>,
    findings: Vec<Diagnostic>,
}

impl Builder<'_> {
    /// Takes one event; false ends the reading.
    fn take(&mut self, event: Event<'_>, place: granit_parser::Span) -> bool {
        if event.tag().is_some() {
            let begin = place.tag_start().map_or_else(|| span_of(&place), point_of);
            self.refuse("tag", "tags are not allowed", begin, "a text that begins with `!` must be quoted");
        }
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let hint = "write each rule set in its own file";
                self.refuse("several-documents", "the file holds several documents", span_of(&place), hint);
                return false;
            }
            Event::Anchor(..) => {
                let hint = "write the value out where it is used; a text that begins with `&` must be quoted";
                self.refuse("anchor", "anchors are not allowed", span_of(&place), hint);
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                let hint = "write the value out; a text that begins with `*` must be quoted";
                self.refuse("alias", "aliases are not allowed", span_of(&place), hint);
                self.put(Node { data: Data::Null, span: span_of(&place), text_column: None });
            }
            Event::Scalar(value, style, ..) => self.scalar(value, style, &place),
            Event::SequenceStart(style, ..) => return self.begin(Parts::Sequence(Vec::new()), style, &place),
            Event::MappingStart(style, ..) => {
                return self.begin(Parts::Mapping { entries: Vec::new(), key: None }, style, &place);
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(&place),
            _ => {}
        }
        true
    }

    fn refuse(&mut self, code: &'static str, message: &str, span: Span, hint: &str) {
        self.findings.push(Diagnostic::error(code, message, span).with_hint(hint));
    }

    fn scalar(&mut self, value: Cow<'_, str>, style: ScalarStyle, place: &granit_parser::Span) {
        let span = span_of(place);
        let quote = match style {
            ScalarStyle::Plain => 0,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1,
            ScalarStyle::Literal | ScalarStyle::Folded => {
                return self.put(Node { data: Data::String(value.into_owned()), span, text_column: None });
            }
        };
        let written = place.slice(self.text).and_then(|slice| slice.get(quote..slice.len().checked_sub(quote)?));
        let stands_as_is = span.line == span.end_line && written == Some(&*value);
        let data = if quote == 0 { scalar::resolve(&value) } else { Data::String(value.into_owned()) };
        let is_text = matches!(data, Data::String(_));
        let text_column = (stands_as_is && is_text).then_some(span.column + quote as u32);
        self.put(Node { data, span, text_column });
    }

    fn begin(&mut self, parts: Parts, style: StructureStyle, place: &granit_parser::Span) -> bool {
        let span = span_of(place);
        if self.open.len() >= DEPTH_MAX {
            self.findings.push(too_deep(span));
            return false;
        }
        self.open.push(Open { parts, span, flow: matches!(style, StructureStyle::Flow) });
        true
    }

    fn end(&mut self, place: &granit_parser::Span) {
        let Some(Open { parts, mut span, flow }) = self.open.pop() else { return };
        let data = match parts {
            Parts::Sequence(items) => Data::Sequence(items),
            Parts::Mapping { entries, .. } => Data::Mapping(entries),
        };
        let last = match &data {
            Data::Sequence(items) => items.last().map(|item| item.span),
            Data::Mapping(entries) => {
                self.refuse_repeated(entries);
                entries.last().map(|(_, value)| value.span)
            }
            _ => None,
        };
        let end = if flow { Some(span_of(place)) } else { last };
        if let Some(end) = end {
            (span.end_line, span.end_column) = (end.end_line, end.end_column);
        }
        self.put(Node { data, span, text_column: None });
    }

    fn refuse_repeated(&mut self, entries: &[(Key, Node)]) {
        for (first, again) in repeated(entries) {
            let message = format!("`{}` is here twice", again.name);
            let hint = format!("the first is in line {}", first.span.line);
            self.refuse("duplicate-key", &message, again.span, &hint);
        }
    }

    /// Puts a finished node where it belongs.
    fn put(&mut self, node: Node) {
        match self.open.last_mut().map(|open| &mut open.parts) {
            None => self.root = Some(node),
            Some(Parts::Sequence(items)) => items.push(node),
            Some(Parts::Mapping { entries, key }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let span = node.span;
                    let Data::String(name) = node.data else {
                        *key = Some(Key { name: String::new(), span });
                        let message = format!("a key is {}, not a text", node.data.kind());
                        return self.refuse("key-not-text", &message, span, "put it in quotes");
                    };
                    *key = Some(Key { name, span });
                }
            },
        }
    }

    fn finish(self) -> Result<Node, Vec<Diagnostic>> {
        let mut findings = self.findings;
        match self.root {
            Some(root) if findings.is_empty() => Ok(root),
            root => {
                if root.is_none() && findings.is_empty() {
                    let start = Span { line: 1, column: 1, end_line: 1, end_column: 1 };
                    findings.push(Diagnostic::error("empty", "the file holds nothing", start));
                }
                findings.sort_by_key(|finding| finding.span);
                Err(findings)
            }
        }
    }
}

/// Keys that came before, each with the first of its name.
pub(super) fn repeated(entries: &[(Key, Node)]) -> Vec<(&Key, &Key)> {
    const FEW: usize = 16;
    let mut found = Vec::new();
    if entries.len() <= FEW {
        for (place, (key, _)) in entries.iter().enumerate() {
            let first = entries[..place].iter().find(|(before, _)| before.name == key.name);
            found.extend(first.map(|(first, _)| (first, key)));
        }
    } else {
        let mut keys: Vec<_> = entries.iter().map(|(key, _)| key).collect();
        keys.sort_by(|a, b| a.name.cmp(&b.name));
        for same in keys.chunk_by(|a, b| a.name == b.name) {
            found.extend(same[1..].iter().map(|&again| (same[0], again)));
        }
    }
    // A key that is no text has been refused already.
    found.retain(|(_, again)| !again.name.is_empty());
    found
}

fn span_of(place: &granit_parser::Span) -> Span {
    let (start, end) = (place.start, place.end);
    Span {
        line: start.line() as u32,
        column: start.col() as u32 + 1,
        end_line: end.line() as u32,
        end_column: end.col() as u32 + 1,
    }
}

fn point_of(mark: granit_parser::Marker) -> Span {
    let (line, column) = (mark.line() as u32, mark.col() as u32 + 1);
    Span { line, column, end_line: line, end_column: column + 1 }
}

fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error("too-deep", format!("lists and mappings nest deeper than {DEPTH_MAX}"), span)
}

fn syntax_error(error: &ScanError) -> Diagnostic {
    let span = point_of(*error.marker());
    let hint = match error.kind() {
        ErrorKind::RecursionLimitExceeded => return too_deep(span),
        ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation | ErrorKind::TabNotAllowed => {
            "indent with spaces, not with tabs"
        }
        ErrorKind::UnclosedQuotedScalar | ErrorKind::UnclosedFlowCollection { .. } => "close it",
        ErrorKind::UndeclaredTagHandle
        | ErrorKind::InvalidTagTerminator
        | ErrorKind::MissingTagUri
        | ErrorKind::ExpectedTagBang => "a text that begins with `!` must be quoted",
        ErrorKind::MissingAnchorOrAliasName => "a text that begins with `&` or `*` must be quoted",
        _ => "an expression that holds `: `, ` #`, brackets or quotes must be quoted as a whole",
    };
    Diagnostic::error("syntax", format!("not YAML: {}", error.info()), span).with_hint(hint)
}
