//! Makes random rule sets: few templates, small domains so that joins hit, and every kind of condition and action.

use rules_plugin::rows::Row;
use rules_plugin::schema::Constant;

use super::expressions::{Kind, Scope, Var};
use super::program::{ChangeKind, Program, RuleText, StepChange};
use super::random::Random;

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
    pub(crate) is_key: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) is_input: bool,
    /// Agenda rules may write it.
    pub(crate) is_writable: bool,
    /// 0: derive rules do not write it. Rules that derive a template match only what is not above, and close over what is below.
    pub(crate) level: usize,
    keyed: bool,
}

pub(crate) struct Generator {
    pub(crate) random: Random,
    pub(crate) templates: Vec<Template>,
    pub(crate) names: usize,
    tables: usize,
    phases: usize,
}

/// The random program of a seed.
pub(crate) fn program(seed: u64) -> Program {
    let mut random = Random::new(seed);
    let phases = if random.chance(40) { random.between(1, 3) } else { 0 };
    let mut generator = Generator { random, templates: Vec::new(), names: 0, tables: 0, phases };
    generator.declare();
    let mut program = Program { head: generator.head(), ..Program::default() };
    let derived: Vec<usize> =
        (0..generator.templates.len()).filter(|&place| generator.templates[place].level > 0).collect();
    for head in derived {
        for _ in 0..generator.random.between(1, 2) {
            program.rules.push(generator.derive_rule(head));
        }
    }
    for _ in 0..generator.random.between(1, 4) {
        let rule = generator.agenda_rule();
        let place = generator.random.between(0, program.rules.len());
        program.rules.insert(place, rule);
    }
    for (place, rule) in program.rules.iter_mut().enumerate() {
        rule.id = format!("r{place}");
    }
    generator.facts(&mut program);
    if generator.random.chance(50) {
        for _ in 0..generator.random.between(1, 3) {
            let step = generator.step(&program);
            program.steps.push(step);
        }
    }
    program
}

