//! The reference: runs a rule file as the words of the format say, everything anew at every turn. Slow, and meant to be plain.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rules_plugin::engine::Change;
use rules_plugin::file::{ActionKind, Condition, ConditionKind, Rule, RuleFile};
use rules_plugin::rows::Row;
use rules_plugin::schema::{Origin, Schema};

use super::acting::{Batch, Effects, Flow};
use super::deciding::Given;
use super::expression::{Globals, Known, Parsed};
use super::matching::{Activation, Match, Matcher, Shape, fact_of};
use super::value::Value;

/// The fields of a fact.
pub(crate) type Values = Vec<Option<Value>>;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Well,
    Limit,
    Error,
    /// A step changes a fact that is not there.
    Refused,
}

/// What stops a run.
pub(crate) type Halted<T> = Result<T, End>;

/// A firing: its rule, and for each matched fact what tells it apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Firing {
    pub(crate) rule: usize,
    pub(crate) facts: Vec<Values>,
}

pub(crate) struct Interpreter<'a> {
    pub(crate) file: &'a RuleFile,
    pub(crate) parsed: RefCell<Parsed>,
    pub(crate) globals: Globals,
    shapes: Vec<Shape>,
    /// Stated facts with their stamps, by template and key.
    pub(crate) stated: BTreeMap<(usize, Values), (Values, u64)>,
    derived: Vec<BTreeSet<Values>>,
    /// What holds: both of these and the tables, in canonical order.
    facts: Vec<Vec<Rc<Known>>>,
    activations: Vec<BTreeMap<Activation, Match>>,
    fired: Vec<BTreeSet<Activation>>,
    pub(crate) decisions: Vec<Given>,
    pub(crate) firings: Vec<Firing>,
    next_stamp: u64,
}

impl<'a> Interpreter<'a> {
    pub(crate) fn new(file: &'a RuleFile) -> Self {
        let schema = &file.schema;
        let fields = schema.templates.iter().map(|template| {
            template.fields.iter().enumerate().map(|(place, field)| (field.name.clone(), place)).collect()
        });
        let params = file.params.iter().map(|param| (param.name.clone(), Value::of(&param.default)));
        let globals = Globals { fields: fields.collect(), params: params.collect() };
        let parsed = RefCell::default();
        let shapes = file.rules.iter().map(|rule| Shape::of(rule, schema, &parsed)).collect();
        let rules = file.rules.len();
        let mut made = Self {
            file,
            parsed,
            globals,
            shapes,
            stated: BTreeMap::new(),
            derived: vec![BTreeSet::new(); schema.templates.len()],
            facts: vec![Vec::new(); schema.templates.len()],
            activations: vec![BTreeMap::new(); rules],
            fired: vec![BTreeSet::new(); rules],
            decisions: Vec::new(),
            firings: Vec::new(),
            next_stamp: 1,
        };
        (0..schema.templates.len()).for_each(|template| made.see(template));
        made
    }

