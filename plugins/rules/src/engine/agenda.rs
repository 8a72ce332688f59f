//! The agenda: which activation fires next, found lazily, and which ones have ceased to hold.

use std::cmp::Ordering;
use std::rc::Rc;

use super::search::{Bindings, Erring, Search};
use super::{Engine, Halt, LimitKind, RunError, rule_key, step_key};
use crate::model::{Position, Rule, RuleSet};
use crate::order::Order;
use crate::plan::Pin;
use crate::store::{NONE, compare_values, hash_start, hash_word};
use crate::value::Value;

/// A search to be begun: the body, and the row (with its template) that it begins with.
pub(super) type Fresh = (u16, Pin, Option<(u16, u32)>);

/// Of a value in an activation, instead of its cell.
const UNKNOWN: u64 = 0x7b1f_e3a5_94c2_d80d;

/// So many searches at least are joined to one.
const JOINED_MIN: usize = 2;

/// What the agenda knows of a rule.
#[derive(Debug, Default)]
pub(super) struct RuleState {
    /// Searches to be begun.
    pub(super) fresh: Vec<Fresh>,
    /// Searches that stand at a match; a heap, the first one to fire on top.
    pub(super) heads: Vec<Head>,
    /// Counts changes that may have ended a match which a search stands at.
    pub(super) version: u32,
    /// The engine's count of new stamps when the heads were put in order.
    restamped: u64,
    pub(super) firings: u64,
    /// Among the agenda's rules.
    pub(super) place: u32,
    /// Something of it has changed in this run.
    pub(super) is_woken: bool,
}

#[derive(Debug)]
pub(super) struct Head {
    pub(super) search: Box<Search>,
    /// Of the rule's state when the search began: what it has bound and found to hold so far may be as old.
    begun: u32,
    /// Of the rule's state when the match was last known to hold.
    version: u32,
    /// How often the rule had fired when the match was found.
    firings: u64,
    /// The match has fired.
    is_spent: bool,
    /// The row of its first position.
    first: u32,
}

impl RuleState {
    #[expect(clippy::vec_box, reason = "as the engine keeps them")]
    pub(super) fn clear(&mut self, spare: &mut Vec<Box<Search>>) {
        self.fresh.clear();
        spare.extend(self.heads.drain(..).map(|head| head.search));
        self.version = 0;
        self.restamped = 0;
        self.firings = 0;
        self.is_woken = false;
    }
}

impl Engine {
    /// Fires until nothing is left. `true` if `stop: all` ended it.
    pub(super) fn run_agenda(&mut self) -> Result<(), Halt> {
        let rules = Rc::clone(&self.rules);
        let mut begin = 0;
        for phase in 0..rules.phase_ends.len() {
            let end = rules.phase_ends[phase] as usize;
            loop {
                self.settle()?;
                let Some(rule) = self.next_rule(&rules, begin, end)? else { break };
                match self.fire(&rules, rule, phase)? {
                    Flow::On => {}
                    Flow::NextPhase => break,
                    Flow::End => return self.settle(),
                }
            }
            begin = end;
        }
        self.settle()
    }

    /// Brings derive rules to their fixpoint and takes out what does not hold any more.
    pub(super) fn settle(&mut self) -> Result<(), Halt> {
        if !self.strata.is_empty() || self.is_initial {
            self.fixpoint()?;
        }
        while let Some(entry) = self.suspects.pop() {
            self.review(entry)?;
        }
        Ok(())
    }

    /// The first rule among some places of the agenda that has an activation.
    fn next_rule(&mut self, rules: &RuleSet, begin: usize, end: usize) -> Result<Option<u32>, Halt> {
        while let Some(place) = self.waiting.first_from(begin).filter(|&place| place < end) {
            let rule = rules.agenda[place];
            if self.find_head(rules, rule)? {
                return Ok(Some(rule));
            }
            self.waiting.remove(place);
        }
        Ok(None)
    }

