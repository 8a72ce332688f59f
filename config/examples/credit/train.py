"""Trains the model of the credit demo: German credit data in, an ONNX file with its options and sample requests out.

Serves nothing and decides nothing: it gives the probability of default, which `config/rules/credit.rules.yaml` judges.
Run by `cargo xtask demo credit`; by hand: `python3 train.py germancredit.csv OUT_FOLDER`.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

SEED = 7
HELD_OUT = 0.3
SAMPLES = 8
# What ONNX and scikit-learn may differ by: the one computes in 32 bits, the other in 64.
TOLERANCE = 1e-4
# The default domain's version has to be one that the server's ONNX Runtime knows; `ai.onnx.ml` 3 has all that is used.
OPSETS = {"": 17, "ai.onnx.ml": 3}

# Whole numbers: our name, the file's name.
NUMBERS = {
    "amount": "credit_amount",
    "months": "duration_in_month",
    "rate": "installment_rate_in_percentage_of_disposable_income",
    "credits": "number_of_existing_credits_at_this_bank",
}

# Choices: our name, the file's name, and what each of the file's phrases is called here and in the rules.
CHOICES = {
    "checking": ("status_of_existing_checking_account", {
        "... < 0 DM": "overdrawn",
        "0 <= ... < 200 DM": "low",
        "... >= 200 DM / salary assignments for at least 1 year": "salaried",
        "no checking account": "elsewhere",
    }),
    "history": ("credit_history", {
        "no credits taken/ all credits paid back duly": "no_credits",
        "all credits at this bank paid back duly": "repaid_here",
        "existing credits paid back duly till now": "paying_duly",
        "delay in paying off in the past": "delayed",
        "critical account/ other credits existing (not at this bank)": "critical",
    }),
    "purpose": ("purpose", {
        "car (new)": "new_car",
        "car (used)": "used_car",
        "furniture/equipment": "furniture",
        "radio/television": "television",
        "domestic appliances": "appliances",
        "repairs": "repairs",
        "education": "education",
        "retraining": "retraining",
        "business": "business",
        "others": "other",
    }),
    "savings": ("savings_account_and_bonds", {
        "unknown/ no savings account": "unknown",
        "... < 100 DM": "below_100",
        "100 <= ... < 500 DM": "below_500",
        "500 <= ... < 1000 DM": "below_1000",
        "... >= 1000 DM": "from_1000",
    }),
    "employed": ("present_employment_since", {
        "unemployed": "unemployed",
        "... < 1 year": "first_year",
        "1 <= ... < 4 years": "below_4_years",
        "4 <= ... < 7 years": "below_7_years",
        "... >= 7 years": "from_7_years",
    }),
    "surety": ("other_debtors_or_guarantors", {
        "none": "nobody",
        "co-applicant": "co_applicant",
        "guarantor": "guarantor",
    }),
    "property": ("property", {
        "real estate": "real_estate",
        "building society savings agreement/ life insurance": "insurance",
        "car or other, not in attribute Savings account/bonds": "car_or_other",
        "unknown / no property": "nothing_known",
    }),
    "plans": ("other_installment_plans", {
        "none": "no_plans",
        "bank": "at_banks",
        "stores": "at_stores",
    }),
    "housing": ("housing", {"own": "owner", "rent": "tenant", "for free": "rent_free"}),
}

# Left out, whatever they might add. For what people are: age, sex with personal status, foreign worker, and `job`, whose
# values tell residents from others. For adding nothing: residence, dependants and telephone.
COLUMNS = [*NUMBERS, *CHOICES]


def main(data: Path, out: Path) -> None:
    table, defaults = read(data)
    rows = np.arange(len(defaults))
    kept, held_out = train_test_split(rows, test_size=HELD_OUT, random_state=SEED, stratify=defaults)
    classifier = model()
    folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=SEED)
    scores = cross_val_score(classifier, part(table, kept), defaults[kept], cv=folds, scoring="roc_auc")
    classifier.fit(part(table, kept), defaults[kept])
    expected = classifier.predict_proba(part(table, held_out))[:, 1]

    graph = export(classifier)
    difference = float(np.abs(run(graph, table, held_out) - expected).max())
    if difference > TOLERANCE:
        sys.exit(f"error: ONNX and scikit-learn differ by {difference:.1e} on the held-out part, more than {TOLERANCE:.0e}")

    out.mkdir(parents=True, exist_ok=True)
    (out / "credit-score.onnx").write_bytes(graph.SerializeToString())
    (out / "credit-score.model.yaml").write_text(options(), encoding="utf-8")
    places = chosen(expected)
    (out / "request.json").write_text(request(table, held_out[places]), encoding="utf-8")
    (out / "expected.json").write_text(json.dumps({"pd": expected[places].tolist()}) + "\n", encoding="utf-8")
    print(json.dumps({
        "rows": len(kept),
        "held_out": len(held_out),
        "columns": len(COLUMNS),
        "cross_validated_auc": round(float(scores.mean()), 4),
        "held_out_auc": round(float(roc_auc_score(defaults[held_out], expected)), 4),
        "onnx_differs_by": difference,
    }))


def read(data: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The columns by our names, and for each row whether the loan went bad."""
    with data.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table: dict[str, np.ndarray] = {}
    for name, theirs in NUMBERS.items():
        table[name] = np.array([int(float(row[theirs])) for row in rows], dtype=np.int64)
    for name, (theirs, words) in CHOICES.items():
        table[name] = np.array([words[row[theirs]] for row in rows], dtype=object)
    return table, np.array([row["creditability"] == "bad" for row in rows], dtype=np.int64)


