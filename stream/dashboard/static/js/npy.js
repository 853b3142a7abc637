// numpy's .npy format, version 1 to 3, little endian: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

const TYPES = {
  "<f4": Float32Array, "<f8": Float64Array, "|i1": Int8Array, "|u1": Uint8Array,
  "<i2": Int16Array, "<u2": Uint16Array, "<i4": Int32Array, "<u4": Uint32Array,
};

export function parseNpy(buffer) {
  const view = new DataView(buffer);
  if (view.getUint32(0) !== 0x934e554d) throw new Error("not an npy array");
  const wide = view.getUint8(6) > 1;
  const start = wide ? 12 : 10;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const header = new TextDecoder("latin1").decode(new Uint8Array(buffer, start, length));
  const type = TYPES[/'descr': '([^']+)'/.exec(header)[1]];
  if (!type || header.includes("'fortran_order': True")) throw new Error(`cannot draw ${header}`);
  const shape = /'shape': \(([^)]*)\)/.exec(header)[1].split(",").filter((n) => n.trim()).map(Number);
  return { shape, data: new type(buffer, start + length) };
}
