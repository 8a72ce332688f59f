//! `rules`: ids, phases, and that a rule either defines or acts.

use super::action::read_actions;
use super::condition::read_conditions;
use super::reader::{Entries, Reader, short};
use super::{Action, ActionKind, Name, Rule, nearest};
use crate::canonical::INT_MAX;
use crate::document::Node;

const RULE_KEYS: [&str; 5] = ["id", "when", "then", "phase", "salience"];

impl Rule {
    /// A definition that always holds: all its actions are `derive`.
    pub fn is_derive(&self) -> bool {
        self.then.iter().all(is_derive)
    }
}

fn is_derive(action: &Action) -> bool {
    matches!(action.kind, ActionKind::Derive { .. })
}

pub(super) fn read_rules(reader: &mut Reader, node: &Node, phases: Option<&[Name]>) -> Option<Vec<Rule>> {
    let items = reader.list(node, "`rules`")?;
    // All ids, also those of rules that are otherwise wrong.
    let mut ids = Vec::new();
    let rules = reader.each(items, |reader, item| {
        let rule = read_rule(reader, item, phases, &mut ids);
        reader.rule = None;
        rule
    });
    reader.refuse_repeated(&ids, "the rule");
    rules
}

fn read_rule(reader: &mut Reader, node: &Node, phases: Option<&[Name]>, ids: &mut Vec<Name>) -> Option<Rule> {
    let entries = reader.mapping(node, "a rule")?;
    let id = reader.required(entries, "id").and_then(|node| read_id(reader, node));
    reader.rule = id.as_ref().map(|id| id.text.clone());
    ids.extend(id.clone());
    reader.refuse_unknown(entries, &RULE_KEYS);
    let when = reader.required(entries, "when").and_then(|node| read_conditions(reader, node, "`when`"));
    let then = reader.required(entries, "then").and_then(|node| read_actions(reader, node));
    let phase = entries.get("phase").map(|node| reader.plain_name(node, "a phase"));
    let salience = match entries.get("salience") {
        Some(node) => reader.int(node, "`salience`", -INT_MAX, INT_MAX),
        None => Some(0),
    };
    let then = then?;
    check_kind(reader, entries, &then)?;
    if let Some(phases) = phases
        && !then.iter().all(is_derive)
    {
        check_phase(reader, entries, phase.as_ref().and_then(Option::as_ref), phases)?;
    }
    let phase = phase.map_or(Some(None), |phase| phase.map(Some));
    Some(Rule { id: id?, phase: phase?, salience: salience?, when: when?, then, span: node.span })
}

fn read_id(reader: &mut Reader, node: &Node) -> Option<Name> {
    const BYTES_MAX: usize = 128;
    let text = reader.text(node, "`id`")?;
    let is_kebab = text
        .split('-')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    if !is_kebab || text.len() > BYTES_MAX {
        let hint = "small letters, digits and single `-` between them, 128 at most: `reject-high-risk`";
        reader.error_hint("bad-rule-id", format!("`{}` is no id of a rule", short(text)), node.span, hint);
        return None;
    }
    Some(Name { text: text.to_owned(), span: node.span })
}

/// A derive rule only derives, and has no place in the order of firing.
fn check_kind(reader: &mut Reader, entries: Entries<'_>, then: &[Action]) -> Option<()> {
    let derives = then.iter().filter(|action| is_derive(action)).count();
    if derives == 0 {
        return Some(());
    }
    if let Some(other) = then.iter().find(|action| !is_derive(action)) {
        let hint = "split it in two rules: one that derives, one that acts";
        reader.error_hint("mixed-actions", "a rule that derives does nothing else", other.span, hint);
        return None;
    }
    let mut placed = entries.entries.iter().filter(|(key, _)| matches!(key.name.as_str(), "phase" | "salience"));
    let mut found = None;
    for (key, _) in placed.by_ref() {
        let message = format!("a rule that derives has no `{}`", key.name);
        reader.error_hint("derive-order", message, key.span, "definitions always hold, whatever the order");
        found = Some(());
    }
    if found.is_some() { None } else { Some(()) }
}

fn check_phase(reader: &mut Reader, entries: Entries<'_>, phase: Option<&Name>, phases: &[Name]) -> Option<()> {
    let known: Vec<_> = phases.iter().map(|phase| phase.text.as_str()).collect();
    match phase {
        Some(phase) if known.contains(&phase.text.as_str()) => Some(()),
        Some(phase) => {
            let hint =
                if known.is_empty() { "list it in `phases`".to_owned() } else { nearest::hint(&phase.text, &known) };
            reader.error_hint("unknown-phase", format!("there is no phase `{}`", phase.text), phase.span, hint);
            None
        }
        None if known.is_empty() || entries.get("phase").is_some() => Some(()),
        None => {
            let span = entries.get("id").map_or(entries.span, |id| id.span);
            let hint = format!("the phases are {}", known.join(", "));
            reader.error_hint("missing-phase", "this rule has no `phase`", span, hint);
            None
        }
    }
}
