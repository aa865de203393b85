/** What EPT maps: guest-physical ranges to host-physical ones (SDM vol. 3, 29.3.2). */

import { EPT_EXECUTE, EPT_READ, EPT_WRITE, eptRoot } from '../engine/mmu/ept-walk.ts'
import type { MachineView } from './machine-view.ts'
import { coalesce, type MappedPiece, type MappingPortion } from './mapping-ranges.ts'

const SHIFTS = [39, 30, 21, 12]
const EPT_LARGE = 0x80
const MOST_TABLES = 65_536

/**
 * undefined when no EPT is in use. Rights are `rwx` with a dash for what is missing.
 * @param start guest-physical
 * @param limit ranges at most
 */
export function eptMappings(machine: MachineView, start: bigint, limit: number): MappingPortion | undefined {
  const { eptPointer, hostWords } = machine
  if (eptPointer === undefined || hostWords === undefined) return undefined
  const from = start > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(start)
  const walk = { words: hostWords, start: from, tablesLeft: MOST_TABLES }
  return coalesce(table(walk, 0, eptRoot(eptPointer), 0, EPT_READ | EPT_WRITE | EPT_EXECUTE), limit)
}

interface Walk {
  readonly words: Uint32Array
  readonly start: number
  tablesLeft: number
}

function* table(
  walk: Walk,
  depth: number,
  root: number,
  base: number,
  above: number,
): Generator<MappedPiece | bigint, boolean> {
  const size = 2 ** SHIFTS[depth]
  for (let index = walk.start > base ? Math.floor((walk.start - base) / size) : 0; index < 512; index++) {
    const low = walk.words[(root >>> 2) + index * 2] ?? 0
    const high = walk.words[(root >>> 2) + index * 2 + 1] ?? 0
    if ((low & (EPT_READ | EPT_WRITE | EPT_EXECUTE)) === 0) continue
    const rights = low & above
    const gpa = base + index * size
    const target = (high & 0xf_ffff) * 2 ** 32 + Math.floor(low / 4096) * 4096
    if (depth === 3 || (depth > 0 && (low & EPT_LARGE) !== 0))
      yield {
        start: BigInt(gpa),
        length: BigInt(size),
        target: BigInt(Math.floor(target / size) * size),
        rights: rightsText(rights),
        pageSize: size,
      }
    else if (--walk.tablesLeft < 0) {
      yield BigInt(Math.max(gpa, walk.start))
      return false
    } else if (!(yield* table(walk, depth + 1, target, gpa, rights))) return false
  }
  return true
}

const rightsText = (rights: number): string =>
  (rights & EPT_READ ? 'r' : '-') + (rights & EPT_WRITE ? 'w' : '-') + (rights & EPT_EXECUTE ? 'x' : '-')