    /// Whether the rule has an activation; it is then the first of its heads.
    fn find_head(&mut self, rules: &RuleSet, rule: u32) -> Result<bool, Halt> {
        if !self.rule_states[rule as usize].fresh.is_empty() {
            self.begin_fresh(rules, rule)?;
        }
        if self.kinds[rule as usize].is_mixed && self.rule_states[rule as usize].restamped != self.restamped {
            self.order_heads(rules, rule);
        }
        loop {
            let state = &self.rule_states[rule as usize];
            let Some(head) = state.heads.first() else { return Ok(false) };
            let is_current = head.version == state.version;
            if !head.is_spent
                && self.is_alive(rules, &head.search)
                && !self.has_fired(rules, rule)
                && (is_current || self.still_holds(rules, rule)?)
            {
                return Ok(true);
            }
            let head = self.pop_head(rules, rule);
            if let Some(head) = head {
                let idle = self.seek(rules, head.search, head.begun)?;
                self.spare.extend(idle);
            }
        }
    }

    /// Puts a rule's heads in order again after facts got new stamps. All of them stand: those that died are over.
    fn order_heads(&mut self, rules: &RuleSet, rule: u32) {
        let state = &mut self.rule_states[rule as usize];
        state.restamped = self.restamped;
        for head in std::mem::take(&mut state.heads) {
            if self.is_alive(rules, &head.search) {
                self.push_head(rules, rule, head);
            } else {
                self.spare.push(head.search);
            }
        }
    }

    /// Begins the searches that wait to be begun.
    fn begin_fresh(&mut self, rules: &RuleSet, rule: u32) -> Result<(), Halt> {
        self.join_fresh(rules, rule);
        let mut fresh = std::mem::take(&mut self.rule_states[rule as usize].fresh);
        // One that found nothing, and what it began with: the next one is often of its kind.
        let mut idle: Option<(Box<Search>, u16, Pin)> = None;
        while let Some((body, pin, row)) = fresh.pop() {
            if let (Pin::Position(_), Some((template, row))) = (pin, row)
                && !self.tables[template as usize].is_alive(row)
            {
                continue;
            }
            let search = match (idle.take(), row) {
                (Some((mut search, known_body, known_pin)), Some(row)) if (known_body, known_pin) == (body, pin) => {
                    search.again(row);
                    search
                }
                (other, row) => {
                    self.spare.extend(other.map(|(search, ..)| search));
                    self.begin(rule, body, pin, row)
                }
            };
            let version = self.rule_states[rule as usize].version;
            idle = self.seek(rules, search, version)?.map(|search| (search, body, pin));
        }
        self.spare.extend(idle.map(|(search, ..)| search));
        self.rule_states[rule as usize].fresh = fresh;
        Ok(())
    }

    /// Where most facts of a body's first position wait, one search over all of them costs no more than theirs, and
    /// finds what the others that wait would find, too.
    fn join_fresh(&mut self, rules: &RuleSet, rule: u32) {
        let count = self.rule_states[rule as usize].fresh.len();
        // Where stamps are kept beside the rows, a search does not find matches in the order in which they fire.
        let has_stamps = |position: &Position| self.tables[position.template as usize].stamps.is_some();
        let known = &rules.rules[rule as usize];
        if count < JOINED_MIN || known.bodies.iter().any(|body| body.positions.iter().any(has_stamps)) {
            return;
        }
        for body in 0..rules.rules[rule as usize].bodies.len() as u16 {
            let id = self.body_id(rule, body);
            let variant = self.plans.variant(rules, rule, body, id, Pin::Nothing);
            let Some(first) = variant.levels.first() else { continue };
            let fresh = &mut self.rule_states[rule as usize].fresh;
            let is_first = |&&(at, pin, _): &&Fresh| at == body && pin == Pin::Position(first.position);
            let count = fresh.iter().filter(is_first).count();
            if count >= JOINED_MIN && 2 * count >= self.tables[first.template as usize].live as usize {
                fresh.retain(|&(at, ..)| at != body);
                fresh.push((body, Pin::Nothing, None));
            }
        }
    }

