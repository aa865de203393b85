/** Puts functions together into a WebAssembly module that shares the host's memory. */

import { FunctionBuilder, type FunctionReference } from './function-builder.ts'
import { TYPE_CODE, type ValueType } from './opcodes.ts'
import { type CodeBytes, unsignedLeb } from './value.ts'

interface Defined {
  readonly builder: FunctionBuilder
  readonly typeIndex: number
}

export class ModuleBuilder {
  readonly #types: CodeBytes[] = []
  readonly #typeKeys = new Map<string, number>()
  readonly #imports: { name: string; typeIndex: number }[] = []
  readonly #functions: Defined[] = []
  readonly #exports: { name: string; index: number }[] = []
  #tableSize = 0
  #tableExport = ''

  /** Imports `env.name`. All imports come before the first function of the module. */
  import<R extends ValueType | 'void'>(
    name: string,
    parameters: readonly ValueType[],
    result: R,
  ): FunctionReference<R> {
    if (this.#functions.length > 0) throw new Error(`import ${name} after a function`)
    this.#imports.push({ name, typeIndex: this.typeIndex(parameters, result) })
    return { index: this.#imports.length - 1, parameters, result }
  }

  /** Declares a function; its body may be built later, so that functions can call each other. */
  declare<R extends ValueType | 'void'>(
    parameters: readonly ValueType[],
    result: R,
    exportName?: string,
  ): { builder: FunctionBuilder; reference: FunctionReference<R> } {
    const builder = new FunctionBuilder(parameters, result)
    this.#functions.push({ builder, typeIndex: this.typeIndex(parameters, result) })
    const reference = { index: this.#imports.length + this.#functions.length - 1, parameters, result }
    if (exportName !== undefined) this.#exports.push({ name: exportName, index: reference.index })
    return { builder, reference }
  }

  typeIndex(parameters: readonly ValueType[], result: ValueType | 'void'): number {
    const key = `${parameters.join()}>${result}`
    const known = this.#typeKeys.get(key)
    if (known !== undefined) return known
    const results = result === 'void' ? [] : [TYPE_CODE[result]]
    this.#types.push([0x60, parameters.length, ...parameters.map(p => TYPE_CODE[p]), results.length, ...results])
    this.#typeKeys.set(key, this.#types.length - 1)
    return this.#types.length - 1
  }

  /** An empty table of functions, table 0, for `callIndirect`. */
  setTable(size: number, exportName: string): void {
    this.#tableSize = size
    this.#tableExport = exportName
  }

  /** @param memoryPages of the imported memory `env.memory`, its minimum and maximum. */
  encode(memoryPages: number): Uint8Array<ArrayBuffer> {
    const out: CodeBytes = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
    section(out, 1, this.#types)
    const imports = this.#imports.map(({ name, typeIndex }) => {
      const entry = [...text('env'), ...text(name), 0]
      unsignedLeb(entry, typeIndex)
      return entry
    })
    const memory = [...text('env'), ...text('memory'), 2, 1]
    unsignedLeb(memory, memoryPages)
    unsignedLeb(memory, memoryPages)
    section(out, 2, [...imports, memory])
    section(
      out,
      3,
      this.#functions.map(({ typeIndex }) => leb(typeIndex)),
    )
    if (this.#tableSize > 0) section(out, 4, [[0x70, 0, ...leb(this.#tableSize)]])
    const exported = this.#exports.map(({ name, index }) => [...text(name), 0, ...leb(index)])
    if (this.#tableSize > 0) exported.push([...text(this.#tableExport), 1, 0])
    section(out, 7, exported)
    this.#encodeHints(out)
    const functions = [leb(this.#functions.length), ...this.#functions.flatMap(({ builder }) => builder.encode())]
    out.push(10)
    unsignedLeb(out, byteLength(functions))
    return concatenate([out, ...functions])
  }

  /** Custom section `metadata.code.branch_hint` (WebAssembly branch hinting), before the code. */
  #encodeHints(out: CodeBytes): void {
    const hinted = this.#functions
      .map(({ builder }, index) => ({ builder, index }))
      .filter(f => f.builder.hints.length > 0)
    if (hinted.length === 0) return
    const body = text('metadata.code.branch_hint')
    unsignedLeb(body, hinted.length)
    for (const { builder, index } of hinted) builder.encodeHints(body, this.#imports.length + index)
    out.push(0)
    unsignedLeb(out, body.length)
    for (const byte of body) out.push(byte)
  }
}

function section(out: CodeBytes, id: number, entries: readonly CodeBytes[]): void {
  const count = leb(entries.length)
  out.push(id)
  unsignedLeb(out, count.length + byteLength(entries))
  for (const byte of count) out.push(byte)
  for (const entry of entries) for (const byte of entry) out.push(byte)
}

function byteLength(pieces: readonly CodeBytes[]): number {
  return pieces.reduce((length, piece) => length + piece.length, 0)
}

function concatenate(pieces: readonly CodeBytes[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(byteLength(pieces))
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

function leb(value: number): CodeBytes {
  const out: CodeBytes = []
  unsignedLeb(out, value)
  return out
}

function text(value: string): CodeBytes {
  const bytes = [...new TextEncoder().encode(value)]
  return [...leb(bytes.length), ...bytes]
}
