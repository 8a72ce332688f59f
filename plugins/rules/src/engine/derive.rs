//! Derive rules: each stratum brought to its fixpoint, set at a time, and kept there when facts change.
//!
//! A stratum that the agenda may change and that is not recursive keeps its matches (`keep.rs`) and counts what supports
//! each fact. Any other is evaluated semi-naively: only matches with a new fact are looked for; after a removal it is
//! evaluated anew beside what is there (`rebuild.rs`), and the difference is what changed.

use std::collections::HashSet;
use std::rc::Rc;

use super::search::Bindings;
use super::truth::Matched;
use super::{Engine, Halt, LimitKind, RunError};
use crate::model::{Action, Listener, ListenerKind, Rule, RuleSet};
use crate::plan::Pin;
use crate::store::NONE;

/// Two facts of one key.
#[derive(Clone, Copy, Debug)]
pub struct Conflict {
    pub template: u16,
    pub rows: (u32, u32),
    pub rule: u32,
}

#[derive(Debug, Default)]
pub(super) struct StratumState {
    pub(super) is_touched: bool,
    pub(super) needs_rebuild: bool,
    /// Rows of each template that were taken into account.
    pub(super) seen: Vec<u32>,
    /// For each rule of the stratum, its matches.
    pub(super) counts: Vec<u64>,
    /// Activations of rules whose matches can be found more than once.
    pub(super) found: HashSet<Vec<u32>>,
    /// Activations that may hold by nothing but matches that err: the rule, then the activation.
    pub(super) erring: Vec<Vec<u32>>,
    pub(super) suspects: Vec<u32>,
    /// Facts whose support changed, of strata that count it.
    pub(super) touched: Vec<(u16, u32)>,
    pub(super) born: Vec<(u16, u32, u32)>,
}

impl StratumState {
    pub(super) fn clear(&mut self) {
        self.is_touched = false;
        self.needs_rebuild = false;
        self.seen.clear();
        self.counts.clear();
        self.found.clear();
        self.erring.clear();
        self.suspects.clear();
        self.touched.clear();
        self.born.clear();
    }

    /// Of what grows with the matches of a run.
    pub(super) fn bytes(&self) -> usize {
        ACTIVATION_BYTES * (self.found.len() + self.erring.len())
    }
}

/// About what an activation takes that is kept by itself.
const ACTIVATION_BYTES: usize = 64;

/// What supports derived facts, where it is counted.
#[derive(Debug, Default)]
pub(super) struct Supports {
    counts: Vec<Vec<u32>>,
    /// Facts that entries derived: template, row, next of the entry.
    pub(super) links: Vec<(u16, u32, u32)>,
    pub(super) conflicts: Vec<Conflict>,
}

impl Supports {
    pub(super) fn clear(&mut self, templates: usize) {
        self.counts.resize_with(templates, Vec::new);
        self.counts.iter_mut().for_each(Vec::clear);
        self.links.clear();
        self.conflicts.clear();
    }

    pub(super) fn of(&mut self, template: u16, row: u32) -> &mut u32 {
        let counts = &mut self.counts[template as usize];
        if counts.len() <= row as usize {
            counts.resize(row as usize + 1, 0);
        }
        &mut counts[row as usize]
    }

    pub(super) fn is_supported(&mut self, template: u16, row: u32) -> bool {
        *self.of(template, row) > 0
    }
}

/// Bytes are looked at once in so many new facts.
const FACTS_BETWEEN_LOOKS: u64 = 4096;

impl Engine {
    /// Brings all derive rules to their fixpoint.
    pub(super) fn fixpoint(&mut self) -> Result<(), Halt> {
        let rules = Rc::clone(&self.rules);
        if self.is_initial {
            return self.first_fixpoint(&rules);
        }
        self.hand_out_suspects();
        for place in 0..rules.strata.len() {
            if !self.strata[place].is_touched && self.strata[place].suspects.is_empty() {
                continue;
            }
            self.strata[place].is_touched = false;
            let stratum = &rules.strata[place];
            match stratum.keeps_matches() {
                true => self.keep(&rules, place)?,
                false if self.strata[place].needs_rebuild => self.rebuild(&rules, place)?,
                false => self.extend(&rules, place)?,
            }
            self.hand_out_suspects();
        }
        self.refuse_conflicts(&rules)
    }

