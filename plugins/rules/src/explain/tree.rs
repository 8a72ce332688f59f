//! A proof as nodes that name what they rest on. Reads off what was chosen; chooses nothing.

use std::collections::{HashMap, HashSet, VecDeque};

use super::proof::{Fact, Proofs, Reason};
use super::{ExplainError, Found};
use crate::engine::{Acted, Decision, Engine};
use crate::model::StepKind;
use crate::report::{FactIds, Writer};
use crate::rows::write_row;
use crate::schema::Origin;

/// So many nodes are written.
const NODES_MAX: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Input,
    Table,
    Derived,
    Stated,
    Aggregate,
    Absence,
    Decision,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Table => "table",
            Self::Derived => "derived",
            Self::Stated => "stated",
            Self::Aggregate => "aggregate",
            Self::Absence => "absence",
            Self::Decision => "decision",
        }
    }
}

#[derive(Debug)]
struct Node {
    fact: String,
    kind: Kind,
    rule: Option<u32>,
    /// Places of nodes.
    supports: Vec<usize>,
    /// A JSON object.
    values: String,
}

/// A proof; its conclusion is the first node.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    is_truncated: bool,
}

impl Tree {
    /// A decision that no rule gave.
    pub(super) fn lone(decision: &Decision) -> Self {
        Self { nodes: vec![decision_node(decision)], is_truncated: false }
    }

    pub(super) fn grow(engine: &mut Engine, proofs: &Proofs, target: u32, found: &Found) -> Result<Self, ExplainError> {
        let ids = FactIds::new(engine);
        let tree = Self { nodes: Vec::new(), is_truncated: false };
        let mut grower = Grower { engine, proofs, ids, tree, places: HashMap::new(), queue: VecDeque::new() };
        match found {
            Found::Fact(fact) => {
                grower.fact(*fact, target);
            }
            Found::Decision(decision) => {
                grower.tree.nodes.push(decision_node(decision));
                grower.queue.push_back((0, target));
            }
        }
        while let Some((place, node)) = grower.queue.pop_front() {
            grower.expand(place, node)?;
        }
        Ok(grower.tree)
    }

    /// The rules behind the conclusion, breadth first; what a condition gathers counts as what its match rests on.
    pub(super) fn rules(&self) -> Vec<u32> {
        let mut rules = Vec::new();
        let mut queue = VecDeque::from([0]);
        let mut seen = HashSet::from([0]);
        while let Some(place) = queue.pop_front() {
            let node = &self.nodes[place];
            rules.extend(node.rule.filter(|rule| !rules.contains(rule)));
            let gathered = |&support: &usize| match self.nodes[support].kind {
                Kind::Aggregate => self.nodes[support].supports.clone(),
                Kind::Absence => Vec::new(),
                _ => vec![support],
            };
            queue.extend(node.supports.iter().flat_map(gathered).filter(|&support| seen.insert(support)));
        }
        rules
    }

    /// Writes the members `root`, `nodes` and `truncated`.
    pub(super) fn write(&self, engine: &Engine, out: &mut Writer) {
        out.text("root", Some("n1"));
        out.key("nodes");
        out.open('[');
        for (place, node) in self.nodes.iter().enumerate() {
            out.open('{');
            out.text("id", Some(&format!("n{}", place + 1)));
            out.text("fact", Some(&node.fact));
            out.text("kind", Some(node.kind.as_str()));
            out.text("rule", node.rule.map(|rule| engine.rules.rules[rule as usize].id.as_str()));
            out.key("supports");
            out.open('[');
            for support in &node.supports {
                out.item(Some(&format!("n{}", support + 1)));
            }
            out.close(']');
            out.raw("values", &node.values);
            out.close('}');
        }
        out.close(']');
        out.raw("truncated", if self.is_truncated { "true" } else { "false" });
    }
}

fn decision_node(decision: &Decision) -> Node {
    let subject = decision
        .subject
        .as_ref()
        .map_or_else(String::new, |subject| format!(", subject={}", crate::engine::quoted(subject)));
    let mut values = Writer::default();
    values.open('{');
    values.text("message", decision.message.as_deref());
    values.raw("data", decision.data.as_deref().unwrap_or("null"));
    values.close('}');
    Node {
        fact: format!("decision(decision={}, code={}{subject})", decision.decision, decision.code),
        kind: Kind::Decision,
        rule: decision.rule,
        supports: Vec::new(),
        values: values.finish(),
    }
}

struct Grower<'a> {
    engine: &'a mut Engine,
    proofs: &'a Proofs,
    ids: FactIds,
    tree: Tree,
    places: HashMap<Fact, usize>,
    /// Nodes whose supports are to be found, with their node among the proofs.
    queue: VecDeque<(usize, u32)>,
}

