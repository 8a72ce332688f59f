//! How a body is joined: in which order its positions are bound, which index answers each, when every test is made.
//!
//! A body has a variant for each way in which its search can begin: with nothing, with a new fact at one position, or
//! with a changed fact inside one of its closed conditions.

use std::rc::Rc;

use crate::model::{Body, CellAt, CellKind, Comparison, Conjunct, ConjunctKind, Operand, Rule, RuleSet};

/// What a search begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    Nothing,
    /// A row at a position.
    Position(u16),
    /// A row that a step's pattern looks at; the positions that its key names are bound to its values.
    Step(u16),
    /// The rows of an activation, to look whether it still holds.
    Entry,
}

/// How the rows of a level are found.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// The row that the search began with.
    Pinned,
    /// The row that the activation has at this place.
    Fixed(u16),
    /// Rows whose `columns` hold the keys.
    Probe { index: u16, keys: Vec<(u16, Key)> },
    /// All rows.
    Scan,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Key {
    Operand(Operand),
    /// The program of this conjunct.
    Conjunct(u16),
    /// A cell of the row that the search began with.
    Pin(u16),
}

#[derive(Clone, Debug)]
pub struct Level {
    /// Among the body's positions.
    pub position: u16,
    pub slot: u16,
    pub template: u16,
    pub access: Access,
    /// Conjuncts to test.
    pub tests: Vec<u16>,
    /// Steps to make, in this order.
    pub steps: Vec<u16>,
    /// Conjuncts that need what the steps give.
    pub late_tests: Vec<u16>,
    /// Candidates are taken in canonical order; else newest first.
    pub is_sorted: bool,
    /// Of candidates that look the same to `distinct`, one is enough: all that is asked of their facts is asked here.
    pub is_distinct: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Variant {
    /// Steps that need no fact.
    pub first: Vec<u16>,
    pub levels: Vec<Level>,
}

/// Column sets that some plan wants an index for, by template.
pub type Catalog = Vec<Vec<Vec<u16>>>;

/// The place of an index in the catalog.
pub fn index_of(catalog: &mut Catalog, template: u16, columns: &[u16]) -> u16 {
    let known = &mut catalog[template as usize];
    if let Some(place) = known.iter().position(|known| known == columns) {
        return place as u16;
    }
    known.push(columns.to_vec());
    known.len() as u16 - 1
}

#[derive(Debug, Default)]
struct BodyPlans {
    nothing: Option<Rc<Variant>>,
    positions: Vec<Option<Rc<Variant>>>,
    steps: Vec<Option<Rc<Variant>>>,
    entry: Option<Rc<Variant>>,
    /// For each step with a pattern, its index.
    step_indexes: Option<Rc<[u16]>>,
}

/// Plans that were asked for.
#[derive(Debug)]
pub struct Plans {
    bodies: Vec<BodyPlans>,
    pub catalog: Catalog,
}

impl Plans {
    pub fn new(rules: &RuleSet, body_count: usize) -> Self {
        Self {
            bodies: (0..body_count).map(|_| BodyPlans::default()).collect(),
            catalog: vec![Vec::new(); rules.schema.templates.len()],
        }
    }

    /// The variant of a body (`id` counts bodies over all rules).
    #[expect(clippy::too_many_arguments, reason = "a body by its place and by its number, which callers have")]
    pub fn variant(&mut self, rules: &RuleSet, rule: u32, body: u16, id: u32, pin: Pin) -> Rc<Variant> {
        let plans = &mut self.bodies[id as usize];
        let place = match pin {
            Pin::Nothing => &mut plans.nothing,
            Pin::Position(place) => at(&mut plans.positions, place),
            Pin::Step(place) => at(&mut plans.steps, place),
            Pin::Entry => &mut plans.entry,
        };
        if let Some(variant) = place {
            return Rc::clone(variant);
        }
        let variant = Rc::new(Planner::new(rules, rule, body, &mut self.catalog).plan(pin));
        *place = Some(Rc::clone(&variant));
        variant
    }

