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

/** Opcodes without immediate operands. */
const OPCODES = {
  unreachable: 0x00,
  else: 0x05,
  end: 0x0b,
  return: 0x0f,
  drop: 0x1a,
  select: 0x1b,
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
  'i64.rem_u': 0x82,
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
  'i64.load8_u': 0x31,
  'i64.load32_u': 0x35,
  'i32.store': 0x36,
  'i64.store': 0x37,
  'i32.store8': 0x3a,
  'i32.store16': 0x3b,
} as const;

/** Bytes that grow at their end. Large rulesets make tens of millions of them: no array of numbers holds them. */
class Bytes {
  private buffer = new Uint8Array(256);
  private length = 0;

  get content(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  protected byte(value: number): void {
    if (this.length === this.buffer.length) this.grow(1);
    this.buffer[this.length++] = value;
  }

  protected unsigned(value: number): void {
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) this.byte((rest & 0x7f) | 0x80);
    this.byte(rest);
  }

  protected signed32(value: number): void {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      const done = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
      this.byte(done ? low : low | 0x80);
      if (done) return;
    }
  }

  protected signed64(value: bigint): void {
    let rest = value;
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      const done = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0);
      this.byte(done ? low : low | 0x80);
      if (done) return;
    }
  }

  protected all(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.buffer.length) this.grow(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  private grow(count: number): void {
    const larger = new Uint8Array(2 ** Math.ceil(Math.log2(this.length + count)));
    larger.set(this.content);
    this.buffer = larger;
  }
}

/** The instructions of one function, written in order. */
export class Code extends Bytes {
  op(...names: (keyof typeof OPCODES)[]): this {
    for (const name of names) this.byte(OPCODES[name]);
    return this;
  }

  memory(name: keyof typeof MEMORY_OPCODES, offset: number): this {
    this.byte(MEMORY_OPCODES[name]);
    this.byte(0);
    this.unsigned(offset);
    return this;
  }

  i32(value: number): this {
    this.byte(0x41);
    this.signed32(value);
    return this;
  }

  i64(value: bigint): this {
    this.byte(0x42);
    this.signed64(BigInt.asIntN(64, value));
    return this;
  }

  get(local: number): this {
    return this.indexed(0x20, local);
  }

  set(local: number): this {
    return this.indexed(0x21, local);
  }

  tee(local: number): this {
    return this.indexed(0x22, local);
  }

  call(index: number): this {
    return this.indexed(0x10, index);
  }

  block(): this {
    return this.indexed(0x02, EMPTY_BLOCK);
  }

  loop(): this {
    return this.indexed(0x03, EMPTY_BLOCK);
  }

  if(result?: ValueType): this {
    return this.indexed(0x04, result ?? EMPTY_BLOCK);
  }

  br(depth: number): this {
    return this.indexed(0x0c, depth);
  }

  brIf(depth: number): this {
    return this.indexed(0x0d, depth);
  }

  /** Branches by the number on the stack: to the depth of that place, beyond the last one to the last one. */
  brTable(depths: readonly number[]): this {
    this.indexed(0x0e, depths.length - 1);
    for (const depth of depths) this.unsigned(depth);
    return this;
  }

  append(code: Code): this {
    this.all(code.content);
    return this;
  }

  private indexed(opcode: number, index: number): this {
    this.byte(opcode);
    this.unsigned(index);
    return this;
  }
}

/** The parts of a module that are not instructions. */
class Section extends Bytes {
  /** Bytes as they are. */
  raw(...bytes: number[]): this {
    for (const byte of bytes) this.byte(byte);
    return this;
  }

  number(value: number): this {
    this.unsigned(value);
    return this;
  }

  /** An i32.const expression's operand. */
  constant(value: number): this {
    this.signed32(value);
    return this;
  }

  text(value: string): this {
    return this.sized(new TextEncoder().encode(value));
  }

  /** Bytes behind their number. */
  sized(bytes: Uint8Array): this {
    this.unsigned(bytes.length);
    this.all(bytes);
    return this;
  }

  append(bytes: Uint8Array): this {
    this.all(bytes);
    return this;
  }
}

interface DefinedFunction {
  type: number;
  /** Locals and instructions. */
  body: Uint8Array;
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
    const body = new Section().number(locals.length);
    for (const local of locals) body.number(1).raw(local);
    body.append(code.content).raw(OPCODES.end);
    this.functions[index - this.imports.length] = { type: this.type(type), body: body.content.slice(), name };
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
    const output = new Section().raw(0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00);
    const section = (id: number, content: Section): Section => output.raw(id).sized(content.content);

    const types = new Section().number(this.types.length);
    for (const { parameters, result } of this.types) {
      types
        .raw(0x60)
        .number(parameters.length)
        .raw(...parameters);
      if (result === undefined) types.number(0);
      else types.number(1).raw(result);
    }
    section(1, types);

    const { minimum, maximum } = MEMORY_PAGES;
    const imports = new Section().number(2 + this.imports.length);
    imports.text(this.from).text('memory').raw(0x02, 0x03).number(minimum).number(maximum);
    imports.text(this.from).text('table').raw(0x01, FUNCREF, 0x00);
    imports.number(base + slots.length);
    for (const { name, type } of this.imports) imports.text(this.from).text(name).raw(0x00).number(type);
    section(2, imports);

    const declarations = new Section().number(functions.length);
    for (const { type } of functions) declarations.number(type);
    section(3, declarations);

    if (slots.length > 0) {
      const elements = new Section().number(1).raw(0x00, 0x41).constant(base).raw(OPCODES.end).number(slots.length);
      for (const slot of slots) elements.number(slot);
      section(9, elements);
    }

    const bodies = new Section().number(functions.length);
    for (const { body } of functions) bodies.sized(body);
    section(10, bodies);

    for (const { name, content } of this.customs) section(0, new Section().text(name).append(content));

    const names = new Section().number(functions.length);
    for (const [index, { name }] of functions.entries()) names.number(index + this.imports.length).text(name);
    section(0, new Section().text('name').raw(0x01).sized(names.content));
    return output.content.slice();
  }
}
