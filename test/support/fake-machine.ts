/** A machine without a processor: registers as they are set, memory as it is written. */

import type { Activity, ApicRegister, ControlBlock, SegmentName, SegmentRegister } from '../../src/engine/processor.ts'
import type {
  DeviceView,
  IsaRequestView,
  MachineView,
  MemoryMapEntry,
  PciFunctionView,
  VcpuView,
  VirtioView,
} from '../../src/inspect/machine-view.ts'
import { RIGHTS_CODE, RIGHTS_DB, RIGHTS_L, RIGHTS_P, RIGHTS_S } from '../../src/x86/segment-rights.ts'

const PAGE = 4096

export class FakeVcpu implements VcpuView {
  readonly index: number
  readonly registers = new Map<string, bigint>()
  readonly segments = new Map<SegmentName, SegmentRegister>()
  readonly tables = { gdtr: { base: 0n, limit: 0 }, idtr: { base: 0n, limit: 0 } }
  cpl = 0
  activity: Activity = 'active'
  controls: ControlBlock | undefined
  apicRegisters: readonly ApicRegister[] = []

  constructor(index = 0) {
    this.index = index
  }

  register(name: string): bigint {
    return this.registers.get(name) ?? 0n
  }

  segment(name: SegmentName): SegmentRegister {
    return this.segments.get(name) ?? { selector: 0, base: 0n, limit: 0xffff, rights: RIGHTS_P | RIGHTS_S }
  }

  table(name: 'gdtr' | 'idtr'): { base: bigint; limit: number } {
    return this.tables[name]
  }

  set(values: Readonly<Record<string, bigint>>): this {
    for (const [name, value] of Object.entries(values)) this.registers.set(name, value)
    return this
  }

  /** CS with the size of code that is asked for. */
  setCode(bits: 16 | 32 | 64, base = 0n): this {
    const size = bits === 64 ? RIGHTS_L : bits === 32 ? RIGHTS_DB : 0
    const rights = RIGHTS_P | RIGHTS_S | RIGHTS_CODE | size
    this.segments.set('cs', { selector: 0x10, base, limit: 0xffffffff, rights })
    return this
  }

  /** 64-bit mode with 4-level paging and the top-level table at `cr3`. */
  longMode(cr3 = 0n): this {
    return this.setCode(64).set({ cr0: 0x8005_0033n, cr3, cr4: 0x6b0n, efer: 0xd01n, rflags: 0x202n })
  }

  /** 32-bit protected mode without paging. */
  protectedMode(): this {
    return this.setCode(32).set({ cr0: 0x11n, rflags: 0x2n })
  }
}

export class FakeMachine implements MachineView {
  readonly guestEvents = undefined
  readonly vcpus: FakeVcpu[] = [new FakeVcpu()]
  devices: readonly DeviceView[] = []
  pci: readonly PciFunctionView[] = []
  virtio: readonly VirtioView[] = []
  isaRequests: readonly IsaRequestView[] = []
  network: MachineView['network']
  display: MachineView['display']
  memoryMap: readonly MemoryMapEntry[] = []
  eptPointer: number | undefined
  readonly #memory: Uint8Array

  /** Guest-physical and host-physical memory are the same while there is no EPT. */
  constructor(bytes = 2 ** 20) {
    this.#memory = new Uint8Array(bytes)
  }

  get hostWords(): Uint32Array | undefined {
    return this.eptPointer === undefined ? undefined : new Uint32Array(this.#memory.buffer)
  }

  get vcpu(): FakeVcpu {
    return this.vcpus[0]
  }

  write(address: number, bytes: Uint8Array | readonly number[]): void {
    this.#memory.set(bytes, address)
  }

  writeEntry(address: number, entry: bigint): void {
    new DataView(this.#memory.buffer).setBigUint64(address, entry, true)
  }

  readHost(hpa: number, length: number): Uint8Array | undefined {
    return hpa >= 0 && hpa + length <= this.#memory.length ? this.#memory.slice(hpa, hpa + length) : undefined
  }

  hasRam(gpa: number, length: number): boolean {
    return this.readPhysical(gpa, length) !== undefined
  }

  /** Behind EPT a guest-physical page is where the test mapped it; see {@link mapGuest}. */
  readPhysical(gpa: number, length: number): Uint8Array | undefined {
    if (this.eptPointer === undefined) return this.readHost(gpa, length)
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const frame = this.#guestFrames.get(Math.floor((gpa + done) / PAGE))
      if (frame === undefined) return undefined
      const offset = (gpa + done) % PAGE
      const piece = this.#memory.subarray(frame + offset, frame + Math.min(PAGE, offset + length - done))
      bytes.set(piece, done)
      done += piece.length
    }
    return bytes
  }

  readonly #guestFrames = new Map<number, number>()

  /** Says where a guest-physical page lies, for {@link readPhysical}; the EPT entries are the test's to write. */
  mapGuest(gpa: number, hpa: number): void {
    this.#guestFrames.set(Math.floor(gpa / PAGE), hpa)
  }
}
