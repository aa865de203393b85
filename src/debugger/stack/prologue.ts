/** How the code of a function begins: whether its RBP, EBP or BP is a frame pointer. */

import type { SymbolBook } from '../symbol-book.ts'
import type { StillMemory } from './still-memory.ts'

/** Bytes of a function in which its frame begins: behind ENDBR, a call of a tracer, registers that a handler saves. */
const LONGEST = 16

const PUSH_BP = 0x55
const ENTER = 0xc8
/** MOV BP, SP in its two encodings. */
const MOV_BP_SP: readonly (readonly [number, number])[] = [
  [0x89, 0xe5],
  [0x8b, 0xec],
]
/** Before MOV: the operand size prefix, and REX.W in 64-bit code (SDM vol. 2, 2.2.1). */
const SIZES: ReadonlySet<number> = new Set([0x66, 0x48])

/** Where the function begins; NASM's labels inside it, `function.label`, are not where. undefined without a symbol. */
export function functionStart(book: SymbolBook, address: bigint): bigint | undefined {
  const symbol = book.containing(address)
  if (symbol === undefined || symbol.kind === 'object') return undefined
  const dot = symbol.kind === 'label' ? symbol.name.indexOf('.', 1) : -1
  const outer = dot < 0 ? undefined : book.byName(symbol.name.slice(0, dot))
  return outer !== undefined && outer.address <= symbol.address ? outer.address : symbol.address
}

/** Has the code from the beginning of a function up to an address made a frame? */
export function beginsFrame(memory: StillMemory, start: bigint, address: bigint): boolean {
  const length = Number(address - start)
  const bytes = length <= 0 ? undefined : memory.read(start, Math.min(LONGEST, length))
  if (bytes === undefined) return false
  return bytes[0] === ENTER || bytes.some((byte, at) => byte === PUSH_BP && movesStackPointer(bytes, at + 1))
}

function movesStackPointer(bytes: Uint8Array, after: number): boolean {
  const at = SIZES.has(bytes[after]) ? after + 1 : after
  return MOV_BP_SP.some(([first, second]) => bytes[at] === first && bytes[at + 1] === second)
}
