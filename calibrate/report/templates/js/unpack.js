// Numbers at every cut, as calibrate/report/packing.py packed them.
const BYTES = { i4: 4, f8: 8, f4: 4, u1: 1 };
const ARRAYS = { i4: Int32Array, f8: Float64Array, f4: Float32Array, u1: Uint8Array };

async function inflated(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// One column: bytes lie plane by plane; whole numbers are differences along the last axis.
function column(bytes, start, type, shape, isDifferences) {
  const size = BYTES[type];
  const n = shape.reduce((product, each) => product * each, 1);
  const together = new Uint8Array(n * size);
  for (let plane = 0; plane < size; plane++) {
    const from = start + plane * n;
    for (let i = 0, to = plane; i < n; i++, to += size) together[to] = bytes[from + i];
  }
  const values = new ARRAYS[type](together.buffer);
  const length = shape.at(-1);
  if (isDifferences) {
    for (let i = 0; i < n; i++) if (i % length) values[i] += values[i - 1];
  }
  return values;
}

// All columns of a policy by name, and `n`, the number of cuts.
async function unpacked(policy, place) {
  const node = document.getElementById(`numbers-${place}`);
  const bytes = await inflated(node.textContent);
  const numbers = { n: 0 };
  let start = 0;
  for (const [name, type, shape, isDifferences] of policy.columns) {
    numbers[name] = column(bytes, start, type, shape, isDifferences);
    start += numbers[name].byteLength;
  }
  numbers.n = numbers.threshold.length;
  return numbers;
}
