//! Names and references: what is allowed, what is not, and that what is printed reads back.

use proptest::prelude::*;

use super::*;

fn selector(text: &str) -> Selector {
    text.parse::<Reference>().unwrap().selector
}

#[test]
fn names_take_lower_case_digits_and_three_marks() {
    for name in ["a", "0", "photo-check", "a.b_c-d", &"x".repeat(128)] {
        assert_eq!(name.parse::<Name>().unwrap().as_str(), name);
    }
    for name in ["", "-a", ".a", "A", "a/b", "a b", "a@b", "ä", "a\n", &"x".repeat(129)] {
        assert!(name.parse::<Name>().is_err(), "{name:?}");
    }
}

#[test]
fn labels_never_read_as_versions_or_ranges() {
    for label in ["production", "champion", "v1", "xyz", "dev.2"] {
        assert_eq!(selector(&format!("a@{label}")), Selector::Label(label.parse().unwrap()));
    }
    for label in ["x", "x.1", "1", "1.0.0", "*", "^1", "", "Dev"] {
        assert!(label.parse::<Label>().is_err() || VersionReq::parse(label).is_err(), "{label:?}");
    }
    assert!("x".parse::<Label>().is_err() && "1st".parse::<Label>().is_err());
}

#[test]
fn the_part_after_the_at_says_which_version() {
    assert_eq!(selector("a"), Selector::Newest);
    assert_eq!(selector("a@1.4.2"), Selector::Exact(Version::new(1, 4, 2)));
    assert_eq!(selector("a@^1"), Selector::Range(VersionReq::parse("^1").unwrap()));
    assert_eq!(selector("a@1.4"), Selector::Range(VersionReq::parse("^1.4").unwrap()));
    assert_eq!(selector("a@>=1, <3"), Selector::Range(VersionReq::parse(">=1, <3").unwrap()));
    let digest = Digest::of(b"x");
    assert_eq!(selector(&format!("a@{digest}")), Selector::Digest(digest));
    for text in ["@1", "a@", "a@ ", "a@sha256:12", "a@Prod", "a@1.2.3.4", "a@b@c", &format!("a@{}", ">1, ".repeat(400))]
    {
        assert!(text.parse::<Reference>().is_err(), "{text:?}");
    }
}

#[test]
fn a_refusal_quotes_the_text_and_cuts_it() {
    let error = "Bad\u{1b}[31m".parse::<Name>().unwrap_err().to_string();
    assert!(error.starts_with(r"`Bad\u{1b}[31m` is no name"), "{error}");
    assert!("A".repeat(10_000).parse::<Name>().unwrap_err().to_string().len() < 250);
}

#[test]
fn a_prefix_picks_the_newest_match() {
    let versions: Vec<Version> = ["1.2.9", "1.10.0", "2.0.0", "1.10.0-rc.1"].map(|text| text.parse().unwrap()).into();
    let check = |wire: &str, expected: Option<&str>| {
        let newest = wire.parse::<WireVersion>().unwrap().newest(&versions).map(ToString::to_string);
        assert_eq!(newest.as_deref(), expected, "{wire}");
    };
    check("1", Some("1.10.0"));
    check("1.2", Some("1.2.9"));
    check("1.2.9", Some("1.2.9"));
    check("1.10.0-rc.1", Some("1.10.0-rc.1"));
    check("3", None);
    check("1.2.8", None);
    for wire in ["", "1.", ".1", "01", "1.2.3.4", "^1", "v1", "-1", "99999999999999999999"] {
        assert!(wire.parse::<WireVersion>().is_err(), "{wire:?}");
    }
}

#[test]
fn a_digest_has_one_spelling() {
    let text = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    assert_eq!(Digest::of(b"x").to_string(), text);
    assert_eq!(text.parse(), Ok(Digest::of(b"x")));
    for wrong in [&text[7..], &text[..70], &text.to_uppercase(), "sha256:+d", &format!("sha256:{}", "é".repeat(32))] {
        assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
    }
}

#[test]
fn spec_files_hold_them_as_strings() {
    let reference: Reference = serde_json::from_str(r#""image@^1""#).unwrap();
    assert_eq!(serde_json::to_string(&reference).unwrap(), r#""image@^1""#);
    let error = serde_json::from_str::<Name>(r#""Image""#).unwrap_err().to_string();
    assert!(error.contains("`Image` is no name"), "{error}");
}

fn references() -> impl Strategy<Value = Reference> {
    let names = "[a-z0-9][a-z0-9._-]{0,127}".prop_map(|text| text.parse::<Name>().unwrap());
    let versions = (any::<u64>(), 0..9_u64, 0..9_u64, prop_oneof!["", "-[a-z]{1,5}\\.[1-9]{1,3}", "\\+[a-z0-9]{1,5}"])
        .prop_map(|(major, minor, patch, suffix)| format!("{major}.{minor}.{patch}{suffix}").parse().unwrap());
    let ranges = "(\\^|~|=|>=|<|)[0-9](\\.[0-9]){0,2}(, <[1-9])?".prop_filter_map("an exact version", |text| {
        (text.parse::<Version>().is_err()).then(|| VersionReq::parse(&text).unwrap())
    });
    let selectors = prop_oneof![
        Just(Selector::Newest),
        versions.prop_map(Selector::Exact),
        ranges.prop_map(Selector::Range),
        any::<[u8; 32]>().prop_map(|raw| Selector::Digest(Digest::from_raw(raw))),
        "[a-z][a-z0-9._-]{1,127}".prop_filter_map("a range", |text| text.parse().ok().map(Selector::Label)),
    ];
    (names, selectors).prop_map(|(name, selector)| Reference { name, selector })
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(reference in references()) {
        prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
    }

    #[test]
    fn any_text_is_taken_as_itself_or_refused(text in "\\PC{0,40}") {
        if let Ok(name) = text.parse::<Name>() {
            prop_assert_eq!(name.as_str(), text.as_str());
        }
        if let Ok(reference) = text.parse::<Reference>() {
            prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
        }
    }
}
