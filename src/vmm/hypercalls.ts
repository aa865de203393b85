/**
 * What a guest can ask its hypervisor by VMCALL or VMMCALL. `guests/include/ringside.h` is the guest's side of it.
 *
 * RAX has the number of the call and gets the result, negative for an error as Linux numbers them; the arguments are
 * in RBX, RCX, RDX and RSI. Addresses are linear, in the address space of the caller. Which calls there are is told by
 * CPUID leaf 0x40000001.
 */

import type { StopView, Vcpu } from '../engine/processor.ts'
import type { GuestEvent } from './guest-events.ts'

/** Shows RCX bytes of text at RBX at the debug console; the result is how many. For ring 0. */
export const HYPERCALL_CONSOLE = 0
/** Ends the vCPU's turn: another runs. For ring 0. */
export const HYPERCALL_YIELD = 1
/**
 * Tells the debugger of something: a name of RCX bytes at RBX, and RSI values of 64 bits at RDX. It is noted in the
 * machine's timeline with the instruction count. For every ring.
 */
export const HYPERCALL_EVENT = 2

const HYPERCALLS = [HYPERCALL_CONSOLE, HYPERCALL_YIELD, HYPERCALL_EVENT]
/** EAX of CPUID leaf 0x40000001: bit n stands for call n. */
export const HYPERCALL_MASK = HYPERCALLS.reduce((mask, number) => mask | (1 << number), 0)

export const MOST_TEXT = 4096
export const LONGEST_EVENT_NAME = 64
export const MOST_EVENT_VALUES = 8

const EPERM = 1n
const EFAULT = 14n
const EINVAL = 22n
const ENOSYS = 38n

/** What calls act on. */
export interface HypercallHost {
  /** A byte of text. */
  show(byte: number): void
  /** Another vCPU's turn. */
  yield(): void
  /** For the timeline. */
  note(event: GuestEvent): void
}

/** Serves the call that a vCPU has just made. @param count instructions that the machine has retired */
export function serveHypercall(host: HypercallHost, vcpu: Vcpu, count: number): void {
  const { registers } = vcpu
  registers.set('rax', BigInt.asUintN(64, call(host, vcpu, count)))
}

function call(host: HypercallHost, vcpu: Vcpu, count: number): bigint {
  const { registers, view } = vcpu
  const privileged = registers.cpl === 0
  switch (argument(registers.get('rax'))) {
    case HYPERCALL_CONSOLE:
      return privileged ? show(host, view) : -EPERM
    case HYPERCALL_YIELD:
      if (!privileged) return -EPERM
      host.yield()
      return 0n
    case HYPERCALL_EVENT:
      return note(host, vcpu, count)
    default:
      return -ENOSYS
  }
}

function show(host: HypercallHost, view: StopView): bigint {
  const text = readCounted(view, 'rbx', argument(view.registers.get('rcx')), MOST_TEXT)
  if (typeof text === 'bigint') return text
  for (const byte of text) host.show(byte)
  return BigInt(text.length)
}

function note(host: HypercallHost, vcpu: Vcpu, count: number): bigint {
  const { view, registers } = vcpu
  const name = readCounted(view, 'rbx', argument(registers.get('rcx')), LONGEST_EVENT_NAME)
  if (typeof name === 'bigint') return name
  const text = Buffer.from(name).toString('latin1')
  // What people and editors are shown: no control characters.
  if (!/^[\x20-\x7e]+$/.test(text)) return -EINVAL
  const values = argument(registers.get('rsi'))
  if (values > MOST_EVENT_VALUES) return -EINVAL
  const bytes = readCounted(view, 'rdx', values * 8, MOST_EVENT_VALUES * 8)
  if (typeof bytes === 'bigint') return bytes
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  host.note({
    ...{ count, vcpu: vcpu.index, cpl: registers.cpl, rip: registers.get('rip'), name: text },
    values: Array.from({ length: values }, (_, i) => words.getBigUint64(i * 8, true)),
  })
  return 0n
}

/** Bytes whose address a register has, or the error. */
function readCounted(view: StopView, register: string, length: number, most: number): Uint8Array | bigint {
  if (length > most) return -EINVAL
  if (length === 0) return new Uint8Array(0)
  return view.readBytes(view.registers.get(register), length) ?? -EFAULT
}

/** Numbers and counts are small: anything else is as good as infinity. */
const argument = (value: bigint): number => Number(value)
