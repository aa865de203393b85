/**
 * Steps by statement and line, made of the steps that a target has:
 *
 *     const step = new SourceStep(book, machine, { vcpu: 0, kind: 'over', granularity: 'line' })
 *     let request = step.begin()
 *     while (request !== undefined) {
 *       await stepOfTarget(request)                 // anything else that stops the guest ends the step
 *       request = step.stopped(stop.vcpu)           // undefined: this is where a person expects it to end
 *     }
 *
 * A step ends at the beginning of a statement of another line, or back in the caller. Functions without line
 * information are left at once unless they are asked for; code that was inlined counts as a call.
 */

import { instructionPointer } from '../inspect/cpu-mode.ts'
import type { MachineView } from '../inspect/machine-view.ts'
import type { LinePlace } from '../symbols/dwarf/debug-info.ts'
import type { Activation, StackFrame } from './stack/frame.ts'
import { Stack } from './stack/stack.ts'
import type { StepRequest } from './stop-request.ts'
import type { SymbolBook } from './symbol-book.ts'
import { TargetError } from './target.ts'

export interface SourceStepOptions {
  readonly vcpu: number
  readonly kind: 'into' | 'over' | 'out'
  readonly granularity: 'instruction' | 'statement' | 'line'
  /** For `out`: the frame that is left, 0 for the innermost. */
  readonly level?: number
  /** Stop in functions without line information too. */
  readonly intoUnknown?: boolean
  /** Stop in handlers of interrupts and exceptions. */
  readonly intoInterrupts?: boolean
}

/** A line's code is in pieces, and loops: a step that never ends otherwise ends after so many. */
const MOST_PIECES = 10_000

/** Where a thread stands, as far as a step is concerned. */
interface Position {
  readonly pc: bigint
  readonly line: LinePlace | undefined
  /** Entries of the function and what is inlined into it there, outermost first. */
  readonly chain: readonly number[]
  /** The stack pointer of the caller: smaller in deeper calls. */
  readonly depth: bigint | undefined
  readonly stack: Stack
  readonly frame: StackFrame
}

export class SourceStep {
  readonly #book: SymbolBook
  readonly #machine: MachineView
  readonly #options: SourceStepOptions
  readonly #stackOf: (vcpu: number) => Stack
  #start: Position
  #pieces = 0
  /** Ends wherever the request that was made last leads to. */
  #last = false

  /** @param stackOf the stack of a vCPU as it stands now, where it may have been unwound already. */
  constructor(
    book: SymbolBook,
    machine: MachineView,
    options: SourceStepOptions,
    stackOf = (vcpu: number): Stack => new Stack(book, machine.vcpus[vcpu], machine),
  ) {
    this.#book = book
    this.#machine = machine
    this.#options = options
    this.#stackOf = stackOf
    this.#start = this.#position(options.vcpu)
  }

  /** Throws {@link TargetError} when there is no caller to step out to. */
  begin(): StepRequest {
    const { kind, granularity, vcpu } = this.#options
    if (kind === 'out') return this.#out()
    const { line } = this.#start
    if (granularity === 'instruction' || line === undefined) {
      this.#last = true
      return this.#request(vcpu, kind)
    }
    return this.#throughLine(vcpu, this.#start)
  }

