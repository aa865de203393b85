/**
 * The stack of a vCPU that stands still, unwound as far as it is looked at:
 *
 *     const stack = new Stack(book, vcpu, machine)
 *     stack.frames(0, 20)              // innermost first, inlined functions as frames of their own
 *     stack.total                      // how many there are, once the end has been reached
 *     stack.scope(frame)               // names for expressions, with the frame's locals
 *     stack.subject(frame)             // what they are evaluated against
 *     stack.canonicalAddress(frame)    // tells activations of one function apart
 *
 * It is void when the guest goes on.
 */

import { cpuMode, instructionPointer, stackPointer } from '../../inspect/cpu-mode.ts'
import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import { registerName } from '../dwarf-registers.ts'
import { FrameSubject, type Subject, VcpuSubject } from '../expression/subject.ts'
import { FrameScope } from '../frame-scope.ts'
import type { SymbolBook } from '../symbol-book.ts'
import { type Activation, lookupAddress, type StackFrame } from './frame.ts'
import { innermost, UnwindStep } from './unwind-step.ts'

/** A corrupted or hostile stack can go on for ever. */
const MOST_ACTIVATIONS = 4096

export class Stack {
  readonly #book: SymbolBook
  readonly #vcpu: VcpuView
  readonly #machine: MachineView
  readonly #step: UnwindStep
  readonly #frames: StackFrame[] = []
  readonly #activations: Activation[] = []
  readonly #seen = new Set<string>()
  #next: Activation | undefined

  constructor(book: SymbolBook, vcpu: VcpuView, machine: MachineView) {
    this.#book = book
    this.#vcpu = vcpu
    this.#machine = machine
    this.#step = new UnwindStep(book, vcpu, machine)
    this.#next = innermost(vcpu, instructionPointer(vcpu), stackPointer(vcpu), cpuMode(vcpu).codeBits)
  }

  /** Frames from `start` on, at most `count`; fewer where the stack ends. */
  frames(start: number, count: number): StackFrame[] {
    while (this.#frames.length < start + count && this.#next !== undefined) this.#unwind(this.#next)
    return this.#frames.slice(start, start + count)
  }

  /** undefined while the end has not been reached. */
  get total(): number | undefined {
    return this.#next === undefined ? this.#frames.length : undefined
  }

  scope({ described, activation }: StackFrame): FrameScope {
    if (described === undefined) return new FrameScope(this.#book, undefined, activation.bits === 64 ? 8 : 4)
    const entryValue = (register: number) => this.#entryValue(activation, register)
    return new FrameScope(this.#book, { ...described, pc: lookupAddress(activation), entryValue })
  }

  subject({ activation }: StackFrame): Subject {
    return this.#subjectOf(activation)
  }

  #subjectOf(activation: Activation): Subject {
    if (activation.by === 'start') return new VcpuSubject(this.#vcpu, this.#machine)
    const { registers, isCaller, segments } = activation
    return new FrameSubject(this.#vcpu, this.#machine, registers, isCaller, segments)
  }

  /**
   * The stack pointer of the caller as it was before the call: the same all through an activation, larger for outer
   * ones on the same stack. undefined where no caller can be found.
   */
  canonicalAddress({ activation }: StackFrame): bigint | undefined {
    return this.#callerOf(activation)?.sp
  }

  /** The frame that a frame returns to; inlined ones return to no address. */
  callerOf({ activation }: StackFrame): Activation | undefined {
    return this.#callerOf(activation)
  }

  /** What a register was when the function of an activation was entered, by DWARF's number, as its caller knows. */
  #entryValue(activation: Activation, register: number): bigint | undefined {
    const caller = this.#callerOf(activation)
    if (caller === undefined || !caller.isCaller) return undefined
    const address = lookupAddress(activation)
    const entry = this.#book.framesAt(address)?.file.calledEntry(address)
    const known = this.#book.framesAt(lookupAddress(caller))
    if (entry === undefined || known === undefined) return undefined
    // The caller may have to ask its own caller.
    if (caller === this.#next) this.#unwind(caller)
    return known.file.entryValue({ returnAddress: caller.pc, entry }, register, {
      pc: lookupAddress(caller),
      register: number => {
        const name = registerName(number, known.file.bits)
        return name === undefined ? undefined : caller.registers.get(name)
      },
      read: (at, size) => this.#subjectOf(caller).read('linear', at, size),
      entryValue: number => this.#entryValue(caller, number),
    })
  }

  #callerOf(activation: Activation): Activation | undefined {
    const index = this.#activations.indexOf(activation)
    if (index >= 0 && index + 1 < this.#activations.length) return this.#activations[index + 1]
    if (index === this.#activations.length - 1 && index >= 0) return this.#next
    return undefined
  }

  #unwind(activation: Activation): void {
    this.#activations.push(activation)
    this.#frames.push(...this.#framesOf(activation))
    this.#seen.add(identity(activation))
    const caller = this.#activations.length < MOST_ACTIVATIONS ? this.#step.callerOf(activation) : undefined
    this.#next = caller !== undefined && !this.#seen.has(identity(caller)) ? caller : undefined
  }

  #framesOf(activation: Activation): StackFrame[] {
    const address = lookupAddress(activation)
    const { pc, registers, by } = activation
    const kind = by === 'scan' ? 'heuristic' : by !== 'start' && !activation.isCaller ? 'interrupt' : 'normal'
    const known = this.#book.framesAt(address)
    const module = known === undefined ? this.#book.moduleAt(address)?.name : known.file.path
    const common = { by, pc, registers, module, activation }
    if (known === undefined) {
      const name = this.#symbolName(address, pc)
      const line = this.#book.lineAt(address)
      const source = line === undefined ? undefined : { file: line.file, line: line.line, column: line.column }
      return [{ ...common, level: this.#frames.length, kind, name, source, described: undefined }]
    }
    return known.frames.map((frame, index) => ({
      ...common,
      level: this.#frames.length + index,
      kind: frame.inlined ? 'inlined' : kind,
      name: frame.name,
      source: frame.location,
      described: { info: known.file, frame },
    }))
  }

  /** A call can be a function's last instruction: its symbol is that of the call, the offset that of what follows. */
  #symbolName(address: bigint, pc: bigint): string {
    const symbol = this.#book.containing(address)
    if (symbol === undefined) return hex(pc)
    return pc === symbol.address ? symbol.name : `${symbol.name}+${hex(pc - symbol.address)}`
  }
}

const hex = (value: bigint): string => `0x${value.toString(16)}`
const identity = ({ pc, sp }: Activation): string => `${pc}/${sp}`
