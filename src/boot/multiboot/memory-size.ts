/** The two numbers of KiB by which multiboot summarises memory: contiguous RAM from 0 and from 1 MiB on. */

import type { MemoryRange } from '../boot-target.ts'
import { EBDA_START, FOUR_GIB, HIGH_MEMORY } from '../placement.ts'

const KIB = 1024

export function memorySize(map: readonly MemoryRange[]): { lower: number; upper: number } {
  const usableFrom = (address: number, limit: number) => {
    const range = map.find(({ start, length, type }) => type === 1 && start <= address && address < start + length)
    return range ? Math.min(range.start + range.length, limit) - address : 0
  }
  return {
    lower: Math.floor(usableFrom(0, EBDA_START) / KIB),
    upper: Math.floor(usableFrom(HIGH_MEMORY, FOUR_GIB) / KIB),
  }
}