    fn first_fixpoint(&mut self, rules: &RuleSet) -> Result<(), Halt> {
        for template in 0..self.tables.len() as u16 {
            self.count_all(rules, template);
        }
        for (place, stratum) in rules.strata.iter().enumerate() {
            self.strata[place].counts.resize(stratum.rules.len(), 0);
            if stratum.keeps_matches() {
                for &rule in &stratum.rules {
                    self.wake_bodies(rules, rule);
                }
                self.keep(rules, place)?;
            } else {
                let everything = vec![0; self.tables.len()];
                self.rounds(rules, place, everything, true)?;
                self.strata[place].seen = self.lengths();
            }
            for &head in &stratum.heads {
                self.count_all(rules, head);
            }
        }
        self.is_initial = false;
        self.strata.iter_mut().for_each(|stratum| stratum.is_touched = false);
        for &rule in &rules.agenda {
            self.wake_bodies(rules, rule);
        }
        self.refuse_conflicts(rules)
    }

    /// Counts the facts of a template where they are all new.
    fn count_all(&mut self, rules: &RuleSet, template: u16) {
        let live = self.tables[template as usize].live;
        for group in &rules.alphas.groups[template as usize] {
            if group.columns.is_empty() {
                for &alpha in &group.alphas {
                    let known = self.alpha_counts[alpha as usize];
                    self.alpha_counts[alpha as usize] = live;
                    if known == 0 && live > 0 {
                        self.fill_positions(rules, alpha);
                    }
                }
                continue;
            }
            for &alpha in &group.alphas {
                self.alpha_counts[alpha as usize] = 0;
            }
        }
        for group in rules.alphas.groups[template as usize].iter().filter(|group| !group.columns.is_empty()) {
            let mut filled = Vec::new();
            let table = &self.tables[template as usize];
            for row in table.living() {
                if let Some(alpha) = rules.alphas.in_group(group, table.row(row)) {
                    let count = &mut self.alpha_counts[alpha as usize];
                    if *count == 0 {
                        filled.push(alpha);
                    }
                    *count += 1;
                }
            }
            for alpha in filled {
                self.fill_positions(rules, alpha);
            }
        }
    }

    /// Positions that wait for an alpha have a fact now.
    fn fill_positions(&mut self, rules: &RuleSet, alpha: u32) {
        for listener in rules.alphas.listeners(alpha) {
            if let ListenerKind::Position(_) = listener.kind {
                self.zeros[self.body_base[listener.rule as usize] as usize + listener.body as usize] -= 1;
            }
        }
    }

    fn wake_bodies(&mut self, rules: &RuleSet, rule: u32) {
        for body in 0..rules.rules[rule as usize].bodies.len() as u16 {
            if self.zeros[self.body_id(rule, body) as usize] == 0 {
                self.wake(rule, body, Pin::Nothing, None);
            }
        }
    }

    pub(super) fn lengths(&self) -> Vec<u32> {
        self.tables.iter().map(crate::store::Table::len).collect()
    }

    pub(super) fn note_stratum_change(&mut self, rules: &RuleSet, listener: Listener, is_added: bool) {
        let stratum = self.stratum_of[listener.rule as usize] as usize;
        let body = &rules.rules[listener.rule as usize].bodies[listener.body as usize];
        let is_monotone = match listener.kind {
            ListenerKind::Position(place) => body.positions[place as usize].distinct.is_none(),
            ListenerKind::Step(_) => false,
        };
        self.strata[stratum].is_touched = true;
        self.strata[stratum].needs_rebuild |= !is_added || !is_monotone;
    }

    fn hand_out_suspects(&mut self) {
        if self.suspects.is_empty() {
            return;
        }
        let mut kept = Vec::new();
        for entry in std::mem::take(&mut self.suspects) {
            match self.stratum_of[self.memory.entries[entry as usize].rule as usize] {
                NONE => kept.push(entry),
                stratum => self.strata[stratum as usize].suspects.push(entry),
            }
        }
        self.suspects = kept;
    }

    /// A fact of a derived template was stated or given up, so that what derives it has to be looked at again.
    pub(super) fn head_changed(&mut self, template: u16) {
        for place in 0..self.rules.strata.len() {
            let stratum = &self.rules.strata[place];
            if stratum.heads.contains(&template) && !stratum.keeps_matches() {
                self.strata[place].is_touched = true;
                self.strata[place].needs_rebuild = true;
            }
        }
    }

    /// Matches with facts that are new since the stratum was evaluated.
    fn extend(&mut self, rules: &RuleSet, place: usize) -> Result<(), Halt> {
        let seen = std::mem::take(&mut self.strata[place].seen);
        let before = self.lengths();
        self.rounds(rules, place, seen, false)?;
        self.strata[place].seen = self.lengths();
        for &head in &rules.strata[place].heads {
            for row in before[head as usize]..self.tables[head as usize].len() {
                self.added(head, row);
            }
        }
        // What the stratum itself gave is no reason to look at it again.
        self.strata[place].is_touched = false;
        self.strata[place].needs_rebuild = false;
        Ok(())
    }

