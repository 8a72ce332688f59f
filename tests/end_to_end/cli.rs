//! The command line as people and scripts meet it: help, errors with their exit codes, data on standard output. Each test
//! has a data folder and a registry of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fixtures::{data, plugin, program, root};

/// A working folder with a data folder in it that has the fetched library and nothing else.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) error: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        symlink(data().join("lib"), folder.path().join("data/lib")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("INFERWIT_DATA_DIR", self.path("data")).env("INFERWIT_ACTOR", "tester").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().unwrap();
        // What lies where differs from run to run.
        let text = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.replace(self.folder.path().to_str().unwrap(), "PLACE")
        };
        Ended { code: output.status.code(), out: text(&output.stdout), error: text(&output.stderr) }
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let Ended { code, out, error } = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(code, Some(0), "{arguments:?}: {error}");
        assert_eq!(out.lines().count(), 1, "{arguments:?}: {out}");
        serde_json::from_str(&out).unwrap()
    }

    pub(crate) fn good(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!((ended.code, ended.error.as_str()), (Some(0), ""), "{arguments:?}");
        ended.out
    }

    /// Asks for the exit code and for what stands on standard error, word for word.
    pub(crate) fn refused(&self, arguments: &[&str], code: i32, error: &str) {
        let ended = self.run(arguments);
        assert_eq!((ended.code, ended.error.as_str(), ended.out.as_str()), (Some(code), error, ""), "{arguments:?}");
    }
}

fn model(name: &str) -> String {
    root().join("tests/fixtures/models").join(name).to_str().unwrap().to_owned()
}

fn plugin_file(name: &str) -> String {
    plugin(name).to_str().unwrap().to_owned()
}

