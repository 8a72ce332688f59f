//! Two rules that write one key with nothing to say which of them wins.

use std::collections::{BTreeSet, HashMap};

use super::view::{View, Write, WriteKind};
use crate::diagnostic::Diagnostic;

/// Writers that no salience and no phase tells apart.
type Group = (usize, Option<(u32, i64)>);

struct Writer<'v, 'a> {
    rule: usize,
    write: &'v Write<'a>,
    /// Key fields that are constants, as a mask over the key, and the constants.
    mask: u64,
    constants: Vec<String>,
}

pub(super) fn check(view: &View<'_>, found: &mut Vec<Diagnostic>) {
    let mut groups: HashMap<Group, Vec<Writer<'_, '_>>> = HashMap::new();
    let mut order = Vec::new();
    for (place, rule) in view.views.iter().enumerate() {
        let resolved = &view.rules.rules[place];
        let rank = (!resolved.is_derive).then_some((resolved.phase, resolved.salience));
        for write in rule.writes.iter().filter(|write| write.kind != WriteKind::Modify) {
            let schema = &view.file.schema.templates[write.template];
            // Where the key is everything, two writers say the same.
            if schema.key.len() == schema.fields.len() {
                continue;
            }
            let group = groups.entry((write.template, rank)).or_insert_with(|| {
                order.push((write.template, rank));
                Vec::new()
            });
            group.push(writer(view, place, write));
        }
    }
    for group in order {
        check_group(view, &groups[&group], found);
    }
}

fn writer<'v, 'a>(view: &View<'_>, rule: usize, write: &'v Write<'a>) -> Writer<'v, 'a> {
    let schema = &view.file.schema.templates[write.template];
    let (mut mask, mut constants) = (0, Vec::new());
    for (place, &field) in schema.key.iter().enumerate() {
        let value = write.fields.iter().find(|(known, _)| *known == usize::from(field));
        if let Some(constant) = value.and_then(|(_, value)| view.constant(value)) {
            mask |= 1 << (place & 63);
            constants.push(format!("{constant:?}"));
        }
    }
    Writer { rule, write, mask, constants }
}

impl Writer<'_, '_> {
    /// The constants at some places of the key.
    fn at(&self, mask: u64) -> Vec<String> {
        let places = (0..64).filter(|place| self.mask >> place & 1 != 0);
        places.zip(&self.constants).filter(|(place, _)| mask >> place & 1 != 0).map(|(_, text)| text.clone()).collect()
    }
}

fn check_group(view: &View<'_>, writers: &[Writer<'_, '_>], found: &mut Vec<Diagnostic>) {
    let masks: BTreeSet<u64> = writers.iter().map(|writer| writer.mask).collect();
    // By mask of the writer, places looked at and the constants there: the first such writer.
    let mut seen: HashMap<(u64, u64, Vec<String>), usize> = HashMap::new();
    for (place, writer) in writers.iter().enumerate() {
        let agreeing = masks.iter().filter_map(|&mask| {
            let shared = mask & writer.mask;
            seen.get(&(mask, shared, writer.at(shared))).copied()
        });
        let other = agreeing.filter(|&other| is_clash(view, &writers[other], writer)).min();
        if let Some(other) = other {
            found.push(diagnostic(view, &writers[other], writer));
        }
        for &mask in &masks {
            let shared = mask & writer.mask;
            seen.entry((writer.mask, shared, writer.at(shared))).or_insert(place);
        }
    }
}

/// Two rules, and not the same constants in all other fields.
fn is_clash(view: &View<'_>, first: &Writer<'_, '_>, second: &Writer<'_, '_>) -> bool {
    if first.rule == second.rule {
        return false;
    }
    let schema = &view.file.schema.templates[first.write.template];
    let others = (0..schema.fields.len()).filter(|&field| !schema.key.contains(&(field as u16)));
    let value = |writer: &Writer<'_, '_>, field: usize| {
        let written = writer.write.fields.iter().find(|(known, _)| *known == field);
        written.map(|(_, value)| view.constant(value))
    };
    let mut others = others.map(|field| (value(first, field), value(second, field)));
    !others.all(|(first, second)| match (first, second) {
        (Some(Some(first)), Some(Some(second))) => first == second,
        (None, None) => true,
        _ => false,
    })
}

fn diagnostic(view: &View<'_>, first: &Writer<'_, '_>, second: &Writer<'_, '_>) -> Diagnostic {
    let (first_id, second_id) = (&view.file.rules[first.rule].id.text, &view.file.rules[second.rule].id.text);
    let template = view.template_name(second.write.template);
    let (message, hint) = match view.is_derive(second.rule) {
        true => (
            format!("`{first_id}` and `{second_id}` may derive different facts of one key of `{template}`"),
            "add what tells them apart to the key; two values of one key end the run with an error",
        ),
        false => (
            format!("`{first_id}` and `{second_id}` write the same key of `{template}` at the same salience"),
            "give them different saliences or phases, or add what tells them apart to the key",
        ),
    };
    Diagnostic::warning("two-writers", message, second.write.name.span).in_rule(second_id).with_hint(hint)
}