    /// Facts of a new fact's key that are not like it: those that are still there at the fixpoint end the run.
    pub(super) fn note_conflicts(&mut self, template: u16, row: u32, rule: u32, max: usize) {
        let table = &self.tables[template as usize];
        let others = table.others_of_key(table.row(row), max);
        let conflicts = others.into_iter().map(|other| Conflict { template, rows: (other, row), rule });
        self.supports.conflicts.extend(conflicts);
    }

    /// Rounds of a semi-naive evaluation: rows before `low` are old, those behind are new.
    pub(super) fn rounds(
        &mut self,
        rules: &RuleSet,
        place: usize,
        mut low: Vec<u32>,
        is_first: bool,
    ) -> Result<(), Halt> {
        let stratum = &rules.strata[place];
        let mut high = self.lengths();
        if is_first {
            for at in 0..stratum.rules.len() {
                self.whole(rules, place, at, &high)?;
            }
            if !stratum.is_recursive {
                return self.refuse_erring(rules, place);
            }
            low.clone_from(&high);
            high = self.lengths();
        }
        let mut depth = 0;
        while low != high {
            depth += 1;
            if depth > self.budget.depth_max {
                return Err(Halt::Limit(LimitKind::Depth));
            }
            for at in 0..stratum.rules.len() {
                self.round(rules, place, at, (&low, &high))?;
            }
            low.clone_from(&high);
            high = self.lengths();
        }
        self.refuse_erring(rules, place)
    }

    /// All matches of a rule.
    fn whole(&mut self, rules: &RuleSet, place: usize, at: usize, high: &[u32]) -> Result<(), Halt> {
        let stratum = &rules.strata[place];
        let rule = stratum.rules[at];
        for (body_place, body) in rules.rules[rule as usize].bodies.iter().enumerate() {
            let is_hopeless = body.positions.iter().any(|position| {
                !stratum.heads.contains(&position.template) && self.alpha_counts[position.alpha as usize] == 0
            });
            if is_hopeless {
                continue;
            }
            let mut search = self.begin(rule, body_place as u16, Pin::Nothing, None);
            if stratum.is_recursive {
                search.ends.extend(body.positions.iter().map(|position| high[position.template as usize]));
            }
            while self.advance(&mut search)? {
                self.derive(rules, place, at, search.body, &search.bindings)?;
            }
            self.spare.push(search);
        }
        Ok(())
    }

    /// Matches of a rule with a new row: at the first position that has one, so that each is found once.
    fn round(&mut self, rules: &RuleSet, place: usize, at: usize, (low, high): (&[u32], &[u32])) -> Result<(), Halt> {
        let rule = rules.strata[place].rules[at];
        for (body_place, body) in rules.rules[rule as usize].bodies.iter().enumerate() {
            for (pinned, position) in body.positions.iter().enumerate() {
                let template = position.template as usize;
                if low[template] == high[template] {
                    continue;
                }
                let pin = Pin::Position(pinned as u16);
                let mut search = self.begin(rule, body_place as u16, pin, None);
                search.ends.extend(body.positions.iter().enumerate().map(|(other, position)| {
                    let bounds = if other < pinned { low } else { high };
                    bounds[position.template as usize]
                }));
                for row in low[template]..high[template] {
                    search.again((position.template, row));
                    while self.advance(&mut search)? {
                        self.derive(rules, place, at, search.body, &search.bindings)?;
                    }
                }
                self.spare.push(search);
            }
        }
        Ok(())
    }

    /// Takes one match of a derive rule.
    fn derive(&mut self, rules: &RuleSet, place: usize, at: usize, body: u16, bindings: &Bindings) -> Result<(), Halt> {
        let rule = rules.strata[place].rules[at];
        let description = &rules.rules[rule as usize];
        if bindings.erring.is_some() {
            return self.erred(rules, rule, body, bindings);
        }
        if self.kinds[rule as usize].is_loose {
            let mut words = Vec::new();
            self.activation(description, bindings, body, &mut words);
            words.push(rule);
            if !self.strata[place].found.insert(words) {
                return Ok(());
            }
        }
        self.strata[place].counts[at] += 1;
        self.stats.derivations += 1;
        self.each_head(rules, rule, body, bindings, |engine, template, cells| {
            let hash = engine.tables[template as usize].key_hash(cells);
            if !engine.is_known(rule, template, hash, cells) {
                let row = engine.append_hashed(template, hash, cells);
                engine.record_derived(rule, body, (template, row), bindings)?;
                engine.check_facts()?;
                if engine.facts % FACTS_BETWEEN_LOOKS == 0 {
                    engine.check_bytes()?;
                }
            }
            Ok(())
        })
    }

