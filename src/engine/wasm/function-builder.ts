/** Builds the body of one WebAssembly function from statements over {@link Value} trees. */

import { LOAD, LOAD_SIGNED, SIMD, STORE, TYPE_CODE, type ValueType } from './opcodes.ts'
import { type CodeBytes, unsignedLeb, Value } from './value.ts'

/** A target of branches: the end of a block, or the head of a loop. */
export interface Label {
  readonly depth: number
}

/** A function that can be called: imported, or of this module. */
export interface FunctionReference<R extends ValueType | 'void'> {
  readonly index: number
  readonly parameters: readonly ValueType[]
  readonly result: R
}

export class Local<T extends ValueType> extends Value<T> {
  readonly index: number

  constructor(type: T, index: number) {
    super(type, out => {
      out.push(0x20)
      unsignedLeb(out, index)
    })
    this.index = index
  }
}

const END: CodeBytes = [0x0b]

/** Bytes that a load or store of each type moves when no other width is asked for. */
const NATURAL = { i32: 4, i64: 8, f32: 4, f64: 8, v128: 16 } as const

export class FunctionBuilder {
  readonly parameters: readonly ValueType[]
  readonly result: ValueType | 'void'
  readonly code: CodeBytes = []
  /** Branch hints by position in {@link code}. */
  readonly hints: { readonly position: number; readonly likely: boolean }[] = []
  /** Locals as they are declared: how many of a type follow each other. */
  readonly #locals: { count: number; readonly type: ValueType }[] = []
  #localCount = 0
  /** Locals by type that `let` may use again, because the scope that made them ended. */
  readonly #free = new Map<ValueType, Local<ValueType>[]>()
  #scopeLocals: Local<ValueType>[] = []
  #depth = 0

  constructor(parameters: readonly ValueType[], result: ValueType | 'void') {
    this.parameters = parameters
    this.result = result
  }

  /** Blocks, loops and branches around the point that is being emitted. */
  get depth(): number {
    return this.#depth
  }

  parameter<T extends ValueType>(index: number, type: T): Local<T> {
    if (this.parameters[index] !== type) throw new TypeError(`parameter ${index} is not ${type}`)
    return new Local(type, index)
  }

  local<T extends ValueType>(type: T): Local<T> {
    const last = this.#locals[this.#locals.length - 1]
    if (last?.type === type) last.count++
    else this.#locals.push({ count: 1, type })
    return new Local(type, this.parameters.length + this.#localCount++)
  }

  /** Evaluates once and names the result. A constant stays a constant. */
  let<T extends ValueType>(value: Value<T>): Value<T> {
    if (value.constant !== undefined || value instanceof Local) return value
    const local = this.#temporary(value.type)
    this.set(local, value)
    return local
  }

  /** Like `let`, but the local may be assigned again. */
  variable<T extends ValueType>(value: Value<T>): Local<T> {
    const local = this.#temporary(value.type)
    this.set(local, value)
    return local
  }

  /** Runs `body`; locals that `let` makes in it are used again afterwards. */
  scope(body: () => void): void {
    const outer = this.#scopeLocals
    this.#scopeLocals = []
    body()
    for (const local of this.#scopeLocals) {
      const free = this.#free.get(local.type)
      if (free) free.push(local)
      else this.#free.set(local.type, [local])
    }
    this.#scopeLocals = outer
  }

  #temporary<T extends ValueType>(type: T): Local<T> {
    const reused = this.#free.get(type)?.pop()
    const local = reused === undefined ? this.local(type) : new Local(type, reused.index)
    this.#scopeLocals.push(local)
    return local
  }

  set<T extends ValueType>(local: Local<T>, value: Value<T>): void {
    value.emit(this.code)
    this.code.push(0x21)
    unsignedLeb(this.code, local.index)
  }

  load<T extends ValueType>(
    type: T,
    address: Value<'i32'>,
    offset = 0,
    bytes: number = NATURAL[type],
    signed = false,
  ): Value<T> {
    return new Value(type, out => {
      address.emit(out)
      if (type === 'v128') out.push(0xfd, SIMD['v128.load'])
      else out.push(loadOpcode(type, bytes, signed))
      out.push(0)
      unsignedLeb(out, offset)
    })
  }

  store<T extends ValueType>(
    address: Value<'i32'>,
    value: Value<T>,
    offset = 0,
    bytes: number = NATURAL[value.type],
  ): void {
    const out = this.code
    address.emit(out)
    value.emit(out)
    if (value.type === 'v128') out.push(0xfd, SIMD['v128.store'])
    else out.push(storeOpcode(value.type, bytes))
    out.push(0)
    unsignedLeb(out, offset)
  }

  call(target: FunctionReference<'void'>, ...operands: Value<ValueType>[]): void {
    this.#emitCall(this.code, target, operands)
  }

  /** A call as a value; it happens where the value is emitted, so `let` it. */
  callValue<T extends ValueType>(target: FunctionReference<T>, ...operands: Value<ValueType>[]): Value<T> {
    return new Value(target.result, out => this.#emitCall(out, target, operands))
  }

  #emitCall(
    out: CodeBytes,
    target: FunctionReference<ValueType | 'void'>,
    operands: readonly Value<ValueType>[],
  ): void {
    if (operands.length !== target.parameters.length) throw new TypeError('call with the wrong number of operands')
    for (const each of operands) each.emit(out)
    out.push(0x10)
    unsignedLeb(out, target.index)
  }

