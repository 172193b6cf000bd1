// The model in the page, run by onnxruntime-web.
import { millivolts } from "./form.js";

async function unpacked(id) {
  const text = atob(document.getElementById(id).textContent.trim());
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Starts the runtime on the model: a function from windows of units to their mean embedding. */
export async function startEmbedding(model) {
  const [code, wasm, onnx] = await Promise.all(["runtime", "wasm", "onnx"].map(unpacked));
  const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const ort = await import(address);
  ort.env.wasm.wasmBinary = wasm.buffer;
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const options = { executionProviders: ["wasm"], logSeverityLevel: 3 }; // errors alone
  const session = await ort.InferenceSession.create(onnx, options);
  const { samples, leads, scale } = model.record;
  return async (windows) => {
    const each = [];
    for (const units of windows) {
      const records = new ort.Tensor("float32", millivolts(units, scale), [1, samples, leads.length]);
      each.push((await session.run({ records })).embeddings.data);
    }
    const sum = (i) => each.reduce((total, data) => total + data[i], 0);
    return Float64Array.from(each[0], (_, i) => sum(i) / each.length);
  };
}
