//! From the file as written to what it means. Every error that names and types can have is found here.

use std::collections::HashSet;

use super::alpha::Alphas;
use super::cycles::{open_recursive_exists, refuse_closed_cycles, refuse_linked_heads};
use super::expressions::{Compiler, program_facts, program_values, value_bit};
use super::scope::{Bound, Globals, Scope, field_type, type_of};
use super::slots::{BODIES_MAX, Building, Flat, Numbering, SLOTS_MAX, choices, exported_names, is_too_large};
use super::{
    Action, Body, CellKind, Comparison, Conjunct, ConjunctKind, Fold, Operand, Pattern, Position, Rule, RuleSet, Step,
    StepKind, strata,
};
use crate::cel::Type;
use crate::diagnostic::{Diagnostic, Severity};
use crate::file::nearest::nearest;
use crate::file::{self, ActionKind, Condition, ConditionKind, FoldKind, Name, RuleFile};
use crate::heap::Texts;
use crate::schema::{Constant, FieldType, Origin, Scalar};

/// Resolves a file; warnings come beside the rule set.
///
/// # Errors
/// All errors and warnings that were found.
pub fn resolve(file: &RuleFile) -> Result<RuleSet, Vec<Diagnostic>> {
    let globals = Globals::new(&file.schema, &file.params);
    let mut texts = Texts::default();
    let mut diagnostics = Vec::new();
    let mut rules = Vec::with_capacity(file.rules.len());
    for rule in &file.rules {
        let compiler = Compiler {
            globals: &globals,
            texts: &mut texts,
            diagnostics: &mut diagnostics,
            rule: rule.id.text.clone(),
        };
        if let Some(resolved) = (Resolver { compiler, file }).rule(rule) {
            rules.push(resolved);
        }
    }
    if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(diagnostics);
    }
    let edges = strata::edges(&rules);
    let components = strata::components(file.schema.templates.len(), &edges);
    refuse_closed_cycles(file, &edges, &components, &mut diagnostics);
    if diagnostics.is_empty() {
        let edges = strata::linked(&rules);
        let components = strata::components(file.schema.templates.len(), &edges);
        refuse_linked_heads(file, &edges, &components, &mut diagnostics);
        open_recursive_exists(&mut rules, &components);
    }
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let mut resolved = RuleSet {
        name: file.name.text.clone(),
        version: file.version.text.clone(),
        digest: file.digest,
        table_rows: table_rows(file),
        schema: file.schema.clone(),
        phases: file.phases.iter().map(|phase| phase.text.clone()).collect(),
        decisions: file.decisions.clone(),
        limits: file.limits.clone(),
        trace: file.trace,
        params: file.params.clone(),
        rules,
        agenda: Vec::new(),
        phase_ends: Vec::new(),
        strata: Vec::new(),
        alphas: Alphas::default(),
        derived: Vec::new(),
        texts,
    };
    resolved.arrange();
    Ok(resolved)
}

fn table_rows(file: &RuleFile) -> Vec<Vec<Vec<Constant>>> {
    let mut rows = vec![Vec::new(); file.schema.templates.len()];
    let tables = file.schema.templates.iter().enumerate().filter(|(_, template)| template.origin == Origin::Table);
    for ((place, _), table) in tables.zip(&file.tables) {
        rows[place] = table.iter().map(|(row, _)| row.clone()).collect();
    }
    rows
}

pub(super) struct Resolver<'a> {
    pub(super) compiler: Compiler<'a>,
    pub(super) file: &'a RuleFile,
}

