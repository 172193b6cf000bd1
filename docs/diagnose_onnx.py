"""Diagnoses recordings by a model in ONNX, with onnxruntime and numpy alone.

    python docs/diagnose_onnx.py MODEL.onnx SUPPORT.npz QUERY.npy [ERROR_RATE]

SUPPORT.npz holds `signals` [examples, samples, leads] and `labels` [examples], QUERY.npy recordings
[queries, samples, leads], all in mV at the rate and with the leads that MODEL.onnx names. The
probabilities are those of `metaecg diagnose`. Research software, not a medical device.
"""

import json
import sys

import numpy as np
import onnxruntime


def unit(x):
    return x / np.sqrt((x**2).sum(-1, keepdims=True) + 1e-12)


def ridge(support, labels, query, head):
    """Logits [Q, W] of embeddings [S, D] with labels [S] in 0 … W − 1, and [Q, D]."""
    support, query = unit(support), unit(query)
    x, q = support - support.mean(0), query - support.mean(0)
    size = (x**2).sum() / len(x) + 1e-12
    target = np.eye(labels.max() + 1)[labels]
    share = target.mean(0)
    weights = np.linalg.solve(x @ x.T / size + head["strength"] * np.eye(len(x)), target - share)
    return head["scale"] * (q @ x.T / size @ weights + share)


def between(rows, known, at):
    """Rows of numbers known at some places, interpolated, their lists element by element."""
    found = {}
    for name in ("temperature", "scores", "risks", "counts", "slope", "usual"):
        values = np.array([row[name] for row in rows]).T
        found[name] = np.array([np.interp(at, known, v) for v in np.atleast_2d(values)])
    return found


def row_at(calibration, way, shot):
    """The row of a way and shot, on a logarithmic scale of both, and whether these were fitted."""
    rows, ways = calibration["rows"], sorted({row["way"] for row in calibration["rows"]})
    within, way = ways[0] <= way <= ways[-1], min(max(way, ways[0]), ways[-1])
    found, near = [], sorted({max(w for w in ways if w <= way), min(w for w in ways if w >= way)})
    for w in near:
        mine = sorted((row for row in rows if row["way"] == w), key=lambda row: row["shot"])
        within = within and mine[0]["shot"] <= shot <= mine[-1]["shot"]
        found.append(between(mine, np.log([row["shot"] for row in mine]), np.log(shot)))
    return between(found, np.log(near), np.log(way)), within


def sure_from(row, error_rate, evidence):
    """The probability from which on an answer is given; the strictest thresholds come first."""
    enough, chosen = np.flatnonzero(row["counts"].ravel() >= evidence), np.inf
    for level in range(max(enough, default=-1), -1, -1):
        if row["risks"].ravel()[level] > error_rate:
            break
        chosen = level / (row["risks"].size - 1)
    return chosen


def log_odds(p):
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def softmax(logits):
    exponent = np.exp(logits - logits.max(-1, keepdims=True))
    return exponent / exponent.sum(-1, keepdims=True)


def recognition(support, labels, head, temperature):
    """How well the examples of each label are recognised when a fifth of all is left out."""
    counts, odds = np.bincount(labels), np.full(len(labels), np.nan)
    place = np.array([(labels[:i] == label).sum() for i, label in enumerate(labels)])
    rounds = min(5, counts.max())
    for one in range(rounds):
        out = (place % rounds == one) & (counts[labels] > 1)
        if out.any():
            said = ridge(support[~out], labels[~out], support[out], head) / temperature
            odds[out] = log_odds(softmax(said)[np.arange(out.sum()), labels[out]])
    return np.array([odds[labels == label].mean() for label in range(len(counts))])


def main(model, support_file, query_file, error_rate=0.1):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    known = json.loads(session.get_modelmeta().custom_metadata_map["metaecg"])
    held, query = np.load(support_file), np.load(query_file)
    names, labels = np.unique(held["labels"], return_inverse=True)
    support, query = (
        session.run(["embeddings"], {"records": np.float32(x - np.median(x, 1, keepdims=True))})[0]
        for x in (held["signals"], query)
    )
    shot = 1 / np.mean(1 / np.bincount(labels))
    row, within = row_at(known["calibration"], len(names), shot)
    temperature = row["temperature"].item()
    probs = softmax(ridge(support, labels, query, known["head"]) / temperature)
    recognised = recognition(support, labels, known["head"], temperature)
    beyond = row["slope"] * np.nan_to_num(recognised - row["usual"])
    for p in probs:
        plausible, answer = np.full(len(names), True), "unsure (no rate of errors can be stated)"
        if within:
            scores = row["scores"].ravel()
            limit = np.interp(1 - error_rate, np.linspace(0, 1, len(scores)), scores)
            plausible = (1 / (1 + np.exp(log_odds(p) - beyond)) <= limit) | (p == p.max())
            sure = p.max() >= sure_from(row, error_rate, known["evidence_needed"])
            answer = names[p.argmax()] if plausible.sum() == 1 and sure else "unsure"
        listed = ", ".join(f"{name} {value:.1%}" for name, value in zip(names, p))
        print(f"{answer}: {listed}; plausible: {', '.join(names[plausible])}")
    return probs


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(float, sys.argv[4:5]))
