//! The order in which derive rules are evaluated: what depends on each other is one stratum, after all it depends on.

use super::{Rule, StepKind};

/// Derive rules that are brought to their fixpoint together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stratum {
    pub rules: Vec<u32>,
    /// Templates that the rules derive.
    pub heads: Vec<u16>,
    /// Some rule matches what another (or itself) of the stratum derives.
    pub is_recursive: bool,
    /// Some agenda rule may change, through other strata or directly, what this one reads or derives.
    pub is_dynamic: bool,
}

impl Stratum {
    /// Its matches are kept, and what supports each fact is counted.
    pub(crate) fn keeps_matches(&self) -> bool {
        self.is_dynamic && !self.is_recursive
    }
}

/// An edge from a template that a derive rule reads to one that it derives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: u16,
    pub(super) to: u16,
    pub(super) rule: u32,
    /// Through `not`, `exists`, `forall`, `accumulate` or `distinct`.
    pub(super) is_closed: bool,
}

pub(super) fn edges(rules: &[Rule]) -> Vec<Edge> {
    let mut edges = Vec::new();
    for (place, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.is_derive) {
        for to in rule.heads() {
            let mut add = |from: u16, is_closed: bool| edges.push(Edge { from, to, rule: place as u32, is_closed });
            for body in &rule.bodies {
                for position in &body.positions {
                    add(position.template, position.distinct.is_some());
                }
                for step in &body.steps {
                    if let Some(pattern) = step.kind.pattern() {
                        add(pattern.template, !matches!(step.kind, StepKind::Exists(_)));
                    }
                }
            }
        }
    }
    edges
}

/// Edges, and those that make the heads of one rule one component: such a rule is evaluated once.
pub(super) fn linked(rules: &[Rule]) -> Vec<Edge> {
    let mut edges = edges(rules);
    for (place, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.is_derive) {
        let all: Vec<u16> = rule.heads().collect();
        for pair in all.windows(2).filter(|pair| pair[0] != pair[1]) {
            let rule = place as u32;
            edges.push(Edge { from: pair[0], to: pair[1], rule, is_closed: false });
            edges.push(Edge { from: pair[1], to: pair[0], rule, is_closed: false });
        }
    }
    edges
}

/// Components of templates that reach each other, in an order in which each comes after what it depends on
/// (Tarjan's algorithm, without recursion).
pub(super) fn components(templates: usize, edges: &[Edge]) -> Vec<Vec<u16>> {
    let mut below: Vec<Vec<u16>> = vec![Vec::new(); templates];
    for edge in edges {
        below[edge.to as usize].push(edge.from);
    }
    let mut state = Tarjan {
        index: vec![u32::MAX; templates],
        low: vec![0; templates],
        on_stack: vec![false; templates],
        stack: Vec::new(),
        next: 0,
        components: Vec::new(),
    };
    for root in 0..templates as u16 {
        if state.index[root as usize] == u32::MAX {
            state.visit(root, &below);
        }
    }
    state.components
}

struct Tarjan {
    index: Vec<u32>,
    low: Vec<u32>,
    on_stack: Vec<bool>,
    stack: Vec<u16>,
    next: u32,
    components: Vec<Vec<u16>>,
}

impl Tarjan {
    fn enter(&mut self, node: u16) {
        self.index[node as usize] = self.next;
        self.low[node as usize] = self.next;
        self.next += 1;
        self.stack.push(node);
        self.on_stack[node as usize] = true;
    }

    fn visit(&mut self, root: u16, below: &[Vec<u16>]) {
        let mut work = vec![(root, 0)];
        self.enter(root);
        while let Some((node, edge)) = work.pop() {
            if let Some(&child) = below[node as usize].get(edge) {
                work.push((node, edge + 1));
                if self.index[child as usize] == u32::MAX {
                    self.enter(child);
                    work.push((child, 0));
                } else if self.on_stack[child as usize] {
                    self.low[node as usize] = self.low[node as usize].min(self.index[child as usize]);
                }
                continue;
            }
            if self.low[node as usize] == self.index[node as usize] {
                let mut component = Vec::new();
                while let Some(top) = self.stack.pop() {
                    self.on_stack[top as usize] = false;
                    component.push(top);
                    if top == node {
                        break;
                    }
                }
                component.sort_unstable();
                self.components.push(component);
            }
            if let Some(&(parent, _)) = work.last() {
                self.low[parent as usize] = self.low[parent as usize].min(self.low[node as usize]);
            }
        }
    }
}

/// Where each template is among the components.
pub(super) fn places(templates: usize, components: &[Vec<u16>]) -> Vec<usize> {
    let mut places = vec![0; templates];
    for (place, component) in components.iter().enumerate() {
        component.iter().for_each(|&template| places[template as usize] = place);
    }
    places
}

/// Strata in the order of evaluation. A rule with several heads joins what it derives into one stratum's rules list of
/// the last of its heads' components; `written` says which templates agenda rules write.
pub(super) fn strata(templates: usize, rules: &[Rule], written: &[bool]) -> Vec<Stratum> {
    let mut edges = linked(rules);
    let components = components(templates, &edges);
    let places = places(templates, &components);
    let mut rules_of: Vec<Vec<u32>> = vec![Vec::new(); components.len()];
    for (place, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.is_derive) {
        if let Some(head) = rule.heads().next() {
            rules_of[places[head as usize]].push(place as u32);
        }
    }
    edges.sort_by_key(|edge| places[edge.to as usize]);
    let mut changing = written.to_vec();
    let mut strata = Vec::new();
    let mut edges = edges.as_slice();
    for (place, (component, rules_of)) in components.into_iter().zip(rules_of).enumerate() {
        let (inner, rest) = edges.split_at(edges.partition_point(|edge| places[edge.to as usize] <= place));
        edges = rest;
        if rules_of.is_empty() {
            continue;
        }
        let is_dynamic = inner.iter().any(|edge| changing[edge.from as usize])
            || component.iter().any(|&head| changing[head as usize]);
        let is_recursive = inner
            .iter()
            .any(|edge| places[edge.from as usize] == place && body_reads(&rules[edge.rule as usize], edge.from));
        if is_dynamic {
            component.iter().for_each(|&head| changing[head as usize] = true);
        }
        strata.push(Stratum { rules: rules_of, heads: component, is_recursive, is_dynamic });
    }
    strata
}

fn body_reads(rule: &Rule, template: u16) -> bool {
    rule.bodies.iter().any(|body| {
        body.positions.iter().any(|position| position.template == template)
            || body.steps.iter().filter_map(|step| step.kind.pattern()).any(|pattern| pattern.template == template)
    })
}
