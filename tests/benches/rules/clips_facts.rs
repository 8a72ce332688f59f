//! Reads facts in the syntax of CLIPS, as `(line (p1 0) (p2 20000))`, into rows of text. Knows no template and no types.

use std::collections::HashSet;

/// One fact: its template, and the text of each slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) template: String,
    pub(crate) values: Vec<(String, String)>,
}

impl Row {
    pub(crate) fn new(template: &str, values: &[(&str, String)]) -> Self {
        let values = values.iter().map(|(field, value)| ((*field).to_owned(), value.clone())).collect();
        Self { template: template.to_owned(), values }
    }

    pub(crate) fn value(&self, field: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    }
}

/// All facts of a text, each once however often it is given, as CLIPS counts them; `None` if the text is not of facts.
pub(crate) fn read(text: &str) -> Option<Vec<Row>> {
    let mut seen = HashSet::new();
    let mut rows = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (row, after) = fact(rest)?;
        if seen.insert(row.clone()) {
            rows.push(row);
        }
        rest = after.trim_start();
    }
    Some(rows)
}

fn fact(text: &str) -> Option<(Row, &str)> {
    let (template, mut rest) = word(text.strip_prefix('(')?)?;
    let mut values = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(')') {
            return Some((Row { template: template.to_owned(), values }, after));
        }
        let (slot, after) = word(rest.strip_prefix('(')?)?;
        let (value, after) = word(after.trim_start())?;
        rest = after.trim_start().strip_prefix(')')?;
        values.push((slot.to_owned(), value.to_owned()));
    }
}

fn word(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|letter: char| letter.is_whitespace() || letter == '(' || letter == ')')?;
    (end > 0).then(|| text.split_at(end))
}
