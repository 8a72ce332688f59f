//! A processor that misbehaves on request, for tests of the sandbox. Well-behaved it returns its input.
//!
//! The configuration's `misbehave` says how, the request's parameter of the same name overrides it, so that a warm
//! instance can be hit too. `amount` bounds what is done many times; 0 is no bound.

use inferwit_plugin::{Diagnostic, Failure, Inputs, Outputs, Processor, Request, Signature, TensorSpec, export};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

mod acts;

/// How it misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Misbehaviour {
    #[default]
    None,
    /// Never returns.
    Loop,
    /// Executes `unreachable`.
    Trap,
    /// Panics, with a message on standard error.
    Panic,
    /// Allocates and touches memory without end.
    Memory,
    /// Keeps a handle for ever, as often as it can.
    Handles,
    /// Keeps one handle for ever and returns its input: a leak that only shows in the long run.
    Leak,
    /// Makes tensors in the host without end.
    TensorMemory,
    /// Asks for a tensor of a size that can't be.
    HugeTensor,
    /// Writes log lines of a megabyte, with newlines and control characters, without end.
    Log,
    /// Writes to standard output and error without end.
    Output,
    /// Calls itself without end, until the engine's stack is full.
    Recursion,
    /// The same with large frames, until the stack in its own memory is full.
    WideRecursion,
    FailInvalid,
    FailUnprocessable,
    FailDeadline,
    FailExhausted,
    FailInternal,
    FailOther,
    /// Fails with a text of a megabyte.
    FailHuge,
    /// Takes `amount` million rounds to open; 0 never opens.
    SlowOpen,
    /// Opens with a diagnostic.
    RefuseOpen,
    /// Gives no output.
    MissingOutput,
    /// Gives an output that the signature doesn't have, beside the right one.
    UnknownOutput,
    /// Gives the output twice.
    DoubleOutput,
    /// Gives a string where bytes of any kind were announced: another datatype than its input.
    WrongDatatype,
    /// Exits the process with success.
    Exit,
    /// Exits the process with an error.
    ExitFailure,
    /// Tries files, environment, arguments, clocks and randomness, and returns what it could get as text.
    Wasi,
    /// Runs the model `secret`, granted or not, and returns what it gave.
    Model,
    /// Reads beyond its input.
    OutOfBounds,
    /// Sleeps in the host instead of computing.
    Sleep,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    pub misbehave: Misbehaviour,
    /// How often, where that makes sense; 0: without end.
    pub amount: u64,
}

/// The processor under one configuration: input `tensor`, output `tensor`.
#[derive(Debug)]
pub struct Hostile(Config);

impl Processor for Hostile {
    type Config = Config;

    fn open(config: Config) -> Result<Self, Vec<Diagnostic>> {
        match config.misbehave {
            Misbehaviour::SlowOpen => acts::spin(config.amount.saturating_mul(1_000_000)),
            Misbehaviour::RefuseOpen => {
                return Err(vec![Diagnostic::error("refused", "refused because it was asked to").at("/misbehave")]);
            }
            _ => {}
        }
        Ok(Self(config))
    }

    fn signature(&self) -> Signature {
        Signature { inputs: vec![TensorSpec::any("tensor")], outputs: vec![TensorSpec::any("tensor")] }
    }

    fn process(&self, mut inputs: Inputs, request: &Request) -> Result<Outputs, Failure> {
        let misbehaviour = match request.text("misbehave")? {
            Some(name) => named(&name)?,
            None => self.0.misbehave,
        };
        acts::act(misbehaviour, self.0.amount, inputs.take("tensor")?)
    }
}

fn named(name: &str) -> Result<Misbehaviour, Failure> {
    let deserializer: StrDeserializer<'_, ValueError> = name.into_deserializer();
    Misbehaviour::deserialize(deserializer).map_err(|error| Failure::invalid(format!("`misbehave`: {error}")))
}

export! { processor: Hostile, name: "hostile" }

#[cfg(test)]
mod tests {
    use super::*;
    use inferwit_plugin::{Parameter, Tensor};

    fn run(config: &str, misbehave: Option<&str>) -> Result<Outputs, Failure> {
        let mut request = Request::default();
        if let Some(name) = misbehave {
            request = request.with_parameter("misbehave", Parameter::Text(name.to_owned()));
        }
        let inputs = Inputs::new().with("tensor", Tensor::from_vec(vec![1_u8, 2]).unwrap());
        Hostile::open_json(config).unwrap().process(inputs, &request)
    }

    #[test]
    fn well_behaved_it_returns_its_input() {
        let outputs = run("{}", None).unwrap();
        assert_eq!(outputs.get("tensor").unwrap().read_vec::<u8>().unwrap(), [1, 2]);
    }

    #[test]
    fn the_request_overrides_the_configuration() {
        let failure = run(r#"{"misbehave": "loop"}"#, Some("fail_unprocessable")).unwrap_err();
        assert!(matches!(failure, Failure::Unprocessable(_)));
        assert!(run(r#"{"misbehave": "loop"}"#, Some("none")).is_ok());
        assert!(matches!(run("{}", Some("dance")), Err(Failure::Invalid(_))));
    }

    #[test]
    fn outputs_can_be_wrong() {
        assert!(run(r#"{"misbehave": "missing_output"}"#, None).unwrap().get("tensor").is_none());
        assert!(run("{}", Some("unknown_output")).unwrap().get("surprise").is_some());
        assert!(Hostile::open_json(r#"{"misbehave": "refuse_open"}"#).is_err());
    }
}