impl Grower<'_> {
    fn add(&mut self, node: Node) -> Option<usize> {
        if self.tree.nodes.len() >= NODES_MAX {
            self.tree.is_truncated = true;
            return None;
        }
        self.tree.nodes.push(node);
        Some(self.tree.nodes.len() - 1)
    }

    /// The place of a fact's node.
    fn fact(&mut self, fact: Fact, node: u32) -> Option<usize> {
        if let Some(&place) = self.places.get(&fact) {
            return Some(place);
        }
        let (template, row) = fact;
        let schema = &self.engine.rules.schema.templates[template as usize];
        let kind = match self.proofs.reason(node) {
            Some((Reason::Firing(_), _)) => Kind::Stated,
            Some(_) => Kind::Derived,
            None if schema.origin == Origin::Table => Kind::Table,
            None => Kind::Input,
        };
        let mut values = String::new();
        write_row(&mut values, &self.engine.constants(template as usize, row), schema);
        let id = self.ids.id(self.engine, template, row);
        let place = self.add(Node { fact: id, kind, rule: None, supports: Vec::new(), values })?;
        self.places.insert(fact, place);
        self.queue.push_back((place, node));
        Some(place)
    }

    /// Finds what a node rests on.
    fn expand(&mut self, place: usize, node: u32) -> Result<(), ExplainError> {
        let proofs = self.proofs;
        let Some((reason, tails)) = proofs.reason(node) else { return Ok(()) };
        let acted = match reason {
            Reason::Match { rule, body } => {
                let positions = self.engine.rules.rules[rule as usize].bodies[body as usize].positions.len();
                let rows = tails[..positions].iter().filter_map(|&tail| proofs.fact(tail)).map(|(_, row)| row);
                let rows: Vec<u32> = rows.collect();
                self.engine.acted_again(rule, body, &rows)?
            }
            Reason::Firing(firing) => self.engine.firing_at(firing).clone(),
            Reason::Birth(fact) => self.engine.born_by(fact).cloned().unwrap_or_default(),
            Reason::Choice | Reason::Gathered => return Ok(()),
        };
        self.tree.nodes[place].rule = Some(acted.rule);
        self.tree.nodes[place].supports = self.supports(&acted, tails);
        Ok(())
    }

    /// Places of what a match rests on, in the order of `when`, each once.
    fn supports(&mut self, acted: &Acted, tails: &[u32]) -> Vec<usize> {
        let rules = std::rc::Rc::clone(&self.engine.rules);
        let rule = &rules.rules[acted.rule as usize];
        let body = &rule.bodies[acted.body as usize];
        let (positions, conditions) = tails.split_at(body.positions.len());
        let mut conditions = conditions.iter();
        // Conditions in the order of `when`: places in `positions` or in `closed`, with their tail.
        let mut parts: Vec<(u16, Option<u32>, Option<usize>)> =
            body.positions.iter().zip(positions).map(|(position, &tail)| (position.when, Some(tail), None)).collect();
        for (at, closed) in acted.closed.iter().enumerate() {
            let step = &body.steps[closed.step as usize];
            let looks = matches!(step.kind, StepKind::Exists(_) | StepKind::Accumulate { .. });
            parts.push((step.when, if looks { conditions.next().copied() } else { None }, Some(at)));
        }
        parts.sort_by_key(|&(when, ..)| when);
        let mut supports = Vec::new();
        for (_, tail, closed) in parts {
            let place = match (tail, closed) {
                (Some(tail), _) if self.proofs.fact(tail).is_some() => self.support(tail),
                (Some(tail), Some(at)) => match self.proofs.reason(tail) {
                    Some((Reason::Choice, witness)) => witness.first().and_then(|&witness| self.support(witness)),
                    _ => self.aggregate(acted, at, tail),
                },
                (_, Some(at)) => self.add(Node {
                    fact: acted.closed[at].text.clone(),
                    kind: Kind::Absence,
                    rule: Some(acted.rule),
                    supports: Vec::new(),
                    values: "{}".to_owned(),
                }),
                _ => None,
            };
            supports.extend(place.filter(|place| !supports.contains(place)));
        }
        supports
    }

    fn support(&mut self, node: u32) -> Option<usize> {
        self.proofs.fact(node).and_then(|fact| self.fact(fact, node))
    }

    /// What a condition gathered.
    fn aggregate(&mut self, acted: &Acted, at: usize, node: u32) -> Option<usize> {
        let closed = &acted.closed[at];
        let values = self.gathered_values(acted, closed.step);
        let fact = closed.text.clone();
        let place =
            self.add(Node { fact, kind: Kind::Aggregate, rule: Some(acted.rule), supports: Vec::new(), values })?;
        let tails = self.proofs.reason(node).map_or(&[][..], |(_, tails)| tails);
        let supports: Vec<usize> = tails.iter().filter_map(|&tail| self.support(tail)).collect();
        self.tree.nodes[place].supports = supports;
        Some(place)
    }

    fn gathered_values(&self, acted: &Acted, step: u16) -> String {
        let rule = &self.engine.rules.rules[acted.rule as usize];
        let mut out = Writer::default();
        out.open('{');
        if let StepKind::Accumulate { count, folds, .. } = &rule.bodies[acted.body as usize].steps[step as usize].kind {
            for slot in count.iter().chain(folds.iter().map(|fold| &fold.slot)) {
                let place = rule.identity.iter().position(|known| known == slot);
                if let Some((name, json)) = place.and_then(|place| acted.values.get(place)) {
                    out.raw(name, json);
                }
            }
        }
        out.close('}');
        out.finish()
    }
}