def part(table: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    return np.column_stack([table[name][rows].astype(object) for name in COLUMNS])


def model():
    numbers = list(range(len(NUMBERS)))
    choices = list(range(len(NUMBERS), len(COLUMNS)))
    words = [sorted(words.values()) for _, words in CHOICES.values()]
    # A word that is none of these counts as no choice here; the rules, whose facts are typed, refuse it.
    encoder = OneHotEncoder(categories=words, handle_unknown="ignore")
    prepared = ColumnTransformer([("numbers", StandardScaler(), numbers), ("choices", encoder, choices)])
    return make_pipeline(prepared, LogisticRegression(C=0.3, max_iter=2000))


def export(classifier) -> onnx.ModelProto:
    """One input a column and one number a row, so that clients, model and rules all read the same tensors."""
    columns = [(name, FloatTensorType([None, 1])) for name in NUMBERS]
    columns += [(name, StringTensorType([None, 1])) for name in CHOICES]
    converted = convert_sklearn(
        classifier, "credit", columns, target_opset=OPSETS, options={id(classifier): {"zipmap": False}}
    )
    graph = converted.graph
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name in COLUMNS:
                node.input[index] = f"{name}_column"
    probabilities = graph.output[1].name
    before = [helper.make_node("Cast", [name], [f"{name}_float"], to=TensorProto.FLOAT) for name in NUMBERS]
    before += [
        helper.make_node("Unsqueeze", [f"{name}_float" if name in NUMBERS else name, "axis"], [f"{name}_column"])
        for name in COLUMNS
    ]
    after = [helper.make_node("Gather", [probabilities, "default"], ["pd"], axis=1)]
    constants = [helper.make_tensor("axis", TensorProto.INT64, [1], [1])]
    constants += [helper.make_tensor("default", TensorProto.INT64, [], [1])]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64 if name in NUMBERS else TensorProto.STRING, ["rows"])
        for name in COLUMNS
    ]
    whole = helper.make_model(
        helper.make_graph(
            [*before, *graph.node, *after],
            "credit",
            inputs,
            [helper.make_tensor_value_info("pd", TensorProto.FLOAT, ["rows"])],
            [*graph.initializer, *constants],
        ),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()],
        ir_version=8,
        producer_name="inferwit credit demo",
    )
    onnx.checker.check_model(whole, full_check=True)
    return whole


def run(graph: onnx.ModelProto, table: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """What ONNX's own reference gives; that the server gives the same is for the demo to see."""
    (scores,) = ReferenceEvaluator(graph).run(["pd"], {name: table[name][rows] for name in COLUMNS})
    return scores


def options() -> str:
    lines = [
        "# Written by `train.py`: the probability that a loan goes bad, for any number of applications at once.",
        "name: credit-score",
        "version: 1.0.0",
        "inputs:",
        *(f"  {name}: {{datatype: {'INT64' if name in NUMBERS else 'BYTES'}, shape: [-1]}}" for name in COLUMNS),
        "outputs:",
        "  pd: {datatype: FP32, shape: [-1]}",
        "backend: auto",
        "instances: auto",
        'batching: "off"',
        "tolerance: exact",
    ]
    return "\n".join(lines) + "\n"


def chosen(expected: np.ndarray) -> np.ndarray:
    """Places of sample applications, from the safest to the riskiest."""
    return np.argsort(expected, kind="stable")[np.linspace(0, len(expected) - 1, SAMPLES).astype(int)]


def request(table: dict[str, np.ndarray], rows: np.ndarray) -> str:
    """A request of the Open Inference Protocol, as a client would send it."""
    columns = {"id": [f"A{row + 1}" for row in rows], **{name: table[name][rows].tolist() for name in COLUMNS}}
    inputs = [
        {"name": name, "datatype": "INT64" if name in NUMBERS else "BYTES", "shape": [len(rows)], "data": values}
        for name, values in columns.items()
    ]
    lines = ",\n  ".join(json.dumps(tensor) for tensor in inputs)
    return f'{{"inputs": [\n  {lines}\n]}}\n'


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("error: the call was wrong\n\nhint: python3 train.py germancredit.csv OUT_FOLDER")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
