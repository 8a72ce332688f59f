//! The same facts give the same outcome, bit for bit, in whatever order rows, tables and mapping keys arrive.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use proptest::prelude::*;
use rules_plugin::document::{self, Data, Node};
use rules_plugin::engine::{Decision, Engine};
use rules_plugin::load::Loaded;
use rules_plugin::rows::{Row, read_facts, write_row};

type Facts = Vec<(usize, Vec<Row>)>;

/// Orders that a seed gives (splitmix64).
struct Orders(u64);

impl Orders {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
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

/// Rule sets with facts that make them work.
fn cases() -> Vec<(String, Vec<Node>)> {
    let examples = ["detections", "loan", "output-checks", "review-queue"];
    let mut cases: Vec<(String, Vec<Node>)> = Vec::new();
    for name in examples {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/rules").join(format!("{name}.rules.yaml"));
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {name}: {error}"));
        let file = rules_plugin::file::parse(source.as_bytes()).unwrap_or_else(|found| panic!("{found:#?}"));
        let given = file.tests.iter().filter_map(|test| test.given.clone()).collect();
        cases.push((source, given));
    }
    for (place, (rules, items)) in OWN.iter().enumerate() {
        let source = format!("schema: rules/v1\nname: own\nversion: 1.0.0\n{rules}");
        let given = match place {
            0 => format!("{{item: {items}, rate: {RATES}}}"),
            1 => format!("{{item: {items}}}"),
            _ => format!("{{item: {items}, rate: [{{group: a, level: low}}, {{group: a, level: high}}]}}"),
        };
        cases.push((source, vec![document::parse(given.as_bytes()).unwrap_or_else(|found| panic!("{found:#?}"))]));
    }
    cases
}

/// Shuffles the keys of all mappings, and nothing else: the order of rules, conditions and actions is meaning.
fn shuffle_keys(node: &mut Node, orders: &mut Orders) {
    match &mut node.data {
        Data::Mapping(entries) => {
            orders.shuffle(entries);
            entries.iter_mut().for_each(|(_, value)| shuffle_keys(value, orders));
        }
        Data::Sequence(items) => items.iter_mut().for_each(|item| shuffle_keys(item, orders)),
        _ => {}
    }
}

/// The order of columns is that of a table's rows, and the order of fields is meaning where there is no key.
fn shuffle_file(root: &mut Node, orders: &mut Orders) {
    let Data::Mapping(entries) = &mut root.data else { return };
    for (key, value) in entries.iter_mut() {
        match (key.name.as_str(), &mut value.data) {
            ("tables", _) => {}
            ("facts", Data::Mapping(templates)) => {
                orders.shuffle(templates);
                templates.iter_mut().filter(|(_, template)| template.get("key").is_some()).for_each(|(_, template)| {
                    shuffle_keys(template, orders);
                });
            }
            _ => shuffle_keys(value, orders),
        }
    }
    orders.shuffle(entries);
}

/// JSON of a tree, which is YAML too.
fn write_node(node: &Node, out: &mut String) {
    match &node.data {
        Data::Null => out.push_str("null"),
        Data::Bool(value) => out.push_str(&value.to_string()),
        Data::Int(value) => out.push_str(&value.to_string()),
        Data::BigInt(text) => out.push_str(text),
        Data::Float(value) => out.push_str(&format!("{value:?}")),
        Data::String(text) => out.push_str(&serde_json::Value::from(text.as_str()).to_string()),
        Data::Sequence(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                out.push_str(if place > 0 { "," } else { "" });
                write_node(item, out);
            }
            out.push(']');
        }
        Data::Mapping(entries) => {
            out.push('{');
            for (place, (key, value)) in entries.iter().enumerate() {
                out.push_str(if place > 0 { "," } else { "" });
                out.push_str(&serde_json::Value::from(key.name.as_str()).to_string());
                out.push(':');
                write_node(value, out);
            }
            out.push('}');
        }
    }
}

/// All that a run says, as text in which the order of templates and fields does not show.
fn told(engine: &mut Engine, facts: &Facts) -> String {
    let ended = engine.begin_with_rows(facts);
    let mut text = format!("{ended:?}\n{:?}\n{:?}\n{:?}\n", engine.stats, engine.notes.all, engine.fired());
    let rules = Rc::clone(&engine.rules);
    let mut templates: Vec<_> = rules.schema.templates.iter().enumerate().collect();
    templates.sort_by_key(|(_, template)| &template.name);
    for (place, template) in templates {
        for row in engine.facts_of(place) {
            let mut json = String::new();
            write_row(&mut json, &engine.constants(place, row), template);
            let value: BTreeMap<String, serde_json::Value> =
                serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
            text.push_str(&format!("{} {value:?}\n", template.name));
        }
    }
    let decided = engine.decided().unwrap_or_else(|error| panic!("{error}"));
    for decision in &decided.all {
        let because: Vec<_> = decision.because.iter().map(|&(template, row)| engine.fact_text(template, row)).collect();
        text.push_str(&format!("{:?} {because:?}\n", Decision { because: Vec::new(), ..decision.clone() }));
    }
    text.push_str(&format!("{:?}\n", decided.result));
    text
}

fn load(source: &str) -> Loaded {
    Loaded::from_source(source.as_bytes(), "", || false).unwrap_or_else(|found| panic!("{source}\n{found:#?}"))
}

fn facts_of(node: &Node, loaded: &Loaded) -> Facts {
    read_facts(node, &loaded.rules.schema).unwrap_or_else(|found| panic!("{found:#?}"))
}

/// Rows, tables and keys in another order.
fn shuffled(node: &Node, orders: &mut Orders) -> Node {
    let mut node = node.clone();
    shuffle_keys(&mut node, orders);
    if let Data::Mapping(templates) = &mut node.data {
        for (_, rows) in templates {
            if let Data::Sequence(rows) = &mut rows.data {
                orders.shuffle(rows);
            }
        }
    }
    node
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_rows_tables_and_keys_means_nothing(seed in any::<u64>()) {
        let mut orders = Orders(seed);
        for (source, given) in cases() {
            let mut plain = load(&source);
            let mut root = document::parse(source.as_bytes()).unwrap_or_else(|found| panic!("{found:#?}"));
            shuffle_file(&mut root, &mut orders);
            let mut text = String::new();
            write_node(&root, &mut text);
            let mut other = load(&text);
            prop_assert_eq!(plain.rules.digest, other.rules.digest);
            for node in &given {
                let facts = facts_of(node, &plain);
                let expected = told(&mut plain.engine, &facts);
                let facts = facts_of(&shuffled(node, &mut orders), &other);
                let found = told(&mut other.engine, &facts);
                prop_assert_eq!(&expected, &found);
            }
        }
    }

    /// An engine that has run other facts before says the same as a new one.
    #[test]
    fn what_ran_before_means_nothing(seed in any::<u64>()) {
        let mut orders = Orders(seed);
        for (source, mut given) in cases() {
            let mut warm = load(&source);
            orders.shuffle(&mut given);
            for node in given.iter().chain(&given) {
                let facts = facts_of(node, &warm);
                let expected = told(&mut load(&source).engine, &facts);
                prop_assert_eq!(&expected, &told(&mut warm.engine, &facts));
            }
        }
    }
}
