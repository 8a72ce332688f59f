//! Proofs with the fewest firings: facts as nodes, matches as edges from what they rest on to what they give.
//!
//! Knuth's generalisation of Dijkstra's algorithm: the cost of a fact is that of its cheapest match, the cost of a match
//! is one more than the costs of all that it rests on. Facts are settled from cheap to dear, so that none rests on itself.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};

use crate::engine::{Acted, Derivation, Engine};
use crate::model::StepKind;

/// A template and a row.
pub(super) type Fact = (u16, u32);

/// Why a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A match of a derive rule over the facts that are there.
    Match { rule: u32, body: u16 },
    /// A firing, by its place.
    Firing(usize),
    /// The match that derived a fact when it came into being.
    Birth(Fact),
    /// One of several facts that fulfil a condition.
    Choice,
    /// All facts that a condition gathers.
    Gathered,
}

#[derive(Debug)]
struct Edge {
    head: u32,
    begin: u32,
    end: u32,
    reason: Reason,
    rule: u32,
    /// Only where nothing else gives the head.
    is_late: bool,
}

/// The graph, and the cheapest edge of every node once it is solved.
#[derive(Default)]
pub(super) struct Proofs {
    /// None for what is no fact: a choice, a gathering, the conclusion of a firing.
    facts: Vec<Option<Fact>>,
    index: HashMap<Fact, u32>,
    edges: Vec<Edge>,
    tails: Vec<u32>,
    chosen: Vec<Option<u32>>,
}

const UNKNOWN: u64 = u64::MAX;

impl Proofs {
    pub(super) fn node(&mut self, fact: Fact) -> u32 {
        let next = self.facts.len() as u32;
        let node = *self.index.entry(fact).or_insert(next);
        if node == next {
            self.facts.push(Some(fact));
        }
        node
    }

    fn nameless(&mut self) -> u32 {
        self.facts.push(None);
        self.facts.len() as u32 - 1
    }

    fn edge(&mut self, head: u32, tails: &[u32], (reason, rule, is_late): (Reason, u32, bool)) {
        let begin = self.tails.len() as u32;
        self.tails.extend_from_slice(tails);
        self.edges.push(Edge { head, begin, end: self.tails.len() as u32, reason, rule, is_late });
    }

    /// A match of a derive rule.
    pub(super) fn derivation(&mut self, engine: &Engine, found: &Derivation, is_wanted: impl Fn(u16) -> bool) {
        let Derivation { rule, body, .. } = *found;
        if !found.heads.iter().any(|&(template, _)| is_wanted(template)) {
            return;
        }
        let closed = found.closed.iter().map(|(step, rows)| (*step, rows.as_slice()));
        let tails = self.supports(engine, (rule, body), &found.rows, closed);
        for &head in &found.heads {
            let head = self.node(head);
            self.edge(head, &tails, (Reason::Match { rule, body }, rule, false));
        }
    }

    /// A match that was recorded when its rule acted on it.
    pub(super) fn recorded(
        &mut self,
        engine: &Engine,
        head: Option<Fact>,
        acted: &Acted,
        (reason, is_late): (Reason, bool),
    ) -> u32 {
        let closed = acted.closed.iter().map(|closed| (closed.step, closed.rows.as_slice()));
        let tails = self.supports(engine, (acted.rule, acted.body), &acted.rows, closed);
        let head = match head {
            Some(fact) => self.node(fact),
            None => self.nameless(),
        };
        self.edge(head, &tails, (reason, acted.rule, is_late));
        head
    }

    /// The nodes that a match rests on: its positions, then its conditions that look for facts.
    fn supports<'c>(
        &mut self,
        engine: &Engine,
        (rule, body): (u32, u16),
        rows: &[u32],
        closed: impl Iterator<Item = (u16, &'c [u32])>,
    ) -> Vec<u32> {
        let body = &engine.rules.rules[rule as usize].bodies[body as usize];
        let positions = body.positions.iter().zip(rows);
        let mut tails: Vec<u32> = positions.map(|(position, &row)| self.node((position.template, row))).collect();
        for (step, rows) in closed {
            let kind = &body.steps[step as usize].kind;
            let Some(pattern) = kind.pattern() else { continue };
            let nodes: Vec<u32> = rows.iter().map(|&row| self.node((pattern.template, row))).collect();
            match kind {
                StepKind::Exists(_) if nodes.len() == 1 => tails.push(nodes[0]),
                StepKind::Exists(_) => {
                    let choice = self.nameless();
                    for node in nodes {
                        self.edge(choice, &[node], (Reason::Choice, rule, false));
                    }
                    tails.push(choice);
                }
                StepKind::Accumulate { .. } => {
                    let gathered = self.nameless();
                    self.edge(gathered, &nodes, (Reason::Gathered, rule, false));
                    tails.push(gathered);
                }
                _ => {}
            }
        }
        tails
    }

    fn tails_of(&self, edge: u32) -> &[u32] {
        let edge = &self.edges[edge as usize];
        &self.tails[edge.begin as usize..edge.end as usize]
    }

    pub(super) fn fact(&self, node: u32) -> Option<Fact> {
        self.facts[node as usize]
    }

    /// Why a node holds and what that rests on; none for what was given.
    pub(super) fn reason(&self, node: u32) -> Option<(Reason, &[u32])> {
        let edge = self.chosen.get(node as usize).copied().flatten()?;
        Some((self.edges[edge as usize].reason, self.tails_of(edge)))
    }