    /// The index of each step's pattern.
    pub fn step_indexes(&mut self, rules: &RuleSet, rule: u32, body: u16, id: u32) -> Rc<[u16]> {
        if let Some(indexes) = &self.bodies[id as usize].step_indexes {
            return Rc::clone(indexes);
        }
        let steps = &rules.rules[rule as usize].bodies[body as usize].steps;
        let indexes = steps.iter().map(|step| match step.kind.pattern() {
            Some(pattern) => {
                let columns: Vec<u16> = pattern.keys.iter().map(|&(field, _)| field).collect();
                index_of(&mut self.catalog, pattern.template, &columns)
            }
            None => 0,
        });
        let indexes: Rc<[u16]> = indexes.collect();
        self.bodies[id as usize].step_indexes = Some(Rc::clone(&indexes));
        indexes
    }
}

fn at<T>(places: &mut Vec<Option<T>>, place: u16) -> &mut Option<T> {
    while places.len() <= place as usize {
        places.push(None);
    }
    &mut places[place as usize]
}

struct Planner<'a> {
    rules: &'a RuleSet,
    rule: &'a Rule,
    body: &'a Body,
    catalog: &'a mut Catalog,
    bound_facts: u64,
    bound_values: u64,
    tests_left: Vec<u16>,
    steps_left: Vec<u16>,
    /// Slot, field and pinned field that must be equal.
    pins: Vec<(u16, u16, u16)>,
}

impl<'a> Planner<'a> {
    fn new(rules: &'a RuleSet, rule: u32, body: u16, catalog: &'a mut Catalog) -> Self {
        let rule = &rules.rules[rule as usize];
        let body = &rule.bodies[body as usize];
        Self {
            rules,
            rule,
            body,
            catalog,
            bound_facts: 0,
            bound_values: 0,
            tests_left: (0..body.conjuncts.len() as u16).collect(),
            steps_left: (0..body.steps.len() as u16).collect(),
            pins: Vec::new(),
        }
    }

    fn plan(mut self, pin: Pin) -> Variant {
        if let Pin::Step(step) = pin
            && let Some(pattern) = self.body.steps[step as usize].kind.pattern()
        {
            for &(field, operand) in &pattern.keys {
                if let Operand::Cell(CellAt { slot, field: outer }) = operand {
                    self.pins.push((slot, outer, field));
                }
            }
        }
        let mut variant = Variant { first: self.ready_steps(), levels: Vec::new() };
        let mut left: Vec<u16> = (0..self.body.positions.len() as u16).collect();
        if let Pin::Position(place) = pin {
            left.retain(|&position| position != place);
            variant.levels.push(self.level(place, Some(Access::Pinned)));
        }
        if pin == Pin::Entry {
            let is_fixed = |place: &u16| {
                u32::from(*place) < self.rule.exported && self.body.positions[*place as usize].distinct.is_none()
            };
            let fixed: Vec<u16> = left.iter().copied().filter(is_fixed).collect();
            left.retain(|place| !fixed.contains(place));
            for place in fixed {
                variant.levels.push(self.level(place, Some(Access::Fixed(place))));
            }
        }
        while !left.is_empty() {
            let next = if self.rule.is_derive { self.cheapest(&left) } else { self.next_in_order(&left) };
            let place = left.remove(next);
            variant.levels.push(self.level(place, None));
        }
        variant
    }

    /// Stamped positions in the order of `when`, then those without stamps, then those that only have to exist.
    fn next_in_order(&self, left: &[u16]) -> usize {
        let rank = |&place: &u16| {
            let exported = u32::from(place) < self.rule.exported;
            (!exported, !self.is_stamped(place), place)
        };
        (0..left.len()).min_by_key(|&at| rank(&left[at])).unwrap_or_default()
    }

    fn is_stamped(&self, place: u16) -> bool {
        let position = &self.body.positions[place as usize];
        position.distinct.is_none() && self.rules.is_stamped(position.template)
    }

    /// The position with the most columns that are known already; the first one where several have as many.
    fn cheapest(&self, left: &[u16]) -> usize {
        let known = |at: usize| {
            let slot = self.body.positions[left[at] as usize].slot;
            self.tests_left.iter().filter_map(|&test| self.key_of(test, slot)).count()
                + self.pins.iter().filter(|pin| pin.0 == slot).count()
        };
        // Exported first: what only has to exist is looked for last.
        (0..left.len())
            .min_by_key(|&at| {
                let exported = u32::from(left[at]) < self.rule.exported;
                (known(at) == 0, !exported, std::cmp::Reverse(known(at)), at)
            })
            .unwrap_or_default()
    }

