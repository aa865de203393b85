/** A VM on the scripted processor, with a platform that records what reaches it. */

import { FramePool } from '../../../src/vmm/frame-pool.ts'
import type { Platform } from '../../../src/vmm/platform.ts'
import { Vm } from '../../../src/vmm/vm.ts'
import { ScriptedProcessor, type ScriptedVcpu } from './scripted-processor.ts'

export const DEVICE_GPA = 0xfec0_0000

export interface ScriptedVm {
  readonly vm: Vm
  readonly vcpus: readonly ScriptedVcpu[]
  readonly processor: ScriptedProcessor
  readonly pool: FramePool
  /** Accesses that reached the bus, in order. */
  readonly accesses: string[]
  /** Ends of interrupt that reached the I/O APIC. */
  readonly ended: number[]
  /** Vectors that the interrupt controller will give, one for each acknowledge. */
  readonly external: number[]
}

export function makeVm(cpus = 1, memory = 4 * 2 ** 20): ScriptedVm {
  const processor = new ScriptedProcessor()
  const pool = new FramePool(processor.memory, 65536)
  const vm = new Vm({ processor, pool, memory, cpus })
  const accesses: string[] = []
  const external: number[] = []
  const ended: number[] = []
  const hex = (value: number | bigint) => value.toString(16)
  const platform: Platform = {
    bus: {
      readPort: (port, size) => {
        accesses.push(`in ${hex(port)}/${size}`)
        return 0x42
      },
      writePort: (port, size, value) => {
        accesses.push(`out ${hex(port)}/${size} = ${hex(value)}`)
      },
      claims: gpa => gpa >= DEVICE_GPA && gpa < DEVICE_GPA + 0x1000,
      readMmio: (gpa, size) => {
        accesses.push(`read ${hex(gpa)}/${size}`)
        return 0x1234n
      },
      writeMmio: (gpa, size, value) => {
        accesses.push(`write ${hex(gpa)}/${size} = ${hex(value)}`)
      },
    },
    externalInterrupts: {
      get pending() {
        return external.length > 0
      },
      acknowledge: () => external.shift() ?? 0,
    },
    ioApic: { endOfInterrupt: vector => ended.push(vector) },
    showByte: () => undefined,
  }
  vm.attach(platform)
  return { vm, vcpus: processor.vcpus, processor, pool, accesses, ended, external }
}