    /// Goes on to the next match that has not fired, and keeps the search if there is one; else gives it back.
    fn seek(&mut self, rules: &RuleSet, mut search: Box<Search>, begun: u32) -> Result<Option<Box<Search>>, Halt> {
        let rule = search.rule;
        let is_unordered = self.kinds[rule as usize].is_unordered;
        while self.advance(&mut search)? {
            let mut words = std::mem::take(&mut self.words);
            self.activation(&rules.rules[rule as usize], &search.bindings, search.body, &mut words);
            let is_known = self.memory.find(rule, &words).is_some();
            self.words = words;
            if !is_known {
                let firings = self.rule_states[rule as usize].firings;
                let positions = &rules.rules[rule as usize].bodies[search.body as usize].positions;
                let first = positions.first().map_or(NONE, |position| search.bindings.rows[position.slot as usize]);
                let head = |search| Head { search, begun, version: begun, firings, is_spent: false, first };
                if is_unordered {
                    self.push_head(rules, rule, head(Box::new(search.standing())));
                    continue;
                }
                self.push_head(rules, rule, head(search));
                return Ok(None);
            }
        }
        Ok(Some(search))
    }

    /// The rows of the exported positions and the hash of the values: what tells activations of a rule apart.
    pub(super) fn activation(&self, rule: &Rule, bindings: &Bindings, body: u16, words: &mut Vec<u32>) {
        words.clear();
        let mut hash = hash_start();
        for position in &rule.bodies[body as usize].positions[..rule.exported as usize] {
            let row = bindings.rows[position.slot as usize];
            match &position.distinct {
                None => words.push(row),
                Some(fields) => {
                    let table = &self.tables[position.template as usize];
                    words.push(NONE);
                    hash = fields.iter().fold(hash, |hash, &field| {
                        let (cell, is_missing) = table.distinct_cell(row, field);
                        hash_word(hash_word(hash, u64::from(is_missing)), cell)
                    });
                }
            }
        }
        for &slot in &rule.identity {
            hash = self.hash_value(hash, bindings.values[slot as usize]);
        }
        words.extend([hash as u32, (hash >> 32) as u32]);
    }

    fn hash_value(&self, hash: u64, value: Value) -> u64 {
        match value {
            Value::List(list) => {
                let elements = self.heap.list(list);
                elements
                    .iter()
                    .fold(hash_word(hash, elements.len() as u64), |hash, &value| self.hash_value(hash, value))
            }
            // Not known, since it erred.
            Value::Null => hash_word(hash_word(hash, UNKNOWN), UNKNOWN),
            value => hash_word(hash, super::search::value_cell(value)),
        }
    }

    fn is_alive(&self, rules: &RuleSet, search: &Search) -> bool {
        let body = &rules.rules[search.rule as usize].bodies[search.body as usize];
        body.positions.iter().all(|position| {
            self.tables[position.template as usize].is_alive(search.bindings.rows[position.slot as usize])
        })
    }

    /// Whether the match on top of a rule's heads has fired since it was found: several searches may stand at one.
    fn has_fired(&mut self, rules: &RuleSet, rule: u32) -> bool {
        let state = &self.rule_states[rule as usize];
        let head = &state.heads[0];
        if head.firings == state.firings {
            return false;
        }
        let mut words = std::mem::take(&mut self.words);
        let search = &head.search;
        self.activation(&rules.rules[rule as usize], &search.bindings, search.body, &mut words);
        let has_fired = self.memory.find(rule, &words).is_some();
        self.words = words;
        has_fired
    }

    /// Whether the match on top of a rule's heads holds after something changed.
    fn still_holds(&mut self, rules: &RuleSet, rule: u32) -> Result<bool, Halt> {
        let mut words = std::mem::take(&mut self.words);
        let head = &self.rule_states[rule as usize].heads[0];
        let body = head.search.body;
        self.activation(&rules.rules[rule as usize], &head.search.bindings, body, &mut words);
        let holding = self.holds(rules, rule, &words);
        self.words = words;
        let state = &mut self.rule_states[rule as usize];
        let head = &mut state.heads[0];
        match holding? {
            Holding::No => return Ok(false),
            // Of a loose rule, another match than that of the head may be the one that does not err.
            Holding::Yes if self.kinds[rule as usize].is_loose => {}
            Holding::Yes => head.search.bindings.erring = None,
            Holding::Erring(erring) => head.search.bindings.erring = Some(erring),
        }
        head.version = state.version;
        Ok(true)
    }