    fn level(&mut self, place: u16, access: Option<Access>) -> Level {
        let position = &self.body.positions[place as usize];
        let slot = position.slot;
        let is_given = access.is_some();
        let access = access.unwrap_or_else(|| self.access(slot, position.template));
        self.bound_facts |= 1 << slot;
        let tests = self.ready_tests();
        let steps = self.ready_steps();
        let late_tests = self.ready_tests();
        let is_sorted = !is_given && (!self.rule.is_derive && !self.is_stamped(place) || position.distinct.is_some());
        let is_of_slot = |test: &u16| self.body.conjuncts[*test as usize].facts >> slot & 1 != 0;
        // What a search has passed is lost where it does not go on after one of its facts died.
        let goes_on = || self.rule.is_derive || !self.rule.is_unordered(self.rules);
        let is_distinct = is_sorted
            && position.distinct.is_some()
            && goes_on()
            && !late_tests.iter().chain(&self.tests_left).any(is_of_slot);
        let template = position.template;
        Level { position: place, slot, template, access, tests, steps, late_tests, is_sorted, is_distinct }
    }

    fn ready_tests(&mut self) -> Vec<u16> {
        let (facts, values) = (self.bound_facts, self.bound_values);
        let conjuncts = &self.body.conjuncts;
        let is_ready = |&test: &u16| {
            let conjunct: &Conjunct = &conjuncts[test as usize];
            conjunct.facts & !facts == 0 && conjunct.values & !values == 0
        };
        let ready = self.tests_left.iter().copied().filter(is_ready).collect();
        self.tests_left.retain(|test| !is_ready(test));
        ready
    }

    fn ready_steps(&mut self) -> Vec<u16> {
        let mut ready = Vec::new();
        let mut at = 0;
        while at < self.steps_left.len() {
            let step = &self.body.steps[self.steps_left[at] as usize];
            if step.facts & !self.bound_facts == 0 && step.values & !self.bound_values == 0 {
                self.bound_values |= step.gives;
                ready.push(self.steps_left.remove(at));
                at = 0;
            } else {
                at += 1;
            }
        }
        // In the order of `when` as far as what they need allows.
        ready
    }

    /// The field of `slot` that a conjunct ties to something known, and to what.
    fn key_of(&self, test: u16, slot: u16) -> Option<(u16, Key)> {
        let conjunct = &self.body.conjuncts[test as usize];
        let others = conjunct.facts & !(1 << slot);
        if others & !self.bound_facts != 0 || conjunct.values & !self.bound_values != 0 {
            return None;
        }
        match &conjunct.kind {
            ConjunctKind::Compare { left, comparison: Comparison::Equal, right, kind } if *kind != CellKind::Double => {
                let own = |operand: &Operand| match operand {
                    Operand::Cell(cell) if cell.slot == slot => Some(cell.field),
                    _ => None,
                };
                match (own(left), own(right)) {
                    (Some(field), None) => Some((field, Key::Operand(*right))),
                    (None, Some(field)) => Some((field, Key::Operand(*left))),
                    _ => None,
                }
            }
            ConjunctKind::EqualsProgram { cell, .. } if cell.slot == slot => Some((cell.field, Key::Conjunct(test))),
            _ => None,
        }
    }

    fn access(&mut self, slot: u16, template: u16) -> Access {
        let mut keys: Vec<(u16, Key)> = Vec::new();
        let mut used = Vec::new();
        for &(_, field, pinned) in self.pins.iter().filter(|pin| pin.0 == slot) {
            if keys.iter().all(|&(known, _)| known != field) {
                keys.push((field, Key::Pin(pinned)));
            }
        }
        for &test in &self.tests_left {
            let Some((field, key)) = self.key_of(test, slot) else { continue };
            if keys.iter().all(|&(known, _)| known != field) {
                // An equality that a probe answers holds for every row that it finds.
                keys.push((field, key));
                used.push(test);
            }
        }
        if keys.is_empty() {
            if self.rule.is_derive {
                return Access::Scan;
            }
            let index = index_of(self.catalog, template, &[]);
            return Access::Probe { index, keys };
        }
        self.tests_left.retain(|test| !used.contains(test));
        keys.sort_by_key(|&(field, _)| field);
        let columns: Vec<u16> = keys.iter().map(|&(field, _)| field).collect();
        Access::Probe { index: index_of(self.catalog, template, &columns), keys }
    }
}
