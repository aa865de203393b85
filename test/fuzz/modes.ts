/** The modes that guests of noise begin in, and what tables and code there must look like. */

import type { Random } from '../engine/guest/random.ts'

export type ModeName =
  | 'real'
  | 'unreal'
  | 'virtual-8086'
  | 'virtual-8086 paged'
  | 'protected-16'
  | 'protected-32'
  | '32-bit paging'
  | 'PAE'
  | 'compatibility-16'
  | 'compatibility-32'
  | '64-bit'
  | '5-level'

export interface Mode {
  readonly name: ModeName
  /** Size of code. */
  readonly bits: 16 | 32 | 64
  /** Levels of page tables; 0 without paging. */
  readonly levels: 0 | 2 | 3 | 4 | 5
  readonly protected: boolean
  readonly long: boolean
  readonly v86: boolean
}

const mode = (name: ModeName, bits: Mode['bits'], levels: Mode['levels']): Mode => ({
  name,
  bits,
  levels,
  protected: name !== 'real' && name !== 'unreal',
  long: levels >= 4,
  v86: name.startsWith('virtual-8086'),
})

export const MODES: readonly Mode[] = [
  mode('real', 16, 0),
  mode('protected-16', 16, 0),
  mode('protected-32', 32, 0),
  mode('32-bit paging', 32, 2),
  mode('PAE', 32, 3),
  mode('compatibility-32', 32, 4),
  mode('64-bit', 64, 4),
  mode('unreal', 16, 0),
  mode('virtual-8086', 16, 0),
  mode('virtual-8086 paged', 16, 2),
  mode('compatibility-16', 16, 4),
  mode('5-level', 64, 5),
]

/** Ring to begin in: 0 the most often, 3 next. */
export function pickRing(random: Random, { protected: isProtected, v86 }: Mode): number {
  if (!isProtected) return 0
  if (v86) return 3
  return random.pick([0, 0, 0, 0, 0, 1, 2, 3, 3, 3])
}
