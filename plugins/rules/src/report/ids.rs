//! The ids of facts: the syntax of a query with all key fields, and the number of the version. Reads tables only.

use std::collections::HashMap;

use crate::engine::Engine;

/// Names facts; versions are counted for a template when one of its facts is first named.
pub(crate) struct FactIds {
    /// For each template, the version of each row; empty where all are the first.
    versions: Vec<Option<Vec<u32>>>,
}

impl FactIds {
    pub(crate) fn new(engine: &Engine) -> Self {
        Self { versions: vec![None; engine.rules.schema.templates.len()] }
    }

    pub(crate) fn id(&mut self, engine: &Engine, template: u16, row: u32) -> String {
        let mut id = engine.fact_text(template, row);
        let version = self.version(engine, template, row);
        if version > 1 {
            id.push_str(&format!("#{version}"));
        }
        id
    }

    /// Counts the versions of a fact of stated templates, from 1.
    pub(crate) fn version(&mut self, engine: &Engine, template: u16, row: u32) -> u32 {
        let versions = self.versions[template as usize].get_or_insert_with(|| versions(engine, template));
        versions.get(row as usize).copied().unwrap_or(1)
    }
}

fn versions(engine: &Engine, template: u16) -> Vec<u32> {
    let (rules, table) = (&engine.rules, &engine.tables[template as usize]);
    let has_versions = rules.is_stamped(template) || rules.is_mixed(template as usize);
    if !has_versions || table.is_whole() {
        return Vec::new();
    }
    let key = &rules.schema.templates[template as usize].key;
    let mut counts: HashMap<Vec<u64>, u32> = HashMap::new();
    let version = |row: u32| {
        let count = counts.entry(key.iter().map(|&field| table.cell(row, field)).collect()).or_default();
        *count += 1;
        *count
    };
    (0..table.len()).map(version).collect()
}