#[test]
fn the_help_shows_commands_in_groups() {
    let help = Place::new().good(&["--help"]);
    let commands = help.split("Options:").next().unwrap();
    insta::assert_snapshot!(commands.trim_end(), @"
    Serves machine-learning models over the Open Inference Protocol, with sandboxed plugins around them

    Usage: inferwit [OPTIONS] <COMMAND>

    Every day:
      init      Makes what a first start needs: the data folder, the registry, and a configuration file with every key
      serve     Serves what is active in an environment, or what is named, over HTTP until it is stopped
      infer     Answers one request without a server: loads what is named, runs it, prints its outputs
      deploy    Makes a registered pipeline, model or plugin the active one of an environment
      status    Shows what is active: in one environment, or in all
      doctor    Looks for everything that a server needs, and says where, what was found and what is missing

    What is registered:
      model     Models: register one, see what there is, take a version out of use
      plugin    Plugins: look into one, register it, see what there is, take a version out of use
      rules     Rule sets: check, test, run and explain one, register it, see what there is, take a version out of use
      pipeline  Pipelines: check, test and draw one, register it, see what there is, take a version out of use

    How it runs:
      config    The configuration: check it, see where each value comes from, print its schema or its defaults
      backend   What runs models on this machine
    ");
}

#[test]
fn every_command_has_help_with_an_example() {
    let place = Place::new();
    let nouns = [
        ("model", &["add", "list", "show", "archive"][..]),
        ("plugin", &["add", "list", "show", "archive", "inspect"]),
        ("rules", &["check", "test", "run", "explain", "plan", "diff", "schema", "add", "list", "show", "archive"]),
        ("pipeline", &["check", "test", "graph", "schema", "add", "list", "show", "archive"]),
        ("config", &["check", "explain", "schema", "default"]),
        ("backend", &["list"]),
    ];
    let mut commands: Vec<Vec<&str>> =
        ["init", "serve", "infer", "deploy", "status", "doctor"].iter().map(|&name| vec![name]).collect();
    for (noun, verbs) in nouns {
        let help = place.good(&[noun, "--help"]);
        assert!(verbs.iter().all(|verb| help.contains(&format!("\n  {verb} "))), "{help}");
        commands.extend(verbs.iter().map(|&verb| vec![noun, verb]));
    }
    for command in commands {
        let help = place.good(&[&command[..], &["--help"]].concat());
        let name = command.join(" ");
        assert!(help.contains(&format!("Usage: inferwit {name}")), "{help}");
        assert!(help.contains("Example:\n  ") && help.contains(&format!("inferwit {name}")), "{help}");
        assert!(help.contains("\nPrints") && help.contains("--json"), "{help}");
    }
}

#[test]
fn a_wrong_call_is_told_with_a_hint_and_exits_with_2() {
    let place = Place::new();
    place.refused(
        &["modle"],
        2,
        "error: unrecognized subcommand 'modle'\n\nhint: a similar subcommand exists: 'model'\n",
    );
    place.refused(
        &["deploy", "photo"],
        2,
        "error: the following required arguments were not provided:\n  --env <ENV>\n\nhint: usage: inferwit deploy --env <ENV> <REF>\n",
    );
    place.refused(
        &["model", "show", "Photo"],
        2,
        "error: invalid value 'Photo' for '<REF>': `Photo` is no name: it takes 1 to 128 of a-z, 0-9, `.`, `_` and `-`, and begins with a letter or digit\n\nhint: add --help to see what it takes\n",
    );
    place.refused(
        &["model", "archive", "photo"],
        2,
        "error: `photo` names no version, and only a version can be archived\n\nhint: `inferwit model list` shows the versions\n",
    );
    place.refused(
        &["infer", "nothing"],
        2,
        "error: nothing is registered as `nothing`: no pipeline, no model and no plugin\n\nhint: see `inferwit pipeline list`, `model list` and `plugin list`\n",
    );
    assert_eq!(place.run(&[]).code, Some(2));
}

#[test]
fn a_file_that_is_not_there_exits_with_3_and_one_that_is_wrong_with_1() {
    let place = Place::new();
    let no_file = "No such file or directory (os error 2)";
    place.refused(&["model", "add", "none.onnx"], 3, &format!("error: read model `none.onnx`: {no_file}\n"));
    place.refused(&["pipeline", "check", "none.yaml"], 3, &format!("error: read `none.yaml`: {no_file}\n"));
    place.refused(&["config", "check", "none.yaml"], 3, &format!("error: read `none.yaml`: {no_file}\n"));
    place.write("text.wasm", "no component");
    let hint = "give the .wasm file of a plugin, built for wasm32-wasip2";
    place.refused(&["plugin", "add", "text.wasm"], 1, &format!("error: the file is not WebAssembly\n\nhint: {hint}\n"));
}

#[test]
fn faults_of_the_configuration_are_told_with_their_lines() {
    let place = Place::new();
    place.write("bad.yaml", "server:\n  htp: 127.0.0.1:1\ninference:\n  timeout_ms: 0\n");
    let faults = "error: bad.yaml:2:3: unknown key `server.htp`\n\nhint: did you mean `server.http`?\n\n\
                  error: bad.yaml:4:15: `inference.timeout_ms` is 0, must be at least 1\n";
    place.refused(&["config", "check", "bad.yaml"], 1, faults);
    place.refused(&["model", "list", "--config", "bad.yaml"], 2, faults);
    let ended = place.run(&["config", "check", "bad.yaml", "--json"]);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, report["valid"].as_bool()), (Some(1), Some(false)));
    assert_eq!(report["faults"][0]["origin"]["file"]["line"], 2);
    place.refused(
        &["serve", "--http", "here"],
        2,
        "error: --http: `server.http`: invalid value: string \"here\", expected an address and port such as 127.0.0.1:8000 or [::1]:8000\n",
    );
}

#[test]
fn the_configuration_in_the_working_folder_is_used_and_explained() {
    let place = Place::new();
    assert!(place.good(&["init"]).contains("made       ./inference.yaml"));
    assert_eq!(place.good(&["config", "check"]), "inference.yaml is valid\n");
    assert!(place.good(&["init"]).contains("was there  ./inference.yaml"));
    let explained = place.json(&["config", "explain", "--registry", "other.db"]);
    let of = |key: &str| explained.as_array().unwrap().iter().find(|entry| entry["key"] == key).unwrap().clone();
    assert_eq!(of("environment")["origin"]["file"]["path"], "inference.yaml");
    assert_eq!(
        of("model_registry.path"),
        json!({"key": "model_registry.path", "value": "other.db", "origin": {"flag": "--registry"}})
    );
}

