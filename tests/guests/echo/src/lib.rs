//! Returns its inputs, as the smallest processor that there is; for tests and benchmarks. Checks nothing.

use inferwit_plugin::{
    Diagnostic, Failure, Inputs, Outputs, Processor, Request, Signature, Tensor, TensorError, TensorSpec, export,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// How the input is returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The handle itself.
    #[default]
    Pass,
    /// The handle itself, after all of its bytes were read.
    Read,
    /// A new tensor with the same bytes, all of which were read.
    ReadAll,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    mode: Mode,
}

/// The processor: input `tensor`, output `tensor`.
#[derive(Debug)]
pub struct Echo(Config);

impl Processor for Echo {
    type Config = Config;

    fn open(config: Config) -> Result<Self, Vec<Diagnostic>> {
        Ok(Self(config))
    }

    fn signature(&self) -> Signature {
        Signature { inputs: vec![TensorSpec::any("tensor")], outputs: vec![TensorSpec::any("tensor")] }
    }

    fn process(&self, inputs: Inputs, _request: &Request) -> Result<Outputs, Failure> {
        let returned = inputs.into_iter().map(|(name, tensor)| match self.0.mode {
            Mode::Pass => Ok((name, tensor)),
            Mode::Read => {
                std::hint::black_box(read(&tensor)?);
                Ok((name, tensor))
            }
            Mode::ReadAll => Ok((name, Tensor::from_bytes(tensor.datatype(), &tensor.shape(), &read(&tensor)?)?)),
        });
        Ok(returned.collect::<Result<_, TensorError>>()?)
    }
}

fn read(tensor: &Tensor) -> Result<Vec<u8>, TensorError> {
    let length = u32::try_from(tensor.byte_length()).map_err(|_| TensorError::OutOfBounds)?;
    tensor.read(0, length)
}

export! { processor: Echo, name: "echo" }

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &str) {
        let echo = Echo::open_json(config).unwrap();
        let tensor = Tensor::from_byte_strings(&[2], &["a", "bc"]).unwrap();
        let outputs = echo.process(Inputs::new().with("tensor", tensor), &Request::default()).unwrap();
        let elements = outputs.get("tensor").unwrap().read_elements().unwrap();
        assert_eq!(elements.iter().collect::<Vec<_>>(), [b"a".as_slice(), b"bc"]);
    }

    #[test]
    fn the_input_comes_back() {
        check("{}");
        check(r#"{"mode": "read_all"}"#);
    }
}
