/**
 * ASIDs: 12-bit tags that let translations of several VMs, address spaces and access classes live in the TLB together.
 * One stands for a VPID, a PCID and a class of access; dropping the translations of an address space means to forget
 * its ASIDs, and only when all are used up is the TLB itself emptied. An address space has three: for user accesses, for
 * supervisor accesses under SMAP, and for those that RFLAGS.AC exempts from it.
 */

const LAST = 4095

export class AddressSpaces {
  /** By VPID * 2^12 + PCID. */
  readonly #asids = new Map<number, readonly [number, number, number]>()
  readonly #emptyTlb: () => void
  #next = 1

  /** @param emptyTlb drops every translation and everything derived from one. */
  constructor(emptyTlb: () => void) {
    this.#emptyTlb = emptyTlb
  }

  /** The ASIDs of an address space, by class of access. */
  asids(vpid: number, pcid: number): readonly [number, number, number] {
    const key = vpid * 0x1000 + pcid
    const known = this.#asids.get(key)
    if (known !== undefined) return known
    if (this.#next > LAST - 2) this.dropAll()
    const made = [this.#next, this.#next + 1, this.#next + 2] as const
    this.#next += 3
    this.#asids.set(key, made)
    return made
  }

  /** The same, if any translation can have been made with them. */
  known(vpid: number, pcid: number): readonly number[] {
    return this.#asids.get(vpid * 0x1000 + pcid) ?? []
  }

  /** All ASIDs that translations of a VPID can have been made with. */
  knownOf(vpid: number): readonly number[] {
    const found: number[] = []
    for (const [key, asids] of this.#asids) if (Math.floor(key / 0x1000) === vpid) found.push(...asids)
    return found
  }

  /** Drops all translations of a VPID. */
  dropVpid(vpid: number): void {
    for (const key of this.#asids.keys()) if (Math.floor(key / 0x1000) === vpid) this.#asids.delete(key)
  }

  dropAll(): void {
    this.#asids.clear()
    this.#next = 1
    this.#emptyTlb()
  }
}