impl<'a> Resolver<'a> {
    fn rule(&mut self, rule: &'a file::Rule) -> Option<Rule> {
        let combinations = self.combinations(rule)?;
        let shared = exported_names(&rule.when);
        let mut bodies = Vec::new();
        let mut scope = None;
        let mut numbering = Numbering { shared, ..Numbering::default() };
        numbering.params = self.compiler.globals.params.len();
        for combination in &combinations {
            let (body, body_scope) = self.body(rule, combination, &mut numbering)?;
            bodies.push(body);
            scope.get_or_insert(body_scope);
        }
        let mut scope = scope?;
        if combinations.len() > 1 {
            scope.names.retain(|(name, _)| numbering.shared.contains(name));
        }
        let actions: Vec<Option<Action>> = rule.then.iter().map(|action| self.action(action, &scope)).collect();
        let actions = actions.into_iter().collect::<Option<Vec<_>>>()?;
        let is_derive = actions.iter().all(|action| matches!(action, Action::Derive { .. }));
        let changes = |action: &Action| {
            matches!(
                action,
                Action::Assert { .. } | Action::Modify { .. } | Action::Retract { .. } | Action::Stop { .. }
            )
        };
        let is_sticky = rule.then.iter().any(|action| matches!(&action.kind, ActionKind::Emit(emit) if emit.sticky));
        let exported = numbering.facts.len() as u32;
        let mut names: Vec<String> = numbering.facts.iter().map(|(name, ..)| name.clone()).collect();
        names.extend(numbering.identity.iter().map(|slot| numbering.name_of(*slot)));
        let mut resolved = Rule {
            id: rule.id.text.clone(),
            is_derive,
            phase: self.phase_of(rule),
            salience: rule.salience,
            is_logical: !is_sticky && !actions.iter().any(changes),
            bodies,
            exported,
            identity: numbering.identity.clone(),
            values: numbering.values_max,
            actions,
            reads: Vec::new(),
            names,
        };
        resolved.reads = super::reads::reads(&resolved, self.compiler.globals.schema);
        Some(resolved)
    }

    fn phase_of(&self, rule: &file::Rule) -> u32 {
        let phase = rule.phase.as_ref();
        let place = phase.and_then(|phase| self.file.phases.iter().position(|known| known.text == phase.text));
        place.unwrap_or(0) as u32
    }

