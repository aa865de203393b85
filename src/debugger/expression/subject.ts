/** What a compiled expression is evaluated against: a vCPU that stands still, seen from one frame of its stack. */

import type { Address } from '../../inspect/address.ts'
import { readLinear } from '../../inspect/linear-memory.ts'
import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import { ExpressionError } from './expression-error.ts'
import { LinearReader } from './linear-reader.ts'

export type Space = Address['space']

export type SubjectSegments = Readonly<Record<'cs' | 'ss', { readonly selector: number; readonly base: bigint }>>

export interface Subject {
  readonly vcpu: VcpuView
  readonly machine: MachineView
  /** A register by the machine's name (`rax`, `xmm3`, `st0`); undefined when this frame doesn't know it. */
  register(name: string): bigint | undefined
  /** Segments of this frame that need not be the vCPU's. */
  readonly segments?: SubjectSegments | undefined
  /** Exactly `size` bytes, or undefined. Looking has no side effect. */
  read(space: Space, address: bigint, size: number): Uint8Array | undefined
  /** An unsigned little-endian integer of 1 to 16 bytes. Throws {@link ExpressionError} when it can't be read. */
  integer(space: Space, address: bigint, size: number): bigint
}

/** The vCPU itself: what its innermost frame sees. It is used again and again by conditions, for one vCPU at a time. */
export class VcpuSubject implements Subject {
  vcpu: VcpuView
  machine: MachineView
  readonly #linear = new LinearReader()

  constructor(vcpu: VcpuView, machine: MachineView) {
    this.vcpu = vcpu
    this.machine = machine
  }

  register(name: string): bigint | undefined {
    return this.vcpu.register(name)
  }

  read(space: Space, address: bigint, size: number): Uint8Array | undefined {
    if (space !== 'linear') return readPhysicalSpace(this.machine, space, address, size)
    const bytes = readLinear(this.machine, this.vcpu, address, size)
    return bytes.length === size ? bytes : undefined
  }

  integer(space: Space, address: bigint, size: number): bigint {
    if (space === 'linear') {
      const value = this.#linear.read(this.machine, this.vcpu, address, size)
      if (value !== undefined) return value
    }
    return integerOf(this.read(space, address, size), space, address, size)
  }
}

/** What a call may change beside general registers (x86-64 psABI, 3.2.1). */
const NOT_PRESERVED = /^(?:[xy]mm\d+|st\d|rflags)$/

/** A frame further out: general registers as the callee left them to be found, everything else the vCPU's. */
export class FrameSubject implements Subject {
  readonly vcpu: VcpuView
  readonly machine: MachineView
  readonly #inner: VcpuSubject
  readonly #registers: ReadonlyMap<string, bigint | undefined>

  readonly #called: boolean
  readonly segments: SubjectSegments | undefined

  /**
   * @param registers general registers by name, `rip` among them; a hole is one that is not known.
   * @param called the frame waits for a function that it called, which may have changed what no function preserves.
   */
  constructor(
    vcpu: VcpuView,
    machine: MachineView,
    registers: ReadonlyMap<string, bigint | undefined>,
    called: boolean,
    segments?: SubjectSegments,
  ) {
    this.#called = called
    this.segments = segments
    this.vcpu = vcpu
    this.machine = machine
    this.#inner = new VcpuSubject(vcpu, machine)
    this.#registers = registers
  }

  register(name: string): bigint | undefined {
    if (this.#registers.has(name)) return this.#registers.get(name)
    return this.#called && NOT_PRESERVED.test(name) ? undefined : this.vcpu.register(name)
  }

  read(space: Space, address: bigint, size: number): Uint8Array | undefined {
    return this.#inner.read(space, address, size)
  }

  integer(space: Space, address: bigint, size: number): bigint {
    return this.#inner.integer(space, address, size)
  }
}

function readPhysicalSpace(
  machine: MachineView,
  space: 'physical' | 'host',
  address: bigint,
  size: number,
): Uint8Array | undefined {
  if (address > BigInt(Number.MAX_SAFE_INTEGER)) return undefined
  return space === 'host' ? machine.readHost(Number(address), size) : machine.readPhysical(Number(address), size)
}

function integerOf(bytes: Uint8Array | undefined, space: Space, address: bigint, size: number): bigint {
  if (bytes === undefined) throw unreadable(space, address, size)
  return littleEndian(bytes)
}

export function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n
  for (let at = bytes.length - 1; at >= 0; at--) value = (value << 8n) | BigInt(bytes[at])
  return value
}

const SPACE_NAMES: Readonly<Record<Space, string>> = {
  linear: '',
  physical: ' guest-physical',
  host: ' host-physical',
}

export function unreadable(space: Space, address: bigint, size: number): ExpressionError {
  return new ExpressionError(
    `no memory can be read at${SPACE_NAMES[space]} 0x${address.toString(16)}, ${size} ${size === 1 ? 'byte' : 'bytes'}`,
  )
}
