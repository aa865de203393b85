/**
 * What a file's debugging information can be asked, by expressions, stacks, breakpoints and the adapter. `DebugFile`
 * (debug-file.ts) answers for one ELF file:
 *
 *     const kernel = DebugFile.open('vmlinux')               // reads headers only; everything else when asked for
 *     kernel.slide = 0x1f000000n                              // where it runs minus where it was linked
 *     kernel.symbolNamed('start_kernel')?.address             // .symtab, with the slide
 *     kernel.breakpointsAt('fs/read_write.c', 450)            // { line, places: [{ address, ... }] }
 *     kernel.framesAt(pc)                                     // inlined functions first, then the function itself
 *     for (const variable of kernel.variablesOf(frame)) kernel.locate(variable, context)
 *     kernel.findType('struct task_struct')                   // members, sizes, offsets
 *     kernel.unwind(registers, read)                          // registers of the caller
 *
 * Addresses that go in and come out are the guest's: the file's own plus `slide`. They are unsigned 64-bit bigints.
 * Every question can throw `DwarfError` or `ElfError` (both of `elf/elf-error.ts`) when the part of the file that
 * answers it is broken; a question that the file knows no answer to gets undefined or an empty list.
 */

import type { CodeSymbol, SymbolPlace } from '../symbol-table.ts'
import type { Type } from './type-model.ts'

/** Half open: `low` belongs to it, `high` does not. */
export interface AddressRange {
  readonly low: bigint
  readonly high: bigint
}

/** A place in a source file. */
export interface SourceLocation {
  /** As the compiler knew it, made absolute where the file tells the compiler's directory, `..` resolved. */
  readonly file: string
  /** From 1; 0 when code belongs to no line. */
  readonly line: number
  /** From 1; 0 when unknown. */
  readonly column: number
}

/** The line of an address, with the code around it that belongs to the same line: what a step has to leave. */
export interface LinePlace extends SourceLocation {
  readonly low: bigint
  readonly high: bigint
  /** Whether `low` begins a statement. */
  readonly isStatement: boolean
  /** Addresses from `low` up to `high` where statements of the line begin, ascending. */
  readonly statements: readonly bigint[]
}

/** Code of one line: where a breakpoint goes. */
export interface LineAddress extends SourceLocation {
  readonly address: bigint
}

/** Where a breakpoint on a line ends up. */
export interface LineBreakpoint {
  /** The line asked for, or the nearest one below it that has code. */
  readonly line: number
  /** One place in each function (or inlined copy) that the line has code in. */
  readonly places: readonly LineAddress[]
}

/** One frame of source that an address lies in: a function, or one that was inlined into the next. */
export interface SourceFrame {
  /** With its namespaces where it has them (`core::ptr::drop_in_place`). */
  readonly name: string
  readonly inlined: boolean
  /** Where this function executes: the line of the address, or of the call that was inlined; undefined if unknown. */
  readonly location: SourceLocation | undefined
  /** Where it was written. */
  readonly declared: SourceLocation | undefined
  readonly ranges: readonly AddressRange[]
  /** The address that was asked about. */
  readonly address: bigint
  readonly language: 'c' | 'c++' | 'rust' | 'assembly' | 'other'
  /** Of the result; undefined for none (void). */
  readonly returnType: Type | undefined
  /** Names the entry in `.debug_info`. */
  readonly die: number
}

/** A function that can be called by name. */
export interface FunctionPlace {
  readonly name: string
  /** Its first instruction, or that of an inlined copy. */
  readonly address: bigint
  /** Where its arguments have been put in place: where a breakpoint on the function should be. */
  readonly bodyAddress: bigint
  readonly inlined: boolean
  readonly declared: SourceLocation | undefined
}

export interface Variable {
  readonly name: string
  readonly kind: 'parameter' | 'local' | 'static'
  readonly type: Type | undefined
  readonly declared: SourceLocation | undefined
  /** Nesting of its block: 0 for the function's own; the larger hides the smaller of the same name. */
  readonly depth: number
  /** Names the entry in `.debug_info`; together with the frame enough to `locate` it. */
  readonly die: number
  /** The function's entry, whose frame base its location is relative to; undefined for one outside functions. */
  readonly functionDie: number | undefined
}

/** Reads guest memory; undefined when not all of it can be read. `size` is in bytes. */
export type ReadMemory = (address: bigint, size: number) => Uint8Array | undefined

