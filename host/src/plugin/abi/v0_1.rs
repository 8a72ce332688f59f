//! Contract `inferwit:plugin@0.1.0`: generated bindings, and what ties them to the host's own types.

use wasmtime::component::{HasSelf, Linker};

use super::{GuestState, HeldRequest, HeldSession, HeldTensor};
use crate::plugin::Finding;
use crate::plugin::error::{Diagnostic, Failure, Severity};
use crate::plugin::log::escaped;
use crate::tensor::{Datatype, TensorSpec};

mod context;
mod kernels;
mod models;
pub(crate) mod rules;
mod tensors;

/// All that guests import, and the worlds that they export; every world shares the types of the first.
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/v0.1",
        inline: "
            package inferwit:host;
            world everything {
                include inferwit:plugin/imports@0.1.0;
                import inferwit:plugin/budget@0.1.0;
            }
        ",
        world: "inferwit:host/everything",
        imports: { default: trappable },
        with: {
            "inferwit:plugin/tensors.tensor": crate::plugin::abi::HeldTensor,
            "inferwit:plugin/context.request": crate::plugin::abi::HeldRequest,
            "inferwit:plugin/models.session": crate::plugin::abi::HeldSession,
        },
    });

    pub(crate) mod processor {
        wasmtime::component::bindgen!({
            path: "../wit/v0.1",
            world: "inferwit:plugin/processor-plugin",
            with: { "inferwit:plugin": super::inferwit::plugin },
        });
    }

    pub(crate) mod validator {
        wasmtime::component::bindgen!({
            path: "../wit/v0.1",
            world: "inferwit:plugin/validator-plugin",
            with: { "inferwit:plugin": super::inferwit::plugin },
        });
    }

    pub(crate) mod rules {
        wasmtime::component::bindgen!({
            path: "../wit/v0.1",
            world: "inferwit:plugin/rules-tools-plugin",
            // Facts are lent, not given: types that go both ways become two, `...Param<'_>` and `...Result`.
            ownership: Borrowing { duplicate_if_necessary: true },
            with: {
                "inferwit:plugin/common": crate::plugin::abi::v0_1::rules::common,
                "inferwit:plugin/log": super::inferwit::plugin::log,
                "inferwit:plugin/budget": super::inferwit::plugin::budget,
            },
        });
    }
}

use bindings::inferwit::plugin::{common, tensors as guest};

pub(crate) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    bindings::Everything::add_to_linker::<GuestState, HasSelf<GuestState>>(linker, |state| state)?;
    tensors::override_hot_functions(linker)
}

macro_rules! datatypes {
    ($($name:ident),* $(,)?) => {
        fn guest_datatype(datatype: Datatype) -> guest::Datatype {
            match datatype { $(Datatype::$name => guest::Datatype::$name),* }
        }

        fn host_datatype(datatype: guest::Datatype) -> Datatype {
            match datatype { $(guest::Datatype::$name => Datatype::$name),* }
        }
    };
}
datatypes!(Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp16, Bf16, Fp32, Fp64, Bytes);

fn guest_spec(spec: &TensorSpec) -> guest::TensorSpec {
    guest::TensorSpec {
        name: spec.name.clone(),
        datatype: spec.datatype.map(guest_datatype),
        shape: spec.shape.clone(),
        optional: spec.optional,
    }
}

pub(crate) fn host_spec(spec: guest::TensorSpec) -> TensorSpec {
    TensorSpec {
        name: spec.name,
        datatype: spec.datatype.map(host_datatype),
        shape: spec.shape,
        multiple_of: Vec::new(),
        optional: spec.optional,
    }
}

pub(crate) fn host_failure(failure: common::Failure) -> Failure {
    match failure {
        common::Failure::Invalid(text) => Failure::Invalid(text),
        common::Failure::Unprocessable(text) => Failure::Unprocessable(text),
        common::Failure::DeadlineExceeded => Failure::DeadlineExceeded,
        common::Failure::Exhausted(text) => Failure::Exhausted(text),
        common::Failure::Internal(text) => Failure::Internal(text),
        common::Failure::Other(text) => Failure::Other(text),
    }
}

pub(crate) fn host_severity(severity: common::Severity) -> Severity {
    match severity {
        common::Severity::Info => Severity::Info,
        common::Severity::Warning => Severity::Warning,
        common::Severity::Error => Severity::Error,
    }
}

pub(crate) fn host_diagnostic(diagnostic: common::Diagnostic) -> Diagnostic {
    Diagnostic {
        severity: host_severity(diagnostic.severity),
        code: escaped(&diagnostic.code),
        message: escaped(&diagnostic.message),
        position: diagnostic.span.map(|span| (span.line, span.column)),
        path: diagnostic.path.as_deref().map(escaped),
        rule: diagnostic.rule.as_deref().map(escaped),
        hint: diagnostic.hint.as_deref().map(escaped),
    }
}

pub(crate) fn host_finding(finding: common::Finding) -> Finding {
    Finding {
        severity: host_severity(finding.severity),
        code: escaped(&finding.code),
        message: escaped(&finding.message),
        subject: finding.subject.as_deref().map(escaped),
        data: finding.data,
    }
}
