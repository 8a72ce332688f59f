//! Decisions: what was emitted and still holds, and what the rule set makes of it for each subject.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::ops::Range;

use super::Engine;
use super::memory::Plain;
use super::search::Bindings;
use crate::file::Combine;
use crate::model::RuleSet;
use crate::store::{NONE, hash_start, hash_word};
use crate::value::Text;

/// What an `emit` gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Emitted {
    pub(super) decision: Text,
    pub(super) code: Text,
    pub(super) subject: Option<Text>,
    pub(super) message: Option<Text>,
    /// JSON text.
    pub(super) data: Option<Text>,
}

/// One firing that says so.
#[derive(Clone, Debug)]
struct Support {
    record: u32,
    firing: u64,
    /// Which of the firing's effects.
    place: u32,
    message: Option<Text>,
    /// Template and row of the facts that the rule matched, in `because`.
    because: Range<u32>,
    is_withdrawn: bool,
    /// The next one of the same decision, and of the same entry.
    next: u32,
    next_of_entry: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    decision: Text,
    code: Text,
    subject: Option<Text>,
    rule: u32,
    data: Option<Text>,
}

impl Key {
    fn hash(&self) -> u64 {
        let optional = |text: Option<Text>| text.map_or(u64::MAX, |text| u64::from(text.0));
        let Self { decision, code, subject, rule, data } = *self;
        [u64::from(decision.0), u64::from(code.0), optional(subject), u64::from(rule), optional(data)]
            .into_iter()
            .fold(hash_start(), hash_word)
    }
}

/// A decision, whether it holds or not.
#[derive(Debug)]
struct Record {
    key: Key,
    /// Its supports, the newest first.
    supports: u32,
    /// The next one of the same hash.
    next: u32,
}

#[derive(Debug, Default)]
pub(super) struct Decisions {
    records: Vec<Record>,
    supports: Vec<Support>,
    because: Vec<(u16, u32)>,
    by_key: HashMap<u64, u32, BuildHasherDefault<Plain>>,
}

impl Decisions {
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.supports.clear();
        self.because.clear();
        self.by_key.clear();
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Record>() * self.records.capacity()
            + size_of::<Support>() * self.supports.capacity()
            + size_of::<(u16, u32)>() * self.because.capacity()
            + 2 * size_of::<(u64, u32)>() * self.by_key.capacity()
    }

    /// The place of the decision with this key, made if need be.
    fn record(&mut self, key: Key) -> u32 {
        let new = self.records.len() as u32;
        let first = self.by_key.entry(key.hash()).or_insert(NONE);
        let mut place = *first;
        while place != NONE {
            let known = &self.records[place as usize];
            if known.key == key {
                return place;
            }
            place = known.next;
        }
        self.records.push(Record { key, supports: NONE, next: std::mem::replace(first, new) });
        new
    }

    /// The supports of a decision that hold, the newest first.
    fn of_record(&self, record: &Record) -> impl Iterator<Item = &Support> {
        self.chain(record.supports, |support| support.next).filter(|support| !support.is_withdrawn)
    }

    /// The supports of an entry, by its effect.
    fn of_entry(&self, effect: u32) -> impl Iterator<Item = &Support> {
        self.chain(effect, |support| support.next_of_entry)
    }

    fn chain(&self, first: u32, next: impl Fn(&Support) -> u32) -> impl Iterator<Item = &Support> {
        std::iter::successors(self.supports.get(first as usize), move |support| {
            self.supports.get(next(support) as usize)
        })
    }

    fn withdraw(&mut self, effect: u32) {
        let mut place = effect;
        while let Some(support) = self.supports.get_mut(place as usize) {
            support.is_withdrawn = true;
            place = support.next_of_entry;
        }
    }
}

/// A decision that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub decision: String,
    pub code: String,
    pub subject: Option<String>,
    pub message: Option<String>,
    /// JSON text.
    pub data: Option<String>,
    /// None for a default, and where a limit decides.
    pub rule: Option<u32>,
    /// The firing that gave it, from 1.
    pub firing: u64,
    pub because: Vec<(u16, u32)>,
}

