"""SNAIL as Mishra et al. 2018 describe it: one whole sequence per query, in NumPy and loops."""

import math

import numpy as np


def snail(params, embeddings, labels, support, query, sees, *, length, literal=False):
    """Logits [Q, W]: each query is read at the end of its own sequence of labelled records."""
    logits = []
    for r, row in enumerate(query):
        sequence = [np.concatenate([embeddings[s], labels[s]]) for s in support[: sees[r]]]
        sequence.append(np.concatenate([embeddings[row], np.zeros(labels.shape[1])]))
        logits.append(read(params, np.stack(sequence), length, literal)[-1])
    return np.stack(logits)


def corrected(params, embeddings, labels, support, query, sees, **options):
    """exp(log_scale) · −‖q − c_w‖² of unit vectors, and SNAIL's output added; [Q, W]."""
    added = snail(params, embeddings, labels, support, query, sees, **options)
    length_1 = [x / math.sqrt(x @ x + 1e-12) for x in embeddings]
    for r, row in enumerate(query):
        for w in range(labels.shape[1]):
            mine = [length_1[s] for s in support[: sees[r]] if labels[s][w]]
            mean = np.mean(mine, axis=0) if mine else np.zeros_like(length_1[0])
            added[r, w] -= np.exp(params["log_scale"]) * np.sum((length_1[row] - mean) ** 2)
    return added


def read(params, x, length, literal=False):
    """The stack on one sequence [T, D]: logits at every position."""
    x = attention_block(params["attention_0"], x)
    x = tc_block(params["tc_0"], x, length, literal)
    x = attention_block(params["attention_1"], x)
    x = tc_block(params["tc_1"], x, length, literal)
    x = attention_block(params["attention_2"], x)
    return affine(params["logits"], x)


def tc_block(params, x, length, literal):
    for layer in range(math.ceil(math.log2(length))):
        dilation = 2 ** (layer + 1) if literal else 2**layer
        x = dense_block(params[f"dense_{layer}"]["conv"], x, dilation)
    return x


def dense_block(params, x, dilation):
    """concat(x, tanh(conv_f(x)) · σ(conv_g(x))), both causal with kernel 2."""
    both = np.stack([conv_at(params, x, t, dilation) for t in range(len(x))])
    filters = both.shape[1] // 2
    gate = 1 / (1 + np.exp(-both[:, filters:]))
    return np.concatenate([x, np.tanh(both[:, :filters]) * gate], axis=1)


def conv_at(params, x, t, dilation):
    y = x[t] @ params["now"]["kernel"] + params["now"]["bias"]
    if t - dilation >= 0:
        y = y + x[t - dilation] @ params["past"]["kernel"]
    return y


def attention_block(params, x):
    """concat(x, read-out): position t reads positions 0 … t."""
    queries, keys, values = (affine(params[name], x) for name in ("query", "key", "value"))
    out = np.zeros((len(x), values.shape[1]))
    for t in range(len(x)):
        scores = np.array([queries[t] @ keys[s] for s in range(t + 1)]) / math.sqrt(keys.shape[1])
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        for s in range(t + 1):
            out[t] += weights[s] * values[s]
    return np.concatenate([x, out], axis=1)


def affine(params, x):
    return x @ params["kernel"] + params["bias"]
