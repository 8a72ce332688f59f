//! All matches of derive rules over the facts that are there now, for explanations. Changes no fact.

use super::acted::Acted;
use super::{Engine, Halt};
use crate::order::Order;
use crate::plan::Pin;

/// A match of a derive rule, with the facts that it derives and those that it rests on.
pub(crate) struct Derivation {
    pub(crate) rule: u32,
    pub(crate) body: u16,
    /// Template and row.
    pub(crate) heads: Vec<(u16, u32)>,
    /// By position of the body.
    pub(crate) rows: Vec<u32>,
    /// For each closed condition, the facts that it rests on.
    pub(crate) closed: Vec<(u16, Vec<u32>)>,
}

impl Engine {
    /// Calls `each` for every match of a derive rule.
    pub(crate) fn each_derivation(&mut self, rule: u32, mut each: impl FnMut(Derivation)) -> Result<(), Halt> {
        let rules = std::rc::Rc::clone(&self.rules);
        for body in 0..rules.rules[rule as usize].bodies.len() as u16 {
            let mut search = self.begin(rule, body, Pin::Nothing, None);
            while self.advance(&mut search)? {
                if search.bindings.erring.is_some() {
                    continue;
                }
                let mut heads = Vec::new();
                self.each_head(&rules, rule, body, &search.bindings, |engine, template, cells| {
                    heads.extend(engine.tables[template as usize].equal_to(cells).map(|row| (template, row)));
                    Ok(())
                })?;
                let closed = self.looked_at(rule, body, &search.bindings)?;
                let positions = &rules.rules[rule as usize].bodies[body as usize].positions;
                let rows = positions.iter().map(|position| search.bindings.rows[position.slot as usize]).collect();
                each(Derivation { rule, body, heads, rows, closed });
            }
            self.spare.push(search);
        }
        Ok(())
    }

    /// What a match over the facts that are there now rests on, by the rows of its positions.
    pub(crate) fn acted_again(&mut self, rule: u32, body: u16, rows: &[u32]) -> Result<Acted, Halt> {
        let rules = std::rc::Rc::clone(&self.rules);
        let description = &rules.rules[rule as usize];
        let mut bindings = self.bound_to(description, body, rows);
        let id = self.body_id(rule, body);
        if self.step_indexes[id as usize].is_none() {
            self.step_indexes[id as usize] = Some(self.plans.step_indexes(&rules, rule, body, id));
        }
        self.ensure_step_indexes(description, body, id);
        let steps = self.step_order(&rules, rule, body);
        self.aside(|engine| engine.with_maker(rule, body, |maker| maker.steps(&steps, &mut bindings, 0)))?;
        self.acted(rule, body, &bindings)
    }

    /// Does something with the work of one run at its disposal; the run's own count and notes stay as they are.
    pub(crate) fn with_fresh_work<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let work_max = self.budget.work_max;
        self.aside(|engine| {
            engine.heap.meter.reset(work_max);
            work(engine)
        })
    }

    /// The match of a firing, from 1, where firings are kept.
    pub(crate) fn firing(&self, firing: u64) -> Option<&Acted> {
        self.recorder.firings.get(usize::try_from(firing).ok()?.checked_sub(1)?)
    }

    /// Facts that firings stated, each with the firing's place.
    pub(crate) fn stated_facts(&self) -> Vec<((u16, u32), usize)> {
        let mut facts: Vec<_> = self.recorder.stated.iter().map(|(&fact, &firing)| (fact, firing)).collect();
        facts.sort_unstable();
        facts
    }

    /// Derived facts that may go again, each with the match that derived it first.
    pub(crate) fn born_facts(&self) -> Vec<((u16, u32), &Acted)> {
        let mut facts: Vec<_> = self.recorder.born.iter().map(|(&fact, acted)| (fact, acted)).collect();
        facts.sort_unstable_by_key(|&(fact, _)| fact);
        facts
    }

    pub(crate) fn firing_at(&self, place: usize) -> &Acted {
        &self.recorder.firings[place]
    }

    pub(crate) fn born_by(&self, fact: (u16, u32)) -> Option<&Acted> {
        self.recorder.born.get(&fact)
    }

    /// The canonical order of two facts of a template.
    pub(crate) fn compare_facts(&self, template: u16, left: u32, right: u32) -> std::cmp::Ordering {
        let key = &self.rules.schema.templates[template as usize].key;
        let (table, types) = (&self.tables[template as usize], &self.types[template as usize]);
        Order { fields: key, types }.compare(table.view(), &self.heap, left, right).then(left.cmp(&right))
    }
}
