/** A guest-physical address through EPT, step by step, by the processor's own walk. */

import { EPT_EXECUTE, EPT_READ, EPT_WRITE, type EptLevel, EptResult, walkEpt } from '../engine/mmu/ept-walk.ts'
import type { MachineView } from './machine-view.ts'

/** One level. Addresses are host-physical. */
export interface EptStep {
  readonly level: EptLevel
  readonly table: bigint
  readonly index: number
  readonly entryAddress: bigint
  readonly entry: bigint
  /** `rwx` with a dash for what this entry forbids; `---` is not present. */
  readonly rights: string
}

export interface EptTranslation {
  readonly gpa: bigint
  readonly steps: readonly EptStep[]
  /** What all entries together allow. */
  readonly rights: string
  readonly misconfigured: boolean
  /** Host-physical address of the byte; absent when it is not mapped. */
  readonly hpa?: bigint
  /** Bytes of the page that maps it. */
  readonly size?: number
}

/** undefined when no EPT is in use. */
export function translateEpt(machine: MachineView, gpa: number): EptTranslation | undefined {
  const { eptPointer, hostWords } = machine
  if (eptPointer === undefined || hostWords === undefined) return undefined
  const steps: EptStep[] = []
  const result = new EptResult()
  walkEpt(eptPointer, gpa, hostWords, result, (level, table, index, entry, low, high) => {
    steps.push({
      level,
      table: BigInt(table),
      index,
      entryAddress: BigInt(entry),
      entry: (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0),
      rights: rightsText(low),
    })
  })
  return {
    gpa: BigInt(gpa),
    steps,
    rights: rightsText(result.rights),
    misconfigured: result.misconfigured,
    ...(result.rights === 0 ? {} : { hpa: BigInt(result.hpa), size: 2 ** result.pageShift }),
  }
}

const rightsText = (rights: number): string =>
  (rights & EPT_READ ? 'r' : '-') + (rights & EPT_WRITE ? 'w' : '-') + (rights & EPT_EXECUTE ? 'x' : '-')
