/** What `--stats` writes. */

import type { Pc } from '../machine/pc.ts'

export interface RunStatistics {
  readonly instructions: number
  /** Wall time. */
  readonly seconds: number
  /** By reason; reasons that never occurred are absent. */
  readonly exits: Readonly<Partial<Record<string, number>>>
  readonly tlbFills: number
  readonly blocksDecoded: number
  readonly virtualSeconds: number
}

export function statistics(pc: Pc, seconds: number): RunStatistics {
  const { vm } = pc
  const { tlbFills, blocksDecoded } = vm.processor.statistics
  return {
    instructions: vm.clock.count,
    seconds,
    exits: vm.exits.byReason(),
    tlbFills,
    blocksDecoded,
    virtualSeconds: vm.clock.now / 1e9,
  }
}
