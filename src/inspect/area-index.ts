/** Named areas of an address space, and which of them lie in a range: asked for thousands of ranges at a stop. */

export interface MemoryArea {
  readonly kind: AreaKind
  /** `.text`, `nf_tables`, `ACPI FACP`, `hpet`. */
  readonly name: string
  readonly start: bigint
  /** Behind the last byte. */
  readonly end: bigint
}

export type AreaKind =
  /** Of a symbol file. */
  | 'section'
  /** Of a Linux kernel. */
  | 'module'
  /** Guest-physical memory. */
  | 'ram'
  | 'reserved'
  | 'table'
  | 'device'

export class AreaIndex {
  readonly #areas: readonly MemoryArea[]
  /** For each area the farthest end of it and all before. */
  readonly #reach: readonly bigint[]

  constructor(areas: Iterable<MemoryArea>) {
    this.#areas = [...areas].sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0))
    let reach = 0n
    this.#reach = this.#areas.map(({ end }) => (reach = end > reach ? end : reach))
  }

  /** Areas that share a byte with `start` up to `end`, in the order of their starts. */
  *overlapping(start: bigint, end: bigint): Generator<MemoryArea> {
    let [low, high] = [0, this.#areas.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#reach[middle] <= start) low = middle + 1
      else high = middle
    }
    for (let index = low; index < this.#areas.length && this.#areas[index].start < end; index++)
      if (this.#areas[index].end > start) yield this.#areas[index]
  }
}
