//! Rule sets and facts in another order that means the same. Runs nothing.

use rules_plugin::document::{self, Data, Node};

/// Orders that a seed gives (splitmix64).
pub(crate) struct Orders(pub(crate) u64);

impl Orders {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
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

/// The same rule set, its keys in another order. Columns of tables take the values of their rows with them.
pub(crate) fn shuffled_source(source: &str, orders: &mut Orders) -> String {
    let mut root = document::parse(source.as_bytes()).unwrap_or_else(|found| panic!("{found:#?}"));
    shuffle_keys(&mut root, orders);
    if let Data::Mapping(entries) = &mut root.data {
        let tables = entries.iter_mut().filter(|(key, _)| key.name == "tables").map(|(_, tables)| tables);
        // The keys of `columns` are shuffled already: the rows follow.
        let written = document::parse(source.as_bytes()).unwrap_or_else(|found| panic!("{found:#?}"));
        tables.for_each(|tables| follow_columns(tables, &written));
    }
    let mut text = String::new();
    write_node(&root, &mut text);
    text
}

fn follow_columns(tables: &mut Node, written: &Node) {
    let Data::Mapping(tables) = &mut tables.data else { return };
    for (name, table) in tables {
        let before = written.get("tables").and_then(|tables| tables.get(&name.name)?.get("columns"));
        let (before, after) = (names(before), names(table.get("columns")));
        let place = |name: &String| before.iter().position(|known| known == name).expect("a column keeps its name");
        let order: Vec<usize> = after.iter().map(place).collect();
        let Data::Mapping(parts) = &mut table.data else { continue };
        for (part, rows) in parts {
            if let (true, Data::Sequence(rows)) = (part.name == "rows", &mut rows.data) {
                rows.iter_mut().for_each(|row| reorder(row, &order));
            }
        }
    }
}

fn names(columns: Option<&Node>) -> Vec<String> {
    match columns.map(|node| &node.data) {
        Some(Data::Mapping(columns)) => columns.iter().map(|(key, _)| key.name.clone()).collect(),
        _ => Vec::new(),
    }
}

fn reorder(row: &mut Node, order: &[usize]) {
    if let Data::Sequence(values) = &mut row.data {
        *values = order.iter().map(|&place| values[place].clone()).collect();
    }
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

/// Rows, tables and keys in another order.
pub(crate) fn shuffled_facts(node: &Node, orders: &mut Orders) -> Node {
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
