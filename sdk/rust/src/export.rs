//! How a plugin reaches the host: the `export!` macro and the glue that it uses. Nothing here runs natively.

use crate::{Processor, Validator};

/// What the manifest says beside the configuration's schema. Implemented by `export!`.
pub trait Described {
    /// The plugin's name.
    const NAME: &'static str;
    /// The plugin's semantic version.
    const VERSION: &'static str;
    /// What the plugin does.
    const DESCRIPTION: &'static str;
    /// Names and values, for people; empty values are left out.
    const LABELS: &'static [(&'static str, &'static str)];

    /// The JSON Schema of the configuration.
    fn config_schema() -> serde_json::Value;
}

/// A component that exports a processor. Implemented by `export!`.
pub trait ExportedProcessor: Described + 'static {
    /// The processor.
    type Plugin: Processor;
}

/// A component that exports a validator. Implemented by `export!`.
pub trait ExportedValidator: Described + 'static {
    /// The validator.
    type Plugin: Validator;
}

/// Fails to compile for what is no processor: natively, all that is left of `export!`.
pub const fn assert_processor<E: ExportedProcessor>() {}

/// Fails to compile for what is no validator: natively, all that is left of `export!`.
pub const fn assert_validator<E: ExportedValidator>() {}

/// Exports a processor or a validator from the component that this crate is compiled to.
///
/// `name`, `version` and `description` are those of the Cargo package unless they are given, in this order. Outside of
/// WebAssembly it exports nothing, so that the same crate is tested natively.
///
/// ```
/// # use inferwit_plugin::{Diagnostic, Failure, Inputs, NoConfig, Outputs, Processor, Request, Signature, export};
/// # struct Identity;
/// # impl Processor for Identity {
/// #     type Config = NoConfig;
/// #     fn open(_: NoConfig) -> Result<Self, Vec<Diagnostic>> { Ok(Self) }
/// #     fn signature(&self) -> Signature { Signature { inputs: vec![], outputs: vec![] } }
/// #     fn process(&self, inputs: Inputs, _: &Request) -> Result<Outputs, Failure> { Ok(inputs.into_iter().collect()) }
/// # }
/// export! { processor: Identity, name: "identity", version: "1.0.0" }
/// ```
#[macro_export]
macro_rules! export {
    (processor: $plugin:ty $(, name: $name:expr)? $(, version: $version:expr)? $(, description: $description:expr)? $(,)?) => {
        const _: () = {
            struct Component;
            $crate::__described!(Component, $plugin, Processor, [$($name)?], [$($version)?], [$($description)?]);
            impl $crate::export::ExportedProcessor for Component {
                type Plugin = $plugin;
            }
            $crate::export::assert_processor::<Component>();
            #[cfg(target_family = "wasm")]
            $crate::bindings::manifest::export_manifest!(Component with_types_in $crate::bindings::manifest);
            #[cfg(target_family = "wasm")]
            $crate::bindings::processor::export_processor!(Component with_types_in $crate::bindings::processor);
        };
    };
    (validator: $plugin:ty $(, name: $name:expr)? $(, version: $version:expr)? $(, description: $description:expr)? $(,)?) => {
        const _: () = {
            struct Component;
            $crate::__described!(Component, $plugin, Validator, [$($name)?], [$($version)?], [$($description)?]);
            impl $crate::export::ExportedValidator for Component {
                type Plugin = $plugin;
            }
            $crate::export::assert_validator::<Component>();
            #[cfg(target_family = "wasm")]
            $crate::bindings::manifest::export_manifest!(Component with_types_in $crate::bindings::manifest);
            #[cfg(target_family = "wasm")]
            $crate::bindings::validator::export_validator!(Component with_types_in $crate::bindings::validator);
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __described {
    ($component:ident, $plugin:ty, $interface:ident, [$($name:expr)?], [$($version:expr)?], [$($description:expr)?]) => {
        impl $crate::export::Described for $component {
            const NAME: &'static str = $crate::__first!($($name,)? env!("CARGO_PKG_NAME"));
            const VERSION: &'static str = $crate::__first!($($version,)? env!("CARGO_PKG_VERSION"));
            const DESCRIPTION: &'static str = $crate::__first!($($description,)? env!("CARGO_PKG_DESCRIPTION"));
            const LABELS: &'static [(&'static str, &'static str)] = &[
                ("license", env!("CARGO_PKG_LICENSE")),
                ("homepage", env!("CARGO_PKG_HOMEPAGE")),
                ("repository", env!("CARGO_PKG_REPOSITORY")),
            ];

            fn config_schema() -> $crate::serde_json::Value {
                $crate::schema_of::<<$plugin as $crate::$interface>::Config>()
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __first {
    ($first:expr $(, $rest:expr)*) => {
        $first
    };
}

#[cfg(target_family = "wasm")]
mod glue;