/** What a location is evaluated against: one frame of a stopped guest. */
export interface EvaluationContext {
  /** Of the frame: an address inside the code of the frame, for a caller its return address minus one. */
  readonly pc: bigint
  /**
   * By DWARF's numbers (x86-64 psABI, figure 3.36; i386 psABI, table 2.14). undefined when it is not known in this
   * frame. Segment bases are registers 58 (FS) and 59 (GS) on x86-64.
   */
  register(number: number): bigint | undefined
  readonly read: ReadMemory
  /** The canonical frame address; computed from the unwind tables and `register` when left out. */
  readonly cfa?: bigint | undefined
  /** What a register was when the function was entered, as its caller knows; undefined when that does not tell. */
  entryValue?(register: number): bigint | undefined
}

/** The call that a frame comes from. */
export interface CallOfFunction {
  readonly returnAddress: bigint
  /** Of the function that was called. */
  readonly entry: bigint
}

/** Where a value is. Bit offsets count from the least significant bit of the first byte. */
export type ValueLocation =
  | { readonly kind: 'memory'; readonly address: bigint }
  | { readonly kind: 'register'; readonly register: number }
  /** The value itself, known without being stored anywhere; little-endian. */
  | { readonly kind: 'value'; readonly bytes: Uint8Array }
  | { readonly kind: 'pieces'; readonly pieces: readonly ValuePiece[] }
  /** `reason` completes the sentence "optimized out: ...". */
  | { readonly kind: 'optimized-out'; readonly reason: string }

export interface ValuePiece {
  readonly bitSize: number
  /** Where in `location` the piece begins. */
  readonly bitOffset: number
  readonly location: Exclude<ValueLocation, { kind: 'pieces' }>
}

/** Registers by DWARF's numbers. A hole is a register whose value is not known. */
export type DwarfRegisters = readonly (bigint | undefined)[]

/** The state of a calling function, as far as the callee left it to be found. */
export interface UnwoundFrame {
  /** The caller's registers, the stack pointer and the program counter (return address) among them. */
  readonly registers: DwarfRegisters
  readonly pc: bigint
  /** Of the callee. */
  readonly cfa: bigint
  /** The callee was entered by an interrupt, exception or signal: `pc` is the next instruction, not a return address. */
  readonly interrupted: boolean
  /** Which table told. */
  readonly by: 'debug_frame' | 'eh_frame' | 'orc'
}

export interface DebugInfo {
  readonly path: string
  readonly buildId: string | undefined
  /** Of the code; an ELF32 file may hold 64-bit code. */
  readonly bits: 32 | 64
  slide: bigint

  /** Of several symbols of the name a global one before a local one, a function before data. */
  symbolNamed(name: string): CodeSymbol | undefined
  symbolsNamed(name: string): readonly CodeSymbol[]
  symbolAt(address: bigint): SymbolPlace | undefined

  lineAt(address: bigint): LinePlace | undefined
  /** `file` may be any path whose end matches; the line is the nearest with code. undefined when nothing matches. */
  breakpointsAt(file: string, line: number): LineBreakpoint | undefined
  /** Every place in lines `first` to `last` where a statement begins. */
  statementsIn(file: string, first: number, last: number): readonly LineAddress[]
  sourceFiles(): readonly string[]

  /** Innermost first; empty where no function of the debugging information lies. */
  framesAt(address: bigint): readonly SourceFrame[]
  functionsNamed(name: string): readonly FunctionPlace[]
  /** Parameters and locals in scope at the frame's address, statics of the function among them; inner blocks last. */
  variablesOf(frame: SourceFrame): readonly Variable[]
  /** A variable outside functions; one with storage in this file before a mere declaration. */
  variableNamed(name: string): Variable | undefined
  locate(variable: Variable, context: EvaluationContext): ValueLocation
  /**
   * The entry of the function at an address, if the call that it returns to can tell its arguments: not when it may have
   * been left by a jump in the meantime.
   */
  calledEntry(address: bigint): bigint | undefined
  /** What the caller, whose context this is, had put into a register for a call; undefined when it is not told. */
  entryValue(call: CallOfFunction, register: number, context: EvaluationContext): bigint | undefined
  /** The bytes of a located value; undefined when memory or a register can't be read. `size` is in bytes. */
  readLocation(location: ValueLocation, size: number, context: EvaluationContext): Uint8Array | undefined

  /**
   * `task_struct`, `struct task_struct`, `union ...`, `enum ...`, `unsigned int`, a typedef, or a Rust path such as
   * `core::option::Option<u32>`. A full definition, never a declaration.
   */
  findType(name: string): Type | undefined
  /** The value of an enumerator (`PIDTYPE_MAX`), with its enumeration. */
  findEnumerator(name: string): { readonly value: bigint; readonly type: Type } | undefined

  /**
   * The caller of the frame whose registers these are. The program counter is at the file's own number for it (16 on
   * x86-64, 8 on i386). `isCaller` says that it is a return address, so that the call before it decides.
   */
  unwind(registers: DwarfRegisters, read: ReadMemory, isCaller: boolean): UnwoundFrame | undefined
}