  /** What to do after a step of the target has ended there; undefined when the whole step has. */
  stopped(vcpu: number): StepRequest | undefined {
    if (this.#last || ++this.#pieces > MOST_PIECES) return undefined
    const now = this.#position(vcpu)
    if (this.#isDeeper(now)) return this.#entered(vcpu, now)
    if (this.#isOuter(now)) return this.#returned(now)
    if (this.#options.kind === 'out') return this.#stillInlined(vcpu, now)
    return this.#samePlace(vcpu, now)
  }

  // Where it has come to

  /** In a function that was called, or one that is inlined. */
  #isDeeper({ depth, chain }: Position): boolean {
    const start = this.#start
    if (depth !== undefined && start.depth !== undefined && depth !== start.depth) return depth < start.depth
    return chain.length > start.chain.length && startsWith(chain, start.chain)
  }

  #isOuter({ depth, chain }: Position): boolean {
    const start = this.#start
    if (depth !== undefined && start.depth !== undefined && depth !== start.depth) return depth > start.depth
    return chain.length < start.chain.length && startsWith(start.chain, chain)
  }

  #entered(vcpu: number, now: Position): StepRequest | undefined {
    const inlined = now.depth === this.#start.depth
    if (this.#options.kind !== 'into') {
      // A tail call or a jump leads elsewhere too: it comes back where the function would have.
      if (inlined && now.line !== undefined) return this.#throughLine(vcpu, now)
      return this.#backFrom(vcpu, now)
    }
    if (inlined) return this.#atStatement(now) ? undefined : this.#throughLine(vcpu, now)
    if (now.line === undefined) return this.#options.intoUnknown ? undefined : this.#backFrom(vcpu, now)
    const body = this.#bodyOf(now.pc)
    if (body === undefined || body === now.pc) return undefined
    this.#last = true
    return { ...this.#request(vcpu, 'to'), address: body }
  }

  /** Back in the caller: in the middle of the line with the call, whose result is there to see. */
  #returned(now: Position): StepRequest | undefined {
    if (now.line !== undefined || this.#options.intoUnknown) return undefined
    const caller = now.stack.callerOf(now.frame)
    if (caller === undefined) return undefined
    this.#start = now
    return this.#to(this.#options.vcpu, caller)
  }

  #samePlace(vcpu: number, now: Position): StepRequest | undefined {
    const { line } = now
    if (line === undefined) {
      const caller = now.stack.callerOf(now.frame)
      return caller === undefined || this.#options.intoUnknown ? undefined : this.#to(vcpu, caller)
    }
    const left = line.line !== this.#start.line?.line || line.file !== this.#start.line.file
    const ends = this.#options.granularity === 'statement' || left
    // Line 0 is code that no line stands for; the middle of a line is where the code of several is mixed.
    if (ends && line.line !== 0 && this.#atStatement(now)) return undefined
    return this.#throughLine(vcpu, now)
  }

  #stillInlined(vcpu: number, now: Position): StepRequest | undefined {
    if (!startsWith(now.chain, this.#start.chain) || now.line === undefined) return undefined
    return this.#throughLine(vcpu, now)
  }

  // Requests

  #out(): StepRequest {
    const { vcpu, level = 0 } = this.#options
    const [frame] = this.#start.stack.frames(level, 1)
    if (frame === undefined) throw new TargetError(`there is no frame ${level}`)
    if (frame.kind === 'inlined' && level === 0 && this.#start.line !== undefined)
      return this.#throughLine(vcpu, this.#start)
    const caller = this.#start.stack.callerOf(frame)
    if (caller === undefined) throw new TargetError('no caller of this function is known')
    this.#last = true
    return this.#to(vcpu, caller)
  }

  #throughLine(vcpu: number, { pc, line }: Position): StepRequest {
    const kind = this.#options.kind === 'into' ? 'into' : 'over'
    if (line === undefined) return this.#request(vcpu, kind)
    const range =
      this.#options.granularity === 'statement' ? this.#statementRange(pc, line) : { start: line.low, end: line.high }
    return { ...this.#request(vcpu, kind), ranges: [range] }
  }

  #backFrom(vcpu: number, { stack, frame }: Position): StepRequest | undefined {
    const caller = stack.callerOf(frame)
    return caller === undefined ? undefined : this.#to(vcpu, caller)
  }

  #to(vcpu: number, caller: Activation): StepRequest {
    return { ...this.#request(vcpu, 'to'), address: caller.pc, ...stackOfCaller(caller) }
  }

  #request(vcpu: number, kind: StepRequest['kind']): StepRequest {
    const { intoInterrupts } = this.#options
    return { vcpu, kind, ...(intoInterrupts ? { intoInterrupts, intoExceptions: true } : {}) }
  }

  // Lines

  #position(vcpu: number): Position {
    const stack = this.#stackOf(vcpu)
    const [frame] = stack.frames(0, 1)
    const pc = instructionPointer(this.#machine.vcpus[vcpu])
    const chain = (this.#book.framesAt(pc)?.frames ?? []).map(({ die }) => die).reverse()
    return { pc, line: this.#book.lineAt(pc), chain, depth: stack.canonicalAddress(frame), stack, frame }
  }

  #atStatement({ pc, line }: Position): boolean {
    return line?.statements.includes(pc) ?? false
  }

  #statementRange(pc: bigint, { statements, low, high }: LinePlace): { start: bigint; end: bigint } {
    return {
      start: statements.findLast(address => address <= pc) ?? low,
      end: statements.find(address => address > pc) ?? high,
    }
  }

  /** Behind the prologue of the function that begins at an address. */
  #bodyOf(entry: bigint): bigint | undefined {
    const name = this.#book.framesAt(entry)?.frames.at(-1)?.name
    if (name === undefined) return undefined
    return this.#book.functionPlaces(name).find(({ address }) => address === entry)?.bodyAddress
  }
}

/** Of 16-bit code an offset in its segment, which wraps around. */
function stackOfCaller({ sp, segments }: Activation): Pick<StepRequest, 'stackAtLeast' | 'stackBase'> {
  if (segments === undefined) return { stackAtLeast: sp }
  const { ss, stackBits } = segments
  const stackAtLeast = BigInt.asUintN(stackBits, sp - ss.base)
  return stackBits === 16 ? { stackAtLeast, stackBase: ss.base } : { stackAtLeast }
}

function startsWith(chain: readonly number[], start: readonly number[]): boolean {
  return start.every((die, index) => chain[index] === die)
}
