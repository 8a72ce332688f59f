//! Decisions: what was emitted and still holds, and what the rule set makes of it for each subject.

use std::collections::HashMap;

use super::Engine;
use crate::file::Combine;
use crate::model::RuleSet;
use crate::store::NONE;
use crate::value::Text;

/// What an `emit` gave.
#[derive(Clone, Debug)]
pub(super) struct Emitted {
    pub(super) decision: Text,
    pub(super) code: Text,
    pub(super) subject: Option<String>,
    pub(super) message: Option<String>,
    /// JSON text.
    pub(super) data: Option<String>,
    /// Template and row of the facts that the rule matched.
    pub(super) because: Vec<(u16, u32)>,
}

/// One firing that says so.
#[derive(Clone, Debug)]
struct Support {
    firing: u64,
    /// Which of the firing's effects.
    place: u32,
    /// The entry with which it goes, or `NONE` if it stays.
    entry: u32,
    message: Option<String>,
    because: Vec<(u16, u32)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    decision: Text,
    code: Text,
    subject: Option<String>,
    rule: u32,
    data: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Decisions {
    records: Vec<(Key, Vec<Support>)>,
    by_key: HashMap<Key, usize>,
    by_entry: HashMap<u32, Vec<usize>>,
}

impl Decisions {
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.by_key.clear();
        self.by_entry.clear();
    }

    /// The same match has another entry now.
    pub(super) fn moved(&mut self, from: u32, to: u32) {
        let Some(records) = self.by_entry.remove(&from) else { return };
        for &record in &records {
            for support in self.records[record].1.iter_mut().filter(|support| support.entry == from) {
                support.entry = to;
            }
        }
        self.by_entry.insert(to, records);
    }

    fn withdraw(&mut self, entry: u32) {
        for record in self.by_entry.remove(&entry).unwrap_or_default() {
            self.records[record].1.retain(|support| support.entry != entry);
        }
    }

    /// Decisions that an entry supports.
    fn of_entry(&self, entry: u32) -> &[usize] {
        self.by_entry.get(&entry).map_or(&[], Vec::as_slice)
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

impl Engine {
    /// Enters what an effect of a firing gave; `from`: the rule, and the place among the effects.
    pub(super) fn decide(&mut self, rules: &RuleSet, (rule, place): (u32, u32), entry: u32, emitted: Emitted) {
        let Emitted { decision, code, subject, message, data, because } = emitted;
        let key = Key { decision, code, subject, rule, data };
        let is_logical = rules.rules[rule as usize].is_logical;
        let entry = if is_logical { entry } else { NONE };
        let decisions = &mut self.decisions;
        let record = *decisions.by_key.entry(key.clone()).or_insert_with(|| {
            decisions.records.push((key, Vec::new()));
            decisions.records.len() - 1
        });
        decisions.records[record].1.push(Support { firing: self.stats.firings, place, entry, message, because });
        if is_logical {
            decisions.by_entry.entry(entry).or_default().push(record);
        }
        self.trace_emit(record);
    }

    /// Takes back what an entry gave.
    pub(super) fn forget(&mut self, entry: u32) {
        let known = self.memory.entries[entry as usize];
        self.memory.remove(entry);
        if self.rules.rules[known.rule as usize].is_derive {
            self.withdraw_derived(known.rule, known.effect);
        } else {
            let given = if self.recorder.is_on() { self.decisions.of_entry(entry).to_vec() } else { Vec::new() };
            self.decisions.withdraw(entry);
            for record in given {
                if self.decisions.records[record].1.is_empty() {
                    self.recorder.withdrawn(known.rule, self.decision_text(record));
                }
            }
        }
    }

    /// Decisions of a rule that were given and do not hold any more: decision, code, subject.
    pub(super) fn withdrawn_decisions(&self, rule: u32) -> impl Iterator<Item = (&str, &str, Option<&str>)> {
        let records = self.decisions.records.iter();
        let gone = records.filter(move |(key, supports)| key.rule == rule && supports.is_empty());
        gone.map(|(key, _)| (self.heap.text(key.decision), self.heap.text(key.code), key.subject.as_deref()))
    }

    /// A decision in the syntax of a query.
    fn decision_text(&self, record: usize) -> String {
        let (key, _) = &self.decisions.records[record];
        let (decision, code) = (self.heap.text(key.decision), self.heap.text(key.code));
        let subject = key
            .subject
            .as_ref()
            .map_or_else(String::new, |subject| format!(", subject={}", super::run::quoted(subject)));
        format!("decision(decision={decision}, code={code}{subject})")
    }

    fn trace_emit(&mut self, record: usize) {
        if !self.recorder.is_on() {
            return;
        }
        self.recorder.emitted(self.decision_text(record));
    }

    /// The decisions that hold now, combined.
    ///
    /// # Errors
    /// Under `unique`: two decisions for one subject, as text.
    pub fn decided(&self) -> Result<Decided, String> {
        let text = |text: Text| self.heap.text(text).to_owned();
        let mut all: Vec<(u64, u32, Decision)> = Vec::new();
        for (key, supports) in &self.decisions.records {
            let Some(first) = supports.iter().min_by_key(|support| (support.firing, support.place)) else { continue };
            all.push((
                first.firing,
                first.place,
                Decision {
                    decision: text(key.decision),
                    code: text(key.code),
                    subject: key.subject.clone(),
                    message: first.message.clone(),
                    data: key.data.clone(),
                    rule: Some(key.rule),
                    firing: first.firing,
                    because: first.because.clone(),
                },
            ));
        }
        all.sort_by_key(|&(firing, place, _)| (firing, place));
        let mut all: Vec<Decision> = all.into_iter().map(|(_, _, decision)| decision).collect();
        let rules = &self.rules.decisions;
        if all.is_empty()
            && let Some((decision, code)) = &rules.default
        {
            all.push(plain(decision, code));
        }
        let result = combine(&all, rules.combine, &rules.order)?;
        Ok(Decided { all, result })
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

fn combine(all: &[Decision], combine: Combine, order: &[String]) -> Result<Vec<usize>, String> {
    if combine == Combine::All {
        return Ok((0..all.len()).collect());
    }
    let severity =
        |decision: &Decision| order.iter().position(|known| *known == decision.decision).unwrap_or(order.len());
    // A place in `result` for each subject.
    let mut places: HashMap<Option<&str>, usize> = HashMap::new();
    let mut result: Vec<usize> = Vec::new();
    for (place, decision) in all.iter().enumerate() {
        let Some(&at) = places.get(&decision.subject.as_deref()) else {
            places.insert(decision.subject.as_deref(), result.len());
            result.push(place);
            continue;
        };
        let known = &all[result[at]];
        match combine {
            Combine::MostSevere if severity(decision) < severity(known) => result[at] = place,
            Combine::Unique if (&known.decision, &known.code) != (&decision.decision, &decision.code) => {
                return Err(format!(
                    "two decisions for {}: {}/{} and {}/{}",
                    decision.subject.as_deref().unwrap_or("the request"),
                    known.decision,
                    known.code,
                    decision.decision,
                    decision.code
                ));
            }
            _ => {}
        }
    }
    Ok(result)
}
