//! How the rules are joined, as JSON for their authors (`rules-plan/v1`). Describes plans, makes none.

use serde_json::{Value, json};

use crate::model::{Body, CellAt, Comparison, Conjunct, ConjunctKind, Operand, Pattern, Rule, RuleSet, Step, StepKind};
use crate::plan::{Access, Key, Level, Pin, Plans, Variant};
use crate::schema::{FieldType, Origin, Scalar};
use crate::value::Text;

#[cfg(test)]
mod tests;

/// The estimates count with so many facts of a template.
const FACTS_ASSUMED: f64 = 1000.0;
/// A column that is not the whole key is taken to tell so many groups of facts apart.
const GROUPS_ASSUMED: f64 = 10.0;

/// The plans of all rules, the strata of those that derive and the order of those that act.
pub fn plan_text(rules: &RuleSet) -> String {
    let body_count = rules.rules.iter().map(|rule| rule.bodies.len()).sum();
    let mut plans = Plans::new(rules, body_count);
    let mut next_body = 0;
    let described = (0..rules.rules.len() as u32).map(|rule| {
        let bodies = rules.rules[rule as usize].bodies.len() as u16;
        let bodies: Vec<Value> = (0..bodies)
            .map(|body| {
                next_body += 1;
                describe_body(rules, rule, body, (&mut plans, next_body - 1))
            })
            .collect();
        describe_rule(&rules.rules[rule as usize], bodies)
    });
    let described: Vec<Value> = described.collect();
    json!({
        "schema": "rules-plan/v1",
        "rule_set": {"name": rules.name, "version": rules.version},
        "strata": strata(rules),
        "agenda": agenda(rules),
        "rules": described,
    })
    .to_string()
}

fn template(rules: &RuleSet, template: u16) -> &str {
    &rules.schema.templates[usize::from(template)].name
}

fn strata(rules: &RuleSet) -> Value {
    let stratum = |stratum: &crate::model::Stratum| {
        json!({
            "rules": stratum.rules.iter().map(|&rule| rules.rules[rule as usize].id.as_str()).collect::<Vec<_>>(),
            "derives": stratum.heads.iter().map(|&head| template(rules, head)).collect::<Vec<_>>(),
            "recursive": stratum.is_recursive,
            "changes_with_the_agenda": stratum.is_dynamic,
        })
    };
    rules.strata.iter().map(stratum).collect()
}

/// Phases in order, each with its rules in the order in which they are asked.
fn agenda(rules: &RuleSet) -> Value {
    let mut begin = 0;
    let phases = rules.phase_ends.iter().enumerate().map(|(place, &end)| {
        let of_phase = &rules.agenda[begin..end as usize];
        begin = end as usize;
        let entry = |&rule: &u32| {
            let rule = &rules.rules[rule as usize];
            json!({"rule": rule.id, "salience": rule.salience})
        };
        json!({"phase": rules.phases.get(place), "rules": of_phase.iter().map(entry).collect::<Vec<_>>()})
    });
    phases.collect()
}

fn describe_rule(rule: &Rule, bodies: Vec<Value>) -> Value {
    let has_cross_product = bodies.iter().any(|body| body["cross_product"] == json!(true));
    json!({
        "rule": rule.id,
        "kind": if rule.is_derive { "derive" } else { "agenda" },
        "cross_product": has_cross_product,
        "bodies": bodies,
    })
}

/// A body with the plan that begins with nothing, and the order in which others begin with a new fact.
fn describe_body(rules: &RuleSet, rule: u32, body: u16, (plans, id): (&mut Plans, u32)) -> Value {
    let description = &rules.rules[rule as usize];
    let names = Names { rules, rule: description, body: &description.bodies[usize::from(body)] };
    let variant = plans.variant(rules, rule, body, id, Pin::Nothing);
    let mut described = names.variant(&variant);
    let positions = 0..names.body.positions.len() as u16;
    let on_new_fact = positions.map(|place| {
        let variant = plans.variant(rules, rule, body, id, Pin::Position(place));
        let variable = |level: &Level| names.body.positions[usize::from(level.position)].variable.as_str();
        let order = variant.levels.iter().skip(1).map(variable).collect::<Vec<_>>();
        json!({"begins_with": names.body.positions[usize::from(place)].variable, "then": order})
    });
    described["on_new_fact"] = on_new_fact.collect();
    described
}

/// What the slots of a body are called.
struct Names<'a> {
    rules: &'a RuleSet,
    rule: &'a Rule,
    body: &'a Body,
}

