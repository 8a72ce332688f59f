//! Golden tests of a pipeline, run through the pipeline itself: `pipeline test`, and the smoke test of every deploy.

use std::fs;

use bytes::Bytes;
use serde::Serialize;

use super::App;
use super::error::AppError;
use super::gather::{Assembly, TestFiles};
use super::generation::Generation;
use crate::infer::{Deadline, InferError, InferRequest, Parameter};
use crate::pipeline::golden::{Failure, GoldenTest, Outcome, TestFile};
use crate::server::Served;

/// What came of one golden test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TestResult {
    pub name: String,
    pub passed: bool,
    /// Everything that differs, a line each.
    pub differences: Vec<String>,
}

impl App {
    /// Runs the tests of a pipeline, those whose name holds `filter`.
    pub fn test(&self, assembly: &Assembly, generation: &Generation, filter: &str) -> Vec<TestResult> {
        let tests = assembly.spec.tests.iter().filter(|test| test.name.contains(filter));
        tests.map(|test| run(test, generation, &assembly.test_files)).collect()
    }

    /// Runs all tests, and asks that each passes.
    ///
    /// # Errors
    /// `Tests` with all results.
    pub fn smoke_test(&self, assembly: &Assembly, generation: &Generation) -> Result<Vec<TestResult>, AppError> {
        let results = self.test(assembly, generation, "");
        if results.iter().all(|result| result.passed) {
            return Ok(results);
        }
        Err(AppError::Tests { pipeline: super::generation::label(&assembly.spec), results })
    }
}

fn run(test: &GoldenTest, generation: &Generation, files: &TestFiles) -> TestResult {
    let differences = differences(test, generation, files);
    TestResult { name: test.name.clone(), passed: differences.is_empty(), differences }
}

fn differences(test: &GoldenTest, generation: &Generation, files: &TestFiles) -> Vec<String> {
    let plan = generation.pipeline().plan();
    let read = |file: TestFile<'_>| {
        let path = match file {
            TestFile::Beside(path) => files.beside.join(path),
            TestFile::Fixture(path) => files.fixtures.join(path),
        };
        fs::read(&path).map(Bytes::from)
    };
    let inputs = match test.tensors(&plan.inputs, read) {
        Ok(inputs) => inputs,
        Err(error) => return vec![crate::telemetry::chain(&error)],
    };
    let mut request = InferRequest::new(inputs);
    request.parameters = test.request_parameters(&plan.parameters);
    // First requests are slow, and a test is no measurement: only a hang is stopped.
    request.deadline = Deadline::after(generation.timeout() * 10);
    let (answer, _trace) = generation.pipeline().infer(request);
    let answer = answer.map_err(InferError::from);
    let findings = match &answer {
        Ok(response) => match response.parameters.get("inferwit_findings") {
            Some(Parameter::String(text)) => finding_codes(text),
            _ => Vec::new(),
        },
        Err(error) => error.findings.as_deref().map(finding_codes).unwrap_or_default(),
    };
    let findings: Vec<&str> = findings.iter().map(String::as_str).collect();
    let message = answer.as_ref().err().map(|error| crate::telemetry::chain(error)).unwrap_or_default();
    let outcome = Outcome {
        answer: match &answer {
            Ok(response) => Ok(&response.outputs),
            Err(error) => Err(Failure { code: error.code, message: &message }),
        },
        findings: &findings,
    };
    match test.check(&outcome) {
        Ok(()) => Vec::new(),
        Err(mismatches) => mismatches.iter().map(ToString::to_string).collect(),
    }
}

fn finding_codes(text: &str) -> Vec<String> {
    let findings: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
    findings.iter().filter_map(|finding| Some(finding["code"].as_str()?.to_owned())).collect()
}
