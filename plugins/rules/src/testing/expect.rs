//! What a test expects beside what a run gave. Runs nothing.

use super::{Finished, entries, items, partial_rows, show};
use crate::document::{Data, Node};
use crate::engine::Decision;
use crate::explain::why;
use crate::file::Expect;
use crate::rows::Row;
use crate::schema::Constant;

impl Finished<'_> {
    /// Everything that was expected and is not so.
    ///
    /// # Errors
    /// An expectation that cannot be read.
    pub(super) fn compare(mut self, expect: &Expect) -> Result<Vec<String>, String> {
        let mut failures = Vec::new();
        if let Some(node) = &expect.facts {
            self.compare_facts(node, &mut failures)?;
        }
        if let Some(node) = &expect.absent {
            self.compare_absent(node, &mut failures)?;
        }
        if let Some(node) = &expect.exactly {
            self.compare_exactly(node, &mut failures)?;
        }
        if let Some(node) = &expect.decision {
            self.compare_decisions("the one decision", std::slice::from_ref(node), &mut failures);
        }
        if let Some(node) = &expect.decisions {
            self.compare_decisions("the decisions", items(node), &mut failures);
        }
        if let Some(node) = &expect.fired {
            self.compare_fired(node, &mut failures);
        }
        if let Some(node) = &expect.why {
            self.compare_why(node, &mut failures);
        }
        Ok(failures)
    }

    /// All facts of a template in canonical order.
    pub(super) fn rows(&self, template: usize) -> Vec<Row> {
        self.engine.facts_of(template).into_iter().map(|row| self.engine.constants(template, row)).collect()
    }

    fn compare_facts(&self, node: &Node, failures: &mut Vec<String>) -> Result<(), String> {
        for (template, expected) in partial_rows(node, &self.file.schema)? {
            let found = self.rows(template);
            for row in expected.iter().filter(|row| !found.iter().any(|found| agrees(row, found))) {
                let schema = &self.file.schema.templates[template];
                failures.push(format!(
                    "expected a fact of `{}`: {}\n{}",
                    schema.name,
                    show::row(row, schema),
                    show::nearest(row, &found, schema)
                ));
            }
        }
        Ok(())
    }

    fn compare_absent(&self, node: &Node, failures: &mut Vec<String>) -> Result<(), String> {
        for (template, expected) in partial_rows(node, &self.file.schema)? {
            let found = self.rows(template);
            for row in &expected {
                let schema = &self.file.schema.templates[template];
                let Some(present) = found.iter().find(|found| agrees(row, found)) else { continue };
                failures.push(format!(
                    "expected no fact of `{}`: {}\n  found: {}",
                    schema.name,
                    show::row(row, schema),
                    show::row(present, schema)
                ));
            }
        }
        Ok(())
    }

    fn compare_exactly(&self, node: &Node, failures: &mut Vec<String>) -> Result<(), String> {
        for (template, expected) in partial_rows(node, &self.file.schema)? {
            let found = self.rows(template);
            let pairs = pair(expected.len(), found.len(), |left, right| agrees(&expected[left], &found[right]));
            let schema = &self.file.schema.templates[template];
            let missing = expected.iter().zip(&pairs).filter(|(_, pair)| pair.is_none()).map(|(row, _)| row);
            let extra = (0..found.len()).filter(|place| !pairs.contains(&Some(*place))).map(|place| &found[place]);
            let (missing, extra): (Vec<_>, Vec<_>) = (missing.collect(), extra.collect());
            if missing.is_empty() && extra.is_empty() {
                continue;
            }
            let mut message = format!(
                "expected exactly {} of `{}`, found {}",
                show::count(expected.len(), "fact"),
                schema.name,
                found.len()
            );
            let lines = missing.iter().map(|row| ("expected", row)).chain(extra.iter().map(|row| ("found", row)));
            show::lines(&mut message, lines.map(|(what, row)| format!("{what}: {}", show::row(row, schema))));
            failures.push(message);
        }
        Ok(())
    }

    fn compare_decisions(&self, what: &str, expected: &[Node], failures: &mut Vec<String>) {
        let found: Vec<&Decision> = self.decided.result.iter().map(|&place| &self.decided.all[place]).collect();
        let pairs = pair(expected.len(), found.len(), |left, right| is_decision(&expected[left], found[right]));
        if expected.len() == found.len() && pairs.iter().all(Option::is_some) {
            return;
        }
        let mut message = format!("expected {what}: {}, found {}", expected.len(), found.len());
        let missing = expected.iter().zip(&pairs).filter(|(_, pair)| pair.is_none());
        let missing = missing.map(|(node, _)| format!("expected: {}", show::node(node)));
        let extra = (0..found.len()).filter(|place| !pairs.contains(&Some(*place)));
        let extra = extra.map(|place| format!("found: {}", show::decision(found[place])));
        show::lines(&mut message, missing.chain(extra));
        failures.push(message);
    }

    fn compare_why(&mut self, node: &Node, failures: &mut Vec<String>) {
        for (key, node) in entries(node) {
            let ids = items(node).iter().map(|item| if let Data::String(id) = &item.data { id.as_str() } else { "" });
            let expected = ids.collect::<Vec<_>>().join(", ");
            match why(&mut self.engine, &self.ended, &key.name) {
                Ok(found) if found.join(", ") == expected => {}
                Ok(found) => failures.push(format!(
                    "expected `{}` to hold because of [{expected}], it holds because of [{}]",
                    key.name,
                    found.join(", ")
                )),
                Err(error) => {
                    failures.push(format!("expected `{}` to hold because of [{expected}]: {}", key.name, error.message))
                }
            }
        }
    }

    fn compare_fired(&self, node: &Node, failures: &mut Vec<String>) {
        let fired = self.engine.fired();
        for (key, node) in entries(node) {
            let Data::Int(expected) = node.data else { continue };
            let is_rule = |rule: u32| self.engine.rules.rules[rule as usize].id == key.name;
            let found = fired.iter().find(|&&(rule, _)| is_rule(rule)).map_or(0, |&(_, count)| count);
            if i64::try_from(found) != Ok(expected) {
                failures.push(format!("expected `{}` to fire {expected} times, it fired {found} times", key.name));
            }
        }
    }
}

