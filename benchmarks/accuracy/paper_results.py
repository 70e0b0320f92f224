"""The paper's figures, and tables and charts of ours beside them."""

from __future__ import annotations

import csv

import numpy as np

CLASSES = ("babycry", "glassbreak", "gunshot")
# Error rates of babycry, glassbreak, gunshot and their mean; for Table 4 only the mean.
PAPER = {
    1: {
        "CNN": (0.31, 0.13, 0.21, 0.22),
        "CRNN_GRU": (0.28, 0.18, 0.18, 0.21),
        "CRNN_BiGRU": (0.14, 0.08, 0.15, 0.12),
    },
    2: {},
    3: {
        "W/o pre-training": (0.23, 0.17, 0.37, 0.26),
        "Pre-training (fixed CRNN)": (0.25, 0.09, 0.35, 0.23),
        "Pre-training (finetune CRNN)": (0.09, 0.04, 0.14, 0.09),
    },
    4: {
        "R-CRNN": (None, None, None, 0.09),
        "R-CRNN (refined)": (None, None, None, None),
        "1D-CRNN": (None, None, None, None),
        "1D-CRNN (5 networks)": (None, None, None, 0.07),
        "CRNN": (None, None, None, 0.14),
        "DNN": (None, None, None, 0.19),
        "CNN": (None, None, None, 0.19),
        "R-FCN": (None, None, None, 0.18),
        "Baseline": (None, None, None, 0.53),
    },
}


def write_tables(stem, number, cells):
    """Write all cells as CSV, a Markdown table beside the paper's figures, and a bar chart."""
    with open(stem.with_suffix(".csv"), "w", newline="") as file:
        writer = csv.writer(file)
        head = ["system", "detector", "seed", "class", "ER", "F1"]
        writer.writerow([*head, "held-out ER", "parameters", "epochs", "minutes"])
        for (name, target, seed), cell in cells.items():
            rest = [cell[k] for k in ("held_out_er", "n_parameters", "epochs", "minutes")]
            for label, scores in cell["scores"].items():
                writer.writerow([name, target, seed, label, *scores, *rest])
    rows = {}
    for (name, target, _), cell in cells.items():
        kind = "all classes at once" if target == "all" else "one class each"
        for label, (rate, _) in cell["scores"].items():
            rows.setdefault((name, kind), {}).setdefault(label, []).append(rate)
    lines = [
        "| system | detector | babycry | glassbreak | gunshot | mean | paper's mean |",
        "|---|---|---|---|---|---|---|",
    ]
    means = {}
    for (name, kind), by_label in rows.items():
        rates = [np.mean(by_label[label]) if label in by_label else np.nan for label in CLASSES]
        means[name, kind] = np.mean(rates)
        texts = [f"{rate:.2f}" if np.isfinite(rate) else "" for rate in (*rates, np.mean(rates))]
        theirs = PAPER[number].get(name, (None,) * 4)[3]
        lines.append(f"| {name} | {kind} | {' | '.join(texts)} | {theirs or ''} |")
    stem.with_suffix(".md").write_text("\n".join(lines) + "\n")
    draw(means, stem.with_suffix(".png"))
    return "\n".join(lines)


def draw(means, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    known = {key: mean for key, mean in means.items() if np.isfinite(mean)}
    if not known:
        return
    figure, axes = plt.subplots(figsize=(7, 0.6 + 0.4 * len(known)), layout="constrained")
    names = [f"{name} ({kind})" for name, kind in known]
    axes.barh(names[::-1], list(known.values())[::-1])
    axes.set(xlabel="mean error rate on devtest")
    figure.savefig(path, dpi=120)
    plt.close(figure)