/// All decisions in firing order, and the result: places in `all`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    pub all: Vec<Decision>,
    pub result: Vec<usize>,
}

/// A decision that holds, and the first firing that says so.
struct Held<'a> {
    key: Key,
    support: &'a Support,
}

impl Engine {
    /// Enters what an effect of a firing gave; `from`: the rule, its body, and the place among the effects.
    pub(super) fn decide(
        &mut self,
        rules: &RuleSet,
        (rule, body, place): (u32, u16, u32),
        entry: u32,
        bindings: &Bindings,
        emitted: Emitted,
    ) {
        let Emitted { decision, code, subject, message, data } = emitted;
        let record = self.decisions.record(Key { decision, code, subject, rule, data });
        let support = self.decisions.supports.len() as u32;
        let begin = self.decisions.because.len() as u32;
        let positions = &rules.rules[rule as usize].bodies[body as usize].positions;
        let because = positions.iter().map(|position| (position.template, bindings.rows[position.slot as usize]));
        self.decisions.because.extend(because.filter(|&(_, row)| row != NONE));
        let next_of_entry = if rules.rules[rule as usize].is_logical {
            std::mem::replace(&mut self.memory.entries[entry as usize].effect, support)
        } else {
            NONE
        };
        let next = std::mem::replace(&mut self.decisions.records[record as usize].supports, support);
        self.decisions.supports.push(Support {
            record,
            firing: self.stats.firings,
            place,
            message,
            because: begin..self.decisions.because.len() as u32,
            is_withdrawn: false,
            next,
            next_of_entry,
        });
        if self.recorder.is_on() {
            self.recorder.emitted(self.decision_text(record));
        }
    }

    /// Takes back what an entry gave.
    pub(super) fn forget(&mut self, entry: u32) {
        let known = self.memory.entries[entry as usize];
        self.memory.remove(entry);
        if self.rules.rules[known.rule as usize].is_derive {
            self.withdraw_derived(known.rule, known.effect);
            return;
        }
        self.decisions.withdraw(known.effect);
        if self.recorder.is_on() {
            // In the order in which they were given.
            let mut given: Vec<u32> = self.decisions.of_entry(known.effect).map(|support| support.record).collect();
            given.reverse();
            for record in given {
                if self.decisions.of_record(&self.decisions.records[record as usize]).next().is_none() {
                    self.recorder.withdrawn(known.rule, self.decision_text(record));
                }
            }
        }
    }

    /// Decisions of a rule that were given and do not hold any more: decision, code, subject.
    pub(super) fn withdrawn_decisions(&self, rule: u32) -> impl Iterator<Item = (&str, &str, Option<&str>)> {
        let records = self.decisions.records.iter();
        let gone =
            records.filter(move |record| record.key.rule == rule && self.decisions.of_record(record).next().is_none());
        gone.map(|Record { key, .. }| {
            (self.heap.text(key.decision), self.heap.text(key.code), key.subject.map(|text| self.heap.text(text)))
        })
    }

    /// A decision in the syntax of a query.
    fn decision_text(&self, record: u32) -> String {
        let Record { key, .. } = &self.decisions.records[record as usize];
        let (decision, code) = (self.heap.text(key.decision), self.heap.text(key.code));
        let subject = key
            .subject
            .map_or_else(String::new, |subject| format!(", subject={}", super::run::quoted(self.heap.text(subject))));
        format!("decision(decision={decision}, code={code}{subject})")
    }

    /// The decisions that hold now in firing order, and those of them that are the result.
    ///
    /// # Errors
    /// Under `unique`: two decisions for one subject, as text.
    pub fn decided(&self) -> Result<Decided, String> {
        let held = self.held();
        let mut all: Vec<Decision> = held.iter().map(|held| self.decision(held)).collect();
        all.extend(self.default_decision(&held));
        let result = if held.is_empty() { (0..all.len()).collect() } else { self.combine(&held)? };
        Ok(Decided { all, result })
    }