    fn is_before(&self, rules: &RuleSet, left: &Head, right: &Head) -> bool {
        if self.kinds[left.search.rule as usize].is_by_rows {
            return left.first > right.first
                || (left.first == right.first && is_newer(rules, &left.search, &right.search));
        }
        self.compare(rules, &left.search, &right.search) == Ordering::Less
    }

    /// The order of two activations of a rule: recency, newest first, then the canonical order of what is bound.
    fn compare(&self, rules: &RuleSet, left: &Search, right: &Search) -> Ordering {
        let rule = &rules.rules[left.rule as usize];
        let rows = |place: usize| {
            let of = |search: &Search| {
                let position = &rule.bodies[search.body as usize].positions[place];
                search.bindings.rows[position.slot as usize]
            };
            (of(left), of(right))
        };
        let positions = &rule.bodies[0].positions[..rule.exported as usize];
        for (place, position) in positions.iter().enumerate().filter(|(_, position)| position.distinct.is_none()) {
            let (left, right) = rows(place);
            let order = match &self.tables[position.template as usize].stamps {
                Some(stamps) => stamps[right as usize].cmp(&stamps[left as usize]),
                None if rules.is_stamped(position.template) => right.cmp(&left),
                None => Ordering::Equal,
            };
            if order.is_ne() {
                return order;
            }
        }
        for (place, position) in positions.iter().enumerate() {
            let template = position.template as usize;
            let fields = position.distinct.as_ref().unwrap_or(&rules.schema.templates[template].key);
            let pair = rows(place);
            let order = if pair.0 == pair.1 {
                Ordering::Equal
            } else {
                Order { fields, types: &self.types[template] }.compare(
                    self.tables[template].view(),
                    &self.heap,
                    pair.0,
                    pair.1,
                )
            };
            if order.is_ne() {
                return order;
            }
        }
        let value = |search: &Search, slot: u16| search.bindings.values[slot as usize];
        let orders =
            rule.identity.iter().map(|&slot| compare_values(value(left, slot), value(right, slot), &self.heap));
        orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    fn push_head(&mut self, rules: &RuleSet, rule: u32, head: Head) {
        let mut heads = std::mem::take(&mut self.rule_states[rule as usize].heads);
        heads.push(head);
        let mut at = heads.len() - 1;
        while at > 0 && self.is_before(rules, &heads[at], &heads[(at - 1) / 2]) {
            heads.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
        self.rule_states[rule as usize].heads = heads;
    }

    fn pop_head(&mut self, rules: &RuleSet, rule: u32) -> Option<Head> {
        let mut heads = std::mem::take(&mut self.rule_states[rule as usize].heads);
        if heads.is_empty() {
            return None;
        }
        let head = heads.swap_remove(0);
        let mut at = 0;
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < heads.len() && self.is_before(rules, &heads[child], &heads[least]) {
                    least = child;
                }
            }
            if least == at {
                break;
            }
            heads.swap(at, least);
            at = least;
        }
        self.rule_states[rule as usize].heads = heads;
        Some(head)
    }

    fn fire(&mut self, rules: &RuleSet, rule: u32, phase: usize) -> Result<Flow, Halt> {
        self.current = rule;
        // The limit of a rule is that of all by default: then the one that the file names is told.
        if self.stats.firings >= self.budget.firings_max {
            return Err(Halt::Limit(LimitKind::Firings));
        }
        let state = &mut self.rule_states[rule as usize];
        if state.firings >= self.budget.firings_per_rule_max {
            return Err(Halt::Limit(LimitKind::FiringsPerRule));
        }
        state.firings += 1;
        self.stats.firings += 1;
        let head = &mut state.heads[0];
        head.is_spent = true;
        let body = head.search.body;
        let bindings = std::mem::take(&mut head.search.bindings);
        let result = self.fire_match(rules, rule, body, &bindings, phase);
        self.rule_states[rule as usize].heads[0].search.bindings = bindings;
        result
    }

