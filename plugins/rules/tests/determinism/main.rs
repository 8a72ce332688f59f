//! The same facts give the same report and the same explanations, byte for byte, in whatever order rows, tables and mapping
//! keys arrive, and whatever an engine ran before. That the component gives them too is an end-to-end test.

use proptest::prelude::*;

mod cases;
mod columns;
mod native;
mod shuffled;

#[path = "../reference/expressions.rs"]
mod expressions;
#[path = "../reference/generator.rs"]
mod generator;
#[path = "../reference/program.rs"]
#[expect(dead_code, reason = "steps, and smaller programs, are for the comparison with the reference")]
mod program;
#[path = "../reference/random.rs"]
mod random;

use cases::Case;
use native::{explained, facts, load, queries, reported};
use shuffled::{Orders, shuffled_facts, shuffled_source};

/// Random rule sets that are tried.
const RANDOM: u64 = 600;

/// Another order of everything gives the same bytes.
fn check(case: &Case, orders: &mut Orders) {
    let mut plain = load(&case.source);
    let mut other = load(&shuffled_source(&case.source, orders));
    assert_eq!(plain.rules.digest, other.rules.digest);
    for node in &case.given {
        let given = facts(node, &plain);
        let (report, ended) = reported(&mut plain, &given);
        let queries = queries(&plain, &ended);
        let shuffled = facts(&shuffled_facts(node, orders), &other);
        assert_eq!(reported(&mut other, &shuffled).0, report, "{}", case.source);
        // An answer to why not names places of the file, which must be the same file.
        let mut same_file = load(&case.source);
        for query in queries {
            let answer = explained(&mut plain, &given, &query);
            assert_eq!(explained(&mut same_file, &shuffled, &query), answer, "`{query}` of {}", case.source);
        }
    }
}

#[test]
fn the_order_of_rows_tables_and_keys_means_nothing_to_random_rule_sets() {
    let mut tried = 0;
    for seed in 0..RANDOM {
        if let Some(case) = cases::random(seed) {
            check(&case, &mut Orders(seed));
            tried += 1;
        }
    }
    assert!(tried > RANDOM / 2, "{tried}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_rows_tables_and_keys_means_nothing(seed in any::<u64>()) {
        let mut orders = Orders(seed);
        for case in cases::written() {
            check(&case, &mut orders);
        }
    }

    /// An engine that has run other facts before says the same as a new one.
    #[test]
    fn what_ran_before_means_nothing(seed in any::<u64>()) {
        let mut orders = Orders(seed);
        for mut case in cases::written() {
            let mut warm = load(&case.source);
            orders.shuffle(&mut case.given);
            for node in case.given.iter().chain(&case.given) {
                let given = facts(node, &warm);
                let (report, _) = reported(&mut load(&case.source), &given);
                prop_assert_eq!(&reported(&mut warm, &given).0, &report);
            }
        }
    }
}
