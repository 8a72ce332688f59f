//! `when`: what a rule asks for. Knows the shapes of conditions, not what their names mean.

use super::reader::{Entries, Reader};
use super::{Condition, ConditionKind, Fold, FoldKind, Name, Pattern, nearest};
use crate::document::Node;

/// What makes a condition what it is, for messages and with the keys that go with it.
const KINDS: [(&str, &str, &[&str]); 8] = [
    ("match", "a match", &["match", "as", "where", "distinct"]),
    ("not", "a not", &["not"]),
    ("exists", "an exists", &["exists"]),
    ("forall", "a forall", &["forall", "satisfies"]),
    ("accumulate", "an accumulate", &["accumulate", "count", "sum", "min", "max", "avg", "collect"]),
    ("any", "an any", &["any"]),
    ("if", "an if", &["if"]),
    ("let", "a let", &["let"]),
];

/// In this order whatever the file's, since the order of keys means nothing.
const FOLDS: [(&str, FoldKind); 5] = [
    ("sum", FoldKind::Sum),
    ("min", FoldKind::Min),
    ("max", FoldKind::Max),
    ("avg", FoldKind::Avg),
    ("collect", FoldKind::Collect),
];

pub(super) fn read_conditions(reader: &mut Reader, node: &Node, what: &str) -> Option<Vec<Condition>> {
    let items = reader.filled_list(node, what)?;
    reader.each(items, read_condition)
}

fn read_condition(reader: &mut Reader, node: &Node) -> Option<Condition> {
    let entries = reader.mapping(node, "a condition")?;
    let mut kinds = KINDS.iter().filter(|(kind, ..)| entries.get(kind).is_some());
    let Some((kind, what, keys)) = kinds.next() else {
        let known: Vec<_> = KINDS.iter().map(|(kind, ..)| *kind).collect();
        let written = entries.entries.first().map_or("", |(key, _)| &key.name);
        let span = entries.entries.first().map_or(node.span, |(key, _)| key.span);
        reader.error_hint("unknown-condition", "this is no condition", span, nearest::hint(written, &known));
        return None;
    };
    if let Some((other, ..)) = kinds.next() {
        let message = format!("`{kind}` and `{other}` are two conditions");
        reader.error_hint("two-conditions", message, node.span, "give each its own entry of the list");
        return None;
    }
    let entries = Entries { what, ..entries };
    reader.refuse_unknown(entries, keys);
    let inner = entries.get(kind)?;
    let kind = match *kind {
        "match" => read_match(reader, entries)?,
        "not" => ConditionKind::Not(read_inner_pattern(reader, inner)?),
        "exists" => ConditionKind::Exists(read_inner_pattern(reader, inner)?),
        "forall" => read_forall(reader, entries, inner)?,
        "accumulate" => read_accumulate(reader, entries, inner)?,
        "any" => read_any(reader, inner)?,
        "if" => ConditionKind::If(reader.expression(inner, "`if`")?),
        _ => read_let(reader, inner)?,
    };
    Some(Condition { kind, span: node.span })
}

fn read_match(reader: &mut Reader, entries: Entries<'_>) -> Option<ConditionKind> {
    let pattern = read_pattern(reader, entries);
    let distinct = match entries.get("distinct") {
        Some(node) => Some(read_distinct(reader, node)?),
        None => None,
    };
    Some(ConditionKind::Match { pattern: pattern?, distinct })
}

fn read_distinct(reader: &mut Reader, node: &Node) -> Option<Vec<Name>> {
    let items = reader.filled_list(node, "`distinct`")?;
    let fields = reader.each(items, |reader, item| reader.identifier(item, "a field"))?;
    reader.refuse_repeated(&fields, "the field");
    Some(fields)
}

/// `{match, as, where}`.
fn read_inner_pattern(reader: &mut Reader, node: &Node) -> Option<Pattern> {
    let entries = reader.entries(node, "a pattern", &["match", "as", "where"])?;
    read_pattern(reader, entries)
}

fn read_pattern(reader: &mut Reader, entries: Entries<'_>) -> Option<Pattern> {
    let template = reader.required(entries, "match").and_then(|node| reader.identifier(node, "a template"));
    let variable = reader.required(entries, "as").and_then(|node| reader.identifier(node, "a variable"));
    let filter = match entries.get("where") {
        Some(node) => reader.expression(node, "`where`").map(Some),
        None => Some(None),
    };
    Some(Pattern { template: template?, variable: variable?, filter: filter?, span: entries.span })
}

fn read_forall(reader: &mut Reader, entries: Entries<'_>, inner: &Node) -> Option<ConditionKind> {
    let pattern = read_inner_pattern(reader, inner);
    let satisfies = reader.required(entries, "satisfies").and_then(|node| reader.expression(node, "`satisfies`"));
    Some(ConditionKind::Forall { pattern: pattern?, satisfies: satisfies? })
}

fn read_accumulate(reader: &mut Reader, entries: Entries<'_>, inner: &Node) -> Option<ConditionKind> {
    let pattern = read_inner_pattern(reader, inner);
    let count = match entries.get("count") {
        Some(node) => Some(reader.identifier(node, "a variable")?),
        None => None,
    };
    let folds: Vec<_> =
        FOLDS.iter().filter_map(|&(key, kind)| entries.get(key).map(|node| read_fold(reader, node, kind))).collect();
    let folds = folds.into_iter().collect::<Option<Vec<_>>>()?;
    if count.is_none() && folds.is_empty() {
        let hint = "add count: n, or sum, min, max, avg or collect: {of: .., as: n}";
        reader.error_hint("empty-accumulate", "an accumulate gives nothing", entries.span, hint);
        return None;
    }
    Some(ConditionKind::Accumulate { pattern: pattern?, count, folds })
}

fn read_fold(reader: &mut Reader, node: &Node, kind: FoldKind) -> Option<Fold> {
    let entries = reader.entries(node, "an aggregate", &["of", "as"])?;
    let of = reader.required(entries, "of").and_then(|node| reader.expression(node, "`of`"));
    let name = reader.required(entries, "as").and_then(|node| reader.identifier(node, "a variable"));
    Some(Fold { kind, of: of?, name: name? })
}

fn read_any(reader: &mut Reader, node: &Node) -> Option<ConditionKind> {
    let branches = reader.filled_list(node, "`any`")?;
    reader.each(branches, |reader, branch| read_conditions(reader, branch, "a branch of `any`")).map(ConditionKind::Any)
}

fn read_let(reader: &mut Reader, node: &Node) -> Option<ConditionKind> {
    let entries = reader.mapping(node, "`let`")?;
    if entries.entries.is_empty() {
        reader.error_hint("empty-list", "`let` is empty", node.span, "write let: {name: expression}");
        return None;
    }
    let bindings: Vec<_> = entries
        .entries
        .iter()
        .map(|(key, node)| {
            let name = reader.key_identifier(key, "a variable");
            let value = reader.expression(node, "a value of `let`");
            Some((name?, value?))
        })
        .collect();
    bindings.into_iter().collect::<Option<_>>().map(ConditionKind::Let)
}
