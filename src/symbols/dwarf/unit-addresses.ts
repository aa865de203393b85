/** Which unit an address belongs to: from `.debug_aranges`, and for units that it leaves out from the units themselves. */

import { DwarfError } from '../elf/elf-error.ts'
import type { AddressRange } from './debug-info.ts'
import { DwarfReader } from './dwarf-reader.ts'
import { rangesOf } from './range-lists.ts'
import type { UnitHeader } from './unit.ts'
import type { UnitList } from './unit-list.ts'

interface UnitRange extends AddressRange {
  readonly unit: UnitHeader
}

/** Ranges that overlap: how many below an address are asked whether they reach it. */
const OVERLAPS = 16

export class UnitAddresses {
  readonly #list: UnitList
  #quick: RangeIndex | undefined
  #slow: RangeIndex | undefined
  #covered: Set<number> = new Set()

  constructor(list: UnitList) {
    this.#list = list
  }

  unitAt(address: bigint): UnitHeader | undefined {
    this.#quick ??= new RangeIndex(this.#readAranges())
    const quick = this.#quick.at(address)
    if (quick !== undefined) return quick
    this.#slow ??= new RangeIndex(this.#readUnits())
    return this.#slow.at(address)
  }

  #readAranges(): UnitRange[] {
    const bytes = this.#list.sections.aranges
    const ranges: UnitRange[] = []
    for (let at = 0; at + 4 <= bytes.length; ) {
      const head = new DwarfReader(bytes, '.debug_aranges', at)
      const { length } = head.initialLength()
      const end = head.at + length
      if (end > bytes.length) throw new DwarfError('.debug_aranges: a table reaches past its end')
      this.#readTable(new DwarfReader(bytes, '.debug_aranges', at, end), ranges)
      at = end
    }
    return ranges
  }

  /** One table (DWARF 5, 6.1.2). */
  #readTable(reader: DwarfReader, ranges: UnitRange[]): void {
    const start = reader.at
    const { offsetSize } = reader.initialLength()
    reader.u16()
    const unit = this.#list.headerAround(reader.offset(offsetSize))
    const addressSize = reader.u8()
    if (reader.u8() !== 0) reader.fail('segment selectors are not known')
    const tuple = addressSize * 2
    if (tuple === 0) reader.fail('addresses of no bytes')
    reader.take((tuple - ((reader.at - start) % tuple)) % tuple)
    while (reader.rest >= tuple) {
      const low = reader.address(addressSize)
      const length = reader.address(addressSize)
      if (low === 0n && length === 0n) break
      if (unit === undefined || length === 0n) continue
      ranges.push({ low, high: low + length, unit })
      this.#covered.add(unit.offset)
    }
  }

  #readUnits(): UnitRange[] {
    const ranges: UnitRange[] = []
    for (const header of this.#list.headers) {
      if (this.#covered.has(header.offset) || header.kind === 'type') continue
      for (const { low, high } of rangesOf(this.#list.unit(header).root)) ranges.push({ low, high, unit: header })
    }
    return ranges
  }
}

class RangeIndex {
  readonly #ranges: readonly UnitRange[]

  constructor(ranges: UnitRange[]) {
    this.#ranges = ranges.sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0))
  }

  at(address: bigint): UnitHeader | undefined {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#ranges[middle].low <= address) low = middle + 1
      else high = middle
    }
    for (let index = low - 1; index >= 0 && index >= low - OVERLAPS; index--) {
      if (address < this.#ranges[index].high) return this.#ranges[index].unit
    }
    return undefined
  }
}
