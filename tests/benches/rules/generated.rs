//! Rule sets and facts that are made rather than written: ten thousand constant rules, and the loan example grown to the
//! size of a busy step. Measures nothing.

use std::fmt::Write as _;

use super::clips_facts::Row;

/// `gen.py constants N` as a rule set: each rule waits for one code of one kind and has nothing else to join.
pub(crate) fn constant_rules(rules: u32) -> String {
    let mut text = String::from(
        "schema: rules/v1\nname: bench-constants\nversion: 1.0.0\nfacts:\n  \
         ev: {origin: input, key: [n], fields: {n: int, kind: string, code: string, score: double}}\n  \
         dec: {origin: output, stated: true, fields: {rule: string, code: string}}\n\
         limits: {max_firings: 1000000, max_firings_per_rule: 1000000, max_work: 1000000000}\nrules:\n",
    );
    for rule in 0..rules {
        let kind = rule % 50;
        let _ = write!(
            text,
            "  - id: r{rule}\n    \
             when: [{{match: ev, as: e, where: \"e.kind == 'k{kind}' && e.code == 'c{rule}' && e.score > 0.5\"}}]\n    \
             then: [{{assert: {{dec: {{rule: \"'r{rule}'\", code: \"'c{rule}'\"}}}}}}]\n"
        );
    }
    text
}

/// The loan example as it stands, its tests aside.
const LOAN: &str = include_str!("loan.rules.yaml");
/// How many rules of each sort are added to its seven: 200 in all.
const KIND_RULES: usize = 60;
const COUNTRY_RULES: usize = 40;
const AGE_RULES: usize = 43;
const REVIEW_RULES: usize = 50;

/// The loan example grown to 200 rules: marks for kinds of transactions, for countries and for how long one has been a
/// customer, and reviews of what was marked.
pub(crate) fn grown_loan() -> String {
    let (rules, _) = LOAN.split_once("\ntests:\n").expect("the loan example has tests");
    let mut text = rules.replacen(
        "\nlimits:",
        "\n  mark: {origin: derived, key: [id, name], fields: {id: string, name: string, points: int}}\nlimits:",
        1,
    );
    let mut rule = |id: String, head: &str, when: &[String], then: &str| {
        let _ = write!(text, "\n  - id: {id}{head}\n    when:");
        for condition in when {
            let _ = write!(text, "\n      - {condition}");
        }
        let _ = write!(text, "\n    then:\n      - {then}");
    };
    let mark = |id: &str, name: &str, points: usize| {
        format!("derive: {{mark: {{id: {id}, name: \"'{name}'\", points: {points}}}}}")
    };
    for kind in 0..KIND_RULES {
        let over = format!("{{match: txn, as: t, where: \"t.kind == 'k{kind}' && t.amount > {}.0\"}}", over(kind));
        rule(format!("kind-{kind}"), "", &[over], &mark("t.id", &format!("k{kind}"), kind % 5 + 1));
    }
    for country in 0..COUNTRY_RULES {
        let from = format!("{{match: applicant, as: a, where: \"a.country == 'C{country}' && a.income < 90000.0\"}}");
        rule(format!("country-{country}"), "", &[from], &mark("a.id", &format!("c{country}"), 1));
    }
    for age in 0..AGE_RULES {
        let (low, high) = (age * 30, age * 30 + 60);
        let between = format!("{{match: applicant, as: a, where: a.since_days >= {low} && a.since_days < {high}}}");
        rule(format!("age-{age}"), "", &[between], &mark("a.id", &format!("a{age}"), 1));
    }
    for kind in 0..REVIEW_RULES {
        let applicant = "{match: applicant, as: a}".to_owned();
        let marked = format!("{{match: mark, as: m, where: \"m.id == a.id && m.name == 'k{kind}' && m.points > 0\"}}");
        let then = format!(
            "emit: {{decision: refer, code: K{kind}, subject: a.id, message: \"{{m.points}} points for k{kind}\"}}"
        );
        rule(format!("review-{kind}"), "\n    phase: review", &[applicant, marked], &then);
    }
    text.push('\n');
    text
}

/// The amount above which a transaction of a kind is marked.
fn over(kind: usize) -> usize {
    100 + kind
}

/// How many transactions are marked, each of another kind and by a rule of its own; with the applicants a third of all
/// facts, and with the reviews of those marks a third of all rules.
const MARKED: u64 = 31;

/// 100 facts for `grown_loan`: two applicants with their scores, two countries to watch, 94 transactions. Another seed
/// gives other values.
pub(crate) fn loan_facts(seed: u64) -> Vec<Row> {
    let mut random = Random(seed);
    let text = |text: &str| text.to_owned();
    let mut rows = Vec::new();
    for id in ["A1", "A2"] {
        let (income, country, days) =
            (30_000 + random.below(50_000), random.below(COUNTRY_RULES as u64), random.below(1_290));
        rows.push(Row::new(
            "applicant",
            &[
                ("id", text(id)),
                ("income", format!("{income}.0")),
                ("country", format!("C{country}")),
                ("since_days", days.to_string()),
            ],
        ));
        let pd = format!("0.{:03}", random.below(1_000));
        rows.push(Row::new("score", &[("id", text(id)), ("pd", pd), ("model", text("pd@7"))]));
    }
    for country in ["C0", "XX"] {
        rows.push(Row::new("watch", &[("country", text(country))]));
    }
    for number in 0..94_u64 {
        let kind = number as usize % KIND_RULES;
        let amount = if number < MARKED { 200 + random.below(2_000) } else { random.below(90) };
        rows.push(Row::new(
            "txn",
            &[
                ("tid", format!("T{number}")),
                ("id", text(if random.below(2) == 0 { "A1" } else { "A2" })),
                ("amount", format!("{amount}.0")),
                ("kind", format!("k{kind}")),
            ],
        ));
    }
    rows
}

/// SplitMix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % end
    }
}