#[test]
fn every_problem_of_a_pipeline_is_told_with_its_place() {
    let place = Place::new();
    place.write(
        "p.yaml",
        "schema: pipeline/v1\nname: P\nversion: 1.0\ninputs: {x: {datatype: FP31}}\noutputs: [y]\nsteps: [{name: a, model: m}]\n",
    );
    let ended = place.run(&["pipeline", "check", "p.yaml"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    for start in ["error: p.yaml:2:7: ", "error: p.yaml:3:10: ", "error: p.yaml:4:24: "] {
        assert!(ended.error.lines().any(|line| line.starts_with(start)), "{start}: {}", ended.error);
    }
    let ended = place.run(&["pipeline", "check", "p.yaml", "--json"]);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    let lines: Vec<&Value> = report[0]["diagnostics"].as_array().unwrap().iter().map(|found| &found["line"]).collect();
    assert_eq!((ended.code, lines, ended.error.as_str()), (Some(1), vec![&json!(2), &json!(3), &json!(4)], ""));
}

#[test]
fn what_is_not_registered_is_told_at_its_line() {
    let place = Place::new();
    place.write(
        "p.yaml",
        "schema: pipeline/v1\nname: p\nversion: 1.0.0\ninputs: {x: {}}\noutputs: [y]\nsteps:\n  - name: a\n    plugin: image@^1\n",
    );
    let error =
        "error: p.yaml:8:13: there is no plugin `image@^1`\n\nhint: `inferwit plugin list` shows what there is\n";
    place.refused(&["pipeline", "check", "p.yaml"], 1, error);
    place.refused(&["pipeline", "add", "p.yaml"], 1, error);
    place.refused(&["pipeline", "graph", "p.yaml"], 1, error);
}

#[test]
fn what_is_archived_is_found_by_its_version_only() {
    let place = Place::new();
    assert!(place.good(&["plugin", "add", &plugin_file("image")]).starts_with("registered plugin image@1.0.0 ("));
    assert!(
        place
            .good(&["plugin", "add", &plugin_file("image")])
            .starts_with("is registered already: plugin image@1.0.0 (")
    );
    assert_eq!(place.json(&["plugin", "archive", "image@1.0.0", "--dry-run"])["dry_run"], true);
    assert_eq!(place.json(&["plugin", "list"]).as_array().unwrap().len(), 1);
    assert_eq!(
        place.good(&["plugin", "archive", "image@1.0.0"]),
        "archived plugin image@1.0.0; what is deployed stays so\n"
    );
    assert_eq!(place.json(&["plugin", "list"]), json!([]));
    assert!(place.good(&["plugin", "list", "--all"]).contains("(archived)"));
    place.refused(&["plugin", "show", "image"], 2, "error: there is no plugin `image`\n\nhint: there are 1.0.0\n");
    assert_eq!(place.json(&["plugin", "inspect", "image@1.0.0"])["interfaces"], json!(["manifest", "processor"]));
    let inspected = place.json(&["plugin", "inspect", &plugin_file("image")]);
    assert_eq!(inspected, place.json(&["plugin", "inspect", "image@1.0.0"]));
}

#[test]
fn the_list_of_models_is_data() {
    let place = Place::new();
    assert_eq!(place.json(&["model", "list"]), json!([]));
    assert_eq!(place.json(&["model", "add", &model("add.onnx"), "--dry-run"])["dry_run"], true);
    assert_eq!(place.json(&["model", "list"]), json!([]));
    let added = place.json(&["model", "add", &model("add.onnx"), "--version", "2.1.0", "--meta", "owner=us"]);
    assert_eq!((&added["is_new"], &added["artifact"]["metadata"]["owner"]), (&json!(true), &json!("us")));
    let list = place.json(&["model", "list"]);
    let keys: Vec<&String> = list[0].as_object().unwrap().keys().collect();
    let expected = [
        "kind",
        "name",
        "version",
        "digest",
        "size_bytes",
        "path",
        "files",
        "created_at",
        "archived_at",
        "format",
        "backend",
        "signature",
        "options",
        "metadata",
    ];
    assert_eq!(keys, expected);
    assert_eq!(
        (&list[0]["name"], &list[0]["version"], &list[0]["kind"]),
        (&json!("add"), &json!("2.1.0"), &json!("model"))
    );
    assert_eq!(list[0]["signature"]["inputs"], json!([{"name": "a", "datatype": "FP32", "shape": [-1, 2]}]));
    let taken = place.run(&["model", "add", &model("relu.onnx"), "--name", "add", "--version", "2.1.0"]);
    assert_eq!(taken.code, Some(1));
    assert!(taken.error.contains("hint: a version never changes"), "{}", taken.error);
    assert!(place.good(&["model", "show", "add"]).contains("\ninputs\n  a  FP32  [-1,2]\n"));
}

#[test]
fn one_request_is_answered_without_a_server() {
    let place = Place::new();
    let file = model("add.onnx");
    let answer = place.json(&["infer", &file, "--input", "a=[[1, 2.5]]", "--output", "two"]);
    assert_eq!(answer["outputs"], json!([{"name": "two", "shape": [1, 2], "datatype": "FP32", "data": [3.0, 4.5]}]));
    let text = place.good(&["infer", &file, "--input", "a=[1, 2]", "--out", "answer.json"]);
    assert!(text.starts_with("OUTPUT  DATATYPE  SHAPE   VALUES\none     FP32      [1, 2]  2, 3\ntwo "), "{text}");
    let written: Value = serde_json::from_slice(&fs::read(place.path("answer.json")).unwrap()).unwrap();
    assert_eq!(written["outputs"][0]["data"], json!([2.0, 3.0]));
    place.refused(
        &["infer", &file, "--input", "a=[[1, 2, 3]]"],
        1,
        "error: invalid_input: tensor `a` has shape [1, 3], must be [-1, 2] (-1 is any)\n",
    );
    place.refused(&["infer", &file, "--input", "b=1"], 2, "error: there is no input `b`\n\nhint: there are `a`\n");
}

#[test]
fn what_is_deployed_is_shown_and_a_dry_run_changes_nothing() {
    let place = Place::new();
    place.good(&["model", "add", &model("add.onnx")]);
    let dry = place.json(&["deploy", "add", "--env", "dev", "--dry-run"]);
    assert_eq!((&dry["outcome"], &dry["id"]), (&json!("dry_run"), &Value::Null));
    assert_eq!(place.json(&["status"]), json!([]));
    let deployed = place.json(&["deploy", "add@^1", "--env", "dev", "--reason", "first"]);
    assert_eq!((&deployed["outcome"], &deployed["bundle"]), (&json!("activated"), &dry["bundle"]));
    assert_eq!(place.json(&["deploy", "add", "--env", "dev"])["outcome"], "already_active");
    let status = place.json(&["status", "--env", "dev"]);
    let shown = ["environment", "pipeline", "version", "actor", "reason"].map(|key| status[0][key].as_str().unwrap());
    assert_eq!(shown, ["dev", "add", "1.0.0", "tester", "first"]);
    let answer = place.json(&["infer", "add", "--input", "a=[1, 2]"]);
    assert_eq!(answer["parameters"]["inferwit_bundle"], deployed["bundle"]);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    for arguments in [&["config", "default"][..], &["--help"], &["pipeline", "schema"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.command(arguments).stdout(writer).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn the_doctor_says_what_is_missing() {
    let place = Place::new();
    let findings = place.json(&["doctor"]);
    let state = |findings: &Value, what: &str| {
        let found = findings.as_array().unwrap().iter().find(|finding| finding["what"] == what);
        found.unwrap_or_else(|| panic!("{findings}"))["state"].clone()
    };
    assert_eq!(state(&findings, "ONNX Runtime"), "ok");
    assert_eq!(state(&findings, "registry"), "note");
    assert!(!place.path("data/inferwit.db").exists(), "it makes nothing");
    fs::remove_file(place.path("data/lib")).unwrap();
    let ended = place.run(&["doctor", "--json"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(state(&serde_json::from_str(&ended.out).unwrap(), "ONNX Runtime"), "missing");
    assert!(place.run(&["doctor"]).out.contains("hint: run `cargo xtask setup`"));
    let nowhere = place.command(&["doctor", "--json"]).env("INFERWIT_DATA_DIR", "/proc/none").output().unwrap();
    assert_eq!(state(&serde_json::from_slice(&nowhere.stdout).unwrap(), "data folder"), "missing");
    assert!(place.good(&["backend", "list"]).contains("onnxruntime  not available"));
}

#[test]
fn a_server_says_that_it_is_ready_and_drains_when_it_is_told_to_stop() {
    let place = Place::new();
    let file = model("add.onnx");
    let arguments = ["serve", &file, "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--json"];
    let mut child = place.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(ready["ready"], true);
    assert_eq!((&ready["models"][0]["name"], &ready["models"][0]["platform"]), (&json!("add"), &json!("onnx_onnxv1")));
    let address = ready["http"].as_str().unwrap();
    let answer = get(address, "/v2/health/ready");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    terminate(child.id());
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(log.lines().last().unwrap().contains("\"message\":\"stopped\""), "{log}");
}

#[test]
fn an_empty_environment_is_served_and_said_aloud() {
    let place = Place::new();
    let arguments = ["serve", "--env", "none", "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];
    let mut child = place.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    printed.read_line(&mut line).unwrap();
    assert!(line.starts_with("ready on http://127.0.0.1:"), "{line}");
    terminate(child.id());
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert!(
        error.contains("note: nothing is active in environment `none` yet\n\nhint: `inferwit deploy NAME --env none`"),
        "{error}"
    );
}

fn terminate(process: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill -TERM {process}")]).status().unwrap();
    assert!(status.success());
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