impl Names<'_> {
    fn variant(&self, variant: &Variant) -> Value {
        let mut rows = 1.0;
        let mut cost = 0.0;
        let mut bound = 0_u64;
        let mut has_cross_product = false;
        let mut levels = Vec::with_capacity(variant.levels.len());
        for level in &variant.levels {
            let found = self.rows_found(level);
            let is_cross_product = bound != 0 && found > 1.0 && !self.is_tied(level);
            has_cross_product |= is_cross_product;
            cost += rows * found;
            rows *= found * self.share_kept(level);
            bound |= 1 << level.slot;
            levels.push(self.level(level, is_cross_product, rows));
        }
        json!({
            "first": variant.first.iter().map(|&step| self.step(step)).collect::<Vec<_>>(),
            "positions": levels,
            "cross_product": has_cross_product,
            "estimated_rows": rounded(rows),
            "estimated_cost": rounded(cost),
        })
    }

    fn level(&self, level: &Level, is_cross_product: bool, rows: f64) -> Value {
        let position = &self.body.positions[usize::from(level.position)];
        let schema = &self.rules.schema.templates[usize::from(level.template)];
        let fields =
            |fields: &[u16]| fields.iter().map(|&field| schema.fields[usize::from(field)].name.clone()).collect();
        let distinct: Option<Vec<String>> = position.distinct.as_deref().map(fields);
        let tests = level.tests.iter().chain(&level.late_tests);
        json!({
            "match": schema.name,
            "as": position.variable,
            "only_exists": u32::from(level.position) >= self.rule.exported,
            "distinct": distinct,
            "access": self.access(level),
            "range_probes": [],
            "tests": tests.map(|&test| self.conjunct(&self.body.conjuncts[usize::from(test)])).collect::<Vec<_>>(),
            "steps": level.steps.iter().map(|&step| self.step(step)).collect::<Vec<_>>(),
            "order": if level.is_sorted { "canonical" } else { "newest-first" },
            "cross_product": is_cross_product,
            "estimated_rows": rounded(rows),
        })
    }

    fn access(&self, level: &Level) -> Value {
        let Access::Probe { keys, .. } = &level.access else { return json!({"kind": "scan"}) };
        if keys.is_empty() {
            return json!({"kind": "scan"});
        }
        let key = |(field, key): &(u16, Key)| {
            let own = CellAt { slot: level.slot, field: *field };
            let other = match key {
                Key::Operand(operand) => self.operand(operand, self.type_of(own)),
                Key::Conjunct(conjunct) => match &self.body.conjuncts[usize::from(*conjunct)].kind {
                    ConjunctKind::EqualsProgram { program, .. } => self.program(program),
                    _ => String::new(),
                },
                Key::Pin(_) => "the changed fact".to_owned(),
            };
            json!({"field": self.field_name(own), "equals": other})
        };
        json!({"kind": "hash-probe", "keys": keys.iter().map(key).collect::<Vec<_>>()})
    }

    /// The rows of one probe or scan.
    fn rows_found(&self, level: &Level) -> f64 {
        let schema = &self.rules.schema.templates[usize::from(level.template)];
        let all = match schema.origin {
            Origin::Table => self.rules.table_rows[usize::from(level.template)].len() as f64,
            _ if schema.key.is_empty() => 1.0,
            _ => FACTS_ASSUMED,
        };
        let Access::Probe { keys, .. } = &level.access else { return all };
        let has = |field: &u16| keys.iter().any(|(known, _)| known == field);
        if schema.key.iter().all(has) {
            return all.min(1.0);
        }
        (all / GROUPS_ASSUMED.powi(keys.len() as i32)).max(1.0).min(all)
    }

    /// The share of rows that pass the tests of a level: a third for each.
    fn share_kept(&self, level: &Level) -> f64 {
        let tests = level.tests.len() + level.late_tests.len();
        3.0_f64.powi(-(tests as i32))
    }

    /// A key ties the rows to what is bound already.
    fn is_tied(&self, level: &Level) -> bool {
        let Access::Probe { keys, .. } = &level.access else { return false };
        keys.iter().any(|(_, key)| match key {
            Key::Operand(Operand::Cell(_)) | Key::Pin(_) => true,
            Key::Operand(Operand::Value(slot)) => usize::from(*slot) >= self.rules.params.len(),
            Key::Operand(Operand::Constant(_)) => false,
            Key::Conjunct(conjunct) => {
                let conjunct = &self.body.conjuncts[usize::from(*conjunct)];
                conjunct.facts & !(1 << level.slot) != 0 || conjunct.values != 0
            }
        })
    }

    fn step(&self, step: u16) -> Value {
        let Step { kind, .. } = &self.body.steps[usize::from(step)];
        match kind {
            StepKind::If(program) => json!({"kind": "if", "expression": self.program(program)}),
            StepKind::Let { slot, program } => {
                json!({"kind": "let", "gives": [self.value_name(*slot)], "expression": self.program(program)})
            }
            StepKind::Not(pattern) => self.pattern("not", pattern),
            StepKind::Exists(pattern) => self.pattern("exists", pattern),
            StepKind::Forall { pattern, satisfies } => {
                let mut described = self.pattern("forall", pattern);
                described["satisfies"] = json!(self.program(satisfies));
                described
            }
            StepKind::Accumulate { pattern, count, folds } => {
                let mut described = self.pattern("accumulate", pattern);
                let folded = folds.iter().map(|fold| fold.slot);
                let gives = count.iter().copied().chain(folded).map(|slot| self.value_name(slot));
                described["gives"] = gives.collect();
                described
            }
        }
    }

    fn pattern(&self, kind: &str, pattern: &Pattern) -> Value {
        let key = |(field, operand): &(u16, Operand)| {
            let own = CellAt { slot: pattern.slot, field: *field };
            json!({"field": self.field_name(own), "equals": self.operand(operand, self.type_of(own))})
        };
        let tests = || pattern.tests.iter().map(|test| self.conjunct(test)).collect::<Vec<_>>();
        // The fact with the most or the least in a field answers for all.
        let is_range = pattern.bound.is_some() && matches!(kind, "not" | "exists");
        let access = match pattern.keys.as_slice() {
            [] if is_range => json!({"kind": "range-probe"}),
            [] => json!({"kind": "scan"}),
            keys => json!({"kind": "hash-probe", "keys": keys.iter().map(key).collect::<Vec<_>>()}),
        };
        let (range_probes, tests) = if is_range { (tests(), Vec::new()) } else { (Vec::new(), tests()) };
        json!({
            "kind": kind,
            "match": template(self.rules, pattern.template),
            "as": pattern.variable,
            "access": access,
            "range_probes": range_probes,
            "tests": tests,
        })
    }

    fn conjunct(&self, conjunct: &Conjunct) -> String {
        match &conjunct.kind {
            ConjunctKind::Compare { left, comparison, right, .. } => {
                let ty = [left, right].into_iter().find_map(|side| match side {
                    Operand::Cell(cell) => self.type_of(*cell),
                    _ => None,
                });
                format!("{} {} {}", self.operand(left, ty), sign(*comparison), self.operand(right, ty))
            }
            ConjunctKind::EqualsProgram { cell, program, .. } => {
                format!("{} == {}", self.cell_name(*cell), self.program(program))
            }
            ConjunctKind::Program(program) => self.program(program),
        }
    }

    /// A program by what it reads; its text is in the file.
    fn program(&self, program: &crate::cel::Program) -> String {
        let reads = program.reads();
        let cells = reads.fields.into_iter().map(|(slot, field)| self.cell_name(CellAt { slot, field }));
        let mut names: Vec<String> = cells.chain(reads.slots.into_iter().map(|slot| self.value_name(slot))).collect();
        names.sort_unstable();
        names.dedup();
        format!("expression over ({})", names.join(", "))
    }

    fn operand(&self, operand: &Operand, ty: Option<FieldType>) -> String {
        match operand {
            Operand::Cell(cell) => self.cell_name(*cell),
            Operand::Value(slot) => self.value_name(*slot),
            Operand::Constant(cell) => match ty.map(|ty| ty.scalar) {
                Some(Scalar::Bool) => (*cell != 0).to_string(),
                Some(Scalar::Double) => f64::from_bits(*cell).to_string(),
                Some(Scalar::String | Scalar::Enum | Scalar::Bytes) => {
                    format!("'{}'", self.rules.texts.text(Text(*cell as u32)))
                }
                _ => (*cell as i64).to_string(),
            },
        }
    }

    fn type_of(&self, cell: CellAt) -> Option<FieldType> {
        let template = *self.body.slots.get(usize::from(cell.slot))?;
        self.rules
            .schema
            .templates
            .get(usize::from(template))?
            .fields
            .get(usize::from(cell.field))
            .map(|field| field.ty)
    }

    fn field_name(&self, cell: CellAt) -> &str {
        let template = self.body.slots.get(usize::from(cell.slot)).copied().unwrap_or_default();
        let fields = &self.rules.schema.templates[usize::from(template)].fields;
        fields.get(usize::from(cell.field)).map_or("", |field| field.name.as_str())
    }

    fn cell_name(&self, cell: CellAt) -> String {
        let position = self.body.positions.iter().find(|position| position.slot == cell.slot);
        let inner =
            || self.body.steps.iter().filter_map(|step| step.kind.pattern()).find(|inner| inner.slot == cell.slot);
        let variable = position.map(|position| &position.variable).or_else(|| inner().map(|inner| &inner.variable));
        format!("{}.{}", variable.map_or("", String::as_str), self.field_name(cell))
    }

    /// A parameter, or a value by its name; values that only one branch of `any` knows have none.
    fn value_name(&self, slot: u16) -> String {
        if let Some(param) = self.rules.params.get(usize::from(slot)) {
            return format!("params.{}", param.name);
        }
        let place = self.rule.identity.iter().position(|&known| known == slot);
        let name = place.and_then(|place| self.rule.names.get(self.rule.exported as usize + place));
        name.cloned().unwrap_or_else(|| "a value of the branch".to_owned())
    }
}

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "==",
        Comparison::NotEqual => "!=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

/// Estimates are no finer than whole numbers.
fn rounded(estimate: f64) -> u64 {
    estimate.max(1.0).round() as u64
}