    pub(crate) fn schema(&self) -> &'a Schema {
        &self.file.schema
    }

    pub(crate) fn key(&self, template: usize, values: &Values) -> Values {
        self.schema().templates[template].key.iter().map(|&field| values[usize::from(field)].clone()).collect()
    }

    /// The first run.
    pub(crate) fn begin(&mut self, given: &[(usize, Vec<Row>)]) -> End {
        let mut order: Vec<&(usize, Vec<Row>)> = given.iter().collect();
        order.sort_by_key(|(template, _)| *template);
        order.iter().for_each(|(template, rows)| self.assert_rows(*template, rows));
        self.run()
    }

    /// A later run.
    pub(crate) fn step(&mut self, changes: &[Change]) -> End {
        for change in changes {
            match change {
                Change::Assert(template, rows) => self.assert_rows(*template, rows),
                Change::Retract(template, rows) => {
                    for row in rows {
                        let key = self.key(*template, &values_of(row));
                        if self.stated.remove(&(*template, key)).is_none() {
                            return End::Refused;
                        }
                    }
                }
                Change::Modify(template, rows) => {
                    let mut merged = Vec::new();
                    for row in rows {
                        let key = self.key(*template, &values_of(row));
                        let Some((known, _)) = self.stated.get(&(*template, key)) else { return End::Refused };
                        let fields = known.iter().zip(values_of(row));
                        merged.push(fields.map(|(old, new)| new.or(old.clone())).collect());
                    }
                    self.assert_values(*template, merged);
                }
            }
        }
        self.run()
    }

    fn assert_rows(&mut self, template: usize, rows: &[Row]) {
        self.assert_values(template, rows.iter().map(values_of).collect());
    }

    fn assert_values(&mut self, template: usize, mut rows: Vec<Values>) {
        rows.sort_by_key(|values| self.key(template, values));
        for values in rows {
            self.state(template, values);
        }
    }

    /// States a fact in the place of what has its key; an equal one stays as it is.
    pub(crate) fn state(&mut self, template: usize, values: Values) {
        let key = (template, self.key(template, &values));
        if self.stated.get(&key).is_some_and(|(known, _)| *known == values) {
            return;
        }
        self.stated.insert(key, (values, self.next_stamp));
        self.next_stamp += 1;
    }

    pub(crate) fn is_there(&self, template: usize, key: &Values) -> bool {
        self.facts[template].iter().any(|fact| fact.key == *key)
    }

    fn run(&mut self) -> End {
        match self.run_phases().and_then(|()| self.decided().map(|_| ())) {
            Ok(()) => End::Well,
            Err(end) => end,
        }
    }

    fn run_phases(&mut self) -> Halted<()> {
        for phase in 0..self.file.phases.len().max(1) {
            loop {
                self.settle()?;
                let Some((rule, activation)) = self.first(phase) else { break };
                match self.fire(rule, activation)? {
                    Flow::On => {}
                    Flow::NextPhase => break,
                    Flow::End => return self.settle(),
                }
            }
        }
        self.settle()
    }

    /// The fixpoint, and what follows from it for activations and their decisions.
    fn settle(&mut self) -> Halted<()> {
        self.fixpoint()?;
        for (place, rule) in self.file.rules.iter().enumerate() {
            self.activations[place] = self.matcher().matches(rule, &self.shapes[place]);
            let now = &self.activations[place];
            self.fired[place].retain(|activation| now.contains_key(activation));
            self.decisions.retain(|given| {
                given.rule != place || given.while_holds.as_ref().is_none_or(|activation| now.contains_key(activation))
            });
        }
        Ok(())
    }

    /// The first activation of a phase that has not fired.
    fn first(&self, phase: usize) -> Option<(usize, Activation)> {
        let rules = self.file.rules.iter().enumerate();
        let of_phase = rules.filter(|(_, rule)| !rule.is_derive() && self.phase_of(rule) == phase);
        let all = of_phase.flat_map(|(place, rule)| {
            let unfired = self.activations[place].iter().filter(move |(known, _)| !self.fired[place].contains(*known));
            unfired.map(move |(activation, found)| (place, rule.salience, activation, found))
        });
        let first = all.min_by(|left, right| {
            let rank = |(place, salience, ..): &(usize, i64, &Activation, &Match)| (Reverse(*salience), *place);
            rank(left)
                .cmp(&rank(right))
                .then_with(|| right.3.stamps.cmp(&left.3.stamps))
                .then_with(|| left.3.canonical.cmp(&right.3.canonical))
        });
        first.map(|(place, _, activation, _)| (place, activation.clone()))
    }

    fn phase_of(&self, rule: &Rule) -> usize {
        let named = rule.phase.as_ref();
        named.and_then(|name| self.file.phases.iter().position(|phase| phase.text == name.text)).unwrap_or(0)
    }

    fn fire(&mut self, place: usize, activation: Activation) -> Halted<Flow> {
        let limits = &self.file.limits;
        let of_rule = self.firings.iter().filter(|firing| firing.rule == place).count() as u64;
        if of_rule >= limits.firings_per_rule_max || self.firings.len() as u64 >= limits.firings_max {
            return Err(End::Limit);
        }
        let found = self.activations[place][&activation].clone();
        if found.is_erring {
            return Err(End::Error);
        }
        let facts = self.shapes[place].positions.iter().map(|position| {
            let fact = fact_of(&found.env, &position.variable);
            match &position.distinct {
                Some(fields) => fields.iter().map(|&field| fact.values[field].clone()).collect(),
                None => fact.key.clone(),
            }
        });
        self.firings.push(Firing { rule: place, facts: facts.collect() });
        let effects = Effects::of(self, &self.file.rules[place], &found.env)?;
        self.fired[place].insert(activation.clone());
        let mut batch = Batch::default();
        self.apply(effects, (place, &activation), &mut batch)
    }

    fn matcher(&self) -> Matcher<'_> {
        Matcher { schema: self.schema(), globals: &self.globals, parsed: &self.parsed, facts: &self.facts }
    }

    /// All derived facts, from nothing, stratum by stratum.
    fn fixpoint(&mut self) -> Halted<()> {
        self.derived.iter_mut().for_each(BTreeSet::clear);
        (0..self.facts.len()).for_each(|template| self.see(template));
        let levels = levels(self.file);
        for level in 0..=levels.iter().copied().max().unwrap_or(0) {
            self.check_facts()?;
            while self.derive_once(&levels, level)? {
                self.check_facts()?;
            }
            if self.is_erring(&levels, level) {
                return Err(End::Error);
            }
        }
        let is_double = |facts: &Vec<Rc<Known>>| facts.windows(2).any(|pair| pair[0].key == pair[1].key);
        if self.facts.iter().any(is_double) { Err(End::Error) } else { Ok(()) }
    }

    fn check_facts(&self) -> Halted<()> {
        let facts = self.facts.iter().map(|facts| facts.len() as u64).sum::<u64>();
        if facts > self.file.limits.facts_max { Err(End::Limit) } else { Ok(()) }
    }

    /// One round of the rules whose heads are of a level; whether there was anything new.
    fn derive_once(&mut self, levels: &[usize], level: usize) -> Halted<bool> {
        let mut made: BTreeSet<(usize, Values)> = BTreeSet::new();
        for (place, rule) in self.file.rules.iter().enumerate().filter(|(_, rule)| rule.is_derive()) {
            let is_of_level = |template: usize| levels[template] == level;
            if !heads(rule, self.schema()).any(is_of_level) {
                continue;
            }
            for found in self.matcher().matches(rule, &self.shapes[place]).into_values() {
                if found.is_erring {
                    continue;
                }
                let facts = Effects::of(self, rule, &found.env)?.derived;
                made.extend(facts.into_iter().filter(|(template, _)| is_of_level(*template)));
            }
        }
        let mut is_new = false;
        for (template, values) in made {
            is_new |= self.derived[template].insert(values);
            self.see(template);
        }
        Ok(is_new)
    }

    /// Whether some match of a rule whose heads are of a level holds by nothing but errors, all facts being there.
    fn is_erring(&self, levels: &[usize], level: usize) -> bool {
        let rules = self.file.rules.iter().enumerate().filter(|(_, rule)| rule.is_derive());
        rules.filter(|(_, rule)| heads(rule, self.schema()).any(|template| levels[template] == level)).any(
            |(place, rule)| self.matcher().matches(rule, &self.shapes[place]).values().any(|found| found.is_erring),
        )
    }

    /// Puts the facts of a template together.
    fn see(&mut self, template: usize) {
        let schema = self.schema();
        let mut facts: BTreeMap<(Values, Values), u64> = BTreeMap::new();
        let tables = schema.templates.iter().enumerate().filter(|(_, known)| known.origin == Origin::Table);
        for ((place, _), rows) in tables.zip(&self.file.tables) {
            for (row, _) in rows.iter().filter(|_| place == template) {
                let values: Values = row.iter().map(|value| Some(Value::of(value))).collect();
                facts.insert((self.key(template, &values), values), 0);
            }
        }
        for values in &self.derived[template] {
            facts.insert((self.key(template, values), values.clone()), 0);
        }
        for ((_, key), (values, stamp)) in self.stated.iter().filter(|((place, _), _)| *place == template) {
            facts.insert((key.clone(), values.clone()), *stamp);
        }
        let known = facts.into_iter().map(|((key, values), stamp)| Rc::new(Known { template, values, key, stamp }));
        self.facts[template] = known.collect();
    }

    /// The facts of a template in canonical order.
    pub(crate) fn facts_of(&self, template: usize) -> Vec<Values> {
        self.facts[template].iter().map(|fact| fact.values.clone()).collect()
    }

    /// Firings of an agenda rule, or the matches of a derive rule.
    pub(crate) fn count_of(&self, place: usize) -> usize {
        match self.file.rules[place].is_derive() {
            true => self.activations[place].len(),
            false => self.firings.iter().filter(|firing| firing.rule == place).count(),
        }
    }
}

