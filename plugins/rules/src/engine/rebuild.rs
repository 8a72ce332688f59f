//! A stratum evaluated anew in tables beside those that are there, which then take over the difference.

use std::collections::HashSet;

use super::{Engine, Halt};
use crate::model::RuleSet;

impl Engine {
    /// Evaluates a stratum anew in other tables and takes over the difference.
    pub(super) fn rebuild(&mut self, rules: &RuleSet, place: usize) -> Result<(), Halt> {
        let stratum = &rules.strata[place];
        self.strata[place].counts.fill(0);
        self.strata[place].found.clear();
        let facts = self.facts;
        // What is there now does not count while it is put together again.
        self.facts -= stratum.heads.iter().map(|&head| u64::from(self.tables[head as usize].live)).sum::<u64>();
        let conflicts = self.supports.conflicts.len();
        for &head in &stratum.heads {
            self.swap_in(head);
        }
        self.recorder.begin_rebuild();
        let result = self.rounds(rules, place, vec![0; self.tables.len()], true);
        if matches!(result, Err(Halt::Error(_))) {
            // The error names rows of the tables as they are now.
            return result;
        }
        for &head in &stratum.heads {
            std::mem::swap(&mut self.tables[head as usize], &mut self.scratch[head as usize]);
        }
        self.facts = facts;
        result?;
        let mut changes = Vec::new();
        let mut new = Vec::new();
        for &head in &stratum.heads {
            self.take_difference(head, &mut changes, &mut new);
        }
        // Those that were met name rows of the other tables.
        self.supports.conflicts.truncate(conflicts);
        for &(template, _, row) in &new {
            self.note_conflicts(template, row, stratum.rules[0], 1);
        }
        self.renumber_found(rules, place);
        self.record_rebuilt(rules, &new);
        self.strata[place].seen = self.lengths();
        for (template, row, is_added) in changes {
            if is_added { self.added(template, row) } else { self.removed(template, row) }
        }
        self.strata[place].is_touched = false;
        self.strata[place].needs_rebuild = false;
        Ok(())
    }

    /// Puts an empty table in the place of a head's; facts that were stated are in it.
    fn swap_in(&mut self, head: u16) {
        let place = head as usize;
        self.scratch[place].clear();
        std::mem::swap(&mut self.tables[place], &mut self.scratch[place]);
        let kept: Vec<(Vec<u64>, u32)> = match &self.scratch[place].stamps {
            None => Vec::new(),
            Some(stamps) => self.scratch[place]
                .living()
                .filter(|&row| stamps[row as usize] != 0)
                .map(|row| (self.scratch[place].row(row).to_vec(), stamps[row as usize]))
                .collect(),
        };
        for (cells, stamp) in kept {
            let row = self.append(head, &cells);
            if let Some(stamps) = &mut self.tables[place].stamps {
                stamps[row as usize] = stamp;
            }
        }
    }

    /// Makes a head's table hold what the scratch table holds.
    fn take_difference(&mut self, head: u16, changes: &mut Vec<(u16, u32, bool)>, built: &mut Vec<(u16, u32, u32)>) {
        let place = head as usize;
        let gone: Vec<u32> = self.tables[place]
            .living()
            .filter(|&row| self.scratch[place].equal_to(self.tables[place].row(row)).is_none())
            .collect();
        let new: Vec<(u32, Vec<u64>)> = self.scratch[place]
            .living()
            .map(|row| (row, self.scratch[place].row(row)))
            .filter(|(_, cells)| self.tables[place].equal_to(cells).is_none())
            .map(|(row, cells)| (row, cells.to_vec()))
            .collect();
        for row in gone {
            self.kill(head, row);
            self.recorder.underived((head, row));
            changes.push((head, row, false));
        }
        for (from, cells) in new {
            let row = self.append(head, &cells);
            built.push((head, from, row));
            changes.push((head, row, true));
        }
    }

    /// The rows of activations that were found in other tables are what they are here.
    fn renumber_found(&mut self, rules: &RuleSet, place: usize) {
        let heads = &rules.strata[place].heads;
        let mut renumbered = HashSet::with_capacity(self.strata[place].found.len());
        for mut words in std::mem::take(&mut self.strata[place].found) {
            let rule = &rules.rules[words.last().map_or(0, |&rule| rule as usize)];
            let exported = &rule.bodies[0].positions[..rule.exported as usize];
            for (word, position) in words.iter_mut().zip(exported) {
                if position.distinct.is_none() && heads.contains(&position.template) {
                    *word = self.row_of_rebuilt(position.template, *word);
                }
            }
            renumbered.insert(words);
        }
        self.strata[place].found = renumbered;
    }

    /// The row of a fact that was made in another table.
    fn row_of_rebuilt(&self, template: u16, row: u32) -> u32 {
        let (table, scratch) = (&self.tables[template as usize], &self.scratch[template as usize]);
        table.equal_to(scratch.row(row)).unwrap_or(row)
    }

    /// Facts that were made in other tables have rows now: template, row there, row here.
    fn record_rebuilt(&mut self, rules: &RuleSet, new: &[(u16, u32, u32)]) {
        let Some((mut rebuilt, mut reborn)) = self.recorder.end_rebuild() else { return };
        for &(template, from, row) in new {
            if let Some((rule, mut bindings)) = rebuilt.remove(&(template, from)) {
                let heads = &rules.strata[self.stratum_of[rule as usize] as usize].heads;
                for (_, template, row) in &mut bindings {
                    if heads.contains(template) {
                        *row = self.row_of_rebuilt(*template, *row);
                    }
                }
                self.recorder.derived(rule, (template, row), bindings);
            }
            if let Some(mut acted) = reborn.remove(&(template, from)) {
                let heads = &rules.strata[self.stratum_of[acted.rule as usize] as usize].heads;
                let positions = &rules.rules[acted.rule as usize].bodies[acted.body as usize].positions;
                for (row, position) in acted.rows.iter_mut().zip(positions) {
                    if heads.contains(&position.template) {
                        *row = self.row_of_rebuilt(position.template, *row);
                    }
                }
                self.recorder.born((template, row), acted);
            }
        }
    }
}