    /// Every choice of one branch from each `any`.
    fn combinations(&mut self, rule: &'a file::Rule) -> Option<Vec<Flat<'a>>> {
        let mut combinations: Vec<Flat<'a>> = vec![Vec::new()];
        for (when, condition) in rule.when.iter().enumerate() {
            let choices = choices(condition, when as u16);
            let count = combinations.len() * choices.len();
            if count > BODIES_MAX {
                let message = format!("the branches of `any` combine to {count} alternatives, more than {BODIES_MAX}");
                self.compiler.error("rule-too-large", message, condition.span, "split the rule");
                return None;
            }
            combinations = combinations
                .iter()
                .flat_map(|head| choices.iter().map(|tail| head.iter().chain(tail).copied().collect()))
                .collect();
        }
        Some(combinations)
    }

    fn body(
        &mut self,
        rule: &'a file::Rule,
        conditions: &Flat<'a>,
        numbering: &mut Numbering,
    ) -> Option<(Body, Scope<'a>)> {
        if is_too_large(conditions, &numbering.shared) {
            let message = format!("the rule binds more than {SLOTS_MAX} facts or values");
            self.compiler.error("rule-too-large", message, rule.id.span, "split the rule");
            return None;
        }
        // The scope borrows the globals, which outlive the compiler's other borrows.
        let globals: &'a Globals<'a> = self.compiler.globals;
        let mut building = Building {
            scope: Scope::new(globals),
            body: Body::default(),
            next_value: numbering.next_value(),
            next_fact: numbering.shared_facts(rule),
            locals: Vec::new(),
        };
        building.body.slots = vec![0; building.next_fact as usize];
        let mut is_whole = true;
        for &(condition, when) in conditions {
            is_whole &= self.condition(condition, when, &mut building, numbering).is_some();
        }
        numbering.values_max = numbering.values_max.max(building.next_value);
        let Building { mut body, scope, locals, .. } = building;
        body.positions.sort_by_key(|position| (locals.contains(&position.slot), position.slot));
        is_whole.then_some((body, scope))
    }

    fn condition(
        &mut self,
        condition: &'a Condition,
        when: u16,
        building: &mut Building<'a>,
        numbering: &mut Numbering,
    ) -> Option<()> {
        let params = numbering.params;
        match &condition.kind {
            ConditionKind::Any(_) => Some(()),
            ConditionKind::Match { pattern, distinct } => {
                self.matched(pattern, distinct.as_deref(), when, building, numbering)
            }
            ConditionKind::If(expression) => {
                let program = self.compiler.condition(expression, &building.scope)?;
                let (facts, values) = (program_facts(&program), program_values(&program, params));
                building.body.steps.push(Step { kind: StepKind::If(program), facts, values, gives: 0, when });
                Some(())
            }
            ConditionKind::Let(bindings) => {
                for place in self.let_order(bindings)? {
                    let (name, expression) = &bindings[place];
                    let program = self.compiler.compile(expression, &building.scope)?;
                    let (facts, values) = (program_facts(&program), program_values(&program, params));
                    let ty = program.ty().clone();
                    let slot = self.bind_value(name, ty, building, numbering, true)?;
                    let kind = StepKind::Let { slot, program };
                    let gives = value_bit(slot, params);
                    building.body.steps.push(Step { kind, facts, values, gives, when });
                }
                Some(())
            }
            ConditionKind::Not(pattern) => {
                let (pattern, _) = self.pattern(pattern, building)?;
                self.closed(StepKind::Not(pattern), 0, when, building, params)
            }
            ConditionKind::Exists(pattern) => {
                let (pattern, _) = self.pattern(pattern, building)?;
                self.closed(StepKind::Exists(pattern), 0, when, building, params)
            }
            ConditionKind::Forall { pattern, satisfies } => {
                let (pattern, scope) = self.pattern(pattern, building)?;
                let satisfies = self.compiler.condition(satisfies, &scope)?;
                self.closed(StepKind::Forall { pattern, satisfies }, 0, when, building, params)
            }
            ConditionKind::Accumulate { pattern, count, folds } => {
                self.accumulate(pattern, count.as_ref(), folds, when, building, numbering)
            }
        }
    }

    /// The order in which the names of one `let` find what they need: that of the mapping's keys is no meaning.
    fn let_order(&mut self, bindings: &[(Name, file::Expression)]) -> Option<Vec<usize>> {
        let mut left: Vec<usize> = (0..bindings.len()).collect();
        left.sort_by(|&one, &other| bindings[one].0.text.cmp(&bindings[other].0.text));
        if left.len() == 1 {
            return Some(left);
        }
        let names: Vec<HashSet<String>> =
            bindings.iter().map(|(_, expression)| self.compiler.names_in(expression)).collect::<Option<_>>()?;
        let mut order = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let is_ready = |&place: &usize| left.iter().all(|&other| !names[place].contains(&bindings[other].0.text));
            let Some(at) = left.iter().position(is_ready) else {
                let name = &bindings[left[0]].0;
                let message = format!("`{}` is defined by itself", name.text);
                self.compiler.error("let-cycle", message, name.span, "break the circle of names");
                return None;
            };
            order.push(left.remove(at));
        }
        Some(order)
    }

    fn matched(
        &mut self,
        pattern: &'a file::Pattern,
        distinct: Option<&[Name]>,
        when: u16,
        building: &mut Building<'a>,
        numbering: &mut Numbering,
    ) -> Option<()> {
        let template = self.template(&pattern.template)?;
        let fields = match distinct {
            None => None,
            Some(names) => Some(self.fields(template, names)?),
        };
        let name = &pattern.variable;
        self.must_be_new(name, &building.scope)?;
        let slot = match numbering.is_shared(&name.text) {
            true => numbering.shared_slot(&name.text, template, fields.as_ref()).or_else(|| {
                let message = format!("`{}` matches different templates in the branches of `any`", name.text);
                self.compiler.error("any-branches", message, name.span, "use another name in one of them");
                None
            })?,
            false => {
                building.locals.push(building.next_fact);
                building.new_slot()
            }
        };
        building.body.slots[slot as usize] = template;
        // Inside `where`, every field may be read.
        let inner = building.scope.with(&name.text, Bound::Fact { slot, template, only: None });
        if let Some(filter) = &pattern.filter {
            let conjuncts = self.compiler.filter(filter, &inner, slot);
            building.body.conjuncts.extend(conjuncts);
        }
        building.scope.bind(&name.text, Bound::Fact { slot, template, only: fields.clone() });
        let variable = name.text.clone();
        building.body.positions.push(Position { template, slot, distinct: fields, when, variable, alpha: 0 });
        Some(())
    }

