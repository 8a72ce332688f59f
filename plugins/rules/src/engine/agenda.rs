//! The agenda: which activation fires next, found lazily.

use std::cmp::Ordering;
use std::rc::Rc;

use super::search::{Bindings, Search};
use super::truth::{Holding, Matched};
use super::{Engine, Halt, LimitKind};
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
                if let Matched::Yes(search) = self.matched(rules, rule, &words)? {
                    let flow = self.fire_match(rules, rule, search.body, &search.bindings, phase);
                    self.spare.push(search);
                    return flow;
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