/// Every field that the expected row names has the value that it names.
pub(crate) fn agrees(expected: &Row, found: &Row) -> bool {
    expected.iter().zip(found).all(|(expected, found)| match (expected, found) {
        (None, _) => true,
        (Some(expected), Some(found)) => same(expected, found),
        (Some(_), None) => false,
    })
}

/// Equal values; NaN is itself.
pub(super) fn same(left: &Constant, right: &Constant) -> bool {
    match (left, right) {
        (Constant::Double(left), Constant::Double(right)) => left == right || (left.is_nan() && right.is_nan()),
        (Constant::List(left), Constant::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        _ => left == right,
    }
}

fn is_decision(expected: &Node, found: &Decision) -> bool {
    entries(expected).iter().all(|(key, node)| {
        let is = |found: Option<&str>| match &node.data {
            Data::Null => found.is_none(),
            Data::String(text) => found == Some(text),
            _ => false,
        };
        match key.name.as_str() {
            "decision" => is(Some(&found.decision)),
            "code" => is(Some(&found.code)),
            "subject" => is(found.subject.as_deref()),
            "message" => is(found.message.as_deref()),
            _ => is_json(node, found.data.as_deref().unwrap_or("null")),
        }
    })
}

fn is_json(expected: &Node, found: &str) -> bool {
    serde_json::from_str(found).is_ok_and(|found| is_value(expected, &found))
}

/// Equal as JSON: numbers by value, the order of keys aside.
fn is_value(expected: &Node, found: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (&expected.data, found) {
        (Data::Null, Value::Null) => true,
        (Data::Bool(expected), Value::Bool(found)) => expected == found,
        (Data::Int(expected), Value::Number(found)) => {
            found.as_i64().map_or_else(|| found.as_f64() == Some(*expected as f64), |found| found == *expected)
        }
        (Data::Float(expected), Value::Number(found)) => found.as_f64() == Some(*expected),
        (Data::String(expected), Value::String(found)) => expected == found,
        (Data::Sequence(expected), Value::Array(found)) => {
            expected.len() == found.len() && expected.iter().zip(found).all(|(left, right)| is_value(left, right))
        }
        (Data::Mapping(expected), Value::Object(found)) => {
            let is_there = |name: &str, node: &Node| found.get(name).is_some_and(|found| is_value(node, found));
            expected.len() == found.len() && expected.iter().all(|(key, node)| is_there(&key.name, node))
        }
        _ => false,
    }
}

/// As many pairs as there can be: for each on the left, its partner on the right.
pub(super) fn pair(left: usize, right: usize, is_pair: impl Fn(usize, usize) -> bool) -> Vec<Option<usize>> {
    let mut owners: Vec<Option<usize>> = vec![None; right];
    for place in 0..left {
        let mut visited = vec![false; right];
        augment(place, &is_pair, &mut owners, &mut visited);
    }
    let mut pairs = vec![None; left];
    for (place, owner) in owners.into_iter().enumerate() {
        if let Some(owner) = owner {
            pairs[owner] = Some(place);
        }
    }
    pairs
}

/// Finds a partner for one on the left, others moving on where they can. Without recursion: rows may be many.
fn augment(
    start: usize,
    is_pair: &impl Fn(usize, usize) -> bool,
    owners: &mut [Option<usize>],
    visited: &mut [bool],
) -> bool {
    // Who came to each partner, and the partner that they hold.
    let mut path: Vec<(usize, usize)> = vec![(start, 0)];
    while let Some((seeker, from)) = path.pop() {
        let next = (from..owners.len()).find(|&partner| !visited[partner] && is_pair(seeker, partner));
        let Some(partner) = next else { continue };
        visited[partner] = true;
        path.push((seeker, partner));
        match owners[partner] {
            Some(owner) => path.push((owner, 0)),
            None => {
                path.iter().for_each(|&(seeker, partner)| owners[partner] = Some(seeker));
                return true;
            }
        }
    }
    false
}
