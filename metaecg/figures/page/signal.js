// Signal steps, one lead at a time, as docs/specification.md says them and scipy computes them.
import { PageError, g } from "./numbers.js";

/** The fraction nearest to a number of a denominator up to `most`, as Python's Fraction. */
export function fraction(numerator, denominator, most) {
  const [n0, d0] = [numerator, denominator];
  if (d0 <= most) return [n0, d0];
  let [p0, q0, p1, q1, n, d] = [0n, 1n, 1n, 0n, n0, d0];
  for (;;) {
    const a = n / d;
    const q2 = q0 + a * q1;
    if (q2 > most) break;
    [p0, q0, p1, q1] = [p1, q1, p0 + a * p1, q2];
    [n, d] = [d, n - a * d];
  }
  const k = (most - q0) / q1;
  if (2n * d * (q0 + k * q1) <= d0) return [p1, q1];
  return [p0 + k * p1, q0 + k * q1];
}

/** A double as an exact fraction of BigInts. */
function exactly(x) {
  let denominator = 1n;
  while (!Number.isInteger(x)) {
    x *= 2;
    denominator *= 2n;
  }
  return [BigInt(x), denominator];
}

function divisor(a, b) {
  while (b) [a, b] = [b, a % b];
  return a;
}

/** The steps up and down between two rates in samples per second. */
export function ratio(hz, to) {
  const [a, b] = exactly(to);
  const [c, d] = exactly(hz);
  const common = divisor(a * d, b * c);
  const exact = [(a * d) / common, (b * c) / common];
  let found = exact;
  for (const most of [1000n, 10000n, 100000n]) {
    found = fraction(...exact, most);
    const off = (Number(found[0]) * Number(exact[1])) / (Number(found[1]) * Number(exact[0])) - 1;
    if (Math.abs(off) <= 1e-5 && found[0] <= most) break;
  }
  return found.map(Number);
}

/** The modified Bessel function of order 0. */
function bessel(x) {
  let [sum, term] = [1, 1];
  for (let k = 1; term > 1e-18 * sum; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** The taps of the anti-aliasing filter: a Kaiser window of β = 5, ten zeros on either side. */
export function taps(up, down) {
  const rate = Math.max(up, down);
  const half = 10 * rate;
  const made = new Float64Array(2 * half + 1);
  let sum = 0;
  for (let i = -half; i <= half; i += 1) {
    const x = i / rate;
    const sinc = i === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
    made[i + half] = sinc * bessel(5 * Math.sqrt(Math.max(0, 1 - (i / half) ** 2)));
    sum += made[i + half];
  }
  return made.map((each) => (each / sum) * up);
}

/** Changes the rate of one lead; beyond its ends it goes on along the line through them. */
export function resample(signal, hz, to) {
  if (!(hz > 0 && to > 0 && to / hz >= 1e-4 && to / hz <= 1e4)) {
    throw new PageError(`${g(hz)} Hz to ${g(to)} Hz: give a rate nearer to that of the recording`);
  }
  const [up, down] = hz === to ? [1, 1] : ratio(hz, to);
  if (up === down) return Float64Array.from(signal);
  const filter = taps(up, down);
  const half = (filter.length - 1) / 2;
  const last = signal.length - 1;
  const slope = last ? (signal[last] - signal[0]) / last : 0;
  const made = new Float64Array(Math.ceil((signal.length * up) / down));
  for (let i = 0; i < made.length; i += 1) {
    const at = i * down;
    let sum = 0;
    for (let k = Math.ceil((at - half) / up); k * up <= at + half; k += 1) {
      let value = signal[k];
      if (k < 0) value = signal[0] + k * slope;
      else if (k > last) value = signal[last] + (k - last) * slope;
      sum += value * filter[at - k * up + half];
    }
    made[i] = sum;
  }
  return made;
}

/** Butterworth's band-pass of second order as two sections [b0, b1, b2, a1, a2]. */
export function butterworth(hz, low, high) {
  const [w1, w2] = [low, high].map((f) => 4 * Math.tan((Math.PI * f) / hz));
  const [width, middle] = [w2 - w1, w1 * w2];
  // The prototype's pole exp(3πi/4) becomes two, the roots of s² − p·width·s + middle.
  const [re, im] = [(-Math.SQRT1_2 * width) / 2, (Math.SQRT1_2 * width) / 2];
  const [sr, si] = [re * re - im * im - middle, 2 * re * im];
  const size = Math.hypot(sr, si);
  const root = [Math.sqrt((size + sr) / 2), Math.sign(si || 1) * Math.sqrt((size - sr) / 2)];
  let gain = width * width * 16;
  const sections = [1, -1].map((sign) => {
    const [pr, pi] = [re + sign * root[0], im + sign * root[1]];
    const below = (4 - pr) ** 2 + pi * pi;
    gain /= below;
    const [zr, zi] = [(16 - pr * pr - pi * pi) / below, (8 * pi) / below];
    return [1, 0, -1, -2 * zr, zr * zr + zi * zi];
  });
  sections[0] = sections[0].map((each, i) => (i < 3 ? each * gain : each));
  return sections;
}

/** One pass of sections that start as if the first value had been there for ever. */
function pass(sections, values) {
  let scale = values[0];
  let signal = values;
  for (const [b0, b1, b2, a1, a2] of sections) {
    const steady = (b0 + b1 + b2) / (1 + a1 + a2);
    let z2 = (b2 - a2 * steady) * scale;
    let z1 = (b1 - a1 * steady) * scale + z2;
    scale *= steady;
    signal = signal.map((x) => {
      const y = b0 * x + z1;
      z1 = b1 * x - a1 * y + z2;
      z2 = b2 * x - a2 * y;
      return y;
    });
  }
  return signal;
}

/** Filters one lead forwards and backwards; its ends are turned over by 15 samples. */
export function bandpass(signal, hz, low, high) {
  const [ends, last] = [15, signal.length - 1];
  if (!(low > 0 && low < high && high < hz / 2)) {
    const most = g(hz / 2);
    throw new PageError(`band-pass ${g(low)}–${g(high)} Hz needs 0 < low < high < ${most} Hz`);
  }
  if (signal.length <= ends) throw new PageError(`${signal.length} samples are too few to filter`);
  const sections = butterworth(hz, low, high);
  const extended = new Float64Array(signal.length + 2 * ends);
  extended.set(signal, ends);
  for (let i = 1; i <= ends; i += 1) {
    extended[ends - i] = 2 * signal[0] - signal[i];
    extended[ends + last + i] = 2 * signal[last] - signal[last - i];
  }
  const back = pass(sections, pass(sections, extended).reverse()).reverse();
  return back.slice(ends, ends + signal.length);
}
