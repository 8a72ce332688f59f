//! Rule sets, with facts that make them work: the examples, some of our own, and random ones. Runs nothing.

use std::path::Path;

use rules_plugin::document::{self, Node};
use rules_plugin::load::Loaded;
use rules_plugin::rows::write_row;

use super::generator;

pub(crate) struct Case {
    pub(crate) source: String,
    /// Facts of one run each, by template.
    pub(crate) given: Vec<Node>,
}

/// Joins, texts, sums of doubles, modifies, and ties that only the canonical order breaks.
const OWN: [(&str, &str); 3] = [
    (
        "
facts:
  item: {origin: input, key: [id], fields: {id: int, group: string, price: double, tags: list<string>}}
  rate: {origin: input, key: [group], fields: {group: string, factor: double}}
  total: {origin: output, key: [group], fields: {group: string, sum: double, mean: double, ids: list<int>, top: double}}
  pair: {origin: output, fields: {a: int, b: int, both: string}}
rules:
  - id: total
    when:
      - {match: rate, as: r}
      - {accumulate: {match: item, as: i, where: i.group == r.group}, sum: {of: i.price * r.factor, as: sum}, avg: {of: i.price, as: mean}, collect: {of: i.id, as: ids}, max: {of: i.price, as: top}}
    then: [{derive: {total: {group: r.group, sum: sum, mean: mean, ids: ids, top: top}}}]
  - id: pair
    when: [{match: item, as: a}, {match: item, as: b, where: b.group == a.group && b.id > a.id}]
    then: [{derive: {pair: {a: a.id, b: b.id, both: 'a.group + b.tags[0]'}}}]
  - id: say
    when: [{match: item, as: i, where: i.price > 10.0}]
    then: [{emit: {decision: dear, code: DEAR, subject: i.group, message: '{i.id}: {i.price}', data: {tags: i.tags, id: i.id}}}]
",
        "[{id: 1, group: a, price: 0.1, tags: [x]}, {id: 2, group: a, price: 1.0e16, tags: [y, x]}, {id: 3, group: a, price: -1.0e16, tags: [z]}, {id: 4, group: b, price: 12.5, tags: ['']}, {id: 5, group: b, price: 0.2, tags: [ü]}, {id: 6, group: b, price: 0.3, tags: [x]}, {id: 7, group: c, price: 99.0, tags: [w]}]",
    ),
    (
        "
decisions: {combine: first}
facts:
  item: {origin: input, key: [id], fields: {id: int, group: string, price: double, tags: list<string>}}
  taken: {origin: output, stated: true, key: [group], fields: {group: string, by: int, round: int}}
rules:
  - id: take
    when: [{match: item, as: i}, {not: {match: taken, as: t, where: t.group == i.group}}]
    then: [{assert: {taken: {group: i.group, by: i.id, round: 1}}}]
  - id: grow
    when: [{match: taken, as: t, where: t.round < 4}, {match: item, as: i, where: i.group == t.group && i.id != t.by}]
    then: [{modify: t, set: {round: t.round + 1, by: i.id}}]
  - id: drop
    salience: -1
    when: [{match: item, as: i, where: i.price < 0.15}]
    then: [{retract: i}, {emit: {decision: dropped, code: DROP, subject: string(i.id)}}]
  - id: any
    salience: -2
    when: [{match: item, as: i, distinct: [group]}]
    then: [{emit: {decision: seen, code: SEEN, message: 'group {i.group}'}}]
",
        "[{id: 1, group: a, price: 0.1, tags: []}, {id: 2, group: a, price: 0.5, tags: []}, {id: 3, group: b, price: 0.05, tags: []}, {id: 4, group: b, price: 2.0, tags: []}, {id: 5, group: a, price: 3.0, tags: []}, {id: 6, group: c, price: 0.0, tags: []}]",
    ),
    (
        "
facts:
  item: {origin: input, key: [id], fields: {id: int, group: string, price: double, tags: list<string>}}
  rate: {origin: input, fields: {group: string, level: {type: enum, values: [low, high]}}}
  near: {origin: derived, fields: {a: int, b: int}}
  linked: {origin: output, fields: {a: int, b: int}}
  count: {origin: output, stated: true, key: [], fields: {n: int, last: string}}
rules:
  - {id: near, when: [{match: item, as: a}, {match: item, as: b, where: b.id == a.id + 1}], then: [{derive: {near: {a: a.id, b: b.id}}}]}
  - {id: base, when: [{match: near, as: n}], then: [{derive: {linked: {a: n.a, b: n.b}}}]}
  - {id: step, when: [{match: linked, as: x}, {match: near, as: y, where: y.a == x.b}], then: [{derive: {linked: {a: x.a, b: y.b}}}]}
  - id: count
    when: [{match: item, as: i}, {accumulate: {match: linked, as: l, where: l.a == i.id}, count: n}]
    then: [{assert: {count: {n: n, last: 'i.group + string(i.id)'}}}]
",
        "[{id: 4, group: a, price: 0.1, tags: []}, {id: 2, group: a, price: 0.5, tags: []}, {id: 3, group: b, price: 0.05, tags: []}, {id: 1, group: b, price: 2.0, tags: []}, {id: 7, group: a, price: 3.0, tags: []}, {id: 6, group: c, price: 0.0, tags: []}]",
    ),
];

const RATES: &str = "[{group: a, factor: 3.3}, {group: b, factor: 0.1}, {group: d, factor: 1.0}]";

/// Rule sets that people wrote.
pub(crate) fn written() -> Vec<Case> {
    let examples = ["detections", "loan", "output-checks", "review-queue"].map(example);
    examples.into_iter().chain((0..OWN.len()).map(own)).collect()
}

fn example(name: &str) -> Case {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join("tests/fixtures/rules").exists());
    let folder = folder.expect("the fixtures lie in the checkout").join("tests/fixtures/rules");
    let path = folder.join(format!("{name}.rules.yaml"));
    let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {name}: {error}"));
    let file = rules_plugin::file::parse(source.as_bytes()).unwrap_or_else(|found| panic!("{found:#?}"));
    Case { source, given: file.tests.iter().filter_map(|test| test.given.clone()).collect() }
}

fn own(place: usize) -> Case {
    let (rules, items) = OWN[place];
    let given = match place {
        0 => format!("{{item: {items}, rate: {RATES}}}"),
        1 => format!("{{item: {items}}}"),
        _ => format!("{{item: {items}, rate: [{{group: a, level: low}}, {{group: a, level: high}}]}}"),
    };
    Case { source: format!("schema: rules/v1\nname: own\nversion: 1.0.0\n{rules}"), given: vec![node(&given)] }
}

/// A random rule set; none where the seed gives one that is refused.
pub(crate) fn random(seed: u64) -> Option<Case> {
    let program = generator::program(seed);
    let source = program.yaml();
    let loaded = Loaded::from_source(source.as_bytes(), "", || false).ok()?;
    let mut tables = Vec::new();
    for (template, rows) in program.given() {
        let schema = &loaded.rules.schema.templates[template];
        let mut text = format!("{}: [", schema.name);
        for (place, row) in rows.iter().enumerate() {
            text.push_str(if place > 0 { ", " } else { "" });
            write_row(&mut text, row, schema);
        }
        tables.push(text + "]");
    }
    Some(Case { source, given: vec![node(&format!("{{{}}}", tables.join(", ")))] })
}

fn node(text: &str) -> Node {
    document::parse(text.as_bytes()).unwrap_or_else(|found| panic!("{text}: {found:#?}"))
}
