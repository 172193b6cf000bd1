// Ridge regression in closed form, the model's head.
import { count, dot } from "./numbers.js";

function unit(x) {
  const size = Math.sqrt(x.reduce((sum, each) => sum + each * each, 0) + 1e-12);
  return Array.from(x, (each) => each / size);
}

/** Solves a symmetric positive system for several right-hand sides [S][W]. */
function solve(matrix, target) {
  const size = matrix.length;
  const lower = matrix.map(() => new Float64Array(size));
  for (let i = 0; i < size; i += 1) {
    for (let j = 0; j <= i; j += 1) {
      let sum = matrix[i][j];
      for (let k = 0; k < j; k += 1) sum -= lower[i][k] * lower[j][k];
      lower[i][j] = i === j ? Math.sqrt(sum) : sum / lower[j][j];
    }
  }
  const found = target.map((row) => Array.from(row));
  for (let w = 0; w < found[0].length; w += 1) {
    for (let i = 0; i < size; i += 1) {
      for (let k = 0; k < i; k += 1) found[i][w] -= lower[i][k] * found[k][w];
      found[i][w] /= lower[i][i];
    }
    for (let i = size - 1; i >= 0; i -= 1) {
      for (let k = i + 1; k < size; k += 1) found[i][w] -= lower[k][i] * found[k][w];
      found[i][w] /= lower[i][i];
    }
  }
  return found;
}

/** Ridge regression of the labels on unit vectors; returns a function from an embedding to logits. */
export function ridge(embeddings, slots, way, head) {
  const rows = embeddings.map(unit);
  const all = rows.length;
  const mean = rows[0].map((_, d) => rows.reduce((sum, row) => sum + row[d], 0) / all);
  const context = rows.map((row) => row.map((x, d) => x - mean[d]));
  const size = context.reduce((sum, row) => sum + dot(row, row), 0) / all + 1e-12;
  const share = Array.from({ length: way }, (_, w) => count(slots, w) / all);
  const kernel = context.map((a, i) =>
    context.map((b, j) => dot(a, b) / size + (i === j ? head.strength : 0)),
  );
  const target = slots.map((slot) => share.map((each, w) => (slot === w ? 1 : 0) - each));
  const weights = solve(kernel, target);
  return (embedding) => {
    const query = unit(embedding).map((x, d) => x - mean[d]);
    const across = context.map((row) => dot(query, row) / size);
    return share.map(
      (each, w) => head.scale * (across.reduce((sum, a, s) => sum + a * weights[s][w], 0) + each),
    );
  };
}

export function softmax(logits, temperature) {
  const most = Math.max(...logits);
  const found = logits.map((logit) => Math.exp((logit - most) / temperature));
  const sum = found.reduce((a, b) => a + b, 0);
  return found.map((each) => each / sum);
}
