//! What `wit-bindgen` makes of the plugin contract. Nothing is written by hand here; `crate` re-exports what authors use.
//!
//! One world for each exported interface, so that a component exports any of them beside its manifest. Together they are
//! the contract's worlds.

pub mod manifest {
    wit_bindgen::generate!({
        path: "wit/v0.1",
        inline: "
            package inferwit:sdk-manifest;
            world manifest-only { include inferwit:plugin/imports@0.1.0; export inferwit:plugin/manifest@0.1.0; }
        ",
        world: "inferwit:sdk-manifest/manifest-only",
        pub_export_macro: true,
        export_macro_name: "export_manifest",
        default_bindings_module: "inferwit_plugin::bindings::manifest",
        additional_derives: [PartialEq],
        generate_all,
    });
}

pub mod processor {
    wit_bindgen::generate!({
        path: "wit/v0.1",
        inline: "
            package inferwit:sdk-processor;
            world processor-only { include inferwit:plugin/imports@0.1.0; export inferwit:plugin/processor@0.1.0; }
        ",
        world: "inferwit:sdk-processor/processor-only",
        pub_export_macro: true,
        export_macro_name: "export_processor",
        default_bindings_module: "inferwit_plugin::bindings::processor",
        with: {
            "inferwit:plugin/common@0.1.0": crate::bindings::manifest::inferwit::plugin::common,
            "inferwit:plugin/tensors@0.1.0": crate::bindings::manifest::inferwit::plugin::tensors,
            "inferwit:plugin/tensor-ops@0.1.0": crate::bindings::manifest::inferwit::plugin::tensor_ops,
            "inferwit:plugin/models@0.1.0": crate::bindings::manifest::inferwit::plugin::models,
            "inferwit:plugin/log@0.1.0": crate::bindings::manifest::inferwit::plugin::log,
            "inferwit:plugin/context@0.1.0": crate::bindings::manifest::inferwit::plugin::context,
            "inferwit:plugin/processor@0.1.0": generate,
        },
    });
}

pub mod validator {
    wit_bindgen::generate!({
        path: "wit/v0.1",
        inline: "
            package inferwit:sdk-validator;
            world validator-only { include inferwit:plugin/imports@0.1.0; export inferwit:plugin/validator@0.1.0; }
        ",
        world: "inferwit:sdk-validator/validator-only",
        pub_export_macro: true,
        export_macro_name: "export_validator",
        default_bindings_module: "inferwit_plugin::bindings::validator",
        with: {
            "inferwit:plugin/common@0.1.0": crate::bindings::manifest::inferwit::plugin::common,
            "inferwit:plugin/tensors@0.1.0": crate::bindings::manifest::inferwit::plugin::tensors,
            "inferwit:plugin/tensor-ops@0.1.0": crate::bindings::manifest::inferwit::plugin::tensor_ops,
            "inferwit:plugin/models@0.1.0": crate::bindings::manifest::inferwit::plugin::models,
            "inferwit:plugin/log@0.1.0": crate::bindings::manifest::inferwit::plugin::log,
            "inferwit:plugin/context@0.1.0": crate::bindings::manifest::inferwit::plugin::context,
            "inferwit:plugin/validator@0.1.0": generate,
        },
    });
}
