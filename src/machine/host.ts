/** What machines share: one host memory, one processor over it, and the frames that are left for guests. */

import type { CpuModel } from '../engine/cpu-model.ts'
import { HostMemory } from '../engine/host-memory.ts'
import { FRAMES_BASE } from '../engine/layout.ts'
import type { Processor } from '../engine/processor.ts'
import { createProcessor } from '../engine/software-processor.ts'
import { FramePool } from '../vmm/frame-pool.ts'
import { GUEST_RAM_LIMIT } from '../vmm/guest-memory.ts'
import { tooMuchMemory } from './configuration.ts'
import { hostMemoryBytes } from './memory-plan.ts'

export class Host {
  readonly processor: Processor
  readonly pool: FramePool

  /**
   * @param model of the processor that all machines here have
   * @param guests bytes of RAM of each machine that will run here; all of them together at most 3 GiB, or a
   * `ConfigurationError` is thrown.
   */
  static async create(model: CpuModel, ...guests: readonly number[]): Promise<Host> {
    const total = guests.reduce((sum, bytes) => sum + bytes, 0)
    if (total > GUEST_RAM_LIMIT) throw tooMuchMemory(total)
    const memory = new HostMemory(hostMemoryBytes(...guests))
    return new Host(await createProcessor(memory, { model }), new FramePool(memory, FRAMES_BASE))
  }

  private constructor(processor: Processor, pool: FramePool) {
    this.processor = processor
    this.pool = pool
  }
}