    /// A match of a derive rule errs: that ends the run, unless another match may give the same activation.
    #[cold]
    pub(super) fn erred(&mut self, rules: &RuleSet, rule: u32, body: u16, bindings: &Bindings) -> Result<(), Halt> {
        if self.kinds[rule as usize].is_loose {
            let mut words = Vec::new();
            self.activation(&rules.rules[rule as usize], bindings, body, &mut words);
            self.put_aside(rule, &words);
            return Ok(());
        }
        self.refuse_errors(rules, rule, body, bindings)
    }

    fn refuse_errors(&self, rules: &RuleSet, rule: u32, body: u16, bindings: &Bindings) -> Result<(), Halt> {
        match &bindings.erring {
            Some(erring) => Err(self.condition_error(rules, rule, body, bindings, erring)),
            None => Ok(()),
        }
    }

    /// An activation that errs, until all facts of its stratum are there.
    pub(super) fn put_aside(&mut self, rule: u32, words: &[u32]) {
        let activation = std::iter::once(rule).chain(words.iter().copied()).collect();
        self.strata[self.stratum_of[rule as usize] as usize].erring.push(activation);
    }

    /// Ends the run if an activation of a stratum holds by nothing but matches that err.
    pub(super) fn refuse_erring(&mut self, rules: &RuleSet, place: usize) -> Result<(), Halt> {
        for activation in std::mem::take(&mut self.strata[place].erring) {
            let rule = activation[0];
            match self.matched(rules, rule, &activation[1..])? {
                Matched::No => {}
                Matched::Yes(search) => self.spare.push(search),
                Matched::Erring(body, bindings) => self.refuse_errors(rules, rule, body, &bindings)?,
            }
        }
        Ok(())
    }

    /// Whether a derived fact is there already; one of its key that differs is noted.
    fn is_known(&mut self, rule: u32, template: u16, hash: u64, cells: &[u64]) -> bool {
        let table = &self.tables[template as usize];
        let Some(row) = table.with_key_hashed(hash, cells) else { return false };
        if table.is_all_key() || table.row(row) == cells || table.equal_to(cells).is_some() {
            return true;
        }
        let new = table.len();
        self.supports.conflicts.push(Conflict { template, rows: (row, new), rule });
        false
    }

    /// Computes what a match derives.
    pub(super) fn each_head(
        &mut self,
        rules: &RuleSet,
        rule: u32,
        body: u16,
        bindings: &Bindings,
        mut each: impl FnMut(&mut Self, u16, &[u64]) -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        let description: &Rule = &rules.rules[rule as usize];
        for action in &description.actions {
            let Action::Derive { template, cells: sources } = action else { continue };
            let mut cells = std::mem::take(&mut self.cells);
            cells.clear();
            let made = self.make_cells(rules, rule, body, bindings, *template, sources, &mut cells);
            let result = made.and_then(|()| each(self, *template, &cells));
            self.cells = cells;
            result?;
        }
        Ok(())
    }

    pub(super) fn is_stated(&self, template: u16, row: u32) -> bool {
        match &self.tables[template as usize].stamps {
            Some(stamps) => stamps[row as usize] != 0,
            None => !self.rules.derived[template as usize],
        }
    }

    fn refuse_conflicts(&mut self, rules: &RuleSet) -> Result<(), Halt> {
        if self.supports.conflicts.is_empty() {
            return Ok(());
        }
        let conflicts = std::mem::take(&mut self.supports.conflicts);
        for conflict in conflicts {
            let table = &self.tables[conflict.template as usize];
            let (left, right) = conflict.rows;
            if left >= table.len() || right >= table.len() || !table.is_alive(left) || !table.is_alive(right) {
                continue;
            }
            let mut facts = [self.fact_text(conflict.template, left), self.fact_text(conflict.template, right)];
            facts.sort();
            let name = &rules.schema.templates[conflict.template as usize].name;
            return Err(Halt::Error(Box::new(RunError {
                code: "conflict",
                rule: Some(conflict.rule),
                bindings: Vec::new(),
                message: format!("two facts of one key of `{name}`: {} and {}", facts[0], facts[1]),
            })));
        }
        Ok(())
    }

    /// The matches of a derive rule that hold.
    pub(super) fn matches_of(&self, rule: u32) -> u64 {
        let (stratum, at) = (self.stratum_of[rule as usize], self.place_in_stratum[rule as usize]);
        let counts = self.strata.get(stratum as usize).map(|stratum| &stratum.counts);
        counts.and_then(|counts| counts.get(at as usize)).copied().unwrap_or_default()
    }
}
