//! Rule sets swapped while requests run: no request fails, and each answer is what the bundle that it names decides.
//!
//! Shared by the test, which holds the answers to that, and the benchmark, which holds their times to a bar.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use inferwit::app::Target;
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::lab::Lab;

/// Far longer than anything that is waited for here.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether a swap is seen, and between as many in a window without swaps.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Windows with swaps, each followed by one as long without: what else disturbs the machine disturbs both.
pub(crate) const WINDOWS: usize = 10;

/// How long answers took, in microseconds, over all windows of a kind.
pub(crate) struct Latencies {
    pub(crate) with_swaps: Vec<u64>,
    pub(crate) without: Vec<u64>,
}

impl Latencies {
    pub(crate) fn as_json(&self, swaps: usize) -> Value {
        let p99s = (quantile(&self.with_swaps, 0.99), quantile(&self.without, 0.99));
        json!({
            "swaps": swaps, "windows": WINDOWS, "failed": 0,
            "requests_with": self.with_swaps.len(), "requests_without": self.without.len(),
            "p50_us_with": quantile(&self.with_swaps, 0.5), "p50_us_without": quantile(&self.without, 0.5),
            "p99_us_with": p99s.0, "p99_us_without": p99s.1, "p99_ratio": self.p99_ratio(),
        })
    }

    pub(crate) fn p99_ratio(&self) -> f64 {
        quantile(&self.with_swaps, 0.99) as f64 / quantile(&self.without, 0.99) as f64
    }
}

fn quantile(latencies: &[u64], quantile: f64) -> u64 {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    sorted[((sorted.len() - 1) as f64 * quantile).round() as usize]
}

/// A rule set that accepts a score of 0.6 or not, by its cut.
fn rule_set(version: &str, cut: f64) -> String {
    format!(
        "schema: rules/v1
name: gate
version: {version}
facts: {{face: {{origin: input, key: [id], fields: {{id: int, score: double}}}}}}
decisions: {{combine: most-severe, order: [reject, accept], default: {{decision: reject, code: NONE}}}}
rules:
  - id: accept
    when: [{{exists: {{match: face, as: f, where: f.score >= {cut}}}}}]
    then: [{{emit: {{decision: accept, code: SEEN}}}}]
"
    )
}

fn pipeline(rules: &str) -> String {
    format!(
        "schema: pipeline/v1
name: p
version: {rules}
inputs: {{scores: {{datatype: FP32, shape: [-1]}}}}
outputs: [code]
steps:
  - {{name: judge, rules: gate@{rules}, facts: {{face: {{id: $row, score: scores}}}}}}
"
    )
}

/// Swaps two rule sets that decide differently on every request, so often, while somebody asks.
///
/// The wait between two swaps is the follower's: as long as the server takes to notice a deployment.
pub(crate) fn measure(swaps: usize) -> Latencies {
    let lab = Lab::new();
    lab.add_plugins(&["rules"]);
    // What each bundle decides of a score between the cuts.
    let mut codes = BTreeMap::new();
    let targets = [("1.0.0", 0.5, "SEEN"), ("2.0.0", 0.7, "NONE")].map(|(version, cut, code)| {
        lab.app.add_rules(rule_set(version, cut).as_bytes()).unwrap();
        let target = Target::PipelineFile(lab.file(&format!("p-{version}.yaml"), pipeline(version)));
        codes.insert(lab.deploy(&target).unwrap().bundle.to_string(), code);
        target
    });
    let (door, _follower) = lab.follow();
    let load = Load { client: door.client(), codes: &codes };
    let mut latencies = Latencies { with_swaps: Vec::new(), without: Vec::new() };
    let mut number = 0;
    for window in 1..=WINDOWS {
        let begun = Instant::now();
        latencies.with_swaps.extend(load.during(|| {
            while number < swaps * window / WINDOWS {
                let bundle = lab.deploy(&targets[number % 2]).unwrap().bundle.to_string();
                load.see(&bundle);
                number += 1;
            }
        }));
        let until = Instant::now() + begun.elapsed();
        let current = bundle_of(&load.ask().json());
        // As much asking, and no swaps.
        latencies.without.extend(load.during(|| {
            while Instant::now() < until {
                load.see(&current);
                thread::sleep(LOOK_INTERVAL);
            }
        }));
    }
    latencies
}

/// Somebody who asks, and what each bundle decides.
#[derive(Clone, Copy)]
struct Load<'a> {
    client: Client,
    codes: &'a BTreeMap<String, &'static str>,
}

impl Load<'_> {
    fn ask(self) -> Reply {
        let scores = json!({"name": "scores", "datatype": "FP32", "shape": [1], "data": [0.6]});
        self.client.post_json("p", &json!({"id": "r1", "inputs": [scores]})).expect(200)
    }

    /// Asks until a bundle answers.
    fn see(self, bundle: &str) {
        let until = Instant::now() + PATIENCE;
        while bundle_of(&self.ask().json()) != bundle {
            assert!(Instant::now() < until, "{bundle} is seen");
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Asks while something is done, and gives how long each answer took.
    fn during(self, act: impl FnOnce()) -> Vec<u64> {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let asker = scope.spawn(|| self.latencies(&is_over));
            let over = Over(&is_over);
            act();
            drop(over);
            asker.join().unwrap()
        })
    }

    /// Asks until it is over, and holds every answer to what the bundle that it names decides.
    fn latencies(self, is_over: &AtomicBool) -> Vec<u64> {
        let mut latencies = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let reply = self.ask();
            latencies.push(u64::try_from(begun.elapsed().as_micros()).unwrap());
            let json = reply.json();
            let code = self.codes[&bundle_of(&json)];
            assert_eq!(json["outputs"][0]["data"], json!([code]), "{json}");
            let decisions = json["parameters"]["inferwit_decisions"].as_str().unwrap_or_else(|| panic!("{json}"));
            let decisions: Value = serde_json::from_str(decisions).unwrap();
            assert_eq!(decisions["judge"]["result"][0]["code"], code);
        }
        assert!(!latencies.is_empty());
        latencies
    }
}

fn bundle_of(json: &Value) -> String {
    json["parameters"]["inferwit_bundle"].as_str().unwrap_or_else(|| panic!("{json}")).to_owned()
}

/// Ends the asking when it is dropped, be it by a failed assertion.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