    /// A pattern inside another condition, and the scope inside it.
    fn pattern(&mut self, pattern: &'a file::Pattern, building: &mut Building<'a>) -> Option<(Pattern, Scope<'a>)> {
        let template = self.template(&pattern.template)?;
        self.must_be_new(&pattern.variable, &building.scope)?;
        let slot = building.new_slot();
        building.body.slots[slot as usize] = template;
        let scope = building.scope.with(&pattern.variable.text, Bound::Fact { slot, template, only: None });
        let conjuncts = match &pattern.filter {
            Some(filter) => self.compiler.filter(filter, &scope, slot),
            None => Vec::new(),
        };
        let mut keys: Vec<(u16, Operand)> = Vec::new();
        let mut tests = Vec::new();
        for conjunct in conjuncts {
            match key_of(&conjunct, slot) {
                Some((field, operand)) if keys.iter().all(|&(known, _)| known != field) => keys.push((field, operand)),
                _ => tests.push(conjunct),
            }
        }
        keys.sort_by_key(|&(field, _)| field);
        let variable = pattern.variable.text.clone();
        Some((Pattern { template, slot, variable, keys, tests, alpha: 0, bound: None }, scope))
    }

    fn closed(
        &mut self,
        kind: StepKind,
        gives: u64,
        when: u16,
        building: &mut Building<'a>,
        params: usize,
    ) -> Option<()> {
        let pattern = kind.pattern()?;
        let inner = 1 << pattern.slot;
        let (mut facts, mut values) = (0, 0);
        for (_, operand) in &pattern.keys {
            match operand {
                Operand::Cell(cell) => facts |= 1 << cell.slot,
                Operand::Value(slot) => values |= value_bit(*slot, params),
                Operand::Constant(_) => {}
            }
        }
        for test in &pattern.tests {
            facts |= test.facts;
            values |= test.values;
        }
        let programs: Vec<&crate::cel::Program> = match &kind {
            StepKind::Forall { satisfies, .. } => vec![satisfies],
            StepKind::Accumulate { folds, .. } => folds.iter().map(|fold| &fold.of).collect(),
            _ => Vec::new(),
        };
        for program in programs {
            facts |= program_facts(program);
            values |= program_values(program, params);
        }
        building.body.steps.push(Step { kind, facts: facts & !inner, values, gives, when });
        Some(())
    }

    fn accumulate(
        &mut self,
        pattern: &'a file::Pattern,
        count: Option<&'a Name>,
        folds: &'a [file::Fold],
        when: u16,
        building: &mut Building<'a>,
        numbering: &mut Numbering,
    ) -> Option<()> {
        let params = numbering.params;
        let (pattern, inner) = self.pattern(pattern, building)?;
        let mut gives = 0;
        let count = match count {
            Some(name) => {
                let slot = self.bind_value(name, Type::Int, building, numbering, true)?;
                gives |= value_bit(slot, params);
                Some(slot)
            }
            None => None,
        };
        let mut resolved = Vec::new();
        for fold in folds {
            let of = self.compiler.compile(&fold.of, &inner)?;
            let (ty, given) = self.fold_types(fold, of.ty())?;
            let slot = self.bind_value(&fold.name, given, building, numbering, true)?;
            gives |= value_bit(slot, params);
            resolved.push(Fold { kind: fold.kind, of, ty, slot });
        }
        self.closed(StepKind::Accumulate { pattern, count, folds: resolved }, gives, when, building, params)
    }

