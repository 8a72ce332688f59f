//! What happened, for traces and explanations: a bounded list of events, and the matches that rules acted on.

use std::collections::{HashMap, VecDeque};

use super::acted::Acted;
use super::search::Bindings;
use super::{Engine, Halt};
use crate::file::TraceLevel;

/// One event of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The firing, from 1; 0 before the first.
    pub n: u64,
    /// None before the first firing.
    pub phase: Option<u32>,
    pub rule: Option<u32>,
    pub kind: EventKind,
    /// Template and row of what the rule matched, by variable.
    pub bindings: Vec<(String, u16, u32)>,
    /// Template and row, for changes of facts.
    pub fact: Option<(u16, u32)>,
    /// The row that the fact was before it was modified.
    pub before: Option<u32>,
    /// In the syntax of a query, for decisions.
    pub decision: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Fire,
    Assert,
    Modify,
    Retract,
    Derive,
    Emit,
    /// A decision or a derived fact lost what it rests on.
    Withdraw,
}

impl EventKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fire => "fire",
            Self::Assert => "assert",
            Self::Modify => "modify",
            Self::Retract => "retract",
            Self::Derive => "derive",
            Self::Emit => "emit",
            Self::Withdraw => "withdraw",
        }
    }

    /// What is recorded for decisions alone.
    fn is_of_decisions(self, event: &Event) -> bool {
        self == Self::Emit || (self == Self::Withdraw && event.decision.is_some())
    }
}

/// A match with what it bound.
pub(crate) type Bound = Vec<(String, u16, u32)>;

/// Rule and bindings of facts by template and row.
pub(super) type Rebuilt = HashMap<(u16, u32), (u32, Bound)>;

/// The matches that derived facts, by template and row.
pub(super) type Births = HashMap<(u16, u32), Acted>;

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) level: TraceLevel,
    pub(crate) capacity: usize,
    pub(crate) events: VecDeque<Event>,
    pub(crate) dropped: u64,
    /// Keep what rules acted on, for explanations.
    pub(crate) keeps_firings: bool,
    /// The match of each firing.
    pub(crate) firings: Vec<Acted>,
    /// By template and row of a stated fact: the place of its firing.
    pub(crate) stated: HashMap<(u16, u32), usize>,
    /// By template and row of a derived fact that may go again: the match that derived it first.
    pub(crate) born: Births,
    /// While a stratum is evaluated anew beside what is there: rule and bindings of what comes into being.
    rebuilt: Option<Rebuilt>,
    /// The same for `born`.
    reborn: Births,
    n: u64,
    phase: Option<u32>,
    rule: Option<u32>,
}

