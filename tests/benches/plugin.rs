//! `cargo xtask bench plugin`: what a call of a plugin costs, for Rust and for Python, beside native work in the same run.
//!
//! Calls go through `OpenPlugin`, with everything that a request pays for: a place among the plugin's calls, an instance, handles.

#[expect(dead_code, reason = "shared by the benchmarks, none of which uses all of it")]
mod harness;

use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use harness::{Bar, Case, Row, interleaved, report, rounds};
use inferwit::infer::{InferRequest, RequestContext};
use inferwit::plugin::{EngineSettings, Interface, Isolation, Limits, OpenPlugin, Plugin, PluginEngine, Usage};
use inferwit::tensor::{Datatype, Tensor};
use serde_json::json;

/// A picture of 224 x 224 in three channels of fp32.
const PICTURE: [u64; 4] = [1, 3, 224, 224];

#[path = "../end_to_end/fixtures.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod fixtures;

struct Bench {
    engine: Arc<PluginEngine>,
    context: Arc<RequestContext>,
}

impl Bench {
    fn plugin(&self, name: &str) -> Arc<Plugin> {
        let bytes = std::fs::read(fixtures::plugin(name)).expect("set-up has built the plugin");
        Arc::new(Plugin::compile(&self.engine, name, &bytes, 16).expect("the plugin is valid"))
    }

    fn open(&self, plugin: &Arc<Plugin>, isolation: Isolation, config: &str) -> OpenPlugin {
        let mut limits = Limits::with_cores(2);
        limits.deadline = std::time::Duration::from_secs(5);
        let usage = Usage {
            step: Some("bench".to_owned()),
            interface: Interface::Processor,
            config: config.to_owned(),
            isolation,
            limits,
            grants: Arc::default(),
        };
        plugin.open(usage).expect("the configuration is valid")
    }

    fn call<'a>(&'a self, plugin: &'a OpenPlugin, tensor: Option<&'a Tensor>) -> Box<dyn FnMut(u64) + 'a> {
        Box::new(move |repeats| {
            for _ in 0..repeats {
                let inputs = tensor.map(|tensor| ("tensor".to_owned(), tensor.clone())).into_iter().collect();
                black_box(plugin.process(inputs, &self.context).result.expect("the plugin answers"));
            }
        })
    }
}