    fn fire_match(
        &mut self,
        rules: &RuleSet,
        rule: u32,
        body: u16,
        bindings: &Bindings,
        phase: usize,
    ) -> Result<Flow, Halt> {
        if let Some(erring) = &bindings.erring {
            if self.kinds[rule as usize].is_loose {
                let mut words = Vec::new();
                self.activation(&rules.rules[rule as usize], bindings, body, &mut words);
                if let Matched::Yes(body, bindings) = self.matched(rules, rule, &words)? {
                    return self.fire_match(rules, rule, body, &bindings, phase);
                }
            }
            return Err(self.condition_error(rules, rule, body, bindings, erring));
        }
        let entry = self.remember(rules, rule, body, bindings);
        self.record_firing(rule, phase, body, bindings)?;
        let flow = self.act(rules, rule, body, bindings, entry)?;
        if self.stats.firings & 63 == 0 {
            self.check_bytes()?;
        }
        Ok(flow)
    }

    fn record_firing(&mut self, rule: u32, phase: usize, body: u16, bindings: &Bindings) -> Result<(), Halt> {
        self.recorder.fired(rule, phase);
        if self.recorder.keeps_firings {
            let acted = self.acted(rule, body, bindings)?;
            self.recorder.firings.push(acted);
        }
        if self.recorder.is_full() {
            let bound = self.bound(rule, body, bindings);
            self.recorder.fire(bound);
        }
        Ok(())
    }

    pub(super) fn condition_error(
        &self,
        rules: &RuleSet,
        rule: u32,
        body: u16,
        bindings: &Bindings,
        Erring { when, error }: &Erring,
    ) -> Halt {
        Halt::Error(Box::new(RunError {
            code: "evaluation",
            rule: Some(rule),
            bindings: self.named(rules, rule, body, bindings),
            message: format!("condition {} of `{}`: {}", when + 1, rules.rules[rule as usize].id, error.message()),
        }))
    }

    /// Template and row of each bound fact, by variable.
    pub(super) fn named(&self, rules: &RuleSet, rule: u32, body: u16, bindings: &Bindings) -> Vec<(String, u16, u32)> {
        let positions = &rules.rules[rule as usize].bodies[body as usize].positions;
        let bound = positions
            .iter()
            .map(|position| (position.variable.clone(), position.template, bindings.rows[position.slot as usize]));
        bound.filter(|&(_, _, row)| row != NONE).collect()
    }

    /// Enters a match, and watches all that could end it.
    pub(super) fn remember(&mut self, rules: &RuleSet, rule: u32, body: u16, bindings: &Bindings) -> u32 {
        let description = &rules.rules[rule as usize];
        let mut words = std::mem::take(&mut self.words);
        self.activation(description, bindings, body, &mut words);
        let entry = self.memory.insert(rule, body, &words);
        self.words = words;
        self.watch(rules, entry, bindings);
        entry
    }

    fn watch(&mut self, rules: &RuleSet, entry: u32, bindings: &Bindings) {
        let (rule, body) = (self.memory.entries[entry as usize].rule, self.memory.entries[entry as usize].body);
        let description = &rules.rules[rule as usize];
        let body = &description.bodies[body as usize];
        for position in &body.positions[..description.exported as usize] {
            if position.distinct.is_none() && self.changeable[position.template as usize] {
                self.memory.watch_row(position.template, bindings.rows[position.slot as usize], entry);
            }
        }
        if self.kinds[rule as usize].is_loose {
            self.memory.watch_key(rule_key(rule), entry);
            return;
        }
        for (place, step) in body.steps.iter().enumerate() {
            let Some(pattern) = step.kind.pattern().filter(|pattern| self.changeable[pattern.template as usize]) else {
                continue;
            };
            let cells = pattern.keys.iter().map(|&(_, operand)| self.cell_of(body, operand, bindings));
            let key = step_key(rule, place as u16, cells);
            self.memory.watch_key(key, entry);
        }
    }

    fn cell_of(&self, body: &crate::model::Body, operand: crate::model::Operand, bindings: &Bindings) -> u64 {
        use crate::model::Operand;
        match operand {
            Operand::Cell(cell) => {
                let template = body.slots[cell.slot as usize] as usize;
                self.tables[template].cell(bindings.rows[cell.slot as usize], cell.field)
            }
            Operand::Value(slot) => super::search::value_cell(bindings.values[slot as usize]),
            Operand::Constant(cell) => cell,
        }
    }