    /// The type of the elements, and of what the fold gives.
    fn fold_types(&mut self, fold: &file::Fold, of: &Type) -> Option<(FieldType, Type)> {
        let found = field_type(of).filter(|ty| !ty.list);
        let is_number = |ty: &FieldType| matches!(ty.scalar, Scalar::Int | Scalar::Double);
        let result = found.and_then(|ty| match fold.kind {
            FoldKind::Sum if is_number(&ty) || ty.scalar == Scalar::Duration => Some((ty, type_of(ty))),
            FoldKind::Avg if is_number(&ty) => Some((ty, Type::Double)),
            FoldKind::Min | FoldKind::Max if ty.scalar != Scalar::Bytes => Some((ty, type_of(ty))),
            FoldKind::Collect => Some((ty, Type::List(Box::new(type_of(ty))))),
            _ => None,
        });
        if result.is_none() {
            let message = format!("`{:?}` does not work on {of}", fold.kind).to_lowercase();
            let hint =
                "sum: int, double, duration; avg: int, double; min, max: scalars with an order; collect: scalars";
            self.compiler.error("expression-type", message, fold.of.span, hint);
        }
        result
    }

    fn bind_value(
        &mut self,
        name: &Name,
        ty: Type,
        building: &mut Building<'a>,
        numbering: &mut Numbering,
        is_identity: bool,
    ) -> Option<u16> {
        self.must_be_new(name, &building.scope)?;
        let slot = match numbering.is_shared(&name.text) {
            true => numbering.shared_value(&name.text, &ty, is_identity).or_else(|| {
                let message = format!("`{}` has different types in the branches of `any`", name.text);
                self.compiler.error("any-branches", message, name.span, "convert one of them");
                None
            })?,
            false => building.new_value(),
        };
        building.next_value = building.next_value.max(slot + 1);
        building.scope.bind(&name.text, Bound::Value { slot, ty });
        Some(slot)
    }

    fn must_be_new(&mut self, name: &Name, scope: &Scope<'_>) -> Option<()> {
        if scope.find(&name.text).is_none() && name.text != "params" {
            return Some(());
        }
        let message = format!("`{}` is bound twice", name.text);
        self.compiler.error("duplicate-variable", message, name.span, "choose another name");
        None
    }

    pub(super) fn template(&mut self, name: &Name) -> Option<u16> {
        if let Some(template) = self.file.schema.template(&name.text) {
            return Some(template as u16);
        }
        let known = self.file.schema.templates.iter().map(|template| template.name.as_str());
        let known: Vec<&str> = known.collect();
        let hint = match nearest(&name.text, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "declare it under `facts` or `tables`".to_owned(),
        };
        self.compiler.error("unknown-template", format!("no template `{}`", name.text), name.span, &hint);
        None
    }

    fn fields(&mut self, template: u16, names: &[Name]) -> Option<Vec<u16>> {
        names.iter().map(|name| self.field(template, name)).collect()
    }

    pub(super) fn field(&mut self, template: u16, name: &Name) -> Option<u16> {
        let schema = &self.file.schema.templates[template as usize];
        if let Some(field) = schema.field(&name.text) {
            return Some(field as u16);
        }
        let known = schema.fields.iter().map(|field| field.name.as_str());
        let known: Vec<&str> = known.collect();
        let hint = match nearest(&name.text, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its fields: {}", known.join(", ")),
        };
        let message = format!("`{}` has no field `{}`", schema.name, name.text);
        self.compiler.error("unknown-field", message, name.span, &hint);
        None
    }
}

/// An equality of the slot's own field with something that is bound outside.
fn key_of(conjunct: &Conjunct, slot: u16) -> Option<(u16, Operand)> {
    let ConjunctKind::Compare { left, comparison: Comparison::Equal, right, kind } = conjunct.kind else { return None };
    if kind == CellKind::Double {
        return None;
    }
    let is_own = |operand: Operand| matches!(operand, Operand::Cell(cell) if cell.slot == slot);
    match (left, right) {
        (Operand::Cell(cell), other) if cell.slot == slot && !is_own(other) => Some((cell.field, other)),
        (other, Operand::Cell(cell)) if cell.slot == slot && !is_own(other) => Some((cell.field, other)),
        _ => None,
    }
}