fn main() -> ExitCode {
    let settings = EngineSettings { cache_dir: Some(cache_dir()), memory_bytes_max: 64 << 20 };
    let engine = Arc::new(PluginEngine::new(settings).expect("the engine starts"));
    let (_, context) = InferRequest::new(Vec::new()).split();
    let bench = Bench { engine, context: Arc::new(context) };
    let echo = bench.plugin("echo-guest");
    let python = bench.plugin("python");
    let [pass, read, read_all] =
        ["pass", "read", "read_all"].map(|mode| bench.open(&echo, Isolation::Warm, &json!({"mode": mode}).to_string()));
    let fresh = bench.open(&echo, Isolation::Fresh, "{}");
    let python_warm = bench.open(&python, Isolation::Warm, "{}");
    let python_pass = bench.open(&python, Isolation::Warm, r#"{"pass": true}"#);
    let python_fresh = bench.open(&python, Isolation::Fresh, "{}");
    let small = Tensor::zeros(Datatype::Fp32, &[4]).expect("a small tensor");
    let picture = Tensor::zeros(Datatype::Fp32, &PICTURE).expect("a picture");
    let mut buffer = vec![0_u8; picture.bytes().len()];

    let mut cases = vec![
        Case { name: "native call", repeats: 20_000, work: Box::new(|repeats| native_calls(&small, repeats)) },
        Case { name: "empty call of a component", repeats: 20_000, work: empty_calls(&bench.engine) },
        Case { name: "warm, no tensor", repeats: 5_000, work: bench.call(&pass, None) },
        Case { name: "warm, one tensor in and out", repeats: 5_000, work: bench.call(&pass, Some(&small)) },
        Case { name: "fresh: instance, open, process, drop", repeats: 200, work: bench.call(&fresh, Some(&small)) },
        Case {
            name: "memcpy of 588 KiB",
            repeats: 100,
            work: Box::new(|repeats| {
                for _ in 0..repeats {
                    buffer.copy_from_slice(black_box(picture.bytes()));
                    black_box(&mut buffer);
                }
            }),
        },
        Case { name: "588 KiB passed on", repeats: 500, work: bench.call(&pass, Some(&picture)) },
        Case { name: "588 KiB read", repeats: 100, work: bench.call(&read, Some(&picture)) },
        Case { name: "588 KiB read and written", repeats: 100, work: bench.call(&read_all, Some(&picture)) },
        Case { name: "Python, warm: one tensor passed on", repeats: 200, work: bench.call(&python_pass, Some(&small)) },
        Case {
            name: "Python, warm: one tensor, one kernel",
            repeats: 200,
            work: bench.call(&python_warm, Some(&small)),
        },
        Case { name: "Python, warm: kernel on 588 KiB", repeats: 50, work: bench.call(&python_warm, Some(&picture)) },
        Case { name: "Python, fresh", repeats: 5, work: bench.call(&python_fresh, Some(&small)) },
    ];
    let times = interleaved(&mut cases, rounds(60));
    let names: Vec<&'static str> = cases.iter().map(|case| case.name).collect();
    drop(cases);
    report("calls of plugins", &rows(&names, &times), json!({"pooling": bench.engine.is_pooling()}))
}

fn native_calls(tensor: &Tensor, repeats: u64) {
    for _ in 0..repeats {
        let inputs = vec![("tensor".to_owned(), black_box(tensor).clone())];
        black_box(inputs);
    }
}

/// `(module (func (export "nop")))`
const NOP: [u8; 33] = [
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x04, 0x01, 0x60, 0x00, 0x00, 0x03, 0x02, 0x01, 0x00, 0x07,
    0x07, 0x01, 0x03, 0x6e, 0x6f, 0x70, 0x00, 0x00, 0x0a, 0x04, 0x01, 0x02, 0x00, 0x0b,
];

/// What the engine itself takes to enter and leave a warm guest that does nothing, its deadline set before each call.
fn empty_calls<'a>(engine: &'a PluginEngine) -> Box<dyn FnMut(u64) + 'a> {
    let mut resolve = wit_parser::Resolve::default();
    let package =
        resolve.push_str("nop.wit", "package bench:nop; world nop { export nop: func(); }").expect("valid WIT");
    let world = resolve.select_world(&[package], None).expect("one world");
    let mut module = NOP.to_vec();
    wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8)
        .expect("a module takes a custom section");
    let component = wit_component::ComponentEncoder::default()
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .expect("a component of one function");
    let component = wasmtime::component::Component::new(engine.wasmtime(), component).expect("it compiles");
    let mut store = wasmtime::Store::new(engine.wasmtime(), ());
    store.set_epoch_deadline(1);
    let linker = wasmtime::component::Linker::new(engine.wasmtime());
    let instance = linker.instantiate(&mut store, &component).expect("it has no imports");
    let nop = instance.get_typed_func::<(), ()>(&mut store, "nop").expect("it exports `nop`");
    Box::new(move |repeats| {
        for _ in 0..repeats {
            store.set_epoch_deadline(1_000_000);
            nop.call(&mut store, ()).expect("it does nothing");
        }
    })
}

fn rows(names: &[&'static str], times: &[Vec<f64>]) -> Vec<Row> {
    let of = |name: &str| &times[names.iter().position(|other| *other == name).expect("a case of this name")];
    let row = |name: &str| Row::new(name, of(name));
    let beside = |name: &str, other: &str| row(name).beside(other, of(other), of(name));
    // What reading itself costs: the call that reads less the call that only passes the handle on.
    let read: Vec<f64> = of("588 KiB read").iter().zip(of("588 KiB passed on")).map(|(all, call)| all - call).collect();
    let copied = of("memcpy of 588 KiB");
    vec![
        row("native call"),
        beside("empty call of a component", "native call").at_most(Bar::MedianNs(500.0)),
        beside("warm, no tensor", "native call"),
        beside("warm, one tensor in and out", "native call").at_most(Bar::MedianNs(1_500.0)),
        beside("fresh: instance, open, process, drop", "native call").at_most(Bar::MedianNs(25_000.0)),
        row("memcpy of 588 KiB"),
        beside("588 KiB passed on", "memcpy of 588 KiB"),
        Row::new("588 KiB read, without the call", &read).beside("memcpy", copied, &read).at_most(Bar::Ratio(1.3)),
        beside("588 KiB read and written", "memcpy of 588 KiB"),
        beside("Python, warm: one tensor passed on", "native call").at_most(Bar::MedianNs(20_000.0)),
        beside("Python, warm: one tensor, one kernel", "native call"),
        beside("Python, warm: kernel on 588 KiB", "memcpy of 588 KiB"),
        beside("Python, fresh", "native call").at_most(Bar::MedianNs(2_000_000.0)),
    ]
}

fn cache_dir() -> PathBuf {
    fixtures::data().join("compiled")
}