impl Recorder {
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.dropped = 0;
        self.firings.clear();
        self.stated.clear();
        self.born.clear();
        self.rebuilt = None;
        self.reborn.clear();
        self.n = 0;
        self.phase = None;
        self.rule = None;
    }

    pub(super) fn is_on(&self) -> bool {
        self.level != TraceLevel::Off
    }

    pub(super) fn is_full(&self) -> bool {
        self.level == TraceLevel::Full
    }

    /// Changes of facts are of interest.
    pub(super) fn watches_facts(&self) -> bool {
        self.is_full() || self.keeps_firings
    }

    /// What changes now is not a firing's doing.
    pub(super) fn leave_firing(&mut self) {
        self.rule = None;
    }

    pub(super) fn fired(&mut self, rule: u32, phase: usize) {
        self.n += 1;
        self.phase = Some(phase as u32);
        self.rule = Some(rule);
    }

    pub(super) fn fire(&mut self, bindings: Bound) {
        self.push(self.event(EventKind::Fire, bindings));
    }

    /// A fact that the firing stated; `before` is the row that it replaces.
    pub(super) fn stated(&mut self, fact: (u16, u32), before: Option<u32>) {
        if self.keeps_firings && self.rule.is_some() {
            self.stated.insert(fact, self.firings.len().saturating_sub(1));
        }
        if self.is_full() {
            let kind = if before.is_some() { EventKind::Modify } else { EventKind::Assert };
            self.push(Event { fact: Some(fact), before, ..self.event(kind, Vec::new()) });
        }
    }

    pub(super) fn retracted(&mut self, fact: (u16, u32)) {
        self.push(Event { fact: Some(fact), ..self.event(EventKind::Retract, Vec::new()) });
    }

    pub(super) fn derived(&mut self, rule: u32, fact: (u16, u32), bindings: Bound) {
        match &mut self.rebuilt {
            Some(rebuilt) => _ = rebuilt.insert(fact, (rule, bindings)),
            None => {
                let event = self.event(EventKind::Derive, bindings);
                self.push(Event { rule: Some(rule), fact: Some(fact), ..event });
            }
        }
    }

    /// The match that derived a fact first.
    pub(super) fn born(&mut self, fact: (u16, u32), acted: Acted) {
        let facts = if self.rebuilt.is_some() { &mut self.reborn } else { &mut self.born };
        facts.insert(fact, acted);
    }

    /// Facts come into being in other tables now.
    pub(super) fn begin_rebuild(&mut self) {
        if self.watches_facts() {
            self.rebuilt = Some(Rebuilt::new());
        }
    }

    /// What was derived in other tables, by template and row there.
    pub(super) fn end_rebuild(&mut self) -> Option<(Rebuilt, Births)> {
        Some((self.rebuilt.take()?, std::mem::take(&mut self.reborn)))
    }

    /// A derived fact is gone.
    pub(super) fn underived(&mut self, fact: (u16, u32)) {
        if !self.is_full() {
            return;
        }
        self.push(Event { rule: None, fact: Some(fact), ..self.event(EventKind::Withdraw, Vec::new()) });
    }

    pub(super) fn emitted(&mut self, decision: String) {
        self.push(Event { decision: Some(decision), ..self.event(EventKind::Emit, Vec::new()) });
    }

    pub(super) fn withdrawn(&mut self, rule: u32, decision: String) {
        let event = self.event(EventKind::Withdraw, Vec::new());
        self.push(Event { rule: Some(rule), decision: Some(decision), ..event });
    }

    fn event(&self, kind: EventKind, bindings: Bound) -> Event {
        let (n, phase, rule) = (self.n, self.phase, self.rule);
        Event { n, phase, rule, kind, bindings, fact: None, before: None, decision: None }
    }

    fn push(&mut self, event: Event) {
        let is_wanted = match self.level {
            TraceLevel::Off => false,
            TraceLevel::Decisions => event.kind.is_of_decisions(&event),
            TraceLevel::Full => true,
        };
        if !is_wanted {
            return;
        }
        if self.events.len() >= self.capacity {
            self.dropped += 1;
            self.events.pop_front();
        }
        if self.capacity > 0 {
            self.events.push_back(event);
        }
    }
}

impl Engine {
    /// Firings in order, where they are kept: the rule, and template and row of each fact that it matched, by position.
    pub fn firings(&self) -> impl Iterator<Item = (u32, Vec<(u16, u32)>)> + '_ {
        self.recorder.firings.iter().map(|fired| {
            let rule = &self.rules.rules[fired.rule as usize];
            let positions = &rule.bodies[fired.body as usize].positions[..rule.exported as usize];
            let rows = positions.iter().map(|position| (position.template, fired.rows[position.slot as usize]));
            (fired.rule, rows.collect())
        })
    }

    /// For traces and explanations.
    #[inline]
    pub(super) fn record_derived(
        &mut self,
        rule: u32,
        body: u16,
        fact: (u16, u32),
        bindings: &Bindings,
    ) -> Result<(), Halt> {
        if self.recorder.watches_facts() { self.record_birth(rule, body, fact, bindings) } else { Ok(()) }
    }

    #[cold]
    fn record_birth(&mut self, rule: u32, body: u16, fact: (u16, u32), bindings: &Bindings) -> Result<(), Halt> {
        if self.recorder.is_full() {
            let bound = self.bound(rule, body, bindings);
            self.recorder.derived(rule, fact, bound);
        }
        let is_lasting = !self.rules.strata[self.stratum_of[rule as usize] as usize].is_dynamic && self.is_initial;
        if self.recorder.keeps_firings && !is_lasting {
            let acted = self.acted(rule, body, bindings)?;
            self.recorder.born(fact, acted);
        }
        Ok(())
    }

    pub(super) fn record_firing(
        &mut self,
        rule: u32,
        phase: usize,
        body: u16,
        bindings: &Bindings,
    ) -> Result<(), Halt> {
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
}
