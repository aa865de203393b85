import { describe, expect, it } from 'vitest'
import { HostMemory } from '../../src/engine/host-memory.ts'
import { FRAMES_BASE } from '../../src/engine/layout.ts'
import { hostMemoryBytes } from '../../src/machine/memory-plan.ts'
import { FramePool } from '../../src/vmm/frame-pool.ts'
import { GUEST_RAM_LIMIT } from '../../src/vmm/guest-memory.ts'
import { Vm } from '../../src/vmm/vm.ts'
import { ScriptedProcessor } from '../vmm/support/scripted-processor.ts'

const MIB = 2 ** 20

describe('the memory plan', () => {
  it('leaves room for every frame that the guests may come to need', () => {
    const processor = new ScriptedProcessor(hostMemoryBytes(2 * MIB, 3 * MIB))
    const pool = new FramePool(processor.memory, FRAMES_BASE)
    for (const memory of [2 * MIB, 3 * MIB]) {
      const vm = new Vm({ processor, pool, memory, cpus: 1 })
      for (const { start, length } of vm.memory.map)
        for (let gpa = start - (start % 4096); gpa < start + length; gpa += 4096) vm.memory.frame(gpa)
    }
    const legacyHole = 0x40000 / 4096
    expect(pool.allocated).toBeGreaterThan((5 * MIB) / 4096 - 2 * legacyHole)
  })

  it('fits the largest guest into a 32-bit WebAssembly memory', () => {
    const bytes = hostMemoryBytes(GUEST_RAM_LIMIT)
    expect(bytes).toBeLessThanOrEqual(2 ** 32)
    expect(new HostMemory(bytes).size).toBe(bytes)
  })
})
