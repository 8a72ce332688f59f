//! `then`: what a rule does. Knows the shapes of actions, not what their names mean.

use super::reader::{Entries, Reader};
use super::{Action, ActionKind, DataValue, Emit, FieldValue, Name, nearest};
use crate::canonical::by_utf16;
use crate::document::{Data, Node};

/// What makes an action what it is, for messages and with the keys that go with it.
const KINDS: [(&str, &str, &[&str]); 6] = [
    ("derive", "a derive", &["derive"]),
    ("assert", "an assert", &["assert"]),
    ("modify", "a modify", &["modify", "set"]),
    ("retract", "a retract", &["retract"]),
    ("emit", "an emit", &["emit"]),
    ("stop", "a stop", &["stop"]),
];

const EMIT_KEYS: [&str; 6] = ["decision", "code", "subject", "message", "data", "sticky"];

type Fields = Vec<(Name, FieldValue)>;

pub(super) fn read_actions(reader: &mut Reader, node: &Node) -> Option<Vec<Action>> {
    let items = reader.filled_list(node, "`then`")?;
    reader.each(items, read_action)
}

fn read_action(reader: &mut Reader, node: &Node) -> Option<Action> {
    let entries = reader.mapping(node, "an action")?;
    let mut kinds = KINDS.iter().filter(|(kind, ..)| entries.get(kind).is_some());
    let Some((kind, what, keys)) = kinds.next() else {
        let known: Vec<_> = KINDS.iter().map(|(kind, ..)| *kind).collect();
        let written = entries.entries.first().map_or("", |(key, _)| &key.name);
        let span = entries.entries.first().map_or(node.span, |(key, _)| key.span);
        reader.error_hint("unknown-action", "this is no action", span, nearest::hint(written, &known));
        return None;
    };
    if let Some((other, ..)) = kinds.next() {
        let message = format!("`{kind}` and `{other}` are two actions");
        reader.error_hint("two-actions", message, node.span, "give each its own entry of the list");
        return None;
    }
    let entries = Entries { what, ..entries };
    reader.refuse_unknown(entries, keys);
    let inner = entries.get(kind)?;
    let kind = match *kind {
        "derive" => {
            let (template, fields) = read_fact(reader, inner, "`derive`")?;
            ActionKind::Derive { template, fields }
        }
        "assert" => {
            let (template, fields) = read_fact(reader, inner, "`assert`")?;
            ActionKind::Assert { template, fields }
        }
        "modify" => read_modify(reader, entries, inner)?,
        "retract" => ActionKind::Retract { variable: reader.identifier(inner, "a variable")? },
        "emit" => ActionKind::Emit(read_emit(reader, inner)?),
        _ => ActionKind::Stop { all: reader.word(inner, "`stop`", &[("phase", false), ("all", true)])? },
    };
    Some(Action { kind, span: node.span })
}

/// `{template: {field: expression}}`.
fn read_fact(reader: &mut Reader, node: &Node, what: &'static str) -> Option<(Name, Fields)> {
    let entries = reader.mapping(node, what)?;
    let [(key, fields)] = entries.entries else {
        let message = format!("{what} names one template, not {}", entries.entries.len());
        reader.error_hint("one-template", message, node.span, "write {template: {field: expression}}, one an action");
        return None;
    };
    let template = reader.key_identifier(key, "a template");
    let fields = read_values(reader, fields, "a fact");
    Some((template?, fields?))
}

/// `{field: expression}`.
fn read_values(reader: &mut Reader, node: &Node, what: &'static str) -> Option<Fields> {
    let entries = reader.mapping(node, what)?;
    let fields: Vec<_> = entries
        .entries
        .iter()
        .map(|(key, node)| {
            let name = reader.key_identifier(key, "a field");
            let value = read_value(reader, node);
            Some((name?, value?))
        })
        .collect();
    fields.into_iter().collect()
}

fn read_value(reader: &mut Reader, node: &Node) -> Option<FieldValue> {
    match &node.data {
        Data::Sequence(items) => {
            let values = reader.each(items, |reader, item| reader.expression(item, "an element"))?;
            Some(FieldValue::List(values, node.span))
        }
        _ => reader.expression(node, "the value of a field").map(FieldValue::One),
    }
}

fn read_modify(reader: &mut Reader, entries: Entries<'_>, inner: &Node) -> Option<ActionKind> {
    let variable = reader.identifier(inner, "a variable");
    let fields = reader.required(entries, "set").and_then(|node| {
        let fields = read_values(reader, node, "`set`")?;
        if fields.is_empty() {
            reader.error_hint("empty-list", "`set` is empty", node.span, "write set: {field: expression}");
            return None;
        }
        Some(fields)
    });
    Some(ActionKind::Modify { variable: variable?, fields: fields? })
}

fn read_emit(reader: &mut Reader, node: &Node) -> Option<Emit> {
    let entries = reader.entries(node, "an emit", &EMIT_KEYS)?;
    let before = reader.findings.len();
    let decision = reader.required(entries, "decision").and_then(|node| reader.plain_name(node, "a decision"));
    let code = reader.required(entries, "code").and_then(|node| reader.plain_name(node, "a code"));
    let subject = entries.get("subject").and_then(|node| reader.expression(node, "`subject`"));
    let message = entries.get("message").and_then(|node| {
        let text = reader.text(node, "`message`")?;
        Some(Name { text: text.to_owned(), span: node.span })
    });
    let message_column = entries.get("message").and_then(|node| node.text_column);
    let data = entries.get("data").and_then(|node| read_data(reader, node));
    let sticky = entries.get("sticky").and_then(|node| reader.bool(node, "`sticky`")).unwrap_or(false);
    let (decision, code) = (decision?, code?);
    let emit = Emit { decision, code, subject, message, message_column, data, sticky };
    (reader.findings.len() == before).then_some(emit)
}

fn read_data(reader: &mut Reader, node: &Node) -> Option<DataValue> {
    match &node.data {
        Data::Null => Some(DataValue::Null),
        Data::Sequence(items) => reader.each(items, read_data).map(DataValue::List),
        Data::Mapping(entries) => {
            let mut values = Vec::new();
            for (key, value) in entries {
                values.push(read_data(reader, value).map(|value| (key.name.clone(), value)));
            }
            let mut values = values.into_iter().collect::<Option<Vec<_>>>()?;
            values.sort_by(|(a, _), (b, _)| by_utf16(a, b));
            Some(DataValue::Map(values))
        }
        _ => reader.expression(node, "a value of `data`").map(DataValue::One),
    }
}