    /// The decisions that are the result.
    ///
    /// # Errors
    /// As `decided`.
    pub fn result(&self) -> Result<Vec<Decision>, String> {
        let held = self.held();
        if held.is_empty() {
            return Ok(self.default_decision(&held).into_iter().collect());
        }
        let result = self.combine(&held)?;
        Ok(result.into_iter().map(|place| self.decision(&held[place])).collect())
    }

    /// What holds, in firing order.
    fn held(&self) -> Vec<Held<'_>> {
        let mut all = Vec::with_capacity(self.decisions.records.len());
        for record in &self.decisions.records {
            let supports = self.decisions.of_record(record);
            if let Some(support) = supports.min_by_key(|support| (support.firing, support.place)) {
                all.push(Held { key: record.key, support });
            }
        }
        all.sort_unstable_by_key(|held| (held.support.firing, held.support.place));
        all
    }

    fn decision(&self, held: &Held<'_>) -> Decision {
        let text = |text: Text| self.heap.text(text).to_owned();
        let Held { key, support } = held;
        let because = support.because.start as usize..support.because.end as usize;
        Decision {
            decision: text(key.decision),
            code: text(key.code),
            subject: key.subject.map(text),
            message: support.message.map(text),
            data: key.data.map(text),
            rule: Some(key.rule),
            firing: support.firing,
            because: self.decisions.because[because].to_vec(),
        }
    }

    fn default_decision(&self, held: &[Held<'_>]) -> Option<Decision> {
        let (decision, code) = self.rules.decisions.default.as_ref().filter(|_| held.is_empty())?;
        Some(plain(decision, code))
    }

    /// Places of the result. Texts are equal where their handles are.
    fn combine(&self, held: &[Held<'_>]) -> Result<Vec<usize>, String> {
        let crate::model::Decisions { combine, order, .. } = &self.rules.decisions;
        if *combine == Combine::All {
            return Ok((0..held.len()).collect());
        }
        let severity = |decision: Text| {
            let decision = self.heap.text(decision);
            order.iter().position(|known| known == decision).unwrap_or(order.len())
        };
        // A place in `result` for each subject.
        let mut places: HashMap<u64, usize, BuildHasherDefault<Plain>> = HashMap::default();
        let mut result: Vec<usize> = Vec::new();
        for (place, Held { key, .. }) in held.iter().enumerate() {
            let subject = key.subject.map_or(u64::MAX, |subject| u64::from(subject.0));
            let at = *places.entry(hash_word(hash_start(), subject)).or_insert(result.len());
            if at == result.len() {
                result.push(place);
                continue;
            }
            let known = &held[result[at]].key;
            match combine {
                Combine::MostSevere if severity(key.decision) < severity(known.decision) => result[at] = place,
                Combine::Unique if (known.decision, known.code) != (key.decision, key.code) => {
                    let text = |text| self.heap.text(text);
                    return Err(format!(
                        "two decisions for {}: {}/{} and {}/{}",
                        key.subject.map_or("the request", text),
                        text(known.decision),
                        text(known.code),
                        text(key.decision),
                        text(key.code)
                    ));
                }
                _ => {}
            }
        }
        Ok(result)
    }

    /// What the rule set says where a limit was reached, if it does.
    pub fn decided_by_limit(&self) -> Decided {
        match &self.rules.limits.decide {
            Some((decision, code)) => Decided { all: vec![plain(decision, code)], result: vec![0] },
            None => Decided::default(),
        }
    }
}

fn plain(decision: &str, code: &str) -> Decision {
    Decision {
        decision: decision.to_owned(),
        code: code.to_owned(),
        subject: None,
        message: None,
        data: None,
        rule: None,
        firing: 0,
        because: Vec::new(),
    }
}