impl Generator {
    pub(crate) fn fresh(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn declare(&mut self) {
        for place in 0..self.random.between(1, 3) {
            let template = self.template(format!("t{place}"), true, true, 0);
            self.templates.push(template);
        }
        let mut level = 0;
        for place in 0..self.random.between(0, 3) {
            level += 1;
            let template = self.template(format!("d{place}"), false, false, level);
            self.templates.push(template);
        }
        if self.random.chance(35) {
            let template = self.template("st".to_owned(), false, true, 0);
            self.templates.push(template);
        }
        if self.random.chance(20) {
            let template = self.template("m".to_owned(), false, true, level + 1);
            self.templates.push(template);
        }
        // Templates and fields are read in the order of their names, which decides stamps; strata must not care.
        for template in &mut self.templates {
            template.name = format!("{}{}", self.random.pick(&["a", "b", "x", "y"]), template.name);
            template.fields.sort_by(|left, right| left.name.cmp(&right.name));
        }
        self.templates.sort_by(|left, right| left.name.cmp(&right.name));
        if self.random.chance(25) {
            let mut table = self.template("c".to_owned(), false, false, 0);
            for field in &mut table.fields {
                field.optional = false;
                field.kind = if matches!(field.kind, Kind::Double | Kind::Ints) { Kind::Int } else { field.kind };
            }
            self.templates.push(table);
            self.tables = 1;
        }
    }

    fn template(&mut self, name: String, is_input: bool, is_writable: bool, level: usize) -> Template {
        let is_singleton = is_writable && self.random.chance(8);
        let keyed = is_singleton || self.random.chance(if level > 0 { 14 } else { 85 });
        let keys = if is_singleton { 0 } else { self.random.between(1, 2) };
        let mut fields = Vec::new();
        for place in 0..keys {
            let kind = *self.random.pick(&[Kind::Int, Kind::Int, Kind::Int, Kind::Text, Kind::Enum, Kind::Bool]);
            fields.push(Field { name: format!("k{place}"), kind, optional: false, is_key: true });
        }
        for place in 0..self.random.between(usize::from(keys == 0), 3) {
            let simple = [Kind::Int, Kind::Int, Kind::Int, Kind::Text, Kind::Bool, Kind::Enum];
            let kind = match keyed {
                true => *self.random.pick(&[
                    Kind::Int,
                    Kind::Int,
                    Kind::Int,
                    Kind::Text,
                    Kind::Bool,
                    Kind::Double,
                    Kind::Ints,
                ]),
                false => *self.random.pick(&simple),
            };
            let optional = keyed && self.random.chance(10);
            fields.push(Field { name: format!("f{place}"), kind, optional, is_key: !keyed });
        }
        if !keyed {
            fields.iter_mut().for_each(|field| field.is_key = true);
        }
        Template { name, fields, is_input, is_writable, level, keyed }
    }

    fn head(&mut self) -> Vec<String> {
        let mut lines = vec!["schema: rules/v1".to_owned(), "name: random".to_owned(), "version: 1.0.0".to_owned()];
        lines.push("params: {p: {type: int, default: 1}, q: {type: double, default: 0.5}, e: {type: enum, values: [red, green, blue], default: red}}".to_owned());
        if self.phases > 0 {
            let names: Vec<String> = (0..self.phases).map(|phase| format!("p{phase}")).collect();
            lines.push(format!("phases: [{}]", names.join(", ")));
        }
        match self.random.below(8) {
            0 => lines.push("decisions: {combine: first}".to_owned()),
            1 => lines.push("decisions: {combine: most-severe, order: [bad, odd]}".to_owned()),
            2 => lines.push("decisions: {combine: all, default: {decision: good, code: NONE}}".to_owned()),
            3 if self.random.chance(30) => lines.push("decisions: {combine: unique}".to_owned()),
            _ => {}
        }
        lines.push("limits: {max_firings: 60, max_facts: 60}".to_owned());
        lines.push("facts:".to_owned());
        let facts = self.templates.len() - self.tables;
        for template in &self.templates[..facts] {
            lines.push(declaration(template));
        }
        if self.tables > 0 {
            lines.push("tables:".to_owned());
            lines.extend(self.table());
        }
        lines
    }

    fn table(&mut self) -> Vec<String> {
        let template = self.templates[self.templates.len() - 1].clone();
        let columns: Vec<String> =
            template.fields.iter().map(|field| format!("{}: {}", field.name, type_text(field))).collect();
        // A table has all its columns as key, and neither doubles nor lists in it.
        let mut rows: Vec<String> = Vec::new();
        for _ in 0..self.random.between(1, 3) {
            let cells: Vec<String> = template.fields.iter().map(|field| self.constant_text(field.kind)).collect();
            let row = format!("[{}]", cells.join(", "));
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        vec![format!("  c: {{columns: {{{}}}, rows: [{}]}}", columns.join(", "), rows.join(", "))]
    }

    fn constant_text(&mut self, kind: Kind) -> String {
        match self.constant(kind) {
            Constant::Bool(value) => value.to_string(),
            Constant::Int(value) => value.to_string(),
            Constant::Double(value) => format!("{value:?}"),
            Constant::Text(value) => value,
            other => unreachable!("{other:?}"),
        }
    }

    fn constant(&mut self, kind: Kind) -> Constant {
        match kind {
            Kind::Bool => Constant::Bool(self.random.chance(50)),
            Kind::Int => Constant::Int(self.random.below(4) as i64),
            Kind::Double => Constant::Double(*self.random.pick(&[0.0, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5])),
            Kind::Text => Constant::Text((*self.random.pick(&["a", "b", "c"])).to_owned()),
            Kind::Enum => Constant::Text((*self.random.pick(&["red", "green", "blue"])).to_owned()),
            Kind::Ints => {
                let count = self.random.below(3);
                Constant::List((0..count).map(|_| Constant::Int(self.random.below(4) as i64)).collect())
            }
        }
    }

    fn row(&mut self, template: &Template) -> Row {
        let mut row = Vec::new();
        for field in &template.fields {
            let is_missing = field.optional && self.random.chance(40);
            row.push((!is_missing).then(|| self.constant(field.kind)));
        }
        row
    }

    fn facts(&mut self, program: &mut Program) {
        for (place, template) in self.templates.clone().iter().enumerate().filter(|(_, template)| template.is_input) {
            let mut seen: Vec<Row> = Vec::new();
            for _ in 0..self.random.between(0, 5) {
                let row = self.row(template);
                let key = key_of(template, &row);
                if !seen.contains(&key) {
                    seen.push(key);
                    program.facts.push((place, row));
                }
            }
        }
    }

    fn step(&mut self, program: &Program) -> Vec<StepChange> {
        let inputs: Vec<usize> = (0..self.templates.len()).filter(|&place| self.templates[place].is_input).collect();
        let mut changes = Vec::new();
        for _ in 0..self.random.between(1, 3) {
            let known = if program.facts.is_empty() { None } else { Some(self.random.pick(&program.facts).clone()) };
            let change = match (self.random.below(5), known) {
                (0, Some((template, row))) => StepChange { kind: ChangeKind::Retract, template, rows: vec![row] },
                (1, Some((place, row))) => {
                    let template = self.templates[place].clone();
                    let mut rows = vec![Vec::new()];
                    for (field, old) in template.fields.iter().zip(&row) {
                        let changes = !field.is_key && self.random.chance(60);
                        let kept = if field.is_key { old.clone() } else { None };
                        rows[0].push(if changes { Some(self.constant(field.kind)) } else { kept });
                    }
                    StepChange { kind: ChangeKind::Modify, template: place, rows }
                }
                _ => {
                    let place = *self.random.pick(&inputs);
                    let template = self.templates[place].clone();
                    let mut rows: Vec<Row> = Vec::new();
                    for _ in 0..self.random.between(1, 2) {
                        let row = self.row(&template);
                        if rows.iter().all(|known| key_of(&template, known) != key_of(&template, &row)) {
                            rows.push(row);
                        }
                    }
                    StepChange { kind: ChangeKind::Assert, template: place, rows }
                }
            };
            changes.push(change);
        }
        changes
    }

    fn derive_rule(&mut self, head: usize) -> RuleText {
        let mut heads = vec![head];
        if self.random.chance(12) {
            let others: Vec<usize> =
                (0..self.templates.len()).filter(|&place| self.templates[place].level > 0).collect();
            heads.push(*self.random.pick(&others));
        }
        let level = heads.iter().map(|&head| self.templates[head].level).min().unwrap_or(1);
        let mut scope = Scope { level: Some(level), ..Scope::default() };
        let when = self.conditions(&mut scope);
        let then = heads.into_iter().map(|head| format!("derive: {}", self.made(head, &scope))).collect();
        RuleText { id: String::new(), head: String::new(), when, then }
    }

    fn agenda_rule(&mut self) -> RuleText {
        let mut scope = Scope::default();
        let when = self.conditions(&mut scope);
        let mut then = Vec::new();
        for _ in 0..self.random.between(1, 3) {
            then.push(self.action(&scope));
        }
        let salience = if self.random.chance(40) { self.random.below(3) } else { 0 };
        let head = match self.phases {
            0 if salience == 0 => String::new(),
            0 => format!("salience: {salience}"),
            phases => format!("{{}}phase: p{}", self.random.below(phases)).replace("{}", ""),
        };
        RuleText { id: String::new(), head, when, then }
    }

    fn conditions(&mut self, scope: &mut Scope) -> Vec<String> {
        let count = *self.random.pick(&[1, 1, 2, 2, 2, 3, 3, 4]);
        let mut when = Vec::new();
        for place in 0..count {
            let is_match = if place == 0 { self.random.chance(90) } else { self.random.chance(45) };
            when.push(if is_match { self.matching(scope) } else { self.other_condition(scope) });
        }
        when
    }

    fn any_template(&mut self, scope: &Scope, is_closed: bool) -> usize {
        let allowed: Vec<usize> = (0..self.templates.len())
            .filter(|&place| match scope.level {
                None => true,
                Some(level) if is_closed => self.templates[place].level < level,
                Some(level) => self.templates[place].level <= level,
            })
            .collect();
        *self.random.pick(&allowed)
    }

    fn matching(&mut self, scope: &mut Scope) -> String {
        let is_distinct = self.random.chance(8);
        let template = self.any_template(scope, is_distinct);
        let name = self.fresh("v");
        let filter = self.filter(&name, template, scope, 80);
        let mut only = None;
        let mut distinct = String::new();
        if is_distinct {
            let count = self.templates[template].fields.len();
            let fields: Vec<usize> = (0..count).filter(|_| self.random.chance(50)).collect();
            let fields = if fields.is_empty() { vec![0] } else { fields };
            let names: Vec<&str> =
                fields.iter().map(|&field| self.templates[template].fields[field].name.as_str()).collect();
            distinct = format!(", distinct: [{}]", names.join(", "));
            only = Some(fields);
        }
        scope.vars.push(Var::Fact { name: name.clone(), template, only });
        format!("{{match: {}, as: {name}{filter}{distinct}}}", self.templates[template].name)
    }

    /// `, where: ".."`, or nothing.
    fn filter(&mut self, name: &str, template: usize, scope: &Scope, percent: usize) -> String {
        if !self.random.chance(percent) {
            return String::new();
        }
        let expression = self.filter_expression(name, template, scope);
        format!(", where: \"{expression}\"")
    }

    fn pattern(&mut self, scope: &Scope, is_closed: bool) -> (String, String, usize) {
        let template = self.any_template(scope, is_closed);
        let name = self.fresh("i");
        let filter = self.filter(&name, template, scope, 85);
        (format!("match: {}, as: {name}{filter}", self.templates[template].name), name, template)
    }

    fn other_condition(&mut self, scope: &mut Scope) -> String {
        match self.random.below(100) {
            0..24 => format!("not: {{{}}}", self.pattern(scope, true).0),
            24..38 => format!("exists: {{{}}}", self.pattern(scope, false).0),
            38..48 => {
                let (pattern, name, template) = self.pattern(scope, true);
                let mut inner = scope.clone();
                inner.vars.push(Var::Fact { name: name.clone(), template, only: None });
                let satisfies = self.filter_expression(&name, template, scope);
                format!("{{forall: {{{pattern}}}, satisfies: \"{satisfies}\"}}")
            }
            48..66 => self.accumulate(scope),
            66..80 => self.any(scope),
            80..90 => format!("if: \"{}\"", self.expression(Kind::Bool, scope, 2)),
            _ => {
                let name = self.fresh("x");
                let kind = *self.random.pick(&[Kind::Int, Kind::Int, Kind::Text, Kind::Bool, Kind::Double, Kind::Ints]);
                let value = self.expression(kind, scope, 2);
                scope.vars.push(Var::Value { name: name.clone(), kind });
                format!("let: {{{name}: \"{value}\"}}")
            }
        }
    }

    fn accumulate(&mut self, scope: &mut Scope) -> String {
        let (pattern, name, template) = self.pattern(scope, true);
        let mut parts = vec![format!("accumulate: {{{pattern}}}")];
        let mut inner = scope.clone();
        inner.vars.push(Var::Fact { name: name.clone(), template, only: None });
        let numbers: Vec<Field> = self.templates[template].fields.clone();
        let number = numbers.iter().find(|field| matches!(field.kind, Kind::Int | Kind::Double) && !field.optional);
        let mut given = Vec::new();
        for fold in ["count", "sum", "min", "max", "avg", "collect"] {
            if !(self.random.chance(30) || fold == "count" && number.is_none()) {
                continue;
            }
            let value = self.fresh("n");
            match (fold, number) {
                ("count", _) => {
                    parts.push(format!("count: {value}"));
                    given.push((value, Kind::Int));
                }
                (_, None) => {}
                ("collect", Some(_)) => {
                    let of = self.expression(Kind::Int, &inner, 1);
                    parts.push(format!("collect: {{of: \"{of}\", as: {value}}}"));
                    given.push((value, Kind::Ints));
                }
                (fold, Some(field)) => {
                    parts.push(format!("{fold}: {{of: \"{name}.{}\", as: {value}}}", field.name));
                    given.push((value, if fold == "avg" { Kind::Double } else { field.kind }));
                }
            }
        }
        if parts.len() == 1 {
            let value = self.fresh("n");
            parts.push(format!("count: {value}"));
            given.push((value, Kind::Int));
        }
        scope.vars.extend(given.into_iter().map(|(name, kind)| Var::Value { name, kind }));
        format!("{{{}}}", parts.join(", "))
    }

    fn any(&mut self, scope: &mut Scope) -> String {
        let shared = match self.random.below(3) {
            0 => Some(Var::Fact { name: self.fresh("v"), template: self.any_template(scope, false), only: None }),
            1 => Some(Var::Value { name: self.fresh("x"), kind: Kind::Int }),
            _ => None,
        };
        let mut branches = Vec::new();
        for _ in 0..self.random.between(1, 3) {
            let mut inner = scope.clone();
            let mut conditions = Vec::new();
            if shared.is_none() || self.random.chance(30) {
                let condition =
                    if self.random.chance(40) { self.matching(&mut inner) } else { self.other_condition(&mut inner) };
                conditions.push(bracketed(&condition));
            }
            match &shared {
                Some(Var::Fact { name, template, .. }) => {
                    let filter = self.filter(name, *template, &inner, 85);
                    conditions.push(format!("{{match: {}, as: {name}{filter}}}", self.templates[*template].name));
                }
                Some(Var::Value { name, .. }) => {
                    let value = self.expression(Kind::Int, &inner, 1);
                    conditions.push(format!("{{let: {{{name}: \"{value}\"}}}}"));
                }
                None => {}
            }
            branches.push(format!("[{}]", conditions.join(", ")));
        }
        scope.vars.extend(shared);
        format!("any: [{}]", branches.join(", "))
    }

    fn action(&mut self, scope: &Scope) -> String {
        let writable: Vec<(String, usize)> = scope
            .vars
            .iter()
            .filter_map(|var| match var {
                Var::Fact { name, template, only: None } if self.templates[*template].is_writable => {
                    Some((name.clone(), *template))
                }
                _ => None,
            })
            .collect();
        match self.random.below(100) {
            0..18 => {
                let all: Vec<usize> =
                    (0..self.templates.len()).filter(|&place| self.templates[place].is_writable).collect();
                let template = *self.random.pick(&all);
                format!("assert: {}", self.made(template, scope))
            }
            18..40 if !writable.is_empty() => {
                let (name, template) = self.random.pick(&writable).clone();
                self.modify(&name, template, scope).unwrap_or_else(|| format!("retract: {name}"))
            }
            40..54 if !writable.is_empty() => format!("retract: {}", self.random.pick(&writable).0),
            54..57 => "stop: phase".to_owned(),
            57..59 => "stop: all".to_owned(),
            _ => self.emit(scope),
        }
    }

    fn modify(&mut self, name: &str, template: usize, scope: &Scope) -> Option<String> {
        let fields: Vec<Field> =
            self.templates[template].fields.iter().filter(|field| !field.is_key).cloned().collect();
        if fields.is_empty() {
            return None;
        }
        let field = self.random.pick(&fields).clone();
        let value = self.bounded(field.kind, scope);
        Some(format!("{{modify: {name}, set: {{{}: {value}}}}}", field.name))
    }

    /// `{template: {field: value}}`.
    fn made(&mut self, template: usize, scope: &Scope) -> String {
        let template = self.templates[template].clone();
        let mut fields = Vec::new();
        for field in &template.fields {
            if !(field.optional && self.random.chance(30)) {
                fields.push(format!("{}: {}", field.name, self.bounded(field.kind, scope)));
            }
        }
        format!("{{{}: {{{}}}}}", template.name, fields.join(", "))
    }

    fn emit(&mut self, scope: &Scope) -> String {
        let decision = *self.random.pick(&["bad", "odd", "good"]);
        let code = *self.random.pick(&["A", "B"]);
        let mut parts = vec![format!("decision: {decision}, code: {code}")];
        if self.random.chance(60) {
            let kind = *self.random.pick(&[Kind::Int, Kind::Text, Kind::Enum]);
            parts.push(format!("subject: \"{}\"", self.expression(kind, scope, 1)));
        }
        if self.random.chance(50) {
            let kind = *self.random.pick(&[Kind::Int, Kind::Text, Kind::Bool, Kind::Double, Kind::Ints]);
            parts.push(format!("message: \"see {{{}}}!\"", self.expression(kind, scope, 1)));
        }
        if self.random.chance(40) {
            let kind = *self.random.pick(&[Kind::Int, Kind::Text, Kind::Bool, Kind::Ints]);
            parts.push(format!("data: {{d: \"{}\"}}", self.expression(kind, scope, 1)));
        }
        if self.random.chance(10) {
            parts.push("sticky: true".to_owned());
        }
        format!("emit: {{{}}}", parts.join(", "))
    }
}

/// A condition inside of a flow list.
fn bracketed(condition: &str) -> String {
    if condition.starts_with('{') { condition.to_owned() } else { format!("{{{condition}}}") }
}

fn key_of(template: &Template, row: &Row) -> Row {
    template.fields.iter().zip(row).filter(|(field, _)| field.is_key).map(|(_, value)| value.clone()).collect()
}

fn declaration(template: &Template) -> String {
    let origin = match (template.is_input, template.is_writable) {
        (true, _) => "origin: input",
        (false, true) => "origin: output, stated: true",
        (false, false) => "origin: derived",
    };
    let keys: Vec<&str> =
        template.fields.iter().filter(|field| field.is_key).map(|field| field.name.as_str()).collect();
    let key = if template.keyed { format!(", key: [{}]", keys.join(", ")) } else { String::new() };
    let fields: Vec<String> = template
        .fields
        .iter()
        .map(|field| match (field.optional, field.kind) {
            (true, _) => format!("{}: {{type: {}, optional: true}}", field.name, type_name(field.kind)),
            _ => format!("{}: {}", field.name, type_text(field)),
        })
        .collect();
    format!("  {}: {{{origin}{key}, fields: {{{}}}}}", template.name, fields.join(", "))
}

fn type_text(field: &Field) -> String {
    match field.kind {
        Kind::Enum => "{type: enum, values: [red, green, blue]}".to_owned(),
        kind => type_name(kind).to_owned(),
    }
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::Int => "int",
        Kind::Double => "double",
        Kind::Text => "string",
        Kind::Enum => "enum",
        Kind::Ints => "list<int>",
    }
}
