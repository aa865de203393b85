/**
 * A small machine for tests of the processor: RAM behind real EPT tables, vCPUs, timers and nothing else. Exits other
 * than the end of the budget come back to the test.
 */

import { parseCpuModel } from '../../../src/engine/cpu-model.ts'
import { HostMemory, PAGE_SIZE } from '../../../src/engine/host-memory.ts'
import { FRAMES_BASE } from '../../../src/engine/layout.ts'
import type { Exit, Vcpu, VcpuState } from '../../../src/engine/processor.ts'
import { type ProcessorOptions, SoftwareProcessor } from '../../../src/engine/software-processor.ts'
import { VirtualClock } from '../../../src/util/virtual-clock.ts'
import { EPT_RIGHTS, Ept } from '../../../src/vmm/ept.ts'
import { FramePool } from '../../../src/vmm/frame-pool.ts'
import { InterruptFabric } from '../../../src/vmm/interrupt-fabric.ts'

const HOST_BYTES = Math.ceil((FRAMES_BASE + 24 * 2 ** 20) / 65536) * 65536

/** A processor and its frames, to be shared by the guests of a test file: generating one takes half a second. */
export class Host {
  readonly memory = new HostMemory(HOST_BYTES)
  readonly processor: SoftwareProcessor
  readonly pool = new FramePool(this.memory, FRAMES_BASE)

  constructor(options?: ProcessorOptions) {
    this.processor = new SoftwareProcessor(this.memory, { model: parseCpuModel('max'), ...options })
  }
}

/** The two ways of executing: the guest can't tell them apart. Everything that runs twice is compiled in the second. */
export const TIERS = [
  { tier: 'interpreted', hotEntries: 0 },
  { tier: 'compiled', hotEntries: 2 },
] as const

export interface GuestOptions {
  /** RAM in bytes, from guest-physical 0. */
  readonly bytes?: number
  readonly cpus?: number
  /** Bit i: exception i comes back as an exit. */
  readonly exceptionBitmap?: number
}

/** Everything that a guest's future depends on. */
export interface SavedGuest {
  readonly vcpus: readonly VcpuState[]
  readonly clock: ReturnType<VirtualClock['save']>
  readonly memory: Uint8Array
}

let lastVpid = 0

export class Guest {
  readonly host: Host
  readonly bytes: number
  readonly clock = new VirtualClock()
  readonly ept: Ept
  /** Without an I/O APIC, unless a test puts one there. */
  readonly fabric = new InterruptFabric()
  readonly vcpus: readonly Vcpu[]
  readonly vcpu: Vcpu
  readonly #owner: number

  constructor(host: Host, options: GuestOptions = {}) {
    const { bytes = 2 ** 20, cpus = 1, exceptionBitmap = 0 } = options
    const { pool, processor } = host
    this.host = host
    this.bytes = bytes
    this.#owner = pool.reserve('a test', bytes / PAGE_SIZE + 16)
    this.ept = new Ept(pool, this.#owner, root => processor.invept(root))
    for (let gpa = 0; gpa < bytes; gpa += PAGE_SIZE) this.ept.map(gpa, pool.allocate(this.#owner), EPT_RIGHTS)
    const { fabric } = this
    for (let index = 0; index < cpus; index++)
      fabric.vcpus.push(
        processor.createVcpu({
          index,
          clock: this.clock,
          bus: fabric,
          controls: {
            eptPointer: this.ept.root,
            vpid: ++lastVpid,
            exceptionBitmap,
            crExits: { cr0: false, cr3: false, cr4: false },
            tscOffset: 0n,
          },
        }),
      )
    this.vcpus = fabric.vcpus
    this.vcpu = fabric.vcpus[0]
  }

  /** Gives the frames back. */
  release(): void {
    this.host.processor.invept(this.ept.root)
    // What was decoded from the frames must not be found by their next owner.
    for (const { hpa, length } of this.ept.ranges()) this.host.processor.frameWritten(hpa, length)
    this.host.pool.release(this.#owner)
  }

  /** Host frame behind a guest-physical address, whatever EPT allows. */
  hpa(gpa: number): number {
    const hpa = this.ept.translate(gpa)
    if (hpa === undefined) throw new RangeError(`guest-physical 0x${gpa.toString(16)} is not mapped`)
    return hpa
  }

  /** Writes RAM as a device does: decoded code there is dropped. */
  write(gpa: number, bytes: ArrayLike<number>): void {
    for (let done = 0; done < bytes.length; ) {
      const at = gpa + done
      const piece = Math.min(bytes.length - done, PAGE_SIZE - (at % PAGE_SIZE))
      const hpa = this.hpa(at)
      if (bytes instanceof Uint8Array) this.host.memory.u8.set(bytes.subarray(done, done + piece), hpa)
      else for (let i = 0; i < piece; i++) this.host.memory.u8[hpa + i] = bytes[done + i]
      this.host.processor.frameWritten(hpa, piece)
      done += piece
    }
  }

  read(gpa: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const piece = Math.min(length - done, PAGE_SIZE - ((gpa + done) % PAGE_SIZE))
      const hpa = this.hpa(gpa + done)
      bytes.set(this.host.memory.u8.subarray(hpa, hpa + piece), done)
      done += piece
    }
    return bytes
  }

  read32(gpa: number): number {
    return this.host.memory.view.getUint32(this.hpa(gpa), true)
  }
  read64(gpa: number): bigint {
    return this.host.memory.view.getBigUint64(this.hpa(gpa), true)
  }
  write32(gpa: number, value: number): void {
    this.write(gpa, new Uint8Array(Uint32Array.of(value).buffer))
  }
  write64(gpa: number, value: bigint): void {
    this.write(gpa, new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, value)).buffer))
  }

  /** Runs one vCPU for so many instructions, firing timers when they are due, or to its first exit. */
  run(budget: number, vcpu = this.vcpu): Exit {
    const end = this.clock.count + budget
    for (;;) {
      this.clock.fireDue()
      if (this.clock.count >= end) return { reason: 'budget' }
      const exit = vcpu.run(Math.min(end - this.clock.count, Math.max(1, this.clock.instructionsToDeadline)))
      if (exit.reason !== 'budget') return exit
    }
  }

  register(name: string, vcpu = this.vcpu): bigint {
    return vcpu.registers.get(name)
  }

  setRegisters(values: Readonly<Record<string, bigint | number>>, vcpu = this.vcpu): void {
    for (const [name, value] of Object.entries(values)) vcpu.registers.set(name, BigInt(value))
  }

  save(): SavedGuest {
    return {
      vcpus: this.vcpus.map(vcpu => vcpu.save()),
      clock: this.clock.save(),
      memory: this.read(0, this.bytes),
    }
  }

  restore(saved: SavedGuest): void {
    this.write(0, saved.memory)
    this.clock.restore(saved.clock)
    for (const [index, state] of saved.vcpus.entries()) this.vcpus[index].restore(state)
  }
}

const GENERAL = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ')
const CONTROL = ['cr0', 'cr2', 'cr3', 'cr4', 'efer', 'dr6', 'dr7', 'mxcsr']
const XMM = Array.from({ length: 16 }, (_, i) => `xmm${i}`)
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs']

/** Registers as text, for comparing two runs and for messages that say what differs. */
export function registersOf(vcpu: Vcpu): Record<string, string> {
  const names = ['rip', 'rflags', ...GENERAL, ...CONTROL, ...XMM, ...SEGMENTS]
  return Object.fromEntries(names.map(name => [name, `0x${vcpu.registers.get(name).toString(16)}`]))
}
