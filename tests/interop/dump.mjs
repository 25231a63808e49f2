// Prints the canonical dump of a store (formats/v1/conformance/README.md), read with zarrita: node dump.mjs STORE
// It checks what any reader must: the version, `complete` and the channel table, which may list some of the 192. Chunks are zarrita's affair.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { FileSystemStore } from "@zarrita/storage";
import * as zarr from "zarrita";

process.on("uncaughtException", (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
const path = process.argv[2];
const root = zarr.root(new FileSystemStore(path));

async function read(name) {
  const array = await zarr.open.v3(root.resolve(name), { kind: "array" });
  return zarr.get(array);
}

function channelTable() {
  const cells = [...Array(64).keys()].map((i) => [i >> 3, i & 7]);
  const along = ([v, u]) => ((v + u) % 2 ? v : u);
  cells.sort((a, b) => a[0] + a[1] - b[0] - b[1] || along(a) - along(b));
  return ["Y", "Cb", "Cr"].flatMap((component) => cells.map(([v, u]) => [component, v, u]));
}

function rootAttributes() {
  const found = JSON.parse(readFileSync(`${path}/zarr.json`, "utf8")).attributes.freqcache;
  if (!/^1\./.test(found.version)) throw new Error(`version ${found.version}`);
  if (found.complete !== true) throw new Error("the store is not complete");
  if (!["native", "fixed"].includes(found.kind)) throw new Error(`kind ${found.kind}`);
  return found;
}

// Storage indices of the stored channels.
function storedChannels(found) {
  const table = channelTable().map((channel) => JSON.stringify(channel));
  const listed = found.channels.map((channel) => table.indexOf(JSON.stringify(channel)));
  const rising = listed.every((index, i) => index > (i ? listed[i - 1] : -1));
  if (!listed.length || !rising || (found.version === "1.0" && listed.length < 192)) {
    throw new Error("another channel table");
  }
  return listed;
}

// Lists of numbers for each of the stored channels: quantized value times step, in the order of the dump.
async function nativeChannels(split, present, stored) {
  const channels = stored.map(() => []);
  const [offset, blocks, steps] = await Promise.all(
    ["offset", "blocks", "quantization"].map((name) => read(`${split}/${name}`)),
  );
  for (const [component, name] of ["y", "cb", "cr"].entries()) {
    const rows = [...stored.keys()].filter((row) => stored[row] >> 6 === component);
    if (!rows.length) continue; // there is no such array
    const column = await read(`${split}/${name}`);
    for (const slot of present) {
      const at = 3 * slot + component;
      const start = Number(offset.data[at]);
      const count = blocks.data[2 * at] * blocks.data[2 * at + 1];
      for (const [place, row] of rows.entries()) {
        const step = steps.data[64 * at + (stored[row] & 63)];
        const line = place * column.shape[1];
        for (let b = start; b < start + count; b++) channels[row].push(column.data[line + b] * step);
      }
    }
  }
  return channels;
}

async function fixedChannels(split, present, stored) {
  const channels = stored.map(() => []);
  const steps = await read(`${split}/quantization`);
  const { data, shape } = await read(`${split}/coefficients`);
  const plane = shape[2] * shape[3];
  for (const slot of present) {
    for (let c = 0; c < stored.length; c++) {
      const start = (slot * stored.length + c) * plane;
      for (let i = start; i < start + plane; i++) channels[c].push(data[i] * steps.data[c]);
    }
  }
  return channels;
}

function digest(values) {
  const bytes = Buffer.alloc(8 * values.length);
  values.forEach((value, i) => bytes.writeDoubleLE(value, 8 * i));
  return createHash("sha256").update(bytes).digest("hex").slice(0, 8);
}

const attributes = rootAttributes();
const { kind, splits } = attributes;
const stored = storedChannels(attributes);
const dump = { kind, splits: {} };
for (const split of splits) {
  const origin = (await read(`${split}/origin`)).data;
  const present = [...origin.keys()].filter((slot) => origin[slot] !== 255);
  const labels = (await read(`${split}/label`)).data;
  const channels = await (kind === "native" ? nativeChannels : fixedChannels)(split, present, stored);
  dump.splits[split] = {
    labels: present.map((slot) => Number(labels[slot])),
    sums: channels.map((values) => values.reduce((sum, value) => sum + value, 0)),
    digests: channels.map(digest),
  };
}
process.stdout.write(JSON.stringify(dump) + "\n");
