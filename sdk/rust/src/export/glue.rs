//! Joins the traits of this crate to those that `wit-bindgen` made, and holds no logic.

use crate::bindings::{manifest, processor, validator};
use crate::export::{Described, ExportedProcessor, ExportedValidator};
use crate::parse_config;
use crate::{Diagnostic, Failure, Finding, Inputs, Processor, Request, Signature, Tensor, TensorSpec, Validator};

type Named = Vec<(String, Tensor)>;

impl<E: Described> manifest::exports::inferwit::plugin::manifest::Guest for E {
    fn describe() -> manifest::exports::inferwit::plugin::manifest::Info {
        let labels = E::LABELS.iter().filter(|(_, value)| !value.is_empty());
        manifest::exports::inferwit::plugin::manifest::Info {
            name: E::NAME.to_owned(),
            version: E::VERSION.to_owned(),
            description: E::DESCRIPTION.to_owned(),
            config_schema: E::config_schema().to_string(),
            labels: labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }
}

/// An open processor, as the resource that the host holds.
pub struct OpenProcessor<P>(P);

impl<E: ExportedProcessor> processor::exports::inferwit::plugin::processor::Guest for E {
    type Processor = OpenProcessor<E::Plugin>;
}

impl<P: Processor> processor::exports::inferwit::plugin::processor::GuestProcessor for OpenProcessor<P> {
    fn open(config: String) -> Result<processor::exports::inferwit::plugin::processor::Processor, Vec<Diagnostic>> {
        let plugin = P::open(parse_config(&config)?)?;
        Ok(processor::exports::inferwit::plugin::processor::Processor::new(Self(plugin)))
    }

    fn signature(&self) -> Signature {
        self.0.signature()
    }

    fn process(&self, inputs: Named, request: &Request) -> Result<Named, Failure> {
        self.0.process(Inputs::from(inputs), request).map(|outputs| outputs.into_iter().collect())
    }
}

/// An open validator, as the resource that the host holds.
pub struct OpenValidator<V>(V);

impl<E: ExportedValidator> validator::exports::inferwit::plugin::validator::Guest for E {
    type Validator = OpenValidator<E::Plugin>;
}

impl<V: Validator> validator::exports::inferwit::plugin::validator::GuestValidator for OpenValidator<V> {
    fn open(config: String) -> Result<validator::exports::inferwit::plugin::validator::Validator, Vec<Diagnostic>> {
        let plugin = V::open(parse_config(&config)?)?;
        Ok(validator::exports::inferwit::plugin::validator::Validator::new(Self(plugin)))
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        self.0.inputs()
    }

    fn check(&self, tensors: Named, request: &Request) -> Result<Vec<Finding>, Failure> {
        self.0.check(Inputs::from(tensors), request)
    }
}
