//! A stratum whose matches are kept: each is an entry, and each fact counts what derives it.

use super::search::Bindings;
use super::{Engine, Halt};
use crate::model::{RuleSet, Stratum};
use crate::store::NONE;

impl Engine {
    /// Brings a stratum whose matches are kept up to date.
    pub(super) fn keep(&mut self, rules: &RuleSet, place: usize) -> Result<(), Halt> {
        let stratum: &Stratum = &rules.strata[place];
        while let Some(entry) = self.strata[place].suspects.pop() {
            self.review(entry)?;
        }
        for (at, &rule) in stratum.rules.iter().enumerate() {
            while let Some((body, pin, row)) = self.rule_states[rule as usize].fresh.pop() {
                let mut search = self.begin(rule, body, pin, row);
                while self.advance(&mut search)? {
                    self.keep_match(rules, place, at, body, &search.bindings)?;
                }
                self.spare.push(search);
            }
        }
        self.refuse_erring(rules, place)?;
        self.close(place)
    }

    fn keep_match(
        &mut self,
        rules: &RuleSet,
        place: usize,
        at: usize,
        body: u16,
        bindings: &Bindings,
    ) -> Result<(), Halt> {
        let rule = rules.strata[place].rules[at];
        if bindings.erring.is_some() {
            return self.erred(rules, rule, body, bindings);
        }
        let mut words = std::mem::take(&mut self.words);
        self.activation(&rules.rules[rule as usize], bindings, body, &mut words);
        let is_known = self.memory.find(rule, &words).is_some();
        self.words = words;
        if is_known {
            return Ok(());
        }
        let entry = self.remember(rules, rule, body, bindings);
        self.strata[place].counts[at] += 1;
        self.stats.derivations += 1;
        self.each_head(rules, rule, body, bindings, |engine, template, cells| {
            let row = match engine.tables[template as usize].equal_to(cells) {
                Some(row) => row,
                None => {
                    let row = engine.append(template, cells);
                    engine.record_derived(rule, body, (template, row), bindings)?;
                    engine.strata[place].born.push((template, row, rule));
                    engine.check_facts()?;
                    row
                }
            };
            *engine.supports.of(template, row) += 1;
            let next = engine.memory.entries[entry as usize].effect;
            engine.memory.entries[entry as usize].effect = engine.supports.links.len() as u32;
            engine.supports.links.push((template, row, next));
            Ok(())
        })
    }

    /// Takes back what an entry of a derive rule derived.
    pub(super) fn withdraw_derived(&mut self, rule: u32, effect: u32) {
        let stratum = self.stratum_of[rule as usize] as usize;
        self.strata[stratum].counts[self.place_in_stratum[rule as usize] as usize] -= 1;
        let mut link = effect;
        while link != NONE {
            let (template, row, next) = self.supports.links[link as usize];
            *self.supports.of(template, row) -= 1;
            self.strata[stratum].touched.push((template, row));
            link = next;
        }
    }

    /// Makes the changes of a stratum known, after all of them.
    fn close(&mut self, place: usize) -> Result<(), Halt> {
        let touched = std::mem::take(&mut self.strata[place].touched);
        let mut gone = Vec::new();
        for (template, row) in touched {
            let is_stated = self.is_stated(template, row);
            if !self.supports.is_supported(template, row) && !is_stated && self.tables[template as usize].is_alive(row)
            {
                self.kill(template, row);
                self.recorder.underived((template, row));
                gone.push((template, row));
            }
        }
        let born = std::mem::take(&mut self.strata[place].born);
        for &(template, row, rule) in &born {
            self.note_conflicts(template, row, rule, 1);
        }
        if self.is_initial {
            return Ok(());
        }
        for (template, row) in gone {
            self.removed(template, row);
        }
        for (template, row, _) in born {
            if self.tables[template as usize].is_alive(row) {
                self.added(template, row);
            }
        }
        self.strata[place].is_touched = false;
        Ok(())
    }
}