    /// Looks whether an entry still holds; if not, what it gave is withdrawn.
    pub(super) fn review(&mut self, entry: u32) -> Result<(), Halt> {
        let known = &mut self.memory.entries[entry as usize];
        known.is_suspect = false;
        if !known.is_alive {
            return Ok(());
        }
        let rules = Rc::clone(&self.rules);
        let rule = known.rule;
        let mut words = self.memory.words(entry).to_vec();
        let is_moved = match self.follow(&rules, rule, &mut words) {
            Followed::Gone => {
                self.forget(entry);
                return Ok(());
            }
            Followed::Moved => true,
            Followed::Same => false,
        };
        match self.holds(&rules, rule, &words)? {
            Holding::No => {
                self.forget(entry);
                return Ok(());
            }
            // Something that is new may hold without an error: at the end of the stratum it is looked at again.
            Holding::Erring(_) if rules.rules[rule as usize].is_derive => self.put_aside(rule, &words),
            Holding::Yes | Holding::Erring(_) => {}
        }
        if is_moved { self.move_entry(&rules, entry, &words) } else { Ok(()) }
    }

    /// Replaces rows that died by the versions of their facts that live, where the rule reads no difference.
    fn follow(&self, rules: &RuleSet, rule: u32, words: &mut [u32]) -> Followed {
        let description = &rules.rules[rule as usize];
        let mut followed = Followed::Same;
        for (place, position) in description.bodies[0].positions[..description.exported as usize].iter().enumerate() {
            let (table, row) = (&self.tables[position.template as usize], words[place]);
            if position.distinct.is_some() || table.is_alive(row) {
                continue;
            }
            let Some(new) = table.with_key(table.row(row)) else { return Followed::Gone };
            let (old_cells, new_cells) = (table.row(row), table.row(new));
            let words_each = description.reads.len() / description.exported as usize;
            let reads = &description.reads[place * words_each..];
            let differs = |field: usize| {
                old_cells[field] != new_cells[field]
                    || table.is_missing(row, field as u16) != table.is_missing(new, field as u16)
            };
            let fields = rules.schema.templates[position.template as usize].fields.len();
            if (0..fields).any(|field| reads[field / 64] >> (field % 64) & 1 != 0 && differs(field)) {
                return Followed::Gone;
            }
            words[place] = new;
            followed = Followed::Moved;
        }
        followed
    }

    fn move_entry(&mut self, rules: &RuleSet, entry: u32, words: &[u32]) -> Result<(), Halt> {
        let known = self.memory.entries[entry as usize];
        if self.memory.find(known.rule, words).is_some() {
            // The new version's match was found already; it stands for both.
            self.forget(entry);
            return Ok(());
        }
        self.memory.replace(entry, words);
        let new = self.memory.newest();
        let bindings = self.bindings_of(rules, known.rule, known.body, words)?;
        self.watch(rules, new, &bindings);
        Ok(())
    }

    /// The rows of positions as bindings in which nothing is computed yet.
    pub(super) fn bound_to(&self, rule: &Rule, body: u16, rows: &[u32]) -> Bindings {
        let body = &rule.bodies[body as usize];
        let mut bindings = Bindings::default();
        bindings.rows.resize(body.slots.len(), NONE);
        for (position, &row) in body.positions.iter().zip(rows) {
            bindings.rows[position.slot as usize] = row;
        }
        bindings.values.extend_from_slice(&self.params);
        bindings.values.resize(rule.values.max(self.params.len() as u16) as usize, Value::Null);
        bindings
    }

    /// Bindings of an entry's rows; values are computed where its keys need them.
    fn bindings_of(&mut self, rules: &RuleSet, rule: u32, body: u16, words: &[u32]) -> Result<Bindings, Halt> {
        let mut bindings = self.bound_to(&rules.rules[rule as usize], body, words);
        if !self.kinds[rule as usize].is_loose {
            let steps = self.step_order(rules, rule, body);
            self.with_maker(rule, body, |maker| maker.steps(&steps, &mut bindings, 0))?;
        }
        Ok(bindings)
    }