  /** Calls entry `index` of table 0. */
  callIndirect<T extends ValueType>(
    result: T,
    typeIndex: number,
    index: Value<'i32'>,
    ...operands: Value<ValueType>[]
  ): Value<T> {
    return new Value(result, out => {
      for (const each of operands) each.emit(out)
      index.emit(out)
      out.push(0x11)
      unsignedLeb(out, typeIndex)
      out.push(0)
    })
  }

  /** @param likely whether the condition usually holds, for engines that heed branch hints */
  if(condition: Value<'i32'>, then: () => void, otherwise?: () => void, likely?: boolean): void {
    condition.emit(this.code)
    if (likely !== undefined) this.hints.push({ position: this.code.length, likely })
    this.code.push(0x04, 0x40)
    this.#depth++
    then()
    if (otherwise) {
      this.code.push(0x05)
      otherwise()
    }
    this.#end()
  }

  /** `condition ? yes() : no()` with only one of them evaluated. */
  choose<T extends ValueType>(
    condition: Value<'i32'>,
    yes: () => Value<T>,
    no: () => Value<T>,
    type: T,
    likely?: boolean,
  ): Value<T> {
    const result = this.#temporary(type)
    this.if(
      condition,
      () => this.set(result, yes()),
      () => this.set(result, no()),
      likely,
    )
    return result
  }

  block(body: (end: Label) => void): void {
    this.#open(0x02, body)
  }

  loop(body: (head: Label) => void): void {
    this.#open(0x03, body)
  }

  /**
   * `count` blocks, each in the next: `inner` gets their ends, innermost first; `after` writes what follows each of them.
   * No recursion: a worker of a browser has no stack for a block for every handler.
   */
  nest(count: number, inner: (ends: readonly Label[]) => void, after: (block: number) => void): void {
    const ends: Label[] = []
    for (let block = 0; block < count; block++) {
      this.code.push(0x02, 0x40)
      ends.unshift({ depth: ++this.#depth })
    }
    inner(ends)
    for (let block = 0; block < count; block++) {
      this.#end()
      after(block)
    }
  }

  #open(opcode: number, body: (label: Label) => void): void {
    this.code.push(opcode, 0x40)
    this.#depth++
    body({ depth: this.#depth })
    this.#end()
  }

  #end(): void {
    this.code.push(0x0b)
    this.#depth--
  }

  br(label: Label): void {
    this.code.push(0x0c)
    unsignedLeb(this.code, this.#depth - label.depth)
  }

  brIf(label: Label, condition: Value<'i32'>): void {
    condition.emit(this.code)
    this.code.push(0x0d)
    unsignedLeb(this.code, this.#depth - label.depth)
  }

  brTable(index: Value<'i32'>, labels: readonly Label[], otherwise: Label): void {
    index.emit(this.code)
    this.code.push(0x0e)
    unsignedLeb(this.code, labels.length)
    for (const label of labels) unsignedLeb(this.code, this.#depth - label.depth)
    unsignedLeb(this.code, this.#depth - otherwise.depth)
  }

  return(value?: Value<ValueType>): void {
    value?.emit(this.code)
    this.code.push(0x0f)
  }

  unreachable(): void {
    this.code.push(0x00)
  }

  copyMemory(to: Value<'i32'>, from: Value<'i32'>, length: Value<'i32'>): void {
    for (const each of [to, from, length]) each.emit(this.code)
    this.code.push(0xfc, 0x0a, 0, 0)
  }

  fillMemory(to: Value<'i32'>, byte: Value<'i32'>, length: Value<'i32'>): void {
    for (const each of [to, byte, length]) each.emit(this.code)
    this.code.push(0xfc, 0x0b, 0)
  }

  #localDeclarations(): CodeBytes {
    const out: CodeBytes = []
    unsignedLeb(out, this.#locals.length)
    for (const { count, type } of this.#locals) {
      unsignedLeb(out, count)
      out.push(TYPE_CODE[type])
    }
    return out
  }

  /** The function's entry in the code section, in pieces: a body is long, and copied only once. */
  encode(): readonly CodeBytes[] {
    const declarations = this.#localDeclarations()
    const size: CodeBytes = []
    unsignedLeb(size, declarations.length + this.code.length + 1)
    return [size, declarations, this.code, END]
  }

  /** Appends the function's entry in the branch-hint section: offsets count from its local declarations. */
  encodeHints(out: CodeBytes, index: number): void {
    const declarations = this.#localDeclarations().length
    unsignedLeb(out, index)
    unsignedLeb(out, this.hints.length)
    for (const { position, likely } of this.hints) {
      unsignedLeb(out, declarations + position)
      out.push(1, likely ? 1 : 0)
    }
  }
}

function loadOpcode(type: Exclude<ValueType, 'v128'>, bytes: number, signed: boolean): number {
  const table: Readonly<Record<number, number>> = (signed ? LOAD_SIGNED : LOAD)[type]
  const opcode = table[bytes]
  if (opcode === undefined) throw new TypeError(`no load of ${bytes} bytes into ${type}`)
  return opcode
}

function storeOpcode(type: Exclude<ValueType, 'v128'>, bytes: number): number {
  const table: Readonly<Record<number, number>> = STORE[type]
  const opcode = table[bytes]
  if (opcode === undefined) throw new TypeError(`no store of ${bytes} bytes from ${type}`)
  return opcode
}
