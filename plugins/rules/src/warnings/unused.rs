//! Variables that nothing reads. The variable of an inner pattern is there because the format asks for it, and never counts.

use std::collections::HashSet;

use super::terms;
use super::view::{Role, RuleView, View, WriteKind};
use crate::diagnostic::Diagnostic;
use crate::file::Name;

pub(super) fn check(view: &View<'_>, found: &mut Vec<Diagnostic>) {
    for rule in &view.views {
        let read = read_names(rule);
        let mut warn = |name: &Name, what: &str, hint: &str| {
            if !read.contains(name.text.as_str()) {
                let message = format!("{what} `{}` is never read", name.text);
                found.push(
                    Diagnostic::warning("unused-variable", message, name.span)
                        .in_rule(&rule.rule.id.text)
                        .with_hint(hint),
                );
            }
        };
        for part in rule.parts() {
            if let Some(pattern) = part.pattern.filter(|_| part.role == Role::Match) {
                warn(&pattern.variable, "the matched fact", "ask with `exists` whether there is one, or join it");
            }
            for given in &part.gives {
                warn(given.name, "the value", "leave it out");
            }
        }
    }
}

/// Every name that the rule's expressions and actions read.
fn read_names<'v>(rule: &'v RuleView<'_>) -> HashSet<&'v str> {
    let mut read = HashSet::new();
    let mut expressions = Vec::new();
    for part in rule.parts() {
        expressions.extend(part.conjuncts.iter().map(|conjunct| &conjunct.expr));
        expressions.extend(&part.satisfies);
        expressions.extend(part.gives.iter().filter_map(|given| given.of.as_ref()));
    }
    for write in &rule.writes {
        if write.kind == WriteKind::Modify {
            read.insert(write.name.text.as_str());
        }
        expressions.extend(write.fields.iter().map(|(_, value)| value));
    }
    expressions.extend(&rule.emitted);
    read.extend(rule.retracts.iter().map(|name| name.text.as_str()));
    for expression in expressions {
        terms::each_name(expression, &mut |name| _ = read.insert(name));
    }
    read
}