pub(crate) fn values_of(row: &Row) -> Values {
    row.iter().map(|value| value.as_ref().map(Value::of)).collect()
}

fn heads<'r>(rule: &'r Rule, schema: &'r Schema) -> impl Iterator<Item = usize> + 'r {
    rule.then.iter().filter_map(|action| match &action.kind {
        ActionKind::Derive { template, .. } => schema.template(&template.text),
        _ => None,
    })
}

/// A level for each template: not below what it is derived from, above what has to be complete before.
fn levels(file: &RuleFile) -> Vec<usize> {
    let mut levels = vec![0; file.schema.templates.len()];
    let mut is_settled = false;
    while !is_settled {
        is_settled = true;
        for rule in file.rules.iter().filter(|rule| rule.is_derive()) {
            let least = rule.when.iter().map(|condition| least_level(condition, file, &levels)).max().unwrap_or(0);
            for head in heads(rule, &file.schema) {
                is_settled &= levels[head] >= least;
                levels[head] = levels[head].max(least);
            }
        }
        assert!(levels.iter().all(|&level| level <= levels.len()), "the rules are not stratified");
    }
    levels
}

fn least_level(condition: &Condition, file: &RuleFile, levels: &[usize]) -> usize {
    let level = |name: &str| file.schema.template(name).map_or(0, |template| levels[template]);
    match &condition.kind {
        ConditionKind::Match { pattern, distinct: None } | ConditionKind::Exists(pattern) => {
            level(&pattern.template.text)
        }
        ConditionKind::Match { pattern, .. }
        | ConditionKind::Not(pattern)
        | ConditionKind::Forall { pattern, .. }
        | ConditionKind::Accumulate { pattern, .. } => level(&pattern.template.text) + 1,
        ConditionKind::Any(branches) => {
            branches.iter().flatten().map(|condition| least_level(condition, file, levels)).max().unwrap_or(0)
        }
        ConditionKind::If(_) | ConditionKind::Let(_) => 0,
    }
}
