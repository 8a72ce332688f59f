//! The workloads that run both in CLIPS and here: what CLIPS is asked for, the rule set, the answer, the bar.

use super::generated;

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// What CLIPS runs, without the seed.
    pub(crate) in_clips: &'static str,
    pub(crate) rules: Rules,
    pub(crate) answer: Answer,
    /// The most that it may cost, as a share of what it costs in CLIPS.
    pub(crate) ratio_max: Option<f64>,
}

pub(crate) enum Rules {
    Written(&'static str),
    Constants(u32),
}

/// Templates and the fields that count; must be those of `SLOTS` in `in_clips.py`.
type Slots = &'static [(&'static str, &'static [&'static str])];

#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// The only one: its hash must be that of CLIPS.
    Only(Slots),
    /// One of many: a seating, which is checked.
    Seating(Slots),
}

impl Answer {
    pub(crate) fn slots(self) -> Slots {
        match self {
            Self::Only(slots) | Self::Seating(slots) => slots,
        }
    }
}

impl Workload {
    /// Whether it is read from the published programs, which have facts of their own; else these are made from a seed.
    pub(crate) fn is_published(&self) -> bool {
        matches!(self.rules, Rules::Written(rules) if rules == MANNERS || rules == WALTZ)
    }

    /// What CLIPS is asked for in a repetition.
    pub(crate) fn asked(&self, seed: usize) -> String {
        if self.is_published() { self.in_clips.to_owned() } else { format!("{} {seed}", self.in_clips) }
    }

    pub(crate) fn source(&self) -> String {
        match self.rules {
            Rules::Written(rules) => rules.to_owned(),
            Rules::Constants(rules) => generated::constant_rules(rules),
        }
    }
}

pub(crate) const CLOSURE: &str = include_str!("closure.rules.yaml");
const CLOSURE_AGENDA: &str = include_str!("closure-agenda.rules.yaml");
const DETECT: &str = include_str!("detect.rules.yaml");
const MANNERS: &str = include_str!("manners.rules.yaml");
const WALTZ: &str = include_str!("waltz.rules.yaml");

const SEATING: Answer = Answer::Seating(&[("seating", &["seat1", "name1", "name2", "seat2", "id", "pid"])]);
const LABELS: Answer = Answer::Only(&[("edge", &["p1", "p2", "label"])]);
const PATHS: Answer = Answer::Only(&[("path", &["a", "b"])]);
const DETECTIONS: Answer = Answer::Only(&[
    ("kept", &["id", "frame", "cls", "score"]),
    ("labelled", &["id", "frame", "name"]),
    ("alert", &["frame"]),
]);
const DECISIONS: Answer = Answer::Only(&[("dec", &["rule", "code"])]);

pub(crate) fn all() -> Vec<Workload> {
    let workload = |name, in_clips, rules, answer, ratio_max| Workload { name, in_clips, rules, answer, ratio_max };
    let written = Rules::Written;
    vec![
        workload("manners64", "manners 64", written(MANNERS), SEATING, Some(0.25)),
        workload("manners128", "manners 128", written(MANNERS), SEATING, Some(0.20)),
        workload("waltz12", "waltz 12", written(WALTZ), LABELS, None),
        workload("waltz50", "waltz 50", written(WALTZ), LABELS, Some(0.35)),
        workload("closure", "closure 1000 1500", written(CLOSURE), PATHS, Some(0.15)),
        workload("closure-agenda", "closure 1000 1500", written(CLOSURE_AGENDA), PATHS, None),
        workload("detect", "detect 10000", written(DETECT), DETECTIONS, Some(0.35)),
        workload("constants", "constants 10000 20000", Rules::Constants(10_000), DECISIONS, Some(0.5)),
    ]
}