    /// Chooses the cheapest edge of each node, up to the target.
    pub(super) fn solve(&mut self, engine: &Engine, target: u32, is_given: impl Fn(Fact) -> bool) {
        self.chosen = vec![None; self.facts.len()];
        let mut solver = Solver::new(self);
        for (node, fact) in self.facts.iter().enumerate() {
            if fact.is_some_and(&is_given) {
                solver.costs[node] = 0;
                solver.queue.push(Reverse((0, false, node as u32)));
            }
        }
        let ready: Vec<u32> = (0..self.edges.len() as u32).filter(|&edge| self.tails_of(edge).is_empty()).collect();
        for edge in ready {
            solver.offer(self, engine, edge);
        }
        loop {
            if solver.run(self, engine, target) || solver.late.is_empty() {
                break;
            }
            solver.is_late = true;
            for edge in std::mem::take(&mut solver.late) {
                solver.offer(self, engine, edge);
            }
        }
        self.chosen = solver.chosen;
    }
}

struct Solver {
    costs: Vec<u64>,
    is_settled: Vec<bool>,
    chosen: Vec<Option<u32>>,
    /// For each edge, how many of its tails are not settled.
    missing: Vec<u32>,
    /// Edges by tail: where each node's begin.
    begins: Vec<u32>,
    users: Vec<u32>,
    queue: BinaryHeap<Reverse<(u64, bool, u32)>>,
    late: Vec<u32>,
    is_late: bool,
}

impl Solver {
    fn new(proofs: &Proofs) -> Self {
        let nodes = proofs.facts.len();
        let mut begins = vec![0_u32; nodes + 1];
        for &tail in &proofs.tails {
            begins[tail as usize + 1] += 1;
        }
        for node in 0..nodes {
            begins[node + 1] += begins[node];
        }
        let mut next = begins.clone();
        let mut users = vec![0; proofs.tails.len()];
        for (place, edge) in proofs.edges.iter().enumerate() {
            for &tail in &proofs.tails[edge.begin as usize..edge.end as usize] {
                users[next[tail as usize] as usize] = place as u32;
                next[tail as usize] += 1;
            }
        }
        Self {
            costs: vec![UNKNOWN; nodes],
            is_settled: vec![false; nodes],
            chosen: vec![None; nodes],
            missing: proofs.edges.iter().map(|edge| edge.end - edge.begin).collect(),
            begins,
            users,
            queue: BinaryHeap::new(),
            late: Vec::new(),
            is_late: false,
        }
    }

    /// Settles nodes from cheap to dear; `true` once the target is.
    fn run(&mut self, proofs: &Proofs, engine: &Engine, target: u32) -> bool {
        while let Some(Reverse((cost, _, node))) = self.queue.pop() {
            if self.is_settled[node as usize] || cost != self.costs[node as usize] {
                continue;
            }
            self.is_settled[node as usize] = true;
            if node == target {
                return true;
            }
            for at in self.begins[node as usize]..self.begins[node as usize + 1] {
                let edge = self.users[at as usize];
                self.missing[edge as usize] -= 1;
                if self.missing[edge as usize] == 0 {
                    self.offer(proofs, engine, edge);
                }
            }
        }
        self.is_settled[target as usize]
    }

    /// All that an edge rests on is settled.
    fn offer(&mut self, proofs: &Proofs, engine: &Engine, place: u32) {
        let edge = &proofs.edges[place as usize];
        if edge.is_late && !self.is_late {
            self.late.push(place);
            return;
        }
        let head = edge.head as usize;
        if self.is_settled[head] {
            return;
        }
        let own = u64::from(!matches!(edge.reason, Reason::Choice | Reason::Gathered));
        let tails = proofs.tails_of(place).iter();
        let cost = tails.fold(own, |cost, &tail| cost.saturating_add(self.costs[tail as usize])).min(UNKNOWN - 1);
        let order = cost.cmp(&self.costs[head]);
        let is_better = match (order, self.chosen[head]) {
            (Ordering::Equal, Some(known)) => compare(proofs, engine, place, known) == Ordering::Less,
            (order, _) => order == Ordering::Less,
        };
        if is_better {
            self.costs[head] = cost;
            self.chosen[head] = Some(place);
            if order == Ordering::Less {
                self.queue.push(Reverse((cost, proofs.facts[head].is_none(), edge.head)));
            }
        }
    }
}

/// Of two edges of one cost: the place of the rule, then the canonical order of what they rest on.
fn compare(proofs: &Proofs, engine: &Engine, left: u32, right: u32) -> Ordering {
    let rules = proofs.edges[left as usize].rule.cmp(&proofs.edges[right as usize].rule);
    let (left_tails, right_tails) = (proofs.tails_of(left), proofs.tails_of(right));
    let supports = left_tails.iter().zip(right_tails).map(|(&left, &right)| {
        match (proofs.facts[left as usize], proofs.facts[right as usize]) {
            (Some((template, left)), Some((other, right))) if template == other => {
                if left == right {
                    Ordering::Equal
                } else {
                    engine.compare_facts(template, left, right)
                }
            }
            (Some((template, _)), Some((other, _))) => template.cmp(&other),
            _ => Ordering::Equal,
        }
    });
    let supports = supports.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
    rules.then(supports).then(left_tails.len().cmp(&right_tails.len())).then(left.cmp(&right))
}