    /// All steps of a body in an order in which each finds what it needs.
    pub(super) fn step_order(&mut self, rules: &RuleSet, rule: u32, body: u16) -> Vec<u16> {
        let id = self.body_id(rule, body);
        let variant = self.plans.variant(rules, rule, body, id, Pin::Nothing);
        variant.first.iter().chain(variant.levels.iter().flat_map(|level| &level.steps)).copied().collect()
    }

    /// Whether a match of a rule, all of whose rows live, holds now.
    fn holds(&mut self, rules: &RuleSet, rule: u32, words: &[u32]) -> Result<Holding, Halt> {
        let description = &rules.rules[rule as usize];
        if self.kinds[rule as usize].is_loose {
            return Ok(match self.matched(rules, rule, words)? {
                Matched::No => Holding::No,
                Matched::Yes(..) => Holding::Yes,
                Matched::Erring(_, mut bindings) => bindings.erring.take().map_or(Holding::Yes, Holding::Erring),
            });
        }
        if description.bodies[0].steps.is_empty() {
            return Ok(Holding::Yes);
        }
        let mut bindings = self.bound_to(description, 0, words);
        let steps = self.step_order(rules, rule, 0);
        let id = self.body_id(rule, 0);
        self.ensure_step_indexes(description, 0, id);
        if !self.with_maker(rule, 0, |maker| maker.steps(&steps, &mut bindings, 0))? {
            return Ok(Holding::No);
        }
        let mut now = Vec::with_capacity(words.len());
        self.activation(description, &bindings, 0, &mut now);
        Ok(match bindings.erring {
            _ if now != words => Holding::No,
            None => Holding::Yes,
            Some(erring) => Holding::Erring(erring),
        })
    }

    /// How an activation of a rule that leaves something open holds: some match of some body has to look the same.
    pub(super) fn matched(&mut self, rules: &RuleSet, rule: u32, words: &[u32]) -> Result<Matched, Halt> {
        let mut erring = None;
        let mut now = Vec::with_capacity(words.len());
        for body in 0..rules.rules[rule as usize].bodies.len() as u16 {
            let mut search = self.begin(rule, body, Pin::Entry, None);
            search.fixed = words.to_vec();
            while self.advance(&mut search)? {
                self.activation(&rules.rules[rule as usize], &search.bindings, body, &mut now);
                if now != words {
                    continue;
                }
                if search.bindings.erring.is_none() {
                    let bindings = Box::new(search.bindings.clone());
                    self.spare.push(search);
                    return Ok(Matched::Yes(body, bindings));
                }
                if erring.is_none() {
                    erring = Some((body, Box::new(search.bindings.clone())));
                }
            }
            self.spare.push(search);
        }
        Ok(erring.map_or(Matched::No, |(body, bindings)| Matched::Erring(body, bindings)))
    }

    pub(super) fn firings_of(&self, rule: u32) -> u64 {
        self.rule_states[rule as usize].firings
    }
}

/// Whether the rows of a match are newer than those of another, where stamps are all that orders them.
fn is_newer(rules: &RuleSet, left: &Search, right: &Search) -> bool {
    let rule = &rules.rules[left.rule as usize];
    let rows = |search: &Search, slot: u16| search.bindings.rows[slot as usize];
    rule.bodies[0].positions[..rule.exported as usize]
        .iter()
        .map(|position| (rows(left, position.slot), rows(right, position.slot)))
        .find(|(left, right)| left != right)
        .is_some_and(|(left, right)| left > right)
}

/// What a firing means for those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    On,
    NextPhase,
    End,
}

/// How an activation holds that several matches may give.
pub(super) enum Matched {
    No,
    /// Every one of its matches errs; the first one, with its body.
    Erring(u16, Box<Bindings>),
    Yes(u16, Box<Bindings>),
}

/// Whether a match holds.
enum Holding {
    No,
    Yes,
    /// As far as that can be said.
    Erring(Box<Erring>),
}

enum Followed {
    Same,
    Moved,
    Gone,
}
