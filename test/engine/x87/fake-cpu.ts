/** A processor for assists to run on: state and 64 KiB of memory, where linear addresses are host addresses. */

import type { AssistCpu, AssistInstruction } from '../../../src/engine/assist.ts'
import { parseCpuModel } from '../../../src/engine/cpu-model.ts'
import { CpuState } from '../../../src/engine/cpu-state.ts'
import { pageFault } from '../../../src/engine/fault.ts'
import { HostMemory } from '../../../src/engine/host-memory.ts'
import type { LinearMemory } from '../../../src/engine/linear-memory.ts'
import * as S from '../../../src/engine/state.ts'
import { initializeFpu } from '../../../src/engine/x87/control.ts'
import { VirtualClock } from '../../../src/util/virtual-clock.ts'
import { CR0_ET, CR0_NE, CR0_PE } from '../../../src/x86/control-registers.ts'

/** Where instructions find their memory operand. */
export const OPERAND = 0x8000n
/** First address that is not mapped. */
export const UNMAPPED = 0x10000n

class FlatMemory implements LinearMemory {
  readonly #view: DataView

  constructor(host: HostMemory) {
    this.#view = host.view
  }

  #check(address: bigint, length: number, write: boolean): number {
    if (address + BigInt(length) > UNMAPPED) throw pageFault(write ? 2 : 0, address)
    return Number(address)
  }

  read8(address: bigint): number {
    return this.#view.getUint8(this.#check(address, 1, false))
  }
  read16(address: bigint): number {
    return this.#view.getUint16(this.#check(address, 2, false), true)
  }
  read32(address: bigint): number {
    return this.#view.getUint32(this.#check(address, 4, false), true)
  }
  read64(address: bigint): bigint {
    return this.#view.getBigUint64(this.#check(address, 8, false), true)
  }
  write8(address: bigint, value: number): void {
    this.#view.setUint8(this.#check(address, 1, true), value)
  }
  write16(address: bigint, value: number): void {
    this.#view.setUint16(this.#check(address, 2, true), value, true)
  }
  write32(address: bigint, value: number): void {
    this.#view.setUint32(this.#check(address, 4, true), value, true)
  }
  write64(address: bigint, value: bigint): void {
    this.#view.setBigUint64(this.#check(address, 8, true), value, true)
  }
  readBytes(address: bigint, length: number): Uint8Array {
    return new Uint8Array(this.#view.buffer, this.#check(address, length, false), length).slice()
  }
  writeBytes(address: bigint, bytes: Uint8Array): void {
    new Uint8Array(this.#view.buffer).set(bytes, this.#check(address, bytes.length, true))
  }
  probeWrite(address: bigint, length: number): void {
    this.#check(address, length, true)
  }
}

function unexpected(what: string): never {
  throw new Error(`an x87 instruction has no business with ${what}`)
}

/** In flat protected mode, after FNINIT. */
export function createFakeCpu(): AssistCpu {
  const host = new HostMemory(0x10000)
  const state = new CpuState(host)
  initializeFpu(state)
  state.set64(S.CR0, BigInt(CR0_PE | CR0_ET | CR0_NE))
  state.rflags = 2
  return {
    model: parseCpuModel('max'),
    state,
    memory: new FlatMemory(host),
    clock: new VirtualClock(),
    controls: {
      eptPointer: undefined,
      vpid: 1,
      exceptionBitmap: 0,
      crExits: { cr0: false, cr3: false, cr4: false },
      tscOffset: 0n,
    },
    now: 0,
    tsc: 0n,
    taskPriority: 0,
    exit: () => unexpected('exits'),
    exitRetired: () => unexpected('exits'),
    takeCompletion: () => unexpected('completions'),
    readPhysical64: () => unexpected('guest-physical memory'),
    contextChanged: () => unexpected('the mode'),
    flushTlb: () => unexpected('the TLB'),
    flushPcid: () => unexpected('the TLB'),
    flushAllPcids: () => unexpected('the TLB'),
    invalidatePcidPage: () => unexpected('the TLB'),
    dropProtectionKeys: () => unexpected('the TLB'),
    invalidatePage: () => unexpected('the TLB'),
    readApicMsr: () => unexpected('the local APIC'),
    writeApicMsr: () => unexpected('the local APIC'),
  }
}

/** An instruction with registers ST(register0) and ST(register1), and its memory operand at {@link OPERAND}. */
export function fakeInstruction(changes: Partial<AssistInstruction> = {}): AssistInstruction {
  return {
    operandSize: 32,
    addressSize: 32,
    length: 2,
    rip: 0x4000n,
    nextRip: 0x4002n,
    immediate: 0n,
    hasMemory: false,
    address: OPERAND,
    register0: 0,
    register1: 0,
    checkSegment: () => {},
    addressAt: () => 0n,
    scale: 1,
    register: () => 0,
    repeat: 0,
    ...changes,
  }
}
