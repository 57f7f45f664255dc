// How is a WebAssembly module encoded? (WebAssembly core specification 2.0, chapter 5, as far as rules need it.)

export const I32 = 0x7f;
export const I64 = 0x7e;
export type ValueType = typeof I32 | typeof I64;

const FUNCREF = 0x70;
const EMPTY_BLOCK = 0x40;

export interface FunctionType {
  parameters: readonly ValueType[];
  result?: ValueType;
}

/** Pages of the shared memory that the engine imports: 1 to 65536 (4 GiB). */
const MEMORY_PAGES = { minimum: 1, maximum: 65536 };

function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest & 0x7f;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return bytes;
}

function signed(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    const done = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

function signed32(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

function text(value: string): number[] {
  const bytes = new TextEncoder().encode(value);
  return [...unsigned(bytes.length), ...bytes];
}

/** Opcodes without immediate operands. */
const OPCODES = {
  unreachable: 0x00,
  else: 0x05,
  end: 0x0b,
  return: 0x0f,
  drop: 0x1a,
  'i32.eqz': 0x45,
  'i32.eq': 0x46,
  'i32.ne': 0x47,
  'i32.lt_u': 0x49,
  'i32.gt_u': 0x4b,
  'i32.le_u': 0x4d,
  'i32.ge_u': 0x4f,
  'i64.eqz': 0x50,
  'i64.eq': 0x51,
  'i64.ne': 0x52,
  'i64.lt_u': 0x54,
  'i64.gt_u': 0x56,
  'i64.le_u': 0x58,
  'i64.ge_u': 0x5a,
  'i32.add': 0x6a,
  'i32.sub': 0x6b,
  'i32.mul': 0x6c,
  'i32.and': 0x71,
  'i32.or': 0x72,
  'i32.xor': 0x73,
  'i32.shl': 0x74,
  'i32.shr_u': 0x76,
  'i32.rotl': 0x77,
  'i64.ctz': 0x7a,
  'i64.add': 0x7c,
  'i64.sub': 0x7d,
  'i64.div_u': 0x80,
  'i64.and': 0x83,
  'i64.or': 0x84,
  'i64.xor': 0x85,
  'i64.shl': 0x86,
  'i64.shr_u': 0x88,
  'i64.rotl': 0x89,
  'i32.wrap_i64': 0xa7,
  'i64.extend_i32_u': 0xad,
} as const;

/** Loads and stores: opcode and the alignment they state. No alignment is assumed: packet bytes lie anywhere. */
const MEMORY_OPCODES = {
  'i32.load': 0x28,
  'i64.load': 0x29,
  'i32.load8_u': 0x2d,
  'i32.load16_u': 0x2f,
  'i64.load32_u': 0x35,
  'i32.store': 0x36,
  'i64.store': 0x37,
  'i32.store8': 0x3a,
  'i32.store16': 0x3b,
} as const;

/** The instructions of one function, written in order. */
export class Code {
  readonly bytes: number[] = [];

  op(...names: (keyof typeof OPCODES)[]): this {
    for (const name of names) this.bytes.push(OPCODES[name]);
    return this;
  }

  memory(name: keyof typeof MEMORY_OPCODES, offset: number): this {
    this.bytes.push(MEMORY_OPCODES[name], 0, ...unsigned(offset));
    return this;
  }

  i32(value: number): this {
    this.bytes.push(0x41, ...signed32(value));
    return this;
  }

  i64(value: bigint): this {
    this.bytes.push(0x42, ...signed(BigInt.asIntN(64, value)));
    return this;
  }

  get(local: number): this {
    this.bytes.push(0x20, ...unsigned(local));
    return this;
  }

  set(local: number): this {
    this.bytes.push(0x21, ...unsigned(local));
    return this;
  }

  tee(local: number): this {
    this.bytes.push(0x22, ...unsigned(local));
    return this;
  }

  call(index: number): this {
    this.bytes.push(0x10, ...unsigned(index));
    return this;
  }

  block(): this {
    this.bytes.push(0x02, EMPTY_BLOCK);
    return this;
  }

  loop(): this {
    this.bytes.push(0x03, EMPTY_BLOCK);
    return this;
  }

  if(result?: ValueType): this {
    this.bytes.push(0x04, result ?? EMPTY_BLOCK);
    return this;
  }

  br(depth: number): this {
    this.bytes.push(0x0c, ...unsigned(depth));
    return this;
  }

  brIf(depth: number): this {
    this.bytes.push(0x0d, ...unsigned(depth));
    return this;
  }

  /** Branches by the number on the stack: to the depth of that place, beyond the last one to the last one. */
  brTable(depths: readonly number[]): this {
    this.bytes.push(0x0e, ...unsigned(depths.length - 1));
    for (const depth of depths) this.bytes.push(...unsigned(depth));
    return this;
  }

  append(code: Code): this {
    for (const byte of code.bytes) this.bytes.push(byte);
    return this;
  }
}

interface DefinedFunction {
  type: number;
  locals: readonly ValueType[];
  code: Code;
  name: string;
}

/** A module that imports a shared memory, a table and functions from one place, and fills slots of the table. */
export class ModuleBuilder {
  private readonly types: FunctionType[] = [];
  private readonly imports: { name: string; type: number }[] = [];
  private readonly functions: (DefinedFunction | undefined)[] = [];
  private readonly customs: { name: string; content: Uint8Array }[] = [];

  /** All imports come from the module of this name: `memory`, `table` and the functions. */
  constructor(private readonly from: string) {}

  private type(type: FunctionType): number {
    const same = (other: FunctionType): boolean =>
      other.result === type.result && other.parameters.join() === type.parameters.join();
    const found = this.types.findIndex(same);
    return found >= 0 ? found : this.types.push(type) - 1;
  }

  /** Declares an imported function and returns its index. Imports come before all `reserve`. */
  import(name: string, type: FunctionType): number {
    if (this.functions.length > 0) throw new Error('imports come first');
    return this.imports.push({ name, type: this.type(type) }) - 1;
  }

  /** Reserves the index of a function that `define` fills later. */
  reserve(): number {
    return this.imports.length + this.functions.push(undefined) - 1;
  }

  define(index: number, type: FunctionType, locals: readonly ValueType[], code: Code, name: string): void {
    this.functions[index - this.imports.length] = { type: this.type(type), locals, code, name };
  }

  /** Adds a custom section, for whoever loads the module. */
  custom(name: string, content: Uint8Array): void {
    this.customs.push({ name, content });
  }

  /** The module's bytes. `slots`: functions to put into the table, from `base` on. */
  build(base: number, slots: readonly number[]): Uint8Array {
    const functions = this.functions.map((each, index) => {
      if (!each) throw new Error(`function ${index} has no body`);
      return each;
    });
    const vector = (items: number[][]): number[] => [...unsigned(items.length), ...items.flat()];
    const { minimum, maximum } = MEMORY_PAGES;
    const imports = [
      [...text(this.from), ...text('memory'), 0x02, 0x03, ...unsigned(minimum), ...unsigned(maximum)],
      [...text(this.from), ...text('table'), 0x01, FUNCREF, 0x00, ...unsigned(base + slots.length)],
      ...this.imports.map(({ name, type }) => [...text(this.from), ...text(name), 0x00, ...unsigned(type)]),
    ];
    const types = this.types.map(({ parameters, result }) => [
      0x60,
      ...vector(parameters.map((each) => [each])),
      ...vector(result === undefined ? [] : [[result]]),
    ]);
    const element = [0x00, 0x41, ...signed32(base), 0x0b, ...vector(slots.map((slot) => unsigned(slot)))];
    const names = functions.map(({ name }, index) => [...unsigned(index + this.imports.length), ...text(name)]);
    const nameMap = vector(names);
    const output: number[] = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
    const section = (id: number, content: number[]): void => {
      output.push(id, ...unsigned(content.length));
      for (const byte of content) output.push(byte);
    };
    section(1, vector(types));
    section(2, vector(imports));
    section(3, vector(functions.map(({ type }) => unsigned(type))));
    if (slots.length > 0) section(9, vector([element]));
    section(10, vector(functions.map((each) => this.body(each))));
    for (const { name, content } of this.customs) section(0, [...text(name), ...content]);
    section(0, [...text('name'), 0x01, ...unsigned(nameMap.length), ...nameMap]);
    return Uint8Array.from(output);
  }

  private body({ locals, code }: DefinedFunction): number[] {
    const declarations = locals.flatMap((type) => [1, type]);
    const size = [...unsigned(locals.length), ...declarations];
    const length = size.length + code.bytes.length + 1;
    const body = [...unsigned(length), ...size];
    for (const byte of code.bytes) body.push(byte);
    body.push(OPCODES.end);
    return body;
  }
}
